//! Exact sets of (protocol, port) pairs, and port conditions that still hold names.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use super::Str;
use super::interval::IntervalSet;

/// A transport protocol that a policy can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default where a policy names none.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol that has ports.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The name as Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// Reads the Kubernetes spelling, which is upper case only.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Ports per protocol, plus traffic that has no ports. Canonical: `==` is set equality.
///
/// `other` is everything that is not TCP, UDP or SCTP (ICMP above all). NetworkPolicy leaves it undefined (semantics 2.1.21);
/// it is in the set only where no port was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSet {
    tcp: IntervalSet<u16>,
    udp: IntervalSet<u16>,
    sctp: IntervalSet<u16>,
    other: bool,
}

impl PortSet {
    /// Nothing.
    pub const fn empty() -> Self {
        Self { tcp: IntervalSet::empty(), udp: IntervalSet::empty(), sctp: IntervalSet::empty(), other: false }
    }

    /// Every protocol and port.
    pub fn full() -> Self {
        Self { tcp: IntervalSet::full(), udp: IntervalSet::full(), sctp: IntervalSet::full(), other: true }
    }

    /// The same, to be borrowed.
    pub fn every() -> &'static Self {
        static EVERY: LazyLock<PortSet> = LazyLock::new(PortSet::full);
        &EVERY
    }

    /// `lo..=hi` of one protocol.
    pub fn range(protocol: Protocol, lo: u16, hi: u16) -> Self {
        Self::of(protocol, IntervalSet::range(lo, hi))
    }

    /// One port of one protocol.
    pub fn port(protocol: Protocol, port: u16) -> Self {
        Self::range(protocol, port, port)
    }

    /// Every port of one protocol.
    pub fn protocol(protocol: Protocol) -> Self {
        Self::of(protocol, IntervalSet::full())
    }

    /// The given ports of one protocol.
    pub fn of(protocol: Protocol, ports: IntervalSet<u16>) -> Self {
        let mut set = Self::empty();
        *set.slot(protocol) = ports;
        set
    }

    /// The union of many sets, in one sort for each protocol.
    pub fn union_all<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut ranges: [Vec<(u16, u16)>; 3] = Default::default();
        let mut other = false;
        for set in sets {
            other |= set.other;
            for (all, own) in ranges.iter_mut().zip([&set.tcp, &set.udp, &set.sctp]) {
                all.extend_from_slice(own.ranges());
            }
        }
        let [tcp, udp, sctp] = ranges.map(IntervalSet::from_ranges);
        Self { tcp, udp, sctp, other }
    }

    /// Puts `lo..=hi` of one protocol in.
    pub fn add(&mut self, protocol: Protocol, lo: u16, hi: u16) {
        self.slot(protocol).add(lo, hi);
    }

    fn slot(&mut self, protocol: Protocol) -> &mut IntervalSet<u16> {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Sctp => &mut self.sctp,
        }
    }

    /// The ports of one protocol.
    pub const fn ports(&self, protocol: Protocol) -> &IntervalSet<u16> {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
            Protocol::Sctp => &self.sctp,
        }
    }

    /// Whether traffic without ports is in the set.
    pub const fn has_other(&self) -> bool {
        self.other
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty() && self.sctp.is_empty() && !self.other
    }

    /// Whether every port of every protocol is in the set (traffic without ports aside).
    pub fn is_full(&self) -> bool {
        self.tcp.is_full() && self.udp.is_full() && self.sctp.is_full()
    }

    /// Whether this port of this protocol is in the set.
    pub fn contains(&self, protocol: Protocol, port: u16) -> bool {
        self.ports(protocol).contains(port)
    }

    /// In either set.
    #[must_use]
    pub fn union(&self, o: &Self) -> Self {
        Self {
            tcp: self.tcp.union(&o.tcp),
            udp: self.udp.union(&o.udp),
            sctp: self.sctp.union(&o.sctp),
            other: self.other || o.other,
        }
    }

    /// In both sets.
    #[must_use]
    pub fn intersection(&self, o: &Self) -> Self {
        Self {
            tcp: self.tcp.intersection(&o.tcp),
            udp: self.udp.intersection(&o.udp),
            sctp: self.sctp.intersection(&o.sctp),
            other: self.other && o.other,
        }
    }

    /// In this set and not in the other.
    #[must_use]
    pub fn difference(&self, o: &Self) -> Self {
        Self {
            tcp: self.tcp.difference(&o.tcp),
            udp: self.udp.difference(&o.udp),
            sctp: self.sctp.difference(&o.sctp),
            other: self.other && !o.other,
        }
    }

    /// Whether all of this set is in the other.
    pub fn is_subset(&self, o: &Self) -> bool {
        self.tcp.is_subset(&o.tcp)
            && self.udp.is_subset(&o.udp)
            && self.sctp.is_subset(&o.sctp)
            && (o.other || !self.other)
    }

    /// Whether the sets share anything.
    pub fn intersects(&self, o: &Self) -> bool {
        self.tcp.intersects(&o.tcp)
            || self.udp.intersects(&o.udp)
            || self.sctp.intersects(&o.sctp)
            || (self.other && o.other)
    }
}

