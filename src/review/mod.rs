//! A change is judged: the rules look at the world before and after it, only what it makes worse is its fault,
//! and levels, exemptions and exceptions decide what follows.

mod assertions;
mod cluster;
mod cure;
mod levels;
mod proofs;
mod ratchet;
mod scope;
mod verdict;

use std::borrow::Cow;
use std::sync::Arc;

pub use assertions::{Assessed, Matched, Phase, assess};
pub use levels::{Effective, effective, lowers_level, may_record, without_own_labels};
pub use scope::{Findings, MOST_STEPS, MOST_STEPS_OF_STANDING, Scope};
pub use verdict::{Cure, Judged, Verdict};

use crate::model::house::{House, Level, RuleId};
use crate::model::meter::{self, Spent, within};
use crate::model::original::Original;
use crate::model::{Change, Object, ObjectRef, Operation, PolicyObject, Str, Unread};
use crate::rules::{Context, Finding, RULES, Rule};
use crate::snapshot::{NamespaceState, Snapshot};
use cluster::{Reached, There, Way};
use proofs::Proofs;

/// The state of a cluster and the rules that hold in it, published together so that a review sees both of one moment.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The cluster.
    pub snapshot: Snapshot,
    /// The house rules.
    pub house: House,
}

/// Who sends the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User name; service accounts are `system:serviceaccount:NAMESPACE:NAME`.
    pub name: Str,
    /// Groups.
    pub groups: Vec<Str>,
    /// The authenticator's id, where it gave one.
    pub uid: Option<Str>,
    /// What else the authenticator said, as the JSON it came in: only authorizers read it.
    pub extra: Option<Str>,
}

impl User {
    /// Whether this is one of Kubernetes' own workload controllers, acting on an object that was admitted before.
    ///
    /// The sender is authenticated by the API server; an ownerReference is not, and does not count.
    fn is_workload_controller(&self) -> bool {
        const CONTROLLERS: [&str; 7] = [
            "cronjob-controller",
            "daemon-set-controller",
            "deployment-controller",
            "job-controller",
            "replicaset-controller",
            "replication-controller",
            "statefulset-controller",
        ];
        self.name.strip_prefix("system:serviceaccount:kube-system:").is_some_and(|name| CONTROLLERS.contains(&name))
            || &*self.name == "system:kube-controller-manager"
    }
}

/// Judges a change to this world. `world` need not hold the object as it was: the change brings it.
pub fn review(world: &Snapshot, house: &House, change: &Change, user: &User) -> Verdict {
    decide(Case::new(world, house, change, user), None)
}

/// Judges a change like [`review`], within a scope.
pub fn review_within(world: &Snapshot, house: &House, change: &Change, user: &User, scope: Scope) -> Verdict {
    decide(Case { scope, ..Case::new(world, house, change, user) }, None)
}

/// Judges a change like [`review`], but with the original object, so that the suggested fix can be a narrowed version of
/// it, and within a scope.
pub fn review_written(
    world: &Snapshot,
    house: &House,
    change: &Change,
    user: &User,
    original: &dyn Original,
    scope: Scope,
) -> Verdict {
    decide(Case { scope, ..Case::new(world, house, change, user) }, Some(original))
}

/// What is judged.
#[derive(Clone, Copy)]
struct Case<'a> {
    world: &'a Snapshot,
    house: &'a House,
    change: &'a Change,
    user: &'a User,
    /// Whether the object is judged as something that is there already.
    standing: bool,
    scope: Scope,
    /// Fixes that were judged before in the same world.
    proofs: Option<&'a Proofs>,
}

fn decide(case: Case<'_>, original: Option<&dyn Original>) -> Verdict {
    let mut verdict = judge(case);
    if !verdict.is_allowed() {
        // A fix that takes too long to prove is not printed.
        verdict.cure =
            within(case.scope.steps_for(case.change), || cure::prove(case, original, &verdict)).unwrap_or_default();
    }
    verdict
}

fn judge(case: Case<'_>) -> Verdict {
    within(case.scope.steps_for(case.change), || judge_within(case)).unwrap_or_else(|spent| unjudged(case, spent))
}

/// The verdict on a change of which not even the state after it could be worked out.
fn unjudged(case: Case<'_>, spent: Spent) -> Verdict {
    let Case { world, house, change, .. } = case;
    let mut verdict = Verdict::new(change, world.version());
    let effective = effective(house, &world.namespace_or_empty(home(change)));
    verdict.findings.extend(case.too_large(&effective, None, spent));
    verdict
}

/// The namespace whose rules hold for the change.
fn home(change: &Change) -> &str {
    if change.id.kind == "Namespace" && change.id.namespace.is_none() { &change.id.name } else { change.id.namespace() }
}

