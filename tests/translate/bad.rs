//! Policies that an API server would refuse: each mistake is named with its field, and never opens anything.

use portcullis::model::{Object, Peer, PolicyObject, PortMatch, PortSet, Protocol, Selector};
use portcullis::translate::{Kind, from_json};
use serde_json::{Value, json};

use super::{DEFAULTS, policy, whole_policy};

/// The complaints, as `field: what`.
fn complaints(object: &PolicyObject) -> Vec<String> {
    object.unread.iter().map(|unread| format!("{}: {}", unread.at, unread.what)).collect()
}

/// A policy with one complaint, about this field and with these words.
fn complains(spec: &Value, at: &str, words: &str) -> PolicyObject {
    let object = policy(spec);
    let all = complaints(&object);
    assert_eq!(all.len(), 1, "{spec}: {all:?}");
    assert_eq!(object.unread[0].at.as_str(), at, "{spec}");
    assert!(object.unread[0].what.contains(words), "{spec}: {all:?}");
    object
}

#[test]
fn a_peer_that_cannot_be_read_is_nobody_and_leaves_the_others_alone() {
    // semantics 2.1.10, 2.1.13
    let bad_selector = |selector: Value| json!({"podSelector": selector});
    let expressions = |expression: Value| json!({"podSelector": {"matchExpressions": [expression]}});
    for (peer, at, words) in [
        (json!({}), "", "needs podSelector"),
        (Value::Null, "", "needs podSelector"),
        (json!("10.0.0.0/8"), "", "text where an object belongs"),
        (json!({"podSelectr": {}}), ".podSelectr", "no such field"),
        (json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}), "", "exclude each other"),
        (json!({"ipBlock": {}}), ".ipBlock.cidr", "needs a cidr"),
        (json!({"ipBlock": {"cidr": ""}}), ".ipBlock.cidr", "not a CIDR block"),
        (json!({"ipBlock": {"cidr": "10.0.0.0"}}), ".ipBlock.cidr", "no /prefix"),
        (json!({"ipBlock": {"cidr": 10}}), ".ipBlock.cidr", "a number where text belongs"),
        (json!({"ipBlock": {"cidr": ["10.0.0.0/8"]}}), ".ipBlock.cidr", "a list where text belongs"),
        (json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": "10.1.0.0/16"}}), ".ipBlock.except", "a list belongs"),
        (json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0"]}}), ".ipBlock.except[0]", "no /prefix"),
        (json!({"ipBlock": {"cidr": "10.0.0.0/8", "exept": []}}), ".ipBlock.exept", "no such field"),
        (bad_selector(json!([])), ".podSelector", "a list where an object"),
        (bad_selector(json!({"app": "web"})), ".podSelector.app", "no such field"),
        (bad_selector(json!({"matchLabels": {"a/b": 1}})), ".podSelector.matchLabels[\"a/b\"]", "a number where text"),
        (expressions(json!({"key": "a", "operator": "In"})), ".podSelector.matchExpressions[0].values", "one value"),
        (expressions(json!({"operator": "Exists"})), ".podSelector.matchExpressions[0].key", "needs a key"),
        (expressions(json!({"key": "a"})), ".podSelector.matchExpressions[0].operator", "needs an operator"),
        (
            expressions(json!({"key": "a", "operator": "Equals"})),
            ".podSelector.matchExpressions[0].operator",
            "`Equals`",
        ),
        (
            expressions(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            ".podSelector.matchExpressions[0].values",
            "take no values",
        ),
        (json!({"namespaceSelector": 1, "podSelector": {}}), ".namespaceSelector", "a number where an object"),
    ] {
        let spec = json!({"egress": [{"to": [{"podSelector": {}}, peer]}]});
        let object = complains(&spec, &format!("spec.egress[0].to[1]{at}"), words);
        let peers = &object.policies[0].egress[0].peers;
        assert!(matches!(&peers[..], [Peer::Pods(_), Peer::Nobody]), "{spec}: {peers:?}");
        assert!(object.unread[0].what.contains("nobody"), "the consequence is said: {:?}", object.unread);
    }
}

#[test]
fn a_port_that_cannot_be_read_is_no_port_and_leaves_the_others_alone() {
    // semantics 2.1.6, 2.1.7
    for (port, at, words) in [
        (json!({"port": 0}), ".port", "from 1 to 65535"),
        (json!({"port": 65536}), ".port", "from 1 to 65535"),
        (json!({"port": -1}), ".port", "from 1 to 65535"),
        (json!({"port": u64::MAX}), ".port", "from 1 to 65535"),
        (json!({"port": 80.5}), ".port", "whole number"),
        (json!({"port": true}), ".port", "true or false where a number or a name"),
        (json!({"port": "80"}), ".port", "without quotes"),
        (json!({"port": "Not_A_Name"}), ".port", "name of a port"),
        (json!({"port": ""}), ".port", "name of a port"),
        (json!({"port": "sixteen-letters-"}), ".port", "name of a port"),
        (json!({"endPort": 80}), ".endPort", "needs a port"),
        (json!({"port": "http", "endPort": 80}), ".endPort", "not a name"),
        (json!({"port": 90, "endPort": 80}), ".endPort", "endPort 80 is below port 90"),
        (json!({"port": 90, "endPort": 70000}), ".endPort", "from 1 to 65535"),
        (json!({"port": 90, "endPort": "100"}), ".endPort", "text where a number"),
        (json!({"protocol": "tcp"}), ".protocol", "`tcp` is no protocol"),
        (json!({"protocol": "ICMP"}), ".protocol", "TCP, UDP and SCTP"),
        (json!({"protocol": 6}), ".protocol", "a number where text"),
        (json!({"prot": "TCP"}), ".prot", "no such field"),
        (json!(80), "", "a number where an object"),
    ] {
        let spec = json!({"ingress": [{"ports": [port, {"port": 443}]}]});
        let object = complains(&spec, &format!("spec.ingress[0].ports[0]{at}"), words);
        let read = &object.policies[0].ingress[0].ports;
        assert_eq!(*read, PortMatch::numbers(PortSet::port(Protocol::Tcp, 443)), "{spec}");
        // Alone, it must not turn into "no condition".
        let alone = policy(&json!({"ingress": [{"ports": [port]}]}));
        assert_eq!(alone.policies[0].ingress[0].ports, PortMatch::numbers(PortSet::empty()), "{spec}");
    }
}

#[test]
fn a_rule_that_cannot_be_read_allows_nothing() {
    for (rule, at) in [
        (json!({"form": [{"podSelector": {}}]}), ".form"),
        (json!({"to": [{"podSelector": {}}]}), ".to"),
        (json!({"from": {"podSelector": {}}}), ".from"),
        (json!({"ports": {"port": 80}}), ".ports"),
        (json!([]), ""),
        (json!("allow"), ""),
    ] {
        let object = complains(&json!({"ingress": [rule, {}]}), &format!("spec.ingress[0]{at}"), "allowing nothing");
        let rules = &object.policies[0].ingress;
        assert_eq!(rules[0].peers, [Peer::Nobody]);
        assert_eq!(rules[0].ports, PortMatch::numbers(PortSet::empty()));
        assert_eq!(rules[0].peer_path(0).as_str(), "spec.ingress[0]");
        assert_eq!(rules[1].peers, [Peer::Any], "the next rule is read all the same");
    }
}

#[test]
fn what_might_hide_the_subject_selects_nothing() {
    for (spec, at) in [
        (json!({"podSelector": "app=web"}), "spec.podSelector"),
        (json!({"podSelector": {"matchLabels": ["app"]}}), "spec.podSelector.matchLabels"),
        (json!({"podSelector": {"app": "web"}}), "spec.podSelector.app"),
        (json!({"podSelctor": {"matchLabels": {"app": "web"}}}), "spec.podSelctor"),
        (json!({"policyTypes": "Ingress"}), "spec.policyTypes"),
        (json!({"policyTypes": [1]}), "spec.policyTypes[0]"),
        (json!({"ingress": {}}), "spec.ingress"),
        (json!({"egress": "none"}), "spec.egress"),
        (json!([]), "spec"),
        (json!("deny"), "spec"),
    ] {
        let object = complains(&spec, at, "");
        // It counts neither as a default deny nor as anything else.
        assert_eq!(object.policies[0].subject.pods, Selector::nothing(), "{spec}");
    }
    let misspelt = whole_policy(&json!({"metadata": {"name": "p"}, "sepc": {"podSelector": {}}}));
    assert_eq!(misspelt.policies[0].subject.pods, Selector::nothing());
    assert_eq!(complaints(&misspelt), ["sepc: there is no such field; ignored"]);
    // Beside a subject that is there, an unknown field is only named.
    let harmless = complains(&json!({"podSelector": {}, "order": 10}), "spec.order", "ignored");
    assert_eq!(harmless.policies[0].subject.pods, Selector::everything());
}

#[test]
fn sloppy_addresses_are_masked_and_excepts_taken_as_written() {
    // semantics 2.1.13
    let block =
        |cidr: &str, except: &[&str]| json!({"egress": [{"to": [{"ipBlock": {"cidr": cidr, "except": except}}]}]});
    let set = |object: &PolicyObject| object.policies[0].egress[0].peers[0].addresses().to_string();
    let (cidr_at, except_at) = ("spec.egress[0].to[0].ipBlock.cidr", "spec.egress[0].to[0].ipBlock.except[0]");
    assert_eq!(set(&complains(&block("10.1.2.3/8", &[]), cidr_at, "read as 10.0.0.0/8")), "10.0.0.0/8");
    assert_eq!(set(&complains(&block("010.0.0.0/8", &[]), cidr_at, "`010.0.0.0/8`")), "10.0.0.0/8");
    let outside = block("10.0.0.0/8", &["192.168.0.0/16"]);
    assert_eq!(set(&complains(&outside, except_at, "it excepts nothing")), "10.0.0.0/8");
    for everything in ["10.0.0.0/8", "0.0.0.0/0"] {
        let all = complains(&block("10.0.0.0/8", &[everything]), except_at, "takes away all of 10.0.0.0/8");
        assert_eq!(set(&all), "no address");
    }
}

#[test]
fn unknown_policy_types_govern_nothing() {
    let object = complains(&json!({"policyTypes": ["ingress"]}), "spec.policyTypes[0]", "`ingress` is no policy type");
    let policy = &object.policies[0];
    assert!(!policy.isolates_ingress && !policy.isolates_egress && !object.implicit_types);
}

#[test]
fn every_mistake_is_named_in_one_go() {
    let object = policy(&json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/99"}}, {}], "ports": [{"port": "80"}, {"port": true}]},
            {"to": [{"namespaceSelector": {"matchLabels": {"a": 1, "b": 2}}}]},
        ],
    }));
    let mut fields: Vec<&str> = object.unread.iter().map(|unread| unread.at.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "spec.egress[0].ports[0].port",
            "spec.egress[0].ports[1].port",
            "spec.egress[0].to[0].ipBlock.cidr",
            "spec.egress[0].to[1]",
            "spec.egress[1].to[0].namespaceSelector.matchLabels.a",
            "spec.egress[1].to[0].namespaceSelector.matchLabels.b",
        ]
    );
    assert_eq!(object.policies[0].subject.pods, Selector::equals("app", "web"));
}

