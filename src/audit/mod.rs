//! Judges what is there already, again and again: what came before the webhook, what slipped through while it could not
//! answer, and what two requests broke together. The same review as at admission, so the verdicts are the same.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model::house::{Level, RuleId};
use crate::model::{Labels, Object, ObjectRef, Str, Workload};
use crate::review::{Judged, Verdict, World, standing};
use crate::snapshot::{NamespaceState, PodClass};

/// Violations by rule and wanted level, over the whole cluster.
pub type Counts = BTreeMap<(RuleId, Level), usize>;

/// What one sweep over a world found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// How many findings of which rule at which level.
    pub counts: Counts,
    /// Objects that would be refused today, at most [`MOST_NAMED`], in a fixed order.
    pub refused: Vec<(ObjectRef, RuleId, String)>,
    /// Objects that were judged.
    pub objects: usize,
    /// Objects whose review failed in this sweep.
    pub failures: Vec<Failure>,
    /// Objects that were left out, because their review failed in a sweep before and they have not changed since.
    pub skipped: usize,
    /// Findings at warn or above, by namespace; namespaces without any are left out.
    pub by_namespace: BTreeMap<Str, usize>,
}

/// A log line and a status can name only so many.
pub const MOST_NAMED: usize = 50;

/// Namespaces that the webhook configuration never covers, besides Portcullis's own.
pub const NEVER_JUDGED: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];

/// Sweeps a world, and remembers the objects whose review failed.
#[derive(Debug, Default)]
pub struct Auditor {
    /// Each object as it was when its review failed.
    failed: Vec<Object>,
}

/// An object whose review failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The object.
    pub object: ObjectRef,
    /// The panic's message.
    pub message: String,
}

impl Auditor {
    /// Judges every policy and every class of pods outside the namespaces that are never judged and `own`, Portcullis's.
    ///
    /// A review that panics is caught, so that the others are judged all the same. Its object is left out of later sweeps
    /// until the object changes. The caller chooses the thread and the pace.
    pub fn sweep(&mut self, world: &World, own: &str) -> Sweep {
        self.sweep_with(world, own, |object| standing(&world.snapshot, &world.house, object))
    }

    fn sweep_with(&mut self, world: &World, own: &str, judge: impl Fn(&Object) -> Verdict) -> Sweep {
        let mut sweep = Sweep::default();
        let failed = std::mem::take(&mut self.failed);
        for object in objects(world, own) {
            if failed.contains(&object) {
                sweep.skipped += 1;
                self.failed.push(object);
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| judge(&object))) {
                Ok(verdict) => sweep.add(&verdict),
                Err(panic) => {
                    sweep.failures.push(Failure { object: object.id(), message: message_of(&*panic) });
                    self.failed.push(object);
                }
            }
        }
        sweep
    }
}

