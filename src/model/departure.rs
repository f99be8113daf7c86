//! Where a policy that is written in another kind cannot mean what it meant: found by who writes it, and held against every
//! verdict that differs.

use std::sync::Arc;

use super::Str;
use super::origin::{FieldPath, ObjectRef};
use super::policy::Direction;

/// Which verdicts a departure can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touches {
    /// Those on pods, which are named by their addresses.
    PodsByAddress,
    /// Those on addresses outside the cluster, and on pods on their nodes' network.
    Outside,
    /// Those on pods and on addresses alike.
    Anyone,
    /// Those on the ports of this name.
    PortsNamed(Str),
}

/// A point at which the written policy departs from the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The original.
    pub policy: Arc<ObjectRef>,
    /// The direction in which it departs.
    pub direction: Direction,
    /// The field that the other kind has no counterpart for.
    pub at: FieldPath,
    /// What is different, as a sentence without its full stop.
    pub what: &'static str,
    /// What it can change.
    pub touches: Touches,
}
