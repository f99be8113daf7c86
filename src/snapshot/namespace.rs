//! One namespace: its labels, its policies, and its pods folded into classes.
//!
//! Pods of one owner that policies cannot tell apart are one class, so that a cluster of 100,000 pods is judged as the
//! few thousand different pods it consists of.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
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
    /// All templates, those too of which pods have been seen.
    templates: Arc<Vec<Template>>,
}

/// The template of one object.
#[derive(Clone, Debug)]
struct Template {
    owner: Owner,
    pod: Arc<PodSpec>,
    kind: Str,
    name: Str,
}

impl Template {
    fn key(&self) -> (&Owner, &PodSpec, &str, &str) {
        (&self.owner, &self.pod, &self.kind, &self.name)
    }

    fn class(&self) -> Arc<PodClass> {
        Arc::new(PodClass {
            owner: self.owner.clone(),
            pod: Arc::clone(&self.pod),
            count: 1,
            samples: vec![self.name.clone()],
            addresses: Vec::new(),
            from_template: true,
        })
    }
}

impl NamespaceState {
    /// An empty namespace of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self {
            namespace: Namespace::named(name),
            known: false,
            policies: Arc::default(),
            classes: Arc::default(),
            templates: Arc::default(),
        }
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

    /// Pod classes in the order of their owners. A template is among them only while no pod of its owner is like it: nobody
    /// counts twice.
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
        if workload.is_pod() { self.insert_pod(&owner, workload) } else { self.insert_template(&owner, workload) }
    }

    fn insert_pod(&mut self, owner: &Owner, pod: &Workload) {
        let found = self.find_class(owner, &pod.pod);
        if let Ok(i) = found
            && !self.classes[i].from_template
        {
            let class = Arc::make_mut(&mut Arc::make_mut(&mut self.classes)[i]);
            class.count += 1;
            if class.samples.len() < SAMPLES {
                class.samples.push(pod.id.name.clone());
            }
            class.addresses.extend_from_slice(&pod.addresses);
            return;
        }
        let class = Arc::new(PodClass {
            owner: owner.clone(),
            pod: Arc::clone(&pod.pod),
            count: 1,
            samples: vec![pod.id.name.clone()],
            addresses: pod.addresses.clone(),
            from_template: false,
        });
        let classes = Arc::make_mut(&mut self.classes);
        match found {
            Ok(i) => classes[i] = class,
            Err(i) => classes.insert(i, class),
        }
        self.show_templates(owner);
    }

    /// Inserting a template again changes nothing, so that a state can be asked to have what it may have already.
    fn insert_template(&mut self, owner: &Owner, workload: &Workload) {
        let Err(i) = self.find_template(owner, workload) else { return };
        let (pod, name) = (Arc::clone(&workload.pod), workload.id.name.clone());
        let kind = workload.id.kind.as_ref().into();
        Arc::make_mut(&mut self.templates).insert(i, Template { owner: owner.clone(), pod, kind, name });
        self.show_templates(owner);
    }

    pub(super) fn remove_workload(&mut self, workload: &Workload) {
        let owner = Owner::of(workload);
        if workload.is_pod() {
            self.remove_pod(&owner, workload);
        } else if let Ok(i) = self.find_template(&owner, workload) {
            // Running pods go by their own deletes.
            Arc::make_mut(&mut self.templates).remove(i);
            self.show_templates(&owner);
        }
    }

    fn remove_pod(&mut self, owner: &Owner, pod: &Workload) {
        let Ok(i) = self.find_class(owner, &pod.pod) else { return };
        if self.classes[i].from_template {
            return;
        }
        let classes = Arc::make_mut(&mut self.classes);
        if classes[i].count <= 1 {
            classes.remove(i);
            self.show_templates(owner);
            return;
        }
        let class = Arc::make_mut(&mut classes[i]);
        class.count -= 1;
        class.samples.retain(|name| *name != pod.id.name);
        for address in &pod.addresses {
            if let Some(at) = class.addresses.iter().position(|a| a == address) {
                class.addresses.swap_remove(at);
            }
        }
    }

    /// Puts the templates of an owner among the classes of its pods, as far as no pod is like them.
    fn show_templates(&mut self, owner: &Owner) {
        let here = self.of_owner(owner);
        let Some(now) = self.classes.get(here.clone()) else { return };
        let first = self.templates.partition_point(|template| template.owner < *owner);
        let templates = self.templates.iter().skip(first).take_while(|template| template.owner == *owner);
        let mut classes: Vec<Arc<PodClass>> = now.iter().filter(|class| !class.from_template).cloned().collect();
        let hidden: Vec<bool> =
            templates.clone().map(|t| classes.iter().any(|class| is_of(&class.pod, &t.pod))).collect();
        classes.extend(templates.zip(hidden).filter(|(_, hidden)| !hidden).map(|(template, _)| template.class()));
        classes.sort_by(|a, b| a.key().cmp(&b.key()));
        classes.dedup_by(|a, b| a.key() == b.key());
        if now != classes {
            Arc::make_mut(&mut self.classes).splice(here, classes);
        }
    }

    /// Where the classes of an owner are.
    fn of_owner(&self, owner: &Owner) -> Range<usize> {
        let start = self.classes.partition_point(|class| class.owner < *owner);
        let count = self.classes.iter().skip(start).take_while(|class| class.owner == *owner).count();
        start..start + count
    }

    fn find_class(&self, owner: &Owner, pod: &PodSpec) -> Result<usize, usize> {
        self.classes.binary_search_by(|class| class.key().cmp(&(owner, pod)))
    }

    fn find_template(&self, owner: &Owner, workload: &Workload) -> Result<usize, usize> {
        let wanted = (owner, &*workload.pod, workload.id.kind.as_ref(), &*workload.id.name);
        self.templates.binary_search_by(|template| template.key().cmp(&wanted))
    }
}

/// Labels that Kubernetes itself adds to the pods of a template.
const ADDED: [&str; 12] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/job-completion-index",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Whether a pod is as the template says. Where that is not certain both are kept, and judged.
fn is_of(pod: &PodSpec, template: &PodSpec) -> bool {
    pod.host_network == template.host_network
        && (&pod.service_account, &pod.dns, &pod.ports) == (&template.service_account, &template.dns, &template.ports)
        && template.labels.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        && pod.labels.iter().all(|(key, _)| template.labels.get(key).is_some() || ADDED.contains(&&**key))
}

fn policy_key(id: &ObjectRef) -> (&str, &str, &str) {
    (&id.name, &id.kind, &id.api_version)
}
