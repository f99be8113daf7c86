//! Cilium's policies → model. They join the tier of NetworkPolicy: isolation by any, the union of what they allow, and a
//! deny that beats every allow (semantics 2.3.4, 2.3.5).
//!
//! A policy that cannot be understood in full is understood as far as is safe: what allows then allows less, what denies
//! denies more, and a policy that Cilium itself would refuse isolates and allows nothing.

pub mod enforcement;
mod filter;
mod group;
mod peers;
mod ports;
mod reading;
mod rule;
mod selector;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::translate::json::Value;
use serde::Deserialize;

use super::at::At;
use super::version::doubtful;
use super::wire::{Meta, Text};
use super::{Defaults, Kind, id, shorten};
use crate::model::policy::Priority;
use crate::model::{
    Action, Direction, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, READ_AS, Rule, Selector, Subject, Tier,
};
use reading::{Fields, IGNORED, NO_SUBJECT, Piece, Reading};
use rule::Section;

/// Reads an object of one of Cilium's kinds. What it holds beyond the policy, such as its status, is skipped over.
pub(super) fn read(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    if kind == Kind::CiliumCidrGroup {
        return group::read(value, defaults);
    }
    let mut reading = Reading::default();
    let id = Arc::new(id(kind, &reading.metadata(value), defaults));
    reading.namespace.clone_from(&id.namespace);
    reading.version(value, &[kind.api_version()]);
    Object::Policy(reading.policy(&id, value))
}

const SPEC: [&str; 10] = [
    "endpointSelector",
    "nodeSelector",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "labels",
    "description",
    "log",
];

impl Reading {
    /// Name, namespace and labels; of metadata that is not as Kubernetes defines it the name alone.
    fn metadata<'v>(&mut self, value: &'v Value<'v>) -> Meta<'v> {
        let Some(value) = value.get("metadata").filter(|meta| !meta.is_null()) else { return Meta::default() };
        Meta::deserialize(value).unwrap_or_else(|error| {
            let what = format!("not as Kubernetes defines it: {error}; only the name is used");
            self.note(&At::root("metadata"), what);
            let text = |field: &str| value.get(field).and_then(Value::as_str).map(|text| Text(text.into()));
            Meta { name: text("name"), namespace: text("namespace"), ..Meta::default() }
        })
    }

    /// `known` are the versions that are alike in everything that is read.
    fn version(&mut self, value: &Value<'_>, known: &[&str]) {
        let Some(version) = value.get("apiVersion").filter(|version| !version.is_null()) else { return };
        let version = version.as_str().map_or_else(|| version.to_string(), str::to_owned);
        if !known.contains(&version.as_str()) {
            let read_as = known.first().copied().unwrap_or_default();
            let what = format!("version `{}` is not known; the object {READ_AS} {read_as}", shorten(&version));
            self.note(&At::root("apiVersion"), what);
        }
    }

    fn policy(&mut self, id: &Arc<ObjectRef>, value: &Value<'_>) -> PolicyObject {
        let mut policies = Vec::new();
        for (at, spec) in self.specs(value) {
            policies.extend(self.spec(id, spec, &at));
        }
        if let Some(doubt) = self.doubt {
            policies = policies.iter().map(|policy| doubtful(policy, doubt)).collect();
        }
        if self.refused {
            for policy in &mut policies {
                (policy.isolates_ingress, policy.isolates_egress) = (false, false);
                policy.ingress.retain(|rule| rule.action == Action::Deny);
                policy.egress.retain(|rule| rule.action == Action::Deny);
            }
        }
        PolicyObject {
            id: Arc::clone(id),
            policies: policies.into_iter().map(Arc::new).collect(),
            unread: std::mem::take(&mut self.unread),
            implicit_types: false,
        }
    }

