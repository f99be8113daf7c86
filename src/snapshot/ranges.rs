//! Which ranges pods have their addresses in: whether a block holds the address of any pod is known to be "no" without a look
//! at every pod of the cluster.

use std::net::IpAddr;
use std::sync::Arc;

use super::Snapshot;
use crate::model::IpSet;

/// Networks give their pods addresses out of few blocks of this size (IPv4, IPv6).
const RANGE: (u8, u8) = (16, 48);

impl Snapshot {
    /// Whether a pod may have an address in the set. "No" is certain.
    pub fn may_have_pods_in(&self, set: &IpSet) -> bool {
        self.pod_ranges.intersects(set)
    }

    /// A range that pods have left stays: that makes an answer slower, and never wrong.
    pub(super) fn note_addresses(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            if !self.pod_ranges.contains(*address) {
                self.pod_ranges = Arc::new(self.pod_ranges.union(&IpSet::around(*address, RANGE)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;

    #[test]
    fn no_is_said_only_where_no_pod_can_be() {
        let mut snapshot = Snapshot::default();
        let asks = |snapshot: &Snapshot, cidr: &str| {
            snapshot.may_have_pods_in(&IpSet::from_nets([&parse_cidr(cidr).unwrap().0]))
        };
        assert!(!asks(&snapshot, "0.0.0.0/0") && !asks(&snapshot, "::/0"));
        snapshot.note_addresses(&["10.63.7.9".parse().unwrap(), "fd00:1:2::5".parse().unwrap()]);
        for (cidr, may) in [
            ("10.63.7.9/32", true),
            ("10.63.0.0/24", true),
            ("10.0.0.0/8", true),
            ("10.64.0.0/16", false),
            ("fd00:1:2:9::/64", true),
            ("fd00:1:3::/48", false),
        ] {
            assert_eq!(asks(&snapshot, cidr), may, "{cidr}");
        }
    }
}
