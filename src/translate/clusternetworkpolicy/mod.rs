//! ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy → model (semantics 2.2).
//!
//! What cannot be read fails closed, as the API asks of every implementation: a rule that accepts then matches nothing,
//! and one that denies or passes denies everyone (semantics 2.2.9).

mod peers;
mod ports;
pub(super) mod render;

use std::sync::Arc;

pub(super) use self::peers::is_domain;
use super::at::At;
use super::json::Value;
use super::networkpolicy::{NO_SUBJECT, check_version};
use super::walk::{Fields, IGNORED, Walk, present};
use super::wire::text;
use super::{Defaults, Kind, id, selector, shorten};
use crate::model::{
    Action, NamespaceScope, Object, Peer, Policy, PolicyObject, PortMatch, PortSet, Priority, Rule, Selector, Subject,
    Tier,
};

/// What becomes of a rule of which a part cannot be read.
const FAILS_CLOSED: &str = "the rule fails closed";

/// A peer of an old API: what it was, so that nobody has to look it up (semantics 2.2.13).
const TENANCY: [&str; 2] = ["sameLabels", "notSameLabels"];

/// The two versions of the API, which call the same things by other names.
#[derive(Clone, Copy)]
struct Api {
    kind: Kind,
    /// What `action: Allow` is called.
    allow: &'static str,
    /// The field that holds the port conditions.
    ports: &'static str,
    /// How many rules, peers and port conditions the schema has room for.
    most: usize,
}

impl Api {
    fn of(kind: Kind) -> Self {
        if kind == Kind::ClusterNetworkPolicy {
            Self { kind, allow: "Accept", ports: "protocols", most: 25 }
        } else {
            Self { kind, allow: "Allow", ports: "ports", most: 100 }
        }
    }

    fn is_old(self) -> bool {
        self.kind != Kind::ClusterNetworkPolicy
    }

    fn is_banp(self) -> bool {
        self.kind == Kind::BaselineAdminNetworkPolicy
    }
}

struct Reading<'u> {
    api: Api,
    walk: Walk<'u>,
}

/// Reads an object of one of the three kinds.
pub(super) fn read(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let Value::Object(fields) = value else {
        return super::unreadable(kind, &super::Meta::default(), defaults, &"it is not an object");
    };
    let mut unread = Vec::new();
    let mut reading = Reading { api: Api::of(kind), walk: Walk { unread: &mut unread } };
    let id = Arc::new(reading.head(fields, defaults));
    let empty = Fields::default();
    let spec = match present(fields.get("spec")) {
        Some(Value::Object(spec)) => spec,
        Some(other) => {
            reading.walk.wrong_type(other, &At::root("spec"), "an object", NO_SUBJECT);
            &empty
        }
        None => &empty,
    };
    let policy = reading.spec(spec, &id);
    Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread, implicit_types: false })
}

