//! NetworkPolicy and its conversion to Calico's kind: the same verdicts on random clusters, whatever the policies.

use std::net::IpAddr;
use std::sync::Arc;

use portcullis::model::{Object, References};
use portcullis::translate::convert::convert;
use portcullis::translate::{Defaults, Kind, from_value, render};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::clusters::{OUTSIDE, cases, cluster};
use crate::random::snapshot;
use crate::world::table;

/// The same cluster with every NetworkPolicy written in Calico's kind.
fn converted(objects: &[Value]) -> Vec<Value> {
    let (mut all, mut policies) = (Vec::new(), Vec::new());
    for value in objects {
        if value["kind"] != "NetworkPolicy" {
            all.push(value.clone());
            continue;
        }
        let read = from_value(Kind::NetworkPolicy, value, &Defaults { namespace: "n0", name: "" });
        let Object::Policy(policy) = read else { panic!("{value}") };
        policies.push(Arc::new(policy));
    }
    let conversion = convert(&policies, Kind::CalicoNetworkPolicy);
    assert!(conversion.refused.is_empty(), "{:?}", conversion.refused);
    all.extend(conversion.converted.into_iter().flat_map(|one| one.objects));
    all
}

proptest! {
    #![proptest_config(cases(250))]

    #[test]
    fn the_conversion_to_calico_changes_no_verdict(objects in cluster(true)) {
        let outside: Vec<IpAddr> = OUTSIDE.iter().map(|a| a.parse().unwrap()).collect();
        let calico = converted(&objects);
        let read = |objects| snapshot(objects, References::default());
        let (before, after) = (table(&read(&objects)?, &outside), table(&read(&calico)?, &outside));
        for (pair, bounds) in &before {
            prop_assert_eq!(after.get(pair), Some(bounds), "{:?}\n{}", pair, serde_json::to_string_pretty(&calico).unwrap());
        }
    }
}

#[test]
fn a_policy_reads_as_people_write_it() {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "legacy", "operator": "DoesNotExist"}]},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}}], "ports": [{"port": "http"}]}],
            "egress": [{
                "to": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
                    {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.0/30"]}},
                ],
                "ports": [{"protocol": "UDP", "port": 53}, {"port": 8000, "endPort": 8080}],
            }],
        },
    });
    let written = render::to_yaml(&converted(&[policy])[0]);
    insta::assert_snapshot!("converted_policy", written);
}
