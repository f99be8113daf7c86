//! Changes that reach many namespaces: which ones are judged, and how what is found there is told.

use std::collections::{BTreeMap, BTreeSet};

use super::Judged;
use crate::model::house::{Level, RuleId};
use crate::model::{Change, Object, PolicyObject, Str};
use crate::snapshot::Snapshot;

/// Namespaces judged for one change. Each costs a look at its pods, and a review has seconds; the background audit looks
/// at all of them.
const MOST_NAMESPACES: usize = 1_000;

/// Findings told for each rule and level.
const MOST_TOLD: usize = 5;

/// Namespaces that the change reaches beside the one it is in: those of the pods that a policy selects, and those of the
/// policies that refer to a tier or a group, in the order of their names.
pub(super) fn reached(change: &Change, before: &Snapshot, after: &Snapshot) -> Vec<Str> {
    let states: Vec<&Object> = change.before.iter().chain(&change.after).collect();
    let mut names: BTreeSet<Str> = BTreeSet::new();
    for (object, world) in [(&change.before, before), (&change.after, after)] {
        match object {
            Some(Object::Policy(object)) if object.id.namespace.is_none() => selected(object, world, &mut names),
            Some(Object::Tier(_) | Object::AddressGroup(_)) => {
                for object in world.referring(&states) {
                    match &object.id.namespace {
                        Some(namespace) => drop(names.insert(namespace.clone())),
                        None => selected(object, world, &mut names),
                    }
                }
            }
            _ => {}
        }
    }
    names.remove(change.id.namespace());
    names.into_iter().take(MOST_NAMESPACES).collect()
}

/// Namespaces with pods in the scope of a policy.
fn selected(object: &PolicyObject, world: &Snapshot, names: &mut BTreeSet<Str>) {
    for policy in &object.policies {
        let there = world.in_scope(&policy.subject.namespaces);
        names.extend(there.filter(|n| !n.classes().is_empty()).map(|n| n.name().clone()));
    }
}

/// A few findings of each rule and level; the last of them says how many more there are.
pub(super) fn few_of_each(found: Vec<Judged>) -> Vec<Judged> {
    let mut groups: BTreeMap<(RuleId, Level), Vec<Judged>> = BTreeMap::new();
    for judged in found {
        groups.entry((judged.finding.rule, judged.level)).or_default().push(judged);
    }
    let mut few = Vec::new();
    for mut group in groups.into_values() {
        let more = group.len().saturating_sub(MOST_TOLD);
        group.truncate(MOST_TOLD);
        if more > 0
            && let Some(last) = group.last_mut()
        {
            last.finding.because.push(format!("and {more} more like this in other namespaces"));
        }
        few.append(&mut group);
    }
    few
}
