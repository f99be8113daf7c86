//! Objects that are made to be expensive are answered within the bounds of a review: steps, not time, so that the test says
//! the same on every machine. `cargo bench --bench hostile` measures the same shapes in milliseconds and bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../benches/support/hostile.rs"]
mod hostile;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostile::{NAMESPACE, Shape, review, shapes};
use portcullis::admission::{Fixed, Gate, Outcome, Reply};
use portcullis::model::Object;
use portcullis::model::meter::measured;
use portcullis::review::{MOST_STEPS, World};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, ceiling, from_json};
use tokio::time::Instant;

/// Large enough that every quadratic loop shows, small enough for a build that is not optimised.
const BYTES: usize = 64 << 10;

/// Steps of an answer: the verdict and the proof of a fix may take as many each, and the object is read up to its ceiling
/// twice.
const BOUND: u64 = 2 * MOST_STEPS + 2 * ceiling::MOST_GROUP_PARTS;

/// What an answer may have: the API server logs it, and kubectl prints it.
const MOST_OF_AN_ANSWER: usize = 64 << 10;

/// The outcome of a review, the length of its answer and the steps that it took.
fn answered(world: World, body: &str) -> (Outcome, usize, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let gate = Gate::new(Arc::new(Fixed::new(world)));
    let outcome = Mutex::new(Outcome::Unavailable);
    let record = |decided: &portcullis::admission::Decided<'_>| *outcome.lock().unwrap() = decided.outcome;
    let deadline = Instant::now() + Duration::from_hours(1);
    let (reply, steps) = measured(|| runtime.block_on(gate.answer(body.as_bytes(), deadline, record)));
    let bytes = match reply {
        Reply::Review(bytes) => bytes.len(),
        Reply::BadRequest(text) | Reply::Unavailable(text) => panic!("no answer: {text}"),
    };
    let outcome = *outcome.lock().unwrap();
    (outcome, bytes, steps)
}

