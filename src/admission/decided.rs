//! A decided review, as it is recorded.

use std::time::Duration;

use super::envelope::Incoming;
use crate::review::Verdict;

/// What an answer came to, for logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Let through without a word.
    Allowed,
    /// Let through with warnings.
    Warned,
    /// Refused by a house rule.
    Denied,
    /// Not a kind or operation that is judged.
    Passed,
    /// The request itself made no sense.
    Malformed,
    /// Could not be judged for lack of a fresh view; another replica may.
    Unavailable,
}

impl Outcome {
    /// The name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Denied => "denied",
            Self::Passed => "passed",
            Self::Malformed => "malformed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A decided review, as it is recorded.
#[derive(Debug)]
pub struct Decided<'a> {
    /// What it came to.
    pub outcome: Outcome,
    /// The request, if it could be read.
    pub request: Option<&'a Incoming<'a>>,
    /// The verdict, if it was judged.
    pub verdict: Option<&'a Verdict>,
    /// Whether the API server was asked again before the answer.
    pub confirmed: bool,
    /// How long it took.
    pub took: Duration,
    /// What went wrong, where something did.
    pub error: Option<&'a str>,
}
