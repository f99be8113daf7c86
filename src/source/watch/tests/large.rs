//! What the largest supported cluster costs: cargo test --release --lib large -- --ignored --nocapture

use std::time::Instant;

use serde_json::value::to_raw_value;

use super::*;
use crate::model::house::Level;
use crate::source::watch::Resource;
use crate::source::watch::desk::Desk;
use crate::source::watch::follow::Update;
use crate::source::watch::item::Item;
use crate::source::watch::writer::Writer;
use crate::translate::Kind;

const NAMESPACES: usize = 25_000;
const PODS: usize = 100_000;
const POLICIES: usize = 75_000;
/// Each with pods; the names say so.
const DEPLOYMENTS: usize = 20_000;
/// The last ten revisions of each Deployment.
const REPLICA_SETS: usize = 200_000;
const PAGE: usize = 500;

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn object(resource: Resource, i: usize) -> Value {
    let namespace = format!("team-{}", i % NAMESPACES);
    match resource {
        Resource::Namespaces => plain(&namespace, "1"),
        Resource::NetworkPolicies => policy(&namespace, &format!("policy-{i}"), "1"),
        Resource::Templates(kind) => {
            let mut pod = pod(&namespace, "", "1", "web");
            let mut object = json!({
                "metadata": { "namespace": namespace, "name": format!("web-{i}"), "labels": { "app": "web" } },
                "spec": { "replicas": 4, "template": { "metadata": pod["metadata"].take(), "spec": pod["spec"].take() } },
            });
            if kind == Kind::ReplicaSet {
                object["metadata"]["ownerReferences"] =
                    json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true }]);
            }
            object
        }
        _ => {
            let mut pod = pod(&namespace, &format!("web-5d8f9c7b6d-{i}"), "1", "web");
            pod["status"]["podIPs"] = json!([{ "ip": format!("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255) }]);
            pod["metadata"]["labels"]["pod-template-hash"] = json!("5d8f9c7b6d");
            pod["metadata"]["ownerReferences"] =
                json!([{ "kind": "ReplicaSet", "name": "web-5d8f9c7b6d", "controller": true }]);
            pod
        }
    }
}

fn list(writer: &mut Writer, resource: Resource, count: usize) -> std::time::Duration {
    let mut spent = std::time::Duration::ZERO;
    writer.take(Update::ListBegun(resource));
    for first in (0..count).step_by(PAGE) {
        let raw: Vec<_> =
            (first..count.min(first + PAGE)).map(|i| to_raw_value(&object(resource, i)).unwrap()).collect();
        let start = Instant::now();
        let items = raw.iter().map(|raw| Item::read(resource, raw).unwrap()).collect();
        writer.take(Update::Page(resource, items));
        spent += start.elapsed();
    }
    let start = Instant::now();
    writer.take(Update::ListEnded(resource, tokio::time::Instant::now()));
    spent + start.elapsed()
}

#[test]
#[ignore = "measures; only a release build says anything"]
fn large_clusters_fit() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let kinds = [
        (Resource::Namespaces, NAMESPACES),
        (Resource::Pods, PODS),
        (Resource::NetworkPolicies, POLICIES),
        (Resource::Templates(Kind::Deployment), DEPLOYMENTS),
        (Resource::Templates(Kind::ReplicaSet), REPLICA_SETS),
    ];
    println!("before: {} MiB", resident());
    for round in ["first list", "listed again"] {
        for (resource, count) in kinds {
            let took = list(&mut writer, resource, count);
            println!("{round}: {count} {resource}: {took:?}, {} MiB", resident());
        }
        let start = Instant::now();
        let changed = writer.publish(0, Level::Enforce, Level::Warn).world;
        println!("{round}: published in {:?}, changed: {}", start.elapsed(), changed.is_some());
    }
    let events: Vec<Item> = (0..10_000)
        .map(|i| {
            let mut pod = object(Resource::Pods, i * 7 % PODS);
            pod["metadata"]["labels"]["app"] = json!(format!("v{i}"));
            Item::read(Resource::Pods, &to_raw_value(&pod).unwrap()).unwrap()
        })
        .collect();
    let mut held = None;
    let start = Instant::now();
    let count = events.len();
    for event in events {
        writer.take(Update::Changed(Resource::Pods, event, tokio::time::Instant::now()));
        // Readers hold the version before, so every one of them has to be copied.
        held = writer.publish(0, Level::Enforce, Level::Warn).world.or(held);
    }
    println!("{count} single events, each published: {:?} each, {} MiB", start.elapsed() / 10_000, resident());
    assert_eq!(writer.objects(Resource::Pods), PODS);
    assert!(held.is_some());
}
