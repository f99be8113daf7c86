//! The cluster's state at one moment, in model terms: immutable, indexed by namespace, cheap to copy and to overlay.
//!
//! Namespaces are spread over a tree of shards and shared by reference count, so that the next version, or the world as
//! it would be with one change, costs a copy of one shard and one namespace and not of the cluster.

mod links;
mod namespace;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use namespace::{NamespaceState, Owner, PodClass};

use crate::model::cni::Cni;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{
    AddressGroup, Change, Labels, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, Str, TierObject, Workload,
};
use links::{Held, Links};

/// Namespaces are in a tree of two levels, this wide at each: with 25,000 namespaces a shard holds about six, and the
/// next version copies two lists of pointers and one shard.
const WIDTH: usize = 64;

type Shard = BTreeMap<Str, Arc<NamespaceState>>;
type Branch = Vec<Arc<Shard>>;

/// One version of the cluster's state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    branches: Vec<Arc<Branch>>,
    cluster_policies: Arc<BTreeMap<Arc<ObjectRef>, Held>>,
    links: Arc<Links>,
    plugins: Arc<[Cni]>,
    version: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        // All alike until something is put in: sharing one empty shard and one empty branch is what is wanted.
        let shard = Arc::new(Shard::new());
        let empty: Arc<Branch> = Arc::new(std::iter::repeat_n(shard, WIDTH).collect());
        Self {
            branches: vec![empty; WIDTH],
            cluster_policies: Arc::default(),
            links: Arc::default(),
            plugins: Arc::new([]),
            version: 0,
        }
    }
}

/// Branch and shard. FNV-1a: names are short, and the spread must be the same in every process.
fn place_of(namespace: &str) -> (usize, usize) {
    let hash =
        namespace.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let place = usize::try_from(hash % (WIDTH * WIDTH) as u64).unwrap_or(0);
    (place / WIDTH, place % WIDTH)
}