fn judge_within(case: Case<'_>) -> Verdict {
    let Case { world, house, change, standing, .. } = case;
    let mut verdict = Verdict::new(change, world.version());
    let before = match &change.before {
        Some(object) => Cow::Owned(world.with(object)),
        None => Cow::Borrowed(world),
    };
    let after = before.overlay(change);
    let name = home(change);
    let (home_before, home_after) = (before.namespace_or_empty(name), after.namespace_or_empty(name));
    // A namespace that goes away takes its policies with it; nothing must keep it from going.
    if change.operation == Operation::Delete && (home_before.is_terminating() || change.id.kind == "Namespace") {
        return verdict;
    }
    let mut effective = effective(house, &home_after);
    effective.see(before.plugins());
    if standing {
        // What is let in with a warning is not let stand without one.
        Arc::make_mut(&mut effective.settings).on_create = Level::Enforce;
    }
    let cx_before = Context {
        world: &before,
        then: &before,
        change,
        object: change.before.as_ref(),
        policies: [linked(&before, change.before.as_ref()), linked(&after, change.after.as_ref())],
        settings: &effective.settings,
        namespace: &home_before,
        standing,
        touched: None,
        only_admits: false,
    };
    let cx_after = Context { world: &after, object: change.after.as_ref(), namespace: &home_after, ..cx_before };
    let reached = Reached::by(case, &before, &after);
    // What is wrong with a policy of the whole cluster is judged once, where the house rules are strictest about it.
    let strictest = reached.strictest(change, &effective);
    // Of an object that was not read there is nothing else to say than what that does to pods.
    let is_read = !change.after.as_ref().is_some_and(|object| object.unread().iter().any(Unread::is_too_large));
    let at_home = |rule: &dyn Rule| {
        let id = rule.meta().id;
        (rule.judges_pods() || !strictest.contains_key(&id))
            && (is_read || rule.judges_pods() || id == RuleId::TooLarge)
    };
    // Asked for by several rules, and in the world before only by those that find something.
    let touched = cx_after.judges_running_pods().then(|| cx_after.find_touched());
    let cx_after = Context { touched: touched.as_deref(), ..cx_after };
    let cx_after = Context { only_admits: cx_after.only_admits(&home_before), ..cx_after };
    case.look(&cx_before, &cx_after, &effective, at_home, &mut verdict.findings);
    // Its pods are judged in every namespace that it reaches, by the rules that hold there. One that stands already is not
    // asked about again: whoever looks at what stands looks at those pods themselves.
    let refers = matches!(change.object(), Some(Object::Tier(_) | Object::AddressGroup(_)));
    let mut elsewhere = Vec::new();
    for There { name, way, effective } in &reached.0 {
        let asked = |rule: &dyn Rule| {
            let of_pods = match way {
                Way::Policies => rule.judges_pods(),
                Way::Dns => rule.meta().id == RuleId::BlockedDns,
            };
            strictest.get(&rule.meta().id) == Some(&name)
                || (!standing && (of_pods || (refers && rule.judges_referring())))
        };
        if standing && !RULES.iter().any(|rule| asked(*rule)) {
            continue;
        }
        let (there_before, there_after) = (before.namespace_or_empty(name), after.namespace_or_empty(name));
        let cx_before = Context { settings: &effective.settings, namespace: &there_before, ..cx_before };
        let cx_after = Context { settings: &effective.settings, namespace: &there_after, touched: None, ..cx_after };
        let touched = cx_after.judges_running_pods().then(|| cx_after.find_touched());
        let cx_after = Context { touched: touched.as_deref(), ..cx_after };
        case.look(&cx_before, &cx_after, effective, asked, &mut elsewhere);
    }
    verdict.findings.extend(cluster::few_of_each(elsewhere));
    verdict.findings.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.finding.rule.cmp(&b.finding.rule)));
    verdict
}

/// A policy with the tiers and groups that it refers to.
fn linked<'a>(world: &'a Snapshot, object: Option<&'a Object>) -> Option<&'a PolicyObject> {
    let Some(Object::Policy(policy)) = object else { return None };
    Some(world.policy(&policy.id).map_or(policy, |held| &**held))
}

impl<'a> Case<'a> {
    const fn new(world: &'a Snapshot, house: &'a House, change: &'a Change, user: &'a User) -> Self {
        let scope = Scope { findings: Findings::All, steps: MOST_STEPS, in_time: u64::MAX };
        Self { world, house, change, user, standing: false, scope, proofs: None }
    }

