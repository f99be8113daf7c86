//! `missing-default-deny`: the namespace of a workload must deny by default.

use std::sync::Arc;

use super::rule::{Affected, Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::{suggest, wording};
use crate::model::house::RuleId;
use crate::model::{Action, Direction, IpSet, Object, Peer, Policy};
use crate::reach::{DefaultDeny, Missing, default_deny, denies_by_default};

declare_rule! {
    /// A workload may only run where traffic is denied unless a policy allows it.
    ///
    /// ## What it checks
    ///
    /// When a workload is created or changed, when a policy is changed or deleted, and when a namespace's labels change:
    /// is *any* pod of the namespace, whatever its labels, isolated for Ingress and for Egress, and do the policies that
    /// select every pod allow less than everything? Policies are judged together and by what they do. Two policies, one
    /// per direction, are a default deny; so are two policies whose selectors only together cover every pod. A policy
    /// that is *named* default-deny and allows everything is not one. Everything is every pod of every namespace, or every
    /// address, on every port of TCP; selectors that leave out only what does not exist, and ports of which less than 1 % are
    /// left out, are everything as well.
    ///
    /// ## Why
    ///
    /// Without a default deny every pod that no policy selects talks to the whole cluster, and a new workload starts
    /// like that on the day somebody forgets its policy.
    ///
    /// ## Refused
    ///
    /// A Deployment in a namespace without policies, or with `policyTypes: [Ingress]` only.
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: default-deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress, Egress]
    /// ```
    ///
    /// ## Exceptions
    ///
    /// Setting `directions` (default `[Ingress, Egress]`) names the directions that need a default deny. Pods on the
    /// host's network are not judged: policies do not apply to them (see `host-network`). Deleting a workload is never
    /// refused. Deleting a policy is not refused in a namespace that is empty. A pod counts until it is gone or finished,
    /// also while it is being deleted: a grace period can be long. A workload with a pod template counts while none of its
    /// pods runs: a Deployment with `replicas: 0`, a CronJob, a suspended Job. Finished Jobs do not count, nor do workloads
    /// that are being deleted. To delete a whole application, delete its policies last, or delete its namespace.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Default policies".
    pub MissingDefaultDeny = MissingDefaultDeny, since "0.1.0"
}

impl Rule for MissingDefaultDeny {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn judges_pods(&self) -> bool {
        true
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let affected: Vec<Affected> = match cx.workload() {
            Some(workload) if workload.pod.host_network || workload.finished => return,
            Some(_) => Vec::new(),
            // A new policy of the union never takes a default deny away. One that is consulted before may.
            None if cx.judges_running_pods() && !cx.adds_to_union() => {
                let running = cx.namespace.classes().iter().filter(|class| !class.pod().host_network);
                let affected: Vec<Affected> = running.map(|class| Affected::of(class)).collect();
                if affected.is_empty() {
                    return;
                }
                affected
            }
            None => return,
        };
        let missing: Vec<(Direction, Missing)> = cx
            .settings
            .default_deny_directions
            .iter()
            .filter_map(|&direction| match default_deny(cx.world, cx.namespace, direction, cx.settings.dialect) {
                DefaultDeny::Missing(missing) => Some((direction, missing)),
                DefaultDeny::Present(_) => None,
            })
            .collect();
        // One policy mends all directions at once.
        let directions: Vec<Direction> = missing.iter().map(|(direction, _)| *direction).collect();
        for (direction, missing) in &missing {
            let mut finding = finding(cx, *direction, missing);
            finding.affected.clone_from(&affected);
            finding.fix = Some(Fix::ApplyFirst(suggest::default_deny(cx, &directions)));
            out.push(finding);
        }
    }
}

fn finding(cx: &Context<'_>, direction: Direction, missing: &Missing) -> Finding {
    let namespace = cx.namespace.name();
    let object = cx.change.object().map_or_else(|| cx.change.id.clone(), Object::id);
    let message = format!("no default deny for {direction} in namespace {namespace}");
    let mut finding = Finding::new(RuleId::MissingDefaultDeny, object, message)
        .keyed(direction.as_str())
        .because(reason(cx, direction, missing));
    let not_read: Vec<&Arc<Policy>> = cx.world.policies_in(cx.namespace).filter(|p| p.is_not_read()).collect();
    if !not_read.is_empty() {
        let names = wording::policies(not_read);
        finding = finding.because(format!("what {names} isolates is not known, because it is too large to read"));
    }
    finding.rests_on_absence = true;
    finding
}

fn reason(cx: &Context<'_>, direction: Direction, missing: &Missing) -> String {
    match missing {
        Missing::Escapes(_, isolating) if isolating.is_empty() => {
            let opposite = if direction == Direction::Ingress { Direction::Egress } else { Direction::Ingress };
            let other: Vec<String> = cx
                .world
                .policies_in(cx.namespace)
                .filter(|p| p.subject.pods.matches_everything() && denies_by_default(p, opposite))
                .map(|p| wording::policy(&p.id))
                .collect();
            let passing = cx
                .world
                .policies_in(cx.namespace)
                .filter(|p| p.isolates(direction) && p.rules(direction).iter().any(|rule| rule.action == Action::Pass));
            let passing: Vec<_> = passing.collect();
            if !passing.is_empty() {
                let names = wording::policies(passing);
                return format!("{names} leaves everything to later tiers for {direction}, and none of them denies");
            }
            match other.as_slice() {
                [] => format!("no policy isolates pods for {direction}"),
                names => {
                    format!("no policy isolates pods for {direction} ({} covers {opposite} only)", names.join(", "))
                }
            }
        }
        Missing::Escapes(labels, isolating) => {
            format!("a pod with {} is not isolated by {}", describe(labels), wording::policies(isolating))
        }
        Missing::Open(open) => {
            let (lets, its) = if open.len() == 1 { ("lets", "its") } else { ("together let", "their") };
            let (who, what) = match direction {
                Direction::Ingress => (whom(open, direction), "every pod"),
                Direction::Egress => ("every pod", whom(open, direction)),
            };
            format!("{} {lets} {who} reach {what}; narrow {its} rules", wording::policies(open))
        }
        Missing::Unproven(entangled) => {
            format!(
                "the selectors of {} are too entangled to prove that they cover every pod",
                wording::policies(entangled)
            )
        }
    }
}

/// Whom policies that leave everything open let in or out: pods of the cluster alone, unless they name all addresses as well.
fn whom(open: &[Arc<Policy>], direction: Direction) -> &'static str {
    let rules = open.iter().flat_map(|policy| policy.rules(direction)).filter(|rule| rule.action != Action::Deny);
    let addresses: Vec<IpSet> = rules.flat_map(|rule| &rule.peers).map(Peer::addresses).collect();
    let all = IpSet::union_all(&addresses);
    if all.v4().is_full() || all.v6().is_full() { "everyone" } else { "every pod of the cluster" }
}

fn describe(labels: &crate::model::Labels) -> String {
    if labels.is_empty() { "no labels".to_owned() } else { format!("labels {labels}") }
}
