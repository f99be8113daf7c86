//! `open-cidr` for policies that are in order one by one and open private addresses beside public ones to the same pod: when
//! such a pod comes, and when a policy makes it possible.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::open_cidr::{guilty, violation};
use super::opens::{counts_for_nothing, may_open, opens_addresses, opens_everything};
use super::rule::{Context, Finding};
use super::wording;
use crate::model::house::{Level, RuleId};
use crate::model::meter::charge;
use crate::model::selector::{Escape, SERVICE_ACCOUNT_KEY, escaping, not};
use crate::model::{
    Direction, FieldPath, IpSet, Labels, Object, PodSpec, Policy, PolicyObject, PortSet, TierSemantics, Workload,
};
use crate::reach::{Exposure, Opening, beyond, openings, private_beside_public, selecting, selecting_of};

/// Other policies that a policy is compared with. Beyond them the review of the pod decides.
const MOST_PAIRS: usize = 32;

/// Different selections of policies among running pods that are compared with those of a new pod.
const MOST_SELECTIONS: usize = 16;

/// Running pod classes whose selection is looked at.
const MOST_CLASSES: usize = 1_000;

/// Judges the policies of a workload's pods together.
pub(super) fn check(cx: &Context<'_>, out: &mut Vec<Finding>) {
    let Some(workload) = cx.workload() else { return };
    // Existing pods are judged with each policy that selects them.
    if cx.standing || workload.finished || workload.pod.host_network {
        return;
    }
    for &direction in &cx.settings.open_cidr.directions {
        out.extend(of_workload(cx, workload, direction));
    }
}

fn of_workload(cx: &Context<'_>, workload: &Workload, direction: Direction) -> Option<Finding> {
    let (all, open) = together(cx, &workload.pod, direction)?;
    let mut more = open.clone();
    if !cx.is_before() {
        if let Some(Object::Workload(old)) = &cx.change.before {
            let there = cx.then.namespace_or_empty(cx.namespace.name());
            let before = Context { world: cx.then, namespace: &there, touched: None, ..*cx };
            more = together(&before, &old.pod, direction).map_or(more, |(_, then)| beyond(&open, &then));
        }
        if !more.is_empty() && runs_already(cx, &workload.pod, direction, &open) {
            return None;
        }
    }
    let all: Vec<&Opening<'_>> = all.iter().collect();
    let ids: BTreeSet<String> = guilty(&all, &open).map(|o| wording::policy(&o.policy.id)).collect();
    let names = wording::few(&ids.into_iter().collect::<Vec<_>>(), 4, "policies");
    let found = violation(cx, &workload.id, &all, &all, open)?;
    let message = format!(
        "{} of {}{} opens private addresses {} beside public ones on {}, by {names} together; narrow one of \
         the policies, or change the labels",
        direction.field(),
        if workload.is_pod() { "" } else { "pods of " },
        workload.id,
        addresses(&found.open).summary(4),
        ports(&found.open),
    );
    let at = if workload.is_pod() { FieldPath::default() } else { FieldPath::new(workload.template_at) };
    // A change that opens more than the pods had is another finding.
    let key = if cx.is_before() || more.is_empty() { direction.to_string() } else { format!("{direction}: more") };
    let mut finding = Finding::new(RuleId::OpenCidr, workload.id.clone(), message)
        .keyed(key)
        .at(at.field("metadata").field("labels"));
    finding.because = found.because;
    Some(finding)
}

/// A policy that together with another one opens private addresses beside public ones to a pod that may come: one that both
/// select, although neither it nor another such pod runs yet.
pub(super) fn possible(cx: &Context<'_>, object: &PolicyObject, direction: Direction) -> Option<Finding> {
    if cx.standing {
        return None;
    }
    let opens = |policy: &Policy| policy.rules(direction).iter().any(opens_addresses);
    let private = &cx.settings.open_cidr.private;
    let opens_private = |policy: &Policy| policy.rules(direction).iter().any(|rule| may_open(rule, private));
    for policy in object.policies.iter().filter(|policy| opens(policy)) {
        let by_itself = opens_private(policy);
        let others = cx.world.policies_in(cx.namespace).filter(|other| {
            charge(1);
            !(other.id == policy.id && other.subject == policy.subject)
                && opens(other)
                && (by_itself || opens_private(other))
        });
        for other in others.take(MOST_PAIRS) {
            let alike = PodSpec::default();
            if combined(cx, &openings(&[policy, other], direction, &alike)).is_empty() {
                continue;
            }
            let Some(pod) = selected_by_both(cx, policy, other) else { continue };
            let Some((all, open)) = together(cx, &pod, direction) else { continue };
            let all: Vec<&Opening<'_>> = all.iter().collect();
            let mine: Vec<&Opening<'_>> = all.iter().copied().filter(|o| o.policy.id == object.id).collect();
            if guilty(&mine, &open).next().is_none() {
                continue;
            }
            let found = violation(cx, &object.id, &mine, &all, open)?;
            let message = format!(
                "{} of {} and {} together opens private addresses {} beside public ones on {} to a pod with labels {}; \
                 narrow one of them, or select different pods",
                direction.field(),
                wording::policy(&object.id),
                wording::policy(&other.id),
                addresses(&found.open).summary(4),
                ports(&found.open),
                wording::labels(&pod),
            );
            let mut finding = Finding::new(RuleId::OpenCidr, (*object.id).clone(), message)
                .keyed(format!("{direction} with {}", other.id))
                .at(found.path)
                .capped(Level::Warn);
            finding.because = found.because;
            return Some(finding);
        }
    }
    None
}