    /// Asks rules about both worlds, and settles what is found.
    fn look(
        self,
        before: &Context<'_>,
        after: &Context<'_>,
        effective: &Effective,
        asked: impl Fn(&dyn Rule) -> bool,
        out: &mut Vec<Judged>,
    ) {
        let (mut then, mut now) = (Vec::new(), Vec::new());
        for rule in RULES.iter().copied().filter(|rule| asked(*rule)) {
            let (level, source) = effective.level(rule.meta().id);
            if !self.scope.findings.include(level.min(self.house.cap)) {
                continue;
            }
            now.clear();
            then.clear();
            // One rule cannot take what the others need.
            let judged = within(meter::left() / 2, || {
                rule.check(after, &mut now);
                if !now.is_empty() {
                    rule.check(before, &mut then);
                }
            });
            if let Err(spent) = judged {
                out.extend(self.too_large(effective, Some(rule.meta().id), spent));
                continue;
            }
            for found in ratchet::blame(&then, std::mem::take(&mut now)) {
                out.push(self.settle(effective, found, (level, source)));
            }
        }
    }

    /// What follows from a rule that could not be judged for its cost, or from a change of which none could.
    ///
    /// Rules that protect refuse what is not certainly right, others warn; what only records is left to the audit.
    fn too_large(self, effective: &Effective, rule: Option<RuleId>, spent: Spent) -> Option<Judged> {
        let (level, source) = effective.level(RuleId::TooLarge);
        let of_rule = rule.map_or(Level::Enforce, |rule| effective.level(rule).0);
        let finding = crate::rules::too_costly(self.change, rule, spent);
        let cap = if rule.is_none_or(RuleId::protects) { of_rule } else { of_rule.min(Level::Warn) };
        (level > Level::Off && cap > Level::Audit)
            .then(|| self.settle(effective, (finding.capped(cap), false), (level, source)))
    }

    /// From what was found to what follows.
    fn settle(
        self,
        effective: &Effective,
        (finding, pre_existing): (Finding, bool),
        (wanted, source): (Level, &Str),
    ) -> Judged {
        let Self { house, change, user, .. } = self;
        // A workload of which nothing could be read cannot be let through on the word of rules that saw nothing.
        let (wanted, source) = if Level::Off < wanted && wanted < Level::Enforce && unreadable_workload(change) {
            (Level::Enforce, "a workload of which nothing could be read".into())
        } else {
            (wanted, source.clone())
        };
        // What a controller makes was admitted with its owner, in any mode.
        let made = user.is_workload_controller() && matches!(change.object(), Some(Object::Workload(_)));
        let wanted = if made { wanted.min(house.from_controllers) } else { wanted };
        let mut level = wanted.min(finding.cap).min(house.cap);
        if pre_existing {
            // The writer of this object hears what is wrong with it; what was wrong with other pods before is for the audit.
            level =
                level.min(finding.cap_if_old).min(if finding.affected.is_empty() { Level::Warn } else { Level::Audit });
        }
        let lifted = effective.exemption(change, user).or_else(|| effective.exception(house, finding.rule, change));
        if lifted.is_some() {
            level = Level::Off;
        }
        Judged { finding, level, wanted, source, pre_existing, lifted }
    }
}

/// Whether the object is of a workload kind and could not be read at all. Policy kinds that are not read are another matter.
fn unreadable_workload(change: &Change) -> bool {
    matches!(&change.after, Some(Object::Unreadable(id, _)) if matches!(id.group(), "" | "apps" | "batch"))
}

/// Judges an existing object as though it were the last to arrive, without looking for a fix: what the background audit
/// does.
pub fn standing(world: &Snapshot, house: &House, object: &Object) -> Verdict {
    let (world, change, user) = (&world.without(object), &Change::create(object.clone()), &User::default());
    judge(Case { standing: true, scope: Scope::of_standing(), ..Case::new(world, house, change, user) })
}

/// Judges the existing objects of one world, with fixes: what `check` does. One fix often serves many objects, and is judged
/// once.
#[derive(Debug)]
pub struct Standing<'a> {
    world: &'a World,
    proofs: Proofs,
}

impl<'a> Standing<'a> {
    /// A judge of the objects in this world.
    pub fn new(world: &'a World) -> Self {
        Self { world, proofs: Proofs::default() }
    }

    /// Judges an object; `original` is the object as it was written.
    pub fn judge(&self, object: &Object, original: &dyn Original) -> Verdict {
        let World { snapshot, house } = self.world;
        let (world, change, user) = (&snapshot.without(object), &Change::create(object.clone()), &User::default());
        let case = Case {
            standing: true,
            scope: Scope::of_standing(),
            proofs: Some(&self.proofs),
            ..Case::new(world, house, change, user)
        };
        decide(case, Some(original))
    }
}

/// The namespace state a change would leave, for callers that need its labels.
pub fn home_of(world: &Snapshot, id: &ObjectRef) -> std::sync::Arc<NamespaceState> {
    world.namespace_or_empty(if id.kind == "Namespace" { &id.name } else { id.namespace() })
}