fn pod_in(namespace: &str) -> String {
    let pod = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web","namespace":"{namespace}","labels":{{"app":"web"}}}},"spec":{{"containers":[]}}}}"#
    );
    let body = review(("", "v1", "Pod"), true, "CREATE", &pod, "null");
    body.replace(
        &format!(r#""namespace":"{NAMESPACE}","operation""#),
        &format!(r#""namespace":"{namespace}","operation""#),
    )
}

#[test]
fn every_object_is_answered_within_the_bounds() {
    let mut wrong = Vec::new();
    for shape in shapes() {
        let (outcome, bytes, steps) = answered(World::default(), &shape.review(BYTES));
        if !matches!(outcome, Outcome::Allowed | Outcome::Warned | Outcome::Denied)
            || bytes > MOST_OF_AN_ANSWER
            || steps > if shape.namespaced { BOUND } else { 5 * BOUND }
        {
            wrong.push(format!("{} {}: {outcome:?}, {bytes} bytes, {steps} steps", shape.kind.2, shape.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A state with a hundred objects of a shape.
fn hundred(shape: &Shape) -> Snapshot {
    let (group, _, kind) = shape.kind;
    let kind = Kind::of(group, kind).unwrap();
    let defaults = Defaults { namespace: NAMESPACE, name: "" };
    let text = shape.object(BYTES / 16);
    let mut snapshot = Snapshot::default();
    for i in 0..100 {
        let object: Object =
            from_json(kind, text.replacen("\"big\"", &format!("\"big-{i}\""), 1).as_bytes(), &defaults);
        snapshot.insert(&object);
    }
    snapshot
}

#[test]
fn what_one_namespace_stores_costs_another_nothing() {
    let steps =
        |snapshot: Snapshot, namespace: &str| answered(World { snapshot, ..World::default() }, &pod_in(namespace));
    let (_, _, alone) = steps(Snapshot::default(), "other");
    let mut wrong = Vec::new();
    for shape in shapes().into_iter().filter(|shape| shape.namespaced) {
        let stored = hundred(&shape);
        let (.., other) = steps(stored.clone(), "other");
        let (_, bytes, same) = steps(stored, NAMESPACE);
        // Cilium's and Calico's kinds say which plugin there is, which takes some steps to see.
        if other > 2 * alone + 200 || same > BOUND || bytes > MOST_OF_AN_ANSWER {
            wrong.push(format!("{} {}: {alone} -> {other}, {same} at home", shape.kind.2, shape.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A state of many ordinary namespaces, as Kubernetes says how many there may be at most.
fn ordinary(namespaces: usize) -> Snapshot {
    let read = |kind: Kind, text: String| from_json(kind, text.as_bytes(), &Defaults::default());
    let mut snapshot = Snapshot::default();
    let dns = r#"{"metadata":{"name":"dns","namespace":"kube-system","labels":{"k8s-app":"kube-dns"}},"spec":{}}"#;
    snapshot.insert(&read(Kind::Pod, dns.to_owned()));
    for i in 0..namespaces {
        let unit = i % 40;
        snapshot.insert(&read(
            Kind::Namespace,
            format!(r#"{{"metadata":{{"name":"team-{i}","labels":{{"unit":"unit-{unit}"}}}}}}"#),
        ));
        for (name, spec) in [
            ("deny", r#"{"podSelector":{},"policyTypes":["Ingress","Egress"]}"#),
            (
                "dns",
                r#"{"podSelector":{},"policyTypes":["Egress"],"egress":[{"ports":[{"port":53,"protocol":"UDP"},{"port":53}],"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}}}]}]}"#,
            ),
            (
                "web",
                r#"{"podSelector":{"matchLabels":{"app":"web"}},"ingress":[{"from":[{"podSelector":{}}],"ports":[{"port":8080}]}]}"#,
            ),
        ] {
            let text = format!(r#"{{"metadata":{{"name":"{name}","namespace":"team-{i}"}},"spec":{spec}}}"#);
            snapshot.insert(&read(Kind::NetworkPolicy, text));
        }
        for app in ["web", "worker", "db", "cache"] {
            let labels = format!(r#"{{"app":"{app}"}}"#);
            let text =
                format!(r#"{{"metadata":{{"name":"{app}","namespace":"team-{i}","labels":{labels}}},"spec":{{}}}}"#);
            snapshot.insert(&read(Kind::Pod, text));
        }
    }
    snapshot
}

#[test]
fn policies_of_a_large_cluster_are_not_too_large() {
    let snapshot = ordinary(2_000);
    let cluster = |spec: &str| {
        let object = format!(
            r#"{{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{{"name":"big"}},"spec":{spec}}}"#
        );
        review(("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy"), false, "CREATE", &object, "null")
    };
    let specs = [
        r#"{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"ingress":[{"action":"Deny","from":[{"namespaces":{"matchLabels":{"unit":"unit-3"}}}]}]}"#,
        r#"{"tier":"Admin","priority":5,"subject":{"namespaces":{}},"egress":[{"action":"Deny","to":[{"networks":["10.0.0.0/8"]}]}]}"#,
        r#"{"tier":"Baseline","priority":5,"subject":{"namespaces":{"matchLabels":{"unit":"unit-3"}}},"egress":[{"action":"Pass","to":[{"namespaces":{}}]}]}"#,
    ];
    for spec in specs {
        let body = cluster(spec);
        let outcome = Mutex::new(String::new());
        let world = World { snapshot: snapshot.clone(), ..World::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let gate = Gate::new(Arc::new(Fixed::new(world)));
        let record = |decided: &portcullis::admission::Decided<'_>| {
            let rules = decided.verdict.iter().flat_map(|v| &v.findings).map(|j| j.finding.rule.as_str());
            *outcome.lock().unwrap() = rules.collect::<Vec<_>>().join(",");
        };
        let deadline = Instant::now() + Duration::from_hours(1);
        let (_, steps) = measured(|| runtime.block_on(gate.answer(body.as_bytes(), deadline, record)));
        let rules = outcome.lock().unwrap().clone();
        assert!(!rules.contains("too-large"), "{steps} steps: {rules}");
        println!("{steps} steps: {rules}");
    }
}
