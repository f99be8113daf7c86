//! Random tiers, sets and policies: the engine and the naive evaluator say the same about every packet.

use std::net::{IpAddr, Ipv4Addr};

use portcullis::model::entrance::{self, PortRef, ServicePort};
use portcullis::model::{Labels, Object, Protocol, References};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::clusters::cases;
use crate::naive::{
    Account, Action, End, Entity, NetworkSet, Packet, Pod, Policy, Port, Rule, Selector, Service, Tier, World,
};
use crate::world::table;

/// Selectors over the labels of pods and sets.
const SELECTORS: [Selector; 14] = [
    Selector { text: "all()", means: |_| true },
    Selector { text: "app == 'web'", means: |l| l.get("app").is_some_and(|v| v == "web") },
    Selector { text: "app != 'web'", means: |l| l.get("app").is_none_or(|v| v != "web") },
    Selector { text: "app in {'db', 'cache'}", means: |l| l.get("app").is_some_and(|v| v == "db" || v == "cache") },
    Selector { text: "app not in {'db'}", means: |l| l.get("app").is_none_or(|v| v != "db") },
    Selector { text: "has(role)", means: |l| l.contains_key("role") },
    Selector { text: "!has(role)", means: |l| !l.contains_key("role") },
    Selector {
        text: "app starts with 'c' || role contains 'art'",
        means: |l| l.get("app").is_some_and(|v| v.starts_with('c')) || l.get("role").is_some_and(|v| v.contains("art")),
    },
    Selector {
        text: "!(app ends with 'b' && !has(role))",
        means: |l| !l.get("app").is_some_and(|v| v.ends_with('b')) || l.contains_key("role"),
    },
    Selector { text: "pcns.env == 'prod'", means: |l| l.get("pcns.env").is_some_and(|v| v == "prod") },
    Selector {
        text: "projectcalico.org/namespace != 'n0'",
        means: |l| l.get("projectcalico.org/namespace").is_none_or(|v| v != "n0"),
    },
    Selector {
        text: "projectcalico.org/serviceaccount == 'robot' || has(x)",
        means: |l| l.get("projectcalico.org/serviceaccount").is_some_and(|v| v == "robot") || l.contains_key("x"),
    },
    Selector { text: "pcsa.team == 'a'", means: |l| l.get("pcsa.team").is_some_and(|v| v == "a") },
    Selector {
        text: "pcsa.team != 'a' && app == 'web'",
        means: |l| l.get("pcsa.team").is_none_or(|v| v != "a") && l.get("app").is_some_and(|v| v == "web"),
    },
];

/// Selectors of namespaces, in terms of what endpoints carry.
const NAMESPACES: [Selector; 6] = [
    Selector { text: "all()", means: |l| l.contains_key("projectcalico.org/namespace") },
    Selector { text: "global()", means: |l| !l.contains_key("projectcalico.org/namespace") },
    Selector { text: "env == 'prod'", means: |l| l.get("pcns.env").is_some_and(|v| v == "prod") },
    Selector { text: "env != 'prod'", means: |l| l.get("pcns.env").is_none_or(|v| v != "prod") },
    Selector {
        text: "projectcalico.org/name in {'n0', 'n2'}",
        means: |l| l.get("pcns.projectcalico.org/name").is_some_and(|v| v == "n0" || v == "n2"),
    },
    Selector {
        text: "global() || has(env)",
        means: |l| !l.contains_key("projectcalico.org/namespace") || l.contains_key("pcns.env"),
    },
];

const NETS: [(Ipv4Addr, u8); 6] = [
    (Ipv4Addr::new(10, 0, 0, 0), 30),
    (Ipv4Addr::new(10, 0, 0, 4), 30),
    (Ipv4Addr::new(10, 0, 0, 2), 32),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::UNSPECIFIED, 0),
    (Ipv4Addr::new(128, 0, 0, 0), 1),
];

const OUTSIDE: [Ipv4Addr; 3] =
    [Ipv4Addr::new(198, 51, 100, 7), Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(10, 0, 0, 7)];
const PORTS: [u16; 6] = [22, 79, 80, 90, 443, 8080];
const TIERS: [&str; 3] = ["default", "one", "two"];

const SERVICES: [Service; 2] = [
    Service { name: "web", namespace: "n0", label: ("app", "web"), target: Port::Named("http") },
    Service { name: "db", namespace: "n1", label: ("app", "db"), target: Port::Range(443, 443) },
];

