//! A policy as it was meant: the same, with the private ranges taken out of its wide blocks.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::fields;
use crate::model::ipset::parse_cidr;
use crate::model::peer::{AddressPeer, Entity};
use crate::model::{AddressScope, Direction, FieldPath, IpSet, Peer, Policy};

/// Rules that are to be narrowed, by direction and index.
pub(super) type Blamed = BTreeSet<(Direction, usize)>;

/// The policy without private addresses in the blamed rules. Blocks that lie inside the private ranges stay unless
/// `all` is asked for. A rule that nothing is left of goes, because one without peers would admit everyone.
pub(super) fn narrowed(policy: &Policy, blamed: &Blamed, private: &IpSet, all: bool) -> Policy {
    let mut narrowed = policy.clone();
    let cilium = fields::is_cilium(&policy.id);
    let scope = if cilium { AddressScope::ExternalOnly } else { AddressScope::ByDialect };
    for direction in Direction::BOTH {
        let field = direction.field();
        let list = if direction == Direction::Ingress { &mut narrowed.ingress } else { &mut narrowed.egress };
        let mut kept = Vec::with_capacity(list.len());
        for (index, mut rule) in std::mem::take(list).into_iter().enumerate() {
            if blamed.contains(&(direction, index)) {
                rule.peers = rule.peers.into_iter().flat_map(|peer| narrow(peer, private, all, scope)).collect();
                rule.peers_at = match (direction, cilium) {
                    (Direction::Ingress, false) => "from",
                    (Direction::Egress, false) => "to",
                    (Direction::Ingress, true) => "fromCIDRSet",
                    (Direction::Egress, true) => "toCIDRSet",
                };
                if rule.peers.is_empty() {
                    continue;
                }
            }
            rule.at = FieldPath::new("spec").field(field).index(kept.len());
            kept.push(rule);
        }
        *list = kept;
    }
    narrowed
}

fn narrow(peer: Peer, private: &IpSet, all: bool, scope: AddressScope) -> Vec<Peer> {
    match peer {
        Peer::Any | Peer::Entity(Entity::World) => {
            let families = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|text| parse_cidr(text).ok());
            families.map(|(cidr, _)| without(cidr, &IpSet::empty(), private, scope)).collect()
        }
        Peer::Addresses(peer) => {
            let scope = peer.scope;
            let blocks = peer.blocks.into_iter().filter_map(|(cidr, except)| {
                let excepted = IpSet::from_nets(&except);
                let set = IpSet::from(cidr).difference(&excepted);
                if set.is_subset(private) {
                    return (!all).then(|| Peer::Addresses(AddressPeer::block(cidr, except, scope)));
                }
                Some(if set.intersects(private) {
                    without(cidr, &excepted, private, scope)
                } else {
                    Peer::Addresses(AddressPeer::block(cidr, except, scope))
                })
            });
            blocks.collect()
        }
        other => vec![other],
    }
}

/// The block less what was excepted already and less the private addresses.
fn without(cidr: IpNet, excepted: &IpSet, private: &IpSet, scope: AddressScope) -> Peer {
    let except = excepted.union(private).intersection(&IpSet::from(cidr));
    Peer::Addresses(AddressPeer::block(cidr, except.to_cidrs(), scope))
}
