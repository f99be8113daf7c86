//! How ClusterNetworkPolicy and the two kinds before it are read, and what becomes of what cannot be (semantics 2.2).

use portcullis::model::policy::{Priority, Tier};
use portcullis::model::{
    Action, AddressScope, NamespaceScope, Object, Peer, PolicyObject, PortSet, Protocol, Rule, Selector,
};
use portcullis::translate::{Kind, from_json, from_value};
use serde_json::{Value, json};

use crate::DEFAULTS;

fn read(kind: Kind, spec: &Value) -> PolicyObject {
    let name = if kind == Kind::BaselineAdminNetworkPolicy { "default" } else { "p" };
    let object = json!({
        "apiVersion": kind.api_version(), "kind": kind.kind(), "metadata": {"name": name}, "spec": spec
    });
    match from_value(kind, &object, &DEFAULTS) {
        Object::Policy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

/// A ClusterNetworkPolicy of the tier Admin with one egress rule.
fn cnp(rule: &Value) -> PolicyObject {
    let subject = json!({"namespaces": {}});
    read(Kind::ClusterNetworkPolicy, &json!({"tier": "Admin", "priority": 5, "subject": subject, "egress": [rule]}))
}

fn anp(rule: &Value) -> PolicyObject {
    read(Kind::AdminNetworkPolicy, &json!({"priority": 5, "subject": {"namespaces": {}}, "egress": [rule]}))
}

fn rule(object: &PolicyObject) -> &Rule {
    &object.policies[0].egress[0]
}

fn clean(object: PolicyObject) -> PolicyObject {
    assert_eq!(object.unread, [], "{:?}", object.policies);
    object
}

/// That something is complained about at this place, in these words.
fn complains(object: &PolicyObject, at: &str, words: &str) {
    let found = object.unread.iter().any(|u| u.at.as_str() == at && u.what.contains(words));
    assert!(found, "nothing at {at} says {words:?}: {:?}", object.unread);
}

/// That the rule fails closed: an accept matches nothing, a deny or a pass denies everyone (semantics 2.2.9).
fn fails_closed(with_action: impl Fn(&str) -> PolicyObject, at: &str, words: &str) {
    let accepting = with_action("Accept");
    complains(&accepting, at, words);
    let accept = rule(&accepting);
    assert_eq!((accept.action, accept.peers.as_slice()), (Action::Allow, &[Peer::Nobody][..]));
    for action in ["Deny", "Pass"] {
        let closed = with_action(action);
        let closed = rule(&closed);
        assert_eq!((closed.action, closed.peers.as_slice()), (Action::Deny, &[Peer::Any][..]), "{action}");
        assert!(closed.ports.is_any());
    }
}

#[test]
fn tiers_and_priorities_are_where_they_say() {
    // semantics 2.2.6
    for (tier, expected) in [("Admin", Tier::admin()), ("Baseline", Tier::baseline())] {
        let spec = json!({"tier": tier, "priority": 1000, "subject": {"namespaces": {}}});
        let object = clean(read(Kind::ClusterNetworkPolicy, &spec));
        let policy = &object.policies[0];
        assert_eq!((&policy.tier, policy.priority), (&expected, Priority::new(1000.0)));
        assert!(policy.subject.pods.is_everything());
        // semantics 2.2.1: they isolate nobody.
        assert!(!policy.isolates_ingress && !policy.isolates_egress);
    }
    let anp = clean(read(Kind::AdminNetworkPolicy, &json!({"priority": 0, "subject": {"namespaces": {}}})));
    assert_eq!(anp.policies[0].tier, Tier::admin());
    let banp = clean(read(Kind::BaselineAdminNetworkPolicy, &json!({"subject": {"namespaces": {}}})));
    assert_eq!(banp.policies[0].tier, Tier::baseline());
    assert_eq!(banp.id.to_string(), "BaselineAdminNetworkPolicy default");
}

#[test]
fn what_no_api_server_takes_selects_nobody() {
    // semantics 2.2.6
    let with = |field: &str, value: Value| {
        let mut spec = json!({"tier": "Admin", "priority": 5, "subject": {"namespaces": {}}});
        spec[field] = value;
        read(Kind::ClusterNetworkPolicy, &spec)
    };
    for (field, value, at, words) in [
        ("priority", json!(1001), "spec.priority", "from 0 (first) to 1000"),
        ("priority", json!(-1), "spec.priority", "from 0 (first) to 1000"),
        ("priority", json!(1.5), "spec.priority", "whole number"),
        ("priority", json!("5"), "spec.priority", "text where a number belongs"),
        ("priority", Value::Null, "spec.priority", "a priority is needed"),
        ("tier", json!("Middle"), "spec.tier", "`Middle` is no tier"),
        ("tier", Value::Null, "spec.tier", "of the tier Admin or Baseline"),
        ("subject", Value::Null, "spec.subject", "a subject is needed"),
        ("subject", json!({}), "spec.subject", "needs namespaces or pods"),
        ("subject", json!({"namespaces": {}, "pods": {"podSelector": {}}}), "spec.subject", "exclude each other"),
        ("subject", json!({"pods": {}}), "spec.subject.pods", "need a podSelector"),
        ("subject", json!({"nodes": {}}), "spec.subject.nodes", "no such field"),
        ("egress", json!({}), "spec.egress", "a list belongs"),
    ] {
        let object = with(field, value);
        complains(&object, at, words);
        assert_eq!(object.policies[0].subject.pods, Selector::nothing(), "{at}");
    }
    let stray = with("policyTypes", json!([]));
    complains(&stray, "spec.policyTypes", "no such field");
    // semantics 2.2.3: the baseline of the old API is one object.
    let object = json!({"metadata": {"name": "other"}, "spec": {"subject": {"namespaces": {}}}});
    let Object::Policy(banp) = from_value(Kind::BaselineAdminNetworkPolicy, &object, &DEFAULTS) else { panic!() };
    complains(&banp, "metadata.name", "called default");
    assert_eq!(banp.policies[0].subject.pods, Selector::nothing());
    let version = json!({"apiVersion": "policy.networking.k8s.io/v1", "metadata": {"name": "p"}, "spec": {}});
    let Object::Policy(newer) = from_value(Kind::ClusterNetworkPolicy, &version, &DEFAULTS) else { panic!() };
    complains(&newer, "apiVersion", "is read as policy.networking.k8s.io/v1alpha2");
    assert!(matches!(from_json(Kind::AdminNetworkPolicy, b"[]", &DEFAULTS), Object::Unreadable(..)));
}

#[test]
fn actions_are_spelt_differently_in_the_two_versions() {
    // semantics 2.2.6
    let to = json!([{"namespaces": {}}]);
    for (action, expected) in [("Accept", Action::Allow), ("Deny", Action::Deny), ("Pass", Action::Pass)] {
        assert_eq!(rule(&clean(cnp(&json!({"action": action, "to": to})))).action, expected);
    }
    assert_eq!(rule(&clean(anp(&json!({"action": "Allow", "to": to})))).action, Action::Allow);
    let banp = |action: &str| {
        let egress = json!([{"action": action, "to": to}]);
        read(Kind::BaselineAdminNetworkPolicy, &json!({"subject": {"namespaces": {}}, "egress": egress}))
    };
    assert_eq!(rule(&clean(banp("Deny"))).action, Action::Deny);
    // semantics 2.2.3: no Pass in the baseline of the old API.
    complains(&banp("Pass"), "spec.egress[0].action", "there are Allow and Deny");
    // An action that nobody knows may be anything: it may deny, and is no default deny.
    for (object, words) in [
        (cnp(&json!({"action": "Allow", "to": to})), "`Allow` is no action; there are Accept, Deny and Pass"),
        (cnp(&json!({"to": to})), "`` is no action"),
        (anp(&json!({"action": "Accept", "to": to})), "there are Allow, Deny and Pass"),
        (cnp(&json!({"action": 1, "to": to})), "a number where text belongs"),
    ] {
        complains(&object, "spec.egress[0].action", words);
        assert_eq!((rule(&object).action, rule(&object).peers.as_slice()), (Action::Deny, &[Peer::Unreadable][..]));
    }
}

#[test]
fn each_kind_of_peer_is_read() {
    // semantics 2.2.7
    let one = |peer: Value| rule(&clean(cnp(&json!({"action": "Accept", "to": [peer]})))).peers[0].clone();
    let Peer::Pods(namespaces) = one(json!({"namespaces": {"matchLabels": {"team": "a"}}})) else { panic!() };
    assert_eq!(namespaces.namespaces, NamespaceScope::Matching(Selector::equals("team", "a")));
    assert!(namespaces.pods.is_everything());
    let Peer::Pods(anywhere) = one(json!({"pods": {"podSelector": {"matchLabels": {"app": "a"}}}})) else { panic!() };
    assert_eq!(anywhere.namespaces, NamespaceScope::all(), "no namespaceSelector is every namespace");
    let both =
        json!({"pods": {"namespaceSelector": {"matchLabels": {"n": "1"}}, "podSelector": {"matchLabels": {"p": "1"}}}});
    let Peer::Pods(both) = one(both) else { panic!() };
    assert_eq!(
        (both.namespaces, both.pods),
        (NamespaceScope::Matching(Selector::equals("n", "1")), Selector::equals("p", "1"))
    );
    let Peer::Addresses(networks) = one(json!({"networks": ["10.0.0.0/8", "fd00::/8"]})) else { panic!() };
    // semantics 2.2.8
    assert_eq!((networks.set.to_string().as_str(), networks.scope), ("10.0.0.0/8, fd00::/8", AddressScope::PodsToo));
    assert_eq!(one(json!({"nodes": {"matchLabels": {"a": "b"}}})), Peer::Nodes(Selector::equals("a", "b")));
    // semantics 2.2.12
    assert_eq!(
        one(json!({"domainNames": ["*.Example.org.", "kubernetes.io"]})),
        Peer::Domains(vec!["*.example.org".into(), "kubernetes.io".into()])
    );
    // The old API wants both selectors.
    let old = anp(&json!({"action": "Allow", "to": [{"pods": {"podSelector": {}}}]}));
    complains(&old, "spec.egress[0].to[0].pods", "need a namespaceSelector");
    assert_eq!(rule(&old).peers, [Peer::Nobody]);
}

#[test]
fn peers_that_cannot_be_read_fail_closed() {
    // semantics 2.2.7, 2.2.9, 2.2.12
    let at = "spec.egress[0].to[1]";
    for (peer, field, words) in [
        (json!({}), "", "a peer needs one of namespaces, pods, networks"),
        (json!({"services": {}}), ".services", "no such field"),
        (json!({"namespaces": {}, "networks": ["10.0.0.0/8"]}), "", "namespaces and networks exclude each other"),
        (json!({"pods": {}}), ".pods", "need a podSelector"),
        (json!({"networks": []}), ".networks", "an empty list names nobody"),
        (json!({"networks": ["10.0.0.0"]}), ".networks[0]", "is not a CIDR block"),
        (json!({"networks": "10.0.0.0/8"}), ".networks", "text where a list belongs"),
        (json!({"domainNames": ["kubernetes"]}), ".domainNames[0]", "is no domain name"),
        (json!({"domainNames": ["a.*.org"]}), ".domainNames[0]", "is no domain name"),
        (
            json!({"nodes": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}),
            ".nodes.matchExpressions[0].operator",
            "`Gt` is no operator",
        ),
        (json!(7), "", "a number where an object belongs"),
    ] {
        let with = |action: &str| cnp(&json!({"action": action, "to": [{"namespaces": {}}, peer]}));
        fails_closed(with, &format!("{at}{field}"), words);
    }
    for to in [json!([]), Value::Null] {
        fails_closed(|action| cnp(&json!({"action": action, "to": to})), "spec.egress[0].to", "at least one peer");
    }
    // semantics 2.2.12: names are only for rules that accept.
    let denies = cnp(&json!({"action": "Deny", "to": [{"domainNames": ["example.org"]}]}));
    complains(&denies, "spec.egress[0].to[0].domainNames", "for rules with the action Accept");
    assert_eq!(rule(&denies).peers, [Peer::Any]);
    // semantics 2.2.7: nobody comes in by address.
    let spec = json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}},
        "ingress": [{"action": "Accept", "from": [{"networks": ["10.0.0.0/8"]}]}]});
    let ingress = read(Kind::ClusterNetworkPolicy, &spec);
    complains(&ingress, "spec.ingress[0].from[0].networks", "no such field");
    assert_eq!(ingress.policies[0].ingress[0].peers, [Peer::Nobody]);
    // A field that nobody knows may be a condition.
    let stray = cnp(&json!({"action": "Accept", "to": [{"namespaces": {}}], "ports": []}));
    complains(&stray, "spec.egress[0].ports", "no such field");
    assert_eq!(rule(&stray).peers, [Peer::Unreadable]);
}

