//! A union of allows with a default deny as ClusterNetworkPolicies: what is accepted at one priority of the tier Baseline
//! and the denial of everyone at the last, so that policies of several objects still add up.

use super::super::clusternetworkpolicy::render::MOST;
use super::super::render::{Obstacle, obstacle};
use super::Reading;
use super::plain::apart_by_action;
use crate::model::peer::AddressPeer;
use crate::model::{
    Action, AddressScope, Direction, FieldPath, IntervalSet, IpSet, NamespaceScope, Peer, PodPeer, Policy, PortMatch,
    PortSet, Priority, Protocol, Rule, Selector, Str, Tier, Touches,
};

/// Denials that beat every allow, allows, and the denial of everyone else. Between them there is room for policies of others.
const DENIALS: f64 = 800.0;
const ALLOWS: f64 = 900.0;
const REST: f64 = 1000.0;

const OUTSIDE: &str = "incoming traffic from outside of the cluster and from nodes is denied, and a ClusterNetworkPolicy has \
                       no peer for it: as written it COMES IN";
const NO_BLOCKS: &str = "incoming traffic is let in by block, and a ClusterNetworkPolicy has no peer for it: pods with such \
                         addresses are not let in";
const NO_PROTOCOL: &str = "the port with a name is of one protocol; in a ClusterNetworkPolicy it is of whichever the \
                           container says";
const NAMES_OF_PODS: &str =
    "the port with a name is for everyone; in a ClusterNetworkPolicy it is for pods that selectors see";
const BLOCKS: &str =
    "whether the block names pods by their addresses hangs on the network; in a ClusterNetworkPolicy it does";

/// A policy, and what its name ends with.
pub(super) type Part = (Policy, &'static str);

/// Whether every peer has a field there.
pub(super) fn sayable(policy: &Policy) -> Result<(), Obstacle> {
    for direction in Direction::BOTH {
        for rule in policy.rules(direction) {
            for (i, peer) in rule.peers.iter().enumerate() {
                let by_name = matches!(peer, Peer::Nodes(_) | Peer::Domains(_)) && direction == Direction::Egress;
                if !by_name && !matches!(peer, Peer::Any | Peer::Pods(_) | Peer::Addresses(_)) {
                    return obstacle(
                        &rule.peer_path(i),
                        "it names peers in a way that ClusterNetworkPolicy has no field for",
                    );
                }
            }
        }
    }
    Ok(())
}

/// The policies that together do what this one does.
pub(super) fn tiered(policy: &Policy, reading: &mut Reading<'_>) -> Vec<Part> {
    let (denials, allows) = apart_by_action(policy);
    let mut parts = Vec::new();
    for (one, number, suffix) in denials.into_iter().map(|d| (d, DENIALS, "-deny")).chain([(allows, ALLOWS, "")]) {
        let at_priority = |ingress, egress| Policy {
            tier: Tier::baseline(),
            priority: Priority::new(number),
            isolates_ingress: false,
            isolates_egress: false,
            ingress,
            egress,
            ..one.clone()
        };
        let of = |direction, reading: &mut Reading<'_>| -> Vec<Rule> {
            let list = one.rules(direction).iter();
            list.flat_map(|one| rules(one, direction, reading)).flat_map(|one| fitting(&one)).collect()
        };
        let (ingress, egress) = (of(Direction::Ingress, reading), of(Direction::Egress, reading));
        // All rules of one policy do the same, so that nothing hangs on where they stand.
        let (mut into, mut out) = (ingress.chunks(MOST), egress.chunks(MOST));
        loop {
            let (ingress, egress) = (into.next(), out.next());
            if ingress.is_none() && egress.is_none() {
                break;
            }
            let list = |rules: Option<&[Rule]>| rules.unwrap_or_default().to_vec();
            parts.push((at_priority(list(ingress), list(egress)), suffix));
        }
    }
    if let Some(rest) = rest(policy, parts.is_empty(), reading) {
        parts.push((rest, "-default-deny"));
    }
    parts
}

fn everyone(direction: Direction) -> Vec<Peer> {
    let pods = PodPeer { namespaces: NamespaceScope::all(), pods: Selector::everything() };
    match direction {
        Direction::Ingress => vec![Peer::Pods(pods)],
        Direction::Egress => vec![Peer::Pods(pods), everywhere()],
    }
}

fn everywhere() -> Peer {
    Peer::Addresses(AddressPeer::blocks(IpSet::full().to_cidrs(), AddressScope::PodsToo))
}

/// Whether the policy does nothing but deny everyone to every pod of its namespaces.
pub(super) fn closes(policy: &Policy) -> bool {
    policy.subject.pods.is_everything() && policy.ingress.is_empty() && policy.egress.is_empty()
}

