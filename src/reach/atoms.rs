//! Address space cut where policies cut it: two addresses of one piece get the same answer from every rule.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::model::{Direction, IpSet, Peer, Policy, Rule};

/// Both families apart, so that a piece is never half IPv4 and half IPv6.
fn families(set: &IpSet) -> [IpSet; 2] {
    [
        IpSet::from_families(set.v4().clone(), crate::model::IntervalSet::empty()),
        IpSet::from_families(crate::model::IntervalSet::empty(), set.v6().clone()),
    ]
}

/// Cuts the addresses by every rule of these policies. Pieces are disjoint and together make up the whole.
pub(super) fn cut(whole: &IpSet, policies: &[&Arc<Policy>], direction: Direction) -> Vec<IpSet> {
    let sets: BTreeSet<IpSet> = policies
        .iter()
        .flat_map(|p| p.rules(direction))
        .flat_map(rule_addresses)
        .filter(|set| !set.is_empty() && !set.is_full())
        .collect();
    let mut pieces: Vec<IpSet> = families(whole).into_iter().filter(|f| !f.is_empty()).collect();
    for set in sets {
        let mut next = Vec::with_capacity(pieces.len() + 1);
        for piece in pieces {
            let inside = piece.intersection(&set);
            if inside.is_empty() {
                next.push(piece);
                continue;
            }
            let outside = piece.difference(&set);
            next.push(inside);
            if !outside.is_empty() {
                next.push(outside);
            }
        }
        pieces = next;
    }
    pieces
}

/// A rule matches an address if one of its peers does, so of plain blocks only the union cuts. Conditions inside others
/// cut each by itself: beside something that is not known, the whole says too little.
fn rule_addresses(rule: &Rule) -> Vec<IpSet> {
    let (compound, plain): (Vec<&Peer>, Vec<&Peer>) =
        rule.peers.iter().partition(|p| matches!(p, Peer::AllOf(_) | Peer::Not(_)));
    let mut sets = vec![IpSet::union_all(&plain.into_iter().map(Peer::addresses).collect::<Vec<_>>())];
    for peer in compound {
        peer.visit(&mut |part| {
            if let Peer::Addresses(block) = part {
                sets.push(block.set.clone());
            }
        });
    }
    sets
}

/// One address that stands for a piece.
pub(super) fn representative(piece: &IpSet) -> Option<IpAddr> {
    let v4 = piece.v4().ranges().first().map(|&(lo, _)| IpAddr::from(Ipv4Addr::from_bits(lo)));
    v4.or_else(|| piece.v6().ranges().first().map(|&(lo, _)| IpAddr::from(Ipv6Addr::from_bits(lo))))
}
