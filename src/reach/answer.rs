//! What an answer consists of: a verdict, the rules behind it on either side, and the points that it hangs on.

use std::sync::Arc;

use super::bounds::{Bounds, Verdict};
use super::flow::PodAt;
use crate::model::{Action, IpSet, Policy, PortSet};

/// Pods that one end of a question stands for.
#[derive(Clone, Copy, Debug)]
pub struct Pods<'a> {
    /// One of them.
    pub at: PodAt<'a>,
    /// How they are called in the answer.
    pub name: &'a str,
    /// How many there are.
    pub count: u32,
}

/// One end of a question.
#[derive(Clone, Debug)]
pub enum Ends<'a> {
    /// Pods, in one group for each class.
    Pods(Vec<Pods<'a>>),
    /// Addresses outside the cluster.
    Addresses(IpSet),
}

/// Something that the policies leave open, and what it leaves open here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Whether an `ipBlock` matches addresses of pods: upstream, Calico, Antrea and OVN say yes, Cilium says no.
    IpBlockAgainstPods,
    /// An `ipBlock` may match a pod whose address is not known.
    PodAddress,
    /// One end is on its node's network, and a pod's own node always gets through.
    HostNetwork,
    /// A peer that only the running cluster can settle: nodes, DNS names, entities.
    RuntimePeer,
    /// A condition of a rule that nothing in the input settles: it is named at the rule.
    NotKnown,
    /// The pods or addresses asked about get different answers.
    Part,
    /// The ports asked about get different answers.
    Ports,
}

impl Point {
    /// A name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpBlockAgainstPods => "ipblock-against-pods",
            Self::PodAddress => "pod-address",
            Self::HostNetwork => "host-network",
            Self::RuntimePeer => "runtime-peer",
            Self::NotKnown => "not-known",
            Self::Part => "part",
            Self::Ports => "ports",
        }
    }

    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::IpBlockAgainstPods => {
                "an ipBlock matches pods on upstream, calico, antrea and ovn, and does not on cilium: settle it with --dialect"
            }
            Self::PodAddress => {
                "an ipBlock may cover the pod, whose address is not in the input: name an address, or read the pods of a cluster"
            }
            Self::HostNetwork => {
                "one end is on its node's network: traffic between a pod and its own node always passes, from other nodes the rules decide"
            }
            Self::RuntimePeer => "a rule names nodes, DNS names or entities, which only the running cluster can settle",
            Self::NotKnown => "a rule hangs on something that is not known here; what it is stands below the rule",
            Self::Part => "the pods or addresses asked about get different answers: see each part",
            Self::Ports => "some of the ports asked about pass and others do not",
        }
    }
}

/// Why a side has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governed {
    /// Policies isolate or govern the pod.
    Policies,
    /// No policy isolates it in this direction: everything passes.
    NotIsolated,
    /// It is on its node's network: policies do not apply.
    HostNetwork,
    /// It is not in the cluster.
    Outside,
}

/// A rule, or the isolation by a policy, that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The rule, or `None` where isolation itself decided.
    pub rule: Option<usize>,
    /// What it did.
    pub action: Action,
    /// To which ports.
    pub ports: PortSet,
    /// Whether it did so whatever is left open.
    pub certain: bool,
}

/// One side of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideAnswer {
    /// Its verdict on what was asked.
    pub verdict: Verdict,
    /// What it lets through.
    pub bounds: Bounds,
    /// Who decides there.
    pub governed: Governed,
    /// The rules that decided.
    pub decided_by: Vec<Step>,
    /// Policies that isolate the pod on this side.
    pub isolated_by: Vec<Arc<Policy>>,
}

/// The answer for pods and addresses that get the same one.
#[derive(Clone, Debug)]
pub struct Part {
    /// Names of the sources.
    pub from: String,
    /// Names of the destinations.
    pub to: String,
    /// Indexes into the groups asked about, for who wants to ask further.
    pub ends: (usize, usize),
    /// The addresses of this part, where an end is addresses.
    pub addresses: Option<IpSet>,
    /// The verdict.
    pub verdict: Verdict,
    /// What passes.
    pub bounds: Bounds,
    /// What the source's policies say.
    pub egress: SideAnswer,
    /// What the destination's policies say.
    pub ingress: SideAnswer,
    /// What the verdict hangs on.
    pub points: Vec<Point>,
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The verdict over all parts.
    pub verdict: Verdict,
    /// What passes for every part, and what may for some.
    pub bounds: Bounds,
    /// The parts, at least one.
    pub parts: Vec<Part>,
    /// What the verdict hangs on.
    pub points: Vec<Point>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Both ends are addresses.
    #[error("neither end is a pod: policies say nothing about traffic that no pod takes part in")]
    NoPods,
    /// An end is empty.
    #[error("one end is empty")]
    Empty,
}
