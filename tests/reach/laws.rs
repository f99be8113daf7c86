//! Laws that hold whatever the cluster: how policies are written changes no verdict, adding an allow closes nothing, and
//! adding a policy opens nothing that is not in it.

use std::net::IpAddr;

use portcullis::model::house::Dialect;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::clusters::{OUTSIDE, PORTS, PROTOCOLS, cases, cluster, policy, rule};
use crate::matrix_support::table;
use crate::naive::{Cluster, End, Packet};
use crate::world::{all_rows, contains, evaluate, snapshot};

fn policies(objects: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    objects.iter_mut().filter(|o| o["kind"] == "NetworkPolicy")
}

/// Every list of rules with the name of the field that holds its peers.
fn rules(policy: &mut Value) -> Vec<(&'static str, &mut Vec<Value>)> {
    let Some(spec) = policy["spec"].as_object_mut() else { return Vec::new() };
    spec.iter_mut()
        .filter_map(|(field, list)| match (field.as_str(), list) {
            ("ingress", Value::Array(list)) => Some(("from", list)),
            ("egress", Value::Array(list)) => Some(("to", list)),
            _ => None,
        })
        .collect()
}

/// Calls for every non-empty list of peers or ports. An empty one is no condition and stays empty.
fn each_list(objects: &mut [Value], field: &str, mut change: impl FnMut(&mut Vec<Value>)) {
    for policy in policies(objects) {
        for (peers, list) in rules(policy) {
            let field = if field == "peers" { peers } else { field };
            for rule in list {
                if let Some(Value::Array(list)) = rule.get_mut(field) {
                    change(list);
                }
            }
        }
    }
}

fn halves(peer: Value) -> Vec<Value> {
    let Some(block) = peer.get("ipBlock") else { return vec![peer] };
    let net: ipnet::IpNet = block["cidr"].as_str().unwrap().parse().unwrap();
    let Ok(parts) = net.trunc().subnets(net.prefix_len() + 1) else { return vec![peer] };
    let except: Vec<ipnet::IpNet> = block["except"]
        .as_array()
        .map_or(Vec::new(), |list| list.iter().map(|e| e.as_str().unwrap().parse().unwrap()).collect());
    parts
        // An except that takes away a whole half leaves nothing of it to name.
        .filter(|half| !except.iter().any(|e| e.contains(half)))
        .map(|half| {
            let inside: Vec<String> = except.iter().filter(|e| half.contains(*e)).map(ToString::to_string).collect();
            json!({"ipBlock": {"cidr": half.to_string(), "except": inside}})
        })
        .collect()
}

fn single_ranges(port: Value) -> Vec<Value> {
    let (Some(first), Some(last)) = (port["port"].as_u64(), port["endPort"].as_u64()) else { return vec![port] };
    if first >= last {
        return vec![port];
    }
    let middle = u64::midpoint(first, last);
    [(first, middle), (middle + 1, last)]
        .into_iter()
        .map(|(lo, hi)| {
            let mut part = port.clone();
            (part["port"], part["endPort"]) = (lo.into(), hi.into());
            part
        })
        .collect()
}

/// The cluster with every label key and value written differently, the name label aside.
fn renamed(value: &Value) -> Value {
    let key = |k: &str| if k == "a" || k == "b" { format!("renamed.example/{k}") } else { k.to_owned() };
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(k, v)| match (k.as_str(), v) {
                    ("key", Value::String(text)) => (k.clone(), key(text).into()),
                    _ => (key(k), renamed(v)),
                })
                .collect(),
        ),
        Value::Array(items) => items.iter().map(renamed).collect(),
        Value::String(text) if text == "x" || text == "y" => format!("other-{text}").into(),
        other => other.clone(),
    }
}

fn stranger() -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stranger", "labels": {"far": "away"}}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "s", "namespace": "stranger", "labels": {"a": "x"}},
            "spec": {"containers": [{"name": "main"}]}, "status": {"podIPs": [{"ip": "10.9.9.9"}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "s", "namespace": "stranger"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.4/30"}}]}]}}),
    ]
}

