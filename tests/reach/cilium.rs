//! Cilium's policies on random clusters: the engine and the naive evaluator agree, and deny beats allow in
//! every order.

use std::net::IpAddr;

use portcullis::model::house::Dialect;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::cilium_naive::passes;
use crate::clusters::{OUTSIDE, PORTS, PROTOCOLS, cases, cluster};
use crate::matrix_support::table;
use crate::naive::{End, Packet};
use crate::world::{contains, evaluate, snapshot};

fn selector(namespaces: bool) -> impl Strategy<Value = Value> {
    let pod = prop::sample::select(vec!["a", "k8s:a", "any:a", "b"]);
    let place = prop::sample::select(vec![
        "io.kubernetes.pod.namespace",
        "k8s:io.kubernetes.pod.namespace",
        "k8s:io.cilium.k8s.namespace.labels.a",
        "reserved:world",
    ]);
    let pod_test = (pod, expression(vec!["x", "y"])).prop_map(|(key, test)| (key, test));
    let place_test = (place, expression(vec!["n0", "n1", "x"])).prop_map(|(key, test)| (key, test));
    let few = if namespaces { 0..2 } else { 0..1 };
    (proptest::collection::vec(pod_test, 0..3), proptest::collection::vec(place_test, few)).prop_map(
        |(pods, places)| {
            let (mut labels, mut expressions) = (Map::new(), Vec::new());
            for (key, mut test) in pods.into_iter().chain(places) {
                match test["values"].as_array().map(Vec::as_slice) {
                    Some([value]) if test["operator"] == "In" => {
                        labels.insert(key.to_owned(), value.clone());
                    }
                    _ => {
                        test["key"] = key.into();
                        expressions.push(test);
                    }
                }
            }
            json!({"matchLabels": labels, "matchExpressions": expressions})
        },
    )
}

fn expression(values: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let some = prop::sample::subsequence(values, 1..=2);
    prop_oneof![
        4 => some.clone().prop_map(|values| json!({"operator": "In", "values": values})),
        1 => some.prop_map(|values| json!({"operator": "NotIn", "values": values})),
        1 => Just(json!({"operator": "Exists"})),
        1 => Just(json!({"operator": "DoesNotExist"})),
    ]
}

/// A list of one kind of peer, maybe empty.
fn peers(prefix: &'static str) -> impl Strategy<Value = (String, Value)> {
    let many = |item: BoxedStrategy<Value>| proptest::collection::vec(item, 0..3).prop_map(Value::from);
    let entity = prop::sample::select(vec!["all", "world", "cluster"]).prop_map(Value::from);
    let cidr = prop::sample::select(vec!["10.0.0.0/28", "10.0.0.1/32", "0.0.0.0/0", "::/0", "192.0.2.1"]);
    let set = prop::sample::select(vec![
        json!({"cidr": "10.0.0.0/8", "except": ["10.0.0.0/29"]}),
        json!({"cidr": "fd00::/8"}),
        json!({"cidr": "0.0.0.0/0", "except": ["192.0.2.0/24", "10.0.0.1/32"]}),
    ]);
    prop_oneof![
        6 => many(selector(true).boxed()).prop_map(move |list| (format!("{prefix}Endpoints"), list)),
        2 => many(entity.boxed()).prop_map(move |list| (format!("{prefix}Entities"), list)),
        1 => many(cidr.prop_filter("a block", |c| c.contains('/')).prop_map(Value::from).boxed())
            .prop_map(move |list| (format!("{prefix}CIDR"), list)),
        2 => many(set.boxed()).prop_map(move |list| (format!("{prefix}CIDRSet"), list)),
    ]
}

/// Services that every cluster has, and an item of `toServices` that finds one or two of them.
fn services() -> [Value; 3] {
    let one = |namespace: &str, name: &str, team: &str, selector: Value| {
        json!({"kind": "Service", "metadata": {"namespace": namespace, "name": name, "labels": {"team": team}},
            "spec": {"selector": selector, "ports": [{"port": 80}]}})
    };
    [
        one("n0", "s", "x", json!({"a": "x"})),
        one("n1", "s", "y", json!({"a": "y"})),
        one("n0", "t", "y", json!({"b": "x", "a": "y"})),
    ]
}

