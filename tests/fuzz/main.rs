//! What the fuzz targets check, on inputs that are generated here: good objects with pieces taken out, exchanged and spoilt,
//! and texts with bytes that do not belong there. `PROPTEST_CASES` says how many of each.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

mod properties;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Good objects of every kind that is fuzzed, one for each way of naming things.
fn seeds() -> Vec<Value> {
    let meta = json!({"name": "p", "namespace": "shop", "labels": {"app": "web"}});
    let object =
        |api: &str, kind: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec});
    vec![
        object(
            "projectcalico.org/v3",
            "NetworkPolicy",
            json!({
                "tier": "default", "order": 10.5, "selector": "app == 'web' && has(pcns.team)", "types": ["Ingress", "Egress"],
                "serviceAccountSelector": "role in {'a', 'b'}",
                "ingress": [
                    {"action": "Allow", "protocol": "TCP", "notProtocol": 17, "ipVersion": 4,
                     "source": {"selector": "!has(x)", "notSelector": "y == 'z'", "namespaceSelector": "all()",
                                "serviceAccounts": {"names": ["robot"], "selector": "pcsa.a == 'b'"}, "nets": ["10.0.0.0/8"], "notNets": ["10.1.0.1"]},
                     "destination": {"ports": [80, "90:95", "http"], "notPorts": ["1:2"]}, "http": {"methods": ["GET"], "paths": [{"prefix": "/"}]}},
                    {"action": "Deny", "protocol": "ICMP", "icmp": {"type": 8, "code": 0}},
                ],
                "egress": [{"action": "Pass", "destination": {"services": {"name": "db", "namespace": "shop"}}}, {"action": "Log"}],
            }),
        ),
        object("projectcalico.org/v3", "Tier", json!({"order": 5, "defaultAction": "Pass"})),
        object("projectcalico.org/v3", "GlobalNetworkSet", json!({"nets": ["198.51.100.0/24", "2001:db8::1"]})),
        object(
            "cilium.io/v2",
            "CiliumNetworkPolicy",
            json!({
                "endpointSelector": {"matchLabels": {"k8s:app": "web"}, "matchExpressions": [{"key": "any:a", "operator": "NotIn", "values": ["b"]}]},
                "enableDefaultDeny": {"ingress": true, "egress": false},
                "ingress": [
                    {"fromEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "shop", "reserved:world": ""}}],
                     "toPorts": [{"ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}, {"port": "http"}], "rules": {"http": [{"method": "GET", "path": "/"}]}}]},
                    {"fromEntities": ["world", "cluster"], "icmps": [{"fields": [{"family": "IPv4", "type": 8}]}], "authentication": {"mode": "required"}},
                ],
                "egress": [
                    {"toFQDNs": [{"matchPattern": "*.example.com"}]},
                    {"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidrGroupRef": "g"}, {"cidrGroupSelector": {}}]},
                    {"toServices": [{"k8sService": {"serviceName": "db", "namespace": "shop"}, "k8sServiceSelector": {"selector": {"matchLabels": {"a": "b"}}}}]},
                    {"toGroups": [{"aws": {}}]}, {"toNodes": [{"matchLabels": {"a": "b"}}]}, {},
                ],
                "ingressDeny": [{"fromCIDR": ["192.0.2.0/24"]}], "egressDeny": [{"toEntities": ["host"], "toPorts": [{"ports": [{"port": "0"}]}]}],
            }),
        ),
        json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": meta, "specs": [{"endpointSelector": {}, "ingress": [{}]}]}),
        object("cilium.io/v2", "CiliumCIDRGroup", json!({"externalCIDRs": ["192.0.2.0/24"]})),
        object(
            "policy.networking.k8s.io/v1alpha2",
            "ClusterNetworkPolicy",
            json!({
                "tier": "Admin", "priority": 10, "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}},
                "ingress": [{"name": "a", "action": "Accept", "from": [{"namespaces": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}],
                             "protocols": [{"tcp": {"destinationPort": {"range": {"start": 80, "end": 90}}}}, {"destinationNamedPort": "http"}]}],
                "egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}, {"domainNames": ["*.example.com"]}]}, {"action": "Pass", "to": [{"pods": {"podSelector": {}}}]}],
            }),
        ),
        object(
            "policy.networking.k8s.io/v1alpha1",
            "AdminNetworkPolicy",
            json!({
                "priority": 1, "subject": {"namespaces": {}},
                "ingress": [{"action": "Allow", "from": [{"namespaces": {}}], "ports": [{"portNumber": {"protocol": "TCP", "port": 80}}, {"portRange": {"start": 1, "end": 2}}, {"namedPort": "http"}]}],
            }),
        ),
        object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({
                "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": {}, "namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": "http", "protocol": "TCP"}, {"port": 80, "endPort": 90}]}],
            }),
        ),
    ]
}

