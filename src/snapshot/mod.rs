//! The cluster's state at one moment, in model terms: immutable, indexed by namespace, cheap to copy and to overlay.
//!
//! Namespaces are spread over a tree of shards and shared by reference count, so that the next version costs a copy of
//! one shard and one namespace and not of the cluster. The world as it would be with one change does not even touch the
//! tree: it lays the one namespace that differs over it.

mod namespace;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use namespace::{NamespaceState, Owner, PodClass};

use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{Change, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, Str};

/// Namespaces are in a tree of two levels, this wide at each: with 25,000 namespaces a shard holds about six, and the
/// next version copies two lists of pointers and one shard.
const WIDTH: usize = 64;

type Shard = BTreeMap<Str, Arc<NamespaceState>>;
type Branch = Vec<Arc<Shard>>;
type Tree = Vec<Arc<Branch>>;

/// A namespace that is not as the tree has it. One is enough: a change is to one namespace.
#[derive(Clone, Debug)]
struct Patch {
    name: Str,
    place: (usize, usize),
    /// `None` where nothing is left of it.
    state: Option<Arc<NamespaceState>>,
}

/// One version of the cluster's state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tree: Arc<Tree>,
    patch: Option<Patch>,
    cluster_policies: Arc<BTreeMap<Arc<ObjectRef>, Arc<PolicyObject>>>,
    version: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        // All alike until something is put in: sharing one empty shard and one empty branch is what is wanted.
        let shard = Arc::new(Shard::new());
        let empty: Arc<Branch> = Arc::new(std::iter::repeat_n(shard, WIDTH).collect());
        Self { tree: Arc::new(vec![empty; WIDTH]), patch: None, cluster_policies: Arc::default(), version: 0 }
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
        match &self.patch {
            Some(patch) if *patch.name == *name => patch.state.as_ref(),
            _ => self.in_tree(place_of(name), name),
        }
    }

    fn in_tree(&self, (branch, shard): (usize, usize), name: &str) -> Option<&Arc<NamespaceState>> {
        self.tree.get(branch)?.get(shard)?.get(name)
    }

    /// The namespace, or an empty one of that name: files often leave out the Namespace object (semantics 2.1.12).
    pub fn namespace_or_empty(&self, name: &str) -> Arc<NamespaceState> {
        self.namespace(name).cloned().unwrap_or_else(|| Arc::new(NamespaceState::named(name)))
    }

    /// Every namespace, in an order that is the same for equal states.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceState>> {
        let shards = self
            .tree
            .iter()
            .enumerate()
            .flat_map(|(b, branch)| branch.iter().enumerate().map(move |(s, shard)| ((b, s), shard)));
        shards.flat_map(|(place, shard)| in_shard(shard, self.patch.as_ref().filter(|patch| patch.place == place)))
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
            Object::Namespace(namespace) => self.edit(&namespace.name, place, |state| {
                if put { state.set_namespace(namespace) } else { state.unset_namespace() }
            }),
            Object::Policy(policy) => match &policy.id.namespace {
                Some(namespace) => self.edit(namespace, place, |state| {
                    if put { state.insert_policy(policy) } else { state.remove_policy(&policy.id) }
                }),
                None => {
                    let all = Arc::make_mut(&mut self.cluster_policies);
                    if put {
                        all.insert(Arc::clone(&policy.id), Arc::new(policy.clone()));
                    } else {
                        all.remove(&policy.id);
                    }
                }
            },
            // One that never counted, or no longer did, must not take another pod of its class with it.
            Object::Workload(workload) if workload.takes_part() => {
                if let Some(namespace) = &workload.id.namespace {
                    self.edit(namespace, place, |state| {
                        if put { state.insert_workload(workload) } else { state.remove_workload(workload) }
                    });
                }
            }
            Object::Workload(_) | Object::Unreadable(..) => {}
        }
    }

    /// Replaces all policies of one namespace: the answer of a consistent read.
    pub fn replace_policies(&mut self, namespace: &str, policies: &[PolicyObject]) {
        self.edit(namespace, Where::Tree, |state| state.replace_policies(policies));
    }

    fn edit(&mut self, namespace: &str, place: Where, change: impl FnOnce(&mut NamespaceState)) {
        if place == Where::Over {
            self.edit_over(namespace, change);
        } else {
            self.settle();
            self.edit_tree(namespace, change);
        }
    }

    /// Changes a namespace without a change to the tree.
    fn edit_over(&mut self, namespace: &str, change: impl FnOnce(&mut NamespaceState)) {
        if self.patch.as_ref().is_none_or(|patch| *patch.name != *namespace) {
            self.settle();
            let place = place_of(namespace);
            let state = self.in_tree(place, namespace).cloned();
            let name = state.as_ref().map_or_else(|| namespace.into(), |state| state.name().clone());
            self.patch = Some(Patch { name, place, state });
        }
        let Some(patch) = &mut self.patch else { return };
        let state = patch.state.get_or_insert_with(|| Arc::new(NamespaceState::named(namespace)));
        let state = Arc::make_mut(state);
        change(state);
        if state.is_empty() {
            patch.state = None;
        }
    }

    /// Writes what is laid over the tree into it.
    fn settle(&mut self) {
        let Some(Patch { name, place, state }) = self.patch.take() else { return };
        let Some(shard) = self.shard_mut(place) else { return };
        match state {
            Some(state) => shard.insert(name, state),
            None => shard.remove(&name),
        };
    }

    fn edit_tree(&mut self, namespace: &str, change: impl FnOnce(&mut NamespaceState)) {
        let Some(shard) = self.shard_mut(place_of(namespace)) else { return };
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

    fn shard_mut(&mut self, (branch, shard): (usize, usize)) -> Option<&mut Shard> {
        let branch = Arc::make_mut(&mut self.tree).get_mut(branch)?;
        Arc::make_mut(branch).get_mut(shard).map(Arc::make_mut)
    }
}

