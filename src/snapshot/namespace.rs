//! One namespace: its labels, its policies, and its pods folded into classes.
//!
//! Pods of one owner that policies cannot tell apart are one class, so that a cluster of 100,000 pods is judged as the
//! few thousand different pods it consists of.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::links::{Held, Links, Touched};
use crate::model::{Labels, Namespace, NamespaceScope, ObjectRef, PodSpec, PolicyObject, Str, Workload};

/// How many pod names a class remembers for messages.
const SAMPLES: usize = 3;

/// Whom pods belong to, as people name things: the top controller, or the pod itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// `Deployment`, `StatefulSet`, `Pod`…
    pub kind: Str,
    /// Its name.
    pub name: Str,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Owner {
    /// The owner of a workload: its controller, or the workload itself.
    pub fn of(workload: &Workload) -> Self {
        match &workload.controller {
            Some(controller) => Self { kind: controller.kind.clone(), name: controller.name.clone() },
            None => Self { kind: workload.id.kind.as_ref().into(), name: workload.id.name.clone() },
        }
    }
}

/// Pods of one owner that policies cannot tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodClass {
    owner: Owner,
    pod: Arc<PodSpec>,
    count: u32,
    samples: Vec<Str>,
    addresses: Vec<IpAddr>,
    from_template: bool,
}

impl PodClass {
    /// Whom they belong to.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What they look like.
    pub const fn pod(&self) -> &Arc<PodSpec> {
        &self.pod
    }

    /// How many there are; a template counts as one.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Names of a few of them.
    pub fn samples(&self) -> &[Str] {
        &self.samples
    }

    /// Their addresses, as far as they are known.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether this is (only) a template: no pod of it has been seen.
    pub const fn is_template(&self) -> bool {
        self.from_template
    }

    fn key(&self) -> (&Owner, &PodSpec) {
        (&self.owner, &self.pod)
    }
}

/// One namespace.
#[derive(Clone, Debug)]
pub struct NamespaceState {
    namespace: Namespace,
    known: bool,
    // Shared, so that a change of the one does not copy the other.
    policies: Arc<Vec<Held>>,
    classes: Arc<Vec<Arc<PodClass>>>,
}

impl NamespaceState {
    /// An empty namespace of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self { namespace: Namespace::named(name), known: false, policies: Arc::default(), classes: Arc::default() }
    }

    /// Name.
    pub const fn name(&self) -> &Str {
        &self.namespace.name
    }

    /// Labels; the name label is always there.
    pub const fn labels(&self) -> &Labels {
        &self.namespace.labels
    }

    /// Whether it is being deleted.
    pub const fn is_terminating(&self) -> bool {
        self.namespace.terminating
    }

    /// Whether the Namespace object itself has been seen.
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// The namespace as an object.
    pub const fn object(&self) -> &Namespace {
        &self.namespace
    }

    /// Policy objects in the order of their names.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<PolicyObject>> {
        self.policies.iter().map(Held::linked)
    }

    pub(super) fn held(&self, id: &ObjectRef) -> Option<&Held> {
        self.find_policy(id).ok().and_then(|i| self.policies.get(i))
    }

    pub(super) fn held_policies(&self) -> impl Iterator<Item = &Held> {
        self.policies.iter()
    }

    /// Policies that come out otherwise with what is touched.
    pub(super) fn relinked(&self, links: &Links, touched: &Touched) -> Vec<Held> {
        self.policies.iter().filter_map(|held| held.again(links, touched)).collect()
    }

    /// Pod classes in the order of their owners.
    pub fn classes(&self) -> &[Arc<PodClass>] {
        &self.classes
    }

    /// Whether it is in the scope.
    pub fn is_in(&self, scope: &NamespaceScope) -> bool {
        match scope {
            NamespaceScope::Named(name) => name == self.name(),
            NamespaceScope::Matching(selector) => selector.matches(self.labels()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.known && self.policies.is_empty() && self.classes.is_empty()
    }

    pub(super) fn set_namespace(&mut self, namespace: &Namespace) {
        self.namespace = namespace.clone();
        self.known = true;
    }

    pub(super) fn unset_namespace(&mut self) {
        self.namespace = Namespace::named(self.namespace.name.clone());
        self.known = false;
    }

    pub(super) fn insert_policy(&mut self, held: Held) {
        let found = self.find_policy(&held.written().id);
        let policies = Arc::make_mut(&mut self.policies);
        match found {
            Ok(i) => policies[i] = held,
            Err(i) => policies.insert(i, held),
        }
    }

    pub(super) fn remove_policy(&mut self, id: &ObjectRef) {
        if let Ok(i) = self.find_policy(id) {
            Arc::make_mut(&mut self.policies).remove(i);
        }
    }

    fn find_policy(&self, id: &ObjectRef) -> Result<usize, usize> {
        self.policies.binary_search_by(|held| policy_key(&held.written().id).cmp(&policy_key(id)))
    }

    pub(super) fn insert_workload(&mut self, workload: &Workload) {
        let owner = Owner::of(workload);
        match self.find_class(&owner, &workload.pod) {
            Ok(i) => {
                if !workload.is_pod() {
                    return;
                }
                let class = Arc::make_mut(&mut Arc::make_mut(&mut self.classes)[i]);
                if class.from_template {
                    // The first pod takes the place of the template that announced it.
                    class.from_template = false;
                    class.count = 0;
                    class.samples.clear();
                }
                class.count += 1;
                if class.samples.len() < SAMPLES {
                    class.samples.push(workload.id.name.clone());
                }
                class.addresses.extend_from_slice(&workload.addresses);
            }
            Err(i) => {
                let class = PodClass {
                    owner,
                    pod: Arc::clone(&workload.pod),
                    count: 1,
                    samples: vec![workload.id.name.clone()],
                    addresses: workload.addresses.clone(),
                    from_template: !workload.is_pod(),
                };
                Arc::make_mut(&mut self.classes).insert(i, Arc::new(class));
            }
        }
    }

    pub(super) fn remove_workload(&mut self, workload: &Workload) {
        let Ok(i) = self.find_class(&Owner::of(workload), &workload.pod) else { return };
        // A template that goes away does not take running pods with it: they go by their own deletes.
        if self.classes[i].from_template == workload.is_pod() {
            return;
        }
        let classes = Arc::make_mut(&mut self.classes);
        if classes[i].count <= 1 {
            classes.remove(i);
            return;
        }
        let class = Arc::make_mut(&mut classes[i]);
        class.count -= 1;
        class.samples.retain(|name| *name != workload.id.name);
        for address in &workload.addresses {
            if let Some(at) = class.addresses.iter().position(|a| a == address) {
                class.addresses.swap_remove(at);
            }
        }
    }

    fn find_class(&self, owner: &Owner, pod: &PodSpec) -> Result<usize, usize> {
        self.classes.binary_search_by(|class| class.key().cmp(&(owner, pod)))
    }
}

fn policy_key(id: &ObjectRef) -> (&str, &str, &str) {
    (&id.name, &id.kind, &id.api_version)
}
