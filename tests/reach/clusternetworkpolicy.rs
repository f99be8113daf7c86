//! What ClusterNetworkPolicies, and the two kinds before them, let through together with NetworkPolicies (semantics 2.2).

use portcullis::model::house::Dialect;
use portcullis::model::{IpSet, PortSet, Protocol};
use portcullis::reach::{Ends, PodAt, Pods, Readings, Verdict, explain};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::world::snapshot;

fn namespace(name: &str) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}})
}

fn pod(namespace: &str, name: &str, ip: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}]},
        "status": {"podIPs": [{"ip": ip}]}})
}

/// A ClusterNetworkPolicy for every pod.
fn cnp(name: &str, tier: &str, priority: u64, direction: &str, rules: &Value) -> Value {
    let mut spec = json!({"tier": tier, "priority": priority, "subject": {"namespaces": {}}});
    spec[direction] = rules.clone();
    json!({"kind": "ClusterNetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

/// A NetworkPolicy for every pod of namespace `a`.
fn np(name: &str, spec: &Value) -> Value {
    json!({"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "a"}, "spec": spec})
}

fn everyone(action: &str, field: &str) -> Value {
    let mut rule = json!({"action": action});
    rule[field] = json!([{"namespaces": {}}]);
    rule
}

/// Two namespaces with one pod each, and these policies.
fn world(policies: &[Value]) -> Snapshot {
    let mut objects = vec![namespace("a"), namespace("b"), pod("a", "x", "10.0.0.1"), pod("b", "y", "10.0.0.2")];
    objects.extend_from_slice(policies);
    snapshot(&objects)
}

fn ends<'a>(world: &'a Snapshot, namespace: &str) -> Ends<'a> {
    let state = world.namespace(namespace).unwrap();
    let class = &state.classes()[0];
    let at = PodAt { namespace: state, pod: class.pod(), addresses: class.addresses() };
    Ends::Pods(vec![Pods { at, name: "", count: 1 }])
}

fn asked(world: &Snapshot, from: &Ends<'_>, to: &Ends<'_>, port: u16) -> Verdict {
    let ports = PortSet::port(Protocol::Tcp, port);
    explain(world, from, to, Some(&ports), &Readings::of(Some(Dialect::Upstream))).unwrap().verdict
}

/// From the pod of `a` to that of `b`.
fn out(policies: &[Value], port: u16) -> Verdict {
    let world = world(policies);
    asked(&world, &ends(&world, "a"), &ends(&world, "b"), port)
}

/// From the pod of `b` to that of `a`.
fn back(policies: &[Value], port: u16) -> Verdict {
    let world = world(policies);
    asked(&world, &ends(&world, "b"), &ends(&world, "a"), port)
}

/// From the pod of `a` to an address outside.
fn outside(policies: &[Value], address: &str) -> Verdict {
    let world = world(policies);
    asked(&world, &ends(&world, "a"), &Ends::Addresses(IpSet::single(address.parse().unwrap())), 443)
}

use Verdict::{Allow, Deny, Depends};

fn deny_out() -> Value {
    np("deny", &json!({"podSelector": {}, "policyTypes": ["Egress"]}))
}

#[test]
fn the_first_rule_that_matches_decides_and_lower_numbers_come_first() {
    // semantics 2.2.1
    let accept = |priority| cnp("accept", "Admin", priority, "egress", &json!([everyone("Accept", "to")]));
    let deny = |priority| cnp("deny", "Admin", priority, "egress", &json!([everyone("Deny", "to")]));
    assert_eq!(out(&[accept(1), deny(2)], 80), Allow);
    assert_eq!(out(&[accept(2), deny(1)], 80), Deny);
    // Within an object the order of the rules counts.
    let both = json!([everyone("Deny", "to"), everyone("Accept", "to")]);
    assert_eq!(out(&[cnp("both", "Admin", 1, "egress", &both)], 80), Deny);
    // Nothing is isolated by being selected.
    let port = json!([{"action": "Accept", "to": [{"namespaces": {}}], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]}]);
    assert_eq!(out(&[cnp("port", "Admin", 1, "egress", &port)], 81), Allow);
}

#[test]
fn an_accept_ends_it_and_a_pass_leaves_the_tier() {
    // semantics 2.2.1
    let admin = |action| cnp("admin", "Admin", 1, "egress", &json!([everyone(action, "to")]));
    assert_eq!(out(&[admin("Accept"), deny_out()], 80), Allow, "a NetworkPolicy is not asked any more");
    assert_eq!(out(&[admin("Pass"), deny_out()], 80), Deny);
    let later = cnp("later", "Admin", 2, "egress", &json!([everyone("Deny", "to")]));
    assert_eq!(out(&[admin("Pass"), later.clone()], 80), Allow, "a pass skips the rest of its tier");
    let baseline = cnp("baseline", "Baseline", 1, "egress", &json!([everyone("Deny", "to")]));
    assert_eq!(out(&[admin("Pass"), later, baseline], 80), Deny);
}

#[test]
fn a_network_policy_that_selects_the_pod_always_decides_for_its_direction() {
    // semantics 2.2.2
    let baseline = cnp("baseline", "Baseline", 1, "egress", &json!([everyone("Deny", "to")]));
    let allow = np("allow", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}));
    assert_eq!(out(&[baseline.clone(), allow], 80), Allow);
    assert_eq!(out(&[cnp("b", "Baseline", 1, "egress", &json!([everyone("Accept", "to")])), deny_out()], 80), Deny);
    // One for ingress says nothing about egress: per direction, as np-guard and policy-assistant have it.
    let ingress = np("ingress", &json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}));
    assert_eq!(out(&[baseline, ingress], 80), Deny);
}

