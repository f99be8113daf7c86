//! The connections that assertions want: each Allow between every workload at one end and every one at the other. A Deny
//! wants nothing; whether it is kept is for the proof.

use super::super::decide::resolve_on;
use super::{WantedEdge, WantedEnd};
use crate::model::assertion::{Claim, Expect, Who};
use crate::model::pod::PodLookup;
use crate::model::{IpSet, PodSpec, PortMatch, PortSet};
use crate::snapshot::Snapshot;

/// An end, and a pod of it that resolves port names.
type Somebody<'a> = (WantedEnd, Option<&'a PodSpec>);

/// What these claims want.
pub fn wanted_by<'a>(world: &Snapshot, claims: impl IntoIterator<Item = &'a Claim>) -> Vec<WantedEdge> {
    let mut edges: Vec<WantedEdge> = Vec::new();
    for claim in claims.into_iter().filter(|claim| claim.expect == Expect::Allow) {
        let (sources, targets) = (everybody(world, &claim.from), everybody(world, &claim.to));
        for (to, pod) in &targets {
            let ports = ports(claim.ports.as_ref(), *pod);
            for (from, _) in sources.iter().filter(|_| !ports.is_empty()) {
                match edges.iter_mut().find(|edge| edge.from == *from && edge.to == *to) {
                    Some(known) => known.ports = known.ports.union(&ports),
                    None => edges.push(WantedEdge { from: from.clone(), to: to.clone(), ports: ports.clone() }),
                }
            }
        }
    }
    edges
}

fn ports(asked: Option<&PortMatch>, pod: Option<&PodSpec>) -> PortSet {
    match (asked, pod) {
        (None, _) => PortSet::full(),
        (Some(asked), Some(pod)) => resolve_on(asked, pod),
        (Some(asked), None) => asked.numbers.clone(),
    }
}

/// Workloads at an end, each once; pods of one workload that look different count as one.
fn everybody<'a>(world: &'a Snapshot, who: &Who) -> Vec<Somebody<'a>> {
    match who {
        Who::World => vec![(WantedEnd::Addresses(IpSet::full()), None)],
        Who::Addresses { set, .. } => vec![(WantedEnd::Addresses(set.clone()), None)],
        Who::Pods(_) | Who::Workload { .. } => {
            let mut found: Vec<Somebody<'a>> = Vec::new();
            for namespace in world.namespaces() {
                for class in namespace.classes() {
                    let (owner, pod) = (class.owner(), class.pod());
                    let meant = match who {
                        Who::Workload { namespace: own, kind, name } => {
                            own == namespace.name() && owner.kind == *kind && owner.name == *name
                        }
                        Who::Pods(peer) => {
                            let lookup = PodLookup { pod, namespace: namespace.labels() };
                            !pod.host_network && namespace.is_in(&peer.namespaces) && peer.pods.matches(&lookup)
                        }
                        Who::Addresses { .. } | Who::World => false,
                    };
                    let end = WantedEnd::Pods {
                        namespace: namespace.name().clone(),
                        owner: owner.clone(),
                        variant: String::new(),
                    };
                    if meant && found.iter().all(|(known, _)| *known != end) {
                        found.push((end, Some(pod)));
                    }
                }
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            found
        }
    }
}
