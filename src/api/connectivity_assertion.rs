//! `ConnectivityAssertion` and `ClusterConnectivityAssertion`: rows of a policy test matrix that the cluster keeps true.
// The derive for validations writes calls to `unwrap`; they run only while a schema is built, on constants.
#![allow(clippy::unwrap_used)]
// Printer columns look alike to this lint.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::common::{Condition, LabelSelector};

/// A row of the policy test matrix of a namespace: who may, or may not, reach whom.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "ConnectivityAssertion",
    plural = "connectivityassertions",
    singular = "connectivityassertion",
    shortname = "cassert",
    category = "portcullis",
    namespaced,
    status = "AssertionStatus",
    derive = "PartialEq",
    doc = "States who may reach whom, in or out of its namespace; changes that would break it are refused.",
    annotation("helm.sh/resource-policy", "keep"),
    label("app.kubernetes.io/name", "portcullis"),
    printcolumn(name = "From", type_ = "string", json_path = ".status.from"),
    printcolumn(name = "To", type_ = "string", json_path = ".status.to"),
    printcolumn(name = "Ports", type_ = "string", json_path = ".status.ports"),
    printcolumn(name = "Expect", type_ = "string", json_path = ".spec.expect"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "Holds, Broken, Depends, Vacuous or NotUnderstood"
    ),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(name = "Policies", type_ = "string", json_path = ".status.policies", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.from.podSelector) || has(self.from.namespaceSelector) || has(self.from.workload) || has(self.to.podSelector) || has(self.to.namespaceSelector) || has(self.to.workload)")
        .message("one end must be pods: policies say nothing about traffic that no pod takes part in"),
    validation = Rule::new("!has(self.ports) || !(has(self.to.cidr) || has(self.to.world)) || self.ports.all(p, type(p.port) == int)")
        .message("addresses have no port names; give the number of the port"),
    validation = Rule::new("(has(self.from.podSelector) && !has(self.from.namespaceSelector)) || has(self.from.workload) || (has(self.to.podSelector) && !has(self.to.namespaceSelector)) || has(self.to.workload)")
        .message("one end must be in the namespace of the assertion: a podSelector without namespaceSelector, or a workload; use a ClusterConnectivityAssertion otherwise")
)]
pub struct ConnectivityAssertionSpec {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Where connections start. A podSelector alone means the namespace of the assertion.
    pub from: AssertionEnd,
    /// Where they end. A podSelector alone means the namespace of the assertion.
    pub to: AssertionEnd,
    /// Ports. Left out: every port of every protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32))]
    pub ports: Vec<AssertionPort>,
    /// Allow: every listed port gets through. Deny: none of them does.
    pub expect: Expect,
    /// Whether it is stated of all pairs of a source and a destination, or of at least one. Default: all.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
}

/// A row of the policy test matrix of the cluster.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "ClusterConnectivityAssertion",
    plural = "clusterconnectivityassertions",
    singular = "clusterconnectivityassertion",
    shortname = "ccassert",
    category = "portcullis",
    status = "AssertionStatus",
    derive = "PartialEq",
    doc = "States who may reach whom, anywhere in the cluster; changes that would break it are refused.",
    annotation("helm.sh/resource-policy", "keep"),
    label("app.kubernetes.io/name", "portcullis"),
    printcolumn(name = "From", type_ = "string", json_path = ".status.from"),
    printcolumn(name = "To", type_ = "string", json_path = ".status.to"),
    printcolumn(name = "Ports", type_ = "string", json_path = ".status.ports"),
    printcolumn(name = "Expect", type_ = "string", json_path = ".spec.expect"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.phase",
        description = "Holds, Broken, Depends, Vacuous or NotUnderstood"
    ),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(name = "Policies", type_ = "string", json_path = ".status.policies", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.from.podSelector) || has(self.from.namespaceSelector) || has(self.from.workload) || has(self.to.podSelector) || has(self.to.namespaceSelector) || has(self.to.workload)")
        .message("one end must be pods: policies say nothing about traffic that no pod takes part in"),
    validation = Rule::new("!has(self.ports) || !(has(self.to.cidr) || has(self.to.world)) || self.ports.all(p, type(p.port) == int)")
        .message("addresses have no port names; give the number of the port"),
    validation = Rule::new("(!has(self.from.workload) || has(self.from.workload.namespace)) && (!has(self.to.workload) || has(self.to.workload.namespace))")
        .message("a workload needs its namespace here")
)]
pub struct ClusterConnectivityAssertionSpec {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Where connections start. Without a namespaceSelector: in every namespace.
    pub from: AssertionEnd,
    /// Where they end. Without a namespaceSelector: in every namespace.
    pub to: AssertionEnd,
    /// Ports. Left out: every port of every protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32))]
    pub ports: Vec<AssertionPort>,
    /// Allow: every listed port gets through. Deny: none of them does.
    pub expect: Expect,
    /// Whether it is stated of all pairs of a source and a destination, or of at least one. Default: all.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
}

