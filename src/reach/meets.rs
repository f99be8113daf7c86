//! Whether a peer of a rule names an endpoint: yes, no, or not to be known from the policies.

use std::net::IpAddr;

use super::decide::{Endpoint, Side};
use crate::model::meter::charge;
use crate::model::peer::Entity;
use crate::model::pod::PodLookup;
use crate::model::{AddressScope, IpSet, Peer, Rule};

/// Three values; `Maybe` is what only the running cluster can settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    Maybe,
}

impl From<bool> for Match {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// One peer that matches is enough.
pub(super) fn rule_meets(rule: &Rule, side: &Side<'_>) -> Match {
    let mut found = Match::No;
    for peer in &rule.peers {
        charge(1);
        match meets(peer, side) {
            Match::Yes => return Match::Yes,
            Match::Maybe => found = Match::Maybe,
            Match::No => {}
        }
    }
    found
}

fn meets(peer: &Peer, side: &Side<'_>) -> Match {
    match (peer, &side.other) {
        (Peer::Any, _)
        | (Peer::Entity(Entity::World), Endpoint::Addresses(_))
        | (Peer::Entity(Entity::Cluster), Endpoint::Pod { .. }) => Match::Yes,
        (Peer::AllOf(parts), _) => all_of(parts, side),
        (Peer::Not(inner), _) => match meets(inner, side) {
            Match::Yes => Match::No,
            Match::No => Match::Yes,
            Match::Maybe => Match::Maybe,
        },
        // Selectors do not see pods on the host's network (semantics 2.1.17).
        (Peer::Pods(peer), Endpoint::Pod { namespace, pod, .. }) => {
            let lookup = PodLookup { pod, namespace: namespace.labels() };
            (!pod.host_network && namespace.is_in(&peer.namespaces) && peer.pods.matches(&lookup)).into()
        }
        (Peer::Addresses(peer), Endpoint::Addresses(set)) if set.is_subset(&peer.set) => Match::Yes,
        (Peer::Addresses(peer), Endpoint::Addresses(set)) if set.intersects(&peer.set) => Match::Maybe,
        (Peer::Addresses(peer), Endpoint::Pod { addresses, .. }) => match peer.scope {
            AddressScope::ExternalOnly => Match::No,
            AddressScope::ByDialect if !side.dialect.ip_blocks_match_pods() => Match::No,
            AddressScope::ByDialect | AddressScope::PodsToo => covers_pod(&peer.set, addresses),
        },
        // Groups that nobody has resolved, what could not be read, and what is outside the terms of policies.
        (Peer::Groups(_) | Peer::Services(_) | Peer::Unreadable | Peer::Unsettled(_), _)
        | (Peer::Entity(_) | Peer::Nodes(_) | Peer::Domains(_), Endpoint::Addresses(_)) => Match::Maybe,
        // A pod on the host's network is its node, to whoever looks at addresses.
        (
            Peer::Entity(Entity::Host | Entity::RemoteNode | Entity::KubeApiserver) | Peer::Nodes(_),
            Endpoint::Pod { pod, .. },
        ) if pod.host_network => Match::Maybe,
        (Peer::Entity(_) | Peer::Nodes(_) | Peer::Domains(_), Endpoint::Pod { .. })
        | (Peer::Addresses(_) | Peer::Pods(_), Endpoint::Addresses(_))
        | (Peer::Nobody, _) => Match::No,
    }
}

fn all_of(parts: &[Peer], side: &Side<'_>) -> Match {
    let mut found = Match::Yes;
    for part in parts {
        charge(1);
        match meets(part, side) {
            Match::No => return Match::No,
            Match::Maybe => found = Match::Maybe,
            Match::Yes => {}
        }
    }
    found
}

/// Whether a block matches a pod. Without a known address only a whole family is certain to.
fn covers_pod(set: &IpSet, addresses: &[IpAddr]) -> Match {
    if set.is_empty() {
        return Match::No;
    }
    if addresses.is_empty() {
        return if set.v4().is_full() || set.v6().is_full() { Match::Yes } else { Match::Maybe };
    }
    // A dual-stack pod is reached over either family; within a family all addresses must be covered.
    for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        let mut of_family = addresses.iter().filter(|a| family(a)).peekable();
        if of_family.peek().is_some() && of_family.all(|a| set.contains(*a)) {
            return Match::Yes;
        }
    }
    if addresses.iter().any(|a| set.contains(*a)) { Match::Maybe } else { Match::No }
}
