//! `host-network`: a pod on the node's network is out of reach for policies.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use crate::model::FieldPath;
use crate::model::house::RuleId;

declare_rule! {
    /// A workload on the host's network is not protected by any NetworkPolicy.
    ///
    /// ## What it checks
    ///
    /// When a workload is created or changed: does its pod (or its template) set `hostNetwork: true`?
    ///
    /// ## Why
    ///
    /// Such a pod has the node's addresses. Selectors do not see it, neither as the pod that is protected nor as a peer,
    /// and what it may reach is what the node may reach. Nobody sees that in the policies of its namespace.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// spec:
    ///   hostNetwork: true
    /// ```
    ///
    /// ## Accepted
    ///
    /// A pod on its own network. Where a port of the node is what is needed, `hostPort` on one container gives just that.
    ///
    /// ## Exceptions
    ///
    /// CNI agents, node exporters and kube-proxy need the node's network. They belong in namespaces that the house rules
    /// exempt. Finished pods are not judged.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Pod traffic" and `hostNetwork` pods; *Pod Security Standards*, "Host Namespaces".
    pub HostNetwork = HostNetwork, since "0.1.0"
}

impl Rule for HostNetwork {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(workload) = cx.workload() else { return };
        if !workload.pod.host_network || workload.finished {
            return;
        }
        let at = if workload.is_pod() { FieldPath::default() } else { FieldPath::new(workload.template_at) };
        let selecting = cx.world.policies_in(cx.namespace).filter(|p| p.subject.pods.matches(&workload.pod.labels));
        let finding = Finding::new(
            RuleId::HostNetwork,
            workload.id.clone(),
            format!(
                "hostNetwork of {} takes its pods out of reach of every policy; give them a network of their own",
                workload.id
            ),
        );
        let mut finding = finding.at(at.field("spec").field("hostNetwork"));
        let in_vain: Vec<_> = selecting.collect();
        if !in_vain.is_empty() {
            let (has, names) = (if in_vain.len() == 1 { "has" } else { "have" }, super::wording::policies(in_vain));
            let fact = format!("{names} would select these pods by their labels and {has} no effect on them");
            finding = finding.because(fact);
        }
        out.push(finding);
    }
}
