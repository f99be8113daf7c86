//! Rules of Cilium. A rule has one way of naming peers, so that an entity beside others becomes a rule with blocks of its own.

use serde_json::{Value, json};

use super::{EVERYWHERE, Fields, block, given, net, plain, texts};
use crate::model::Direction;
use crate::model::original::Narrowing;

/// What is left of a rule.
pub(super) fn rule(mut rule: Fields, direction: Direction, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    let (prefix, [entities, blocks, sets]) = match direction {
        Direction::Egress => ("to", ["toEntities", "toCIDR", "toCIDRSet"]),
        Direction::Ingress => ("from", ["fromEntities", "fromCIDR", "fromCIDRSet"]),
    };
    let peers = |(name, value): (&String, &Value)| name.starts_with(prefix) && name != "toPorts" && !value.is_null();
    if given(&rule, entities).is_some() {
        let all = texts(&rule, entities);
        let (open, others): (Vec<&str>, Vec<&str>) = all.into_iter().partition(|name| !blocks_of(name).is_empty());
        let mut list: Vec<&str> = open.into_iter().flat_map(blocks_of).copied().collect();
        list.sort_unstable();
        list.dedup();
        let beside = (!others.is_empty()).then(|| {
            let mut beside = rule.clone();
            beside.insert(entities.into(), json!(others));
            beside
        });
        rule.remove(entities);
        let with_blocks = with(rule, sets, set(list.into_iter().map(plain), narrowing)?);
        return Some(beside.into_iter().chain(with_blocks).collect());
    }
    if given(&rule, blocks).is_some() {
        let mut kept = Vec::new();
        for text in texts(&rule, blocks) {
            // A set takes no plain addresses.
            let item = block(plain(&net(text).ok()?.to_string()), narrowing)?;
            kept.extend(item.into_iter().map(|item| (text.to_owned(), item)));
        }
        let (texts, items): (Vec<String>, Vec<Fields>) = kept.into_iter().unzip();
        if items.is_empty() {
            return Some(Vec::new());
        }
        // Plain blocks as long as none needs an except.
        if items.iter().any(|item| item.contains_key("except")) {
            rule.remove(blocks);
            return Some(with(rule, sets, items));
        }
        rule.insert(blocks.into(), texts.into());
        return Some(vec![rule]);
    }
    if let Some(list) = given(&rule, sets).and_then(Value::as_array) {
        let list: Vec<Fields> = list.iter().map(|item| item.as_object().cloned()).collect::<Option<_>>()?;
        return Some(with(rule, sets, set(list, narrowing)?));
    }
    if rule.iter().any(peers) {
        return Some(vec![rule]);
    }
    // Ports, and nobody named: everyone.
    Some(with(rule, sets, set(EVERYWHERE.into_iter().map(plain), narrowing)?))
}

/// The blocks that an entity is, if it is of addresses.
fn blocks_of(entity: &str) -> &'static [&'static str] {
    match entity {
        "all" | "world" => &EVERYWHERE,
        "world-ipv4" => &EVERYWHERE[..1],
        "world-ipv6" => &EVERYWHERE[1..],
        _ => &[],
    }
}

/// What is left of these blocks.
fn set(list: impl IntoIterator<Item = Fields>, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    let left: Option<Vec<Vec<Fields>>> = list.into_iter().map(|item| block(item, narrowing)).collect();
    Some(left?.concat())
}

/// The rule with these blocks; without any it would name nobody, or everyone.
fn with(mut rule: Fields, field: &str, list: Vec<Fields>) -> Vec<Fields> {
    if list.is_empty() {
        return Vec::new();
    }
    rule.insert(field.into(), list.into_iter().map(Value::Object).collect());
    vec![rule]
}
