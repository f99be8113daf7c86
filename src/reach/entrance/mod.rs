//! Who gets in: the workloads that Ingresses and HTTPRoutes expose, and whether the policies let the pods in that take
//! the traffic in for them.

mod backend;
mod doorkeeper;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{Bounds, Readings};
use super::decide::{Endpoint, resolve_on};
use super::explain::{bounds_between, read};
use super::flow::PodAt;
use super::selection::selecting;
use crate::model::entrance::Entrances;
use crate::model::{Action, Direction, Labels, NamespaceScope, Peer, PodSpec, PortSet, Str};
use crate::snapshot::{NamespaceState, Owner, PodClass, Snapshot};
use backend::Exposed;
pub use doorkeeper::KNOWN_CONTROLLERS;

/// Pods that take traffic in, as they were named or found.
#[derive(Clone, Debug)]
pub struct Doorkeeper {
    /// Their namespace.
    pub namespace: Arc<NamespaceState>,
    /// One of them.
    pub pod: Arc<PodSpec>,
    /// Their addresses where known.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whom they belong to; `None` for pods to come.
    pub owner: Option<Owner>,
}

impl Doorkeeper {
    fn of(namespace: &Arc<NamespaceState>, class: &PodClass) -> Self {
        Self {
            namespace: Arc::clone(namespace),
            pod: Arc::clone(class.pod()),
            addresses: class.addresses().to_vec(),
            owner: Some(class.owner().clone()),
        }
    }

    fn at(&self) -> PodAt<'_> {
        PodAt { namespace: &self.namespace, pod: &self.pod, addresses: &self.addresses }
    }
}

/// A workload and its pods' labels, for the name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryEnd {
    /// Namespace.
    pub namespace: Str,
    /// Owner.
    pub owner: Owner,
    /// Labels.
    pub labels: Labels,
}

/// A way from whoever takes traffic in to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who takes it in; `None` for any pod of any other namespace, because the controller is not known.
    pub from: Option<EntryEnd>,
    /// The workload.
    pub to: EntryEnd,
    /// What leads there, such as `Ingress shop/web`.
    pub by: Vec<String>,
    /// The ports that it leads to.
    pub exposed: PortSet,
    /// What of these passes.
    pub bounds: Bounds,
}

/// All entries, sorted, and what must be said about routes that lead nowhere and controllers that are not known.
pub fn entries(
    world: &Snapshot,
    entrances: &Entrances,
    given: Option<&[Doorkeeper]>,
    readings: &Readings,
) -> (Vec<Entry>, Vec<String>) {
    let mut notes = Vec::new();
    let mut found: BTreeMap<(Option<EntryEnd>, EntryEnd), Entry> = BTreeMap::new();
    for route in entrances.routes.values() {
        let exposed = backend::exposed(world, entrances, route, &mut notes);
        let keepers = match given {
            Some(given) => given.to_vec(),
            None => doorkeeper::of(world, entrances, route, &mut notes),
        };
        for Exposed { namespace, class, ports } in exposed {
            let to = PodAt { namespace: &namespace, pod: class.pod(), addresses: class.addresses() };
            let place = EntryEnd {
                namespace: namespace.name().clone(),
                owner: class.owner().clone(),
                labels: class.pod().labels.clone(),
            };
            let mut add = |from: Option<EntryEnd>, bounds: Bounds| {
                let cut = |set: &PortSet| set.intersection(&ports);
                let bounds = Bounds {
                    certain: cut(&bounds.certain),
                    possible: cut(&bounds.possible),
                    filtered: cut(&bounds.filtered),
                };
                let by = route.id.to_string();
                let key = (from.clone(), place.clone());
                let entry = found.entry(key).or_insert_with(|| Entry {
                    from,
                    to: place.clone(),
                    by: Vec::new(),
                    exposed: PortSet::empty(),
                    bounds: Bounds::default(),
                });
                entry.exposed = entry.exposed.union(&ports);
                entry.bounds.certain = entry.bounds.certain.union(&bounds.certain);
                entry.bounds.possible = entry.bounds.possible.union(&bounds.possible);
                if !entry.by.contains(&by) {
                    entry.by.push(by);
                }
            };
            if keepers.is_empty() {
                add(None, from_anyone(world, to, readings));
            }
            for keeper in &keepers {
                let from = keeper.owner.as_ref().map(|owner| EntryEnd {
                    namespace: keeper.namespace.name().clone(),
                    owner: owner.clone(),
                    labels: keeper.pod.labels.clone(),
                });
                add(from, bounds_between(world, keeper.at(), to, readings));
            }
        }
    }
    notes.sort();
    notes.dedup();
    (found.into_values().collect(), notes)
}

/// What gets in from a pod of another namespace of which nothing is known. Certain is what every such pod may; possible
/// is what some pod may that a rule picks out by labels nobody has named here.
fn from_anyone(world: &Snapshot, to: PodAt<'_>, readings: &Readings) -> Bounds {
    let elsewhere = NamespaceState::named("{ingress-controller}");
    let nobody = PodSpec::with_labels(Labels::default());
    let other = Endpoint::Pod { namespace: &elsewhere, pod: &nobody, addresses: &[] };
    let mut sides = read(world, to, Direction::Ingress, other, readings).into_iter().map(|side| side.bounds());
    let first = sides.next().unwrap_or_default();
    let mut bounds = sides.fold(first, |all, side| all.either(&side));
    for rule in selecting(world, to.namespace, to.pod).iter().flat_map(|policy| &policy.ingress) {
        if rule.action != Action::Deny && rule.peers.iter().any(|peer| may_be_elsewhere(peer, to.namespace)) {
            bounds.possible = bounds.possible.union(&resolve_on(&rule.ports, to.pod));
        }
    }
    if to.pod.host_network {
        bounds.possible = PortSet::full();
    }
    bounds
}

fn may_be_elsewhere(peer: &Peer, own: &NamespaceState) -> bool {
    match peer {
        Peer::Nobody => false,
        Peer::Pods(peer) => match &peer.namespaces {
            NamespaceScope::Named(name) => name != own.name(),
            NamespaceScope::Matching(_) => true,
        },
        _ => true,
    }
}
