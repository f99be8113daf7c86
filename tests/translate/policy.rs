//! NetworkPolicy, as the API defines it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use portcullis::model::ipset::parse_cidr;
use portcullis::model::peer::AddressPeer;
use portcullis::model::{
    Action, AddressScope, IpSet, Labels, NamespaceScope, Peer, PodPeer, Policy, PortMatch, PortSet, Protocol, Rule,
    Selector, TierSemantics,
};
use portcullis::translate::selector::label_selector;
use serde_json::{Value, json};

/// The policy, which must be read without a complaint.
fn read(spec: &Value) -> Arc<Policy> {
    let object = super::policy(spec);
    assert_eq!(object.unread, [], "{spec}");
    Arc::clone(&object.policies[0])
}

fn ingress_rule(rule: &Value) -> Rule {
    read(&json!({"ingress": [rule]})).ingress[0].clone()
}

fn ports(ports: &Value) -> PortMatch {
    ingress_rule(&json!({"ports": ports})).ports
}

fn set(cidrs: &[&str]) -> IpSet {
    let nets: Vec<_> = cidrs.iter().map(|c| parse_cidr(c).unwrap().0).collect();
    IpSet::from_nets(&nets)
}

#[test]
fn policy_types_absent_mean_ingress_and_egress_if_there_is_a_rule() {
    // semantics 2.1.2
    for (spec, ingress, egress, implicit) in [
        (json!({}), true, false, true),
        (json!({"ingress": [{}]}), true, false, true),
        (json!({"egress": []}), true, false, true),
        (json!({"egress": null}), true, false, true),
        (json!({"egress": [{}]}), true, true, true),
        (json!({"policyTypes": null, "egress": [{}]}), true, true, true),
        (json!({"policyTypes": [], "egress": [{}]}), true, true, true),
        (json!({"policyTypes": ["Egress"]}), false, true, false),
        (json!({"policyTypes": ["Ingress"], "egress": [{}]}), true, false, false),
        (json!({"policyTypes": ["Ingress", "Egress"]}), true, true, false),
    ] {
        let object = super::policy(&spec);
        let policy = &object.policies[0];
        assert_eq!(
            (policy.isolates_ingress, policy.isolates_egress, object.implicit_types),
            (ingress, egress, implicit),
            "{spec}"
        );
    }
}

#[test]
fn rules_of_a_direction_that_is_not_governed_are_left_out() {
    // semantics 2.1.1, 2.1.2
    let policy = read(&json!({"policyTypes": ["Egress"], "ingress": [{}], "egress": [{}]}));
    assert!(policy.ingress.is_empty());
    assert_eq!(policy.egress.len(), 1);
}

#[test]
fn no_rule_denies_and_an_empty_rule_allows_everything() {
    // semantics 2.1.3
    for ingress in [json!([]), Value::Null] {
        let policy = read(&json!({"ingress": ingress}));
        assert!(policy.isolates_ingress && policy.ingress.is_empty());
    }
    let rule = ingress_rule(&json!({}));
    assert_eq!(rule.peers, [Peer::Any]);
    assert!(rule.ports.is_any());
    assert_eq!(rule.action, Action::Allow);
    // The decoder of the API server takes a null item as an empty one, and so does a lone dash in YAML.
    assert_eq!(read(&json!({"ingress": [null]})).ingress[0].peers, [Peer::Any]);
}

#[test]
fn an_absent_subject_is_every_pod_of_the_namespace() {
    // semantics 2.1.4
    let empty = [json!({}), json!({"podSelector": null}), json!({"podSelector": {}})];
    let lists = [json!({"podSelector": {"matchLabels": null}}), json!({"podSelector": {"matchExpressions": []}})];
    for spec in empty.into_iter().chain(lists) {
        let policy = read(&spec);
        assert_eq!(policy.subject.pods, Selector::everything(), "{spec}");
        assert_eq!(policy.subject.namespaces, NamespaceScope::Named("shop".into()));
        assert_eq!(policy.tier.semantics, TierSemantics::Union);
    }
}

