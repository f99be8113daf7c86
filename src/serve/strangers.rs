//! The connections that have not delivered a review, in the order in which they came, in all and for each source address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Numbers of connections with the source of each; a higher number came later.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    all: BTreeMap<u64, IpAddr>,
    by_source: HashMap<IpAddr, BTreeSet<u64>>,
}

impl Strangers {
    /// Notes a new connection.
    pub(super) fn add(&mut self, id: u64, from: IpAddr) {
        let source = source(from);
        self.all.insert(id, source);
        self.by_source.entry(source).or_default().insert(id);
    }

    /// Forgets a connection that has delivered a review or has ended.
    pub(super) fn remove(&mut self, id: u64) {
        let Some(source) = self.all.remove(&id) else { return };
        if let Some(of_source) = self.by_source.get_mut(&source) {
            of_source.remove(&id);
            if of_source.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }

    /// Number of all of them.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Number of those from the source of this address.
    pub(super) fn count_from(&self, from: IpAddr) -> usize {
        self.by_source.get(&source(from)).map_or(0, BTreeSet::len)
    }

    /// All of them, oldest first.
    pub(super) fn oldest(&self) -> impl Iterator<Item = u64> {
        self.all.keys().copied()
    }

    /// Those from the source of this address, oldest first.
    pub(super) fn oldest_from(&self, from: IpAddr) -> impl Iterator<Item = u64> {
        self.by_source.get(&source(from)).into_iter().flatten().copied()
    }
}

/// One host has one IPv4 address, and any number of IPv6 addresses in a network of 64 bits.
fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_source_and_gives_the_oldest_first() {
        let mut strangers = Strangers::default();
        let addresses =
            ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"];
        for (id, address) in (0..).zip(addresses) {
            strangers.add(id, address.parse().unwrap());
        }
        let count = |strangers: &Strangers, address: &str| strangers.count_from(address.parse().unwrap());
        assert_eq!(strangers.len(), 6);
        assert_eq!((count(&strangers, "10.0.0.1"), count(&strangers, "10.0.0.2")), (2, 1));
        assert_eq!((count(&strangers, "2001:db8::2"), count(&strangers, "2001:db8:0:1::1")), (2, 1));
        assert_eq!(strangers.oldest_from("10.0.0.1".parse().unwrap()).collect::<Vec<_>>(), [0, 1]);
        strangers.remove(0);
        strangers.remove(0);
        strangers.remove(2);
        assert_eq!(strangers.oldest().collect::<Vec<_>>(), [1, 3, 4, 5]);
        assert_eq!((count(&strangers, "10.0.0.1"), count(&strangers, "10.0.0.2")), (1, 0));
    }
}
