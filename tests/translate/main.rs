//! What Kubernetes objects mean in model terms, line by line of the semantics.

// Helpers that are not tests themselves are part of them all the same.
#![allow(clippy::panic, clippy::unwrap_used)]

mod bad;
mod clusternetworkpolicy;
mod policy;
mod render;
mod workload;

use portcullis::model::{Object, PolicyObject, Workload};
use portcullis::translate::{Defaults, Kind, from_value};
use serde_json::{Value, json};

const DEFAULTS: Defaults<'_> = Defaults { namespace: "shop", name: "generated-1" };

/// A policy with this spec, in namespace `shop`.
fn policy(spec: &Value) -> PolicyObject {
    let mut object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}});
    if !spec.is_null() {
        object["spec"] = spec.clone();
    }
    whole_policy(&object)
}

fn whole_policy(object: &Value) -> PolicyObject {
    match from_value(Kind::NetworkPolicy, object, &DEFAULTS) {
        Object::Policy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

fn workload(kind: Kind, object: &Value) -> Workload {
    match from_value(kind, object, &DEFAULTS) {
        Object::Workload(workload) => workload,
        other => panic!("{other:?}"),
    }
}
