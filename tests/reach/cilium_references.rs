//! What Cilium's policies refer to beyond pods: Services, service accounts, clusters, nodes and groups of a cloud provider.
//! What is known settles the verdict; what is not leaves it open, whichever way the rule goes.

use portcullis::model::entrance::Entrances;
use portcullis::model::{CiliumConfig, Enforcement, References};
use portcullis::reach::{Point, Verdict};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, entrance, from_value};
use serde_json::{Value, json};

use crate::cilium_docs::{answer, ccnp, cnp, objects, tcp};
use crate::world::read;

use Verdict::{Allow, Deny, Depends};

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn service(namespace: &str, name: &str, labels: Value, selector: Value) -> Value {
    json!({
        "kind": "Service", "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"selector": selector, "ports": [{"port": 443, "targetPort": 80}]},
    })
}

/// The small cluster of the documentation with Services in it.
fn knowing(policies: &[Value]) -> Snapshot {
    let mut entrances = Entrances::default();
    for value in [
        service("default", "front", json!({"team": "a"}), json!({"role": "frontend"})),
        service("public", "front", json!({"team": "a"}), json!({"role": "frontend"})),
        service("default", "back", json!({"team": "b"}), json!({"role": "backend"})),
        service("default", "outside", json!({"team": "c"}), Value::Null),
    ] {
        assert!(entrance::take("", "Service", &value, "default", &mut entrances));
    }
    let known = References { services: entrances.services, ..References::default() };
    Snapshot::knowing(known, &read(&objects(policies)))
}

/// What batch may reach: frontend, backend, the visitor of another namespace, and somebody outside, on port 80.
fn reaches(world: &Snapshot) -> [Verdict; 4] {
    ["frontend", "backend", "visitor", "192.0.2.0/24"].map(|to| answer(world, "batch", to, &tcp(80)).verdict)
}

fn egress(field: &str, rule: &Value) -> Snapshot {
    knowing(&[cnp(json!({"endpointSelector": {}, field: [rule]}))])
}

#[test]
fn services_are_the_pods_that_they_select() {
    // semantics 2.3.13: on every port, not only on those of the Service.
    let one = json!({"toServices": [{"k8sService": {"serviceName": "front", "namespace": "default"}}]});
    assert_eq!(reaches(&egress("egress", &one)), [Allow, Deny, Deny, Deny]);
    assert_eq!(answer(&egress("egress", &one), "batch", "frontend", &tcp(9999)).verdict, Allow);
    let anywhere = json!({"toServices": [{"k8sService": {"serviceName": "front"}}]});
    assert_eq!(reaches(&egress("egress", &anywhere)), [Allow, Deny, Allow, Deny], "of every namespace");
    let by_label = |label: &str, namespace: &str| {
        let selector = json!({"matchLabels": {"team": label}});
        json!({"toServices": [{"k8sServiceSelector": {"selector": selector, "namespace": namespace}}]})
    };
    assert_eq!(reaches(&egress("egress", &by_label("a", ""))), [Allow, Deny, Allow, Deny]);
    assert_eq!(reaches(&egress("egress", &by_label("a", "public"))), [Deny, Deny, Allow, Deny]);
    let both = json!({"toServices": [
        {"k8sService": {"serviceName": "back", "namespace": "default"}},
        {"k8sServiceSelector": {"selector": {"matchLabels": {"team": "a"}}, "namespace": "public"}},
    ]});
    assert_eq!(reaches(&egress("egress", &both)), [Deny, Allow, Allow, Deny]);
}

#[test]
fn a_deny_of_a_service_beats_the_allow_of_everything() {
    // semantics 2.3.4 and 2.3.13
    let world = knowing(&[cnp(json!({
        "endpointSelector": {},
        "egress": [{"toEntities": ["all"]}],
        "egressDeny": [{"toServices": [{"k8sService": {"serviceName": "back", "namespace": "default"}}]}],
    }))]);
    assert_eq!(reaches(&world), [Allow, Deny, Allow, Allow]);
}

#[test]
fn a_service_that_is_not_known_or_has_no_selector_leaves_the_answer_open() {
    // semantics 2.3.13: its endpoints may be pods of its namespace, or addresses outside.
    for name in ["gone", "outside"] {
        let rule = json!({"toServices": [{"k8sService": {"serviceName": name, "namespace": "default"}}]});
        assert_eq!(reaches(&egress("egress", &rule)), [Depends, Depends, Deny, Depends], "{name}");
        let deny =
            knowing(&[cnp(json!({"endpointSelector": {}, "egress": [{"toEntities": ["all"]}], "egressDeny": [rule]}))]);
        assert_eq!(reaches(&deny), [Depends, Depends, Allow, Depends], "{name}");
    }
    let rule = json!({"toServices": [{"k8sService": {"serviceName": "gone", "namespace": "default"}}]});
    let answer = answer(&egress("egress", &rule), "batch", "backend", &tcp(80));
    let text = format!("{answer:?}");
    assert!(text.contains("Service default/gone, not known here"), "the answer names the Service: {text}");
    assert_eq!(answer.points, [Point::NotKnown], "and blames nothing else");
}

