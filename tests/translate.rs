//! What Kubernetes objects mean, line by line of the semantics.

use portcullis::model::{NamespaceScope, Object, Peer, PolicyObject, PortMatch, PortSet, Protocol, Selector};
use portcullis::translate::{Defaults, Kind, from_value};
use serde_json::{Value, json};

const DEFAULTS: Defaults<'_> = Defaults { namespace: "shop", name: "generated-1" };

fn policy(spec: Value) -> PolicyObject {
    let object =
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec});
    match from_value(Kind::NetworkPolicy, &object, &DEFAULTS) {
        Object::Policy(policy) => policy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_policy_reads_completely() {
    let object = policy(json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}],
    }));
    assert_eq!(object.unread, []);
    let policy = &object.policies[0];
    assert_eq!(policy.subject.namespaces, NamespaceScope::Named("shop".into()));
    assert_eq!(policy.subject.pods, Selector::equals("app", "web"));
    assert!(policy.isolates_egress && !policy.isolates_ingress);
    let rule = &policy.egress[0];
    assert!(matches!(&rule.peers[..], [Peer::Pods(p)] if p.namespaces == NamespaceScope::all()));
    assert_eq!(rule.ports, PortMatch::numbers(PortSet::port(Protocol::Udp, 53)));
    assert_eq!(rule.peer_path(0).as_str(), "spec.egress[0].to[0]");
}
