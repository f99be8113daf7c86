//! What the same thing is called in each kind of policy, so that a finding points to a field that is there.

use crate::model::{FieldPath, ObjectRef, Peer, policy};

/// Whether the object is one of Calico's.
pub(super) fn is_calico(id: &ObjectRef) -> bool {
    id.group() == "projectcalico.org"
}

/// The field that selects pods, in a subject and in a peer.
pub(super) fn pods(id: &ObjectRef) -> &'static str {
    if is_calico(id) { "selector" } else { "podSelector" }
}

/// Where the addresses of a peer are written.
pub(super) fn addresses(id: &ObjectRef, rule: &policy::Rule, peer: usize) -> FieldPath {
    let path = rule.peer_path(peer);
    match id.group() {
        "networking.k8s.io" => return path.field("ipBlock").field("cidr"),
        "projectcalico.org" => {}
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
