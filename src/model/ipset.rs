//! Exact sets of IPv4 and IPv6 addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

use super::interval::IntervalSet;

/// Addresses of both families. Canonical: `==` is set equality.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpSet {
    v4: IntervalSet<u32>,
    v6: IntervalSet<u128>,
}

impl IpSet {
    /// No address.
    pub const fn empty() -> Self {
        Self { v4: IntervalSet::empty(), v6: IntervalSet::empty() }
    }

    /// Every address of both families.
    pub fn full() -> Self {
        Self { v4: IntervalSet::full(), v6: IntervalSet::full() }
    }

    /// Builds a set from its two families.
    pub const fn from_families(v4: IntervalSet<u32>, v6: IntervalSet<u128>) -> Self {
        Self { v4, v6 }
    }

    /// The union of many networks, in one sort per family. Host bits are masked away.
    pub fn from_nets<'a>(nets: impl IntoIterator<Item = &'a IpNet> + Clone) -> Self {
        let v4 = nets.clone().into_iter().filter_map(|net| match net {
            IpNet::V4(n) => Some((n.network().to_bits(), n.broadcast().to_bits())),
            IpNet::V6(_) => None,
        });
        let v6 = nets.into_iter().filter_map(|net| match net {
            IpNet::V4(_) => None,
            IpNet::V6(n) => Some((n.network().to_bits(), n.broadcast().to_bits())),
        });
        Self { v4: IntervalSet::from_ranges(v4), v6: IntervalSet::from_ranges(v6) }
    }

    /// The union of many sets, in one sort per family.
    pub fn union_all<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for set in sets {
            v4.extend_from_slice(set.v4.ranges());
            v6.extend_from_slice(set.v6.ranges());
        }
        Self { v4: IntervalSet::from_ranges(v4), v6: IntervalSet::from_ranges(v6) }
    }

    /// The block of this prefix length that the address lies in: the first for IPv4, the second for IPv6. Nothing where the
    /// length is too long.
    pub fn around(ip: IpAddr, (v4, v6): (u8, u8)) -> Self {
        let prefix = if ip.is_ipv4() { v4 } else { v6 };
        IpNet::new(ip, prefix).map_or_else(|_| Self::empty(), Self::from)
    }

    /// One address.
    pub fn single(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(a) => Self { v4: IntervalSet::range(a.to_bits(), a.to_bits()), v6: IntervalSet::empty() },
            IpAddr::V6(a) => Self { v4: IntervalSet::empty(), v6: IntervalSet::range(a.to_bits(), a.to_bits()) },
        }
    }

    /// The IPv4 part.
    pub const fn v4(&self) -> &IntervalSet<u32> {
        &self.v4
    }

    /// The IPv6 part.
    pub const fn v6(&self) -> &IntervalSet<u128> {
        &self.v6
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether every address of both families is in the set.
    pub fn is_full(&self) -> bool {
        self.v4.is_full() && self.v6.is_full()
    }

    /// Whether the address is in the set.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(a) => self.v4.contains(a.to_bits()),
            IpAddr::V6(a) => self.v6.contains(a.to_bits()),
        }
    }

    /// Addresses in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// Addresses in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// Addresses of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self { v4: self.v4.difference(&other.v4), v6: self.v6.difference(&other.v6) }
    }

    /// Addresses that are not in the set, in both families.
    #[must_use]
    pub fn complement(&self) -> Self {
        Self { v4: self.v4.complement(), v6: self.v6.complement() }
    }

    /// Whether every address of this set is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.v4.is_subset(&other.v4) && self.v6.is_subset(&other.v6)
    }

    /// Whether the sets share an address.
    pub fn intersects(&self, other: &Self) -> bool {
        self.v4.intersects(&other.v4) || self.v6.intersects(&other.v6)
    }

    /// The fewest CIDR blocks that cover exactly this set, IPv4 first, ascending.
    pub fn to_cidrs(&self) -> Vec<IpNet> {
        let v4 =
            self.v4.ranges().iter().flat_map(|&(lo, hi)| {
                Ipv4Subnets::new(Ipv4Addr::from_bits(lo), Ipv4Addr::from_bits(hi), 0).map(IpNet::V4)
            });
        let v6 =
            self.v6.ranges().iter().flat_map(|&(lo, hi)| {
                Ipv6Subnets::new(Ipv6Addr::from_bits(lo), Ipv6Addr::from_bits(hi), 0).map(IpNet::V6)
            });
        v4.chain(v6).collect()
    }

    /// At most `most` blocks as text, then how many more there are. For messages.
    pub fn summary(&self, most: usize) -> String {
        let cidrs = self.to_cidrs();
        let shown: Vec<String> = cidrs.iter().take(most).map(ToString::to_string).collect();
        match cidrs.len().saturating_sub(most) {
            0 => shown.join(", "),
            more => format!("{} and {more} more ranges", shown.join(", ")),
        }
    }
}

