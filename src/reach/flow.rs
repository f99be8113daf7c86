//! Both sides of a flow between two pods: traffic passes only if egress of the source and ingress of the destination allow it.

use std::net::IpAddr;
use std::sync::Arc;

use super::decide::{Decision, Doubt, Endpoint, Side, decide};
use super::selection::selecting;
use crate::model::house::Dialect;
use crate::model::{Direction, PodSpec, Policy, PortSet};
use crate::snapshot::{NamespaceState, Snapshot};

/// A pod, running or not, in its namespace.
#[derive(Clone, Copy, Debug)]
pub struct PodAt<'a> {
    /// Its namespace.
    pub namespace: &'a NamespaceState,
    /// The pod.
    pub pod: &'a PodSpec,
    /// Its addresses, empty where unknown.
    pub addresses: &'a [IpAddr],
}

impl<'a> PodAt<'a> {
    /// A pod whose addresses are not known.
    pub const fn new(namespace: &'a NamespaceState, pod: &'a PodSpec) -> Self {
        Self { namespace, pod, addresses: &[] }
    }

    pub(super) const fn endpoint(self) -> Endpoint<'a> {
        Endpoint::Pod { namespace: self.namespace, pod: self.pod, addresses: self.addresses }
    }
}

/// What may flow from one pod to another.
#[derive(Clone, Debug)]
pub struct Flow {
    /// What both sides let through.
    pub allowed: PortSet,
    /// What the source's policies say.
    pub egress: Decision,
    /// What the destination's policies say.
    pub ingress: Decision,
}

/// Decides a flow between two pods (semantics 2.1.1).
pub fn flow_between(world: &Snapshot, from: PodAt<'_>, to: PodAt<'_>, dialect: Dialect, doubt: Doubt) -> Flow {
    let [sends, receives] = [from, to].map(|at| selecting(world, at.namespace, at.pod));
    flow_by((from, &sends), (to, &receives), PortSet::every(), dialect, doubt)
}

/// The same for these ports, by policies that are known to select the one and the other.
pub(super) fn flow_by(
    (from, sends): (PodAt<'_>, &[&Arc<Policy>]),
    (to, receives): (PodAt<'_>, &[&Arc<Policy>]),
    asked: &PortSet,
    dialect: Dialect,
    doubt: Doubt,
) -> Flow {
    let side = |direction, subject: PodAt<'_>, policies: &[&Arc<Policy>], other: PodAt<'_>| {
        decide(policies, &Side { direction, subject: subject.pod, other: other.endpoint(), asked, dialect, doubt })
    };
    let egress = side(Direction::Egress, from, sends, to);
    let ingress = side(Direction::Ingress, to, receives, from);
    Flow { allowed: egress.allowed.intersection(&ingress.allowed), egress, ingress }
}
