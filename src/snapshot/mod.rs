//! The cluster's state at one moment, in model terms: immutable, indexed by namespace, cheap to copy and to overlay.
//!
//! Namespaces are spread over a tree of shards and shared by reference count, so that the next version, or the world as
//! it would be with one change, costs a copy of one shard and one namespace and not of the cluster.

mod namespace;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use namespace::{NamespaceState, Owner, PodClass};

use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{Assertion, Change, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, Str};

/// Namespaces are in a tree of two levels, this wide at each: with 25,000 namespaces a shard holds about six, and the
/// next version copies two lists of pointers and one shard.
const WIDTH: usize = 64;

type Shard = BTreeMap<Str, Arc<NamespaceState>>;
type Branch = Vec<Arc<Shard>>;

/// One version of the cluster's state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    branches: Vec<Arc<Branch>>,
    cluster_policies: Arc<BTreeMap<Arc<ObjectRef>, Arc<PolicyObject>>>,
    /// Of both kinds, in one list: one of a namespace can speak of other namespaces, and a change there concerns it.
    assertions: Arc<BTreeMap<Arc<ObjectRef>, Arc<Assertion>>>,
    version: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        // All alike until something is put in: sharing one empty shard and one empty branch is what is wanted.
        let shard = Arc::new(Shard::new());
        let empty: Arc<Branch> = Arc::new(std::iter::repeat_n(shard, WIDTH).collect());
        Self { branches: vec![empty; WIDTH], cluster_policies: Arc::default(), assertions: Arc::default(), version: 0 }
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
        for object in objects {
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

    /// Policies that may apply in a namespace: its own, and cluster-scoped ones whose subject reaches it.
    pub fn policies_in<'a>(&'a self, namespace: &'a NamespaceState) -> impl Iterator<Item = &'a Arc<Policy>> {
        let own = namespace.policies().flat_map(|object| object.policies.iter());
        let cluster = self.cluster_policies.values().flat_map(|object| object.policies.iter());
        own.chain(cluster.filter(|policy| namespace.is_in(&policy.subject.namespaces)))
    }

    /// Cluster-scoped policy objects.
    pub fn cluster_policies(&self) -> impl Iterator<Item = &Arc<PolicyObject>> {
        self.cluster_policies.values()
    }

    /// Assertions of both kinds, those of the cluster first.
    pub fn assertions(&self) -> impl ExactSizeIterator<Item = &Arc<Assertion>> {
        self.assertions.values()
    }

    /// An assertion by name.
    pub fn assertion(&self, id: &ObjectRef) -> Option<&Arc<Assertion>> {
        self.assertions.get(id)
    }

    /// A policy object by name.
    pub fn policy(&self, id: &ObjectRef) -> Option<&Arc<PolicyObject>> {
        match &id.namespace {
            Some(namespace) => self.namespace(namespace)?.policies().find(|p| *p.id == *id),
            None => self.cluster_policies.get(id),
        }
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
            Object::Namespace(namespace) => self.edit(&namespace.name, |state| state.set_namespace(namespace)),
            Object::Policy(policy) => match &policy.id.namespace {
                Some(namespace) => self.edit(namespace, |state| state.insert_policy(policy)),
                None => {
                    Arc::make_mut(&mut self.cluster_policies).insert(Arc::clone(&policy.id), Arc::new(policy.clone()));
                }
            },
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.edit(namespace, |state| state.insert_workload(workload));
                }
            }
            Object::Assertion(assertion) => {
                let id = Arc::clone(&assertion.id);
                Arc::make_mut(&mut self.assertions).insert(id, Arc::new(assertion.clone()));
            }
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    /// Takes an object out. A namespace that is gone loses its labels; what is left in it goes by its own deletes.
    pub fn remove(&mut self, object: &Object) {
        match object {
            Object::Namespace(namespace) => self.edit(&namespace.name, NamespaceState::unset_namespace),
            Object::Policy(policy) => match &policy.id.namespace {
                Some(namespace) => self.edit(namespace, |state| state.remove_policy(&policy.id)),
                None => {
                    Arc::make_mut(&mut self.cluster_policies).remove(&policy.id);
                }
            },
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.edit(namespace, |state| state.remove_workload(workload));
                }
            }
            Object::Assertion(assertion) => {
                if self.assertions.contains_key(&assertion.id) {
                    Arc::make_mut(&mut self.assertions).remove(&assertion.id);
                }
            }
            // One that never counted, or no longer did, must not take another pod of its class with it.
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    /// Replaces all policies of one namespace: the answer of a consistent read.
    pub fn replace_policies(&mut self, namespace: &str, policies: &[PolicyObject]) {
        self.edit(namespace, |state| state.replace_policies(policies));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Namespace, PodSpec, Selector, Workload};

    fn pod(namespace: &str, name: &str, app: &str) -> Object {
        Object::Workload(Workload {
            id: ObjectRef::namespaced("v1", "Pod", namespace, name),
            labels: Labels::default(),
            pod: Arc::new(PodSpec::with_labels(Labels::new([("app", app)]))),
            controller: Some(crate::model::pod::Controller { kind: "Deployment".into(), name: app.into() }),
            addresses: Vec::new(),
            finished: false,
            leaving: false,
            template_at: "",
        })
    }

    #[test]
    fn pods_fold_into_classes_and_come_out_again() {
        let (a, b, c) = (pod("n", "a", "web"), pod("n", "b", "web"), pod("n", "c", "api"));
        let mut snapshot = Snapshot::of([&a, &b, &c]);
        let classes =
            |s: &Snapshot| s.namespace("n").map_or(Vec::new(), |n| n.classes().iter().map(|c| c.count()).collect());
        assert_eq!(classes(&snapshot), [1, 2], "api, then web");
        snapshot.remove(&a);
        assert_eq!(classes(&snapshot), [1, 1]);
        snapshot.remove(&b);
        snapshot.remove(&c);
        assert!(snapshot.namespace("n").is_none(), "nothing is left behind");
    }

    #[test]
    fn a_pod_that_goes_away_is_counted_out_once() {
        let (a, b) = (pod("n", "a", "web"), pod("n", "b", "web"));
        let Object::Workload(mut going) = a.clone() else { panic!("a pod") };
        going.leaving = true;
        let going = Object::Workload(going);
        let mut snapshot = Snapshot::of([&a, &b]);
        snapshot.apply(&Change::update(a, going.clone()));
        snapshot.apply(&Change::delete(going));
        assert_eq!(snapshot.namespace("n").unwrap().classes()[0].count(), 1, "the other pod is still there");
    }

    #[test]
    fn an_overlay_leaves_the_world_as_it_is() {
        let before = Snapshot::of([&pod("n", "a", "web")]);
        let after = before.overlay(&Change::create(pod("n", "b", "api")));
        assert_eq!(before.namespace("n").unwrap().classes().len(), 1);
        assert_eq!(after.namespace("n").unwrap().classes().len(), 2);
    }

    #[test]
    fn a_scope_by_name_and_by_label_agree() {
        let prod = Object::Namespace(Namespace::new("prod", &Labels::new([("env", "prod")])));
        let snapshot = Snapshot::of([&prod, &Object::Namespace(Namespace::named("dev"))]);
        let names = |scope: &NamespaceScope| snapshot.in_scope(scope).map(|n| n.name().to_string()).collect::<Vec<_>>();
        assert_eq!(names(&NamespaceScope::Matching(Selector::equals("env", "prod"))), ["prod"]);
        assert_eq!(names(&NamespaceScope::Matching(Selector::equals(NAMESPACE_NAME_LABEL, "dev"))), ["dev"]);
        let neither = Selector::all(vec![Selector::equals(NAMESPACE_NAME_LABEL, "dev"), Selector::exists("env")]);
        assert!(names(&NamespaceScope::Matching(neither)).is_empty());
        assert_eq!(names(&NamespaceScope::all()).len(), 2);
    }
}
