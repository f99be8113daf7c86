//! Whether a namespace denies by default: is *any* pod of it, with whatever labels, isolated, and does not every pod get everything anyway?

use std::sync::Arc;

use super::exposure::exposure_to_pods;
use crate::model::peer::Entity;
use crate::model::policy::TierEnd;
use crate::model::selector::{Escape, escaping};
use crate::model::{Action, Direction, Labels, NamespaceScope, Peer, Policy, PortSet, Rule, Selector, TierSemantics};
use crate::snapshot::{NamespaceState, Snapshot};

/// The answer for one direction of one namespace.
#[derive(Clone, Debug)]
pub enum DefaultDeny {
    /// Every pod is isolated, by these policies together.
    Present(Vec<Arc<Policy>>),
    /// Some pod would not be.
    Missing(Missing),
}

/// Why there is no default deny.
#[derive(Clone, Debug)]
pub enum Missing {
    /// A pod with these labels is isolated by no policy. The policies isolate others.
    Escapes(Labels, Vec<Arc<Policy>>),
    /// These policies let every pod have everything.
    Open(Vec<Arc<Policy>>),
    /// The selectors of these policies are too entangled to prove that they cover every pod.
    Unproven(Vec<Arc<Policy>>),
}

/// Looks for a default deny of the namespace in this direction.
pub fn default_deny(snapshot: &Snapshot, namespace: &NamespaceState, direction: Direction) -> DefaultDeny {
    let here: Vec<&Arc<Policy>> = snapshot.policies_in(namespace).collect();
    let isolating: Vec<&Arc<Policy>> = here.iter().copied().filter(|p| denies_by_default(p, direction)).collect();
    let owned = |list: &[&Arc<Policy>]| list.iter().map(|p| Arc::clone(p)).collect::<Vec<_>>();
    let selectors: Vec<&Selector> = isolating.iter().map(|p| &p.subject.pods).collect();
    match escaping(&selectors) {
        Escape::By(labels) => return DefaultDeny::Missing(Missing::Escapes(labels, owned(&isolating))),
        Escape::Unknown => return DefaultDeny::Missing(Missing::Unproven(owned(&isolating))),
        Escape::Impossible => {}
    }
    let open = everything_for_all(&here, direction);
    if !open.is_empty() {
        return DefaultDeny::Missing(Missing::Open(owned(&open)));
    }
    // The ones that do it alone say more than the long list of those that help.
    let alone: Vec<&Arc<Policy>> = isolating.iter().copied().filter(|p| p.subject.pods.matches_everything()).collect();
    DefaultDeny::Present(owned(if alone.is_empty() { &isolating } else { &alone }))
}

fn denies_by_default(policy: &Policy, direction: Direction) -> bool {
    match policy.tier.semantics {
        TierSemantics::Union | TierSemantics::FirstMatch(TierEnd::DenyGoverned) => policy.isolates(direction),
        // A first-match tier that goes on to the next denies by default only through a rule that denies everyone.
        TierSemantics::FirstMatch(TierEnd::Continue) => policy.rules(direction).iter().any(|rule| {
            rule.action == Action::Deny && rule.ports.is_any() && rule.peers.iter().any(|p| matches!(p, Peer::Any))
        }),
    }
}

/// Policies that together give every pod everything, if there are such.
fn everything_for_all<'a>(policies: &[&'a Arc<Policy>], direction: Direction) -> Vec<&'a Arc<Policy>> {
    let universal: Vec<&Arc<Policy>> =
        policies.iter().copied().filter(|p| p.subject.pods.matches_everything()).collect();
    if admits_everything(universal.iter().flat_map(|p| p.rules(direction))) {
        return universal.into_iter().filter(|p| !p.rules(direction).is_empty()).collect();
    }
    // Or each pod gets everything from one policy or another.
    let wide: Vec<&Arc<Policy>> = policies.iter().copied().filter(|p| admits_everything(p.rules(direction))).collect();
    let selectors: Vec<&Selector> = wide.iter().map(|p| &p.subject.pods).collect();
    if !wide.is_empty() && escaping(&selectors) == Escape::Impossible { wide } else { Vec::new() }
}

/// Whether rules open every port of everyone: everyone outright, all addresses of a family, or all pods of all namespaces.
fn admits_everything<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> bool {
    let rules: Vec<&Rule> = rules.into_iter().filter(|r| r.action == Action::Allow).collect();
    // Nearly every policy names ports, and then whom it names does not matter.
    if !rules.iter().fold(PortSet::empty(), |all, rule| all.union(&rule.ports.numbers)).is_full() {
        return false;
    }
    let addresses = exposure_to_pods(rules.iter().copied());
    let whole = addresses.iter().filter(|e| e.addresses.v4().is_full() || e.addresses.v6().is_full());
    let ports = whole.fold(PortSet::empty(), |all, e| all.union(&e.ports));
    if ports.is_full() {
        return true;
    }
    let to_all_pods = rules.iter().filter(|rule| rule.peers.iter().any(is_all_pods));
    to_all_pods.fold(ports, |all, rule| all.union(&rule.ports.numbers)).is_full()
}

/// `namespaceSelector: {}`: the flat network that a default deny is there to end.
fn is_all_pods(peer: &Peer) -> bool {
    match peer {
        Peer::Pods(peer) => {
            peer.pods.matches_everything()
                && matches!(&peer.namespaces, NamespaceScope::Matching(selector) if selector.matches_everything())
        }
        Peer::Entity(entity) => *entity == Entity::Cluster,
        _ => false,
    }
}
