//! The second reading of a NetworkPolicy that is not quite one: each piece is taken by itself, so that one wrong type or
//! unknown field costs that piece and not the object.

use super::json::Value;

use super::at::At;
use super::networkpolicy::{NO_PEER, NO_PORT, NO_RULE, NO_SUBJECT};
use super::policy_wire::{EgressRule, IngressRule, IpBlock, LabelSelector, NetworkPolicy, Peer, Port, PortValue, Spec};
use super::walk::{Fields, IGNORED, Piece, Walk, present};
use super::wire::{List, Text};
use crate::model::Unread;

/// Reads the pieces of a policy.
pub(super) fn network_policy<'v>(fields: &'v Fields<'v>, unread: &mut Vec<Unread>) -> NetworkPolicy<'v> {
    let mut walk = Walk { unread };
    let unknown = walk.unknown(fields, None, &["apiVersion", "kind", "metadata", "spec", "status"], IGNORED);
    let metadata = walk.metadata(fields.get("metadata"));
    let api_version = walk.text(fields.get("apiVersion"), &At::root("apiVersion"), IGNORED).unwrap_or_default();
    let spec = present(fields.get("spec")).map(|value| walk.spec(value));
    // A misspelt `spec` must not turn the object into a default deny.
    let spec = if spec.is_none() && unknown { Some(no_subject()) } else { spec };
    NetworkPolicy::of(api_version, metadata, spec)
}

fn no_subject<'v>() -> Spec<'v> {
    Spec { pod_selector: Some(LabelSelector { broken: true, ..LabelSelector::default() }), ..Spec::default() }
}

/// Peers, ports, and whether the rule is broken: what both directions have in common.
type RuleParts<'v> = (Option<List<Peer<'v>>>, Option<List<Port<'v>>>, bool);

impl Walk<'_> {
    /// An unknown field of the spec is ignored, but it may be the misspelt subject.
    fn spec<'v>(&mut self, value: &'v Value<'v>) -> Spec<'v> {
        let at = At::root("spec");
        let Value::Object(fields) = value else {
            self.wrong_type(value, &at, "an object", NO_SUBJECT);
            return no_subject();
        };
        let unknown = self.unknown(fields, Some(&at), &["podSelector", "policyTypes", "ingress", "egress"], IGNORED);
        let pod_selector = match present(fields.get("podSelector")) {
            Some(value) => Some(self.selector(value, &at.field("podSelector"), NO_SUBJECT)),
            None if unknown => no_subject().pod_selector,
            None => None,
        };
        let policy_types = self.texts(fields.get("policyTypes"), &at.field("policyTypes"), NO_SUBJECT);
        let ingress = self.list(fields.get("ingress"), &at.field("ingress"), NO_SUBJECT, |walk, rule, at| {
            let (from, ports, broken) = walk.rule(rule, "from", at);
            Ok(IngressRule { from, ports, broken })
        });
        let egress = self.list(fields.get("egress"), &at.field("egress"), NO_SUBJECT, |walk, rule, at| {
            let (to, ports, broken) = walk.rule(rule, "to", at);
            Ok(EgressRule { to, ports, broken })
        });
        match (policy_types, ingress, egress) {
            (Ok(policy_types), Ok(ingress), Ok(egress)) => Spec {
                pod_selector,
                policy_types: policy_types.map(List),
                ingress: ingress.map(List),
                egress: egress.map(List),
            },
            // Isolation without knowing what is allowed would pass for a default deny.
            _ => no_subject(),
        }
    }

    fn rule<'v>(&mut self, value: &'v Value<'v>, peers: &str, at: &At<'_>) -> RuleParts<'v> {
        let Ok(field) = self.fields(value, at, &[peers, "ports"], NO_RULE) else { return (None, None, true) };
        let list = self.list(field(peers), &at.field(peers), NO_RULE, |walk, value, at| {
            Ok(walk.peer(value, at).unwrap_or(Peer { broken: true, ..Peer::default() }))
        });
        let ports = self.list(field("ports"), &at.field("ports"), NO_RULE, |walk, value, at| {
            Ok(walk.port(value, at).unwrap_or(Port { broken: true, ..Port::default() }))
        });
        match (list, ports) {
            (Ok(list), Ok(ports)) => (list.map(List), ports.map(List), false),
            _ => (None, None, true),
        }
    }

    fn peer<'v>(&mut self, value: &'v Value<'v>, at: &At<'_>) -> Piece<Peer<'v>> {
        let field = self.fields(value, at, &["podSelector", "namespaceSelector", "ipBlock"], NO_PEER)?;
        let mut selector = |name| field(name).map(|value| self.selector(value, &at.field(name), NO_PEER));
        let (pod_selector, namespace_selector) = (selector("podSelector"), selector("namespaceSelector"));
        let ip_block = field("ipBlock").map(|value| self.ip_block(value, &at.field("ipBlock"))).transpose()?;
        Ok(Peer { pod_selector, namespace_selector, ip_block, broken: false })
    }

    fn ip_block<'v>(&mut self, value: &'v Value<'v>, at: &At<'_>) -> Piece<IpBlock<'v>> {
        let field = self.fields(value, at, &["cidr", "except"], NO_PEER)?;
        let cidr = self.text(field("cidr"), &at.field("cidr"), NO_PEER);
        let except = self.texts(field("except"), &at.field("except"), NO_PEER);
        Ok(IpBlock { cidr: cidr?, except: except?.map(List) })
    }

    fn port<'v>(&mut self, value: &'v Value<'v>, at: &At<'_>) -> Piece<Port<'v>> {
        let field = self.fields(value, at, &["protocol", "port", "endPort"], NO_PORT)?;
        let protocol = self.text(field("protocol"), &at.field("protocol"), NO_PORT);
        let first = match field("port") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(PortValue::Name(Text((&**name).into())))),
            Some(value) => {
                self.integer(value, &at.field("port"), "a number or a name", NO_PORT).map(PortValue::Number).map(Some)
            }
        };
        let last = match field("endPort") {
            None => Ok(None),
            Some(value) => self.integer(value, &at.field("endPort"), "a number", NO_PORT).map(Some),
        };
        Ok(Port { protocol: protocol?, first: first?, last: last?, broken: false })
    }
}
