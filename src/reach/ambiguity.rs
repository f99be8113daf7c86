//! Policies of equal priority: on which traffic does it matter which of two comes first (semantics 2.2.5)?

use std::net::IpAddr;
use std::sync::Arc;

use super::atoms;
use super::decide::{Doubt, Endpoint, Side, decide};
use super::flow::PodAt;
use super::selection::selecting;
use crate::model::house::Dialect;
use crate::model::{Direction, IpSet, Policy, PortSet, Tier, Ties};
use crate::snapshot::Snapshot;

/// Two policies of one tier and priority.
#[derive(Clone, Copy, Debug)]
pub struct Rivals<'a> {
    /// One of them.
    pub one: &'a Arc<Policy>,
    /// The other.
    pub other: &'a Arc<Policy>,
    /// How the CNI reads what is left open.
    pub dialect: Dialect,
}

impl Rivals<'_> {
    /// Whether nothing says which of them comes first.
    pub fn tie(&self) -> bool {
        let (a, b) = (self.one, self.other);
        self.dialect != Dialect::Calico
            && a.tier.ties == Ties::Undefined
            && (a.tier.order, &a.tier.name, a.priority) == (b.tier.order, &b.tier.name, b.priority)
            && a.id != b.id
    }

    /// The ports on which their order decides between this pod and a pod.
    pub fn between_pods(
        &self,
        world: &Snapshot,
        subject: PodAt<'_>,
        other: PodAt<'_>,
        direction: Direction,
    ) -> PortSet {
        self.between(world, subject, other.endpoint(), direction)
    }

    /// An address for which their order decides about this pod, and the ports.
    pub fn outside(&self, world: &Snapshot, subject: PodAt<'_>, direction: Direction) -> Option<(IpAddr, PortSet)> {
        let policies = [self.one, self.other];
        atoms::cut(&IpSet::full(), &policies, direction).iter().find_map(|piece| {
            let address = atoms::representative(piece)?;
            let ports = self.between(world, subject, Endpoint::Addresses(&IpSet::single(address)), direction);
            (!ports.is_empty()).then_some((address, ports))
        })
    }

    fn between(&self, world: &Snapshot, subject: PodAt<'_>, other: Endpoint<'_>, direction: Direction) -> PortSet {
        let policies = selecting(world, subject.namespace, subject.pod);
        let is_rival = |p: &Arc<Policy>| p.id == self.one.id || p.id == self.other.id;
        let Some(place) = policies.iter().position(|p| is_rival(p)) else { return PortSet::empty() };
        let settled = |p: &Arc<Policy>| {
            let tier = Arc::new(Tier { ties: Ties::ByName, ..(*p.tier).clone() });
            Arc::new(Policy { tier, ..(**p).clone() })
        };
        let (one, two) = (settled(self.one), settled(self.other));
        let allowed = |first: &Arc<Policy>, second: &Arc<Policy>| {
            let mut list: Vec<&Arc<Policy>> = policies.iter().copied().filter(|p| !is_rival(p)).collect();
            list.splice(place..place, [first, second]);
            let (dialect, doubt) = (self.dialect, Doubt::Against);
            let asked = PortSet::every();
            decide(&list, &Side { direction, subject: subject.pod, other, asked, dialect, doubt }).allowed
        };
        let (a, b) = (allowed(&one, &two), allowed(&two, &one));
        a.difference(&b).union(&b.difference(&a))
    }
}
