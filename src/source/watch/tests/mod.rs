//! A followed cluster against a scripted API server, on paused time.

mod confirming;
mod following;
mod foreign;
mod large;
mod losing;
mod network;
mod once;
mod services;
mod templates;
mod writing;

use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Script, namespace, pod, policy};
use super::{Settings, Watched};

/// A cluster in which only the scripted kinds have anything to say.
fn start(script: &Script) -> Watched {
    Watched::start(script.client(), Settings::new("portcullis"))
}

/// Waits for a condition; on paused time this costs none.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(10), wait).await.is_ok(), "never happened: {what}");
}

async fn until_ready(watched: &Watched) {
    until("ready", || watched.not_ready().is_none()).await;
}

/// `app=web x2` for all pods of a namespace, by their labels.
fn classes(watched: &Watched, namespace: &str) -> Vec<String> {
    let world = watched.current();
    let mut counts = std::collections::BTreeMap::new();
    for class in world.snapshot.namespace_or_empty(namespace).classes() {
        *counts.entry(class.pod().labels.to_string()).or_insert(0) += class.count();
    }
    counts.into_iter().map(|(labels, count)| format!("{labels} x{count}")).collect()
}

fn policies(watched: &Watched, namespace: &str) -> Vec<String> {
    let world = watched.current();
    let state = world.snapshot.namespace_or_empty(namespace);
    state.policies().map(|policy| policy.id.name.to_string()).collect()
}

fn plain(name: &str, version: &str) -> Value {
    namespace(name, version, json!({}))
}

/// Two namespaces, two pods, one policy.
fn small() -> Script {
    let script = Script::default();
    script
        .list("namespaces", "10", &[plain("a", "1"), plain("b", "2")])
        .list("pods", "10", &[pod("a", "p1", "3", "web"), pod("a", "p2", "4", "web")])
        .list("networkpolicies", "10", &[policy("a", "deny", "5")]);
    script
}
