//! Whose policies a pod has: those that select it, all of them or the ones that a question is about.

use std::sync::Arc;

use super::decide::Ranking;
use crate::model::meter::charge;
use crate::model::pod::PodLookup;
use crate::model::{PodSpec, Policy};
use crate::snapshot::{NamespaceState, Snapshot};

/// The policies in force that select the pod, in the order of their tiers and priorities.
pub fn selecting<'a>(snapshot: &'a Snapshot, namespace: &'a NamespaceState, pod: &PodSpec) -> Vec<&'a Arc<Policy>> {
    let mut policies = Vec::with_capacity(32);
    policies.extend(selecting_of(snapshot, namespace, pod, |_| true));
    policies.sort_by(|a, b| Ranking::Own.compare(a, b));
    policies
}

/// Those of them that are also asked for, in no order. Whether a policy selects a pod takes longest to tell, and is looked at last.
pub fn selecting_of<'a>(
    snapshot: &'a Snapshot,
    namespace: &'a NamespaceState,
    pod: &PodSpec,
    asked: impl Fn(&Policy) -> bool,
) -> impl Iterator<Item = &'a Arc<Policy>> {
    let here = snapshot.policies_in(namespace).filter(move |policy| {
        charge(1);
        !pod.host_network && asked(policy)
    });
    here.filter(move |policy| policy.subject.pods.matches(&PodLookup { pod, namespace: namespace.labels() }))
}

/// Whether the policies that may apply in a namespace are NetworkPolicies: then none takes away what another lets through, and
/// what some of them let through is let through by all of them together.
pub fn only_admit(snapshot: &Snapshot, namespace: &NamespaceState) -> bool {
    snapshot.policies_in(namespace).all(|policy| policy.tier.is_network_policy())
}
