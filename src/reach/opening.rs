//! Which private addresses a set of rules opens together with a wide part of the public ones, port by port.

use std::collections::BTreeMap;

use super::decide::resolve_on;
use super::exposure::Exposure;
use crate::model::dns_names::covers_every_name;
use crate::model::house::OpenCidr;
use crate::model::interval::Bound;
use crate::model::meter::charge;
use crate::model::peer::Entity;
use crate::model::{
    Action, Direction, IntervalSet, IpSet, NamedPort, Peer, PodSpec, Policy, PortSet, Protocol, Rule, TierSemantics,
};

/// One peer of one rule that opens addresses.
#[derive(Clone, Debug)]
pub struct Opening<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Index of the rule in its direction.
    pub index: usize,
    /// The rule.
    pub rule: &'a Rule,
    /// Index of the peer.
    pub peer: usize,
    /// The ports, with names resolved.
    pub ports: PortSet,
    /// The addresses.
    pub addresses: IpSet,
}

/// What policies open to addresses in a direction. On ingress the pod resolves port names; a name that it does not have
/// stands for a port of its own, because a pod that has it may come. On egress names never match addresses. What rules
/// deny that are consulted before is not open, nor what they leave to the next tier in theirs.
pub fn openings<'a>(policies: &[&'a Policy], direction: Direction, pod: &PodSpec) -> Vec<Opening<'a>> {
    let pod = if direction == Direction::Ingress { with_missing_names(policies, pod) } else { PodSpec::default() };
    let mut ordered: Vec<&'a Policy> = policies.to_vec();
    ordered.sort_by_key(|policy| (policy.tier.order, policy.priority));
    let mut denied: Vec<(PortSet, IpSet)> = Vec::new();
    let mut all = Vec::new();
    for tier in ordered.chunk_by(|a, b| a.tier.order == b.tier.order) {
        let union = tier.iter().all(|policy| policy.tier.semantics == TierSemantics::Union);
        // In a union a deny wins wherever it stands.
        let rules = tier.iter().filter(|_| union).flat_map(|policy| policy.rules(direction));
        for rule in rules.filter(|rule| rule.action == Action::Deny) {
            denied.extend(certain(rule, &pod));
        }
        let mut passed: Vec<(PortSet, IpSet)> = Vec::new();
        for policy in tier {
            let ordered = policy.tier.semantics != TierSemantics::Union;
            for (index, rule) in policy.rules(direction).iter().enumerate() {
                match rule.action {
                    Action::Allow => {
                        let taken = denied.iter().chain(passed.iter().filter(|_| ordered));
                        all.extend(openings_of(policy, (index, rule), taken, &pod));
                    }
                    Action::Deny if !union => denied.extend(certain(rule, &pod)),
                    Action::Pass => passed.extend(certain(rule, &pod)),
                    Action::Deny => {}
                }
            }
        }
    }
    all
}

/// The ports and addresses that a rule decides about for certain.
fn certain(rule: &Rule, pod: &PodSpec) -> Option<(PortSet, IpSet)> {
    let addresses = |peer: &Peer| match peer {
        Peer::Any | Peer::Entity(Entity::World) => Some(IpSet::full()),
        Peer::Addresses(block) => Some(block.set.clone()),
        _ => None,
    };
    let sets: Vec<IpSet> = rule.peers.iter().filter_map(addresses).collect();
    (!sets.is_empty()).then(|| (resolve_on(&rule.ports, pod), IpSet::union_all(&sets)))
}

fn openings_of<'a, 't>(
    policy: &'a Policy,
    (index, rule): (usize, &'a Rule),
    taken: impl Iterator<Item = &'t (PortSet, IpSet)>,
    pod: &PodSpec,
) -> Vec<Opening<'a>> {
    let ports = resolve_on(&rule.ports, pod);
    if ports.is_empty() {
        return Vec::new();
    }
    charge(8 * rule.peers.len());
    let taken = IpSet::union_all(taken.filter(|(on, _)| ports.is_subset(on)).map(|(_, addresses)| addresses));
    let open = rule.peers.iter().enumerate().map(|(peer, what)| {
        let addresses = opened(what);
        let addresses = if taken.is_empty() { addresses } else { addresses.difference(&taken) };
        Opening { policy, index, rule, peer, ports: ports.clone(), addresses }
    });
    open.filter(|opening| !opening.addresses.is_empty()).collect()
}

/// The addresses that a peer may name. A name that DNS resolves may lead to any address, and who lets pods connect to every
/// name lets them connect to names that others own.
fn opened(peer: &Peer) -> IpSet {
    match peer {
        Peer::Domains(names) if names.iter().any(|name| covers_every_name(name)) => IpSet::full(),
        Peer::AllOf(parts) => parts.iter().fold(IpSet::full(), |all, part| all.intersection(&opened(part))),
        other => other.addresses(),
    }
}