#[test]
fn an_absent_spec_is_a_default_deny_for_ingress() {
    // semantics 2.1.4
    for object in [json!({"metadata": {"name": "p"}}), json!({"metadata": {"name": "p"}, "spec": null}), json!({})] {
        let object = super::whole_policy(&object);
        let policy = &object.policies[0];
        assert_eq!(object.unread, []);
        assert!(policy.isolates_ingress && !policy.isolates_egress && policy.ingress.is_empty());
        assert!(policy.subject.pods.matches_everything() && object.implicit_types);
    }
}

#[test]
fn empty_peers_are_everyone_and_empty_ports_every_port() {
    // semantics 2.1.5
    for rule in [json!({"from": [], "ports": []}), json!({"from": null, "ports": null}), json!({})] {
        let rule = ingress_rule(&rule);
        assert_eq!(rule.peers, [Peer::Any]);
        assert_eq!(rule.peers_at, "");
        assert_eq!(rule.peer_path(0).as_str(), "spec.ingress[0]");
        assert_eq!(rule.ports, PortMatch::any());
    }
}

#[test]
fn ports_default_to_tcp_and_to_all_of_one_protocol() {
    // semantics 2.1.6, 2.1.7, 2.1.21
    use Protocol::{Sctp, Tcp, Udp};
    for (list, expected) in [
        (json!([{"port": 80}]), PortSet::port(Tcp, 80)),
        (json!([{"port": 80, "protocol": null}]), PortSet::port(Tcp, 80)),
        (json!([{"protocol": "UDP"}]), PortSet::protocol(Udp)),
        (json!([{}]), PortSet::protocol(Tcp)),
        (json!([null]), PortSet::protocol(Tcp)),
        (json!([{"port": 80, "endPort": 90}]), PortSet::range(Tcp, 80, 90)),
        (json!([{"port": 80, "endPort": 80, "protocol": "SCTP"}]), PortSet::port(Sctp, 80)),
        (json!([{"port": 1, "endPort": 65535}]), PortSet::range(Tcp, 1, 65535)),
        (json!([{"port": 53, "protocol": "UDP"}, {"port": 53}]), PortSet::port(Udp, 53).union(&PortSet::port(Tcp, 53))),
    ] {
        assert_eq!(ports(&list), PortMatch::numbers(expected), "{list}");
    }
}

#[test]
fn named_ports_keep_their_protocol() {
    // semantics 2.1.8
    let read = ports(&json!([{"port": "http"}, {"port": "dns", "protocol": "UDP"}, {"port": "http"}, {"port": 80}]));
    assert_eq!(read.names, [(Some(Protocol::Tcp), "http".into()), (Some(Protocol::Udp), "dns".into())]);
    assert_eq!(read.numbers, PortSet::port(Protocol::Tcp, 80));
}

#[test]
fn selectors_of_one_peer_are_anded_and_peers_are_ored() {
    // semantics 2.1.10
    let app = json!({"matchLabels": {"app": "web"}});
    let edge = json!({"matchLabels": {"kubernetes.io/metadata.name": "edge"}});
    let rule = ingress_rule(&json!({"from": [
        {"podSelector": app},
        {"namespaceSelector": edge},
        {"namespaceSelector": edge, "podSelector": app},
        {"namespaceSelector": {}},
        {"podSelector": {}, "namespaceSelector": null},
    ]}));
    let web = Selector::equals("app", "web");
    let there = NamespaceScope::Matching(Selector::equals("kubernetes.io/metadata.name", "edge"));
    let own = NamespaceScope::Named("shop".into());
    let everything = Selector::everything();
    let expected = [
        (own.clone(), web.clone()),
        (there.clone(), everything.clone()),
        (there, web),
        (NamespaceScope::all(), everything.clone()),
        (own, everything),
    ];
    assert_eq!(rule.peers, expected.map(|(namespaces, pods)| Peer::Pods(PodPeer { namespaces, pods })));
    assert_eq!(rule.peers_at, "from");
    assert_eq!(rule.peer_path(2).as_str(), "spec.ingress[0].from[2]");
}