impl fmt::Display for IpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no address");
        }
        f.write_str(&self.summary(usize::MAX))
    }
}

impl From<IpNet> for IpSet {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(n) => {
                let v4 = IntervalSet::range(n.network().to_bits(), n.broadcast().to_bits());
                Self { v4, v6: IntervalSet::empty() }
            }
            IpNet::V6(n) => {
                let v6 = IntervalSet::range(n.network().to_bits(), n.broadcast().to_bits());
                Self { v4: IntervalSet::empty(), v6 }
            }
        }
    }
}

/// Why a text is not a CIDR block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a CIDR block: {reason}")]
pub struct CidrError {
    text: String,
    reason: &'static str,
}

/// Reads a CIDR block the way older API servers did: leading zeros are decimal and host bits are allowed (semantics 2.1.13).
///
/// The block that comes back is masked. `strict` in the second place says whether a Kubernetes 1.36 API server would take the text.
pub fn parse_cidr(text: &str) -> Result<(IpNet, bool), CidrError> {
    let fail = |reason| CidrError { text: text.chars().take(64).collect(), reason };
    // By bytes: everything that counts is ASCII, and a policy of a few blocks is read at every review.
    let slash = text.bytes().position(|b| b == b'/').ok_or_else(|| fail("no /prefix"))?;
    let (address, prefix) = text.split_at(slash);
    let prefix = prefix.as_bytes().get(1..).unwrap_or_default();
    let bits = decimal(prefix).ok_or_else(|| fail("the prefix is not a number"))?;
    let bits = u8::try_from(bits).map_err(|_| fail("the prefix is too long"))?;
    let mut strict = !has_leading_zero(prefix);
    let ip: IpAddr = if address.bytes().any(|b| b == b':') {
        address.parse().map_err(|_| fail("the address is not an IPv6 address"))?
    } else {
        let mut octets = [0u8; 4];
        let mut parts = address.as_bytes().split(|b| *b == b'.');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(|| fail("an IPv4 address has four parts"))?;
            let number = decimal(part).ok_or_else(|| fail("a part of the address is not a number"))?;
            *octet = u8::try_from(number).map_err(|_| fail("a part of the address is above 255"))?;
            strict &= !has_leading_zero(part);
        }
        if parts.next().is_some() {
            return Err(fail("an IPv4 address has four parts"));
        }
        IpAddr::from(octets)
    };
    // An IPv4-mapped block means the IPv4 addresses, whatever way it is written.
    let (ip, bits) = match ip {
        IpAddr::V6(v6) if (96..=128).contains(&bits) => match v6.to_ipv4_mapped() {
            Some(v4) => {
                strict = false;
                (IpAddr::V4(v4), bits - 96)
            }
            None => (ip, bits),
        },
        _ => (ip, bits),
    };
    let net = match ip {
        IpAddr::V4(a) => Ipv4Net::new(a, bits).map(IpNet::V4),
        IpAddr::V6(a) => Ipv6Net::new(a, bits).map(IpNet::V6),
    }
    .map_err(|_| fail("the prefix is longer than the address"))?;
    let masked = net.trunc();
    Ok((masked, strict && masked.addr() == net.addr()))
}

