//! Policies written back as manifests.

use std::sync::Arc;

use portcullis::model::{Action, Direction, NamespaceScope, Peer, Policy, PortMatch, PortSet, Selector};
use portcullis::translate::render::{network_policy, to_yaml};
use serde_json::json;

fn sample() -> Policy {
    let object = super::policy(&json!({
        "podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "on", "operator": "NotIn", "values": ["true", "x"]}]},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{}],
        "egress": [
            {
                "to": [{
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            },
            {
                "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, {"podSelector": {}}],
                "ports": [{"port": 8000, "endPort": 8080}, {"port": "http"}, {"protocol": "SCTP"}],
            },
        ],
    }));
    assert_eq!(object.unread, []);
    (*object.policies[0]).clone()
}

#[test]
fn yaml_is_what_people_write() {
    insta::assert_snapshot!(to_yaml(&network_policy(&sample()).unwrap()), @r#"
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: p
      namespace: shop
    spec:
      podSelector:
        matchLabels:
          app: web
        matchExpressions:
        - key: "on"
          operator: NotIn
          values:
          - "true"
          - x
      policyTypes:
      - Ingress
      - Egress
      ingress:
      - {}
      egress:
      - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
        ports:
        - protocol: TCP
          port: 53
        - protocol: UDP
          port: 53
      - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except:
            - 10.0.0.0/8
        - podSelector: {}
        ports:
        - protocol: TCP
          port: 8000
          endPort: 8080
        - protocol: SCTP
        - protocol: TCP
          port: http
    "#);
}

#[test]
fn values_that_look_like_something_else_are_quoted() {
    let odd =
        ["true", "1", "null", "", "on", "No", "1e3", "a: b", "a #b", "0123", "0x1f", "+1", ".5", "~", "::/0", "- a"];
    for text in odd {
        let yaml = to_yaml(&json!({"a": text}));
        assert!(yaml.starts_with("a: \""), "{yaml}");
    }
    for text in ["web", "fc00::/7", "10.0.0.0/8", "v1.2", "a-b_c"] {
        assert_eq!(to_yaml(&json!({"a": text})), format!("a: {text}\n"));
    }
}

#[test]
fn what_a_network_policy_cannot_say_is_refused_by_name() {
    type Spoil = fn(&mut Policy);
    let cases: [(Spoil, &str); 9] = [
        (|p| p.subject.pods = Selector::nothing(), "has alternatives (at spec.podSelector)"),
        (|p| p.subject.namespaces = NamespaceScope::all(), "other namespaces than its own (at spec)"),
        (|p| p.isolates_ingress = false, "allows without isolating (at spec.ingress)"),
        (|p| p.egress[0].action = Action::Deny, "other than allow (at spec.egress[0])"),
        (|p| p.egress[1].peers[1] = Peer::Nobody, "nobody (at spec.egress[1].to[1])"),
        (|p| p.egress[0].peers.clear(), "it names nobody (at spec.egress[0])"),
        (|p| p.egress[0].ports = PortMatch::numbers(PortSet::empty()), "no port (at spec.egress[0])"),
        (
            |p| p.egress[0].filtered_by = Some("GET /".into()),
            "more than addresses and ports: GET / (at spec.egress[0])",
        ),
        (
            |p| (p.isolates_egress, p.isolates_ingress, p.egress, p.ingress) = (false, false, vec![], vec![]),
            "no direction",
        ),
    ];
    for (spoil, words) in cases {
        let mut policy = sample();
        spoil(&mut policy);
        let error = network_policy(&policy).unwrap_err().to_string();
        assert!(error.starts_with("NetworkPolicy shop/p cannot be written as a NetworkPolicy: "), "{error}");
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn another_namespace_by_name_is_written_as_its_label() {
    let mut policy = sample();
    if let Peer::Pods(pods) = &mut policy.egress[0].peers[0] {
        pods.namespaces = NamespaceScope::Named("kube-system".into());
    }
    let read = super::whole_policy(&network_policy(&policy).unwrap());
    assert_eq!(read.policies[0].rules(Direction::Egress), sample().egress);
    assert_eq!(read.policies[0].id, Arc::clone(&policy.id));
}
