//! `ConnectivityAssertion` and `ClusterConnectivityAssertion` into model terms. An assertion that cannot be read in full
//! states nothing: with a field left out it would state something else, and perhaps pass.

use std::sync::Arc;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::houserules::reader::{Reader, is_dns_label};
use super::networkpolicy::wrong_port_name;
use super::{Defaults, Kind, own_or, shorten};
use crate::model::assertion::{Assertion, Claim, Expect, Pairs, Who};
use crate::model::ipset::parse_cidr;
use crate::model::{
    FieldPath, IpSet, NamespaceScope, Object, ObjectRef, PodPeer, PortMatch, PortSet, Protocol, Selector, Str,
};

/// What becomes of an assertion that cannot be read, as the end of the sentence that complains about it.
const NOTHING: &str = "the assertion states nothing";

/// The forms of an end, as messages list them.
const FORMS: &str = "podSelector and namespaceSelector, workload, cidr, or world";

/// Reads an assertion. Never fails; what is wrong is in the object.
pub(super) fn assertion(kind: Kind, value: &Value, defaults: &Defaults<'_>) -> Object {
    let field = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = own_or(field("/metadata/name"), defaults.name);
    let id = if kind.is_namespaced() {
        let namespace = own_or(field("/metadata/namespace"), defaults.namespace);
        ObjectRef::namespaced(kind.api_version(), kind.kind(), namespace, name)
    } else {
        ObjectRef::cluster(kind.api_version(), kind.kind(), name)
    };
    let mut read = Reader::default();
    let version = field("/apiVersion");
    if !version.is_empty() && version != kind.api_version() {
        let what = format!("is {:?}, which is not known; there is {}; {NOTHING}", shorten(version), kind.api_version());
        read.unread(&FieldPath::new("apiVersion"), what);
    }
    if let Some(fields) = value.as_object() {
        read.known(fields, &FieldPath::default(), &["apiVersion", "kind", "metadata", "spec", "status"]);
    }
    let (description, claim) = Reading { read: &mut read, home: id.namespace.clone() }.spec(value.get("spec"));
    let unread = read.finish();
    let claim = claim.filter(|_| unread.is_empty());
    Object::Assertion(Assertion { id: Arc::new(id), description, claim, unread })
}

struct Reading<'r> {
    read: &'r mut Reader,
    /// The namespace of the assertion; `None` for the cluster form.
    home: Option<Str>,
}

