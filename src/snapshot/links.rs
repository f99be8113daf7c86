//! What policies refer to: tiers and groups of addresses, which are objects of their own and may come, change and go at
//! any time, and Services and service accounts, as far as they are known. The snapshot holds each policy as it is written and as it counts at the moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::network::Overruled;
use super::referrers::{Reference, Referrers, references};
use crate::model::entrance::Service;
use crate::model::reference::is_of_account;
use crate::model::{
    AddressGroup, Endpoints, Enforcer, GroupChoice, GroupKind, GroupPeer, Labels, NamespaceScope, ObjectRef, Peer,
    PodPeer, Policy, PolicyObject, References, Rule, Selector, ServicePeer, Str, TierObject,
};

/// Tiers and groups that exist, and where the policies are that refer to them.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    tiers: BTreeMap<Str, TierObject>,
    groups: BTreeMap<Place, Group>,
    known: References,
    pub(super) referrers: Referrers,
    /// What the network is told not to enforce.
    pub(super) overruled: Option<Overruled>,
}

/// Where a group is: its kind, its namespace and its name, so that those a peer may name lie together.
type Place = (GroupKind, Str, Str);

fn place(group: &AddressGroup) -> Place {
    (group.kind, group.id.namespace.clone().unwrap_or_default(), group.id.name.clone())
}

/// The place of a group of which only the name is known.
fn place_of(id: &ObjectRef) -> Place {
    let kind = match &*id.kind {
        "NetworkSet" => GroupKind::NetworkSet,
        "GlobalNetworkSet" => GroupKind::GlobalNetworkSet,
        _ => GroupKind::Cidrs,
    };
    (kind, id.namespace.clone().unwrap_or_default(), id.name.clone())
}

/// A group, and the labels of its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) group: Arc<AddressGroup>,
    pub(super) namespace: Labels,
}

/// Tiers and groups that have come, changed or gone.
#[derive(Debug)]
pub(super) struct Touched {
    /// How policies may refer to them.
    pub(super) references: Vec<Reference>,
    /// The groups as they were and as they are.
    groups: Vec<Group>,
}

impl Touched {
    /// What a change of these groups and tiers touches. The labels of a group's namespace are those of now.
    pub(super) fn by<'a>(
        groups: &[&AddressGroup],
        tiers: impl IntoIterator<Item = &'a Str>,
        labels: impl Fn(&str) -> Labels,
    ) -> Self {
        let groups =
            groups.iter().map(|g| Group { group: Arc::new((*g).clone()), namespace: labels(g.id.namespace()) });
        let mut touched = Self::of_groups(groups);
        touched.references.extend(tiers.into_iter().map(|name| Reference::Tier(name.clone())));
        touched
    }

    fn of_tier(name: &Str) -> Self {
        Self { references: vec![Reference::Tier(name.clone())], groups: Vec::new() }
    }

    fn of_groups(groups: impl IntoIterator<Item = Group>) -> Self {
        let groups: Vec<Group> = groups.into_iter().collect();
        let references = groups.iter().flat_map(|g| Reference::to_group(&g.group)).collect();
        Self { references, groups }
    }

    /// Whether the policy refers to any of them.
    fn concerns(&self, object: &PolicyObject) -> bool {
        let named = |policy: &Policy| {
            let tier = || Reference::Tier(policy.tier.name.clone());
            policy.tier.by_name && self.references.contains(&tier())
        };
        object.policies.iter().any(|policy| {
            let mut found = named(policy);
            let rules = policy.ingress.iter().chain(&policy.egress);
            rules.flat_map(|rule| &rule.peers).for_each(|peer| {
                peer.visit(&mut |part| {
                    if let Peer::Groups(peer) = part {
                        found |= self.groups.iter().any(|g| peer.names(&g.group, &g.namespace));
                    }
                });
            });
            found
        })
    }
}

/// A policy object as it is written and as it counts: the same where it refers to nothing.
#[derive(Clone, Debug)]
pub(super) struct Held {
    written: Arc<PolicyObject>,
    /// `None` where it is the same.
    linked: Option<Arc<PolicyObject>>,
}

impl Held {
    pub(super) const fn written(&self) -> &Arc<PolicyObject> {
        &self.written
    }

    pub(super) fn linked(&self) -> &Arc<PolicyObject> {
        self.linked.as_ref().unwrap_or(&self.written)
    }

    /// Whether it refers to any of these.
    pub(super) fn refers_to(&self, touched: &Touched) -> bool {
        self.linked.is_some() && touched.concerns(&self.written)
    }

    /// The same with other tiers and groups, if that makes a difference.
    pub(super) fn again(&self, links: &Links, touched: &Touched) -> Option<Self> {
        if !self.refers_to(touched) {
            return None;
        }
        let linked = links.link(&self.written);
        let changes = linked != **self.linked();
        changes.then(|| Self { written: Arc::clone(&self.written), linked: Some(Arc::new(linked)) })
    }
}

/// Whether a place is among the sets of this namespace.
fn is_in(kind: GroupKind, there: &str, namespace: &str) -> bool {
    kind == GroupKind::NetworkSet && there == namespace
}