/// What may stand in the place of anything.
fn odd() -> impl Strategy<Value = Value> {
    let texts = vec![
        "",
        "all()",
        "has(",
        "app = 'x'",
        "10.0.0.0/33",
        "::/0",
        "0",
        "65536",
        "90:80",
        "http",
        "Allow",
        "Deny",
        "ANY",
        "world",
        "default",
        "projectcalico.org/v9",
        "cilium.io/v1",
        "*",
        "\u{0}",
        "é\u{202e}",
        "io.kubernetes.pod.namespace",
        "global()",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        select(vec![-1_i64, 0, 80, 65_536, i64::MAX, i64::MIN]).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(texts).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[], {}, null])),
    ]
}

/// Where every value inside stands, as JSON pointers.
fn places(value: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), into)),
        Value::Object(fields) => fields.iter().for_each(|(key, v)| {
            places(v, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), into);
        }),
        _ => {}
    }
}

/// One change to an object.
#[derive(Clone, Debug)]
enum Spoil {
    /// Something odd takes the place of a value.
    Replace(Index, Value),
    /// A value of one place comes to another.
    Copy(Index, Index),
    /// A field or an item goes.
    Remove(Index),
    /// A field is called otherwise.
    Rename(Index, String),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), odd()).prop_map(|(at, value)| Spoil::Replace(at, value)),
        2 => (place(), place()).prop_map(|(from, to)| Spoil::Copy(from, to)),
        2 => place().prop_map(Spoil::Remove),
        1 => (place(), "[a-zA-Z/.~]{0,8}").prop_map(|(at, name)| Spoil::Rename(at, name)),
    ]
}

fn spoilt(mut value: Value, spoils: &[Spoil]) -> Value {
    for spoil in spoils {
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let parent = |at: &str| at.rsplit_once('/').map(|(parent, key)| (parent.to_owned(), key.to_owned()));
        match spoil {
            Spoil::Replace(at, new) => {
                *value.pointer_mut(at.get(all.as_slice()).as_str()).unwrap() = new.clone();
            }
            Spoil::Copy(from, to) => {
                let copy = value.pointer(from.get(all.as_slice()).as_str()).unwrap().clone();
                *value.pointer_mut(to.get(all.as_slice()).as_str()).unwrap() = copy;
            }
            Spoil::Remove(at) | Spoil::Rename(at, _) => {
                let Some((parent, key)) = parent(at.get(all.as_slice()).as_str()) else { continue };
                let key = key.replace("~1", "/").replace("~0", "~");
                match value.pointer_mut(&parent) {
                    Some(Value::Object(fields)) => {
                        let old = fields.remove(&key);
                        if let (Spoil::Rename(_, name), Some(old)) = (spoil, old) {
                            fields.insert(name.clone(), old);
                        }
                    }
                    Some(Value::Array(items)) => drop(key.parse::<usize>().map(|i| items.remove(i))),
                    _ => {}
                }
            }
        }
    }
    value
}

/// Good objects, spoilt; now and then as a text that ends too soon.
fn object() -> impl Strategy<Value = Value> {
    (select(seeds()), vec(spoil(), 0..6)).prop_map(|(value, spoils)| spoilt(value, &spoils))
}

fn json_text() -> impl Strategy<Value = Vec<u8>> {
    let whole = object().prop_map(|value| value.to_string().into_bytes());
    let cut = (object(), any::<Index>()).prop_map(|(value, end)| {
        let text = value.to_string().into_bytes();
        text[..end.index(text.len())].to_vec()
    });
    prop_oneof![8 => whole, 1 => cut, 1 => vec(any::<u8>(), 0..64)]
}