/// A pod that two policies of the namespace both select, if there can be one.
fn selected_by_both(cx: &Context<'_>, one: &Policy, other: &Policy) -> Option<PodSpec> {
    let outside = [one, other].map(|policy| not(policy.subject.pods.in_namespace(cx.namespace.labels()).into_owned()));
    let Escape::By(labels) = escaping(&[&outside[0], &outside[1]]) else { return None };
    let account = labels.get(SERVICE_ACCOUNT_KEY).cloned();
    let plain =
        Labels::new(labels.iter().filter(|(key, _)| !key.starts_with('@')).map(|(k, v)| (k.clone(), v.clone())));
    let mut pod = PodSpec::with_labels(plain);
    pod.service_account = account.unwrap_or(pod.service_account);
    Some(pod)
}

/// What all policies that select a pod open to it, and what of that is private beside public only because there are several.
fn together<'a>(cx: &Context<'a>, pod: &PodSpec, direction: Direction) -> Option<(Vec<Opening<'a>>, Vec<Exposure>)> {
    let private = &cx.settings.open_cidr.private;
    let opens_private = |policy: &Policy| policy.rules(direction).iter().any(|rule| may_open(rule, private));
    selecting_of(cx.world, cx.namespace, pod, opens_private).next()?;
    let policies: Vec<&Policy> = selecting(cx.world, cx.namespace, pod).into_iter().map(|p| &**p).collect();
    let [first, _, ..] = policies.as_slice() else { return None };
    // In a union nothing is open to a pod that is not open by a policy that opens everything.
    let union = |p: &&Policy| p.tier.semantics == TierSemantics::Union && p.tier.order == first.tier.order;
    if policies.iter().all(union) && policies.iter().any(|policy| opens_everything(policy, direction)) {
        return None;
    }
    let mut all = openings(&policies, direction, pod);
    all.retain(|opening| !counts_for_nothing(cx, opening));
    let open = combined(cx, &all);
    (!open.is_empty()).then_some((all, open))
}

/// What is private beside public, less what a policy opens alone: that is found with the policy.
fn combined(cx: &Context<'_>, all: &[Opening<'_>]) -> Vec<Exposure> {
    let settings = &cx.settings.open_cidr;
    let mut open = private_beside_public(&all.iter().collect::<Vec<_>>(), settings);
    // The openings of a policy stand one after another.
    for alone in all.chunk_by(|a, b| std::ptr::eq(a.policy, b.policy)) {
        if open.is_empty() {
            break;
        }
        open = beyond(&open, &private_beside_public(&alone.iter().collect::<Vec<_>>(), settings));
    }
    open
}

/// Whether pods that run in the namespace before the change reach as much already.
fn runs_already(cx: &Context<'_>, pod: &PodSpec, direction: Direction, open: &[Exposure]) -> bool {
    let without;
    let world = match &cx.change.before {
        Some(object) => {
            without = cx.then.without(object);
            &without
        }
        None => cx.then,
    };
    let there = world.namespace_or_empty(cx.namespace.name());
    let classes = || there.classes().iter().map(|class| class.pod()).filter(|class| !class.host_network);
    let alike = |class: &&Arc<PodSpec>| {
        charge(1);
        class.labels == pod.labels && class.service_account == pod.service_account
    };
    if classes().any(|class| alike(&class)) {
        return true;
    }
    let opens = |policy: &Policy| policy.rules(direction).iter().any(opens_addresses);
    let mut seen = BTreeSet::new();
    for class in classes().take(MOST_CLASSES) {
        let selection: Vec<_> = selecting_of(cx.world, cx.namespace, class, opens).map(|policy| &*policy.id).collect();
        if selection.is_empty() || !seen.insert(selection) {
            continue;
        }
        if seen.len() > MOST_SELECTIONS {
            break;
        }
        if together(cx, class, direction).is_some_and(|(_, theirs)| beyond(open, &theirs).is_empty()) {
            return true;
        }
    }
    false
}

fn addresses(open: &[Exposure]) -> IpSet {
    IpSet::union_all(open.iter().map(|e| &e.addresses))
}

fn ports(open: &[Exposure]) -> PortSet {
    open.iter().fold(PortSet::empty(), |all, e| all.union(&e.ports))
}