fn entity() -> impl Strategy<Value = Entity> {
    let nets = || prop_oneof![4 => Just(Vec::new()), 1 => vec(select(NETS.to_vec()), 1..3)];
    (
        option::weighted(0.4, select(SELECTORS.to_vec())),
        option::weighted(0.15, select(SELECTORS.to_vec())),
        option::weighted(0.25, select(NAMESPACES.to_vec())),
        prop_oneof![6 => Just(Vec::new()), 1 => Just(vec!["robot"])],
        nets(),
        nets(),
    )
        .prop_map(|(selector, not_selector, namespaces, accounts, nets, not_nets)| Entity {
            selector,
            not_selector,
            namespaces,
            accounts,
            nets,
            not_nets,
            service: None,
        })
}

fn rule() -> impl Strategy<Value = Rule> {
    let action =
        prop_oneof![4 => Just(Action::Allow), 3 => Just(Action::Deny), 2 => Just(Action::Pass), 1 => Just(Action::Log)];
    let port = prop_oneof![
        select(PORTS.to_vec()).prop_map(|p| Port::Range(p, p)),
        Just(Port::Range(80, 443)),
        Just(Port::Named("http")),
    ];
    let ports = prop_oneof![
        3 => Just((None, None, Vec::new(), Vec::new())),
        1 => Just((None, Some("TCP"), Vec::new(), Vec::new())),
        2 => (select(vec!["TCP", "UDP"]), vec(port, 0..3)).prop_map(|(p, ports)| (Some(p), None, ports, Vec::new())),
        1 => select(PORTS.to_vec()).prop_map(|p| (Some("TCP"), None, vec![Port::Range(1, 8080)], vec![(p, 443.max(p))])),
    ];
    // The policy's own side is seldom named, and without addresses, which nobody knows beforehand.
    let own_side = prop_oneof![
        4 => Just(Entity::default()),
        1 => select(SELECTORS.to_vec()).prop_map(|s| Entity { selector: Some(s), ..Entity::default() }),
        1 => select(SELECTORS.to_vec()).prop_map(|s| Entity { not_selector: Some(s), ..Entity::default() }),
    ];
    let service = option::weighted(0.15, select(SERVICES.to_vec()));
    (action, ports, entity(), own_side, service).prop_map(
        |(action, (protocol, not_protocol, ports, not_ports), remote, local, service)| {
            // Ports beside a Service are not for destinations.
            let service = service.filter(|_| ports.is_empty() && not_ports.is_empty());
            let remote = if service.is_some() { Entity { service, ..Entity::default() } } else { remote };
            Rule { action, protocol, not_protocol, ports, not_ports, source: remote, destination: local }
        },
    )
}

fn turned(rule: Rule) -> Rule {
    Rule { source: rule.destination.clone(), destination: rule.source.clone(), ..rule }
}

fn policy(name: String) -> impl Strategy<Value = Policy> {
    (
        option::weighted(0.5, select(vec!["n0", "n1"])),
        select(TIERS.to_vec()),
        option::weighted(0.7, 0..3),
        option::weighted(0.7, select(SELECTORS.to_vec())),
        option::weighted(0.2, select(NAMESPACES.to_vec())),
        option::weighted(0.5, (any::<bool>(), any::<bool>())),
        vec(rule(), 0..4),
        vec(rule(), 0..3),
    )
        .prop_map(move |(namespace, tier, order, selector, namespaces, types, ingress, egress)| Policy {
            name: if tier == "default" { name.clone() } else { format!("{tier}.{name}") },
            namespace,
            tier,
            order,
            selector,
            // `global()` is not for the subject of a policy.
            namespaces: namespaces.filter(|s| namespace.is_none() && !s.text.contains("global")),
            types: types.filter(|(i, e)| *i || *e),
            ingress,
            egress: egress.into_iter().map(turned).collect(),
        })
}