/// The pod, with a port for each name of a rule that it lacks: one that no rule names by number.
fn with_missing_names(policies: &[&Policy], pod: &PodSpec) -> PodSpec {
    let mut pod = pod.clone();
    let rules = || policies.iter().flat_map(|policy| &policy.ingress);
    let mut taken = PortSet::union_all(rules().map(|r| &r.ports.numbers).filter(|n| !n.is_full()));
    let mut lowest = u16::MAX;
    for (protocol, name) in rules().flat_map(|rule| &rule.ports.names) {
        let protocol = protocol.unwrap_or(Protocol::Tcp);
        if pod.ports.iter().any(|port| port.name == *name && port.protocol == protocol) {
            continue;
        }
        charge(16 + pod.ports.len());
        // Ports above were given out, or are taken.
        let port = (1..=lowest).rev().find(|port| !taken.contains(protocol, *port)).unwrap_or(u16::MAX);
        lowest = port;
        taken.add(protocol, port, port);
        pod.ports.push(NamedPort { name: name.clone(), protocol, port });
    }
    pod
}

/// The private addresses that are open where too many public ones are as well, in pieces by port (see [`OpenCidr`]).
/// `openings` may be of several policies: a pod gets the union of all.
pub fn private_beside_public(openings: &[&Opening<'_>], settings: &OpenCidr) -> Vec<Exposure> {
    // What is fine on all ports together is fine on each.
    if judge(openings, settings).is_empty() {
        return Vec::new();
    }
    let mut by_ports: BTreeMap<&PortSet, Vec<&Opening<'_>>> = BTreeMap::new();
    for &opening in openings {
        by_ports.entry(&opening.ports).or_default().push(opening);
    }
    let groups: Vec<(&PortSet, Vec<&Opening<'_>>)> = by_ports.into_iter().collect();
    let mut found = Vec::new();
    for (ports, members) in pieces(&groups) {
        let here: Vec<&Opening<'_>> = members.iter().flat_map(|&i| groups[i].1.iter().copied()).collect();
        let addresses = judge(&here, settings);
        if !addresses.is_empty() {
            found.push(Exposure { ports, addresses });
        }
    }
    found
}

/// Cuts port sets into pieces that do not overlap, each with the groups that it is part of.
fn pieces<T>(groups: &[(&PortSet, T)]) -> Vec<(PortSet, Vec<usize>)> {
    let mut pieces: Vec<(PortSet, Vec<usize>)> = Vec::new();
    for (i, (ports, _)) in groups.iter().enumerate() {
        let mut rest = (*ports).clone();
        let mut next = Vec::with_capacity(pieces.len() + 2);
        for (piece, members) in pieces {
            charge(1 + members.len());
            let common = piece.intersection(&rest);
            if common.is_empty() {
                next.push((piece, members));
                continue;
            }
            rest = rest.difference(&common);
            let apart = piece.difference(&common);
            let both = members.iter().copied().chain([i]).collect();
            if !apart.is_empty() {
                next.push((apart, members));
            }
            next.push((common, both));
        }
        if !rest.is_empty() {
            next.push((rest, vec![i]));
        }
        pieces = next;
    }
    pieces
}

fn judge(openings: &[&Opening<'_>], settings: &OpenCidr) -> IpSet {
    let private = &settings.private;
    let all = IpSet::union_all(openings.iter().map(|o| &o.addresses));
    // Blocks inside the private ranges are there on purpose; what others open there is by accident.
    let accidental =
        IpSet::union_all(openings.iter().map(|o| &o.addresses).filter(|addresses| !addresses.is_subset(private)));
    let size = |bits: u32, prefix: u8| 1u128.checked_shl(bits.saturating_sub(prefix.into())).unwrap_or(u128::MAX);
    let v4 = Limits { widest: size(32, settings.widest_v4), reopen: size(32, settings.reopen_v4) };
    let v6 = Limits { widest: size(128, settings.widest_v6), reopen: size(128, settings.reopen_v6) };
    IpSet::from_families(
        judge_family(all.v4(), accidental.v4(), private.v4(), v4),
        judge_family(all.v6(), accidental.v6(), private.v6(), v6),
    )
}

#[derive(Clone, Copy)]
struct Limits {
    widest: u128,
    reopen: u128,
}

fn judge_family<T: Bound>(
    all: &IntervalSet<T>,
    accidental: &IntervalSet<T>,
    private: &IntervalSet<T>,
    limits: Limits,
) -> IntervalSet<T> {
    if all.difference(private).count() <= limits.widest {
        return IntervalSet::empty();
    }
    let reached = all.intersection(private);
    let by_accident = accidental.intersection(private);
    let on_purpose = reached.difference(&by_accident);
    let whole = private.ranges().iter().any(|&(lo, hi)| IntervalSet::range(lo, hi).is_subset(&reached));
    if !on_purpose.is_empty() && (whole || on_purpose.count() > limits.reopen) { reached } else { by_accident }
}

/// What is in `now` and not in `then`, port by port.
pub fn beyond(now: &[Exposure], then: &[Exposure]) -> Vec<Exposure> {
    let mut left = now.to_vec();
    for old in then {
        let mut next = Vec::with_capacity(left.len());
        charge(left.len());
        for piece in left {
            let common = piece.ports.intersection(&old.ports);
            let apart = piece.ports.difference(&common);
            let addresses = piece.addresses.difference(&old.addresses);
            if !common.is_empty() && !addresses.is_empty() {
                next.push(Exposure { ports: common, addresses });
            }
            if !apart.is_empty() {
                next.push(Exposure { ports: apart, addresses: piece.addresses });
            }
        }
        left = next;
    }
    left
}
