//! What every assertion comes to in a world: what their status says.

use std::sync::Arc;

use super::World;
use crate::model::ObjectRef;
use crate::model::assertion::Assertion;
use crate::model::house::dialect_of;
use crate::reach::{Effort, Focus, Readings, State, Why, evaluate_within};
use crate::rules::{gaps, tell};

/// Whether an assertion holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It does.
    Holds,
    /// It does not.
    Broken,
    /// That hangs on what the policies leave open.
    Depends,
    /// It speaks of nobody.
    Vacuous,
    /// It could not be read.
    NotUnderstood,
}

impl Phase {
    /// The name in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "Holds",
            Self::Broken => "Broken",
            Self::Depends => "Depends",
            Self::Vacuous => "Vacuous",
            Self::NotUnderstood => "NotUnderstood",
        }
    }
}

/// Whether there are pods at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// There are.
    Pods,
    /// Not yet; pods that come are judged all the same.
    NoPodsYet,
    /// There is nobody that it could speak of.
    Nobody,
}

/// What an assertion comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessed {
    /// Whether it holds.
    pub phase: Phase,
    /// Whether there are pods at both ends.
    pub matched: Matched,
    /// Why it is so, for people.
    pub message: String,
    /// What is missing at its ends, for people; empty where nothing is.
    pub missing: String,
    /// Policies that decide.
    pub policies: Vec<Arc<ObjectRef>>,
}

/// Policies asked about a pair of pods, for one assertion: a few seconds of the background's time.
const MOST_EFFORT: usize = 5_000_000;

/// Assesses an assertion as the world is now.
pub fn assess(world: &World, assertion: &Assertion) -> Assessed {
    let readings =
        Readings::in_world(&world.snapshot, world.house.dialect().or_else(|| dialect_of(world.snapshot.plugins())));
    let evaluated = assertion.claim.as_ref().and_then(|claim| {
        let effort = &mut Effort::of(MOST_EFFORT);
        let outcome = evaluate_within(&world.snapshot, claim, &readings, &Focus::Everything, effort)?;
        Some((claim, outcome))
    });
    let Some((claim, outcome)) = evaluated else {
        let mut slips: Vec<String> = assertion.unread.iter().map(|u| format!("{} {}", u.at, u.what)).collect();
        if assertion.claim.is_some() {
            slips
                .push("its ends meet too many different selectors of policies to be evaluated; narrow them".to_owned());
        }
        return Assessed {
            phase: Phase::NotUnderstood,
            matched: Matched::Nobody,
            message: slips.join("; "),
            missing: "nothing is stated".to_owned(),
            policies: Vec::new(),
        };
    };
    let told = tell(&world.snapshot, claim, &outcome, &readings);
    let phase = match outcome.state {
        State::Holds => Phase::Holds,
        State::Broken(_) => Phase::Broken,
        State::Depends(_) => Phase::Depends,
        State::Vacuous => Phase::Vacuous,
    };
    let matched = if phase == Phase::Vacuous {
        Matched::Nobody
    } else if outcome.gaps.iter().any(|gap| gap.why == Why::NoPodsYet) {
        Matched::NoPodsYet
    } else {
        Matched::Pods
    };
    let missing = gaps(claim, &outcome.gaps).join("; ");
    let message = match phase {
        Phase::Holds if matched == Matched::NoPodsYet => format!("holds for pods that may come; {missing}"),
        Phase::Holds => told.message,
        _ if told.because.is_empty() => told.message,
        _ => format!("{} ({})", told.message, told.because.join("; ")),
    };
    Assessed { phase, matched, message, missing, policies: told.policies }
}
