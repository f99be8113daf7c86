//! The cluster's state at one moment, in model terms: immutable, indexed by namespace, cheap to copy and to overlay.
//!
//! Namespaces are spread over a tree of shards and shared by reference count, so that the next version, or the world as
//! it would be with one change, costs a copy of one shard and one namespace and not of the cluster.

mod directory;
mod links;
mod namespace;
mod network;
mod ranges;
mod referrers;
mod scopes;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use directory::Directory;
pub use namespace::{NamespaceState, Owner, PodClass};

use crate::model::entrance::Service;
use crate::model::{
    AddressGroup, Assertion, Change, Enforcer, IpSet, Object, ObjectRef, Policy, PolicyObject, References, Standing,
    Str, TierObject,
};
use links::{Held, Links, Touched};
use network::Network;
use referrers::references;
use tree::{Namespaces, Where};

/// One version of the cluster's state.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    namespaces: Namespaces,
    directory: directory::Lazy,
    cluster_policies: Arc<BTreeMap<Arc<ObjectRef>, Held>>,
    links: Arc<Links>,
    network: Arc<Network>,
    pod_ranges: Arc<IpSet>,
    /// Policy objects that Cilium alone enforces, those that Calico alone does, and those that name Services.
    special: [usize; 3],
    /// Of both kinds, in one list: one of a namespace can speak of other namespaces, and a change there concerns it.
    assertions: Arc<BTreeMap<Arc<ObjectRef>, Arc<Assertion>>>,
    version: u64,
}

