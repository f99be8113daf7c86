//! What a review may ask of the object that a change brings: to be written again with less in it. Reviews know no format, so
//! that whoever has read the object does the writing, and nothing of it is lost that the model has no place for.

use std::collections::BTreeSet;

use super::ipset::IpSet;
use super::object::Object;
use super::origin::FieldPath;

/// Addresses that are to be taken out of some rules of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The rules, such as `spec.egress[0]`.
    pub rules: BTreeSet<FieldPath>,
    /// What no block that reaches beyond it may have a part of.
    pub private: IpSet,
    /// Whether blocks that lie inside of it go as well. They are there on purpose, so that first it is tried without.
    pub all: bool,
}

impl Narrowing {
    /// Rules that are narrowed. What changes more of them is longer than anyone reads.
    pub const MOST_RULES: usize = 50;
}

/// The object as it was written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// What it means, read from what is to be shown.
    pub object: Object,
    /// It as YAML, ready to be applied.
    pub yaml: String,
}

/// An object as somebody wrote it.
pub trait Original {
    /// The same without these addresses; `None` where its kind has no way to say that, or nothing would be left.
    fn narrowed(&self, narrowing: &Narrowing) -> Option<Rewritten>;
}
