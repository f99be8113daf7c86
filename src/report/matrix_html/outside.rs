//! Addresses outside the cluster, in the fewest classes that no policy cuts, with names that people use for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::house::{OpenCidr, private_ranges};
use crate::model::{IntervalSet, IpSet};

/// Addresses that every policy treats alike.
pub(super) struct Class {
    pub(super) set: IpSet,
    /// Short, and different for each class.
    pub(super) name: String,
    /// The addresses.
    pub(super) detail: String,
    /// Whether it holds so many public addresses that letting it through is letting the world through.
    pub(super) open: bool,
}

/// How pieces are told apart while they are put together: the family, and the piece of each list that an address is in.
type Signature = (bool, Vec<usize>);

/// Classes of all addresses, given lists of pieces that each make up the whole.
pub(super) fn classes(lists: &BTreeSet<Vec<&IpSet>>) -> Vec<Class> {
    let mut v4: BTreeSet<u32> = BTreeSet::from([0]);
    let mut v6: BTreeSet<u128> = BTreeSet::from([0]);
    for set in lists.iter().flatten() {
        v4.extend(set.v4().ranges().iter().flat_map(|&(lo, hi)| [Some(lo), hi.checked_add(1)]).flatten());
        v6.extend(set.v6().ranges().iter().flat_map(|&(lo, hi)| [Some(lo), hi.checked_add(1)]).flatten());
    }
    let mut found4: HashMap<Signature, Vec<(u32, u32)>> = HashMap::new();
    let ends = v4.iter().skip(1).map(|next| next - 1).chain([u32::MAX]);
    for (&lo, hi) in v4.iter().zip(ends) {
        let of = lists.iter().map(|list| list.iter().position(|s| s.v4().contains(lo)).unwrap_or(usize::MAX));
        found4.entry((false, of.collect())).or_default().push((lo, hi));
    }
    let mut found6: HashMap<Signature, Vec<(u128, u128)>> = HashMap::new();
    let ends = v6.iter().skip(1).map(|next| next - 1).chain([u128::MAX]);
    for (&lo, hi) in v6.iter().zip(ends) {
        let of = lists.iter().map(|list| list.iter().position(|s| s.v6().contains(lo)).unwrap_or(usize::MAX));
        found6.entry((true, of.collect())).or_default().push((lo, hi));
    }
    let four = found4.into_values().map(|r| IpSet::from_families(IntervalSet::from_ranges(r), IntervalSet::empty()));
    let six = found6.into_values().map(|r| IpSet::from_families(IntervalSet::empty(), IntervalSet::from_ranges(r)));
    let mut sets: Vec<IpSet> = four.chain(six).collect();
    sets.sort_by(|a, b| (a.v4().is_empty(), a).cmp(&(b.v4().is_empty(), b)));
    name(sets)
}

fn name(sets: Vec<IpSet>) -> Vec<Class> {
    let limits = OpenCidr::default();
    let private = private_ranges();
    let mut classes: Vec<Class> = sets
        .into_iter()
        .map(|set| {
            let public = set.difference(&private);
            let six = set.v4().is_empty();
            let open = public.v4().count() > 1 << (32 - limits.widest_v4)
                || public.v6().count() > 1 << (128 - limits.widest_v6);
            let cidrs = set.to_cidrs();
            let name = match (open, cidrs.as_slice()) {
                (true, _) if six => "Internet, IPv6".to_owned(),
                (true, _) => "Internet".to_owned(),
                (false, [one]) => one.to_string(),
                (false, _) if set.is_subset(&private) => "Private ranges".to_owned(),
                (false, [first, rest @ ..]) => format!("{first} and {} more", rest.len()),
                (false, []) => String::new(),
            };
            let detail = detail(&set, six);
            Class { set, name, detail, open }
        })
        .collect();
    // Two classes of one name would look the same: the first address tells them apart.
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for class in &classes {
        *used.entry(class.name.clone()).or_default() += 1;
    }
    for class in &mut classes {
        if used.get(&class.name).is_some_and(|n| *n > 1) {
            let first = class.set.to_cidrs().first().map(ToString::to_string).unwrap_or_default();
            class.name = format!("{}: {first}…", class.name);
        }
    }
    classes
}

/// The blocks, or what is left out of the whole where that is shorter.
fn detail(set: &IpSet, six: bool) -> String {
    let family = if six {
        IpSet::from_families(IntervalSet::empty(), IntervalSet::full())
    } else {
        IpSet::from_families(IntervalSet::full(), IntervalSet::empty())
    };
    let whole = if six { "::/0" } else { "0.0.0.0/0" };
    let rest = family.difference(set);
    if rest.is_empty() {
        return whole.to_owned();
    }
    let (cidrs, without) = (set.to_cidrs().len(), rest.to_cidrs().len());
    if without < cidrs { format!("{whole} except {}", rest.summary(12)) } else { set.summary(12) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;

    fn set(text: &str) -> IpSet {
        parse_cidr(text).unwrap().0.into()
    }

    #[test]
    fn addresses_are_cut_where_lists_cut_them_and_named_as_people_say() {
        let private = IpSet::union_all(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(set));
        let public = set("0.0.0.0/0").difference(&private);
        let (office, elsewhere) = (set("203.0.113.0/24"), set("0.0.0.0/0").difference(&set("203.0.113.0/24")));
        let six = set("::/0");
        let lists = BTreeSet::from([vec![&public, &private, &six], vec![&office, &elsewhere, &six]]);
        let found = classes(&lists);
        let shown: Vec<(&str, &str, bool)> =
            found.iter().map(|c| (c.name.as_str(), c.detail.as_str(), c.open)).collect();
        assert_eq!(
            shown,
            [
                ("Internet", "0.0.0.0/0 except 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 203.0.113.0/24", true),
                ("Private ranges", "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16", false),
                ("203.0.113.0/24", "203.0.113.0/24", false),
                ("Internet, IPv6", "::/0", true),
            ]
        );
        assert!(IpSet::union_all(found.iter().map(|c| &c.set)).is_full());
    }
}
