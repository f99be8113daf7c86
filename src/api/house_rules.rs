//! `HouseRules`: which rules hold in which namespaces, at which level and with which settings.
// The derive for validations writes calls to `unwrap`; they run only while a schema is built, on constants.
#![allow(clippy::unwrap_used)]
// Printer columns look alike to this lint.
#![allow(clippy::duplicated_attributes)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::common::{Condition, Dialect, Direction, DnsProtocol, LabelSelector, Level};
use crate::model::house::RuleId;

/// House rules for the namespaces that are selected. Where several apply, the strictest level of each rule holds.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "HouseRules",
    plural = "houserules",
    singular = "houserules",
    shortname = "hr",
    category = "portcullis",
    status = "HouseRulesStatus",
    derive = "PartialEq",
    doc = "Which house rules hold in which namespaces, at which level and with which settings.",
    annotation("helm.sh/resource-policy", "keep"),
    label("app.kubernetes.io/name", "portcullis"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether everything in it could be read"
    ),
    printcolumn(name = "Namespaces", type_ = "integer", json_path = ".status.namespaces"),
    printcolumn(name = "Violations", type_ = "integer", json_path = ".status.violations"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.dns) || !has(self.dns.protocols) || !has(self.rules) || !has(self.rules.blocked__dash__dns) || !has(self.rules.blocked__dash__dns.protocols)"
).message("give the DNS protocols once: in dns.protocols or in rules.blocked-dns.protocols"))]
pub struct HouseRulesSpec {
    /// Namespaces that are governed. Left out or empty: every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Rules by name. A rule that is not named keeps its default level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
    /// Who and what these rules let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exempt>,
    /// The network plugin whose reading counts where the specification leaves something open.
    /// Default: auto, the plugin that is seen in the cluster (status.network), and upstream where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Where cluster DNS is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
}

/// Levels and settings by the name of the rule. The schema has one property per rule, made from the rules themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(pub BTreeMap<String, serde_json::Value>);

impl JsonSchema for Rules {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = serde_json::Map::new();
        for &id in RuleId::ALL {
            let mut rule = match id {
                RuleId::MissingDefaultDeny => DefaultDenyRule::json_schema(generator),
                RuleId::OpenCidr => OpenCidrRule::json_schema(generator),
                RuleId::BlockedDns => BlockedDnsRule::json_schema(generator),
                RuleId::BrokenAssertion => BrokenAssertionRule::json_schema(generator),
                _ => PlainRule::json_schema(generator),
            };
            let text = format!("The rule {id}. Its level is {} where none is given.", id.default_level());
            rule.insert("description".into(), text.into());
            rule.insert("minProperties".into(), 1.into());
            properties.insert(id.as_str().into(), rule.to_value());
        }
        json_schema!({ "type": "object", "minProperties": 1, "properties": properties })
    }
}

/// A rule without settings of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlainRule {
    /// What a finding leads to. Write "off" in quotes: YAML reads the bare word as false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// `missing-default-deny`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DefaultDenyRule {
    /// What a finding leads to. Write "off" in quotes: YAML reads the bare word as false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Directions that need a default deny. Default: both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    pub directions: Vec<Direction>,
}

/// `blocked-dns`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlockedDnsRule {
    /// What a finding leads to. Write "off" in quotes: YAML reads the bare word as false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Protocols on port 53 that must work. Default: both. The same setting as dns.protocols.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    pub protocols: Vec<DnsProtocol>,
}

/// `broken-assertion`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenAssertionRule {
    /// What a finding leads to. Write "off" in quotes: YAML reads the bare word as false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What a new assertion that does not hold leads to. Default: warn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_create: Option<OnCreate>,
}

/// What a new assertion that does not hold leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it, and documented variants would leave the schema's plain enum")]
pub enum OnCreate {
    Warn,
    Enforce,
}

