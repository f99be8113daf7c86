//! `staged-only`: a default deny that is only staged denies nothing.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::{Object, Policy};
use crate::reach::{DefaultDeny, default_deny, staged_default_deny};

declare_rule! {
    /// A default deny that is only staged does not protect the namespace yet.
    ///
    /// ## What it checks
    ///
    /// When a workload is created or changed, or a staged policy is: does the namespace have no default deny, although it
    /// would have one if staged policies (Calico's `StagedNetworkPolicy`, `StagedGlobalNetworkPolicy` and
    /// `StagedKubernetesNetworkPolicy`) were enforced?
    ///
    /// ## Why
    ///
    /// A staged policy is listed beside the others and enforced nowhere. It is the right way to try a default deny, and
    /// easily forgotten.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// apiVersion: projectcalico.org/v3
    /// kind: StagedNetworkPolicy
    /// metadata: {name: default-deny, namespace: shop}
    /// spec:
    ///   types: [Ingress, Egress]
    /// ```
    ///
    /// as the only default deny of the namespace.
    ///
    /// ## Accepted
    ///
    /// The same as `NetworkPolicy`, or both.
    ///
    /// ## Exceptions
    ///
    /// Nothing is found where a default deny is in force, staged policies or not. That a namespace has none at all is for
    /// `missing-default-deny`.
    ///
    /// ## References
    ///
    /// Calico: *Staged network policies*.
    pub StagedOnly = StagedOnly, since "0.1.0"
}

impl Rule for StagedOnly {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let judged = match cx.object {
            Some(Object::Workload(workload)) => !workload.pod.host_network && !workload.finished,
            Some(Object::Policy(object)) => {
                object.policies.iter().any(|policy: &std::sync::Arc<Policy>| !policy.is_in_force())
            }
            _ => false,
        };
        if !judged || cx.namespace.name().is_empty() {
            return;
        }
        for &direction in &cx.settings.default_deny_directions {
            // Asked first, because nearly no namespace has staged policies.
            let staged = staged_default_deny(cx.world, cx.namespace, direction);
            let in_force = || default_deny(cx.world, cx.namespace, direction, cx.settings.dialect);
            if staged.is_empty() || matches!(in_force(), DefaultDeny::Present(_)) {
                continue;
            }
            let object = cx.change.object().map_or_else(|| cx.change.id.clone(), Object::id);
            let message = format!(
                "the default deny for {direction} in namespace {} is only staged ({}); enforce it",
                cx.namespace.name(),
                wording::policies(&staged)
            );
            let mut finding = Finding::new(RuleId::StagedOnly, object, message)
                .keyed(direction.as_str())
                .because("staged policies are shown and never enforced".to_owned());
            finding.rests_on_absence = true;
            out.push(finding);
        }
    }
}