fn service_item() -> impl Strategy<Value = Value> {
    let by_label = |team: &str, namespace: &str| json!({"k8sServiceSelector": {"selector": {"matchLabels": {"team": team}}, "namespace": namespace}});
    prop::sample::select(vec![
        json!({"k8sService": {"serviceName": "s", "namespace": "n0"}}),
        json!({"k8sService": {"serviceName": "s"}}),
        json!({"k8sService": {"serviceName": "t", "namespace": "n0"}}),
        by_label("x", ""),
        by_label("y", ""),
        by_label("y", "n1"),
    ])
}

fn port() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        3 => prop::sample::select(vec!["80", "81", "8080", "0"]).prop_map(|n| json!({"port": n})),
        2 => prop::sample::select(vec![90, 443, 65535]).prop_map(|last| json!({"port": "80", "endPort": last})),
        2 => prop::sample::select(vec!["web", "dns"]).prop_map(|name| json!({"port": name})),
    ];
    let protocol = prop::sample::select(vec!["", "ANY", "TCP", "UDP", "SCTP"]);
    (number, protocol).prop_map(|(mut port, protocol)| {
        if !protocol.is_empty() {
            port["protocol"] = protocol.into();
        }
        port
    })
}

fn rule(prefix: &'static str) -> impl Strategy<Value = Value> {
    let to_ports = proptest::collection::vec(proptest::collection::vec(port(), 1..3), 0..3)
        .prop_map(|items| items.into_iter().map(|ports| json!({"ports": ports})).collect::<Vec<_>>());
    let services = prop::option::weighted(0.15, proptest::collection::vec(service_item(), 0..3));
    (prop::option::weighted(0.8, peers(prefix)), prop::option::of(to_ports), services).prop_map(
        move |(peers, ports, services)| {
            // Whether Services and ports go together depends on the release.
            if let Some(services) = services.filter(|_| prefix == "to") {
                return json!({"toServices": services});
            }
            let mut rule = Map::new();
            rule.extend(peers);
            rule.extend(ports.map(|ports| ("toPorts".to_owned(), ports.into())));
            Value::Object(rule)
        },
    )
}

fn spec() -> impl Strategy<Value = Value> {
    let rules = |prefix| prop::option::of(proptest::collection::vec(rule(prefix), 0..3));
    let deny = |prefix| prop::option::weighted(0.3, proptest::collection::vec(rule(prefix), 0..2));
    let flag = || prop::option::weighted(0.2, any::<bool>());
    (selector(false), rules("from"), rules("to"), deny("from"), deny("to"), flag(), flag()).prop_map(
        |(subject, ingress, egress, ingress_deny, egress_deny, in_flag, out_flag)| {
            let mut spec = json!({"endpointSelector": subject});
            let lists =
                [("ingress", ingress), ("egress", egress), ("ingressDeny", ingress_deny), ("egressDeny", egress_deny)];
            for (field, list) in lists {
                if let Some(list) = list {
                    spec[field] = list.into();
                }
            }
            if ["ingress", "egress", "ingressDeny", "egressDeny"]
                .iter()
                .all(|f| spec[*f].as_array().is_none_or(Vec::is_empty))
            {
                spec["ingress"] = json!([{}]);
            }
            for (field, flag) in [("ingress", in_flag), ("egress", out_flag)] {
                if let Some(flag) = flag {
                    spec["enableDefaultDeny"][field] = flag.into();
                }
            }
            spec
        },
    )
}

fn policy(name: String) -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![3 => Just(Some("n0")), 2 => Just(Some("n1")), 2 => Just(None)];
    (namespace, prop_oneof![3 => spec().prop_map(|s| ("spec", s)), 1 => spec().prop_map(|s| ("specs", json!([s])))])
        .prop_map(move |(namespace, (field, spec))| {
            let kind = if namespace.is_some() { "CiliumNetworkPolicy" } else { "CiliumClusterwideNetworkPolicy" };
            let mut object = json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": name}});
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            object[field] = spec;
            object
        })
}