fn world() -> impl Strategy<Value = World> {
    let labels = || (option::of(select(vec!["web", "db", "cache"])), option::of(select(vec!["start", "end"])));
    let pod = |i: usize| {
        (select(vec!["n0", "n1", "n2"]), labels(), select(vec!["robot", "default"]), any::<bool>()).prop_map(
            move |(namespace, (app, role), account, http)| Pod {
                name: ["p0", "p1", "p2", "p3", "p4"][i],
                namespace,
                account,
                labels: app.map(|v| ("app", v)).into_iter().chain(role.map(|v| ("role", v))).collect(),
                address: Ipv4Addr::new(10, 0, 0, u8::try_from(i).unwrap()),
                ports: if http { vec![("http", 8080)] } else { Vec::new() },
            },
        )
    };
    let set = |i: usize| {
        (option::of(select(vec!["n0", "n1"])), labels(), vec(select(NETS.to_vec()), 0..3)).prop_map(
            move |(namespace, (app, role), nets)| NetworkSet {
                name: ["s0", "s1"][i],
                namespace,
                labels: app.map(|v| ("app", v)).into_iter().chain(role.map(|v| ("role", v))).collect(),
                nets,
            },
        )
    };
    let tiers = (option::of(0..3), option::of(0..3), any::<bool>(), any::<bool>()).prop_map(|(a, b, c, d)| {
        vec![
            Tier { name: "default", order: Some(1_000_000), passes: false },
            Tier { name: "one", order: a, passes: c },
            Tier { name: "two", order: b, passes: d },
        ]
    });
    let policies = (1usize..5).prop_flat_map(|n| (0..n).map(|i| policy(format!("c{i}"))).collect::<Vec<_>>());
    ((0..5).map(pod).collect::<Vec<_>>(), (0..2).map(set).collect::<Vec<_>>(), tiers, policies).prop_map(
        |(pods, sets, tiers, policies)| World {
            namespaces: vec![("n0", vec![("env", "prod")]), ("n1", vec![("env", "dev")]), ("n2", vec![])],
            accounts: vec![
                Account { name: "robot", namespace: "n0", label: ("team", "a") },
                Account { name: "robot", namespace: "n1", label: ("team", "b") },
            ],
            pods,
            sets,
            tiers,
            policies,
        },
    )
}

fn net((address, bits): (Ipv4Addr, u8)) -> String {
    format!("{address}/{bits}")
}

fn object(pairs: Vec<(&str, Option<Value>)>) -> Value {
    Value::Object(pairs.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect::<Map<_, _>>())
}

fn labels(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(k, v)| ((*k).to_owned(), Value::from(*v))).collect())
}

fn entity_json(entity: &Entity, extra: Vec<(&str, Option<Value>)>) -> Value {
    let text = |s: &Option<Selector>| s.map(|s| Value::from(s.text));
    let nets =
        |list: &[(Ipv4Addr, u8)]| (!list.is_empty()).then(|| list.iter().map(|n| net(*n)).collect::<Vec<_>>().into());
    let mut pairs = vec![
        ("selector", text(&entity.selector)),
        ("notSelector", text(&entity.not_selector)),
        ("namespaceSelector", text(&entity.namespaces)),
        ("services", entity.service.map(|s| json!({"name": s.name, "namespace": s.namespace}))),
        ("serviceAccounts", (!entity.accounts.is_empty()).then(|| json!({"names": entity.accounts}))),
        ("nets", nets(&entity.nets)),
        ("notNets", nets(&entity.not_nets)),
    ];
    pairs.extend(extra);
    object(pairs)
}

fn rule_json(rule: &Rule) -> Value {
    let range = |(lo, hi): (u16, u16)| if lo == hi { json!(lo) } else { json!(format!("{lo}:{hi}")) };
    let port = |port: &Port| match port {
        Port::Range(lo, hi) => range((*lo, *hi)),
        Port::Named(name) => json!(name),
    };
    let ports: Vec<Value> = rule.ports.iter().map(port).collect();
    let not_ports: Vec<Value> = rule.not_ports.iter().copied().map(range).collect();
    let extra = vec![
        ("ports", (!ports.is_empty()).then(|| ports.into())),
        ("notPorts", (!not_ports.is_empty()).then(|| not_ports.into())),
    ];
    object(vec![
        ("action", Some(format!("{:?}", rule.action).into())),
        ("protocol", rule.protocol.map(Value::from)),
        ("notProtocol", rule.not_protocol.map(Value::from)),
        ("source", Some(entity_json(&rule.source, Vec::new()))),
        ("destination", Some(entity_json(&rule.destination, extra))),
    ])
}

