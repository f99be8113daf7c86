//! Policies with values that an API server refuses, as though one had not: taken on the safe side, and always said.

use serde_json::{Value, json};

use super::{Expected, check, check_all, review, routes, send, text};

fn policy(spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "closed"},
        "spec": spec,
    })
}

/// A rule in both directions' form for one peer.
fn egress(rule: &Value) -> Value {
    json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [rule]})
}

fn to(peer: &Value) -> Value {
    egress(&json!({"to": [peer], "ports": [{"port": 443}]}))
}

fn block(cidr: &str, except: &[&str]) -> Value {
    to(&json!({"ipBlock": {"cidr": cidr, "except": except}}))
}

fn port(port: &Value) -> Value {
    egress(&json!({"to": [{"podSelector": {}}], "ports": [port]}))
}

fn selector(value: &Value) -> Value {
    json!({"podSelector": value, "policyTypes": ["Ingress"], "ingress": []})
}

#[tokio::test]
async fn values_that_make_no_sense() {
    let said = Expected::Warned("not-understood");
    let cases: Vec<(&str, Value, Expected)> = vec![
        ("a sensible policy", block("192.0.2.0/24", &["192.0.2.7/32"]), Expected::Allowed),
        ("host bits", block("192.0.2.7/24", &[]), said),
        ("leading zeros", block("010.0.0.0/8", &[]), said),
        ("no prefix length", block("10.0.0.0", &[]), said),
        ("a prefix length of 33", block("10.0.0.0/33", &[]), said),
        ("a prefix length with a zero", block("10.0.0.0/08", &[]), said),
        ("a negative prefix length", block("10.0.0.0/-1", &[]), said),
        ("an octet of 256", block("10.0.0.256/32", &[]), said),
        ("a name", block("example.com", &[]), said),
        ("no text", block("", &[]), said),
        ("blanks around it", block(" 192.0.2.0/24 ", &[]), said),
        ("an IPv6 zone", block("fe80::1%eth0/64", &[]), said),
        ("an except outside", block("192.0.2.0/24", &["198.51.100.0/24"]), said),
        ("an except of the other family", block("192.0.2.0/24", &["2001:db8::/32"]), said),
        ("an unreadable except", block("192.0.2.0/24", &["x"]), said),
        ("a CIDR that is a number", to(&json!({"ipBlock": {"cidr": 10}})), said),
        ("an ipBlock without CIDR", to(&json!({"ipBlock": {}})), said),
        ("an ipBlock with a selector", to(&json!({"ipBlock": {"cidr": "192.0.2.0/24"}, "podSelector": {}})), said),
        ("an empty peer", to(&json!({})), said),
        ("a peer that is text", to(&json!("x")), said),
        ("an unknown peer", to(&json!({"fqdn": "example.com"})), said),
        ("port 0", port(&json!({"port": 0})), said),
        ("port 65536", port(&json!({"port": 65_536})), said),
        ("port -1", port(&json!({"port": -1})), said),
        ("port 1e99", port(&json!({"port": 1e99})), said),
        ("port as text", port(&json!({"port": "80"})), said),
        ("a port name of 16 characters", port(&json!({"port": "a234567890123456"})), said),
        ("endPort below port", port(&json!({"port": 90, "endPort": 80})), said),
        ("endPort without port", port(&json!({"endPort": 80})), said),
        ("endPort with a named port", port(&json!({"port": "http", "endPort": 80})), said),
        ("an unknown protocol", port(&json!({"port": 80, "protocol": "ICMP"})), said),
        ("a lower-case protocol", port(&json!({"port": 80, "protocol": "tcp"})), said),
        (
            "an unknown operator",
            selector(&json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["b"]}]})),
            said,
        ),
        (
            "a lower-case operator",
            selector(&json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]})),
            said,
        ),
        ("In without values", selector(&json!({"matchExpressions": [{"key": "a", "operator": "In"}]})), said),
        (
            "Exists with values",
            selector(&json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]})),
            said,
        ),
        ("an unknown field of a selector", selector(&json!({"matchLabel": {"app": "web"}})), said),
        ("a selector that is text", selector(&json!("app=web")), said),
        ("labels that are a list", selector(&json!({"matchLabels": ["app"]})), said),
        ("an unknown policy type", json!({"podSelector": {}, "policyTypes": ["ingress"]}), said),
        ("an unknown field of the spec", json!({"podSelectors": {}, "policyTypes": ["Ingress"]}), said),
        ("a spec that is a list", json!([]), said),
    ];
    let body = |(name, spec, expected): (&'static str, Value, Expected)| {
        (name, text(&review("CREATE", &policy(&spec))), expected)
    };
    check_all(cases.into_iter().map(body).collect()).await;
}

/// Deeper than any reader goes: nothing of it counts, and the default deny that it replaces is gone.
#[tokio::test]
async fn a_policy_too_deep_to_read_is_no_default_deny() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let mut new = policy(&json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
    new["metadata"]["name"] = "default-deny".into();
    let mut review = review("UPDATE", &new);
    review["request"]["object"]["spec"]["deep"] = "DEEP".into();
    let body = text(&review).replace("\"DEEP\"", &deep);
    check("deep", &send(&routes(), "application/json", body).await, Expected::Refused(403, "missing-default-deny"));
}

/// The last default deny is replaced by a policy that nobody can read: that must not count as one.
#[tokio::test]
async fn an_unreadable_policy_is_no_default_deny() {
    let routes = routes();
    for spec in [
        json!([]),
        json!({"podSelectors": {}, "policyTypes": ["Ingress", "Egress"]}),
        json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Matches"}]}, "policyTypes": ["Ingress", "Egress"]}),
        json!({"podSelector": {}, "policyTypes": ["ingress", "egress"]}),
    ] {
        let mut new = policy(&spec);
        new["metadata"]["name"] = "default-deny".into();
        let mut review = review("UPDATE", &new);
        let old = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
        review["request"]["oldObject"]["spec"] = old;
        let answer = send(&routes, "application/json", text(&review)).await;
        check(&spec.to_string(), &answer, Expected::Refused(403, "missing-default-deny"));
    }
}
