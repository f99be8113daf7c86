//! Where the policies are that refer to a tier or a group, so that a change of one looks only there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{AddressGroup, GroupChoice, GroupKind, GroupPeer, NamespaceScope, Peer, Policy, Str};

/// A way in which policies refer to what is an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reference {
    /// To a tier by name.
    Tier(Str),
    /// To a group by name.
    Group(GroupKind, Str),
    /// To groups of a kind by their labels: those of one namespace, or wherever they are.
    Labels(GroupKind, Option<Str>),
}

impl Reference {
    /// The ways in which a policy can refer to this group.
    pub(super) fn to_group(group: &AddressGroup) -> [Self; 3] {
        let (kind, id) = (group.kind, &group.id);
        [Self::Group(kind, id.name.clone()), Self::Labels(kind, None), Self::Labels(kind, id.namespace.clone())]
    }
}

/// What a policy refers to.
pub(super) fn references(policy: &Policy) -> Vec<Reference> {
    let mut found = Vec::new();
    if policy.tier.by_name {
        found.push(Reference::Tier(policy.tier.name.clone()));
    }
    for peer in policy.ingress.iter().chain(&policy.egress).flat_map(|rule| &rule.peers) {
        peer.visit(&mut |part| {
            if let Peer::Groups(groups) = part {
                found.push(match &groups.groups {
                    GroupChoice::Named(name) => Reference::Group(groups.kind, name.clone()),
                    GroupChoice::Matching(_) => Reference::Labels(groups.kind, home(groups)),
                });
            }
        });
    }
    found
}

/// The one namespace whose groups the peer means, if it means those of one.
fn home(peer: &GroupPeer) -> Option<Str> {
    match &peer.namespaces {
        NamespaceScope::Named(namespace) if peer.kind == GroupKind::NetworkSet => Some(namespace.clone()),
        _ => None,
    }
}

/// Namespaces by what policies in them refer to, or have referred to since somebody looked last: one that is listed too
/// many is looked at in vain, and taking note of each policy that goes would cost every change to one.
#[derive(Clone, Debug, Default)]
pub(super) struct Referrers(BTreeMap<Reference, Arc<BTreeSet<Str>>>);

impl Referrers {
    /// Whether it is noted that policies in the namespace refer to all of these.
    pub(super) fn has(&self, namespace: &str, references: &[Reference]) -> bool {
        references.iter().all(|reference| self.0.get(reference).is_some_and(|there| there.contains(namespace)))
    }

    pub(super) fn note(&mut self, namespace: &Str, references: &[Reference]) {
        for reference in references {
            let there = self.0.entry(reference.clone()).or_default();
            if !there.contains(namespace) {
                Arc::make_mut(there).insert(namespace.clone());
            }
        }
    }

    /// Namespaces in which a policy may refer to one of these.
    pub(super) fn of(&self, references: &[Reference]) -> BTreeSet<Str> {
        references
            .iter()
            .filter_map(|reference| self.0.get(reference))
            .flat_map(|there| there.iter().cloned())
            .collect()
    }

    /// There are no such namespaces any more.
    pub(super) fn forget(&mut self, references: &[Reference], namespaces: &[Str]) {
        for reference in references {
            let Some(there) = self.0.get_mut(reference).map(Arc::make_mut) else { continue };
            for namespace in namespaces {
                there.remove(namespace);
            }
        }
    }
}
