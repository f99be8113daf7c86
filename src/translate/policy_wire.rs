//! The shape of a NetworkPolicy. Unlike workloads it is read completely: a field that is not here makes the strict
//! reading fail, and the object is then read piece by piece (`lenient`), which fills the same types and marks what it
//! could not read as `broken`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Visitor};

use super::wire::{List, Meta, Pairs, Text};

/// A NetworkPolicy.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct NetworkPolicy<'a> {
    #[serde(borrow)]
    pub(super) api_version: Option<Text<'a>>,
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    pub(super) spec: Option<Spec<'a>>,
    /// Was there in Kubernetes 1.24 to 1.27.
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

impl<'a> NetworkPolicy<'a> {
    /// From pieces that were read one by one.
    pub(super) const fn of(api_version: Option<Text<'a>>, metadata: Option<Meta<'a>>, spec: Option<Spec<'a>>) -> Self {
        Self { api_version, _kind: None, metadata, spec, _status: None }
    }
}

/// Its spec.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct Spec<'a> {
    #[serde(borrow)]
    pub(super) pod_selector: Option<LabelSelector<'a>>,
    #[serde(borrow)]
    pub(super) policy_types: Option<List<Text<'a>>>,
    #[serde(borrow)]
    pub(super) ingress: Option<List<IngressRule<'a>>>,
    #[serde(borrow)]
    pub(super) egress: Option<List<EgressRule<'a>>>,
}

/// A rule for traffic to the pod.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
#[serde(deny_unknown_fields)]
pub(super) struct IngressRule<'a> {
    #[serde(borrow)]
    pub(super) from: Option<List<Peer<'a>>>,
    #[serde(borrow)]
    pub(super) ports: Option<List<Port<'a>>>,
    #[serde(skip)]
    pub(super) broken: bool,
}

/// A rule for traffic from the pod.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
#[serde(deny_unknown_fields)]
pub(super) struct EgressRule<'a> {
    #[serde(borrow)]
    pub(super) to: Option<List<Peer<'a>>>,
    #[serde(borrow)]
    pub(super) ports: Option<List<Port<'a>>>,
    #[serde(skip)]
    pub(super) broken: bool,
}

/// The other end.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct Peer<'a> {
    #[serde(borrow)]
    pub(super) pod_selector: Option<LabelSelector<'a>>,
    #[serde(borrow)]
    pub(super) namespace_selector: Option<LabelSelector<'a>>,
    #[serde(borrow)]
    pub(super) ip_block: Option<IpBlock<'a>>,
    #[serde(skip)]
    pub(super) broken: bool,
}

/// Addresses.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
#[serde(deny_unknown_fields)]
pub(super) struct IpBlock<'a> {
    #[serde(borrow)]
    pub(super) cidr: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) except: Option<List<Text<'a>>>,
}

/// A port condition.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
#[serde(deny_unknown_fields)]
pub(super) struct Port<'a> {
    #[serde(borrow)]
    pub(super) protocol: Option<Text<'a>>,
    #[serde(borrow, rename = "port")]
    pub(super) first: Option<PortValue<'a>>,
    #[serde(rename = "endPort")]
    pub(super) last: Option<i64>,
    #[serde(skip)]
    pub(super) broken: bool,
}

/// A number or a name.
#[derive(Debug, PartialEq)]
pub(super) enum PortValue<'a> {
    Number(i64),
    Name(Text<'a>),
}

impl<'de: 'a, 'a> Deserialize<'de> for PortValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;

        impl<'de> Visitor<'de> for PortVisitor {
            type Value = PortValue<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number or name")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                Ok(PortValue::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Ok(PortValue::Number(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(PortValue::Name(Text(name.into())))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
                Ok(PortValue::Name(Text(name.to_owned().into())))
            }
        }

        deserializer.deserialize_any(PortVisitor)
    }
}

/// A label selector.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct LabelSelector<'a> {
    #[serde(borrow)]
    pub(super) match_labels: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub(super) match_expressions: Option<List<Requirement<'a>>>,
    #[serde(skip)]
    pub(super) broken: bool,
}

/// One expression of a selector.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(expecting = "an object")]
#[serde(deny_unknown_fields)]
pub(super) struct Requirement<'a> {
    #[serde(borrow)]
    pub(super) key: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) operator: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) values: Option<List<Text<'a>>>,
}
