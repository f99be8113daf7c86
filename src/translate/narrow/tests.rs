//! What is taken out of a rule of each kind, and that everything else stays.

use super::*;
use crate::model::Object;
use crate::model::ipset::parse_cidr;

fn private() -> IpSet {
    let nets = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].map(|text| parse_cidr(text).unwrap().0);
    IpSet::from_nets(&nets)
}

/// Narrows one rule; what is shown is read again and must be the object that was judged.
fn narrowed(kind: Kind, spec: &Value, rule: &str, all: bool) -> Option<Value> {
    let value = json!({
        "apiVersion": kind.api_version(), "kind": kind.kind(),
        "metadata": {"name": "out", "uid": "1", "managedFields": [{}], "labels": {"team": "shop"}},
        "spec": spec, "status": {"conditions": []},
    });
    let original = Written { kind, value: &value, defaults: Defaults { namespace: "shop", name: "" } };
    let narrowing = Narrowing { rules: BTreeSet::from([FieldPath::new(rule)]), private: private(), all };
    let written = original.narrowed(&narrowing)?;
    let (documents, errors) = crate::source::manifests::read_str("again", &written.yaml);
    assert!(errors.is_empty() && documents.len() == 1, "{errors:?}\n{}", written.yaml);
    let mut again = documents[0].value.clone();
    assert_eq!(from_value(kind, &again, &Defaults::default()), written.object, "{}", written.yaml);
    let mut meta = json!({"name": "out", "labels": {"team": "shop"}});
    if kind.is_namespaced() {
        meta["namespace"] = "shop".into();
    }
    assert_eq!(again["metadata"], meta);
    assert_eq!(again.get("status"), None);
    Some(again["spec"].take())
}

fn calico(rule: &Value, all: bool) -> Option<Value> {
    let spec = json!({"types": ["Egress"], "egress": [rule, {"action": "Pass"}]});
    narrowed(Kind::CalicoNetworkPolicy, &spec, "spec.egress[0]", all).map(|mut spec| spec["egress"].take())
}

#[test]
fn what_is_not_an_address_of_a_rule_to_blame_stays() {
    let other = json!({"action": "Allow", "destination": {"nets": ["0.0.0.0/0"]}});
    let spec = json!({
        "tier": "security", "order": 7.5, "selector": "has(app)", "serviceAccountSelector": "team == 'shop'",
        "types": ["Ingress", "Egress"], "performanceHints": ["AssumeNeededOnEveryNode"],
        "ingress": [other.clone()],
        "egress": [
            other.clone(),
            {"action": "Allow", "protocol": "TCP", "metadata": {"annotations": {"a": "b"}}, "http": {"methods": ["GET"]},
             "source": {"ports": [1]}, "destination": {"nets": ["0.0.0.0/0"], "notPorts": [25]}},
            {"action": "Log"},
        ],
    });
    let mut expected = spec.clone();
    expected["egress"][1]["destination"]["notNets"] = json!(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
    assert_eq!(narrowed(Kind::CalicoNetworkPolicy, &spec, "spec.egress[1]", false), Some(expected));
}

#[test]
fn a_rule_of_calico_has_networks_of_one_family() {
    let all = json!({"action": "Allow", "destination": {"ports": [443]}, "protocol": "TCP"});
    let four =
        json!({"nets": ["0.0.0.0/0"], "notNets": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], "ports": [443]});
    let six = json!({"nets": ["::/0"], "notNets": ["fc00::/7"], "ports": [443]});
    let with = |mut rule: Value, entity: &Value| {
        rule["destination"] = entity.clone();
        rule
    };
    let pass = json!({"action": "Pass"});
    assert_eq!(calico(&all, false), Some(json!([with(all.clone(), &four), with(all.clone(), &six), pass])));
    // What the rule says besides may leave one family only.
    for (field, value, entity) in [
        ("ipVersion", json!(4), &four),
        ("ipVersion", json!(6), &six),
        ("source", json!({"notNets": ["10.9.0.0/16"]}), &four),
    ] {
        let mut rule = all.clone();
        rule[field] = value;
        assert_eq!(calico(&rule, false), Some(json!([with(rule.clone(), entity), pass])), "{field}");
    }
}

#[test]
fn blocks_there_on_purpose_stay_unless_all_are_to_go() {
    let rule =
        json!({"action": "Allow", "destination": {"nets": ["0.0.0.0/1", "10.1.2.0/24"], "notNets": ["10.1.2.7"]}});
    let wide = json!({"action": "Allow", "destination": {"nets": ["0.0.0.0/1"], "notNets": ["10.0.0.0/8"]}});
    let inside = json!({"action": "Allow", "destination": {"nets": ["10.1.2.0/24"], "notNets": ["10.1.2.7/32"]}});
    let pass = json!({"action": "Pass"});
    assert_eq!(calico(&rule, false), Some(json!([wide, inside, pass])));
    assert_eq!(calico(&rule, true), Some(json!([wide, pass])));
    // A rule that there is nothing to take from is left as it is written, plain addresses and all.
    let fine = json!({"action": "Allow", "destination": {"nets": ["203.0.113.7", "10.1.2.0/24"]}});
    assert_eq!(calico(&fine, false), Some(json!([fine, pass])));
    // What a selector names is pods, and their addresses may be private.
    let pods = json!({"action": "Allow", "destination": {"selector": "role == 'partners'", "nets": ["0.0.0.0/0"]}});
    assert_eq!(calico(&pods, true), Some(json!([pods, pass])));
}

