//! `too-large`: what costs more to judge than a review may take.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use crate::model::house::RuleId;
use crate::model::meter::Spent;
use crate::model::{Change, Object, Unread};

declare_rule! {
    /// Every object is judged within bounds, or not admitted.
    ///
    /// ## What it checks
    ///
    /// When an object is created or changed: does it have more parts than are read, or do the rules take more steps to judge
    /// the change than a review may take?
    ///
    /// ## Why
    ///
    /// An API server that waits too long for an answer admits the request (`failurePolicy: Ignore`) or rejects it together
    /// with those of others (`Fail`). One object must not be able to cause that.
    ///
    /// ## Refused
    ///
    /// A policy with 30,000 rules, or with a selector of 30,000 keys. The largest policies that are published have a few
    /// thousand address blocks; docs/threat-model.md has the ceilings and what they were compared with.
    ///
    /// ## Accepted
    ///
    /// The same rules in several policies. To delete such an object, or to change it while it stays too large, is never
    /// refused.
    ///
    /// ## Exceptions
    ///
    /// A policy that was stored before the rule held is kept without its rules. It may allow or deny anything to the pods
    /// of its namespace, so verdicts about them are *Depends*: rules that protect (`missing-default-deny`, `open-cidr`,
    /// `broken-assertion`) refuse and name it, rules about availability do not. Where only a rule about availability takes
    /// too many steps, the finding is a warning.
    ///
    /// ## References
    ///
    /// Kubernetes: *Dynamic Admission Control*, "Timeouts".
    pub TooLarge = TooLarge, since "0.2.0"
}

impl Rule for TooLarge {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let unread = cx.object.map(Object::unread).unwrap_or_default();
        let Some(part) = unread.iter().find(|part| part.is_too_large()) else { return };
        let id = cx.change.id.clone();
        let message = format!("{id} is too large to judge; split it into several objects");
        out.push(Finding::new(RuleId::TooLarge, id, message).keyed("size").because(said(part)));
    }
}

fn said(part: &Unread) -> String {
    part.what.split(':').next().unwrap_or_default().to_owned()
}

/// The finding about a change that takes more steps than a review may take; `rule` is the one that could not be judged.
pub fn too_costly(change: &Change, rule: Option<RuleId>, spent: Spent) -> Finding {
    let id = &change.id;
    let what = rule.map_or_else(|| "the state after the change".to_owned(), |rule| format!("the rule {rule}"));
    let message = match change.object() {
        Some(Object::Workload(_) | Object::Namespace(_)) | None => {
            format!(
                "the policies of namespace {} are too large to judge {id}; split or delete the largest of them",
                if id.namespace.is_some() { id.namespace() } else { &*id.name }
            )
        }
        _ => format!("{id} is too large to judge together with the policies and pods that are there; split it"),
    };
    Finding::new(RuleId::TooLarge, id.clone(), message)
        .keyed(rule.map_or("change", RuleId::as_str))
        .because(format!("{what} takes more than {} steps", spent.limit))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::policy::Priority;
    use crate::model::{NamespaceScope, ObjectRef, Policy, PolicyObject, Tier};
    use crate::rules::fixtures::{judge, pod, said};

    /// A stored policy whose rules were not read.
    fn stored(tier: Arc<Tier>) -> Object {
        let id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "shop", "feed"));
        let scope = NamespaceScope::Named("shop".into());
        let policy = Policy::not_read(Arc::clone(&id), tier, Priority::LAST, scope, "too large to read".into());
        Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread: Vec::new(), implicit_types: false })
    }

    #[test]
    fn rules_that_protect_refuse_and_name_a_stored_policy_that_was_not_read() {
        let created = Change::create(pod("shop", "web", &[]));
        for tier in [Tier::network_policy(), Tier::cilium(), Tier::calico("kube-admin")] {
            let verdict = judge(RuleId::MissingDefaultDeny, &[stored(tier)], &created);
            assert_eq!(verdict.findings.len(), 2, "{:?}", said(&verdict));
            for judged in &verdict.findings {
                let because = judged.finding.because.join("; ");
                assert!(!verdict.is_allowed() && because.contains("feed"), "{because}");
            }
        }
    }

    #[test]
    fn rules_about_availability_do_not_refuse_for_a_stored_policy_that_was_not_read() {
        let created = Change::create(pod("shop", "web", &[]));
        for tier in [Tier::network_policy(), Tier::cilium(), Tier::calico("kube-admin")] {
            let verdict = judge(RuleId::BlockedDns, &[stored(tier)], &created);
            assert!(verdict.is_allowed(), "{:?}", said(&verdict));
        }
    }
}