impl Reading<'_> {
    fn note(&mut self, at: &At<'_>, what: String) {
        self.walk.note(at, what);
    }

    fn head(&mut self, fields: &Fields<'_>, defaults: &Defaults<'_>) -> crate::model::ObjectRef {
        let kind = self.api.kind;
        self.walk.unknown(fields, None, &["apiVersion", "kind", "metadata", "spec", "status"], IGNORED);
        let meta = self.walk.metadata(fields.get("metadata")).unwrap_or_default();
        let version = self.walk.text(fields.get("apiVersion"), &At::root("apiVersion"), IGNORED).unwrap_or_default();
        check_version(text(version.as_ref()), kind, self.walk.unread);
        id(kind, &meta, defaults)
    }

    fn spec(&mut self, spec: &Fields<'_>, id: &Arc<crate::model::ObjectRef>) -> Policy {
        let at = At::root("spec");
        let known: &[&str] = match self.api.kind {
            Kind::ClusterNetworkPolicy => &["tier", "priority", "subject", "ingress", "egress"],
            Kind::AdminNetworkPolicy => &["priority", "subject", "ingress", "egress"],
            _ => &["subject", "ingress", "egress"],
        };
        self.walk.unknown(spec, Some(&at), known, IGNORED);
        let tier = self.tier(spec, &at);
        let priority = if self.api.is_banp() { Some(Priority::LAST) } else { self.priority(spec, &at) };
        let subject = self.subject(present(spec.get("subject")), &at.field("subject"));
        let named_well = !self.api.is_banp() || &*id.name == "default";
        if !named_well {
            let what = format!("there is one BaselineAdminNetworkPolicy, and it is called default; {NO_SUBJECT}");
            self.note(&At::root("metadata.name"), what);
        }
        let (ingress, egress) = (self.rules(spec, &at, "ingress", "from"), self.rules(spec, &at, "egress", "to"));
        let nobody = Subject { namespaces: NamespaceScope::all(), pods: Selector::nothing() };
        let readable = tier.is_some() && priority.is_some() && ingress.is_some() && egress.is_some() && named_well;
        Policy {
            id: Arc::clone(id),
            tier: tier.unwrap_or_else(Tier::admin),
            priority: priority.unwrap_or(Priority::LAST),
            subject: subject.filter(|_| readable).unwrap_or(nobody),
            // These policies isolate nobody: they are read as they stand (semantics 2.2.1).
            isolates_ingress: false,
            isolates_egress: false,
            ingress: ingress.unwrap_or_default(),
            egress: egress.unwrap_or_default(),
        }
    }

    fn tier(&mut self, spec: &Fields<'_>, at: &At<'_>) -> Option<Arc<Tier>> {
        match self.api.kind {
            Kind::AdminNetworkPolicy => return Some(Tier::admin()),
            Kind::BaselineAdminNetworkPolicy => return Some(Tier::baseline()),
            _ => {}
        }
        let at = at.field("tier");
        match text(self.walk.text(spec.get("tier"), &at, NO_SUBJECT).ok()?.as_ref()) {
            "Admin" => Some(Tier::admin()),
            "Baseline" => Some(Tier::baseline()),
            "" => {
                self.note(&at, format!("a ClusterNetworkPolicy is of the tier Admin or Baseline; {NO_SUBJECT}"));
                None
            }
            other => {
                let what = format!("`{}` is no tier; there are Admin and Baseline; {NO_SUBJECT}", shorten(other));
                self.note(&at, what);
                None
            }
        }
    }

    /// semantics 2.2.6
    fn priority(&mut self, spec: &Fields<'_>, at: &At<'_>) -> Option<Priority> {
        let at = at.field("priority");
        let Some(value) = present(spec.get("priority")) else {
            self.note(&at, format!("a priority is needed, from 0 (first) to 1000; {NO_SUBJECT}"));
            return None;
        };
        let number = self.walk.integer(value, &at, "a number", NO_SUBJECT).ok()?;
        let priority = u16::try_from(number).ok().filter(|number| *number <= 1000);
        if priority.is_none() {
            self.note(&at, format!("priorities go from 0 (first) to 1000; {NO_SUBJECT}"));
        }
        priority.map(|number| Priority::new(f64::from(number)))
    }

    /// Exactly one of `namespaces` and `pods` (semantics 2.2.7).
    fn subject(&mut self, value: Option<&Value<'_>>, at: &At<'_>) -> Option<Subject> {
        let Some(value) = value else {
            self.note(at, format!("a subject is needed, with namespaces or pods; {NO_SUBJECT}"));
            return None;
        };
        let field = self.walk.fields(value, at, &["namespaces", "pods"], NO_SUBJECT).ok()?;
        match (field("namespaces"), field("pods")) {
            (Some(namespaces), None) => {
                let scope = self.selector(namespaces, &at.field("namespaces"), NO_SUBJECT)?;
                Some(Subject { namespaces: NamespaceScope::Matching(scope), pods: Selector::everything() })
            }
            (None, Some(pods)) => {
                let peer = self.pods(pods, &at.field("pods"), NO_SUBJECT)?;
                Some(Subject { namespaces: peer.namespaces, pods: peer.pods })
            }
            (Some(_), Some(_)) => {
                self.note(at, format!("namespaces and pods exclude each other; {NO_SUBJECT}"));
                None
            }
            (None, None) => {
                self.note(at, format!("a subject needs namespaces or pods; {NO_SUBJECT}"));
                None
            }
        }
    }

    fn selector(&mut self, value: &Value<'_>, at: &At<'_>, taken: &str) -> Option<Selector> {
        if let Value::Object(fields) = value
            && let Some(old) = TENANCY.into_iter().find(|name| fields.contains_key(name))
        {
            let what = format!("{old} was removed from the API in v0.1.7, and nothing does what it did; {taken}");
            self.note(&at.field(old), what);
            return None;
        }
        let wire = self.walk.selector(value, at, taken);
        selector::read(&wire, at, taken, self.walk.unread)
    }

    fn rules(&mut self, spec: &Fields<'_>, at: &At<'_>, field: &'static str, peers: &'static str) -> Option<Vec<Rule>> {
        let at = at.field(field);
        let list = match present(spec.get(field)) {
            None => return Some(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.walk.wrong_type(other, &at, "a list", NO_SUBJECT);
                return None;
            }
        };
        self.crowded(&at, list.len(), "rules");
        Some(list.iter().enumerate().map(|(i, rule)| self.rule(rule, peers, &at.index(i))).collect())
    }

    /// Says where a list is longer than the schema allows; it counts all the same.
    fn crowded(&mut self, at: &At<'_>, len: usize, what: &str) {
        let most = self.api.most;
        if len > most {
            self.note(at, format!("{len} {what}, and API servers take {most} at most; all of them are read"));
        }
    }

    fn rule(&mut self, value: &Value<'_>, peers_at: &'static str, at: &At<'_>) -> Rule {
        let ports_at = self.api.ports;
        let mut rule = Rule {
            action: Action::Deny,
            peers: vec![Peer::Unreadable],
            ports: PortMatch::any(),
            at: at.path(),
            peers_at: "",
            filtered_by: None,
        };
        let taken = "the rule is taken as denying somebody";
        let Ok(field) = self.walk.fields(value, at, &["name", "action", peers_at, ports_at], taken) else {
            return rule;
        };
        let Some(action) = self.action(field("action"), &at.field("action"), taken) else { return rule };
        let peers = self.peers(field(peers_at), &at.field(peers_at), action);
        let ports = self.ports(field(ports_at), &at.field(ports_at), field(peers_at));
        rule.action = action;
        match (peers, ports) {
            (Some(peers), Some(ports)) => {
                rule.peers = peers;
                rule.ports = ports;
                rule.peers_at = peers_at;
            }
            // semantics 2.2.9
            _ if action == Action::Allow => {
                rule.peers = vec![Peer::Nobody];
                rule.ports = PortMatch::numbers(PortSet::empty());
            }
            _ => {
                rule.action = Action::Deny;
                rule.peers = vec![Peer::Any];
            }
        }
        rule
    }

    fn action(&mut self, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Option<Action> {
        let action = self.walk.text(value, at, taken).ok()?;
        match text(action.as_ref()) {
            allow if allow == self.api.allow => Some(Action::Allow),
            "Deny" => Some(Action::Deny),
            "Pass" if !self.api.is_banp() => Some(Action::Pass),
            other => {
                let there = if self.api.is_banp() {
                    "Allow and Deny".to_owned()
                } else {
                    format!("{}, Deny and Pass", self.api.allow)
                };
                self.note(at, format!("`{}` is no action; there are {there}; {taken}", shorten(other)));
                None
            }
        }
    }
}