/// The denial of everyone whom nothing lets in. Where a policy of its own says so for the whole namespace,
/// that is enough, unless nothing else would be left to write.
fn rest(policy: &Policy, alone: bool, reading: &mut Reading<'_>) -> Option<Policy> {
    let mut close = |direction: Direction| {
        if !policy.isolates(direction) {
            return Vec::new();
        }
        let at = FieldPath::new("spec").field(direction.field());
        let open = |rule: &Rule| rule.action == Action::Allow && rule.peers.contains(&Peer::Any) && rule.ports.is_any();
        if direction == Direction::Ingress && !policy.ingress.iter().any(open) {
            reading.departs(direction, &at, OUTSIDE, Touches::Outside);
        }
        let said = |(of, namespaces): &(Direction, NamespaceScope)| {
            *of == direction && *namespaces == policy.subject.namespaces
        };
        if !closes(policy) && !alone && reading.closed.iter().any(said) {
            return Vec::new();
        }
        vec![Rule {
            action: Action::Deny,
            peers: everyone(direction),
            ports: PortMatch::any(),
            at,
            peers_at: peers_at(direction),
            filtered_by: None,
        }]
    };
    let (ingress, egress) = (close(Direction::Ingress), close(Direction::Egress));
    (!ingress.is_empty() || !egress.is_empty()).then(|| Policy {
        tier: Tier::baseline(),
        priority: Priority::new(REST),
        isolates_ingress: false,
        isolates_egress: false,
        ingress,
        egress,
        ..policy.clone()
    })
}

const fn peers_at(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

/// Pods with every port, addresses with the numbered ones: they have no ports with names.
fn rules(rule: &Rule, direction: Direction, reading: &mut Reading<'_>) -> Vec<Rule> {
    let (mut selected, mut addressed, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    let mut nets = Vec::new();
    for (i, peer) in rule.peers.iter().enumerate() {
        let at = rule.peer_path(i);
        match peer {
            Peer::Any => {
                selected.extend(everyone(Direction::Ingress));
                if direction == Direction::Egress {
                    addressed.push(everywhere());
                }
            }
            Peer::Pods(_) => selected.push(peer.clone()),
            Peer::Addresses(block) if direction == Direction::Ingress => {
                reading.departs(direction, &at, NO_BLOCKS, Touches::PodsByAddress { from: block.scope, to: None });
            }
            Peer::Addresses(block) => {
                if block.scope != AddressScope::PodsToo {
                    let touches = Touches::PodsByAddress { from: block.scope, to: Some(AddressScope::PodsToo) };
                    reading.departs(direction, &at, BLOCKS, touches);
                }
                // There are no excepts: what they leave is written in blocks.
                nets.extend(if block.blocks.iter().all(|(_, except)| except.is_empty()) {
                    block.blocks.iter().map(|(net, _)| *net).collect()
                } else {
                    block.set.to_cidrs()
                });
            }
            other => rest.push(other.clone()),
        }
    }
    addressed.extend(
        nets.chunks(MOST).map(|some| Peer::Addresses(AddressPeer::blocks(some.iter().copied(), AddressScope::PodsToo))),
    );
    let names = names(&rule.ports, &rule.at, direction, reading);
    if !names.is_empty() && (rule.peers.contains(&Peer::Any) || !addressed.is_empty()) {
        for name in &names {
            let touches = Touches::PortsNamed { name: name.clone(), but: None };
            reading.departs(direction, &rule.at, NAMES_OF_PODS, touches);
        }
    }
    let numbers = PortMatch::numbers(rule.ports.numbers.clone());
    let all = PortMatch { names: names.into_iter().map(|name| (None, name)).collect(), ..numbers.clone() };
    let with =
        |peers: Vec<Peer>, ports: PortMatch| Rule { peers, ports, peers_at: peers_at(direction), ..rule.clone() };
    let mut list = Vec::new();
    if all.names.is_empty() {
        list.push(with([selected, addressed, rest].concat(), numbers));
    } else {
        list.push(with(selected, all));
        list.push(with([addressed, rest].concat(), numbers));
    }
    let has_ports = |ports: &PortMatch| !ports.numbers.is_empty() || !ports.names.is_empty();
    list.retain(|rule| !rule.peers.is_empty() && has_ports(&rule.ports));
    list
}

/// The names without their protocols.
fn names(ports: &PortMatch, at: &FieldPath, direction: Direction, reading: &mut Reading<'_>) -> Vec<Str> {
    let mut names: Vec<Str> = Vec::new();
    for (protocol, name) in &ports.names {
        if protocol.is_some() {
            reading.departs(direction, at, NO_PROTOCOL, Touches::PortsNamed { name: name.clone(), but: *protocol });
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The rule in as many as there must be for the schema to have room.
pub(super) fn fitting(rule: &Rule) -> Vec<Rule> {
    let mut list = Vec::new();
    for peers in rule.peers.chunks(MOST) {
        for ports in portions(&rule.ports) {
            list.push(Rule { peers: peers.to_vec(), ports, ..rule.clone() });
        }
    }
    list
}

fn portions(ports: &PortMatch) -> Vec<PortMatch> {
    if ports.is_any() {
        return vec![ports.clone()];
    }
    let mut items: Vec<PortMatch> = Vec::new();
    for protocol in Protocol::ALL {
        let ranges = ports.numbers.ports(protocol).ranges().iter();
        items.extend(ranges.map(|&(lo, hi)| PortMatch::numbers(PortSet::of(protocol, IntervalSet::range(lo, hi)))));
    }
    items.extend(ports.names.iter().map(|name| PortMatch { numbers: PortSet::empty(), names: vec![name.clone()] }));
    if items.len() <= MOST {
        return vec![ports.clone()];
    }
    let together = |some: &[PortMatch]| PortMatch {
        numbers: some.iter().fold(PortSet::empty(), |all, one| all.union(&one.numbers)),
        names: some.iter().flat_map(|one| one.names.clone()).collect(),
    };
    items.chunks(MOST).map(together).collect()
}