/// `open-cidr`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenCidrRule {
    /// What a finding leads to. Write "off" in quotes: YAML reads the bare word as false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Directions that are judged. Default: both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    pub directions: Vec<Direction>,
    /// Ranges that a wide opening must except. Default: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 49)))]
    #[x_kube(validation = Rule::new("self.all(range, isCIDR(range))")
        .message("privateRanges are CIDR blocks such as 10.0.0.0/8 or fc00::/7"))]
    pub private_ranges: Vec<String>,
    /// More ranges to except, by name: LinkLocal is 169.254.0.0/16, where clouds serve credentials;
    /// SharedAddressSpace is 100.64.0.0/10, which providers use for pods and nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    pub also_private: Vec<AlsoPrivate>,
    /// A policy is wide when it admits more public addresses than a block of this prefix length has.
    /// Default: ipv4 8, ipv6 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widest: Option<PrefixLengths>,
    /// Private addresses that a wide policy may still name on purpose, as the prefix length of a block that has as many.
    /// Default: ipv4 16, ipv6 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopen: Option<PrefixLengths>,
}

/// Ranges that are not private by RFC 1918 but rarely meant by "the internet".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "explained where they are used; documented variants would leave the schema's plain enum"
)]
pub enum AlsoPrivate {
    LinkLocal,
    SharedAddressSpace,
}

/// Prefix lengths for both families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrefixLengths {
    /// For IPv4: 1 to 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub ipv4: Option<i32>,
    /// For IPv6: 1 to 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub ipv6: Option<i32>,
}

/// Who and what is let through, by exact name only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exempt {
    /// Namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message("namespaces are exact names; wildcards are not supported"))]
    pub namespaces: Vec<String>,
    /// Service accounts that send the request, as namespace/name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 317)))]
    #[x_kube(validation = Rule::new(
        "self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'))"
    ).message("serviceAccounts have the form namespace/name, such as argocd/argocd-application-controller"))]
    pub service_accounts: Vec<String>,
    /// Users that send the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 256)))]
    #[x_kube(validation = Rule::new("self.all(name, name.trim() != '' && !name.contains('*'))")
        .message("users are exact names; wildcards are not supported"))]
    pub users: Vec<String>,
    /// Groups of the sender.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 256)))]
    #[x_kube(
        validation = Rule::new("self.all(name, name.trim() != '' && !name.contains('*'))")
            .message("groups are exact names; wildcards are not supported"),
        validation = Rule::new("self.all(name, !(name in ['system:authenticated', 'system:unauthenticated']))")
            .message("system:authenticated and system:unauthenticated hold everybody, which would switch the rules off")
    )]
    pub groups: Vec<String>,
    /// Workloads, by the labels of their pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)"
    ).message("workloadSelector must name at least one label: an empty one would exempt every workload"))]
    pub workload_selector: Option<LabelSelector>,
}

/// Where cluster DNS is. What is left out keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Namespace of the DNS pods. Default: kube-system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("dns.namespace is the name of one namespace"))]
    pub namespace: Option<String>,
    /// Labels of the DNS pods. Default: k8s-app=kube-dns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("minProperties" = 1))]
    pub labels: BTreeMap<String, String>,
    /// Addresses that answer as well. Default: 169.254.20.10, as NodeLocal DNSCache has it. An empty list means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(max = 45)))]
    #[x_kube(validation = Rule::new("self.all(address, isIP(address))")
        .message("dns.addresses are single IP addresses such as 169.254.20.10"))]
    pub addresses: Option<Vec<String>>,
    /// Protocols on port 53 that must work. Default: both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    pub protocols: Vec<DnsProtocol>,
}

/// What Portcullis made of the object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HouseRulesStatus {
    /// Generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Namespaces that it governs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<i64>,
    /// Findings at warn or above in those namespaces now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violations: Option<i64>,
    /// The network plugins that are believed to be there and why, and when Cilium lets policies decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The reading of the specification that counts in those namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Accepted: everything was read. Conflicting: another HouseRules gives other settings for the same namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