/// Everything that is judged, in a fixed order.
fn objects<'a>(world: &'a World, own: &'a str) -> impl Iterator<Item = Object> + 'a {
    let judged = move |name: &str| name != own && !NEVER_JUDGED.contains(&name);
    let mut namespaces: Vec<_> = world.snapshot.namespaces().filter(|n| judged(n.name())).collect();
    namespaces.sort_by(|a, b| a.name().cmp(b.name()));
    let within = namespaces.into_iter().flat_map(|namespace| {
        let policies = namespace.policies().map(|policy| Object::Policy((**policy).clone()));
        policies.chain(namespace.classes().iter().map(|class| as_workload(namespace, class)))
    });
    let assertions = world.snapshot.assertions().map(|assertion| Object::Assertion((**assertion).clone()));
    let cluster = world.snapshot.cluster_policies().map(|policy| Object::Policy((**policy).clone()));
    within.chain(assertions).chain(cluster)
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

impl Sweep {
    fn add(&mut self, verdict: &Verdict) {
        self.objects += 1;
        // Being cut off is what a change does to pods; of pods that nobody may reach it is often the wish.
        let stands = |judged: &&Judged| judged.level != Level::Off && judged.finding.rule != RuleId::SeveredPods;
        for judged in verdict.findings.iter().filter(stands) {
            *self.counts.entry((judged.finding.rule, judged.level)).or_default() += 1;
            if judged.level >= Level::Warn
                && let Some(namespace) = &verdict.object.namespace
            {
                *self.by_namespace.entry(namespace.clone()).or_default() += 1;
            }
        }
        // The mode caps what is done about it, not what is wrong.
        let wanted = verdict
            .findings
            .iter()
            .find(|j| j.lifted.is_none() && !j.pre_existing && j.wanted.min(j.finding.cap) == Level::Enforce);
        if let Some(judged) = wanted
            && self.refused.len() < MOST_NAMED
        {
            self.refused.push((verdict.object.clone(), judged.finding.rule, judged.finding.message.clone()));
        }
    }
}

/// A class of pods as the workload it belongs to.
fn as_workload(namespace: &NamespaceState, class: &PodClass) -> Object {
    let owner = class.owner();
    Object::Workload(Workload {
        id: ObjectRef {
            api_version: api_version(&owner.kind).into(),
            kind: owner.kind.to_string().into(),
            namespace: Some(namespace.name().clone()),
            name: owner.name.clone(),
        },
        labels: Labels::default(),
        pod: class.pod().clone(),
        controller: None,
        addresses: class.addresses().to_vec(),
        finished: false,
        leaving: false,
        template_at: "",
    })
}

/// Owners are named by kind alone; the group of the well-known ones is certain.
fn api_version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        _ => "v1",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::PodSpec;
    use crate::snapshot::Snapshot;

    fn pod(name: &'static str) -> Object {
        Object::Workload(Workload {
            id: ObjectRef::namespaced("v1", "Pod", "shop", name),
            labels: Labels::default(),
            pod: Arc::new(PodSpec::with_labels(Labels::new([("app", name)]))),
            controller: Some(crate::model::pod::Controller { kind: "Deployment".into(), name: name.into() }),
            addresses: Vec::new(),
            finished: false,
            leaving: false,
            template_at: "",
        })
    }

    #[test]
    fn a_pod_without_a_default_deny_is_found_whatever_the_mode() {
        let mut world = World { snapshot: Snapshot::of([&pod("web")]), ..World::default() };
        world.house.cap = Level::Warn;
        let sweep = Auditor::default().sweep(&world, "portcullis");
        assert_eq!(sweep.counts.get(&(RuleId::MissingDefaultDeny, Level::Warn)), Some(&2), "both directions");
        assert_eq!(sweep.by_namespace.get("shop"), Some(&2));
        assert_eq!(sweep.refused.len(), 1);
        assert_eq!(sweep.refused[0].0.to_string(), "Deployment shop/web");
    }

    #[test]
    fn a_review_that_panics_is_named_once_and_the_others_are_judged() {
        let (bad, good) = (pod("bad"), pod("good"));
        let mut world = World { snapshot: Snapshot::of([&bad, &good]), ..World::default() };
        let mut auditor = Auditor::default();
        let mut sweep = |world: &World| {
            auditor.sweep_with(world, "portcullis", |object| {
                assert_ne!(&*object.id().name, "bad", "scripted");
                standing(&world.snapshot, &world.house, object)
            })
        };
        let first = sweep(&world);
        assert_eq!((first.objects, first.skipped), (1, 0));
        assert_eq!(first.failures[0].object.to_string(), "Deployment shop/bad");
        assert!(first.failures[0].message.contains("scripted"), "{:?}", first.failures);
        let second = sweep(&world);
        assert_eq!((second.objects, second.skipped, second.failures.len()), (1, 1, 0), "not judged again");
        let Object::Workload(mut changed) = bad else { panic!("a workload") };
        changed.pod = Arc::new(PodSpec::with_labels(Labels::new([("app", "worse")])));
        world.snapshot = Snapshot::of([&Object::Workload(changed), &good]);
        let third = sweep(&world);
        assert_eq!((third.objects, third.skipped, third.failures.len()), (1, 0, 1), "a changed object is judged");
    }
}
