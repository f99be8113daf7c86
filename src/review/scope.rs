//! How much of a review is asked for: which findings, and how many steps it may take.

use crate::model::house::Level;
use crate::model::{Change, Object};

/// Steps that the answer to one request may take. Each is some nanoseconds: together they are about a twentieth of the
/// shortest timeout that an API server gives. An ordinary review takes a few thousand.
pub const MOST_STEPS: u64 = 4_000_000;

/// Steps that judging one existing object may take, in the background audit and in `check`, where nobody waits for it.
pub const MOST_STEPS_OF_STANDING: u64 = 40_000_000;

/// Which findings a review is asked for, by the level that holds for their rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Findings {
    /// All of them.
    #[default]
    All,
    /// Those that can change the answer: of rules that warn or deny.
    Answered,
    /// Those that can deny.
    Denying,
    /// Those that are only recorded.
    Recorded,
}

impl Findings {
    /// Whether the findings of a rule at this level are asked for.
    pub(super) fn include(self, level: Level) -> bool {
        match self {
            Self::All => level > Level::Off,
            Self::Answered => level > Level::Audit,
            Self::Denying => level == Level::Enforce,
            Self::Recorded => level == Level::Audit,
        }
    }
}

/// How much of a review is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Which findings.
    pub findings: Findings,
    /// Steps that it may take; the proof of a fix may take as many again.
    pub steps: u64,
    /// Steps that the time allows, whatever the change.
    pub in_time: u64,
}

impl Default for Scope {
    fn default() -> Self {
        Self { findings: Findings::All, steps: MOST_STEPS, in_time: u64::MAX }
    }
}

/// How many times the steps a change of the whole cluster may take: it is judged in up to a thousand namespaces, and no
/// tenant may make one.
const OF_THE_CLUSTER: u64 = 5;

/// Steps that every machine takes in a millisecond, with room to spare.
const STEPS_IN_A_MILLISECOND: u64 = 20_000;

impl Scope {
    /// The scope of an answer that is due in so many milliseconds: a third for the verdict, a third for the proof of a fix.
    pub fn of_answer(due_in: u64) -> Self {
        let in_time = (due_in / 3).saturating_mul(STEPS_IN_A_MILLISECOND);
        Self { findings: Findings::Answered, steps: MOST_STEPS, in_time }
    }

    /// The scope of what is recorded after the answer.
    pub const fn of_record() -> Self {
        Self { findings: Findings::Recorded, steps: MOST_STEPS, in_time: u64::MAX }
    }

    pub(super) const fn of_standing() -> Self {
        Self { findings: Findings::All, steps: MOST_STEPS_OF_STANDING, in_time: u64::MAX }
    }

    /// Steps that the review of this change may take.
    pub(super) fn steps_for(&self, change: &Change) -> u64 {
        let policies = matches!(change.object(), Some(Object::Policy(_) | Object::Tier(_) | Object::AddressGroup(_)));
        let times = if policies && change.id.namespace.is_none() { OF_THE_CLUSTER } else { 1 };
        (self.steps * times).min(self.in_time)
    }
}
