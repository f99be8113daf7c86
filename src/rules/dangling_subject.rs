//! `dangling-subject`: a policy that selects no pod protects nothing.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use super::{fields, nearest};
use crate::model::house::{Level, RuleId};
use crate::model::pod::PodLookup;
use crate::model::selector::{Escape, escaping};
use crate::model::{NamespaceScope, Policy, PolicyObject, Selector};

declare_rule! {
    /// A policy should select pods that are there.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does its `podSelector` match a pod of its namespace now? If not, the label
    /// that comes nearest is named: the same key with nearly the same value, or the same value under another key.
    ///
    /// ## Why
    ///
    /// A policy with a slip in its selector is admitted, listed and counted, and does nothing.
    ///
    /// ## Refused
    ///
    /// `podSelector: {matchLabels: {app: web}}` where the pods carry `app.kubernetes.io/name: web`.
    ///
    /// ## Accepted
    ///
    /// A selector that matches, and the empty selector, which is meant for pods to come as well.
    ///
    /// ## Exceptions
    ///
    /// Where the namespace has no pods at all it is only recorded: charts create policies before workloads.
    ///
    /// ## References
    ///
    /// Kubernetes: *Labels and Selectors*; *Recommended Labels*.
    pub DanglingSubject = DanglingSubject, since "0.1.0"
}

impl Rule for DanglingSubject {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        // A rule for some of the pods makes a policy of its own of Calico's; the subject is that of the first.
        let most = if fields::is_calico(&object.id) { 1 } else { usize::MAX };
        for policy in object.policies.iter().take(most) {
            out.extend(judge(cx, object, policy));
        }
    }
}

fn judge(cx: &Context<'_>, object: &PolicyObject, policy: &Policy) -> Option<Finding> {
    let selector = &policy.subject.pods;
    // A subject that reaches several namespaces is judged as a peer would be, not by the pods of one of them.
    if selector.is_everything() || !matches!(policy.subject.namespaces, NamespaceScope::Named(_)) {
        return None;
    }
    let namespace = cx.namespace;
    let mut selected = namespace
        .classes()
        .iter()
        .filter(|class| selector.matches(&PodLookup { pod: class.pod(), namespace: namespace.labels() }))
        .peekable();
    let on_host = selected.peek().is_some();
    if selected.any(|class| !class.pod().host_network) {
        return None;
    }
    let (who, field) = (wording::policy(&object.id), fields::subject(&object.id));
    let found = |message: String| {
        Finding::new(RuleId::DanglingSubject, (*object.id).clone(), message).at(fields::subject_at(policy))
    };
    if on_host {
        return Some(found(format!(
            "{field} {selector} of {who} matches only pods on the host's network, and policies have no effect there"
        )));
    }
    let contradicts = escaping(&[&Selector::Not(Box::new(selector.clone()))]) == Escape::Impossible;
    if contradicts {
        return Some(found(format!(
            "{field} {selector} of {who} can never match a pod; its conditions exclude each other"
        )));
    }
    let finding = found(format!(
        "{field} {selector} of {who} matches no pod of namespace {}; correct it or create the workload",
        namespace.name()
    ));
    if namespace.classes().is_empty() {
        return Some(finding.because("the namespace has no pods yet").capped(Level::Audit));
    }
    let there = namespace.classes().iter().map(|class| &class.pod().labels);
    Some(match nearest::label(selector, there) {
        Some(instead) => finding.because(instead.sentence("pods there")),
        None => finding.because(labels_there(cx)),
    })
}

fn labels_there(cx: &Context<'_>) -> String {
    let mut all: Vec<String> = cx.namespace.classes().iter().map(|class| wording::labels(class.pod())).collect();
    all.sort();
    all.dedup();
    format!("pods there have {}", wording::few(&all, 3, "sets of labels"))
}
