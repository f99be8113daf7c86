//! Judges what is there already, again and again: what came before the webhook, what slipped through while it could not
//! answer, and what two requests broke together. The same review as at admission, so the verdicts are the same.

use std::collections::BTreeMap;

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
    /// Findings at warn or above, by namespace; namespaces without any are left out.
    pub by_namespace: BTreeMap<Str, usize>,
}

/// A log line and a status can name only so many.
pub const MOST_NAMED: usize = 50;

/// Namespaces that the webhook configuration never covers, besides Portcullis's own.
pub const NEVER_JUDGED: [&str; 3] = ["kube-system", "kube-node-lease", "kube-public"];

/// Judges every policy and every class of pods outside the namespaces that are never judged and `own`, Portcullis's.
/// Pure; the caller chooses the thread and the pace.
pub fn sweep(world: &World, own: &str) -> Sweep {
    let mut sweep = Sweep::default();
    let judged = |name: &str| name != own && !NEVER_JUDGED.contains(&name);
    let mut namespaces: Vec<_> = world.snapshot.namespaces().filter(|n| judged(n.name())).collect();
    namespaces.sort_by(|a, b| a.name().cmp(b.name()));
    for namespace in namespaces {
        for policy in namespace.policies() {
            let object = Object::Policy((**policy).clone());
            sweep.add(&standing(&world.snapshot, &world.house, &object));
        }
        for class in namespace.classes() {
            let object = as_workload(namespace, class);
            sweep.add(&standing(&world.snapshot, &world.house, &object));
        }
    }
    for assertion in world.snapshot.assertions() {
        sweep.add(&standing(&world.snapshot, &world.house, &Object::Assertion((**assertion).clone())));
    }
    for policy in world.snapshot.cluster_policies() {
        sweep.add(&standing(&world.snapshot, &world.house, &Object::Policy((**policy).clone())));
    }
    sweep
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

    #[test]
    fn a_pod_without_a_default_deny_is_found_whatever_the_mode() {
        let pod = Object::Workload(Workload {
            id: ObjectRef::namespaced("v1", "Pod", "shop", "a"),
            labels: Labels::default(),
            pod: Arc::new(PodSpec::with_labels(Labels::new([("app", "web")]))),
            controller: Some(crate::model::pod::Controller { kind: "Deployment".into(), name: "web".into() }),
            addresses: Vec::new(),
            finished: false,
            leaving: false,
            template_at: "",
        });
        let mut world = World { snapshot: Snapshot::of([&pod]), ..World::default() };
        world.house.cap = Level::Warn;
        let sweep = sweep(&world, "portcullis");
        assert_eq!(sweep.counts.get(&(RuleId::MissingDefaultDeny, Level::Warn)), Some(&2), "both directions");
        assert_eq!(sweep.by_namespace.get("shop"), Some(&2));
        assert_eq!(sweep.refused.len(), 1);
        assert_eq!(sweep.refused[0].0.to_string(), "Deployment shop/web");
    }
}