impl fmt::Display for PortSet {
    /// `every port`, `TCP`, `TCP 80,443-445 UDP 53`, or `nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_full() {
            return f.write_str("every port");
        }
        let mut parts = Vec::new();
        for protocol in Protocol::ALL {
            let ports = self.ports(protocol);
            if ports.is_full() {
                parts.push(format!("{protocol} (every port)"));
            } else if !ports.is_empty() {
                let ranges: Vec<String> = ports
                    .ranges()
                    .iter()
                    .map(|&(lo, hi)| if lo == hi { lo.to_string() } else { format!("{lo}-{hi}") })
                    .collect();
                parts.push(format!("{protocol} {}", ranges.join(",")));
            }
        }
        f.write_str(&if parts.is_empty() { "nothing".to_owned() } else { parts.join(" ") })
    }
}

/// A port condition of a rule as it is written: numbers, plus names that only a destination pod can resolve (semantics 2.1.8).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortMatch {
    /// Numeric part, already exact.
    pub numbers: PortSet,
    /// `(protocol, name)` pairs; a `None` protocol takes whatever protocol the container gives that name.
    pub names: Vec<(Option<Protocol>, Str)>,
}

impl PortMatch {
    /// Takes out names that are there already.
    pub fn fold_names(&mut self) {
        if self.names.len() > 1 {
            let mut seen = BTreeSet::new();
            self.names.retain(|name| seen.insert(name.clone()));
        }
    }

    /// No condition: every protocol and port (semantics 2.1.5).
    pub fn any() -> Self {
        Self { numbers: PortSet::full(), names: Vec::new() }
    }

    /// Numbers only.
    pub const fn numbers(numbers: PortSet) -> Self {
        Self { numbers, names: Vec::new() }
    }

    /// Whether the condition lets everything through.
    pub fn is_any(&self) -> bool {
        self.numbers.is_full() && self.numbers.has_other()
    }
}

impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.numbers.is_empty() || self.names.is_empty() {
            parts.push(self.numbers.to_string());
        }
        for (protocol, name) in &self.names {
            parts.push(format!("{} port \"{name}\"", protocol.map_or("any", Protocol::as_str)));
        }
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_do_not_leak_into_each_other() {
        // semantics 2.1.21: an SCTP rule is not a TCP rule.
        let sctp = PortSet::port(Protocol::Sctp, 80);
        assert!(!sctp.contains(Protocol::Tcp, 80));
        assert!(!sctp.intersects(&PortSet::protocol(Protocol::Tcp)));
        assert!(PortSet::full().difference(&sctp).contains(Protocol::Tcp, 80));
    }

    #[test]
    fn shows_what_people_write() {
        let set = PortSet::port(Protocol::Tcp, 80)
            .union(&PortSet::range(Protocol::Tcp, 443, 445))
            .union(&PortSet::port(Protocol::Udp, 53));
        assert_eq!(set.to_string(), "TCP 80,443-445 UDP 53");
        assert_eq!(PortSet::full().to_string(), "every port");
        assert_eq!(PortSet::protocol(Protocol::Udp).to_string(), "UDP (every port)");
        assert_eq!(PortSet::empty().to_string(), "nothing");
        let named = PortMatch { numbers: PortSet::empty(), names: vec![(Some(Protocol::Tcp), "http".into())] };
        assert_eq!(named.to_string(), "TCP port \"http\"");
    }
}
