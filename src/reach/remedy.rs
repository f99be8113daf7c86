//! The smallest change that lets a refused flow pass: one allow on each side that refuses, tried on the engine before anyone
//! sees it.

use std::sync::Arc;

use super::bounds::{Bounds, Readings, Verdict, has_ports};
use super::decide::Endpoint;
use super::explain::{bounds_between, read};
use super::flow::PodAt;
use super::selection::selecting;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::object::PolicyObject;
use crate::model::peer::AddressPeer;
use crate::model::policy::Priority;
use crate::model::{
    Action, AddressScope, Change, Direction, FieldPath, IpSet, Labels, NamespaceScope, Object, ObjectRef, Peer,
    PodPeer, PodSpec, Policy, PortMatch, PortSet, Rule, Selector, Subject, Tier,
};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// One end of a flow that is to be opened.
#[derive(Clone, Copy, Debug)]
pub enum OpenEnd<'a> {
    /// A pod and whom it belongs to.
    Pod(PodAt<'a>, &'a Owner),
    /// Addresses.
    Addresses(&'a IpSet),
}

/// Policies that open a flow, proved to.
#[derive(Clone, Debug)]
pub struct Remedy {
    /// One for each side that refuses.
    pub policies: Vec<Policy>,
    /// Where the same rule could be added instead: a policy that selects these pods already, and its list of rules.
    pub instead: Vec<(Arc<ObjectRef>, FieldPath)>,
    /// Workloads that the new policies would isolate for the first time.
    pub also_isolates: Vec<Owner>,
}

/// Labels that say nothing about what a pod is.
pub(super) const PASSING: [&str; 8] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-revision-hash",
    "controller-uid",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];
/// Labels that people name workloads by, best first.
pub(super) const NAMING: [&str; 6] =
    ["app.kubernetes.io/name", "app", "k8s-app", "name", "app.kubernetes.io/component", "component"];

/// Looks for policies that let `wanted` pass from one end to the other. `None` if no NetworkPolicy can.
pub fn remedy(
    world: &Snapshot,
    from: OpenEnd<'_>,
    to: OpenEnd<'_>,
    wanted: &PortSet,
    readings: &Readings,
) -> Option<Remedy> {
    let mut remedy = Remedy { policies: Vec::new(), instead: Vec::new(), also_isolates: Vec::new() };
    let mut next = world.clone();
    for (direction, subject, other) in [(Direction::Egress, from, to), (Direction::Ingress, to, from)] {
        let OpenEnd::Pod(at, owner) = subject else { continue };
        let lacking = wanted.difference(&side(world, at, direction, other, readings).certain);
        if lacking.is_empty() {
            continue;
        }
        let policy = allow(world, (at, owner), direction, other, &lacking);
        remedy.instead.extend(instead(world, at, direction));
        remedy.also_isolates.extend(newly_isolated(world, &policy, direction));
        let object = PolicyObject {
            id: Arc::clone(&policy.id),
            policies: vec![Arc::new(policy.clone())],
            unread: Vec::new(),
            implicit_types: false,
        };
        next.apply(&Change::create(Object::Policy(object)));
        remedy.policies.push(policy);
    }
    let bounds = flow(&next, from, to, readings);
    let opened = !remedy.policies.is_empty() && bounds.verdict(Some(wanted)) == Verdict::Allow;
    opened.then_some(remedy)
}

/// Ports to open where none were asked for: those that the other side allows, else those that the destination names.
pub fn lacking(egress: &Bounds, ingress: &Bounds, destination: Option<&PodSpec>) -> PortSet {
    let (egress, ingress) = (&egress.certain, &ingress.certain);
    match (has_ports(egress), has_ports(ingress)) {
        (true, false) if !egress.is_full() => return egress.clone(),
        (false, true) if !ingress.is_full() => return ingress.clone(),
        _ => {}
    }
    let named = destination.map_or(&[][..], |pod| pod.ports.as_slice());
    let named = named.iter().fold(PortSet::empty(), |all, p| all.union(&PortSet::port(p.protocol, p.port)));
    if has_ports(&named) { named } else { PortSet::full() }
}

/// One side of the flow, over every reading.
fn side(world: &Snapshot, at: PodAt<'_>, direction: Direction, other: OpenEnd<'_>, readings: &Readings) -> Bounds {
    let endpoint = match &other {
        OpenEnd::Pod(other, _) => other.endpoint(),
        OpenEnd::Addresses(set) => Endpoint::Addresses(set),
    };
    let namespace = world.namespace_or_empty(at.namespace.name());
    let at = PodAt { namespace: &namespace, ..at };
    let mut all = read(world, at, direction, endpoint, readings).into_iter().map(|r| r.bounds());
    let first = all.next().unwrap_or_default();
    all.fold(first, |all, next| all.either(&next))
}

fn flow(world: &Snapshot, from: OpenEnd<'_>, to: OpenEnd<'_>, readings: &Readings) -> Bounds {
    match (from, to) {
        (OpenEnd::Pod(a, _), OpenEnd::Pod(b, _)) => {
            let (na, nb) = (world.namespace_or_empty(a.namespace.name()), world.namespace_or_empty(b.namespace.name()));
            bounds_between(world, PodAt { namespace: &na, ..a }, PodAt { namespace: &nb, ..b }, readings)
        }
        (OpenEnd::Pod(a, _), other) => side(world, a, Direction::Egress, other, readings),
        (other, OpenEnd::Pod(b, _)) => side(world, b, Direction::Ingress, other, readings),
        (OpenEnd::Addresses(_), OpenEnd::Addresses(_)) => Bounds::default(),
    }
}