#[test]
fn odd_metadata_and_versions_do_not_lose_the_policy() {
    let old = whole_policy(&json!({"apiVersion": "networking.k8s.io/v1beta1", "metadata": {"name": "p"}, "spec": {}}));
    assert!(complaints(&old)[0].starts_with("apiVersion: version `networking.k8s.io/v1beta1` is not known"));
    assert_eq!(&*old.id.api_version, "networking.k8s.io/v1");
    let labels = whole_policy(&json!({"metadata": {"name": "p", "labels": {"version": 1}}, "spec": {"ingress": [{}]}}));
    assert_eq!((&*labels.id.name, labels.policies[0].ingress.len(), labels.unread.len()), ("p", 1, 1));
    let name = whole_policy(&json!({"metadata": {"name": 7, "namespace": "ns"}, "spec": {}}));
    assert_eq!(complaints(&name), ["metadata.name: a number where text belongs; ignored"]);
    assert_eq!(name.id.namespace(), "ns");
}

#[test]
fn what_is_no_object_is_unreadable_and_says_where() {
    for json in [&b"[]"[..], b"\"x\"", b"{\"metadata\":", b"", b"\xff", b"null"] {
        let Object::Unreadable(id, unread) = from_json(Kind::NetworkPolicy, json, &DEFAULTS) else {
            panic!("{json:?}")
        };
        assert_eq!(id.to_string(), "NetworkPolicy shop/generated-1");
        assert!(unread[0].what.starts_with("not a NetworkPolicy as Kubernetes defines it:"), "{unread:?}");
    }
    let Object::Unreadable(_, unread) = from_json(Kind::Pod, b"{\n\"metadata\":", &DEFAULTS) else { panic!() };
    assert!(unread[0].what.contains("line 2 column 11"), "{unread:?}");
    // A megabyte of brackets is refused before the stack runs out.
    let deep = [b"{\"spec\":".as_slice(), "[".repeat(1 << 20).as_bytes()].concat();
    for kind in Kind::ALL {
        assert!(matches!(from_json(*kind, &deep, &DEFAULTS), Object::Unreadable(..)), "{kind:?}");
    }
}
