//! Random clusters as JSON objects: few labels and addresses, so that selectors and blocks meet and overlap.

use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

/// How many clusters a property is tried on: a quick few, or as many as `PROPTEST_CASES` says.
pub(crate) fn cases(few: u32) -> ProptestConfig {
    let many = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { cases: many.unwrap_or(few), failure_persistence: None, ..ProptestConfig::default() }
}

/// Protocols that are asked about.
pub(crate) const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// Ports that are asked about: those that policies name, and their neighbours.
pub(crate) const PORTS: [u64; 9] = [1, 79, 80, 81, 90, 91, 443, 8080, 65535];
/// Addresses outside the cluster that are asked about.
pub(crate) const OUTSIDE: [&str; 6] = ["10.0.0.1", "10.0.0.6", "10.0.0.14", "192.0.2.1", "fd00::6", "2001:db8::1"];

const NAMESPACES: [&str; 3] = ["n0", "n1", "n2"];

fn labels() -> impl Strategy<Value = Value> {
    let value = || prop_oneof![2 => Just(None), 1 => Just(Some("x")), 1 => Just(Some("y"))];
    (value(), value()).prop_map(|(a, b)| {
        let pairs = [("a", a), ("b", b)].into_iter().filter_map(|(k, v)| v.map(|v| (k.to_owned(), Value::from(v))));
        Value::Object(pairs.collect())
    })
}

fn namespace(name: &'static str) -> impl Strategy<Value = Value> {
    labels().prop_map(
        move |labels| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
    )
}

fn named_port() -> impl Strategy<Value = Value> {
    let name = prop_oneof![Just("web"), Just("dns")];
    let number = prop_oneof![Just(80), Just(81), Just(8080)];
    let protocol = prop_oneof![Just(None), Just(Some("TCP")), Just(Some("UDP"))];
    (name, number, protocol).prop_map(|(name, number, protocol)| {
        let mut port = json!({"name": name, "containerPort": number});
        if let Some(protocol) = protocol {
            port["protocol"] = protocol.into();
        }
        port
    })
}

fn pod(name: String, known: bool) -> impl Strategy<Value = Value> {
    let address = prop_oneof![
        3 => (0u8..16).prop_map(|n| format!("10.0.0.{n}")),
        1 => (0u8..16).prop_map(|n| format!("fd00::{n:x}")),
    ];
    let ports = || proptest::collection::vec(named_port(), 0..3);
    let sidecar = prop_oneof![Just(None), Just(Some("Always"))];
    let host = proptest::bool::weighted(0.06);
    (prop::sample::select(&NAMESPACES[..]), labels(), ports(), ports(), sidecar, address, host).prop_map(
        move |(namespace, labels, ports, more, restart, address, host)| {
            let mut init = json!({"name": "init", "ports": more});
            if let Some(restart) = restart {
                init["restartPolicy"] = restart.into();
            }
            let mut pod = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"hostNetwork": host, "containers": [{"name": "main", "ports": ports}], "initContainers": [init]},
            });
            if known {
                pod["status"] = json!({"podIPs": [{"ip": address}]});
            }
            pod
        },
    )
}

fn selector() -> impl Strategy<Value = Value> {
    let key = || prop_oneof![Just("a"), Just("b")];
    let values = || prop::sample::subsequence(vec!["x", "y"], 1..=2);
    let expression = prop_oneof![
        (key(), values()).prop_map(|(key, values)| json!({"key": key, "operator": "In", "values": values})),
        (key(), values()).prop_map(|(key, values)| json!({"key": key, "operator": "NotIn", "values": values})),
        key().prop_map(|key| json!({"key": key, "operator": "Exists"})),
        key().prop_map(|key| json!({"key": key, "operator": "DoesNotExist"})),
    ];
    prop_oneof![
        3 => Just(json!({})),
        3 => labels().prop_map(|labels| json!({"matchLabels": labels})),
        2 => proptest::collection::vec(expression.clone(), 1..3).prop_map(|list| json!({"matchExpressions": list})),
        1 => (labels(), expression).prop_map(|(labels, one)| json!({"matchLabels": labels, "matchExpressions": [one]})),
    ]
}