/// Whether something comes or goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    In,
    Out,
}

/// Where a change is noted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// In the tree: a version to come, which many readers will share.
    Tree,
    /// Over it: a world that is thrown away when its question is answered.
    Over,
}

/// The namespaces of a shard in the order of their names, one of them as the patch has it.
fn in_shard<'a>(shard: &'a Shard, patch: Option<&'a Patch>) -> impl Iterator<Item = &'a Arc<NamespaceState>> {
    let name = patch.map(|patch| &*patch.name);
    let below = move |n: &str| name.is_some_and(|name| n < name);
    let before = shard.iter().take_while(move |(n, _)| below(n));
    let after = shard.iter().skip_while(move |(n, _)| below(n)).filter(move |(n, _)| Some(&***n) != name);
    let before = before.map(|(_, state)| state);
    before.chain(patch.and_then(|patch| patch.state.as_ref())).chain(after.map(|(_, state)| state))
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

    /// Whatever way a change is noted, the same namespaces come out in the same order.
    #[test]
    fn laid_over_the_tree_and_written_into_it_are_the_same() {
        let there: Vec<Object> = (0..200).map(|i| pod(&format!("n{i}"), "a", "web")).collect();
        let base = Snapshot::of(&there);
        let changes = [
            Change::create(pod("n7", "b", "api")),
            Change::update(pod("n8", "a", "web"), pod("n8", "a", "api")),
            Change::delete(pod("n9", "a", "web")),
            Change::create(pod("new", "a", "web")),
            Change::delete(pod("never-there", "a", "web")),
        ];
        let seen = |snapshot: &Snapshot| snapshot.namespaces().map(|n| format!("{n:?}")).collect::<Vec<_>>();
        let (mut over, mut into) = (base.clone(), base.clone());
        for change in &changes {
            let mut one = base.clone();
            one.apply(change);
            assert_eq!(seen(&base.overlay(change)), seen(&one), "{change:?}");
            // Several in a row are of several namespaces: all but the last are written down.
            over = over.overlay(change);
            into.apply(change);
            assert_eq!(seen(&over), seen(&into), "{change:?}");
            let name = change.id.namespace();
            assert_eq!(over.namespace(name).is_some(), into.namespace(name).is_some());
        }
        assert_eq!(seen(&base).len(), 200, "nothing of it is in the world it was made of");
        assert_eq!(seen(&base.with(&there[3])).len(), 200);
        assert_eq!(seen(&base.without(&there[3])).len(), 199);
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
