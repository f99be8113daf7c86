//! Pods as policies see them, and the workloads whose templates make them.

use std::net::IpAddr;
use std::sync::Arc;

use super::Str;
use super::labels::Labels;
use super::origin::ObjectRef;
use super::ports::Protocol;
use super::selector::{Lookup, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY};

/// A container port that has a name. Sidecars among the init containers count (semantics 2.1.9).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    /// Name, unique per protocol in a pod.
    pub name: Str,
    /// Protocol; the name matches only together with it (semantics 2.1.8).
    pub protocol: Protocol,
    /// Number.
    pub port: u16,
}

/// Where the pod's resolver points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DnsPolicy {
    /// Cluster DNS.
    #[default]
    Cluster,
    /// The node's resolvers, which no API object names.
    Node,
    /// Exactly these (`dnsPolicy: None`).
    Servers(Vec<IpAddr>),
}

/// What of a pod's spec matters to policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodSpec {
    /// Labels.
    pub labels: Labels,
    /// Service account name.
    pub service_account: Str,
    /// Named container ports, sorted.
    pub ports: Vec<NamedPort>,
    /// On the node's network: policies do not apply (semantics 2.1.17).
    pub host_network: bool,
    /// Its resolver.
    pub dns: DnsPolicy,
}

impl PodSpec {
    /// A pod with these labels and nothing else said.
    pub fn with_labels(labels: Labels) -> Self {
        Self { labels, service_account: "default".into(), ..Self::default() }
    }
}

/// A pod's labels together with those of its namespace and its service account, for selectors that look at all three.
#[derive(Clone, Copy, Debug)]
pub struct PodLookup<'a> {
    /// The pod.
    pub pod: &'a PodSpec,
    /// Labels of its namespace.
    pub namespace: &'a Labels,
}

impl Lookup for PodLookup<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        if !key.starts_with('@') {
            return self.pod.labels.value(key);
        }
        if key == SERVICE_ACCOUNT_KEY {
            return Some(&self.pod.service_account);
        }
        self.namespace.value(key.strip_prefix(NAMESPACE_LABEL_PREFIX)?)
    }
}

/// The controller that owns a pod, as named in its ownerReferences.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Controller {
    /// Kind; `Deployment` where a ReplicaSet's name gives it away.
    pub kind: Str,
    /// Name.
    pub name: Str,
}

/// A pod, or an object with a pod template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The object.
    pub id: ObjectRef,
    /// Labels of the object itself (not of its pods).
    pub labels: Labels,
    /// The pod, or the template's pod.
    pub pod: Arc<PodSpec>,
    /// Who controls it, if anyone.
    pub controller: Option<Controller>,
    /// Addresses of a running pod, as its status says; empty for templates and pods that have none yet.
    pub addresses: Vec<IpAddr>,
    /// Finished pods have no endpoint any more (semantics 2.1.20); so have jobs that are done.
    pub finished: bool,
    /// An object with a template that is being deleted: its controller makes no more pods. A pod counts until it is gone.
    pub leaving: bool,
    /// Where the template is: `spec.template`, or nothing for a pod.
    pub template_at: &'static str,
}

impl Workload {
    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.id.namespace()
    }

    /// Whether it is part of the state: it has, or may yet have, an endpoint (semantics 2.1.20).
    pub const fn takes_part(&self) -> bool {
        !self.finished && !self.leaving
    }

    /// Whether it is a pod itself.
    pub fn is_pod(&self) -> bool {
        self.id.kind == "Pod"
    }
}
