//! Properties of reading and writing that no table can cover.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Defaults, Kind, from_json, from_value, lenient, policy_wire, render};
use crate::model::{Object, PolicyObject};

const DEFAULTS: Defaults<'_> = Defaults { namespace: "shop", name: "" };

fn object(spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": spec})
}

fn policy(object: &Value) -> PolicyObject {
    match from_value(Kind::NetworkPolicy, object, &DEFAULTS) {
        Object::Policy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

/// The field with a value, with null, or not at all.
fn field(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<(String, Value)>> {
    let name = name.to_owned();
    prop_oneof![1 => Just(Some(Value::Null)), 2 => Just(None), 5 => value.prop_map(Some)]
        .prop_map(move |value| value.map(|value| (name.clone(), value)))
        .boxed()
}

fn fields(all: Vec<BoxedStrategy<Option<(String, Value)>>>) -> impl Strategy<Value = Value> {
    all.prop_map(|all| Value::Object(all.into_iter().flatten().collect::<Map<_, _>>()))
}

fn word() -> impl Strategy<Value = &'static str> {
    select(vec!["app", "web", "tier", "kubernetes.io/metadata.name", "a.b/c", "x"])
}

fn selector() -> impl Strategy<Value = Value> {
    let labels = btree_map(word(), word(), 0..3).prop_map(|map| json!(map));
    let expression = prop_oneof![
        (word(), select(vec!["In", "NotIn"]), vec(word(), 1..4))
            .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values})),
        (word(), select(vec!["Exists", "DoesNotExist"]))
            .prop_map(|(key, operator)| json!({"key": key, "operator": operator})),
    ];
    fields(vec![field("matchLabels", labels), field("matchExpressions", vec(expression, 0..3).prop_map(Value::from))])
}

fn peer() -> impl Strategy<Value = Value> {
    let blocks =
        [("10.0.0.0/8", &["10.1.0.0/16", "10.2.0.0/15"][..]), ("0.0.0.0/0", &["10.0.0.0/8"]), ("::/0", &["fc00::/7"])];
    let block = select(blocks.to_vec()).prop_flat_map(|(cidr, excepts)| {
        subsequence(excepts.to_vec(), 0..=excepts.len()).prop_map(move |except| {
            json!({"ipBlock": if except.is_empty() { json!({"cidr": cidr}) } else { json!({"cidr": cidr, "except": except}) }})
        })
    });
    prop_oneof![
        block,
        selector().prop_map(|pods| json!({"podSelector": pods})),
        selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces, "podSelector": null})),
        (selector(), selector()).prop_map(|(n, p)| json!({"namespaceSelector": n, "podSelector": p})),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let protocol = || field("protocol", select(vec!["TCP", "UDP", "SCTP"]).prop_map(Value::from));
    let number =
        (1u16.., 0u16..100).prop_map(|(from, more)| json!({"port": from, "endPort": from.saturating_add(more)}));
    let port = prop_oneof![
        Just(json!({})),
        (1u16..).prop_map(|port| json!({"port": port})),
        number,
        select(vec!["http", "dns-tcp", "p8080"]).prop_map(|name| json!({"port": name})),
    ];
    (protocol(), port).prop_map(|(protocol, mut port)| {
        if let (Some((name, value)), Value::Object(fields)) = (protocol, &mut port) {
            fields.insert(name, value);
        }
        port
    })
}

fn rules(peers: &'static str) -> impl Strategy<Value = Value> {
    let rule = fields(vec![
        field(peers, vec(peer(), 0..3).prop_map(Value::from)),
        field("ports", vec(port(), 0..3).prop_map(Value::from)),
    ]);
    vec(rule, 0..3).prop_map(Value::from)
}

/// Every spec here is one that an API server takes.
fn spec() -> impl Strategy<Value = Value> {
    fields(vec![
        field("podSelector", selector()),
        field("policyTypes", subsequence(vec!["Ingress", "Egress"], 0..=2).prop_map(|types| json!(types))),
        field("ingress", rules("from")),
        field("egress", rules("to")),
    ])
}