/// One end: pods by label, a workload, a block of addresses outside the cluster, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.podSelector) || has(self.namespaceSelector), has(self.workload), has(self.cidr), has(self.world)].filter(form, form).size() == 1")
        .message("give exactly one of podSelector and namespaceSelector, workload, cidr, or world"),
    validation = Rule::new("!has(self.except) || has(self.cidr)").message("except belongs to a cidr")
)]
pub struct AssertionEnd {
    /// Pods, those that exist and those that will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The pods of one workload, whatever their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<AssertedWorkload>,
    /// Addresses outside the cluster, such as 10.0.0.0/8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 49))]
    #[x_kube(validation = Rule::new("isCIDR(self)").message("cidr is a block such as 10.0.0.0/8 or fc00::/7"))]
    pub cidr: Option<String>,
    /// Parts of the cidr that are not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 49)))]
    #[x_kube(validation = Rule::new("self.all(block, isCIDR(block))").message("except holds blocks such as 10.0.0.0/8 or fc00::/7"))]
    pub except: Vec<String>,
    /// Every address outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("world can only be true"))]
    pub world: Option<bool>,
}

/// A workload by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssertedWorkload {
    /// Kind of what people manage: Deployment, StatefulSet, DaemonSet, CronJob, or Pod for a pod alone.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Left out: that of the assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A port or a range of ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.endPort) || (type(self.port) == int && self.endPort >= self.port)")
    .message("endPort needs a numeric port to start from and must not be below it"))]
pub struct AssertionPort {
    /// The number, or the name that the destination's containers give it.
    #[schemars(schema_with = "number_or_name")]
    pub port: IntOrString,
    /// Last port of a range that starts at port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub end_port: Option<i32>,
    /// Default: TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

fn number_or_name(_: &mut SchemaGenerator) -> Schema {
    // A pattern and not CEL for names: the cost of CEL over a text that may be a number counts without its length.
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 15,
        "pattern": "^([a-z0-9][a-z0-9-]*)?[a-z]([a-z0-9-]*[a-z0-9])?$",
        "x-kubernetes-validations": [{
            "rule": "type(self) != int || (self >= 1 && self <= 65535)",
            "message": "port is a number from 1 to 65535 or the name of a container port"
        }],
    })
}

/// A protocol that policies know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it, and documented variants would leave the schema's plain enum")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "as above")]
pub enum Expect {
    Allow,
    Deny,
}

/// Of which pairs it is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "as above")]
pub enum Pairs {
    All,
    Any,
}

/// Whether an assertion holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "as above")]
pub enum Phase {
    Holds,
    Broken,
    Depends,
    Vacuous,
    NotUnderstood,
}

/// What Portcullis made of the assertion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssertionStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Holds; Broken; Depends on what the network plugin reads into a policy; Vacuous, because it speaks of nobody;
    /// or NotUnderstood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Since when it has been so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// Where connections start, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Where they end, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Which ports, in short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// Why it is so, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Policies that decide, as namespace/name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Holds; and Matched, which is False where an end has no pods yet, or can never have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
