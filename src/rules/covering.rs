//! Whether one selector, peer or rule includes another, by what they say and not by the pods of today. "No" where that is
//! not plain: who takes a rule for needless must be right.

use std::sync::Arc;

use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::Entity;
use crate::model::{AddressScope, IpSet, Labels, NamespaceScope, Peer, PodPeer, PortMatch, PortSet, Subject, policy};

/// Whether there are no ports that it could be about.
pub(super) fn no_ports(ports: &PortMatch) -> bool {
    ports.numbers.is_empty() && ports.names.is_empty()
}

/// Whether the one rule matches everything that the other does.
pub(super) fn rule(wide: &policy::Rule, narrow: &policy::Rule) -> bool {
    // A filter may let part of it past.
    wide.filtered_by.is_none()
        && ports(&wide.ports, &narrow.ports)
        && narrow.peers.iter().all(|one| *one == Peer::Nobody || wide.peers.iter().any(|w| peer(w, one)))
}

/// Whether the one names every port that the other does.
pub(super) fn ports(wide: &PortMatch, narrow: &PortMatch) -> bool {
    let named = |(protocol, name): &(Option<_>, _)| {
        wide.names.contains(&(*protocol, Arc::clone(name)))
            || protocol.is_some_and(|p| PortSet::protocol(p).is_subset(&wide.numbers))
            || wide.is_any()
    };
    narrow.numbers.is_subset(&wide.numbers) && narrow.names.iter().all(named)
}

/// Whether whoever the other peer names, the one names as well.
pub(super) fn peer(wide: &Peer, narrow: &Peer) -> bool {
    match (wide, narrow) {
        (Peer::Any, _) => true,
        (wide, narrow) if wide == narrow => !is_open(wide),
        (wide, Peer::AllOf(parts)) => parts.iter().any(|part| peer(wide, part)),
        (Peer::Pods(wide), Peer::Pods(narrow)) => pods(wide, narrow),
        (Peer::Addresses(wide), Peer::Addresses(narrow)) => {
            wide.scope == narrow.scope && narrow.set.is_subset(&wide.set) && narrow.set != IpSet::empty()
        }
        (Peer::Entity(Entity::World), Peer::Addresses(narrow)) => narrow.scope == AddressScope::ExternalOnly,
        _ => false,
    }
}

/// Whether something that is not known decides about the peer.
fn is_open(peer: &Peer) -> bool {
    let mut open = false;
    peer.visit(&mut |part| open |= matches!(part, Peer::Unsettled(_) | Peer::Unreadable));
    open
}

fn pods(wide: &PodPeer, narrow: &PodPeer) -> bool {
    scope(&wide.namespaces, &narrow.namespaces) && wide.pods.includes(&narrow.pods)
}

/// Whether the one policy applies to every pod that the other applies to.
pub(super) fn subject(wide: &Subject, narrow: &Subject) -> bool {
    scope(&wide.namespaces, &narrow.namespaces) && wide.pods.includes(&narrow.pods)
}

/// Labels of a namespace can change, its name cannot: of one that is named only that is relied on.
fn scope(wide: &NamespaceScope, narrow: &NamespaceScope) -> bool {
    match (wide, narrow) {
        (wide, narrow) if wide == narrow => true,
        (NamespaceScope::Matching(wide), NamespaceScope::Matching(narrow)) => wide.includes(narrow),
        (NamespaceScope::Matching(wide), NamespaceScope::Named(name)) => {
            let by_name = Labels::new([(NAMESPACE_NAME_LABEL, name.clone())]);
            wide.matches_everything() || (*wide.keys() == [NAMESPACE_NAME_LABEL.into()] && wide.matches(&by_name))
        }
        (NamespaceScope::Named(wide), NamespaceScope::Matching(narrow)) => {
            narrow.required_value(NAMESPACE_NAME_LABEL) == Some(wide)
        }
        (NamespaceScope::Named(_), NamespaceScope::Named(_)) => false,
    }
}
