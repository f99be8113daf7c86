//! One assertion after the other: written as an object, read back, evaluated, and kept only if it holds.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::rest;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{Object, PortSet, Protocol, Str};
use crate::reach::{Bounds, Focus, Node, Readings, State, evaluate, has_ports};
use crate::snapshot::Snapshot;
use crate::translate::{Defaults, Kind, from_value};

/// Which end of an assertion the workload of the namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    From,
    To,
}

/// The other end: how names call it, and how the object says it.
pub(super) struct Other {
    name: String,
    spec: Value,
}

/// As many entries as the definition takes.
const MOST: usize = 32;

/// Writes assertions of one namespace.
pub(super) struct Writer<'a> {
    world: &'a Snapshot,
    readings: &'a Readings,
    namespace: &'a str,
    names: BTreeSet<String>,
    written: Vec<Value>,
    notes: BTreeSet<String>,
    open: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(world: &'a Snapshot, readings: &'a Readings, namespace: &'a str) -> Self {
        let (names, notes) = (BTreeSet::new(), BTreeSet::new());
        Self { world, readings, namespace, names, written: Vec::new(), notes, open: 0 }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.insert(note);
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.notes.iter().cloned().collect();
        notes.push(format!("{} assertions about {}, all of which hold", self.written.len(), self.namespace));
        if self.open > 0 {
            notes.push(format!(
                "{} connections hang on what the policies leave open, or on pods to come, and are not stated: see `portcullis reach`, or settle a --dialect",
                self.open
            ));
        }
        notes
    }

    /// The objects in the order of their names.
    pub(super) fn finish(mut self) -> Vec<Value> {
        let name =
            |value: &Value| value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.written.sort_by_key(name);
        self.written
    }

    /// Another workload.
    pub(super) fn workload(&self, node: &Node) -> Other {
        let mut fields = Map::new();
        fields.insert("kind".to_owned(), (&*node.owner.kind).into());
        fields.insert("name".to_owned(), (&*node.owner.name).into());
        let mut name = node.owner.name.to_string();
        if *node.namespace != *self.namespace {
            fields.insert("namespace".to_owned(), (&*node.namespace).into());
            name = format!("{name}.{}", node.namespace);
        }
        Other { name, spec: json!({ "workload": fields }) }
    }

    /// Every address outside.
    pub(super) fn world() -> Other {
        Other { name: "world".to_owned(), spec: json!({"world": true}) }
    }

    /// A block of addresses.
    pub(super) fn block(cidr: &IpNet, except: &[IpNet]) -> Other {
        let mut spec = json!({"cidr": cidr.to_string()});
        if !except.is_empty() {
            spec["except"] = except.iter().map(ToString::to_string).collect();
        }
        let name = match (cidr, cidr.prefix_len()) {
            (IpNet::V4(_), 0) => "ipv4".to_owned(),
            (IpNet::V6(_), 0) => "ipv6".to_owned(),
            _ => cidr.to_string().replace("::", ":"),
        };
        Other { name, spec }
    }

    /// States what certainly passes and what certainly does not.
    pub(super) fn bounded(&mut self, node: &Node, side: Side, other: &Other, bounds: &Bounds) {
        let (passes, stays) = (has_ports(&bounds.certain), rest(&bounds.possible));
        let mut stated = true;
        if passes {
            stated &= self.add(node, side, other, "Allow", &bounds.certain, "reaches");
        }
        if has_ports(&stays) {
            let verb = if passes { "reaches-nothing-else-of" } else { "never-reaches" };
            stated &= self.add(node, side, other, "Deny", &stays, verb);
        }
        if !stated || has_ports(&bounds.doubtful()) {
            self.open += 1;
        }
    }

    /// Nobody in any other namespace than these and its own, there or to come. Says whether that is so.
    pub(super) fn deny_others(&mut self, node: &Node, side: Side, except: &[&Str]) -> bool {
        let mut values: Vec<&str> = except.iter().map(|name| &***name).chain([self.namespace]).collect();
        values.sort_unstable();
        let demand = json!({"key": NAMESPACE_NAME_LABEL, "operator": "NotIn", "values": values});
        let spec = json!({"namespaceSelector": {"matchExpressions": [demand]}});
        let other = Other { name: "other-namespaces".to_owned(), spec };
        values.len() <= MOST && self.add(node, side, &other, "Deny", &PortSet::full(), "never-reaches")
    }

    /// Everybody or nobody in another namespace, there or to come. Says whether that is so.
    pub(super) fn of_namespace(&mut self, node: &Node, side: Side, namespace: &str, allow: bool) -> bool {
        let spec = json!({"namespaceSelector": {"matchLabels": {NAMESPACE_NAME_LABEL: namespace}}});
        let other = Other { name: format!("all.{namespace}"), spec };
        let (expect, verb) = if allow { ("Allow", "reaches") } else { ("Deny", "never-reaches") };
        self.add(node, side, &other, expect, &PortSet::full(), verb)
    }

    /// Writes one assertion if it can be said and holds.
    fn add(&mut self, node: &Node, side: Side, other: &Other, expect: &str, set: &PortSet, verb: &str) -> bool {
        let own = self.workload(node);
        let (from, to) = match side {
            Side::From => (&own, other),
            Side::To => (other, &own),
        };
        let mut spec = Map::new();
        spec.insert("from".to_owned(), from.spec.clone());
        spec.insert("to".to_owned(), to.spec.clone());
        spec.insert("expect".to_owned(), expect.into());
        if !set.is_full() {
            let list = ports(set);
            if list.len() > MOST {
                self.note(format!(
                    "{} to {} has more than {MOST} ranges of ports and is not stated",
                    from.name, to.name
                ));
                return false;
            }
            spec.insert("ports".to_owned(), list.into());
        }
        let name = self.free_name(&format!("{}-{verb}-{}", from.name, to.name));
        let kind = Kind::ConnectivityAssertion;
        let value = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind(),
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        });
        let holds = self.holds(&value);
        if holds {
            self.names.insert(name);
            self.written.push(value);
        }
        holds
    }

    /// Whether the assertion, as it will be read, is so. One about pods that only may come is worth writing as well.
    fn holds(&self, value: &Value) -> bool {
        let object = from_value(Kind::ConnectivityAssertion, value, &Defaults::default());
        let Object::Assertion(assertion) = object else { return false };
        let Some(claim) = &assertion.claim else { return false };
        let outcome = evaluate(self.world, claim, self.readings, &Focus::Everything);
        outcome.is_some_and(|outcome| matches!(outcome.state, State::Holds))
    }

    /// A name that the API takes and that none of them has.
    fn free_name(&self, wish: &str) -> String {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let clean: String =
            wish.to_ascii_lowercase().bytes().map(|b| if fits(b) { char::from(b) } else { '-' }).take(240).collect();
        let mut clean = clean.trim_matches(['-', '.']).replace(".-", "-").replace("-.", "-").replace("..", ".");
        while clean.contains("--") {
            clean = clean.replace("--", "-");
        }
        let numbered = (2_u32..).map(|n| format!("{clean}-{n}"));
        std::iter::once(clean.clone()).chain(numbered).find(|name| !self.names.contains(name)).unwrap_or(clean)
    }
}

/// Ports as an assertion lists them.
fn ports(set: &PortSet) -> Vec<Value> {
    let mut list = Vec::new();
    for protocol in Protocol::ALL {
        for &(lo, hi) in set.ports(protocol).ranges() {
            // Port 0 cannot be written, and nothing can be sent to it.
            let lo = lo.max(1);
            if lo > hi {
                continue;
            }
            let mut port = json!({"port": lo, "protocol": protocol.as_str()});
            if lo < hi {
                port["endPort"] = hi.into();
            }
            list.push(port);
        }
    }
    list
}