#[test]
fn tenancy_is_gone_and_is_said_to_be() {
    // semantics 2.2.13
    for (peer, at) in [
        (json!({"namespaces": {"sameLabels": ["team"]}}), "namespaces.sameLabels"),
        (json!({"namespaces": {"notSameLabels": ["team"]}}), "namespaces.notSameLabels"),
        (json!({"pods": {"sameLabels": ["team"], "podSelector": {}}}), "pods.sameLabels"),
        (json!({"pods": {"namespaces": {"sameLabels": ["team"]}, "podSelector": {}}}), "pods.namespaces"),
    ] {
        let object = anp(&json!({"action": "Deny", "to": [peer]}));
        complains(&object, &format!("spec.egress[0].to[0].{at}"), "removed from the API in v0.1.7");
        assert_eq!((rule(&object).action, rule(&object).peers.as_slice()), (Action::Deny, &[Peer::Any][..]));
    }
}

#[test]
fn ports_of_the_new_api() {
    // semantics 2.2.10
    let ports = |protocols: Value| {
        let rule_of = json!({"action": "Accept", "to": [{"namespaces": {}}], "protocols": protocols});
        rule(&clean(cnp(&rule_of))).ports.clone()
    };
    let tcp = |value: Value| json!({"tcp": {"destinationPort": value}});
    assert!(ports(Value::Null).is_any(), "absent is every protocol");
    assert_eq!(ports(json!([tcp(json!({"number": 80}))])).numbers, PortSet::port(Protocol::Tcp, 80));
    let range = json!({"sctp": {"destinationPort": {"range": {"start": 5, "end": 7}}}});
    assert_eq!(ports(json!([range])).numbers, PortSet::range(Protocol::Sctp, 5, 7));
    let all = json!({"udp": {"destinationPort": {"range": {"start": 1, "end": 65535}}}});
    assert_eq!(ports(json!([all])).numbers, PortSet::protocol(Protocol::Udp));
    let named = ports(json!([{"destinationNamedPort": "web"}]));
    assert_eq!(named.names, [(None, "web".into())], "the container says the protocol");
    // Documented, and refused by the schema.
    let empty = cnp(&json!({"action": "Accept", "to": [{"namespaces": {}}], "protocols": [{"tcp": {}}]}));
    complains(&empty, "spec.egress[0].protocols[0].tcp", "every TCP port");
    assert_eq!(rule(&empty).ports.numbers, PortSet::protocol(Protocol::Tcp));
}

