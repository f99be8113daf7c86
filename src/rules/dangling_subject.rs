//! `dangling-subject`: a policy that selects no pod protects nothing.

use std::sync::Arc;

use super::nearest::{self, Words};
use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{fields, wording};
use crate::model::house::{Level, RuleId};
use crate::model::meter::charge;
use crate::model::pod::PodLookup;
use crate::model::selector::{Escape, escaping};
use crate::model::{FieldPath, NamespaceScope, Policy, PolicyObject, Selector};

declare_rule! {
    /// A policy should select pods that are there.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does its `podSelector` match a pod of its namespace now? If not, the label
    /// that comes nearest is named: the same key with nearly the same value, or the same value under another key. A
    /// policy of the whole cluster is asked about in all namespaces that it names, and whether there is one.
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
    /// Where the namespace has no pods at all it is only recorded: charts create policies before workloads. So is a
    /// GlobalNetworkPolicy without a `namespaceSelector`, which may be for host endpoints.
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
        // What could not be read is taken as selecting nobody, which is not what anybody wrote.
        let read = |policy: &&Arc<Policy>| object.unread.is_empty() || policy.subject.pods != Selector::nothing();
        for policy in object.policies.iter().take(most).filter(read) {
            out.extend(judge(cx, object, policy));
        }
    }
}

fn judge(cx: &Context<'_>, object: &PolicyObject, policy: &Policy) -> Option<Finding> {
    let selector = &policy.subject.pods;
    if let NamespaceScope::Matching(scope) = &policy.subject.namespaces {
        return across(cx, object, policy, scope);
    }
    if selector.is_everything() {
        return None;
    }
    let namespace = cx.namespace;
    let touched = cx.touched(None);
    let mut selected = touched
        .iter()
        .filter(|class| selector.matches(&PodLookup { pod: class.pod(), namespace: namespace.labels() }))
        .peekable();
    let on_host = selected.peek().is_some();
    if selected.any(|class| !class.pod().host_network) {
        return None;
    }
    let place = format!("namespace {}", namespace.name());
    let (finding, by_itself) = nobody(object, policy, on_host, &place);
    if by_itself {
        return Some(finding);
    }
    if namespace.classes().is_empty() {
        return Some(finding.because("the namespace has no pods yet").capped(Level::Audit));
    }
    let there = namespace.classes().iter().map(|class| &class.pod().labels);
    Some(match nearest::label(selector, &Words::of(there)) {
        Some(instead) => finding.because(instead.sentence("pods there")),
        None => finding.because(labels_there(cx)),
    })
}

/// That a selector matches no pod of this place, and whether the selector is enough to see why.
fn nobody(object: &PolicyObject, policy: &Policy, on_host: bool, place: &str) -> (Finding, bool) {
    let selector = &policy.subject.pods;
    let what = format!("{} {selector} of {}", fields::subject(&object.id), wording::policy(&object.id));
    let contradicts = || escaping(&[&Selector::Not(Box::new(selector.clone()))]) == Escape::Impossible;
    let (message, by_itself) = if on_host {
        (format!("{what} matches only pods on the host's network, and policies have no effect there"), true)
    } else if contradicts() {
        (format!("{what} can never match a pod; its conditions exclude each other"), true)
    } else {
        (format!("{what} matches no pod of {place}; correct it or create the workload"), false)
    };
    let finding = Finding::new(RuleId::DanglingSubject, (*object.id).clone(), message);
    (finding.at(fields::subject_at(policy)), by_itself)
}

/// A policy of the whole cluster. The search ends with the first pod that it selects.
fn across(cx: &Context<'_>, object: &PolicyObject, policy: &Policy, scope: &Selector) -> Option<Finding> {
    let selector = &policy.subject.pods;
    if selector.is_everything() && scope.is_everything() {
        return None;
    }
    let (mut namespaces, mut first, mut pods, mut on_host) = (0_usize, None, false, false);
    for namespace in cx.world.in_scope(&policy.subject.namespaces) {
        if selector.is_everything() {
            return None;
        }
        namespaces += 1;
        first.get_or_insert(namespace.name());
        pods |= !namespace.classes().is_empty();
        charge(1);
        for class in namespace.classes() {
            charge(1);
            if selector.matches(&PodLookup { pod: class.pod(), namespace: namespace.labels() }) {
                if !class.pod().host_network {
                    return None;
                }
                on_host = true;
            }
        }
    }
    let place = match (namespaces, first) {
        (0, _) | (_, None) => return Some(no_namespace(cx, object, policy, scope)),
        _ if scope.is_everything() => "the cluster".to_owned(),
        (1, Some(name)) => format!("namespace {name}"),
        (several, _) => format!("the {several} namespaces it names"),
    };
    let (finding, by_itself) = nobody(object, policy, on_host, &place);
    if by_itself {
        return Some(finding);
    }
    if !pods {
        return Some(finding.because("there are no pods yet").capped(Level::Audit));
    }
    if fields::is_calico(&object.id) && scope.is_everything() {
        return Some(finding.because("it may be for host endpoints, which are not seen here").capped(Level::Audit));
    }
    let there = || cx.world.in_scope(&policy.subject.namespaces).flat_map(|n| n.classes()).map(|c| &c.pod().labels);
    Some(match nearest::label(selector, &Words::of(there())) {
        Some(instead) => finding.because(instead.sentence("pods there")),
        None => finding,
    })
}

fn no_namespace(cx: &Context<'_>, object: &PolicyObject, policy: &Policy, scope: &Selector) -> Finding {
    let id = &object.id;
    let field = if fields::is_calico(id) { "namespaceSelector" } else { fields::subject(id) };
    let message = format!(
        "{field} of {} matches no namespace ({scope}); correct it or create the namespace",
        wording::policy(id)
    );
    let at = if fields::is_calico(id) { FieldPath::new("spec").field(field) } else { fields::subject_at(policy) };
    let finding = Finding::new(RuleId::DanglingSubject, (**id).clone(), message).at(at);
    let directory = cx.world.directory();
    if directory.names().is_empty() {
        return finding.because("no Namespace object has been seen").capped(Level::Audit);
    }
    match nearest::label(scope, directory) {
        Some(instead) => finding.because(instead.sentence("namespaces")),
        None => finding,
    }
}

fn labels_there(cx: &Context<'_>) -> String {
    let mut all: Vec<String> = cx.namespace.classes().iter().map(|class| wording::labels(class.pod())).collect();
    all.sort();
    all.dedup();
    format!("pods there have {}", wording::few(&all, 3, "sets of labels"))
}
