//! `severed-pods`: running pods that a policy change leaves with nothing allowed in a direction.

use super::rule::{Affected, Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::{Level, RuleId};
use crate::model::{Action, Direction, Object, Peer, Policy};
use crate::reach::{denies_by_default, only_admit, selecting, selecting_of};
use crate::snapshot::PodClass;

declare_rule! {
    /// A policy change should not cut running pods off from everything.
    ///
    /// ## What it checks
    ///
    /// When a policy is created, changed or deleted: which running pods of the namespace are isolated in a direction
    /// afterwards and have no rule at all that allows something there? Pods to which that happened before are
    /// only recorded.
    ///
    /// ## Why
    ///
    /// A default deny that arrives before the policies that allow takes a namespace off the network for as long as the
    /// rest takes to come, or for good if it never does. Probes still pass, because the node may always reach its pods.
    ///
    /// ## Refused
    ///
    /// A default deny for Ingress and Egress in a namespace whose pods no other policy selects.
    ///
    /// ## Accepted
    ///
    /// The policies that allow first, then the default deny.
    ///
    /// ## Exceptions
    ///
    /// Pods that are meant to talk to nobody (a batch job on its own volume) can be left as they are: the finding warns.
    /// Pods on the host's network are not judged, nor is a new NetworkPolicy for pods that others isolate already: it takes
    /// nothing away.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Default deny all ingress and all egress traffic".
    pub SeveredPods = SeveredPods, since "0.1.0"
}

impl Rule for SeveredPods {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn judges_pods(&self) -> bool {
        true
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if !cx.changes_policy() || cx.only_admits {
            return;
        }
        // Where policies only admit, one that does is enough, and there is no need to know all that select a pod.
        let one_is_enough = only_admit(cx.world, cx.namespace);
        let has_one = |class: &PodClass, direction| {
            let mut some =
                selecting_of(cx.world, cx.namespace, class.pod(), |policy| allows_something(policy, direction));
            some.next().is_some()
        };
        let is_told = |class: &PodClass| one_is_enough && Direction::BOTH.into_iter().all(|d| has_one(class, d));
        let touched = cx.touched(None);
        let open = touched.iter().filter(|class| !class.pod().host_network && !is_told(class));
        let pods: Vec<_> = open.map(|class| (class, selecting(cx.world, cx.namespace, class.pod()))).collect();
        for direction in Direction::BOTH {
            let mut affected = Vec::new();
            let mut isolating = Vec::new();
            for (class, policies) in &pods {
                let mut by: Vec<_> = policies
                    .iter()
                    .copied()
                    .filter(|p| p.isolates(direction) || denies_by_default(p, direction))
                    .collect();
                // What comes after the first tier that denies is never asked.
                let Some(first) = by.iter().map(|p| p.tier.order).min() else { continue };
                by.retain(|p| p.tier.order == first);
                if !policies.iter().any(|p| p.tier.order <= first && allows_something(p, direction)) {
                    affected.push(Affected::of(class));
                    isolating.extend(by);
                }
            }
            if affected.is_empty() {
                continue;
            }
            let object = cx.change.object().map_or_else(|| cx.change.id.clone(), Object::id);
            let message = format!(
                "pods of namespace {} are isolated for {direction} with nothing allowed; apply what they need first",
                cx.namespace.name()
            );
            let mut finding = Finding::new(RuleId::SeveredPods, object, message)
                .keyed(direction.as_str())
                .because(format!(
                    "isolated by {}, and no policy that selects them has an {direction} rule that admits anyone",
                    wording::policies(isolating),
                ))
                .helped("allow before deny: apply the policies that allow, then the default deny");
            finding.affected = affected;
            // It is the cut that is worth a warning, not every change of a namespace in which somebody is cut off.
            finding.cap_if_old = Level::Audit;
            finding.rests_on_absence = true;
            out.push(finding);
        }
    }
}

fn allows_something(policy: &Policy, direction: Direction) -> bool {
    policy.rules(direction).iter().any(|rule| {
        rule.action != Action::Deny
            && rule.peers.iter().any(|peer| !matches!(peer, Peer::Nobody))
            && !(rule.ports.numbers.is_empty() && rule.ports.names.is_empty())
    })
}