#[test]
fn ports_that_cannot_be_read_fail_closed() {
    // semantics 2.2.10
    let at = "spec.egress[0].protocols";
    for (protocol, field, words) in [
        (json!({}), "[0]", "exactly one of tcp, udp, sctp and destinationNamedPort"),
        (
            json!({"tcp": {"destinationPort": {"number": 1}}, "udp": {"destinationPort": {"number": 1}}}),
            "[0]",
            "exactly one",
        ),
        (json!({"icmp": {}}), "[0].icmp", "no such field"),
        (json!({"tcp": {"destinationPort": {}}}), "[0].tcp.destinationPort", "exactly one of number and range"),
        (json!({"tcp": {"destinationPort": {"number": 0}}}), "[0].tcp.destinationPort.number", "from 1 to 65535"),
        (json!({"tcp": {"destinationPort": {"number": 65536}}}), "[0].tcp.destinationPort.number", "from 1 to 65535"),
        (
            json!({"tcp": {"destinationPort": {"range": {"start": 7, "end": 7}}}}),
            "[0].tcp.destinationPort.range",
            "7 is not above 7",
        ),
        (
            json!({"tcp": {"destinationPort": {"range": {"start": 7}}}}),
            "[0].tcp.destinationPort.range.end",
            "is needed",
        ),
        (json!({"destinationNamedPort": ""}), "[0].destinationNamedPort", "needs the name"),
    ] {
        let with = |action: &str| cnp(&json!({"action": action, "to": [{"namespaces": {}}], "protocols": [protocol]}));
        fails_closed(with, &format!("{at}{field}"), words);
    }
    let with = |action: &str| cnp(&json!({"action": action, "to": [{"namespaces": {}}], "protocols": []}));
    fails_closed(with, at, "an empty list is no condition");
    // Names and addresses do not go together.
    for peer in [json!({"networks": ["10.0.0.0/8"]}), json!({"nodes": {}})] {
        let with = |action: &str| {
            cnp(&json!({"action": action, "to": [peer], "protocols": [{"destinationNamedPort": "web"}]}))
        };
        fails_closed(with, at, "have no ports with names");
    }
}