#[test]
fn a_direction_is_never_emptied() {
    let spec = json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]});
    assert_eq!(narrowed(Kind::NetworkPolicy, &spec, "spec.egress[0]", true), None);
    assert_eq!(narrowed(Kind::NetworkPolicy, &spec, "spec.egress[0]", false), Some(spec));
    assert_eq!(narrowed(Kind::NetworkPolicy, &json!({"podSelector": {}}), "spec.egress[0]", false), None);
}

#[test]
fn networks_without_except_are_listed_while_there_is_room() {
    let left = |networks: &[&str]| -> Option<usize> {
        let spec = json!({
            "tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
            "egress": [{"action": "Accept", "to": [{"networks": networks}]}],
        });
        let spec = narrowed(Kind::ClusterNetworkPolicy, &spec, "spec.egress[0]", false)?;
        let list = spec["egress"][0]["to"][0]["networks"].as_array()?;
        let set =
            |texts: Vec<&str>| IpSet::from_nets(&texts.iter().map(|t| parse_cidr(t).unwrap().0).collect::<Vec<_>>());
        assert_eq!(
            set(list.iter().filter_map(Value::as_str).collect()),
            set(networks.to_vec()).difference(&private()),
            "{networks:?}"
        );
        Some(list.len())
    };
    assert_eq!(left(&["0.0.0.0/1"]), Some(7));
    assert_eq!(left(&["128.0.0.0/1"]), Some(24));
    assert_eq!(left(&["::/0"]), Some(7));
    // 31 are more than a peer has room for.
    assert_eq!(left(&["0.0.0.0/0"]), None);
    assert_eq!(left(&["0.0.0.0/1", "128.0.0.0/1"]), None);
}

#[test]
fn entities_of_cilium_become_blocks_beside_what_else_is_named() {
    let spec = |rules: &Value| json!({"endpointSelector": {}, "egress": rules});
    let ports = json!([{"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": ["example.com"]}]);
    let four = json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]});
    let six = json!({"cidr": "::/0", "except": ["fc00::/7"]});
    for (rule, expected) in [
        (
            json!({"toEntities": ["cluster", "world"], "toPorts": ports}),
            json!([{"toEntities": ["cluster"], "toPorts": ports}, {"toCIDRSet": [four, six], "toPorts": ports}]),
        ),
        (json!({"toPorts": ports}), json!([{"toPorts": ports, "toCIDRSet": [four, six]}])),
        (json!({"toEntities": ["world-ipv6", "all"]}), json!([{"toCIDRSet": [four, six]}])),
        (json!({"toCIDR": ["198.51.100.7", "0.0.0.0/0"]}), json!([{"toCIDRSet": [{"cidr": "198.51.100.7/32"}, four]}])),
        (json!({"toCIDR": ["198.51.100.7"]}), json!([{"toCIDR": ["198.51.100.7"]}])),
        (
            json!({"toCIDRSet": [{"cidrGroupRef": "partners"}, {"cidr": "10.1.0.0/16"}]}),
            json!([{"toCIDRSet": [{"cidrGroupRef": "partners"}, {"cidr": "10.1.0.0/16"}]}]),
        ),
    ] {
        let found = narrowed(Kind::CiliumNetworkPolicy, &spec(&json!([rule])), "spec.egress[0]", false);
        assert_eq!(found, Some(spec(&expected)), "{rule}");
    }
}

#[test]
fn a_thousand_blocks_are_narrowed_each_by_itself() {
    let mut peers: Vec<Value> =
        (0..1000).map(|i| json!({"ipBlock": {"cidr": format!("11.{}.{}.0/24", i / 250, i % 250)}})).collect();
    peers.push(json!({"ipBlock": {"cidr": "0.0.0.0/0"}}));
    let spec = json!({"podSelector": {}, "egress": [{"to": peers}]});
    let spec = narrowed(Kind::NetworkPolicy, &spec, "spec.egress[0]", false).unwrap();
    let peers = spec["egress"][0]["to"].as_array().unwrap();
    assert_eq!((peers.len(), &peers[7]), (1001, &json!({"ipBlock": {"cidr": "11.0.7.0/24"}})));
    assert_eq!(peers[1000]["ipBlock"]["except"], json!(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]));
}

#[test]
fn what_has_no_name_or_is_no_policy_is_not_written() {
    let generated = json!({"metadata": {"generateName": "out-"}, "spec": {"podSelector": {}, "egress": [{}]}});
    let narrowing =
        Narrowing { rules: BTreeSet::from([FieldPath::new("spec.egress[0]")]), private: private(), all: false };
    let original =
        |kind, value| Written { kind, value, defaults: Defaults::default() }.narrowed(&narrowing).map(|w| w.object);
    assert_eq!(original(Kind::NetworkPolicy, &generated), None);
    let named = json!({"metadata": {"name": "out"}, "spec": {"podSelector": {}, "egress": [{}]}});
    assert!(matches!(original(Kind::NetworkPolicy, &named), Some(Object::Policy(_))));
    assert_eq!(original(Kind::Deployment, &named), None);
    assert_eq!(original(Kind::NetworkPolicy, &Value::Null), None);
}
