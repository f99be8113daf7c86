//! The way out of a denial, proved: what rules propose is put into the world and the same request is judged again.

use super::{Case, Cure, Findings, Scope, Verdict, judge};
use crate::model::house::Level;
use crate::model::original::{Narrowing, Original};
use crate::model::{Change, Object, Policy, PolicyObject};
use crate::rules::Fix;
use crate::snapshot::Snapshot;

/// Tries what the findings propose, together. Nothing is offered that does not make the same request pass. What is to be sent
/// in place of the object takes the object itself, as it was written.
pub(super) fn prove(case: Case<'_>, original: Option<&dyn Original>, verdict: &Verdict) -> Cure {
    let mut first: Vec<Policy> = Vec::new();
    let mut narrower: Option<Narrowing> = None;
    for judged in verdict.at(Level::Enforce) {
        match &judged.finding.fix {
            Some(Fix::ApplyFirst(policies)) => {
                for policy in policies {
                    if !first.iter().any(|p| p.id == policy.id) {
                        first.push(policy.clone());
                    }
                }
            }
            Some(Fix::Narrow(narrowing)) => {
                let all = narrower.get_or_insert_default();
                all.rules.extend(narrowing.rules.iter().cloned());
                all.private = all.private.union(&narrowing.private);
            }
            None => {}
        }
    }
    // What warns, or is only recorded, keeps no request from passing.
    let case = Case { scope: Scope { findings: Findings::Denying, ..case.scope }, ..case };
    let passes = |cure: &Cure| passes(case, cure);
    if let Some(narrowing) = narrower {
        let Some(original) = original else { return Cure::None };
        // What is there on purpose goes only where the rest is not enough.
        let tried =
            [false, true].into_iter().filter_map(|all| original.narrowed(&Narrowing { all, ..narrowing.clone() }));
        let same = tried.filter(|written| written.object.id() == case.change.id);
        return same.map(|written| Cure::Instead(Box::new(written))).find(passes).unwrap_or_default();
    }
    let cure = Cure::First(first);
    if passes(&cure) { cure } else { Cure::None }
}

fn passes(case: Case<'_>, cure: &Cure) -> bool {
    match cure {
        Cure::None => false,
        Cure::Instead(written) => {
            let change = Change { after: Some(written.object.clone()), ..case.change.clone() };
            judge(Case { change: &change, ..case }).is_allowed()
        }
        Cure::First(policies) if policies.is_empty() => false,
        Cure::First(policies) => {
            // The fix itself goes through the gate as well.
            let admitted = || {
                let mut world = case.world.clone();
                policies.iter().all(|policy| {
                    let apply = Change::create(as_object(policy));
                    let admitted = judge(Case { world: &world, change: &apply, standing: false, ..case }).is_allowed();
                    world = world.overlay(&apply);
                    admitted
                })
            };
            if !case.proofs.map_or_else(admitted, |proofs| proofs.admits(policies, admitted)) {
                return false;
            }
            let apply = |world: Snapshot, policy: &Policy| world.with(&as_object(policy));
            let world = policies.iter().fold(case.world.clone(), apply);
            judge(Case { world: &world, ..case }).is_allowed()
        }
    }
}

fn as_object(policy: &Policy) -> Object {
    Object::Policy(PolicyObject {
        id: policy.id.clone(),
        policies: vec![policy.clone().into()],
        unread: Vec::new(),
        implicit_types: false,
    })
}
