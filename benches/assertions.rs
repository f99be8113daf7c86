//! How long it takes to look at 1,000 assertions again after one change, in a cluster of 25,000 namespaces, 75,000 policies
//! and 100,000 pods: which of them the change can concern, and what those come to.
//!
//! `cargo bench --bench assertions` prints a table; the time is that of the thread.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark speaks on its output")]

mod support;

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use portcullis::model::house::Dialect;
use portcullis::model::{Change, Object};
use portcullis::reach::{Focus, Readings, State, evaluate};
use portcullis::snapshot::Snapshot;
use portcullis::translate::Kind;
use serde_json::{Value, json};
use support::cluster::{self, HOME, object};

/// Assertions in each setting.
const ROWS: usize = 1_000;
/// Times that each is measured.
const ROUNDS: usize = 51;

fn labelled(app: &str) -> Value {
    json!({"matchLabels": {"app.kubernetes.io/name": app}})
}

fn namespace(name: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": name}})
}

fn row(i: usize, from: &Value, to: &Value, expect: &str) -> Object {
    let spec = json!({"from": from, "to": to, "ports": [{"port": 8443}], "expect": expect});
    object(Kind::ClusterConnectivityAssertion, &json!({"metadata": {"name": format!("row-{i:04}")}, "spec": spec}))
}

fn team(i: usize) -> String {
    format!("team-{i:05}")
}

/// Four rows for each of 250 namespaces.
fn spread() -> Vec<Object> {
    let pods = |team: usize, app: &str| json!({"namespaceSelector": namespace(&self::team(team)), "podSelector": labelled(app)});
    let rows = (0..ROWS).map(|i| {
        let home = i / 4;
        match i % 4 {
            0 => row(i, &pods(home + 1, "web"), &pods(home, "web"), "Allow"),
            1 => row(i, &pods(home, "worker"), &pods(home, "web"), "Deny"),
            2 => row(i, &pods(home + 2, "web"), &pods(home, "web"), "Deny"),
            _ => row(i, &pods(home, "web"), &json!({"cidr": "169.254.169.254/32"}), "Deny"),
        }
    });
    rows.collect()
}

/// All rows about one namespace; `same`: all about the pods that its policies select.
fn dense(same: bool) -> Vec<Object> {
    let rows = (0..ROWS).map(|i| {
        let app = if same || i % 50 == 0 { "web".to_owned() } else { format!("part-{:02}", i % 50) };
        let from = json!({"namespaceSelector": namespace(&team(i)), "podSelector": labelled("web")});
        row(i, &from, &json!({"namespaceSelector": namespace(HOME), "podSelector": labelled(&app)}), "Deny")
    });
    rows.collect()
}

fn everywhere() -> Vec<Object> {
    let rows = (0..ROWS).map(|i| {
        let to = json!({"cidr": format!("198.51.100.{}/32", i % 256)});
        row(i, &json!({"namespaceSelector": {}}), &to, "Deny")
    });
    rows.collect()
}

fn policy_of(world: &Snapshot, namespace: &str, name: &str) -> Object {
    let state = world.namespace(namespace).unwrap();
    Object::Policy((**state.policies().find(|policy| &*policy.id.name == name).unwrap()).clone())
}

fn measure(what: &str, base: &Snapshot, rows: &[Object], change: &Change) {
    let mut world = base.clone();
    for row in rows {
        world.insert(row);
    }
    let world = world.overlay(change);
    // Under every reading, and under the one of a network plugin that is known, as it is in most clusters.
    for (plugin, settled) in [("unknown", None), ("known", Some(Dialect::Calico))] {
        measure_as(&format!("{what} (plugin {plugin})"), &world, &Readings::of(settled), change);
    }
}

fn measure_as(what: &str, world: &Snapshot, readings: &Readings, change: &Change) {
    let mut times: Vec<Duration> = Vec::new();
    let (mut concerned, mut broken) = (0, 0);
    for _ in 0..ROUNDS {
        (concerned, broken) = (0, 0);
        let start = ThreadTime::now();
        let focus = Focus::of(change);
        for row in world.assertions() {
            let claim = row.claim.as_ref().unwrap();
            if let Some(outcome) = evaluate(world, claim, readings, &focus) {
                concerned += 1;
                broken += usize::from(matches!(outcome.state, State::Broken(_)));
                black_box(&outcome);
            }
        }
        times.push(start.elapsed());
    }
    times.sort();
    let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    println!("{what:<72} {concerned:>9} {broken:>6} {median:>11.1?} {most:>11.1?}");
}

fn main() {
    let objects: Vec<Object> = cluster::namespaces()
        .chain(cluster::policies())
        .chain(cluster::pods())
        .map(|(kind, value)| object(kind, &value))
        .collect();
    let world = Snapshot::of(&objects);
    println!(
        "{:<72} {:>9} {:>6} {:>11} {:>11}",
        "1,000 assertions, one change", "concerned", "broken", "median", "most"
    );
    let gone = |namespace: &str, name: &str| Change::delete(policy_of(&world, namespace, name));
    let label = |name: &str| {
        let before = object(Kind::Namespace, &json!({"metadata": {"name": name, "labels": {"a": "x"}}}));
        let after = object(Kind::Namespace, &json!({"metadata": {"name": name, "labels": {"a": "y"}}}));
        Change::update(before, after)
    };
    let spread = spread();
    measure("250 namespaces, the policy of one workload goes", &world, &spread, &gone("team-00100", "allow-web"));
    measure("250 namespaces, the default deny of one goes", &world, &spread, &gone("team-00100", "default-deny"));
    measure("250 namespaces, one gets another label", &world, &spread, &label("team-00100"));
    measure("250 namespaces, a policy elsewhere goes", &world, &spread, &gone("team-20000", "allow-web"));
    measure("one namespace, the policy of some workloads goes", &world, &dense(false), &gone(HOME, "tier-01"));
    measure("one namespace, a policy that concerns every row goes", &world, &dense(true), &gone(HOME, "tier-01"));
    measure("one namespace, its default deny goes", &world, &dense(true), &gone(HOME, "default-deny"));
    measure(
        "all about every pod, the policy of one workload goes",
        &world,
        &everywhere(),
        &gone("team-00100", "allow-web"),
    );
    measure("all about every pod, a default deny goes", &world, &everywhere(), &gone("team-00100", "default-deny"));
}