#[test]
fn ports_of_the_old_api() {
    // semantics 2.2.11
    let read = |ports: Value| anp(&json!({"action": "Allow", "to": [{"namespaces": {}}], "ports": ports}));
    let ports = |value: Value| rule(&clean(read(value))).ports.clone();
    assert_eq!(ports(json!([{"portNumber": {"port": 80}}])).numbers, PortSet::port(Protocol::Tcp, 80));
    let udp = json!([{"portNumber": {"protocol": "UDP", "port": 53}}, {"portRange": {"start": 5, "end": 7}}]);
    let expected = PortSet::port(Protocol::Udp, 53).union(&PortSet::range(Protocol::Tcp, 5, 7));
    assert_eq!(ports(udp).numbers, expected);
    assert_eq!(ports(json!([{"namedPort": "web"}])).names, [(None, "web".into())]);
    for (value, at, words) in [
        (json!([{}]), "[0]", "exactly one of portNumber, portRange and namedPort"),
        (json!([{"portNumber": {"protocol": "ICMP", "port": 1}}]), "[0].portNumber.protocol", "`ICMP` is no protocol"),
        (json!([{"portRange": {"start": 9, "end": 3}}]), "[0].portRange", "3 is not above 9"),
        (json!([{"portNumber": {}}]), "[0].portNumber.port", "is needed"),
    ] {
        let object = read(value);
        complains(&object, &format!("spec.egress[0].ports{at}"), words);
        assert_eq!(rule(&object).peers, [Peer::Nobody]);
    }
}

#[test]
fn a_list_that_is_too_long_counts_and_is_said() {
    // semantics 2.2.6
    let rules: Vec<Value> = (0..26).map(|_| json!({"action": "Accept", "to": [{"namespaces": {}}]})).collect();
    let spec = json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": rules});
    let object = read(Kind::ClusterNetworkPolicy, &spec);
    complains(&object, "spec.egress", "26 rules, and API servers take 25 at most");
    assert_eq!(object.policies[0].egress.len(), 26);
    let spec = json!({"priority": 1, "subject": {"namespaces": {}}, "egress": rules.iter().map(|r| {
        let mut rule = r.clone();
        rule["action"] = json!("Allow");
        rule
    }).collect::<Vec<_>>()});
    clean(read(Kind::AdminNetworkPolicy, &spec));
}
