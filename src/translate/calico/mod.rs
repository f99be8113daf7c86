//! Calico's policies, tiers and network sets → model (semantics 2.4).

use serde_json::Value;

use super::{Defaults, Kind};
use crate::model::Object;

/// Reads an object of one of these kinds.
pub(super) fn read(kind: Kind, value: &Value, defaults: &Defaults<'_>) -> Object {
    super::not_read(kind, value, defaults)
}
