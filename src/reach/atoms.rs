//! Address space cut where policies cut it: two addresses of one piece get the same answer from every rule.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::model::{Direction, IpSet, Policy, Rule};

/// Both families apart, so that a piece is never half IPv4 and half IPv6.
fn families(set: &IpSet) -> [IpSet; 2] {
    [
        IpSet::from_families(set.v4().clone(), crate::model::IntervalSet::empty()),
        IpSet::from_families(crate::model::IntervalSet::empty(), set.v6().clone()),
    ]
}

/// Cuts the addresses by every rule of these policies. Pieces are disjoint and together make up the whole.
pub(super) fn cut(whole: &IpSet, policies: &[&Arc<Policy>], direction: Direction) -> Vec<IpSet> {
    // A rule matches an address if one of its peers does, so only the union of its blocks cuts.
    let sets: BTreeSet<IpSet> = policies
        .iter()
        .flat_map(|p| p.rules(direction))
        .map(rule_addresses)
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

fn rule_addresses(rule: &Rule) -> IpSet {
    IpSet::union_all(&rule.peers.iter().map(crate::model::Peer::addresses).collect::<Vec<_>>())
}

/// One address that stands for a piece.
pub(super) fn representative(piece: &IpSet) -> Option<IpAddr> {
    let v4 = piece.v4().ranges().first().map(|&(lo, _)| IpAddr::from(Ipv4Addr::from_bits(lo)));
    v4.or_else(|| piece.v6().ranges().first().map(|&(lo, _)| IpAddr::from(Ipv6Addr::from_bits(lo))))
}
