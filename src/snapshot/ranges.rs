//! Which ranges pods have their addresses in: whether a block holds the address of any pod is known to be "no" without a look
//! at every pod of the cluster.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Snapshot;
use crate::model::IpSet;

/// Networks give their pods addresses out of few blocks of this size.
const V4: u8 = 16;
const V6: u8 = 48;

impl Snapshot {
    /// Whether a pod may have an address in the set. "No" is certain.
    pub fn may_have_pods_in(&self, set: &IpSet) -> bool {
        self.pod_ranges.intersects(set)
    }

    /// A range that pods have left stays: that makes an answer slower, and never wrong.
    pub(super) fn note_addresses(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            if self.pod_ranges.contains(*address) {
                continue;
            }
            let range = match address {
                IpAddr::V4(v4) => Ipv4Net::new(*v4, V4).map(IpNet::V4),
                IpAddr::V6(v6) => Ipv6Net::new(*v6, V6).map(IpNet::V6),
            };
            let Ok(range) = range else { continue };
            self.pod_ranges = Arc::new(self.pod_ranges.union(&IpSet::from_nets([&range])));
        }
    }
}