/// YAML: objects as they print, and texts made of what the language is made of.
fn yaml() -> impl Strategy<Value = String> {
    let pieces = vec![
        "apiVersion: v1",
        "kind: Pod",
        "metadata:",
        "  name: a",
        "spec: ",
        "- ",
        "---",
        "...",
        "&a ",
        "*a",
        "<<: *a",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "|",
        ">-",
        "'",
        "\"",
        "\t",
        "# x",
        "!!str ",
        "? ",
        "\n",
        "\n",
        "\n  ",
        "0x1F",
        "1e9",
        "~",
        "{{ .Values.x }}",
        "\u{feff}",
        "é",
    ];
    let made = vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat());
    let several =
        vec(object(), 0..3).prop_map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n"));
    prop_oneof![3 => made, 1 => several, 1 => any::<String>()]
}

fn review() -> impl Strategy<Value = Vec<u8>> {
    let envelope = |object: Value| {
        let (group, version) = object["apiVersion"].as_str().and_then(|v| v.split_once('/')).unwrap_or_default();
        let kind = json!({"group": group, "version": version, "kind": object["kind"]});
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u-1", "kind": kind, "operation": "CREATE", "name": "p", "namespace": "shop", "dryRun": false,
            "userInfo": {"username": "jane", "groups": ["a"], "extra": {"x": ["y"]}}, "object": object, "oldObject": null,
        }})
    };
    let spoilt = (object(), vec(spoil(), 0..3)).prop_map(move |(object, spoils)| spoilt(envelope(object), &spoils));
    let text = spoilt.prop_map(|value| value.to_string().into_bytes());
    prop_oneof![6 => text, 1 => json_text()]
}

fn selector() -> impl Strategy<Value = String> {
    let pieces = vec![
        "all()",
        "global()",
        "has(",
        "a",
        "pcsa.b",
        "pcns.c",
        ")",
        "(",
        "!",
        "&&",
        "||",
        "==",
        "!=",
        "in",
        "not in",
        "{",
        "}",
        "'x'",
        "\"y\"",
        ",",
        "contains",
        "starts with",
        "ends with",
        " ",
        "=",
        "é",
    ];
    prop_oneof![4 => vec(select(pieces), 0..16).prop_map(|all| all.join(" ")), 1 => any::<String>()]
}

fn block() -> impl Strategy<Value = String> {
    let v4 = (any::<[u16; 4]>(), any::<u8>()).prop_map(|(a, bits)| {
        let part = |n: u16| if n < 60_000 { n % 256 } else { n };
        format!("{}.{}.{}.{}/{}", part(a[0]), part(a[1]), part(a[2]), part(a[3]), bits % 40)
    });
    let v6 = (any::<u128>(), 0..140_u8).prop_map(|(a, bits)| format!("{}/{bits}", std::net::Ipv6Addr::from(a)));
    prop_oneof![3 => v4, 2 => v6, 1 => "[0-9a-f.:/]{0,20}", 1 => any::<String>()]
}

fn cases() -> ProptestConfig {
    let many = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { cases: many.unwrap_or(60), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn policies_of_calico_are_read_or_said_not_to_be(json in json_text()) {
        properties::calico_policy(&json);
    }

    #[test]
    fn policies_of_cilium_are_read_or_said_not_to_be(json in json_text()) {
        properties::cilium_policy(&json);
    }

    #[test]
    fn policies_of_administrators_are_read_or_said_not_to_be(json in json_text()) {
        properties::cluster_network_policy(&json);
    }

    #[test]
    fn every_review_has_an_answer(body in review()) {
        properties::admission_review(&body);
    }

    #[test]
    fn texts_are_manifests_or_errors(text in yaml()) {
        properties::manifests(&text);
    }

    #[test]
    fn selectors_are_read_or_refused_with_a_place(text in selector()) {
        properties::calico_selector(&text);
    }

    #[test]
    fn blocks_are_read_or_refused(text in block()) {
        properties::cidr(&text);
    }
}

proptest! {
    // Large objects in a build that is not optimised.
    #![proptest_config(ProptestConfig { cases: cases().cases / 8 + 1, ..cases() })]

    #[test]
    fn cost_is_in_proportion_to_size(json in json_text(), kind in any::<u8>(), growth in 0_u8..40) {
        let data = [&[kind, growth][..], &json].concat();
        if let Some(grown) = properties::grown(&data) {
            properties::cost(&grown);
        }
    }
}
