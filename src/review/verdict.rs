//! What a review comes to.

use crate::model::house::Level;
use crate::model::original::Rewritten;
use crate::model::{Change, ObjectRef, Operation, Policy, Str};
use crate::rules::Finding;

/// A finding with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What was found.
    pub finding: Finding,
    /// What follows.
    pub level: Level,
    /// What the house rules ask for, before caps and exemptions.
    pub wanted: Level,
    /// Who set that level.
    pub source: Str,
    /// Whether it was there before the change; then it is never a reason to deny.
    pub pre_existing: bool,
    /// The exemption or exception that lifted it.
    pub lifted: Option<String>,
}

/// What would make the same request pass. The engine has run it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cure {
    /// There is none, or none is needed.
    #[default]
    None,
    /// Apply these, then send the same request again.
    First(Vec<Policy>),
    /// Send this in place of the object.
    Instead(Box<Rewritten>),
}

/// The outcome of a review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The object that was judged.
    pub object: ObjectRef,
    /// What was to be done with it.
    pub operation: Operation,
    /// What was found, strictest first, then by rule.
    pub findings: Vec<Judged>,
    /// The way out of a denial.
    pub cure: Cure,
    /// Version of the state that was judged.
    pub snapshot: u64,
}

impl Verdict {
    pub(super) fn new(change: &Change, snapshot: u64) -> Self {
        Self {
            object: change.id.clone(),
            operation: change.operation,
            findings: Vec::new(),
            cure: Cure::None,
            snapshot,
        }
    }

    /// Whether the request passes.
    pub fn is_allowed(&self) -> bool {
        self.at(Level::Enforce).next().is_none()
    }

    /// Findings at exactly this level.
    pub fn at(&self, level: Level) -> impl Iterator<Item = &Judged> {
        self.findings.iter().filter(move |j| j.level == level)
    }

    /// Whether the denial rests on something that was not there, so that a stale view could be the reason.
    pub fn rests_on_absence(&self) -> bool {
        self.at(Level::Enforce).any(|j| j.finding.rests_on_absence)
    }
}