/// JSON that looks a little like a policy, and mostly is none.
fn nonsense() -> impl Strategy<Value = Value> {
    let names = [
        "podSelector",
        "policyTypes",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "ipBlock",
        "cidr",
        "except",
        "port",
        "endPort",
        "protocol",
        "namespaceSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "x",
        "ä/\"[",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec!["Ingress", "TCP", "In", "10.0.0.0/8", "10.1.2.3/8", "::/0", "http", "", "80", "ü"])
            .prop_map(Value::from),
        "\\PC{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 60, 4, move |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => btree_map(select(names.to_vec()), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// A valid spec in which one value anywhere was replaced.
fn damaged() -> impl Strategy<Value = (Value, Value)> {
    (spec(), nonsense(), any::<proptest::sample::Index>()).prop_map(|(spec, nonsense, index)| {
        let mut paths = Vec::new();
        collect(&spec, String::new(), &mut paths);
        let mut damaged = spec.clone();
        if let Some(place) = damaged.pointer_mut(index.get::<String>(&paths)) {
            *place = nonsense;
        }
        (spec, damaged)
    })
}

fn collect(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                collect(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| collect(value, format!("{at}/{i}"), into)),
        _ => {}
    }
    into.push(at);
}

proptest! {
    #[test]
    fn both_readings_agree_on_valid_policies(spec in spec()) {
        let object = object(&spec);
        let mut unread = Vec::new();
        let borrowed = super::json::Value::deserialize(&object).unwrap();
        let second = lenient::network_policy(borrowed.as_object().unwrap(), &mut unread);
        prop_assert_eq!(unread, []);
        // The second reading takes an absent and a null field alike, as the first one does.
        let first = policy_wire::NetworkPolicy::deserialize(&object).unwrap();
        prop_assert_eq!(first.spec, second.spec);
        prop_assert_eq!(policy(&object).unread, []);
    }

    #[test]
    fn text_and_value_read_alike(spec in prop_oneof![spec(), nonsense(), damaged().prop_map(|d| d.1)]) {
        let object = object(&spec);
        let text = serde_json::to_vec(&object).unwrap();
        prop_assert_eq!(
            from_json(Kind::NetworkPolicy, &text, &DEFAULTS),
            from_value(Kind::NetworkPolicy, &object, &DEFAULTS)
        );
    }

    #[test]
    fn what_is_written_reads_back(spec in spec()) {
        let read = policy(&object(&spec));
        let written = render::network_policy(&read.policies[0]).unwrap();
        let again = policy(&written);
        prop_assert_eq!(&again.unread, &[]);
        prop_assert!(!again.implicit_types);
        prop_assert_eq!(&again.policies, &read.policies);
        // The YAML is the same object.
        let yaml = render::to_yaml(&written);
        prop_assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), written, "{}", yaml);
    }

    #[test]
    fn whatever_the_spec_holds_there_is_a_policy(spec in nonsense()) {
        let read = policy(&object(&spec));
        prop_assert_eq!(&*read.id.name, "p");
        prop_assert_eq!(read.id.namespace(), "shop");
        prop_assert_eq!(read.policies.len(), 1);
        for unread in &read.unread {
            prop_assert!(!unread.at.is_empty() && !unread.what.is_empty());
        }
    }

    #[test]
    fn what_is_damaged_is_noted_or_valid(pair in damaged()) {
        let (_, damaged) = pair;
        let read = policy(&object(&damaged));
        if read.unread.is_empty() {
            // Nothing was passed over in silence: what was understood is the whole of it.
            let written = render::network_policy(&read.policies[0]);
            prop_assert!(written.is_ok(), "{:?}", written);
            prop_assert_eq!(&policy(&written.unwrap()).policies, &read.policies);
        }
    }

    #[test]
    fn any_bytes_give_an_object(bytes in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        nonsense().prop_map(|v| v.to_string().into_bytes()),
        nonsense().prop_map(|v| json!({"metadata": v, "spec": v}).to_string().into_bytes()),
    ]) {
        for kind in Kind::ALL {
            let object = from_json(*kind, &bytes, &DEFAULTS);
            prop_assert_eq!(object.id().kind, kind.kind());
        }
    }
}
