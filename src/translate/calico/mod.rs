//! Calico's policies, tiers and network sets → model (semantics 2.4).
//!
//! Conditions that the cluster state may not answer (labels of service accounts, source ports, types of ICMP) are
//! kept in two readings: what holds for certain, and what may hold. An allow counts by the first, a deny by the second.

mod entity;
mod group;
mod pair;
mod policy;
mod ports;
mod reader;
pub(super) mod render;
mod rule;
pub mod selector;

use std::sync::Arc;

pub(super) use self::entity::net;
use super::json::Value;
use super::{Defaults, Kind, own_or};
use crate::model::{Object, ObjectRef, Policy, PolicyObject};

/// Reads an object of one of these kinds.
pub(super) fn read(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    match kind {
        Kind::CalicoTier => group::tier(value, defaults),
        Kind::NetworkSet | Kind::GlobalNetworkSet => group::set(kind, value, defaults),
        Kind::StagedKubernetesNetworkPolicy => staged_kubernetes(value, defaults),
        kind => policy::read(kind, value, defaults),
    }
}

/// What the object is called. Calico stores a policy of the default tier with the tier as a prefix; seen either way it is
/// one object (semantics 2.4.16).
fn id(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>, tier: &str) -> ObjectRef {
    let text = |name| value.at(&["metadata", name]).and_then(Value::as_str).unwrap_or_default();
    let name = own_or(text("name"), defaults.name);
    let name = match name.strip_prefix("default.") {
        Some(short) if kind.is_policy() && matches!(tier, "" | "default") && !short.is_empty() => short.into(),
        _ => name,
    };
    if kind.is_namespaced() {
        let namespace = own_or(text("namespace"), defaults.namespace);
        ObjectRef::namespaced(kind.api_version(), kind.kind(), namespace, name)
    } else {
        ObjectRef::cluster(kind.api_version(), kind.kind(), name)
    }
}

/// A NetworkPolicy that is staged: read as one, and never in force.
fn staged_kubernetes(value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let kind = Kind::StagedKubernetesNetworkPolicy;
    let action = value.at(&["spec", "stagedAction"]);
    let Object::Policy(object) = super::from_borrowed(Kind::NetworkPolicy, &unstaged(value), defaults) else {
        return super::not_read(kind, value, defaults);
    };
    let id = Arc::new(id(kind, value, defaults, ""));
    let stays = matches!(action.and_then(Value::as_str), None | Some("Set"));
    let policies = object
        .policies
        .into_iter()
        .filter(|_| stays)
        .map(|policy| Arc::new(Policy { id: Arc::clone(&id), tier: policy.tier.staged(), ..(*policy).clone() }));
    Object::Policy(PolicyObject { id: Arc::clone(&id), policies: policies.collect(), ..object })
}

/// The NetworkPolicy that is staged.
fn unstaged<'v>(value: &Value<'v>) -> Value<'v> {
    let Value::Object(fields) = value else { return value.clone() };
    let version = Value::String(Kind::NetworkPolicy.api_version().into());
    let plain = fields.clone().with("apiVersion", version);
    Value::Object(match fields.get("spec") {
        Some(Value::Object(spec)) => plain.with("spec", Value::Object(spec.clone().without("stagedAction"))),
        _ => plain,
    })
}
