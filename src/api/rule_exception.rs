//! `RuleException`: lifts named rules for named namespaces until a date, with a reason.
// The derive for validations writes calls to `unwrap`; they run only while a schema is built, on constants.
#![allow(clippy::unwrap_used)]
// Printer columns look alike to this lint.
#![allow(clippy::duplicated_attributes)]

use kube::{CustomResource, KubeSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::common::{Condition, LabelSelector};
use crate::model::house::RuleId;

/// Lifts rules for a time. Counts only in the namespace where Portcullis reads exceptions.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "RuleException",
    plural = "ruleexceptions",
    singular = "ruleexception",
    shortname = "rex",
    category = "portcullis",
    namespaced,
    status = "RuleExceptionStatus",
    derive = "PartialEq",
    doc = "Lifts named house rules for named namespaces until a date, with a reason.",
    annotation("helm.sh/resource-policy", "keep"),
    label("app.kubernetes.io/name", "portcullis"),
    printcolumn(name = "Rules", type_ = "string", json_path = ".spec.rules"),
    printcolumn(
        name = "Active",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Active\")].status"
    ),
    printcolumn(
        name = "Why",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Active\")].reason",
        description = "Active, Expired, NotHonoured or NotUnderstood"
    ),
    // A string: as a date, kubectl would show a moment in the future as "<invalid>".
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RuleExceptionSpec {
    /// Rules that are lifted.
    #[schemars(schema_with = "rule_names")]
    pub rules: Vec<String>,
    /// What they are lifted for.
    pub targets: ExceptionTargets,
    /// Why; whoever audits the cluster reads this.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.trim() != ''").message("reason must say why the rules are lifted"))]
    pub reason: String,
    /// When it ends, such as 2027-01-31T18:00:00Z.
    #[schemars(extend("format" = "date-time"))]
    pub expires: String,
}

/// What an exception is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionTargets {
    /// Namespaces, by exact name.
    #[schemars(length(min = 1, max = 64), inner(length(max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message("targets.namespaces are exact names; wildcards are not supported"))]
    pub namespaces: Vec<String>,
    /// Pods and policies, by label. Left out: everything in those namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// What Portcullis made of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleExceptionStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When it last let something through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_used: Option<String>,
    /// Active; where it is False, the reason is Expired, NotHonoured or NotUnderstood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

fn rule_names(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = RuleId::ALL.iter().map(|id| id.as_str()).collect();
    json_schema!({
        "type": "array",
        "minItems": 1,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "enum": names },
    })
}