/// The number that these digits write; one that does not fit is the largest.
fn decimal(digits: &[u8]) -> Option<u16> {
    let add = |number: u16, b: &u8| {
        let digit = b.is_ascii_digit().then(|| u16::from(b - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

const fn has_leading_zero(digits: &[u8]) -> bool {
    matches!(digits, [b'0', _, ..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(cidrs: &[&str]) -> IpSet {
        let nets: Vec<IpNet> = cidrs.iter().map(|c| parse_cidr(c).unwrap().0).collect();
        IpSet::from_nets(&nets)
    }

    #[test]
    fn two_halves_are_the_whole_family() {
        assert_eq!(set(&["0.0.0.0/1", "128.0.0.0/1"]), set(&["0.0.0.0/0"]));
        assert_eq!(set(&["::/1", "8000::/1"]), set(&["::/0"]));
        // semantics 2.1.22: an IPv4 block covers no IPv6 address.
        assert!(!set(&["0.0.0.0/0"]).contains("::1".parse().unwrap()));
    }

    #[test]
    fn sloppy_blocks_are_masked_and_said_to_be_sloppy() {
        // semantics 2.1.13
        assert_eq!(parse_cidr("10.1.2.3/8").unwrap(), ("10.0.0.0/8".parse().unwrap(), false));
        assert_eq!(parse_cidr("010.000.0.0/8").unwrap(), ("10.0.0.0/8".parse().unwrap(), false));
        assert_eq!(parse_cidr("10.0.0.0/8").unwrap(), ("10.0.0.0/8".parse().unwrap(), true));
        assert_eq!(parse_cidr("10.0.0.0/008").unwrap(), ("10.0.0.0/8".parse().unwrap(), false));
        assert_eq!(parse_cidr("0.0.0.0/0").unwrap(), ("0.0.0.0/0".parse().unwrap(), true));
        assert_eq!(parse_cidr("::ffff:10.0.0.0/104").unwrap(), ("10.0.0.0/8".parse().unwrap(), false));
        assert_eq!(parse_cidr("fd00::1/7").unwrap(), ("fc00::/7".parse().unwrap(), false));
    }

    #[test]
    fn what_is_no_block_says_why() {
        for (text, why) in [
            ("10.0.0.0", "no /prefix"),
            ("10.0.0/8", "four parts"),
            ("10.0.0.0.0/8", "four parts"),
            ("10.0.0.256/8", "above 255"),
            ("99999999.0.0.0/8", "above 255"),
            ("10..0.0/8", "not a number"),
            ("10.0.0.0/33", "longer than the address"),
            ("10.0.0.0/-1", "not a number"),
            ("10.0.0.0/", "not a number"),
            ("10.0.0.0/999", "too long"),
            ("10.0.0.0/65544", "too long"),
            ("::/129", "longer than the address"),
            ("fg::/8", "not an IPv6"),
            ("+1.0.0.0/8", "not a number"),
        ] {
            let error = parse_cidr(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn nets() -> impl Strategy<Value = Vec<IpNet>> {
        let v4 = (any::<u32>(), 0u8..=32).prop_map(|(a, p)| IpNet::V4(Ipv4Net::new(a.into(), p).unwrap().trunc()));
        let v6 = (any::<u128>(), 0u8..=128).prop_map(|(a, p)| IpNet::V6(Ipv6Net::new(a.into(), p).unwrap().trunc()));
        proptest::collection::vec(prop_oneof![v4, v6], 0..8)
    }

    proptest! {
        #[test]
        fn cidrs_of_a_set_make_the_set(nets in nets(), more in nets()) {
            let set = IpSet::from_nets(&nets);
            prop_assert_eq!(&IpSet::from_nets(&set.to_cidrs()), &set);
            let rest = set.difference(&IpSet::from_nets(&more));
            prop_assert_eq!(&IpSet::from_nets(&rest.to_cidrs()), &rest);
            prop_assert!(!rest.intersects(&IpSet::from_nets(&more)));
        }

        #[test]
        fn splitting_a_block_changes_nothing(a in any::<u32>(), p in 0u8..32) {
            let whole = Ipv4Net::new(a.into(), p).unwrap().trunc();
            let halves: Vec<IpNet> = whole.subnets(p + 1).unwrap().map(IpNet::V4).collect();
            prop_assert_eq!(IpSet::from_nets(&halves), IpSet::from(IpNet::V4(whole)));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,24}") {
            let _ = parse_cidr(&text);
        }
    }
}
