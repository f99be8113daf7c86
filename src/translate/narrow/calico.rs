//! Rules of Calico. What is excepted limits all networks of a rule, and a rule has networks of one family only, so that one
//! rule can become several, one after the other and with the same action.

use ipnet::IpNet;
use serde_json::Value;

use super::{EVERYWHERE, Fields, Left, as_texts, given, left, nets};
use crate::model::original::Narrowing;
use crate::model::{Direction, IpSet};

/// Fields of an end that name pods, and sets of addresses with them.
const NAMES_PODS: [&str; 4] = ["selector", "namespaceSelector", "serviceAccounts", "services"];

/// What is left of a rule.
pub(super) fn rule(rule: Fields, direction: Direction, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    let (own, other) = match direction {
        Direction::Egress => ("source", "destination"),
        Direction::Ingress => ("destination", "source"),
    };
    let end = |field: &str| given(&rule, field).and_then(Value::as_object).cloned().unwrap_or_default();
    let (own, entity) = (end(own), end(other));
    // What it takes away would be taken from pods that it names by their labels as well.
    if NAMES_PODS.iter().any(|field| given(&entity, field).is_some_and(|value| value != "")) {
        return Some(vec![rule]);
    }
    let (named, except) = (nets(&entity, "nets")?, nets(&entity, "notNets")?);
    let families = Families::of(&rule, &own)?;
    let named = if named.is_empty() { families.everywhere() } else { named };
    let excepted = IpSet::from_nets(&except);
    let (mut narrowed, mut changed) = (Vec::new(), false);
    for v4 in [true, false] {
        let family = |nets: &[IpNet]| -> Vec<IpNet> { nets.iter().copied().filter(|net| is_v4(net) == v4).collect() };
        let (named, except) = (family(&named), family(&except));
        let (mut wide, mut inside) = (Vec::new(), Vec::new());
        let mut taken = Vec::new();
        for net in named {
            match left(net, &excepted, narrowing) {
                Left::Nothing => changed = true,
                Left::Whole if IpSet::from(net).difference(&excepted).is_subset(&narrowing.private) => inside.push(net),
                Left::Whole => wide.push(net),
                Left::Except(more) => {
                    changed = true;
                    taken.extend(more);
                    wide.push(net);
                }
            }
        }
        // What lies inside of the private ranges stays open in a rule without the new excepts.
        if taken.is_empty() {
            wide.append(&mut inside);
        }
        let all = IpSet::from_nets(except.iter().chain(&taken)).to_cidrs();
        for (nets, except) in [(wide, if taken.is_empty() { except.clone() } else { all }), (inside, except)] {
            if nets.is_empty() {
                continue;
            }
            let mut entity = entity.clone();
            entity.insert("nets".into(), as_texts(&nets));
            entity.remove("notNets");
            if !except.is_empty() {
                entity.insert("notNets".into(), as_texts(&except));
            }
            let mut rule = rule.clone();
            rule.insert(other.into(), entity.into());
            narrowed.push(rule);
        }
    }
    Some(if changed { narrowed } else { vec![rule] })
}

const fn is_v4(net: &IpNet) -> bool {
    matches!(net, IpNet::V4(_))
}

/// The families that a rule is for, by what it says besides its networks.
struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    fn of(rule: &Fields, own: &Fields) -> Option<Self> {
        let mut families = Self { v4: true, v6: true };
        let protocol = given(rule, "protocol").and_then(Value::as_str).unwrap_or_default();
        let version = given(rule, "ipVersion").and_then(Value::as_u64);
        let ends = nets(own, "nets")?.into_iter().chain(nets(own, "notNets")?);
        let (mut only_v4, mut only_v6) =
            (version == Some(4) || protocol == "ICMP", version == Some(6) || protocol == "ICMPv6");
        for net in ends {
            *if is_v4(&net) { &mut only_v4 } else { &mut only_v6 } = true;
        }
        if only_v4 {
            families.v6 = false;
        }
        if only_v6 {
            families.v4 = false;
        }
        Some(families)
    }

    fn everywhere(&self) -> Vec<IpNet> {
        let all = EVERYWHERE.into_iter().filter_map(|text| text.parse().ok());
        all.filter(|net| if is_v4(net) { self.v4 } else { self.v6 }).collect()
    }
}