impl Snapshot {
    /// The state made of these objects, in any order.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        Self::knowing(References::default(), objects)
    }

    /// The same where Services and service accounts are known that policies may refer to.
    pub fn knowing<'a>(known: References, objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut snapshot = Self { links: Arc::new(Links::knowing(known)), ..Self::default() };
        // What policies refer to comes first, so that each policy is linked once.
        let (first, then): (Vec<&Object>, Vec<&Object>) =
            objects.into_iter().partition(|o| matches!(o, Object::AddressGroup(_) | Object::Tier(_)));
        for object in first.into_iter().chain(then) {
            snapshot.insert(object);
        }
        snapshot
    }

    /// A number that grows with every published version; shown in audit annotations.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Marks the next version.
    pub fn advance(&mut self) {
        self.version += 1;
    }

    /// A namespace that is known by its own object or by anything in it.
    pub fn namespace(&self, name: &str) -> Option<&Arc<NamespaceState>> {
        self.namespaces.get(name)
    }

    /// The namespace, or an empty one of that name: files often leave out the Namespace object (semantics 2.1.12).
    pub fn namespace_or_empty(&self, name: &str) -> Arc<NamespaceState> {
        self.namespace(name).cloned().unwrap_or_else(|| Arc::new(NamespaceState::named(name)))
    }

    /// Every namespace, in an order that is the same for equal states.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceState>> {
        self.namespaces.iter()
    }

    /// Policies in force that may apply in a namespace: its own, and cluster-scoped ones whose subject reaches it.
    pub fn policies_in<'a>(&'a self, namespace: &'a NamespaceState) -> impl Iterator<Item = &'a Arc<Policy>> {
        let own = namespace.policies().flat_map(|object| object.policies.iter());
        let cluster = self.cluster_policies.values().flat_map(|held| held.linked().policies.iter());
        let here = own.chain(cluster.filter(|policy| namespace.is_in(&policy.subject.namespaces)));
        here.chain(&self.network.everywhere).filter(|p| p.is_in_force())
    }

    /// Policies that are only staged and may apply in a namespace once they are not.
    pub fn staged_in<'a>(&'a self, namespace: &'a NamespaceState) -> impl Iterator<Item = &'a Arc<Policy>> {
        let own = namespace.policies().flat_map(|object| object.policies.iter());
        let cluster = self.cluster_policies.values().flat_map(|held| held.linked().policies.iter());
        let here = own.chain(cluster.filter(|policy| namespace.is_in(&policy.subject.namespaces)));
        here.filter(|policy| policy.tier.standing == Standing::Staged)
    }

    /// Whether there are policies that only Cilium enforces, and whether there are some that only Calico does.
    pub fn has_exclusive(&self) -> (bool, bool) {
        let [cilium, calico, _] = self.special;
        (cilium > 0 || self.network.everywhere.is_some(), calico > 0)
    }

    /// Whether there are policies that name Services.
    pub const fn names_services(&self) -> bool {
        let [.., services] = self.special;
        services > 0
    }

    /// Takes over the Services that there are; none at all means that they are not known.
    pub fn set_services(&mut self, services: BTreeMap<(Str, Str), Service>) {
        if self.links.known().services != services {
            Arc::make_mut(&mut self.links).know(services);
            self.hold_again(links::names_services);
        }
    }

    /// Cluster-scoped policy objects.
    pub fn cluster_policies(&self) -> impl Iterator<Item = &Arc<PolicyObject>> {
        self.cluster_policies.values().map(Held::linked)
    }

    /// Assertions of both kinds, those of the cluster first.
    pub fn assertions(&self) -> impl ExactSizeIterator<Item = &Arc<Assertion>> {
        self.assertions.values()
    }

    /// An assertion by name.
    pub fn assertion(&self, id: &ObjectRef) -> Option<&Arc<Assertion>> {
        self.assertions.get(id)
    }

    /// A policy object by name, with the tiers and groups it refers to.
    pub fn policy(&self, id: &ObjectRef) -> Option<&Arc<PolicyObject>> {
        self.held(id).map(Held::linked)
    }

    /// A policy object by name, as it is written.
    pub fn written_policy(&self, id: &ObjectRef) -> Option<&Arc<PolicyObject>> {
        self.held(id).map(Held::written)
    }

    fn held(&self, id: &ObjectRef) -> Option<&Held> {
        match &id.namespace {
            Some(namespace) => self.namespace(namespace)?.held(id),
            None => self.cluster_policies.get(id),
        }
    }

    /// A tier that is an object.
    pub fn tier(&self, name: &str) -> Option<&TierObject> {
        self.links.tier(name)
    }

    /// All tiers that are objects.
    pub fn tiers(&self) -> impl Iterator<Item = &TierObject> {
        self.links.tiers()
    }

    /// A group of addresses.
    pub fn address_group(&self, id: &ObjectRef) -> Option<&AddressGroup> {
        self.links.group(id)
    }

    /// The Services and service accounts that are known.
    pub fn references(&self) -> &References {
        self.links.known()
    }

    /// All groups of addresses.
    pub fn address_groups(&self) -> impl Iterator<Item = &AddressGroup> {
        self.links.groups()
    }

    /// The world as it would be with the change.
    #[must_use]
    pub fn overlay(&self, change: &Change) -> Self {
        let mut next = self.clone();
        if let Some(before) = &change.before {
            next.change(before, Edit::Out, Where::Over);
        }
        if let Some(after) = &change.after {
            next.change(after, Edit::In, Where::Over);
        }
        next
    }

    /// The world as it would be with the object in it.
    #[must_use]
    pub fn with(&self, object: &Object) -> Self {
        let mut next = self.clone();
        next.change(object, Edit::In, Where::Over);
        next
    }

    /// The world as it would be without the object.
    #[must_use]
    pub fn without(&self, object: &Object) -> Self {
        let mut next = self.clone();
        next.change(object, Edit::Out, Where::Over);
        next
    }

    /// Carries out a change: takes away what was, puts in what would be.
    pub fn apply(&mut self, change: &Change) {
        if let Some(before) = &change.before {
            self.remove(before);
        }
        if let Some(after) = &change.after {
            self.insert(after);
        }
    }

    /// Puts an object in. Policies and namespaces replace those of the same name; pods are counted into their class.
    pub fn insert(&mut self, object: &Object) {
        self.change(object, Edit::In, Where::Tree);
    }

    /// Takes an object out. A namespace that is gone loses its labels; what is left in it goes by its own deletes.
    pub fn remove(&mut self, object: &Object) {
        self.change(object, Edit::Out, Where::Tree);
    }

    fn change(&mut self, object: &Object, edit: Edit, place: Where) {
        let put = edit == Edit::In;
        match object {
            Object::Namespace(namespace) => {
                let was = self.namespace(&namespace.name).filter(|state| state.is_known()).map(|state| state.labels());
                if was != put.then_some(&namespace.labels) {
                    self.directory.forget();
                }
                self.namespaces.edit(&namespace.name, place, |state| {
                    if put { state.set_namespace(namespace) } else { state.unset_namespace() }
                });
                self.relabelled(&namespace.name);
            }
            Object::Policy(policy) => self.change_policy(policy, put, place),
            // One that never counted, or no longer did, must not take another pod of its class with it.
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.namespaces.edit(namespace, place, |state| {
                        if put { state.insert_workload(workload) } else { state.remove_workload(workload) }
                    });
                    self.note_agent(namespace, workload);
                    self.note_addresses(&workload.addresses);
                }
            }
            Object::AddressGroup(group) => {
                let labels = self.namespace(group.id.namespace()).map(|n| n.labels().clone()).unwrap_or_default();
                let links = Arc::make_mut(&mut self.links);
                let touched = if put { links.put_group(group, labels) } else { links.remove_group(&group.id) };
                self.relink(touched);
            }
            Object::Tier(tier) => {
                let links = Arc::make_mut(&mut self.links);
                let touched = if put { links.put_tier(tier) } else { links.remove_tier(&tier.id.name) };
                self.relink(touched);
            }
            Object::Assertion(assertion) if put => {
                let id = Arc::clone(&assertion.id);
                Arc::make_mut(&mut self.assertions).insert(id, Arc::new(assertion.clone()));
            }
            Object::Assertion(assertion) => {
                if self.assertions.contains_key(&assertion.id) {
                    Arc::make_mut(&mut self.assertions).remove(&assertion.id);
                }
            }
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    fn change_policy(&mut self, policy: &PolicyObject, put: bool, place: Where) {
        // Where there are none at all, what is replaced or taken out was none either.
        let was = if self.special == [0; 3] { None } else { self.held(&policy.id).map(|held| special(held.written())) };
        let will_be = if put { special(policy) } else { [0; 3] };
        for ((count, more), less) in self.special.iter_mut().zip(will_be).zip(was.unwrap_or_default()) {
            *count = (*count + more).saturating_sub(less);
        }
        let held = put.then(|| self.hold(policy));
        match (&policy.id.namespace, held) {
            (Some(namespace), Some(held)) => self.namespaces.edit(namespace, place, |state| state.insert_policy(held)),
            (Some(namespace), None) => self.namespaces.edit(namespace, place, |state| state.remove_policy(&policy.id)),
            (None, Some(held)) => {
                Arc::make_mut(&mut self.cluster_policies).insert(Arc::clone(&policy.id), held);
            }
            (None, None) => {
                Arc::make_mut(&mut self.cluster_policies).remove(&policy.id);
            }
        }
    }

    /// Groups can be chosen by the labels of their namespace.
    fn relabelled(&mut self, namespace: &str) {
        if !self.links.has_groups_in(namespace) {
            return;
        }
        let labels = self.namespace_or_empty(namespace).labels().clone();
        let touched = Arc::make_mut(&mut self.links).relabel(namespace, &labels);
        self.relink(touched);
    }

    /// The policy as it counts, with a note of where it is, for when what it refers to changes.
    fn hold(&mut self, policy: &PolicyObject) -> Held {
        if let Some(namespace) = &policy.id.namespace {
            let references: Vec<_> = policy.policies.iter().flat_map(|policy| references(policy)).collect();
            if !self.links.referrers.has(namespace, &references) {
                Arc::make_mut(&mut self.links).referrers.note(namespace, &references);
            }
        }
        self.links.hold(policy)
    }

    /// Links those policies again that refer to what is touched. All other namespaces stay shared.
    fn relink(&mut self, touched: Option<Touched>) {
        let Some(touched) = touched else { return };
        let links = Arc::clone(&self.links);
        let mut gone = Vec::new();
        for name in links.referrers.of(&touched.references) {
            let Some(state) = self.namespace(&name) else {
                gone.push(name);
                continue;
            };
            let list = state.relinked(&links, &touched);
            if !list.is_empty() {
                self.namespaces
                    .edit(&name, Where::Tree, |state| list.into_iter().for_each(|held| state.insert_policy(held)));
            }
        }
        let changed: Vec<Held> =
            self.cluster_policies.values().filter_map(|held| held.again(&links, &touched)).collect();
        for held in changed {
            Arc::make_mut(&mut self.cluster_policies).insert(Arc::clone(&held.written().id), held);
        }
        drop(links);
        if !gone.is_empty() {
            Arc::make_mut(&mut self.links).referrers.forget(&touched.references, &gone);
        }
    }

    /// Policies, in force or not, that refer to a group in either of these states, or to this tier: those of the cluster
    /// first.
    pub fn referring<'a>(&'a self, to: &[&Object]) -> Vec<&'a Arc<PolicyObject>> {
        let groups: Vec<&AddressGroup> =
            to.iter().filter_map(|o| if let Object::AddressGroup(group) = o { Some(group) } else { None }).collect();
        let tiers = to.iter().filter_map(|o| if let Object::Tier(tier) = o { Some(&tier.id.name) } else { None });
        let labels = |name: &str| self.namespace(name).map(|n| n.labels().clone()).unwrap_or_default();
        let touched = Touched::by(&groups, tiers, labels);
        let there = self.links.referrers.of(&touched.references);
        let there = there.iter().filter_map(|name| self.namespace(name)).flat_map(|state| state.held_policies());
        let all = self.cluster_policies.values().chain(there);
        all.filter(|held| held.refers_to(&touched)).map(Held::linked).collect()
    }
}

/// One for Cilium, one for Calico, where the object has policies that no other network enforces, and one for Services.
fn special(object: &PolicyObject) -> [usize; 3] {
    let any = |enforcer| object.policies.iter().any(|policy| policy.tier.enforcer == enforcer);
    let (cilium, calico) = (any(Enforcer::Cilium), any(Enforcer::Calico));
    // No other kinds can name any.
    let services = (cilium || calico) && links::names_services(object);
    [cilium, calico, services].map(usize::from)
}

/// Whether something comes or goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    In,
    Out,
}