    /// `spec` and `specs`, each with its place (semantics 2.3.17).
    fn specs<'v>(&mut self, value: &'v Value<'v>) -> Vec<(Place, &'v Value<'v>)> {
        let known = ["apiVersion", "kind", "metadata", "spec", "specs", "status"];
        let root = At::root("");
        let Ok((fields, _)) = self.some_fields(value, &root, &known, IGNORED) else { return Vec::new() };
        let mut all = Vec::new();
        all.extend(fields.get("spec").map(|spec| (Place::Spec, spec)));
        let specs_at = At::root("specs");
        let list = self.list(fields.get("specs"), &specs_at, NO_SUBJECT).ok().flatten().unwrap_or_default();
        all.extend(list.iter().enumerate().map(|(i, spec)| (Place::Specs(i), spec)));
        if fields.get("spec").is_some() && !list.is_empty() {
            let what = "there is a spec as well as specs; both are evaluated, as Cilium does".to_owned();
            self.note(&specs_at, what);
        }
        if all.is_empty() {
            self.refuse(&At::root("spec"), "there is neither a spec nor specs");
        }
        all
    }

    /// One spec; `None` where it is not about pods, or selects none that are known.
    fn spec(&mut self, id: &Arc<ObjectRef>, value: &Value<'_>, place: &Place) -> Option<Policy> {
        let specs = At::root("specs");
        let at = match place {
            Place::Spec => At::root("spec"),
            Place::Specs(i) => specs.index(*i),
        };
        let (fields, unknown) = self.some_fields(value, &at, &SPEC, IGNORED).ok()?;
        let selector_at = at.field("endpointSelector");
        let subject = match (fields.get("endpointSelector"), fields.get("nodeSelector")) {
            (Some(_), Some(_)) => {
                self.refuse(&at, "endpointSelector and nodeSelector exclude each other");
                Ok(None)
            }
            (Some(selector), None) => self.subject(selector, &selector_at),
            // The host firewall: about nodes, never about pods (semantics 2.3.16).
            (None, Some(_)) if id.namespace.is_none() => Ok(None),
            (None, Some(_)) => {
                self.refuse(&at.field("nodeSelector"), "a nodeSelector belongs into a CiliumClusterwideNetworkPolicy");
                Ok(None)
            }
            (None, None) => {
                let misspelt = if unknown { ", unless it is misspelt" } else { "" };
                self.refuse(&at, &format!("there is neither an endpointSelector nor a nodeSelector{misspelt}"));
                Ok(None)
            }
        };
        // The rules are read in any case, so that one complaint does not hide the next.
        let mut policy = Policy {
            id: Arc::clone(id),
            tier: Tier::cilium(),
            priority: Priority::LAST,
            subject: Subject {
                namespaces: self.namespace.clone().map_or_else(NamespaceScope::all, NamespaceScope::Named),
                pods: Selector::nothing(),
            },
            isolates_ingress: false,
            isolates_egress: false,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let readable = self.sections(fields, &at, &mut policy);
        match subject {
            Ok(Some(subject)) if readable => policy.subject = subject,
            Ok(None) => return None,
            // Isolation without knowing what is allowed would pass for a default deny.
            Ok(Some(_)) | Err(_) => {}
        }
        Some(policy)
    }

    /// The four lists of rules and the default deny that they bring. Whether all of them are lists.
    fn sections(&mut self, fields: Fields<'_>, at: &At<'_>, policy: &mut Policy) -> bool {
        let mut readable = true;
        let mut rules_for = [false, false];
        for section in Section::ALL {
            let list_at = at.field(section.field);
            let Ok(list) = self.list(fields.get(section.field), &list_at, NO_SUBJECT) else {
                readable = false;
                continue;
            };
            let list = list.unwrap_or_default();
            let rules: Vec<Vec<Rule>> =
                list.iter().enumerate().map(|(i, item)| self.rules(section, item, &list_at.index(i))).collect();
            // semantics 2.3.1: it is the presence of a rule that counts, not what it says.
            let (all, present) = match section.direction {
                Direction::Ingress => (&mut policy.ingress, &mut rules_for[0]),
                Direction::Egress => (&mut policy.egress, &mut rules_for[1]),
            };
            // No room is left over: the policy stays for as long as the object does.
            all.reserve_exact(rules.iter().map(Vec::len).sum());
            all.extend(rules.into_iter().flatten());
            *present |= !list.is_empty();
        }
        let asked = self.default_deny(fields, at);
        let Ok([ingress, egress]) = asked else { return false };
        policy.isolates_ingress = ingress.unwrap_or(rules_for[0]);
        policy.isolates_egress = egress.unwrap_or(rules_for[1]);
        if rules_for == [false, false] {
            self.no_rules(at, policy.isolates_ingress || policy.isolates_egress);
        }
        readable
    }

    /// What `enableDefaultDeny` asks for, for ingress and egress.
    fn default_deny(&mut self, fields: Fields<'_>, at: &At<'_>) -> Piece<[Option<bool>; 2]> {
        let at = at.field("enableDefaultDeny");
        let Some(value) = fields.get("enableDefaultDeny") else { return Ok([None, None]) };
        let fields = self.fields(value, &at, &["ingress", "egress"], NO_SUBJECT)?;
        let mut flag = |name| self.flag(fields.get(name), &at.field(name), NO_SUBJECT);
        let (ingress, egress) = (flag("ingress"), flag("egress"));
        Ok([ingress?, egress?])
    }

    /// A spec without any rule is no policy to newer releases, even if it asks for a default deny.
    fn no_rules(&mut self, at: &At<'_>, isolates: bool) {
        let what = if isolates {
            "a spec without any rule: enableDefaultDeny counts here as written, but Cilium 1.17 and later refuse such a \
             policy; add `ingress: [{}]` and `egress: [{}]`"
        } else {
            "a spec without any rule does nothing: an absent or empty list of rules has no effect in Cilium; for a \
             default deny write `ingress: [{}]` or `egress: [{}]`"
        };
        self.note(at, what.to_owned());
    }
}

/// Which of the specs of an object.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// `spec`.
    Spec,
    /// `specs[i]`.
    Specs(usize),
}
