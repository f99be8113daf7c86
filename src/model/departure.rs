//! Where a policy that is written in another kind cannot mean what it meant: found by who writes it, and held against every
//! verdict that differs.

use std::sync::Arc;

use super::Str;
use super::origin::{FieldPath, ObjectRef};
use super::peer::AddressScope;
use super::policy::Direction;
use super::ports::Protocol;

/// Which verdicts a departure can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touches {
    /// Those on pods that a block names by their addresses.
    PodsByAddress {
        /// What the block of the original means.
        from: AddressScope,
        /// What the written one means; `None` where there is none.
        to: Option<AddressScope>,
    },
    /// Those on addresses outside the cluster, and on pods on their nodes' network.
    Outside,
    /// Those on pods and on addresses alike.
    Anyone,
    /// Those on pods' ports of this name.
    PortsNamed {
        /// The name.
        name: Str,
        /// The protocol of which they were and are.
        but: Option<Protocol>,
    },
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
