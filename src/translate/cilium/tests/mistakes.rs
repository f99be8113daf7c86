//! Bad input: what is said about it, and that it counts on the safe side.

use serde_json::{Value, json};

use super::{cnp, isolation, read, said, section};
use crate::model::peer::Entity;
use crate::model::{Action, NamespaceScope, Peer, Protocol, Selector};
use crate::translate::Kind;

/// A mistake in the first ingress or egress rule, where it is said to be, and what is said.
const MISTAKES: [(&str, &str, &str, &str); 26] = [
    ("egress", r#"{"toEntities": ["universe"]}"#, "toEntities[0]", "`universe` is no entity"),
    ("egress", r#"{"toCIDR": ["10.0.0.0/33"]}"#, "toCIDR[0]", "is not a CIDR block"),
    ("egress", r#"{"toCIDRSet": [{"cidr": "10.0.0.1"}]}"#, "toCIDRSet[0].cidr", "is not a CIDR block"),
    (
        "egress",
        r#"{"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]}"#,
        "toCIDRSet[0].except[0]",
        "is not inside",
    ),
    ("egress", r#"{"toCIDRSet": [{}]}"#, "toCIDRSet[0]", "exactly one of"),
    ("egress", r#"{"toCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "a"}]}"#, "toCIDRSet[0]", "exactly one of"),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "80", "protocol": "TPC"}]}]}"#,
        "toPorts[0].ports[0].protocol",
        "`TPC` is no protocol",
    ),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "a-very-long-port-name"}]}]}"#,
        "toPorts[0].ports[0].port",
        "cannot be the name of a port",
    ),
    ("egress", r#"{"toPorts": [{"ports": [{"port": "65536"}]}]}"#, "toPorts[0].ports[0].port", "they go up to 65535"),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "80", "endPort": 70000}]}]}"#,
        "toPorts[0].ports[0].endPort",
        "up to 65535",
    ),
    ("egress", r#"{"toPorts": [{"ports": [{"protocol": "TCP"}]}]}"#, "toPorts[0].ports[0].port", "a port is missing"),
    (
        "ingress",
        r#"{"fromEndpoints": [{}], "fromEntities": ["world"]}"#,
        "",
        "fromEndpoints and fromEntities exclude each other",
    ),
    (
        "egress",
        r#"{"toFQDNs": [{"matchName": "a.b"}], "toCIDR": ["10.0.0.0/8"]}"#,
        "",
        "toCIDR and toFQDNs exclude each other",
    ),
    ("egress", r#"{"toFQDNs": [{}]}"#, "toFQDNs[0]", "a matchName or a matchPattern is missing"),
    (
        "egress",
        r#"{"toFQDNs": [{"matchName": "*.b"}]}"#,
        "toFQDNs[0].matchName",
        "patterns with `*` go into matchPattern",
    ),
    ("egress", r#"{"toFQDNs": [{"matchName": "a.b", "matchPattern": "*.b"}]}"#, "toFQDNs[0]", "exclude each other"),
    (
        "ingress",
        r#"{"toPorts": [{"ports": [{"port": "53"}], "rules": {"dns": [{"matchPattern": "*"}]}}]}"#,
        "toPorts[0].rules.dns",
        "for egress only",
    ),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "80"}], "rules": {"http": [], "kafka": []}}]}"#,
        "toPorts[0].rules",
        "exclude each other",
    ),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "80"}], "rules": {"l7": []}}]}"#,
        "toPorts[0].rules.l7",
        "needs an l7proto",
    ),
    (
        "egress",
        r#"{"toPorts": [{"ports": [{"port": "80"}]}], "icmps": [{"fields": [{"type": 8}]}]}"#,
        "icmps",
        "exclude each other",
    ),
    (
        "ingress",
        r#"{"fromEndpoints": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}"#,
        "fromEndpoints[0].matchExpressions[0].values",
        "at least one value",
    ),
    (
        "ingress",
        r#"{"fromEndpoints": [{"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}]}"#,
        "fromEndpoints[0].matchExpressions[0].operator",
        "`Gt` is no operator",
    ),
    (
        "ingress",
        r#"{"fromEndpoints": [{"matchExpressions": [{"operator": "Exists"}]}]}"#,
        "fromEndpoints[0].matchExpressions[0].key",
        "needs a key",
    ),
    ("ingress", r#"{"icmps": [{"fields": [{"type": 300}]}]}"#, "icmps[0].fields[0].type", "up to 255"),
    (
        "ingress",
        r#"{"icmps": [{"fields": [{"type": 8, "family": "IPv5"}]}]}"#,
        "icmps[0].fields[0].family",
        "`IPv5` is no family",
    ),
    (
        "ingress",
        r#"{"fromEntities": ["world"], "authentication": {"mode": "maybe"}}"#,
        "authentication.mode",
        "`maybe` is no mode",
    ),
];

