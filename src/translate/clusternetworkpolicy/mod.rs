//! ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy → model (semantics 2.2).

use serde_json::Value;

use super::{Defaults, Kind};
use crate::model::Object;

/// Reads an object of one of these kinds.
pub(super) fn read(kind: Kind, value: &Value, defaults: &Defaults<'_>) -> Object {
    super::not_read(kind, value, defaults)
}
