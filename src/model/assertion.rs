//! Connectivity assertions as values: what somebody has stated about the network, for the cluster to keep true.

use std::fmt;
use std::sync::Arc;

use super::Str;
use super::ipset::IpSet;
use super::object::Unread;
use super::origin::{FieldPath, ObjectRef};
use super::peer::{NamespaceScope, PodPeer};
use super::ports::PortMatch;

/// The kind that lives in a namespace.
pub const NAMESPACED: &str = "ConnectivityAssertion";
/// The kind that speaks for the whole cluster.
pub const CLUSTER: &str = "ClusterConnectivityAssertion";

/// One end of an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Pods by namespace and labels, those that exist and those that will. Pods on their node's network are not meant,
    /// as in every selector of a policy (semantics 2.1.17).
    Pods(PodPeer),
    /// The pods of one workload.
    Workload {
        /// Its namespace.
        namespace: Str,
        /// Kind of the top owner; `Pod` for a pod without one.
        kind: Str,
        /// Name.
        name: Str,
    },
    /// Addresses outside the cluster.
    Addresses {
        /// As people wrote it.
        text: Str,
        /// The block less its excepts.
        set: IpSet,
    },
    /// Every address outside the cluster.
    World,
}

impl Who {
    /// Whether it stands for pods.
    pub const fn is_pods(&self) -> bool {
        matches!(self, Self::Pods(_) | Self::Workload { .. })
    }

    /// Whether all of it lies in this namespace, whatever labels namespaces have.
    pub fn is_within(&self, namespace: &str) -> bool {
        match self {
            Self::Pods(PodPeer { namespaces: NamespaceScope::Named(name), .. })
            | Self::Workload { namespace: name, .. } => **name == *namespace,
            _ => false,
        }
    }
}

impl fmt::Display for Who {
    /// `shop/Deployment/web`, `shop/app=web`, `env=prod/app=web`, `10.0.0.0/8`, `world`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(peer) => {
                match &peer.namespaces {
                    NamespaceScope::Named(name) => write!(f, "{name}/")?,
                    NamespaceScope::Matching(selector) if selector.is_everything() => f.write_str("*/")?,
                    NamespaceScope::Matching(selector) => write!(f, "{{{selector}}}/")?,
                }
                if peer.pods.is_everything() { f.write_str("*") } else { write!(f, "{}", peer.pods) }
            }
            Self::Workload { namespace, kind, name } => write!(f, "{namespace}/{kind}/{name}"),
            Self::Addresses { text, .. } => f.write_str(text),
            Self::World => f.write_str("world"),
        }
    }
}

/// What is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expect {
    /// Every listed port gets through.
    Allow,
    /// None of the listed ports gets through.
    Deny,
}

impl Expect {
    /// The name in objects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Of which pairs it is stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pairs {
    /// Of every source and every destination.
    #[default]
    All,
    /// Of at least one source and destination.
    Any,
}

/// What an assertion states, once it could be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Where connections start.
    pub from: Who,
    /// Where they end.
    pub to: Who,
    /// Which ports; `None` is every port of every protocol.
    pub ports: Option<PortMatch>,
    /// What is expected.
    pub expect: Expect,
    /// Of which pairs.
    pub pairs: Pairs,
}

impl fmt::Display for Claim {
    /// `shop/app=web → shop/app=api, TCP 8080`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}, ", self.from, self.to)?;
        match &self.ports {
            Some(ports) => write!(f, "{ports}"),
            None => f.write_str("every port"),
        }
    }
}

/// One assertion object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// The object.
    pub id: Arc<ObjectRef>,
    /// Its author's words.
    pub description: Option<Str>,
    /// What it states; `None` if any of it could not be read, because half an assertion states something else.
    pub claim: Option<Claim>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

impl Assertion {
    /// The namespace that it lives in and speaks for; `None` for the cluster form.
    pub fn home(&self) -> Option<&Str> {
        self.id.namespace.as_ref()
    }

    /// The field that findings point to.
    pub fn expect_at() -> FieldPath {
        FieldPath::new("spec.expect")
    }
}