impl Snapshot {
    /// The state made of these objects, in any order.
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut snapshot = Self::default();
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
        let (branch, shard) = place_of(name);
        self.branches.get(branch)?.get(shard)?.get(name)
    }

    /// The namespace, or an empty one of that name: files often leave out the Namespace object (semantics 2.1.12).
    pub fn namespace_or_empty(&self, name: &str) -> Arc<NamespaceState> {
        self.namespace(name).cloned().unwrap_or_else(|| Arc::new(NamespaceState::named(name)))
    }

    /// Every namespace, in an order that is the same for equal states.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceState>> {
        self.branches.iter().flat_map(|branch| branch.iter()).flat_map(|shard| shard.values())
    }

    /// Namespaces in a scope. A scope that names its namespace is answered without a scan.
    pub fn in_scope<'a>(&'a self, scope: &'a NamespaceScope) -> Box<dyn Iterator<Item = &'a Arc<NamespaceState>> + 'a> {
        match scope {
            NamespaceScope::Named(name) => Box::new(self.namespace(name).into_iter()),
            NamespaceScope::Matching(selector) => match selector.required_value(NAMESPACE_NAME_LABEL) {
                Some(name) => Box::new(self.namespace(name).into_iter().filter(|n| selector.matches(n.labels()))),
                None => Box::new(self.namespaces().filter(|n| selector.matches(n.labels()))),
            },
        }
    }

    /// Policies in force that may apply in a namespace: its own, and cluster-scoped ones whose subject reaches it.
    pub fn policies_in<'a>(&'a self, namespace: &'a NamespaceState) -> impl Iterator<Item = &'a Arc<Policy>> {
        let own = namespace.policies().flat_map(|object| object.policies.iter());
        let cluster = self.cluster_policies.values().flat_map(|held| held.linked().policies.iter());
        own.chain(cluster.filter(|policy| namespace.is_in(&policy.subject.namespaces))).filter(|p| p.is_in_force())
    }

    /// The network plugins whose agents run here, by the labels of their DaemonSets' pods. Empty where none is known: the
    /// files of an application do not have them, and some distributions run theirs outside of pods.
    pub fn plugins(&self) -> &[Cni] {
        &self.plugins
    }

    fn find_plugins(&mut self) {
        let agents = Cni::NAMESPACES.iter().filter_map(|name| self.namespace(name)).flat_map(|state| state.classes());
        let agents = agents.filter(|class| &*class.owner().kind == "DaemonSet");
        let mut found: Vec<Cni> = agents.filter_map(|class| Cni::of_agent(&class.pod().labels)).collect();
        found.sort_unstable();
        found.dedup();
        if *found != *self.plugins {
            self.plugins = found.into();
        }
    }

    /// Cluster-scoped policy objects.
    pub fn cluster_policies(&self) -> impl Iterator<Item = &Arc<PolicyObject>> {
        self.cluster_policies.values().map(Held::linked)
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

    /// A group of addresses.
    pub fn address_group(&self, id: &ObjectRef) -> Option<&AddressGroup> {
        self.links.group(id)
    }

    /// All groups of addresses.
    pub fn address_groups(&self) -> impl Iterator<Item = &AddressGroup> {
        self.links.groups()
    }

    /// The world as it would be with the change.
    #[must_use]
    pub fn overlay(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.apply(change);
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
        match object {
            Object::Namespace(namespace) => {
                self.edit(&namespace.name, |state| state.set_namespace(namespace));
                self.relabelled(&namespace.name, &namespace.labels);
            }
            Object::Policy(policy) => {
                let held = self.links.hold(policy);
                match &policy.id.namespace {
                    Some(namespace) => self.edit(namespace, |state| state.insert_policy(held)),
                    None => {
                        Arc::make_mut(&mut self.cluster_policies).insert(Arc::clone(&policy.id), held);
                    }
                }
            }
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.edit(namespace, |state| state.insert_workload(workload));
                    self.note_agent(namespace, workload);
                }
            }
            Object::AddressGroup(group) => {
                let labels = self.namespace(group.id.namespace()).map(|n| n.labels().clone()).unwrap_or_default();
                Arc::make_mut(&mut self.links).put_group(group, labels);
                self.relink();
            }
            Object::Tier(tier) => {
                if Arc::make_mut(&mut self.links).put_tier(tier) {
                    self.relink();
                }
            }
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    /// Takes an object out. A namespace that is gone loses its labels; what is left in it goes by its own deletes.
    pub fn remove(&mut self, object: &Object) {
        match object {
            Object::Namespace(namespace) => {
                self.edit(&namespace.name, NamespaceState::unset_namespace);
                self.relabelled(&namespace.name, &crate::model::Namespace::named(namespace.name.clone()).labels);
            }
            Object::Policy(policy) => match &policy.id.namespace {
                Some(namespace) => self.edit(namespace, |state| state.remove_policy(&policy.id)),
                None => {
                    Arc::make_mut(&mut self.cluster_policies).remove(&policy.id);
                }
            },
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.edit(namespace, |state| state.remove_workload(workload));
                    self.note_agent(namespace, workload);
                }
            }
            Object::AddressGroup(group) => {
                if Arc::make_mut(&mut self.links).remove_group(&group.id) {
                    self.relink();
                }
            }
            Object::Tier(tier) => {
                if Arc::make_mut(&mut self.links).remove_tier(&tier.id.name) {
                    self.relink();
                }
            }
            // One that never counted, or no longer did, must not take another pod of its class with it.
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    /// Most pods are no agents, and are not looked at any further.
    fn note_agent(&mut self, namespace: &str, workload: &Workload) {
        if Cni::NAMESPACES.contains(&namespace) && Cni::of_agent(&workload.pod.labels).is_some() {
            self.find_plugins();
        }
    }

    /// Replaces the NetworkPolicies of one namespace: the answer of a consistent read.
    pub fn replace_policies(&mut self, namespace: &str, policies: &[PolicyObject]) {
        let held: Vec<Held> = policies.iter().map(|policy| self.links.hold(policy)).collect();
        self.edit(namespace, |state| state.replace_policies(held));
    }

    /// Groups can be chosen by the labels of their namespace.
    fn relabelled(&mut self, namespace: &str, labels: &Labels) {
        if self.links.has_groups_in(namespace) && Arc::make_mut(&mut self.links).relabel(namespace, labels) {
            self.relink();
        }
    }

    /// Links every policy again that refers to tiers or groups. Namespaces in which nothing changes stay shared.
    fn relink(&mut self) {
        let links = Arc::clone(&self.links);
        let changed: Vec<(Str, Vec<Held>)> = self
            .namespaces()
            .map(|state| (state.name().clone(), state.relinked(&links)))
            .filter(|(_, list)| !list.is_empty())
            .collect();
        for (namespace, list) in changed {
            self.edit(&namespace, |state| list.into_iter().for_each(|held| state.insert_policy(held)));
        }
        let changed: Vec<Held> = self.cluster_policies.values().filter_map(|held| held.again(&links)).collect();
        for held in changed {
            Arc::make_mut(&mut self.cluster_policies).insert(Arc::clone(&held.written().id), held);
        }
    }

    fn edit(&mut self, namespace: &str, change: impl FnOnce(&mut NamespaceState)) {
        let (branch, shard) = place_of(namespace);
        let Some(branch) = self.branches.get_mut(branch) else { return };
        let Some(shard) = Arc::make_mut(branch).get_mut(shard) else { return };
        let shard = Arc::make_mut(shard);
        let state = match shard.get_mut(namespace) {
            Some(state) => state,
            None => shard.entry(namespace.into()).or_insert_with(|| Arc::new(NamespaceState::named(namespace))),
        };
        let state = Arc::make_mut(state);
        change(state);
        if state.is_empty() {
            shard.remove(namespace);
        }
    }
}
