//! Which addresses a set of rules opens, on which ports: the exact union, cut into pieces on which it is constant.

use std::collections::BTreeMap;

use crate::model::meter::charge;
use crate::model::{Action, AddressScope, IpSet, Peer, PortSet, Rule};

/// Addresses that are open on all of these ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Ports. Named ports never apply to addresses and are not in here.
    pub ports: PortSet,
    /// Addresses.
    pub addresses: IpSet,
}

/// The union of what allow rules open to addresses. Pieces do not share ports, and pieces that open the same addresses are one.
///
/// Named ports count as "some port" for pods only (semantics 2.1.8); on ingress the selected pod resolves them, so callers
/// resolve them first where that matters.
pub fn exposure<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Exposure> {
    exposure_by(rules.into_iter().filter(|rule| rule.action == Action::Allow), Peer::addresses)
}

/// The same for peers whose addresses may be those of pods, and for rules of any action.
pub(super) fn exposure_to_pods<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<Exposure> {
    exposure_by(rules, |peer| match peer {
        Peer::Entity(_) => IpSet::empty(),
        Peer::Addresses(block) if block.scope == AddressScope::ExternalOnly => IpSet::empty(),
        peer => peer.addresses(),
    })
}

fn exposure_by<'a>(rules: impl IntoIterator<Item = &'a Rule>, of: impl Fn(&Peer) -> IpSet) -> Vec<Exposure> {
    // Many rules share few port conditions: their addresses are united first, in one sort each. Then those that open the same
    // addresses on different ports are one.
    let mut by_ports: BTreeMap<&PortSet, Vec<IpSet>> = BTreeMap::new();
    for rule in rules {
        // A set of addresses is copied for each peer.
        charge(1 + 8 * rule.peers.len());
        let addresses: Vec<IpSet> = rule.peers.iter().map(&of).collect();
        if addresses.iter().any(|set| !set.is_empty()) && !rule.ports.numbers.is_empty() {
            by_ports.entry(&rule.ports.numbers).or_default().extend(addresses);
        }
    }
    let mut by_addresses: BTreeMap<IpSet, Vec<&PortSet>> = BTreeMap::new();
    for (ports, sets) in by_ports {
        by_addresses.entry(IpSet::union_all(&sets)).or_default().push(ports);
    }
    let by_ports = by_addresses.into_iter().map(|(addresses, ports)| (PortSet::union_all(ports), addresses));
    let mut pieces: Vec<Exposure> = Vec::new();
    for (ports, addresses) in by_ports {
        let mut rest = ports;
        let mut next = Vec::with_capacity(pieces.len() + 2);
        for piece in pieces {
            charge(1);
            let common = piece.ports.intersection(&rest);
            if common.is_empty() {
                next.push(piece);
                continue;
            }
            rest = rest.difference(&common);
            let apart = piece.ports.difference(&common);
            if !apart.is_empty() {
                next.push(Exposure { ports: apart, addresses: piece.addresses.clone() });
            }
            next.push(Exposure { ports: common, addresses: piece.addresses.union(&addresses) });
        }
        if !rest.is_empty() {
            next.push(Exposure { ports: rest, addresses });
        }
        pieces = next;
    }
    let mut same: BTreeMap<IpSet, PortSet> = BTreeMap::new();
    for piece in pieces {
        let ports = same.entry(piece.addresses).or_default();
        *ports = ports.union(&piece.ports);
    }
    let mut all: Vec<Exposure> = same.into_iter().map(|(addresses, ports)| Exposure { ports, addresses }).collect();
    all.sort_by(|a, b| a.ports.cmp(&b.ports));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;
    use crate::model::peer::AddressPeer;
    use crate::model::{FieldPath, PortMatch, Protocol};

    fn rule(cidrs: &[&str], ports: PortSet) -> Rule {
        let peers = cidrs
            .iter()
            .map(|c| Peer::Addresses(AddressPeer::block(parse_cidr(c).unwrap().0, vec![], AddressScope::ByDialect)))
            .collect();
        Rule {
            action: Action::Allow,
            peers,
            ports: PortMatch::numbers(ports),
            at: FieldPath::default(),
            peers_at: "to",
            filtered_by: None,
        }
    }

    #[test]
    fn halves_on_split_ports_are_the_whole() {
        let low = PortSet::range(Protocol::Tcp, 1, 443);
        let high = PortSet::range(Protocol::Tcp, 443, 65535);
        let rules = [rule(&["0.0.0.0/1"], low.clone()), rule(&["128.0.0.0/1"], high)];
        let pieces = exposure(&rules);
        assert_eq!(pieces.len(), 3, "below 443, 443, above");
        let at_443 = pieces.iter().find(|p| p.ports.contains(Protocol::Tcp, 443)).unwrap();
        assert!(at_443.addresses.v4().is_full());
        assert_eq!(
            exposure([&rule(&["0.0.0.0/1", "128.0.0.0/1"], low.clone())]),
            exposure([&rule(&["0.0.0.0/0"], low)])
        );
    }
}
