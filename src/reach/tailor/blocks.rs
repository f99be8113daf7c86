//! A set of addresses as ipBlocks, in the way that takes the fewest entries: plain blocks, or one with excepts.

use ipnet::IpNet;

use crate::model::{IntervalSet, IpSet};

/// Blocks with their excepts that together are exactly the set.
pub fn blocks(set: &IpSet) -> Vec<(IpNet, Vec<IpNet>)> {
    let v4 = IpSet::from_families(set.v4().clone(), IntervalSet::empty());
    let v6 = IpSet::from_families(IntervalSet::empty(), set.v6().clone());
    [v4, v6].iter().flat_map(family).collect()
}

fn family(set: &IpSet) -> Vec<(IpNet, Vec<IpNet>)> {
    let plain = set.to_cidrs();
    let (Some(first), Some(last)) = (plain.first(), plain.last()) else { return Vec::new() };
    // The smallest block that holds the first and the last also holds all between.
    let mut cover = *first;
    while !cover.contains(last) {
        let Some(wider) = cover.supernet() else { break };
        cover = wider;
    }
    let except = IpSet::from(cover).difference(set).to_cidrs();
    if except.len() + 1 < plain.len() {
        return vec![(cover, except)];
    }
    plain.into_iter().map(|cidr| (cidr, Vec::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;

    fn net(text: &str) -> IpNet {
        parse_cidr(text).unwrap().0
    }

    #[test]
    fn the_way_with_fewer_entries_is_taken_and_means_the_same() {
        let world = IpSet::full();
        let private = IpSet::from_nets(&[net("10.0.0.0/8"), net("172.16.0.0/12"), net("192.168.0.0/16")]);
        let found = blocks(&world.difference(&private));
        let shown: Vec<String> = found.iter().map(|(cidr, except)| format!("{cidr} less {}", except.len())).collect();
        assert_eq!(shown, ["0.0.0.0/0 less 3", "::/0 less 0"]);
        let two = IpSet::from_nets(&[net("203.0.113.0/24"), net("198.51.100.7/32"), net("2001:db8::/32")]);
        assert!(blocks(&two).iter().all(|(_, except)| except.is_empty()));
        for set in [world.difference(&private), two, IpSet::from_nets(&[net("10.0.0.1/32"), net("10.0.0.3/32")])] {
            let sum = blocks(&set).iter().fold(IpSet::empty(), |all, (cidr, except)| {
                all.union(&IpSet::from(*cidr).difference(&IpSet::from_nets(except)))
            });
            assert_eq!(sum, set);
        }
        assert!(blocks(&IpSet::empty()).is_empty());
    }
}