/// Pods with addresses, NetworkPolicies and Cilium's policies. Pods on the host's network are left out: whether they are
/// the host is what only the running cluster knows.
fn mixed() -> impl Strategy<Value = Vec<Value>> {
    let policies: Vec<_> = (0..3).map(|n| policy(format!("c{n}"))).collect();
    (cluster(true), policies).prop_map(|(mut objects, policies)| {
        for pod in objects.iter_mut().filter(|o| o["kind"] == "Pod") {
            pod["spec"]["hostNetwork"] = false.into();
        }
        objects.extend(policies);
        objects.extend(services());
        objects
    })
}

fn ends(objects: &[Value]) -> Vec<(String, End<'_>)> {
    let pods = objects.iter().filter(|o| o["kind"] == "Pod").map(|pod| {
        let text = |field: &str| pod["metadata"][field].as_str().expect("text").to_owned();
        (format!("{}/{}[Pod]", text("namespace"), text("name")), End::Pod(pod))
    });
    pods.chain(outside().into_iter().map(|address| (address.to_string(), End::Address(address)))).collect()
}

fn outside() -> Vec<IpAddr> {
    OUTSIDE.iter().map(|a| a.parse().expect("an address")).collect()
}

/// Whether a policy names the cluster, or endpoints that are no pods: an address may be that of a node.
fn may_mean_nodes(policy: &Value) -> bool {
    let text = policy.to_string();
    let rules_out = text.contains("NotIn") || text.contains("DoesNotExist");
    let places = ["io.kubernetes.pod", "io.cilium", "reserved:"].iter().any(|key| text.contains(key));
    text.contains("\"cluster\"") || (rules_out && places)
}

fn agree(objects: &[Value]) -> Result<(), TestCaseError> {
    let table = table(&evaluate(&snapshot(objects), Some(Dialect::Cilium)), &outside());
    let ends = ends(objects);
    let in_doubt = objects.iter().any(may_mean_nodes);
    for (from, source) in &ends {
        for (to, destination) in &ends {
            let Some(bounds) = table.get(&(from.clone(), to.clone())) else { continue };
            for protocol in PROTOCOLS {
                for port in PORTS {
                    let packet = Packet { from: *source, to: *destination, protocol, port };
                    let (is_pod, is_node) = (passes(objects, packet, false), passes(objects, packet, true));
                    let (certain, possible) =
                        (contains(&bounds.certain, protocol, port), contains(&bounds.possible, protocol, port));
                    prop_assert!(!certain || (is_pod && is_node), "{} to {} on {} {}", from, to, port, protocol);
                    prop_assert!(possible || !(is_pod || is_node), "{} to {} on {} {}", from, to, port, protocol);
                    // Nothing else is in doubt.
                    let doubtful = in_doubt && [source, destination].iter().any(|end| matches!(end, End::Address(_)));
                    prop_assert!(doubtful || certain == possible, "{} to {} on {} {}", from, to, port, protocol);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(120))]

    /// semantics 2.3.1 to 2.3.12, 2.3.15 and 2.3.17, over the union with NetworkPolicies (2.3.5).
    #[test]
    fn the_engine_agrees_with_the_naive_evaluator_on_cilium(objects in mixed()) {
        agree(&objects)?;
    }
}

proptest! {
    #![proptest_config(cases(50))]

    /// semantics 2.3.4: the order of policies, of rules, and the names of objects say nothing.
    #[test]
    fn deny_beats_allow_in_every_order(objects in mixed(), seed in any::<u64>()) {
        let settled = |objects: &[Value]| table(&evaluate(&snapshot(objects), Some(Dialect::Cilium)), &outside());
        let before = settled(&objects);
        let mut other = objects;
        other.reverse();
        for (i, policy) in other.iter_mut().filter(|o| o["apiVersion"] == "cilium.io/v2").enumerate() {
            let name = seed.rotate_left(u32::try_from(i).unwrap() * 7) % 1000;
            policy["metadata"]["name"] = format!("p{name}-{i}").into();
            for spec in ["/spec", "/specs/0"] {
                let Some(Value::Object(fields)) = policy.pointer_mut(spec) else { continue };
                fields.values_mut().filter_map(Value::as_array_mut).for_each(|list| list.reverse());
            }
        }
        prop_assert_eq!(settled(&other), before);
    }
}