#[test]
fn services_together_with_ports_depend_on_the_release() {
    // semantics 2.3.13: most releases refuse the combination.
    let rule = json!({
        "toServices": [{"k8sService": {"serviceName": "back", "namespace": "default"}}],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}],
    });
    let world = egress("egress", &rule);
    assert_eq!(reaches(&world), [Depends; 4], "a policy that is refused isolates nobody");
    let shut = cnp(json!({"endpointSelector": {}, "egress": [{}]}));
    let mut other = cnp(json!({"endpointSelector": {}, "egress": [rule]}));
    other["metadata"]["name"] = "other".into();
    let world = knowing(&[shut, other]);
    assert_eq!(reaches(&world), [Deny, Depends, Deny, Deny], "and beside a default deny it may allow what it says");
    assert_eq!(answer(&world, "batch", "backend", &tcp(81)).verdict, Deny);
}

#[test]
fn the_labels_that_cilium_adds_are_there() {
    // semantics 2.3.7, 2.3.9
    let robot = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "public", "name": "robot"},
        "spec": {"serviceAccountName": "robot", "containers": []},
    });
    let from = |labels: Value| {
        let rule = json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [{"fromEndpoints": [{"matchLabels": labels}]}]});
        let world = knowing(&[ccnp(rule), robot.clone()]);
        ["frontend", "visitor", "robot"].map(|from| answer(&world, from, "backend", &tcp(80)).verdict)
    };
    assert_eq!(from(json!({"io.cilium.k8s.policy.serviceaccount": "robot"})), [Deny, Deny, Allow]);
    assert_eq!(from(json!({"k8s:io.cilium.k8s.policy.serviceaccount": "default"})), [Allow, Allow, Deny]);
    assert_eq!(from(json!({"io.cilium.k8s.namespace.labels.zone": "dmz"})), [Deny, Allow, Allow]);
    assert_eq!(
        from(json!({"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": "default"})),
        [Allow, Deny, Deny]
    );
    assert_eq!(from(json!({"io.cilium.k8s.policy.cluster": "default"})), [Allow; 3], "a cluster outside of a mesh");
}

#[test]
fn subjects_are_chosen_by_service_account_as_well() {
    // semantics 2.3.9
    let shut = ccnp(json!({
        "endpointSelector": {"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "robot"}}, "ingress": [{}],
    }));
    let robot = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "public", "name": "robot"},
        "spec": {"serviceAccountName": "robot", "containers": []},
    });
    let world = knowing(&[shut, robot]);
    let to = ["robot", "visitor"].map(|to| answer(&world, "frontend", to, &tcp(80)).verdict);
    assert_eq!(to, [Deny, Allow]);
}

#[test]
fn nodes_and_groups_of_a_cloud_provider_are_somewhere_outside() {
    // semantics 2.3.10, 2.3.16
    let nodes = json!({"toNodes": [{"matchLabels": {"pool": "edge"}}]});
    assert_eq!(reaches(&egress("egress", &nodes)), [Deny, Deny, Deny, Depends]);
    let groups = json!({"endpointSelector": {}, "egress": [{"toGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]}]});
    let object = from_value(Kind::CiliumNetworkPolicy, &cnp(groups), &Defaults::default());
    assert_eq!(object.unread()[0].at.as_str(), "spec.egress[0].toGroups[0]");
    let mut all = read(&objects(&[]));
    all.push(object);
    assert_eq!(reaches(&Snapshot::of(&all)), [Deny, Deny, Deny, Depends]);
}

#[test]
fn enforcement_decides_whether_policies_do() {
    // semantics 2.3.16
    let allow = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "frontend"}}]}],
    }));
    let verdicts = |mode: Enforcement| {
        let mut world = Snapshot::of(&read(&objects(std::slice::from_ref(&allow))));
        world.set_cilium(Some(CiliumConfig::on_the_command_line(mode)));
        let verdict = |from, to| answer(&world, from, to, &tcp(80)).verdict;
        [verdict("frontend", "backend"), verdict("batch", "backend"), verdict("batch", "visitor")]
    };
    assert_eq!(verdicts(Enforcement::Default), [Allow, Deny, Allow]);
    assert_eq!(verdicts(Enforcement::Always), [Deny; 3], "nothing lets frontend out");
    assert_eq!(verdicts(Enforcement::Never), [Allow; 3]);
}
