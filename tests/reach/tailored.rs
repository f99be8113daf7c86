//! Policies made to measure, for the matrices of random clusters: what is made yields exactly the matrix, as often as
//! labels allow it.

use std::collections::BTreeMap;

use portcullis::model::house::Dialect;
use portcullis::model::{Object, Policy};
use portcullis::reach::{CannotTailor, WantedEdge, tailor};
use portcullis::report::{Row, read_connections, read_end};
use portcullis::translate::{Defaults, Kind, from_value, render};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::clusters::cluster;
use crate::world::{all_rows, snapshot};

fn wanted(rows: &[Row]) -> Vec<WantedEdge> {
    let edge = |row: &Row| {
        let ports = read_connections(&row.conn).expect("as rows write it");
        (!ports.is_empty()).then(|| WantedEdge {
            from: read_end(&row.src).expect("an end"),
            to: read_end(&row.dst).expect("an end"),
            ports,
        })
    };
    rows.iter().filter_map(edge).collect()
}

fn is_policy(value: &Value) -> bool {
    value["kind"] == "NetworkPolicy"
}

/// What certainly passes, by both ends.
fn certain(rows: Vec<Row>) -> BTreeMap<(String, String), String> {
    let passing = rows.into_iter().filter(|row| &*row.conn != "No Connections");
    passing.map(|row| ((row.src.to_string(), row.dst.to_string()), row.conn.to_string())).collect()
}

/// The cluster with these policies in the place of its own, and a default deny everywhere.
fn replaced(objects: &[Value], policies: &[Policy]) -> Vec<Value> {
    let mut next: Vec<Value> = objects.iter().filter(|value| !is_policy(value)).cloned().collect();
    for policy in policies {
        next.push(render::network_policy(policy).expect("a NetworkPolicy can say it"));
    }
    for namespace in ["n0", "n1", "n2"] {
        next.push(serde_json::json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "default-deny-all", "namespace": namespace},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        }));
    }
    next
}

#[test]
fn what_is_made_yields_exactly_the_matrix() {
    let mut runner = TestRunner::deterministic();
    let (mut exact, mut alike, mut beyond) = (0, 0, 0);
    for _ in 0..400 {
        let objects = cluster(true).new_tree(&mut runner).expect("a cluster").current();
        let rows = all_rows(&objects, Some(Dialect::Cilium));
        let bare: Vec<Value> = objects.iter().filter(|value| !is_policy(value)).cloned().collect();
        match tailor(&snapshot(&bare), &wanted(&rows), |_| true) {
            Ok(policies) => {
                for policy in &policies {
                    let value = render::network_policy(policy).expect("a NetworkPolicy can say it");
                    let read = from_value(Kind::NetworkPolicy, &value, &Defaults::default());
                    let Object::Policy(read) = read else { panic!("it is a policy") };
                    assert!(read.unread.is_empty());
                }
                let made = certain(all_rows(&replaced(&objects, &policies), Some(Dialect::Cilium)));
                // What only an address block lets out to a node or in from one has no selector to say it.
                let on_nodes = objects.iter().any(|object| object["spec"]["hostNetwork"] == true);
                let same = made == certain(rows);
                assert!(same || on_nodes, "{objects:#?}\n{policies:#?}");
                (exact, beyond) = if same { (exact + 1, beyond) } else { (exact, beyond + 1) };
            }
            Err(CannotTailor::Alike { .. }) => alike += 1,
            Err(error @ CannotTailor::Unknown(_)) => panic!("{error}"),
        }
    }
    println!("{exact} exact, {alike} with pods that look the same, {beyond} with pods on their nodes' network");
    assert!(exact > 100, "most clusters have an answer: {exact} exact, {alike} alike, {beyond} beyond");
}