#[test]
fn the_baseline_comes_last_and_then_everything_passes() {
    // semantics 2.2.3
    let baseline = |rules: &Value| cnp("baseline", "Baseline", 1, "egress", rules);
    assert_eq!(out(&[baseline(&json!([everyone("Deny", "to")]))], 80), Deny);
    assert_eq!(out(&[baseline(&json!([everyone("Pass", "to"), everyone("Deny", "to")]))], 80), Allow);
    let banp = json!({"kind": "BaselineAdminNetworkPolicy", "metadata": {"name": "default"},
        "spec": {"subject": {"namespaces": {}}, "egress": [everyone("Deny", "to")]}});
    assert_eq!(out(&[banp], 80), Deny);
}

#[test]
fn an_accept_on_one_side_is_none_on_the_other() {
    // semantics 2.2.4
    let egress = cnp("egress", "Admin", 1, "egress", &json!([everyone("Accept", "to")]));
    let ingress = cnp("ingress", "Admin", 1, "ingress", &json!([everyone("Deny", "from")]));
    assert_eq!(out(&[egress, ingress], 80), Deny);
}

#[test]
fn equal_priorities_are_in_doubt_only_where_their_order_matters() {
    // semantics 2.2.5
    let one = |name, action| cnp(name, "Admin", 7, "egress", &json!([everyone(action, "to")]));
    assert_eq!(out(&[one("a", "Accept"), one("b", "Deny")], 80), Depends);
    assert_eq!(out(&[one("a", "Deny"), one("b", "Deny")], 80), Deny);
    assert_eq!(out(&[one("a", "Accept"), one("b", "Pass")], 80), Allow, "both ways lead to the same");
    assert_eq!(out(&[one("a", "Accept"), one("b", "Pass"), deny_out()], 80), Depends);
    let port = |port: u16, action: &str, name| {
        let rule = json!({"action": action, "to": [{"namespaces": {}}], "protocols": [{"tcp": {"destinationPort": {"number": port}}}]});
        cnp(name, "Admin", 7, "egress", &json!([rule]))
    };
    assert_eq!(out(&[port(80, "Accept", "a"), port(81, "Deny", "b")], 81), Deny, "they do not meet");
}