#[test]
fn all_operators_are_read_and_anded() {
    // semantics 2.1.11
    let policy = read(&json!({"podSelector": {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["y", "x"]},
            {"key": "env", "operator": "NotIn", "values": ["prod"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist", "values": []},
        ],
    }}));
    assert_eq!(policy.subject.pods.to_string(), "a=1,b=2,tier in (x,y),env!=prod,c,!d");
    let labels = Labels::new([("a", "1"), ("b", "2"), ("tier", "x"), ("c", "")]);
    assert!(policy.subject.pods.matches(&labels));
    assert!(!policy.subject.pods.matches(&labels.with("env", "prod")));
    assert!(!policy.subject.pods.matches(&labels.with("a", "0")));
    // A null value is the empty text.
    assert_eq!(read(&json!({"podSelector": {"matchLabels": {"a": null}}})).subject.pods, Selector::equals("a", ""));
}

#[test]
fn blocks_leave_out_their_excepts_and_the_cni_decides_about_pods() {
    // semantics 2.1.13, 2.1.14, 2.1.15, 2.1.22
    let rule = ingress_rule(&json!({"from": [
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        {"ipBlock": {"cidr": "10.1.2.0/24", "except": []}},
        {"ipBlock": {"cidr": "::/0", "except": null}},
    ]}));
    let blocks: Vec<&AddressPeer> =
        rule.peers.iter().map(|p| if let Peer::Addresses(a) = p { a } else { panic!("{p:?}") }).collect();
    assert!(blocks.iter().all(|block| block.scope == AddressScope::ByDialect));
    assert_eq!(blocks[0].set, set(&["10.0.0.0/8"]).difference(&set(&["10.1.0.0/16"])));
    assert_eq!(blocks[0].blocks[0].1.len(), 1);
    // The except of the first limits only the first.
    assert_eq!(blocks[1].set, set(&["10.1.2.0/24"]));
    assert_eq!(blocks[2].set, set(&["::/0"]));
    assert!(blocks[2].set.v4().is_empty());
}

#[test]
fn rules_say_where_they_are_written() {
    let policy = read(&json!({"egress": [{}, {"to": [{"podSelector": {}}]}], "ingress": [{}]}));
    let places: Vec<&str> = policy.egress.iter().chain(&policy.ingress).map(|rule| rule.at.as_str()).collect();
    assert_eq!(places, ["spec.egress[0]", "spec.egress[1]", "spec.ingress[0]"]);
    assert_eq!(policy.egress[1].peer_path(0).as_str(), "spec.egress[1].to[0]");
}

#[test]
fn own_name_and_namespace_come_before_those_of_the_surroundings() {
    let own = super::whole_policy(&json!({"metadata": {"name": "a", "namespace": "b"}}));
    assert_eq!((&*own.id.name, own.id.namespace()), ("a", "b"));
    assert_eq!(own.policies[0].subject.namespaces, NamespaceScope::Named("b".into()));
    let generated = super::whole_policy(&json!({"metadata": {"generateName": "a-", "namespace": ""}}));
    assert_eq!((&*generated.id.name, generated.id.namespace()), ("generated-1", "shop"));
    assert_eq!(generated.id.to_string(), "NetworkPolicy shop/generated-1");
}

#[test]
fn selectors_of_typed_objects_are_read_the_same_way() {
    // semantics 2.1.11
    let typed = |json: Value| serde_json::from_value::<LabelSelector>(json).unwrap();
    let good =
        typed(json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}));
    let (selector, unread) = label_selector(&good, "spec.namespaceSelector");
    assert_eq!((selector.to_string().as_str(), unread.len()), ("a=1,!b", 0));
    assert_eq!(label_selector(&LabelSelector::default(), "spec.x"), (Selector::everything(), Vec::new()));
    let bad = typed(json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "in"}]}));
    let (selector, unread) = label_selector(&bad, "spec.namespaceSelector");
    assert_eq!(selector, Selector::nothing());
    assert_eq!(unread[0].at.as_str(), "spec.namespaceSelector.matchExpressions[0].operator");
}
