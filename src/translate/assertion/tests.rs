//! Assertions as people write them, and the slips they make.

use serde_json::json;

use super::*;

fn read(spec: Value) -> Assertion {
    let value = json!({"metadata": {"name": "row", "namespace": "shop"}, "spec": spec});
    match assertion(Kind::ConnectivityAssertion, &value, &Defaults::default()) {
        Object::Assertion(assertion) => assertion,
        other => panic!("{other:?}"),
    }
}

fn said(spec: Value) -> Vec<String> {
    let read = read(spec);
    assert!(read.claim.is_none(), "states something although it was not read in full");
    read.unread.iter().map(|u| format!("{} {}", u.at, u.what)).collect()
}

#[test]
fn a_row_of_the_matrix_reads_as_people_write_it() {
    let read = read(json!({
        "from": {"podSelector": {"matchLabels": {"app": "web"}}},
        "to": {"workload": {"kind": "Deployment", "name": "api"}},
        "ports": [{"port": 8080}, {"port": "metrics"}, {"port": 8000, "endPort": 8010, "protocol": "UDP"}],
        "expect": "Allow",
    }));
    assert_eq!(read.unread, []);
    let claim = read.claim.unwrap();
    assert_eq!(claim.to_string(), "shop/app=web → shop/Deployment/api, TCP 8080 UDP 8000-8010 TCP port \"metrics\"");
    assert_eq!(claim.pairs, Pairs::All);
}

#[test]
fn an_end_has_exactly_one_form() {
    let to = json!({"podSelector": {}});
    let both = json!({"podSelector": {}, "cidr": "10.0.0.0/8"});
    assert_eq!(
        said(json!({"from": both, "to": to, "expect": "Deny"})),
        [
            "spec.from has several forms: give exactly one of podSelector and namespaceSelector, workload, cidr, or world; the assertion states nothing"
        ]
    );
    assert_eq!(said(json!({"from": {}, "to": to, "expect": "Deny"})).len(), 1);
    assert_eq!(
        said(json!({"from": {"world": false}, "to": to, "expect": "Deny"})),
        ["spec.from.world can only be true; the assertion states nothing"]
    );
}

#[test]
fn slips_are_named_with_the_field_and_the_nearest_name() {
    let (from, to) = (json!({"podSelectors": {}}), json!({"cidr": "10.0.0/8"}));
    let said = said(json!({"from": from, "to": to, "expects": "Deny", "ports": [{"port": 0}], "for": "some"}));
    assert_eq!(
        said,
        [
            "spec.expect is missing: say Allow or Deny; the assertion states nothing",
            "spec.expects is not known and was not used; did you mean `expect`?",
            "spec.for is \"some\", not one of all, any; the assertion states nothing",
            "spec.from names nobody: give one of podSelector and namespaceSelector, workload, cidr, or world; the assertion states nothing",
            "spec.from.podSelectors is not known and was not used; did you mean `podSelector`?",
            "spec.ports[0].port is not a port from 1 to 65535 or a name; the assertion states nothing",
            "spec.to.cidr `10.0.0/8` is not a CIDR block: an IPv4 address has four parts; the assertion states nothing",
        ]
    );
}

#[test]
fn ports_that_make_no_sense_are_refused() {
    let spec =
        |port: Value| json!({"from": {"podSelector": {}}, "to": {"world": true}, "ports": [port], "expect": "Deny"});
    for (port, why) in [
        (json!({"port": 80, "endPort": 79}), "spec.ports[0].endPort 79 is below port 80"),
        (json!({"port": 65_536}), "spec.ports[0].port is not a port from 1 to 65535"),
        (json!({"port": "http"}), "spec.ports[0].port is a name, which only a pod can resolve"),
        (json!({"port": "80"}), "spec.ports[0].port is text, which names a port"),
        (json!({"protocol": "TCP"}), "spec.ports[0].port is missing"),
        (json!({"port": 80, "protocol": "tcp"}), "spec.ports[0].protocol is \"tcp\", not one of TCP, UDP, SCTP"),
        (
            json!({"port": 80, "endport": 81}),
            "spec.ports[0].endport is not known and was not used; did you mean `endPort`?",
        ),
    ] {
        let said = said(spec(port));
        assert!(said.len() == 1 && said[0].starts_with(why), "{said:?} for {why}");
    }
}

#[test]
fn one_of_a_namespace_speaks_for_that_namespace() {
    let elsewhere = json!({"workload": {"kind": "Deployment", "name": "x", "namespace": "other"}});
    let said = said(json!({"from": elsewhere, "to": {"namespaceSelector": {}}, "expect": "Deny"}));
    assert!(said[0].starts_with("spec has no end in namespace shop: "), "{said:?}");
    let cluster = json!({"metadata": {"name": "x"}, "spec": {
        "from": {"podSelector": {}}, "to": {"cidr": "169.254.169.254/32"}, "expect": "Deny"}});
    let Object::Assertion(cluster) = assertion(Kind::ClusterConnectivityAssertion, &cluster, &Defaults::default())
    else {
        panic!("an assertion")
    };
    assert_eq!(cluster.claim.unwrap().to_string(), "*/* → 169.254.169.254/32, every port");
}