/// A block and an except that is strictly inside.
fn block() -> impl Strategy<Value = Value> {
    let v4 = (0u8..16, 27u8..=31, 0u8..16).prop_map(|(base, prefix, inner)| {
        let mask = u8::MAX << (32 - prefix);
        let inner = (base & mask) | (inner & !mask);
        (format!("10.0.0.{}/{prefix}", base & mask), format!("10.0.0.{inner}/32"))
    });
    let v6 = (0u8..16, 123u8..=127, 0u8..16).prop_map(|(base, prefix, inner)| {
        let mask = u8::MAX << (128 - prefix);
        let inner = (base & mask) | (inner & !mask);
        (format!("fd00::{:x}/{prefix}", base & mask), format!("fd00::{inner:x}/128"))
    });
    let wide = Just(("0.0.0.0/0".to_owned(), "10.0.0.0/28".to_owned()));
    let half = Just(("128.0.0.0/1".to_owned(), "192.0.2.0/24".to_owned()));
    let wide6 = Just(("::/0".to_owned(), "fd00::/8".to_owned()));
    let pair = prop_oneof![4 => v4, 2 => v6, 1 => wide, 1 => half, 1 => wide6];
    (pair, any::<bool>()).prop_map(|((cidr, except), with)| {
        if with { json!({"ipBlock": {"cidr": cidr, "except": [except]}}) } else { json!({"ipBlock": {"cidr": cidr}}) }
    })
}

fn peer() -> impl Strategy<Value = Value> {
    let named = prop::sample::select(&NAMESPACES[..])
        .prop_map(|name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}}));
    prop_oneof![
        3 => selector().prop_map(|pods| json!({"podSelector": pods})),
        2 => selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        2 => (selector(), selector())
            .prop_map(|(namespaces, pods)| json!({"namespaceSelector": namespaces, "podSelector": pods})),
        1 => named.prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        3 => block(),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let protocol =
        prop_oneof![2 => Just(None), 2 => Just(Some("TCP")), 1 => Just(Some("UDP")), 1 => Just(Some("SCTP"))];
    let number = prop_oneof![
        1 => Just(json!({})),
        3 => prop::sample::select(vec![80, 81, 443, 8080]).prop_map(|n| json!({"port": n})),
        2 => (prop::sample::select(vec![1, 80, 90]), prop::sample::select(vec![90, 443, 65535]))
            .prop_map(|(lo, hi)| json!({"port": lo, "endPort": hi})),
        2 => prop_oneof![Just("web"), Just("dns")].prop_map(|name| json!({"port": name})),
    ];
    (protocol, number).prop_map(|(protocol, mut port)| {
        if let Some(protocol) = protocol {
            port["protocol"] = protocol.into();
        }
        port
    })
}

/// A rule: peers and ports may be absent, empty, or lists.
pub(crate) fn rule(field: &'static str) -> impl Strategy<Value = Value> {
    let peers = prop_oneof![
        1 => Just(None),
        1 => Just(Some(json!([]))),
        6 => proptest::collection::vec(peer(), 1..3).prop_map(|list| Some(json!(list))),
    ];
    let ports = prop_oneof![
        2 => Just(None),
        1 => Just(Some(json!([]))),
        4 => proptest::collection::vec(port(), 1..3).prop_map(|list| Some(json!(list))),
    ];
    (peers, ports).prop_map(move |(peers, ports)| {
        let mut rule = Map::new();
        rule.extend(peers.map(|peers| (field.to_owned(), peers)));
        rule.extend(ports.map(|ports| ("ports".to_owned(), ports)));
        Value::Object(rule)
    })
}

/// A policy: policyTypes absent or explicit, lists of rules absent or given.
pub(crate) fn policy(name: String) -> impl Strategy<Value = Value> {
    let types = Union::new_weighted(vec![
        (2, Just(None)),
        (1, Just(Some(json!(["Ingress"])))),
        (1, Just(Some(json!(["Egress"])))),
        (2, Just(Some(json!(["Ingress", "Egress"])))),
    ]);
    let rules = |field| {
        prop_oneof![
            1 => Just(None),
            3 => proptest::collection::vec(rule(field), 0..3).prop_map(|list| Some(json!(list))),
        ]
    };
    (prop::sample::select(&NAMESPACES[..]), selector(), types, rules("from"), rules("to")).prop_map(
        move |(namespace, selector, types, ingress, egress)| {
            let mut spec = Map::new();
            spec.insert("podSelector".into(), selector);
            spec.extend(types.map(|types| ("policyTypes".to_owned(), types)));
            spec.extend(ingress.map(|rules| ("ingress".to_owned(), rules)));
            spec.extend(egress.map(|rules| ("egress".to_owned(), rules)));
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            })
        },
    )
}

/// A whole cluster. `known`: every pod has an address in its status.
pub(crate) fn cluster(known: bool) -> impl Strategy<Value = Vec<Value>> {
    let namespaces = (namespace("n0"), namespace("n1")).prop_map(|(a, b)| vec![a, b]);
    // n2 has no object: files often leave it out.
    let pods = (2usize..6).prop_flat_map(move |n| (0..n).map(|i| pod(format!("p{i}"), known)).collect::<Vec<_>>());
    let policies = (1usize..6).prop_flat_map(|n| (0..n).map(|i| policy(format!("np{i}"))).collect::<Vec<_>>());
    (namespaces, pods, policies).prop_map(|(mut all, pods, policies)| {
        all.extend(pods);
        all.extend(policies);
        all
    })
}