impl Reading<'_> {
    fn spec(&mut self, value: Option<&Value>) -> (Option<Str>, Option<Claim>) {
        let at = FieldPath::new("spec");
        let Some(spec) = self.read.optional_object(value, &at, NOTHING) else { return (None, None) };
        self.read.known(spec, &at, &["description", "from", "to", "ports", "expect", "for"]);
        let description = match spec.get("description") {
            Some(Value::String(text)) => Some(text.as_str().into()),
            Some(_) => {
                self.read.unread(&at.field("description"), format!("is not text; {NOTHING}"));
                None
            }
            None => None,
        };
        // Every part is read before the first missing one ends it, so that all slips show up at once.
        let from = self.end(spec.get("from"), &at.field("from"));
        let to = self.end(spec.get("to"), &at.field("to"));
        let ports = match spec.get("ports") {
            Some(list) => self.ports(list, &at.field("ports"), to.as_ref()).map(Some),
            None => Some(None),
        };
        let expect = self.expect(spec.get("expect"), &at.field("expect"));
        let pairs = match spec.get("for") {
            None => Some(Pairs::All),
            Some(text) => self.read.one_of(text, &at.field("for"), &["all", "any"], NOTHING).map(|text| match text {
                "any" => Pairs::Any,
                _ => Pairs::All,
            }),
        };
        if let (Some(from), Some(to)) = (&from, &to) {
            self.ends_fit(from, to, &at);
        }
        let claim = match (from, to, ports, expect, pairs) {
            (Some(from), Some(to), Some(ports), Some(expect), Some(pairs)) => {
                Some(Claim { from, to, ports, expect, pairs })
            }
            _ => None,
        };
        (description, claim)
    }

    fn expect(&mut self, value: Option<&Value>, at: &FieldPath) -> Option<Expect> {
        let Some(value) = value else {
            self.read.unread(at, format!("is missing: say Allow or Deny; {NOTHING}"));
            return None;
        };
        self.read.one_of(value, at, &["Allow", "Deny"], NOTHING).map(|text| match text {
            "Allow" => Expect::Allow,
            _ => Expect::Deny,
        })
    }

    /// What only both ends together show.
    fn ends_fit(&mut self, from: &Who, to: &Who, at: &FieldPath) {
        if !from.is_pods() && !to.is_pods() {
            let what = "has no pods at either end, and policies say nothing about traffic that no pod takes part in";
            self.read.unread(at, format!("{what}; {NOTHING}"));
        } else if let Some(home) = &self.home
            && !from.is_within(home)
            && !to.is_within(home)
        {
            let what = format!(
                "has no end in namespace {home}: one end must be a podSelector without namespaceSelector or a workload \
                 there, or use a ClusterConnectivityAssertion; {NOTHING}"
            );
            self.read.unread(at, what);
        }
    }

    fn end(&mut self, value: Option<&Value>, at: &FieldPath) -> Option<Who> {
        let end = self.read.optional_object(value, at, NOTHING)?;
        self.read.known(end, at, &["podSelector", "namespaceSelector", "workload", "cidr", "except", "world"]);
        let has = |name: &str| end.contains_key(name);
        let forms = [has("podSelector") || has("namespaceSelector"), has("workload"), has("cidr"), has("world")];
        match forms {
            [true, false, false, false] => self.pods(end, at),
            [false, true, false, false] => self.workload(end.get("workload")?, &at.field("workload")),
            [false, false, true, false] => return self.block(end, at),
            [false, false, false, true] => {
                if end.get("world") == Some(&Value::Bool(true)) {
                    Some(Who::World)
                } else {
                    self.read.unread(&at.field("world"), format!("can only be true; {NOTHING}"));
                    None
                }
            }
            [false, false, false, false] => {
                self.read.unread(at, format!("names nobody: give one of {FORMS}; {NOTHING}"));
                None
            }
            _ => {
                self.read.unread(at, format!("has several forms: give exactly one of {FORMS}; {NOTHING}"));
                None
            }
        }
        .filter(|_| {
            let stray = has("except");
            if stray {
                self.read.unread(&at.field("except"), format!("belongs to a cidr; {NOTHING}"));
            }
            !stray
        })
    }

    fn pods(&mut self, end: &Map<String, Value>, at: &FieldPath) -> Option<Who> {
        let mut selector = |name: &str| match end.get(name) {
            Some(value) => self.read.selector(value, &at.field(name), NOTHING).map(Some),
            None => Some(None),
        };
        let (pods, namespaces) = (selector("podSelector"), selector("namespaceSelector"));
        let namespaces = match (namespaces?, &self.home) {
            (Some(selector), _) => NamespaceScope::Matching(selector),
            (None, Some(home)) => NamespaceScope::Named(home.clone()),
            (None, None) => NamespaceScope::all(),
        };
        Some(Who::Pods(PodPeer { namespaces, pods: pods?.unwrap_or(Selector::everything()) }))
    }

    fn workload(&mut self, value: &Value, at: &FieldPath) -> Option<Who> {
        let fields = self.read.object(value, at, NOTHING)?;
        self.read.known(fields, at, &["kind", "name", "namespace"]);
        let mut text = |name: &str, what: &str| match fields.get(name).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Some(Str::from(text)),
            _ => {
                self.read.unread(&at.field(name), format!("is not {what}; {NOTHING}"));
                None
            }
        };
        let kind = text("kind", "the kind of a workload, such as Deployment");
        let name = text("name", "the name of a workload");
        let namespace = match (fields.get("namespace"), &self.home) {
            (None, Some(home)) => Some(home.clone()),
            (Some(Value::String(text)), _) if is_dns_label(text) => Some(text.as_str().into()),
            (given, _) => {
                let what = if given.is_some() { "is not the name of a namespace" } else { "is missing" };
                self.read.unread(&at.field("namespace"), format!("{what}; {NOTHING}"));
                None
            }
        };
        Some(Who::Workload { namespace: namespace?, kind: kind?, name: name? })
    }

    fn block(&mut self, end: &Map<String, Value>, at: &FieldPath) -> Option<Who> {
        let written = end.get("cidr")?;
        let cidr = self.cidr(written, &at.field("cidr"));
        let mut excepts = Vec::new();
        let at = at.field("except");
        let mut readable = true;
        match end.get("except") {
            None => {}
            Some(Value::Array(list)) => {
                for (i, item) in list.iter().enumerate() {
                    match self.cidr(item, &at.index(i)) {
                        Some(net) => excepts.push(net),
                        None => readable = false,
                    }
                }
            }
            Some(_) => {
                self.read.unread(&at, format!("is not a list; {NOTHING}"));
                readable = false;
            }
        }
        let cidr = cidr.filter(|_| readable)?;
        for (i, except) in excepts.iter().enumerate().filter(|(_, except)| !cidr.contains(*except) || cidr == **except)
        {
            self.read.unread(&at.index(i), format!("{except} is not inside {cidr}; {NOTHING}"));
        }
        let mut text = cidr.to_string();
        if !excepts.is_empty() {
            let list: Vec<String> = excepts.iter().map(ToString::to_string).collect();
            text = format!("{text} except {}", list.join(", "));
        }
        Some(Who::Addresses { text: text.into(), set: IpSet::from(cidr).difference(&IpSet::from_nets(&excepts)) })
    }

    fn cidr(&mut self, value: &Value, at: &FieldPath) -> Option<IpNet> {
        let Some(text) = value.as_str() else {
            self.read.unread(at, format!("is not a CIDR block such as 10.0.0.0/8; {NOTHING}"));
            return None;
        };
        match parse_cidr(text) {
            Ok((net, true)) => Some(net),
            Ok((net, false)) => {
                self.read.unread(at, format!("is {:?}; write {net}; {NOTHING}", shorten(text)));
                None
            }
            Err(error) => {
                self.read.unread(at, format!("{error}; {NOTHING}"));
                None
            }
        }
    }

    fn ports(&mut self, value: &Value, at: &FieldPath, to: Option<&Who>) -> Option<PortMatch> {
        let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
            let what = "is not a list of ports; leave it out for every port";
            self.read.unread(at, format!("{what}; {NOTHING}"));
            return None;
        };
        let mut ports = PortMatch::numbers(PortSet::empty());
        let mut readable = true;
        for (i, item) in list.iter().enumerate() {
            readable &= self.port(item, &at.index(i), to, &mut ports).is_some();
        }
        ports.fold_names();
        readable.then_some(ports)
    }

    fn port(&mut self, value: &Value, at: &FieldPath, to: Option<&Who>, into: &mut PortMatch) -> Option<()> {
        let fields = self.read.object(value, at, NOTHING)?;
        self.read.known(fields, at, &["port", "endPort", "protocol"]);
        let protocol = match fields.get("protocol") {
            None => Protocol::Tcp,
            Some(text) => {
                let names = Protocol::ALL.map(Protocol::as_str);
                Protocol::parse(self.read.one_of(text, &at.field("protocol"), &names, NOTHING)?)?
            }
        };
        let mut refuse = |field: &str, what: &str| {
            self.read.unread(&at.field(field), format!("{what}; {NOTHING}"));
            None
        };
        let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
        let set = match (fields.get("port"), fields.get("endPort")) {
            (None, _) => return refuse("port", "is missing"),
            (Some(Value::String(_)), Some(_)) => return refuse("endPort", "needs a numeric port to start from"),
            (Some(Value::String(name)), None) => {
                if let Some(wrong) = wrong_port_name(name) {
                    return refuse("port", wrong);
                }
                if to.is_some_and(|to| !to.is_pods()) {
                    return refuse("port", "is a name, which only a pod can resolve; give a number for addresses");
                }
                into.names.push((Some(protocol), Str::from(name.as_str())));
                return Some(());
            }
            (Some(first), last) => {
                let Some(lo) = number(first) else { return refuse("port", "is not a port from 1 to 65535 or a name") };
                let Some(hi) = last.map_or(Some(lo), number) else {
                    return refuse("endPort", "is not a port from 1 to 65535");
                };
                if hi < lo {
                    return refuse("endPort", &format!("{hi} is below port {lo}"));
                }
                PortSet::range(protocol, lo, hi)
            }
        };
        into.numbers = into.numbers.union(&set);
        Some(())
    }
}

#[cfg(test)]
mod tests;