const READINGS: [Option<Dialect>; 2] = [None, Some(Dialect::Upstream)];

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn the_way_it_is_written_changes_nothing(objects in cluster(true)) {
        let mut reordered: Vec<Value> = objects.iter().rev().cloned().collect();
        each_list(&mut reordered, "peers", |list| list.reverse());
        each_list(&mut reordered, "ports", |list| list.reverse());
        policies(&mut reordered).for_each(|p| rules(p).into_iter().for_each(|(_, list)| list.reverse()));

        let mut split = objects.clone();
        each_list(&mut split, "peers", |list| *list = std::mem::take(list).into_iter().flat_map(halves).collect());
        each_list(&mut split, "ports", |list| *list = std::mem::take(list).into_iter().flat_map(single_ranges).collect());

        // One policy for each rule: policies with one subject are the union of what they hold.
        let mut apart = objects.clone();
        for (i, policy) in objects.iter().filter(|o| o["kind"] == "NetworkPolicy").enumerate() {
            let mut policy = policy.clone();
            for (_, list) in rules(&mut policy) {
                list.truncate(1);
            }
            // What was an egress policy by its rules stays one.
            let egress = policy["spec"]["egress"].as_array().is_some_and(|list| !list.is_empty());
            if policy["spec"]["policyTypes"].is_null() {
                let both = json!(["Ingress", "Egress"]);
                policy["spec"]["policyTypes"] = if egress { both } else { json!(["Ingress"]) };
            }
            policy["metadata"]["name"] = format!("again-{i}").into();
            apart.push(policy);
        }

        let foreign: Vec<Value> = objects.iter().map(renamed).collect();
        for dialect in READINGS {
            let rows = all_rows(&objects, dialect);
            prop_assert_eq!(&all_rows(&reordered, dialect), &rows, "order");
            prop_assert_eq!(&all_rows(&split, dialect), &rows, "split blocks and ranges");
            prop_assert_eq!(&all_rows(&apart, dialect), &rows, "policies with one subject");
            prop_assert_eq!(&all_rows(&foreign, dialect), &rows, "other labels");
        }
    }

    #[test]
    fn an_unrelated_namespace_changes_nothing(objects in cluster(true)) {
        let more: Vec<Value> = objects.iter().cloned().chain(stranger()).collect();
        for dialect in READINGS {
            let rows: Vec<_> = all_rows(&more, dialect)
                .into_iter()
                .filter(|row| !row.src.starts_with("stranger/") && !row.dst.starts_with("stranger/"))
                .collect();
            prop_assert_eq!(rows, all_rows(&objects, dialect));
        }
    }

    #[test]
    fn an_allow_rule_closes_nothing(objects in cluster(true), from in rule("from"), to in rule("to")) {
        let mut more = objects.clone();
        for policy in policies(&mut more) {
            // Only lists that are in force: a first egress rule would make a policy without policyTypes isolate.
            let in_force = |list: &Vec<Value>| !list.is_empty();
            for (field, list) in rules(policy).into_iter().filter(|(_, list)| in_force(list)) {
                list.push(if field == "from" { from.clone() } else { to.clone() });
            }
        }
        let outside: Vec<IpAddr> = OUTSIDE.iter().map(|a| a.parse().unwrap()).collect();
        for dialect in READINGS {
            let before = table(&evaluate(&snapshot(&objects), dialect), &outside);
            let after = table(&evaluate(&snapshot(&more), dialect), &outside);
            for (ends, bounds) in &before {
                prop_assert!(bounds.certain.is_subset(&after[ends].certain), "{ends:?}");
                prop_assert!(bounds.possible.is_subset(&after[ends].possible), "{ends:?}");
            }
        }
    }

    #[test]
    fn a_policy_opens_nothing_that_is_not_in_it(objects in cluster(true), new in policy("new".into())) {
        let mut more = objects.clone();
        more.push(new.clone());
        let naive = Cluster { objects: &more, blocks_match_pods: true };
        let before = table(&evaluate(&snapshot(&objects), Some(Dialect::Upstream)), &[]);
        let after = table(&evaluate(&snapshot(&more), Some(Dialect::Upstream)), &[]);
        let pod = |name: &str| {
            let named = |o: &&Value| {
                let meta = &o["metadata"];
                let shown = format!("{}/{}[Pod]", meta["namespace"].as_str().unwrap_or(""), meta["name"].as_str().unwrap());
                o["kind"] == "Pod" && shown == name
            };
            more.iter().find(named).expect("the pod of a row")
        };
        let empty = Vec::new();
        for ((from, to), bounds) in &after {
            let (source, destination) = (pod(from), pod(to));
            for (protocol, port) in PROTOCOLS.into_iter().flat_map(|p| PORTS.into_iter().map(move |n| (p, n))) {
                let was = contains(&before[&(from.clone(), to.clone())].certain, protocol, port);
                if was || !contains(&bounds.certain, protocol, port) {
                    continue;
                }
                let (from, to) = (End::Pod(source), End::Pod(destination));
                let packet = Packet { from, to, protocol, port };
                let admits = |direction: &str, other| {
                    let list = new["spec"][direction].as_array().unwrap_or(&empty);
                    list.iter().any(|rule| naive.admits(&new, rule, other, direction, packet))
                };
                prop_assert!(admits("ingress", from) || admits("egress", to), "{from:?} {protocol} {port}", from = source["metadata"]);
            }
        }
    }
}