fn json_of(world: &World) -> Vec<Value> {
    let v3 = "projectcalico.org/v3";
    let mut all = Vec::new();
    for (name, pairs) in &world.namespaces {
        all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels(pairs)}}));
    }
    for pod in &world.pods {
        let ports: Vec<Value> = pod.ports.iter().map(|(n, p)| json!({"name": n, "containerPort": p})).collect();
        all.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": labels(&pod.labels)},
            "spec": {"serviceAccountName": pod.account, "containers": [{"name": "main", "ports": ports}]},
            "status": {"podIPs": [{"ip": pod.address.to_string()}]}}));
    }
    for set in &world.sets {
        let nets: Vec<String> = set.nets.iter().map(|n| net(*n)).collect();
        let kind = if set.namespace.is_some() { "NetworkSet" } else { "GlobalNetworkSet" };
        all.push(json!({"apiVersion": v3, "kind": kind,
            "metadata": {"name": set.name, "namespace": set.namespace, "labels": labels(&set.labels)}, "spec": {"nets": nets}}));
    }
    for tier in world.tiers.iter().filter(|t| t.name != "default") {
        let spec = object(vec![
            ("order", tier.order.map(Value::from)),
            ("defaultAction", Some(if tier.passes { "Pass" } else { "Deny" }.into())),
        ]);
        all.push(json!({"apiVersion": v3, "kind": "Tier", "metadata": {"name": tier.name}, "spec": spec}));
    }
    for policy in &world.policies {
        let kind = if policy.namespace.is_some() { "NetworkPolicy" } else { "GlobalNetworkPolicy" };
        let rules = |list: &[Rule]| (!list.is_empty()).then(|| list.iter().map(rule_json).collect::<Vec<_>>().into());
        let types = policy.types.map(|(i, e)| {
            let names = [(i, "Ingress"), (e, "Egress")];
            names.iter().filter(|(on, _)| *on).map(|(_, n)| Value::from(*n)).collect::<Vec<_>>().into()
        });
        let spec = object(vec![
            ("tier", Some(policy.tier.into())),
            ("order", policy.order.map(Value::from)),
            ("selector", policy.selector.map(|s| s.text.into())),
            ("namespaceSelector", policy.namespaces.map(|s| s.text.into())),
            ("types", types),
            ("ingress", rules(&policy.ingress)),
            ("egress", rules(&policy.egress)),
        ]);
        all.push(json!({"apiVersion": v3, "kind": kind,
            "metadata": {"name": policy.name, "namespace": policy.namespace}, "spec": spec}));
    }
    all
}

/// Every Service, and every account that a pod can have.
fn references(world: &World) -> References {
    let mut known = References::default();
    for (namespace, _) in &world.namespaces {
        for name in ["robot", "default"] {
            let own = world.accounts.iter().filter(|a| (a.namespace, a.name) == (*namespace, name));
            let labels = Labels::new(own.map(|account| account.label));
            known.accounts.insert(((*namespace).into(), name.into()), labels);
        }
    }
    for service in SERVICES {
        let target = match service.target {
            Port::Range(port, _) => PortRef::Number(port),
            Port::Named(name) => PortRef::Name(name.into()),
        };
        let port = ServicePort { name: "".into(), protocol: Protocol::Tcp, port: 80, target };
        let selector = Some(Labels::new([service.label]));
        let found = entrance::Service { labels: Labels::default(), selector, ports: vec![port] };
        known.services.insert((service.namespace.into(), service.name.into()), found);
    }
    known
}

/// Reads objects of which everything must be understood.
pub(crate) fn snapshot(objects: &[Value], known: References) -> Result<Snapshot, TestCaseError> {
    let mut read: Vec<Object> = Vec::new();
    for value in objects {
        let (group, _) = value["apiVersion"].as_str().unwrap().split_once('/').unwrap_or_default();
        let kind = Kind::of(group, value["kind"].as_str().unwrap()).expect("a kind that is read");
        let object = from_value(kind, value, &Defaults { namespace: "n0", name: "" });
        prop_assert!(object.unread().is_empty(), "{value}: {:?}", object.unread());
        read.push(object);
    }
    Ok(Snapshot::knowing(known, &read))
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_engine_agrees_with_the_naive_evaluator(world in world()) {
        let objects = json_of(&world);
        let state = snapshot(&objects, references(&world))?;
        let outside = OUTSIDE.map(IpAddr::from);
        let table = table(&state, &outside);
        let mut ends: Vec<(String, End<'_>)> =
            world.pods.iter().map(|p| (format!("{}/{}[Pod]", p.namespace, p.name), End::Pod(p))).collect();
        ends.extend(OUTSIDE.map(|a| (a.to_string(), End::Address(a))));
        for (from, source) in &ends {
            for (to, destination) in &ends {
                let Some(bounds) = table.get(&(from.clone(), to.clone())).filter(|_| from != to) else { continue };
                for (protocol, of) in [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)] {
                    for port in PORTS {
                        let packet = Packet { from: *source, to: *destination, protocol, port };
                        let passes = world.passes(packet);
                        let context = || format!("{from} to {to} on {protocol} {port}\n{}", serde_json::to_string_pretty(&objects[8..]).unwrap());
                        prop_assert_eq!(bounds.certain.contains(of, port), passes, "{}", context());
                        prop_assert_eq!(bounds.possible.contains(of, port), passes, "{}", context());
                    }
                }
            }
        }
        prop_assert!(table.len() >= ends.len());
    }
}