impl Links {
    pub(super) fn knowing(known: References) -> Self {
        Self { known, ..Self::default() }
    }

    pub(super) fn know(&mut self, services: BTreeMap<(Str, Str), Service>) {
        self.known.services = services;
    }

    pub(super) const fn known(&self) -> &References {
        &self.known
    }

    pub(super) fn hold(&self, policy: &PolicyObject) -> Held {
        self.held(Arc::new(policy.clone()))
    }

    pub(super) fn held(&self, written: Arc<PolicyObject>) -> Held {
        let refers = written.policies.iter().any(|policy| refers(policy));
        let differs = refers || self.overruled.as_ref().is_some_and(|overruled| overruled.concerns(&written));
        let linked = differs.then(|| Arc::new(self.link(&written)));
        Held { written, linked }
    }

    /// What is touched by it, if anything changed.
    pub(super) fn put_tier(&mut self, tier: &TierObject) -> Option<Touched> {
        let name = tier.id.name.clone();
        (self.tiers.insert(name.clone(), tier.clone()).as_ref() != Some(tier)).then(|| Touched::of_tier(&name))
    }

    pub(super) fn remove_tier(&mut self, name: &Str) -> Option<Touched> {
        self.tiers.remove(name).map(|_| Touched::of_tier(name))
    }

    pub(super) fn put_group(&mut self, group: &AddressGroup, namespace: Labels) -> Option<Touched> {
        let group = Group { group: Arc::new(group.clone()), namespace };
        let old = self.groups.insert(place(&group.group), group.clone());
        (old.as_ref() != Some(&group)).then(|| Touched::of_groups(old.into_iter().chain([group])))
    }

    pub(super) fn remove_group(&mut self, id: &ObjectRef) -> Option<Touched> {
        self.groups.remove(&place_of(id)).map(|group| Touched::of_groups([group]))
    }

    /// Takes over new labels of a namespace, by which its groups may be chosen.
    pub(super) fn relabel(&mut self, namespace: &str, labels: &Labels) -> Option<Touched> {
        let mut touched = Vec::new();
        let first = (GroupKind::NetworkSet, namespace.into(), Str::default());
        let here = self.groups.range_mut(first..).take_while(|((kind, there, _), _)| is_in(*kind, there, namespace));
        for (_, group) in here {
            if group.namespace != *labels {
                touched.push(group.clone());
                group.namespace = labels.clone();
                touched.push(group.clone());
            }
        }
        (!touched.is_empty()).then(|| Touched::of_groups(touched))
    }

    pub(super) fn has_groups_in(&self, namespace: &str) -> bool {
        self.in_namespace(namespace).next().is_some()
    }

    pub(super) fn tier(&self, name: &str) -> Option<&TierObject> {
        self.tiers.get(name)
    }

    pub(super) fn tiers(&self) -> impl Iterator<Item = &TierObject> {
        self.tiers.values()
    }

    pub(super) fn group(&self, id: &ObjectRef) -> Option<&AddressGroup> {
        self.groups.get(&place_of(id)).map(|g| &*g.group)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &AddressGroup> {
        self.groups.values().map(|g| &*g.group)
    }

    fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Group> {
        let first = (GroupKind::NetworkSet, namespace.into(), Str::default());
        let here = self.groups.range(first..).take_while(move |((kind, there, _), _)| is_in(*kind, there, namespace));
        here.map(|(_, group)| group)
    }

    /// Groups that a peer may name.
    fn candidates<'a>(&'a self, peer: &'a GroupPeer) -> Box<dyn Iterator<Item = &'a Group> + 'a> {
        match (&peer.namespaces, &peer.groups) {
            (NamespaceScope::Named(namespace), _) if peer.kind == GroupKind::NetworkSet => {
                Box::new(self.in_namespace(namespace))
            }
            (_, GroupChoice::Named(name)) if peer.kind != GroupKind::NetworkSet => {
                Box::new(self.groups.get(&(peer.kind, Str::default(), name.clone())).into_iter())
            }
            _ => {
                let all = self.groups.range((peer.kind, Str::default(), Str::default())..);
                Box::new(all.take_while(|((kind, ..), _)| *kind == peer.kind).map(|(_, group)| group))
            }
        }
    }

    fn link(&self, object: &PolicyObject) -> PolicyObject {
        let policies = object.policies.iter().filter_map(|policy| self.policy(policy));
        let linked = PolicyObject { policies: policies.collect(), ..object.clone() };
        self.overruled.as_ref().and_then(|overruled| overruled.applied(&linked)).unwrap_or(linked)
    }

    /// `None` where it is for pods by what is not known of them, and none of them is left.
    fn policy(&self, policy: &Arc<Policy>) -> Option<Arc<Policy>> {
        if !refers(policy) {
            return Some(Arc::clone(policy));
        }
        let mut subject = policy.subject.clone();
        if of_accounts(&subject.pods) {
            subject.pods = self.known.settled(&subject.pods);
            if subject.pods == Selector::nothing() {
                return None;
            }
        }
        let tier = if policy.tier.by_name {
            Arc::new(policy.tier.defined_by(self.tiers.get(&policy.tier.name)))
        } else {
            Arc::clone(&policy.tier)
        };
        let [ingress, egress] =
            [&policy.ingress, &policy.egress].map(|rules| rules.iter().filter_map(|rule| self.rule(rule)).collect());
        Some(Arc::new(Policy { id: Arc::clone(&policy.id), tier, subject, ingress, egress, ..**policy }))
    }

