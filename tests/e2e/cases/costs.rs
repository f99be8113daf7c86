//! What one tenant with the ClusterRole `edit` can write neither stops the gate nor slips past it.

use serde_json::{Value, json};

use crate::support::{Kubectl, Suite, cases, objects, until};

cases![
    objects_that_are_made_to_be_expensive_stop_nothing,
    an_opening_that_is_split_over_two_selectors_is_refused_for_the_pod_that_joins_them,
];

/// A user with the ClusterRole `edit` in one namespace and nothing elsewhere.
fn tenant(kubectl: &Kubectl, namespace: &str) -> Kubectl {
    kubectl.tenant(namespace, ("ClusterRole", "edit"), "networkpolicies")
}

fn policy(namespace: &str, name: &str, spec: &Value) -> String {
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
        .to_string()
}

fn keys(count: usize, operator: &str) -> Value {
    let one = |i| json!({"key": format!("k{i}"), "operator": operator, "values": ["v"]});
    json!({"podSelector": {"matchExpressions": (0..count).map(one).collect::<Vec<_>>()}, "policyTypes": ["Ingress", "Egress"]})
}

fn rules(direction: &str, rule: &Value, count: usize) -> Value {
    json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], direction: vec![rule; count]})
}

fn objects_that_are_made_to_be_expensive_stop_nothing(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (space, other) = ("costly", "costly-neighbour");
    kubectl.namespace(space, &[]);
    kubectl.namespace(other, &[]);
    let mallory = tenant(&kubectl, space);
    let create =
        |args: &[&str], yaml: &str| mallory.run_with_input(&[&["-n", space, "create", "-f", "-"], args].concat(), yaml);
    let from_all = json!({"from": [{"podSelector": {}}]});
    let attacks = [
        ("a1", keys(5_000, "In"), false),
        ("a2", keys(3_400, "NotIn"), false),
        ("a3", rules("egress", &json!({}), 100_000), true),
        ("a4", rules("ingress", &from_all, 25_000), true),
        ("a4-below", rules("ingress", &from_all, 15_000), false),
    ];
    for (name, spec, refused) in attacks {
        let yaml = policy(space, name, &spec);
        for args in [&["--dry-run=server"][..], &[]] {
            let outcome = create(args, &yaml);
            let answered = !outcome.stderr.contains("failed calling webhook");
            assert!(answered && outcome.is_denied() == refused, "{name}: {outcome}");
        }
        // Neither a neighbour's pod nor one of the namespace itself passes unreviewed.
        for namespace in [other, space] {
            let pod = objects::pod(namespace, "naked", &[("app", "naked")]);
            let outcome = kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &pod);
            assert!(outcome.is_denied(), "{name}, {namespace}: {outcome}");
        }
        let (status, _) = suite.gate().admin("/healthz").expect("an answer");
        assert_eq!(status, 200, "{name}");
    }
    // What was stored can be taken away again.
    mallory.run(&["-n", space, "delete", "networkpolicy", "--all"]).passes();
}

fn an_opening_that_is_split_over_two_selectors_is_refused_for_the_pod_that_joins_them(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "split";
    kubectl.namespace(space, &[]);
    kubectl.apply(&objects::baseline(space)).passes();
    let mallory = tenant(&kubectl, space);
    let egress = |key: &str, value: &str, to: &Value| json!({"podSelector": {"matchLabels": {key: value}}, "policyTypes": ["Egress"], "egress": [{"to": to}]});
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let public = json!([{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}]);
    let inside: Value = private.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
    mallory.apply(&policy(space, "a", &egress("app", "web", &public))).passes();
    mallory.apply(&policy(space, "b", &egress("tier", "front", &inside))).passes();
    let both = [("app", "web"), ("tier", "front")];
    until("the policies are known", || {
        let pod = objects::pod(space, "wide", &both);
        let outcome = mallory.run_with_input(&["create", "--dry-run=server", "-f", "-"], &pod);
        if outcome.is_denied() {
            outcome.denied("open-cidr", "10.0.0.0/8");
            Ok(())
        } else {
            Err(outcome.to_string())
        }
    });
    mallory.apply(&objects::pod(space, "wide", &both[..1])).passes();
    let label = ["-n", space, "label", "pod", "wide", "tier=front"];
    mallory.run(&label).denied("open-cidr", "10.0.0.0/8");
}
