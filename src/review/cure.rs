//! The way out of a denial, proved: what rules propose is put into the world and the same request is judged again.

use super::{Cure, User, Verdict, judge};
use crate::model::house::{House, Level};
use crate::model::{Change, Object, Policy, PolicyObject};
use crate::rules::Fix;
use crate::snapshot::Snapshot;

/// Tries what the findings propose, together. Nothing is offered that does not make the same request pass.
pub(super) fn prove(
    world: &Snapshot,
    house: &House,
    change: &Change,
    user: &User,
    standing: bool,
    verdict: &Verdict,
) -> Cure {
    let mut first: Vec<Policy> = Vec::new();
    let mut instead = None;
    for judged in verdict.at(Level::Enforce) {
        match &judged.finding.fix {
            Some(Fix::ApplyFirst(policies)) => {
                for policy in policies {
                    if !first.iter().any(|p| p.id == policy.id) {
                        first.push(policy.clone());
                    }
                }
            }
            Some(Fix::ApplyInstead(policy)) => instead = Some(policy.clone()),
            None => {}
        }
    }
    let cure = match (first.is_empty(), instead) {
        (_, Some(policy)) => Cure::Instead(policy),
        (false, None) => Cure::First(first),
        (true, None) => return Cure::None,
    };
    if passes(world, house, change, user, standing, &cure) { cure } else { Cure::None }
}

fn passes(world: &Snapshot, house: &House, change: &Change, user: &User, standing: bool, cure: &Cure) -> bool {
    match cure {
        Cure::None => false,
        Cure::Instead(policy) => {
            let change = Change { after: Some(as_object(policy)), ..change.clone() };
            judge(world, house, &change, user, standing).is_allowed()
        }
        Cure::First(policies) => {
            let mut world = world.clone();
            for policy in policies {
                let apply = Change::create(as_object(policy));
                // The cure itself goes through the gate as well.
                if !judge(&world, house, &apply, user, false).is_allowed() {
                    return false;
                }
                world = world.overlay(&apply);
            }
            judge(&world, house, change, user, standing).is_allowed()
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