    /// `None` where what is certain of it is nobody; what is possible stands beside it.
    fn rule(&self, rule: &Rule) -> Option<Rule> {
        let (mut ports, mut filtered_by) = (rule.ports.clone(), rule.filtered_by.clone());
        // What one peer comes to beyond the first goes to the end, so that the others keep their places.
        let (mut peers, mut more, mut settled) = (Vec::with_capacity(rule.peers.len()), Vec::new(), false);
        for peer in &rule.peers {
            let mut there = Cow::Borrowed(peer);
            if let Some(service) = service(peer) {
                match service.endpoints(&self.known) {
                    Endpoints::Pods(pods, theirs) => {
                        there = Cow::Owned(exchanged(peer, &Peer::Pods(pods)));
                        if service.their_ports {
                            ports = theirs.within(&ports);
                        }
                    }
                    Endpoints::Unknown(what) => {
                        let doubt = |who| Peer::AllOf(vec![who, Peer::Unsettled(Arc::clone(&what))]);
                        let [pods, entities @ ..] = service.at_most();
                        more.extend(entities.map(|who| exchanged(peer, &doubt(who))));
                        there = Cow::Owned(exchanged(peer, &doubt(pods)));
                        filtered_by.get_or_insert(what);
                    }
                }
            }
            settled |= by_accounts(&there);
            peers.push(self.peer(&there));
        }
        peers.extend(more);
        let nobody = settled && peers.iter().all(|peer| *peer == Peer::Nobody);
        (!nobody).then(|| Rule { peers, ports, filtered_by, at: rule.at.clone(), ..*rule })
    }

    fn peer(&self, peer: &Peer) -> Peer {
        match peer {
            Peer::Groups(groups) => {
                let mut named = self.candidates(groups).filter(|g| groups.names(&g.group, &g.namespace)).peekable();
                if named.peek().is_none() {
                    return Peer::Nobody;
                }
                let addresses = groups.addresses(named.map(|g| &*g.group));
                if addresses.set.is_empty() { Peer::Nobody } else { Peer::Addresses(addresses) }
            }
            Peer::Pods(pods) if of_accounts(&pods.pods) => {
                let settled = self.known.settled(&pods.pods);
                if settled == Selector::nothing() {
                    return Peer::Nobody;
                }
                Peer::Pods(PodPeer { namespaces: pods.namespaces.clone(), pods: settled })
            }
            Peer::AllOf(parts) => {
                let parts: Vec<Peer> = parts.iter().map(|part| self.peer(part)).collect();
                if parts.contains(&Peer::Nobody) { Peer::Nobody } else { Peer::AllOf(parts) }
            }
            Peer::Not(inner) => Peer::Not(Box::new(self.peer(inner))),
            simple => simple.clone(),
        }
    }
}

/// Whether a selector asks for labels of service accounts.
fn of_accounts(selector: &Selector) -> bool {
    selector.mentions(&is_of_account)
}

/// Whether a peer does.
fn by_accounts(peer: &Peer) -> bool {
    let mut found = false;
    peer.visit(&mut |part| found |= matches!(part, Peer::Pods(pods) if of_accounts(&pods.pods)));
    found
}

/// The Services that a peer names: itself, or as one of several conditions.
fn service(peer: &Peer) -> Option<&ServicePeer> {
    match peer {
        Peer::Services(service) => Some(service),
        Peer::AllOf(parts) => parts.iter().find_map(service),
        _ => None,
    }
}

/// The peer with its Services exchanged for this.
fn exchanged(peer: &Peer, by: &Peer) -> Peer {
    match peer {
        Peer::Services(_) => by.clone(),
        Peer::AllOf(parts) => Peer::AllOf(parts.iter().map(|part| exchanged(part, by)).collect()),
        other => other.clone(),
    }
}

/// Whether any rule of the object names Services.
pub(super) fn names_services(object: &PolicyObject) -> bool {
    let rules = object.policies.iter().flat_map(|policy| policy.ingress.iter().chain(&policy.egress));
    rules.flat_map(|rule| &rule.peers).any(|peer| service(peer).is_some())
}

/// Whether a policy refers to anything that is an object of its own.
fn refers(policy: &Policy) -> bool {
    let refers = |rule: &Rule| {
        let mut found = false;
        for peer in &rule.peers {
            peer.visit(&mut |part| found |= matches!(part, Peer::Services(_)));
            found |= by_accounts(peer);
        }
        found
    };
    let to_known = || of_accounts(&policy.subject.pods) || policy.ingress.iter().chain(&policy.egress).any(refers);
    // Only Cilium's and Calico's kinds speak of Services and of service accounts.
    !references(policy).is_empty() || (policy.tier.enforcer != Enforcer::Any && to_known())
}