/// A policy for the subject alone that admits the other end on these ports.
fn allow(
    world: &Snapshot,
    (at, owner): (PodAt<'_>, &Owner),
    direction: Direction,
    other: OpenEnd<'_>,
    ports: &PortSet,
) -> Policy {
    let namespace = at.namespace.name();
    let peers = match other {
        OpenEnd::Pod(peer, peer_owner) => {
            let namespaces = if peer.namespace.name() == namespace {
                NamespaceScope::Named(namespace.clone())
            } else {
                NamespaceScope::Matching(Selector::equals(NAMESPACE_NAME_LABEL, peer.namespace.name().clone()))
            };
            vec![Peer::Pods(PodPeer { namespaces, pods: naming(world, peer, peer_owner) })]
        }
        OpenEnd::Addresses(set) => set
            .to_cidrs()
            .into_iter()
            .map(|cidr| Peer::Addresses(AddressPeer::block(cidr, Vec::new(), AddressScope::ByDialect)))
            .collect(),
    };
    let (verb, peers_at) = match direction {
        Direction::Egress => ("to", "to"),
        Direction::Ingress => ("from", "from"),
    };
    let other_name = match other {
        OpenEnd::Pod(_, owner) => owner.name.to_string(),
        OpenEnd::Addresses(_) => "addresses".to_owned(),
    };
    let name = free_name(world, namespace, &format!("{}-{verb}-{other_name}", owner.name));
    let rule = Rule {
        action: Action::Allow,
        peers,
        ports: PortMatch::numbers(ports.clone()),
        at: FieldPath::new("spec").field(direction.field()).index(0),
        peers_at,
        filtered_by: None,
    };
    let (ingress, egress) = match direction {
        Direction::Ingress => (vec![rule], Vec::new()),
        Direction::Egress => (Vec::new(), vec![rule]),
    };
    Policy {
        id: Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", namespace.clone(), name)),
        tier: Tier::network_policy(),
        priority: Priority::LAST,
        subject: Subject { namespaces: NamespaceScope::Named(namespace.clone()), pods: naming(world, at, owner) },
        isolates_ingress: direction == Direction::Ingress,
        isolates_egress: direction == Direction::Egress,
        ingress,
        egress,
    }
}

/// A name that the API takes and that is not taken yet.
fn free_name(world: &Snapshot, namespace: &str, wish: &str) -> String {
    let fits = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'.';
    let clean: String = wish.bytes().map(|b| if fits(&b) { char::from(b) } else { '-' }).take(200).collect();
    let base = format!("allow-{}", clean.trim_matches(['-', '.']));
    let taken = |name: &str| world.namespace(namespace).is_some_and(|n| n.policies().any(|p| *p.id.name == *name));
    let mut name = base.clone();
    for n in 2_u32.. {
        if !taken(&name) {
            break;
        }
        name = format!("{base}-{n}");
    }
    name
}

/// The fewest labels that single out the pod's owner in its namespace; all lasting ones where none do.
fn naming(world: &Snapshot, at: PodAt<'_>, owner: &Owner) -> Selector {
    let rank = |key: &str| NAMING.iter().position(|k| *k == key).unwrap_or(NAMING.len());
    let mut labels: Vec<(&str, &str)> =
        at.pod.labels.iter().map(|(k, v)| (&**k, &**v)).filter(|(k, _)| !PASSING.contains(k)).collect();
    labels.sort_by_key(|(key, _)| (rank(key), *key));
    let namespace = world.namespace_or_empty(at.namespace.name());
    let singled_out = |chosen: &[(&str, &str)]| {
        let hit = |labels: &Labels| chosen.iter().all(|(k, v)| labels.get(k).is_some_and(|value| **value == **v));
        namespace.classes().iter().all(|class| class.owner() == owner || !hit(&class.pod().labels))
    };
    let mut enough = labels.len();
    for n in 1..labels.len() {
        if singled_out(&labels[..n]) {
            enough = n;
            break;
        }
    }
    labels.truncate(enough);
    labels.sort_unstable();
    Selector::all(labels.into_iter().map(|(k, v)| Selector::equals(k, v)).collect())
}

/// A policy that isolates the pod and selects not just everyone: the rule may as well go there.
fn instead(world: &Snapshot, at: PodAt<'_>, direction: Direction) -> Option<(Arc<ObjectRef>, FieldPath)> {
    let policies = selecting(world, at.namespace, at.pod);
    let own = policies
        .iter()
        .find(|p| p.isolates(direction) && !p.subject.pods.matches_everything() && p.tier == Tier::network_policy())?;
    Some((Arc::clone(&own.id), FieldPath::new("spec").field(direction.field()).index(own.rules(direction).len())))
}

/// Owners whose pods the policy would isolate and that nothing isolates so far.
fn newly_isolated(world: &Snapshot, policy: &Policy, direction: Direction) -> Vec<Owner> {
    let namespace: Arc<NamespaceState> = world.namespace_or_empty(policy.id.namespace());
    let free =
        |pod: &PodSpec| !pod.host_network && selecting(world, &namespace, pod).iter().all(|p| !p.isolates(direction));
    let mut owners: Vec<Owner> = namespace
        .classes()
        .iter()
        .filter(|class| policy.subject.pods.matches(&class.pod().labels) && free(class.pod()))
        .map(|class| class.owner().clone())
        .collect();
    owners.dedup();
    owners
}