#[test]
fn what_cilium_refuses_isolates_and_allows_nothing() {
    for (name, rule, at, what) in MISTAKES {
        let rule: Value = serde_json::from_str(rule).unwrap();
        let fine = json!({"toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]});
        let policy = section(name, &json!([rule, fine]));
        let path = if at.is_empty() { format!("spec.{name}[0]: ") } else { format!("spec.{name}[0].{at}: ") };
        let lines = said(&policy);
        assert_eq!(lines.len(), 1, "{rule}: {lines:?}");
        assert!(lines[0].starts_with(&path) && lines[0].contains(what), "{rule}: {lines:?}");
        assert!(lines[0].ends_with("isolating and allowing nothing"), "{rule}: {lines:?}");
        assert_eq!(isolation(&policy), [(false, false)], "{rule}");
        assert!(policy.policies[0].ingress.is_empty() && policy.policies[0].egress.is_empty(), "{rule}");
    }
}

#[test]
fn objects_without_a_single_subject_are_refused() {
    for (object, at, what) in [
        (json!({}), "spec", "neither a spec nor specs"),
        (json!({"spec": null, "specs": []}), "spec", "neither a spec nor specs"),
        (json!({"spec": {"ingress": [{}]}}), "spec", "neither an endpointSelector nor a nodeSelector"),
        (json!({"spec": {"endpointSelector": {}, "nodeSelector": {}, "ingress": [{}]}}), "spec", "exclude each other"),
        (json!({"spec": {"nodeSelector": {}, "ingress": [{}]}}), "spec.nodeSelector", "CiliumClusterwideNetworkPolicy"),
    ] {
        let policy = read(Kind::CiliumNetworkPolicy, &object);
        assert_eq!(policy.unread.len(), 1, "{object}: {:?}", said(&policy));
        assert_eq!(policy.unread[0].at.as_str(), at, "{object}");
        assert!(policy.unread[0].what.contains(what), "{object}: {:?}", said(&policy));
        assert!(policy.policies.is_empty(), "{object}");
    }
}

/// What is not known here but may be fine for Cilium: the piece counts for less, the policy for what is left of it.
#[test]
fn what_is_not_known_allows_nothing() {
    // semantics 2.3.10
    for (rule, at) in [
        (json!({"toEndpoint": [{}]}), "spec.egress[0].toEndpoint"),
        (json!({"toServices": [{"k8sService": {"namespace": "web"}}]}), "spec.egress[0].toServices[0].k8sService"),
        (json!({"toServices": [{"k8sServiceSelector": {}}]}), "spec.egress[0].toServices[0].k8sServiceSelector"),
        (json!({"toServices": [{}]}), "spec.egress[0].toServices[0]"),
        (json!({"toServices": [{"service": "web"}]}), "spec.egress[0].toServices[0].service"),
        (json!({"toRequires": [{}], "toEndpoints": [{}]}), "spec.egress[0].toRequires"),
        (json!({"toEndpoints": {}}), "spec.egress[0].toEndpoints"),
        (json!({"toEndpoints": [{"matchLabels": {"app": 1}}]}), "spec.egress[0].toEndpoints[0].matchLabels.app"),
        (json!({"toPorts": [{"ports": [{"port": 80}]}]}), "spec.egress[0].toPorts[0].ports[0].port"),
        (json!({"toPorts": [{"ports": []}]}), "spec.egress[0].toPorts[0].ports"),
        (
            json!({"toPorts": [{"ports": [{"port": "80", "endPort": 70}]}]}),
            "spec.egress[0].toPorts[0].ports[0].endPort",
        ),
        (json!({"toPorts": [{"ports": [{"port": "80"}], "ratelimit": 1}]}), "spec.egress[0].toPorts[0].ratelimit"),
        (
            json!({"toEntities": ["world"], "authentication": {"mode": "test-always-fail"}}),
            "spec.egress[0].authentication.mode",
        ),
        (json!("x"), "spec.egress[0]"),
    ] {
        let policy = section("egress", &json!([rule]));
        assert_eq!(policy.unread.iter().map(|u| u.at.as_str()).collect::<Vec<_>>(), [at], "{:?}", said(&policy));
        assert_eq!(isolation(&policy), [(false, true)], "{rule}");
        let allows = policy.policies[0].egress.iter().any(|rule| {
            !(rule.ports.numbers.is_empty() && rule.ports.names.is_empty())
                && rule.peers.iter().any(|p| *p != Peer::Nobody)
        });
        assert!(!allows, "{rule}");
    }
}

#[test]
fn what_is_not_known_denies_everything_it_could() {
    for rule in [
        json!({"toFQDNs": [{"matchName": "a.b"}]}),
        json!({"toServices": [{"k8sService": {"serviceName": ""}}]}),
        json!({"toEndpoints": [{"matchLabels": {"cidr:10.0.0.0/8": ""}}]}),
        json!({"toEntities": ["universe"]}),
        json!({"toEntities": ["world"], "authentication": {}}),
    ] {
        let policy = section("egressDeny", &json!([rule]));
        assert_eq!(policy.unread.len(), 1, "{:?}", said(&policy));
        let denies = &policy.policies[0].egress[0];
        assert_eq!((denies.action, denies.peers.as_slice()), (Action::Deny, &[Peer::Unreadable][..]), "{rule}");
        assert!(denies.ports.numbers.contains(Protocol::Tcp, 80), "{rule}");
    }
    let ports = section(
        "egressDeny",
        &json!([{"toEntities": ["world"], "toPorts": [{"ports": [{"port": "80", "protocol": "x"}]}]}]),
    );
    let maybe = Peer::AllOf(vec![Peer::Entity(Entity::World), Peer::Unreadable]);
    assert_eq!(ports.policies[0].egress[0].peers, [maybe]);
    assert!(ports.policies[0].egress[0].ports.is_any());
}

#[test]
fn a_subject_that_cannot_be_read_selects_nothing() {
    for (spec, at) in [
        (
            json!({"endpointSelector": {"matchLabels": {"a": 1}}, "ingress": [{}]}),
            "spec.endpointSelector.matchLabels.a",
        ),
        (json!({"endpointSelector": {"podSelector": {}}, "ingress": [{}]}), "spec.endpointSelector.podSelector"),
        (json!({"endpointSelector": {}, "ingress": {}}), "spec.ingress"),
        (
            json!({"endpointSelector": {}, "ingress": [{}], "enableDefaultDeny": {"ingress": "yes"}}),
            "spec.enableDefaultDeny.ingress",
        ),
    ] {
        let policy = cnp(&spec);
        assert!(policy.unread.iter().any(|u| u.at.as_str() == at), "{:?}", said(&policy));
        assert_eq!(policy.policies[0].subject.pods, Selector::nothing(), "{spec}");
        assert_eq!(policy.policies[0].subject.namespaces, NamespaceScope::Named("shop".into()));
    }
}

#[test]
fn unknown_fields_and_versions_are_said() {
    let object = json!({
        "apiVersion": "cilium.io/v9", "metadata": {"name": "n", "namespace": "m", "labels": 3}, "what": 1,
        "spec": {"endpointSelector": {}, "ingress": [{}], "endpointselector": {}},
    });
    let policy = read(Kind::CiliumNetworkPolicy, &object);
    let paths: Vec<&str> = policy.unread.iter().map(|u| u.at.as_str()).collect();
    assert_eq!(paths, ["metadata", "apiVersion", "what", "spec.endpointselector"], "{:?}", said(&policy));
    assert_eq!((policy.id.namespace(), &*policy.id.name), ("m", "n"));
    // What it isolates it may isolate.
    assert_eq!(isolation(&policy), [(false, false)]);
    let closing = policy.policies[0].ingress.last().unwrap();
    assert!(closing.action == Action::Deny && matches!(closing.peers.as_slice(), [Peer::Unsettled(_)]), "{closing:?}");
}
