//! An object written again without some addresses: the cure of a policy that opens too much. It is the object itself that is
//! changed, at the rules that are to blame, so that everything else of it stays as it was written, whatever kind it is of.

mod calico;
mod cilium;
mod networks;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::calico::net;
use super::render::to_yaml;
use super::{Defaults, Family, Kind, from_value};
use crate::model::meter::charge;
use crate::model::original::{Narrowing, Original, Rewritten};
use crate::model::{Direction, FieldPath, IpSet, ObjectRef};

type Fields = Map<String, Value>;

/// An object as it was sent or stands in a file.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The object.
    pub value: &'a Value,
    /// What its surroundings know about it.
    pub defaults: Defaults<'a>,
}

impl<'a> Written<'a> {
    /// An object of which it is known what it is called.
    pub fn of(id: &'a ObjectRef, value: &'a Value) -> Option<Self> {
        let kind = Kind::of(id.group(), &id.kind)?;
        Some(Self { kind, value, defaults: Defaults { namespace: id.namespace(), name: &id.name } })
    }
}

impl Original for Written<'_> {
    fn narrowed(&self, narrowing: &Narrowing) -> Option<Rewritten> {
        let narrow = match (self.kind, self.kind.family()) {
            (Kind::NetworkPolicy, _) => network_policy,
            (_, Family::ClusterNetworkPolicy) => networks::rule,
            (_, Family::Cilium) => cilium::rule,
            (_, Family::Calico) => calico::rule,
            _ => return None,
        };
        let mut value = self.value.clone();
        as_applied(&mut value);
        let meta = value.get_mut("metadata")?.as_object_mut()?;
        // Without a name of its own it cannot be applied.
        meta.get("name")?.as_str().filter(|name| !name.is_empty())?;
        if self.kind.is_namespaced() && !meta.contains_key("namespace") {
            meta.insert("namespace".into(), self.defaults.namespace.into());
        }
        for (list, blamed) in places(&narrowing.rules)? {
            let direction = if list.ends_with("ingress") { Direction::Ingress } else { Direction::Egress };
            let rules = value.pointer_mut(&list)?.as_array_mut()?;
            // Equal rules are one in the model, and all of them have to be narrowed.
            let same: Vec<Value> = blamed.iter().filter_map(|i| rules.get(*i)).cloned().collect();
            let is_one = |(i, rule): (usize, &Value)| blamed.contains(&i) || same.contains(rule);
            if rules.iter().enumerate().filter(|one| is_one(*one)).count() > Narrowing::MOST_RULES {
                return None;
            }
            let mut left = Vec::with_capacity(rules.len());
            for (i, rule) in std::mem::take(rules).into_iter().enumerate() {
                charge(1 + same.len());
                let blamed = blamed.contains(&i) || same.contains(&rule);
                match rule {
                    Value::Object(fields) if blamed => {
                        left.extend(narrow(fields, direction, narrowing)?.into_iter().map(Value::Object));
                    }
                    other => left.push(other),
                }
            }
            // A policy of which nothing is left in a direction is not what anyone meant, and not everywhere a default deny.
            if left.is_empty() {
                return None;
            }
            *rules = left;
        }
        let object = from_value(self.kind, &value, &self.defaults);
        Some(Rewritten { object, yaml: to_yaml(&value) })
    }
}

/// The lists that the rules are in, as JSON pointers, and their places there.
fn places(rules: &BTreeSet<FieldPath>) -> Option<BTreeMap<String, BTreeSet<usize>>> {
    let mut lists: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for rule in rules {
        let pointer = format!("/{}", rule.as_str().replace(['.', '['], "/").replace(']', ""));
        let (list, index) = pointer.rsplit_once('/')?;
        lists.entry(list.to_owned()).or_default().insert(index.parse().ok()?);
    }
    Some(lists)
}

/// The object as its author would apply it: without what an API server adds to it.
pub fn as_applied(value: &mut Value) {
    const BY_SERVERS: [&str; 8] = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let Value::Object(fields) = value else { return };
    fields.remove("status");
    let Some(Value::Object(meta)) = fields.get_mut("metadata") else { return };
    meta.retain(|name, _| !BY_SERVERS.contains(&name.as_str()));
    if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if annotations.is_empty() {
            meta.remove("annotations");
        }
    }
}

/// What is left of a block.
enum Left {
    /// All of it.
    Whole,
    /// Nothing.
    Nothing,
    /// It without these.
    Except(Vec<IpNet>),
}

/// What is left of a block less what is excepted already.
fn left(block: IpNet, excepted: &IpSet, narrowing: &Narrowing) -> Left {
    let private = &narrowing.private;
    let set = IpSet::from(block).difference(excepted);
    if set.is_subset(private) {
        return if narrowing.all { Left::Nothing } else { Left::Whole };
    }
    if set.intersects(private) {
        Left::Except(excepted.union(private).intersection(&IpSet::from(block)).to_cidrs())
    } else {
        Left::Whole
    }
}

/// Every address of both families: what is opened by a rule that names nobody.
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// A field that is there.
fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

/// The texts of a list.
fn texts<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    let list = fields.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The blocks of a list; `None` with one that is none.
fn nets(fields: &Fields, name: &str) -> Option<Vec<IpNet>> {
    texts(fields, name).into_iter().map(|text| net(text).ok()).collect()
}

fn as_texts(nets: &[IpNet]) -> Value {
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}

/// What is left of `{cidr, except}`, in which form NetworkPolicy and Cilium have their blocks. One that names a group of
/// blocks, or nothing, is not changed. A list of one or none; `None` is for what cannot be read.
fn block(mut fields: Fields, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    let Some(cidr) = given(&fields, "cidr").and_then(Value::as_str) else { return Some(vec![fields]) };
    let cidr = net(cidr).ok()?;
    let excepted = IpSet::from_nets(&nets(&fields, "except")?);
    Some(match left(cidr, &excepted, narrowing) {
        Left::Whole => vec![fields],
        Left::Nothing => Vec::new(),
        Left::Except(nets) => {
            fields.insert("except".into(), as_texts(&nets));
            vec![fields]
        }
    })
}

/// A block in that form.
fn plain(cidr: &str) -> Fields {
    Fields::from_iter([("cidr".to_owned(), json!(cidr))])
}

/// A rule of a NetworkPolicy.
fn network_policy(mut rule: Fields, direction: Direction, narrowing: &Narrowing) -> Option<Vec<Fields>> {
    let field = if direction == Direction::Egress { "to" } else { "from" };
    let peers: Vec<Value> = match given(&rule, field).and_then(Value::as_array) {
        Some(peers) if !peers.is_empty() => peers.clone(),
        _ => EVERYWHERE.into_iter().map(|cidr| json!({"ipBlock": plain(cidr)})).collect(),
    };
    let mut kept = Vec::with_capacity(peers.len());
    for mut peer in peers {
        if let Some(Value::Object(fields)) = peer.get_mut("ipBlock") {
            let Some(narrowed) = block(std::mem::take(fields), narrowing)?.pop() else { continue };
            *fields = narrowed;
        }
        kept.push(peer);
    }
    // Without peers it would admit everyone.
    if kept.is_empty() {
        return Some(Vec::new());
    }
    rule.insert(field.into(), kept.into());
    Some(vec![rule])
}

#[cfg(test)]
mod tests;
