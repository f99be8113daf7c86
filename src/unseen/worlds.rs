//! The states that a review must be right in: each expected change may be stored, or may have been refused elsewhere.

use std::sync::Arc;

use super::Part;
use crate::model::Change;
use crate::snapshot::Snapshot;

/// Up to this many changes of policies and labels every combination is looked at.
const EVERY_COMBINATION: usize = 4;
/// More than this many are waited for instead: a watch that is not behind shows them within milliseconds.
const MOST: usize = 12;

/// The states besides `now` in which the verdict may be another one. What policies protect is in all of them, as it was and
/// as it will be: more of it is never easier to protect. `None` where the changes are too many.
pub fn worlds(now: &Snapshot, expected: &[Arc<Change>]) -> Option<Vec<Snapshot>> {
    let is_protected = |change: &&Arc<Change>| Part::of(change) == Some(Part::Protected);
    let (protected, others): (Vec<&Arc<Change>>, Vec<&Arc<Change>>) = expected.iter().partition(is_protected);
    let count = others.len();
    if count > MOST {
        return None;
    }
    let base = protected.iter().filter_map(|change| change.after.as_ref()).fold(now.clone(), |state, o| state.with(o));
    let with = |chosen: &dyn Fn(usize) -> bool| {
        let stored = others.iter().enumerate().filter(|(i, _)| chosen(*i));
        stored.fold(base.clone(), |state, (_, change)| state.overlay(change))
    };
    let mut worlds = Vec::new();
    if !protected.is_empty() {
        worlds.push(base.clone());
    }
    if count <= EVERY_COMBINATION {
        worlds.extend((1_u32..1 << count).map(|mask| with(&|i| mask & (1 << i) != 0)));
        return Some(worlds);
    }
    worlds.push(with(&|_| true));
    worlds.push(with(&|i| others[i].before.is_some()));
    for one in 0..count {
        worlds.push(with(&|i| i == one));
        worlds.push(with(&|i| i != one));
    }
    Some(worlds)
}
