//! What policies refer to: tiers and groups of addresses, which are objects of their own and may come, change and go at
//! any time. The snapshot holds each policy as it is written and as it counts at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{AddressGroup, Labels, ObjectRef, Peer, Policy, PolicyObject, Rule, Str, TierObject};

/// Tiers and groups that exist.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    tiers: BTreeMap<Str, TierObject>,
    groups: BTreeMap<ObjectRef, Group>,
}

/// A group, and the labels of its namespace.
#[derive(Clone, Debug)]
struct Group {
    group: AddressGroup,
    namespace: Labels,
}

/// A policy object as it is written and as it counts: the same where it refers to nothing.
#[derive(Clone, Debug)]
pub(super) struct Held {
    written: Arc<PolicyObject>,
    linked: Arc<PolicyObject>,
}

impl Held {
    pub(super) const fn written(&self) -> &Arc<PolicyObject> {
        &self.written
    }

    pub(super) const fn linked(&self) -> &Arc<PolicyObject> {
        &self.linked
    }

    /// The same with other tiers and groups, if that makes a difference.
    pub(super) fn again(&self, links: &Links) -> Option<Self> {
        if Arc::ptr_eq(&self.written, &self.linked) {
            return None;
        }
        let linked = links.link(&self.written);
        (linked != *self.linked).then(|| Self { written: Arc::clone(&self.written), linked: Arc::new(linked) })
    }
}

impl Links {
    pub(super) fn hold(&self, policy: &PolicyObject) -> Held {
        let written = Arc::new(policy.clone());
        let linked =
            if policy.policies.iter().any(|p| refers(p)) { Arc::new(self.link(policy)) } else { Arc::clone(&written) };
        Held { written, linked }
    }

    /// Whether anything changed.
    pub(super) fn put_tier(&mut self, tier: &TierObject) -> bool {
        self.tiers.insert(tier.id.name.clone(), tier.clone()).as_ref() != Some(tier)
    }

    pub(super) fn remove_tier(&mut self, name: &str) -> bool {
        self.tiers.remove(name).is_some()
    }

    pub(super) fn put_group(&mut self, group: &AddressGroup, namespace: Labels) {
        self.groups.insert(group.id.clone(), Group { group: group.clone(), namespace });
    }

    pub(super) fn remove_group(&mut self, id: &ObjectRef) -> bool {
        self.groups.remove(id).is_some()
    }

    /// Takes over new labels of a namespace. Whether a group is in it, so that policies may have to be linked again.
    pub(super) fn relabel(&mut self, namespace: &str, labels: &Labels) -> bool {
        let mut changed = false;
        for group in self.groups.values_mut().filter(|g| g.group.id.namespace() == namespace) {
            changed |= group.namespace != *labels;
            group.namespace = labels.clone();
        }
        changed
    }

    pub(super) fn has_groups_in(&self, namespace: &str) -> bool {
        self.groups.values().any(|g| g.group.id.namespace() == namespace)
    }

    pub(super) fn tier(&self, name: &str) -> Option<&TierObject> {
        self.tiers.get(name)
    }

    pub(super) fn group(&self, id: &ObjectRef) -> Option<&AddressGroup> {
        self.groups.get(id).map(|g| &g.group)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &AddressGroup> {
        self.groups.values().map(|g| &g.group)
    }

    fn link(&self, object: &PolicyObject) -> PolicyObject {
        let link = |policy: &Arc<Policy>| {
            if !refers(policy) {
                return Arc::clone(policy);
            }
            let mut linked = (**policy).clone();
            if linked.tier.by_name {
                linked.tier = Arc::new(linked.tier.defined_by(self.tiers.get(&linked.tier.name)));
            }
            for rule in linked.ingress.iter_mut().chain(&mut linked.egress) {
                rule.peers = rule.peers.iter().map(|peer| self.peer(peer)).collect();
            }
            Arc::new(linked)
        };
        PolicyObject { policies: object.policies.iter().map(link).collect(), ..object.clone() }
    }

    fn peer(&self, peer: &Peer) -> Peer {
        match peer {
            Peer::Groups(groups) => {
                let named = self.groups.values().filter(|g| groups.names(&g.group, &g.namespace));
                let addresses = groups.addresses(named.map(|g| &g.group));
                if addresses.set.is_empty() { Peer::Nobody } else { Peer::Addresses(addresses) }
            }
            Peer::AllOf(parts) => Peer::AllOf(parts.iter().map(|part| self.peer(part)).collect()),
            Peer::Not(inner) => Peer::Not(Box::new(self.peer(inner))),
            simple => simple.clone(),
        }
    }
}

/// Whether a policy refers to a tier or a group that is an object of its own.
fn refers(policy: &Policy) -> bool {
    let to_groups = |rule: &Rule| {
        let mut found = false;
        for peer in &rule.peers {
            peer.visit(&mut |part| found |= matches!(part, Peer::Groups(_)));
        }
        found
    };
    policy.tier.by_name || policy.ingress.iter().chain(&policy.egress).any(to_groups)
}
