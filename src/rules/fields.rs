//! What the same thing is called in each kind of policy, so that a finding points to a field that is there.

use crate::model::{FieldPath, ObjectRef, Peer, Policy, policy};

/// Whether the object is one of Calico's.
pub(super) fn is_calico(id: &ObjectRef) -> bool {
    id.api_version.starts_with("projectcalico.org/")
}

/// Whether the object is one of Cilium's.
pub(super) fn is_cilium(id: &ObjectRef) -> bool {
    id.group() == "cilium.io"
}

/// The field that selects pods in a peer.
pub(super) fn pods(id: &ObjectRef) -> &'static str {
    if is_calico(id) { "selector" } else { "podSelector" }
}

/// The field that says which pods a policy is for.
pub(super) fn subject(id: &ObjectRef) -> &'static str {
    match id.group() {
        "cilium.io" => "endpointSelector",
        "policy.networking.k8s.io" => "subject",
        _ => pods(id),
    }
}

/// Where it stands.
pub(super) fn subject_at(policy: &Policy) -> FieldPath {
    // Of several specs in one object of Cilium's the rules know in which they stand.
    let rule = policy.ingress.first().or_else(|| policy.egress.first()).filter(|_| is_cilium(&policy.id));
    let spec = rule.and_then(|rule| rule.at.as_str().split_once('.')).map_or("spec", |(spec, _)| spec);
    FieldPath::new(spec).field(subject(&policy.id))
}

/// Where a rule says which ports it is about.
pub(super) fn ports(id: &ObjectRef, rule: &policy::Rule) -> FieldPath {
    match (id.group(), &*id.kind) {
        ("cilium.io", _) => rule.at.field("toPorts"),
        ("projectcalico.org", "StagedKubernetesNetworkPolicy") => rule.at.field("ports"),
        ("projectcalico.org", _) => rule.at.field("destination").field("ports"),
        ("policy.networking.k8s.io", "ClusterNetworkPolicy") => rule.at.field("protocols"),
        _ => rule.at.field("ports"),
    }
}

/// A field inside a peer. Cilium's lists of peers hold selectors and blocks themselves, so that there is none.
pub(super) fn inside_peer(rule: &policy::Rule, i: usize, field: &str) -> FieldPath {
    let peer = rule.peer_path(i);
    match (rule.peers_at, field) {
        ("from" | "to", "cidr") => peer.field("ipBlock").field("cidr"),
        ("from" | "to" | "source" | "destination", field) => peer.field(field),
        ("fromCIDRSet" | "toCIDRSet", "cidr") => peer.field("cidr"),
        _ => peer,
    }
}

/// Where the addresses of a peer are written.
pub(super) fn addresses(id: &ObjectRef, rule: &policy::Rule, peer: usize) -> FieldPath {
    let path = rule.peer_path(peer);
    match id.group() {
        "networking.k8s.io" | "cilium.io" => return inside_peer(rule, peer, "cidr"),
        "projectcalico.org" if !rule.peers_at.is_empty() => {}
        _ => return path,
    }
    let mut nets = false;
    let named = |peer: &Peer| matches!(peer, Peer::Addresses(_));
    match rule.peers.get(peer) {
        Some(Peer::AllOf(parts)) => nets |= parts.iter().any(named),
        Some(one) => nets |= named(one),
        None => {}
    }
    if nets { path.field("nets").index(0) } else { path }
}
