//! Rules of ClusterNetworkPolicy and of the two kinds before it. Their `networks` have no except: what is left of a block is
//! listed, as long as there is room for it.

use serde_json::Value;

use super::{Fields, Left, given, left, nets};
use crate::model::original::Narrowing;
use crate::model::{Direction, IpSet};
use crate::translate::clusternetworkpolicy::render::MOST;

/// What is left of a rule; `None` where the list would be too long for its peer, and for people.
pub(super) fn rule(mut rule: Fields, direction: Direction, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    // Addresses are named in egress alone.
    if direction == Direction::Ingress {
        return Some(vec![rule]);
    }
    let Some(Value::Array(peers)) = rule.get_mut("to") else { return Some(vec![rule]) };
    let mut kept = Vec::with_capacity(peers.len());
    for mut peer in std::mem::take(peers) {
        if let Some(fields) = peer.as_object_mut()
            && given(fields, "networks").is_some()
        {
            let mut list: Vec<String> = Vec::new();
            for net in nets(fields, "networks")? {
                let rest = match left(net, &IpSet::empty(), narrowing) {
                    Left::Whole => vec![net],
                    Left::Nothing => Vec::new(),
                    Left::Except(except) => IpSet::from(net).difference(&IpSet::from_nets(&except)).to_cidrs(),
                };
                let new = rest.iter().map(ToString::to_string).filter(|text| !list.contains(text));
                let new: Vec<String> = new.collect();
                list.extend(new);
            }
            match list.len() {
                0 => continue,
                1..=MOST => fields.insert("networks".into(), list.into()),
                _ => return None,
            };
        }
        kept.push(peer);
    }
    if kept.is_empty() {
        return Some(Vec::new());
    }
    rule.insert("to".into(), kept.into());
    Some(vec![rule])
}