#[test]
fn each_peer_names_what_it_says() {
    // semantics 2.2.7
    let only = |peer: Value| {
        let rules =
            json!([{"action": "Accept", "to": [peer]}, {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}]);
        [cnp("only", "Admin", 1, "egress", &rules)]
    };
    assert_eq!(out(&only(json!({"namespaces": {"matchLabels": {"team": "b"}}})), 80), Allow);
    assert_eq!(out(&only(json!({"namespaces": {"matchLabels": {"team": "c"}}})), 80), Deny);
    assert_eq!(out(&only(json!({"pods": {"podSelector": {"matchLabels": {"app": "y"}}}})), 80), Allow);
    let elsewhere = json!({"pods": {"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {"matchLabels": {"app": "y"}}}});
    assert_eq!(out(&only(elsewhere), 80), Deny, "both selectors count");
    // Nodes and names are settled by the running cluster, for addresses alone.
    assert_eq!(outside(&only(json!({"nodes": {}})), "192.0.2.1"), Depends);
    assert_eq!(out(&only(json!({"nodes": {}})), 80), Deny);
    assert_eq!(outside(&only(json!({"networks": ["192.0.2.0/24"]})), "192.0.2.1"), Allow);
    assert_eq!(outside(&only(json!({"networks": ["192.0.2.0/24"]})), "198.51.100.1"), Deny);
}

#[test]
fn networks_match_pods_whatever_the_dialect() {
    // semantics 2.2.8
    let deny = cnp("deny", "Admin", 1, "egress", &json!([{"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}]));
    let world = world(&[deny]);
    for dialect in Dialect::ALL {
        let readings = Readings::of(Some(dialect));
        let answer = explain(&world, &ends(&world, "a"), &ends(&world, "b"), None, &readings).unwrap();
        assert_eq!(answer.verdict, Deny, "{dialect:?}");
    }
}

#[test]
fn names_grant_no_way_to_dns() {
    // semantics 2.2.12
    let rules = json!([{"action": "Accept", "to": [{"domainNames": ["*.example.org"]}]}, everyone("Deny", "to")]);
    let policy = [cnp("names", "Admin", 1, "egress", &rules)];
    assert_eq!(out(&policy, 53), Deny);
    let closed = json!([{"action": "Accept", "to": [{"domainNames": ["*.example.org"]}]}, {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}]);
    assert_eq!(outside(&[cnp("names", "Admin", 1, "egress", &closed)], "192.0.2.1"), Depends);
}

#[test]
fn named_ports_are_those_of_the_destination() {
    // semantics 2.2.10
    let rules = json!([
        {"action": "Accept", "to": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "web"}]},
        everyone("Deny", "to")
    ]);
    let policy = [cnp("named", "Admin", 1, "egress", &rules)];
    assert_eq!(out(&policy, 8080), Allow);
    assert_eq!(out(&policy, 80), Deny);
    let incoming = json!([
        {"action": "Deny", "from": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "web"}]}
    ]);
    let policy = [cnp("named", "Admin", 1, "ingress", &incoming)];
    assert_eq!(back(&policy, 8080), Deny);
    assert_eq!(back(&policy, 80), Allow);
}

#[test]
fn what_cannot_be_read_denies_where_the_rule_denies() {
    // semantics 2.2.9: the world helper refuses objects with complaints, so this one reads for itself.
    use portcullis::translate::{Defaults, Kind, from_value};
    let mut world = world(&[]);
    for (action, expected) in [("Accept", Allow), ("Deny", Deny), ("Pass", Deny)] {
        let odd = cnp("odd", "Admin", 1, "egress", &json!([{"action": action, "to": [{"services": {}}]}]));
        world.insert(&from_value(Kind::ClusterNetworkPolicy, &odd, &Defaults::default()));
        assert_eq!(asked(&world, &ends(&world, "a"), &ends(&world, "b"), 80), expected, "{action}");
    }
    let unknown = cnp("odd", "Admin", 1, "egress", &json!([{"action": "Log", "to": [{"namespaces": {}}]}]));
    world.insert(&from_value(Kind::ClusterNetworkPolicy, &unknown, &Defaults::default()));
    assert_eq!(asked(&world, &ends(&world, "a"), &ends(&world, "b"), 80), Depends);
}

#[test]
fn pods_on_the_host_network_are_neither_subjects_nor_peers() {
    // semantics 2.2.14
    let mut host = pod("a", "h", "192.168.0.1");
    host["spec"]["hostNetwork"] = json!(true);
    let deny = |direction: &str, field: &str| cnp("deny", "Admin", 1, direction, &json!([everyone("Deny", field)]));
    for policy in [deny("egress", "to"), deny("ingress", "from")] {
        let world = snapshot(&[namespace("a"), namespace("b"), host.clone(), pod("b", "y", "10.0.0.2"), policy]);
        let (host, other) = (ends(&world, "a"), ends(&world, "b"));
        assert_eq!(asked(&world, &host, &other, 80), Allow);
        assert_eq!(asked(&world, &other, &host, 80), Allow);
    }
}

#[test]
fn the_old_and_the_new_api_agree() {
    // semantics 2.2.6, 2.2.15: the same policy in both versions.
    let old = json!({"kind": "AdminNetworkPolicy", "metadata": {"name": "p"}, "spec": {
    "priority": 1, "subject": {"namespaces": {}},
    "egress": [
        {"action": "Allow", "to": [{"namespaces": {"matchLabels": {"team": "b"}}}], "ports": [{"portNumber": {"protocol": "TCP", "port": 80}}]},
        {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
    ]}});
    let new = cnp(
        "p",
        "Admin",
        1,
        "egress",
        &json!([
            {"action": "Accept", "to": [{"namespaces": {"matchLabels": {"team": "b"}}}], "protocols": [{"tcp": {"destinationPort": {"number": 80}}}]},
            {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}
        ]),
    );
    for port in [80, 81] {
        assert_eq!(out(std::slice::from_ref(&old), port), out(std::slice::from_ref(&new), port));
    }
    assert_eq!(out(&[old], 80), Allow);
    assert_eq!(outside(&[new], "192.0.2.1"), Deny);
}
