//! What is known of the network besides policies: Cilium's configuration, which may be missing or forbidden, and hints from
//! nodes and definitions, for which nothing waits.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::script::{Act, event, page, status};
use super::{Script, Settings, Watched, plain, pod, small, start, until, until_ready};
use crate::model::{Direction, Enforcement};
use crate::source::watch::Resource;

fn config(version: &str, mode: &str) -> Value {
    json!({
        "metadata": { "name": "cilium-config", "namespace": "kube-system", "resourceVersion": version },
        "data": { "enable-policy": mode, "kube-proxy-replacement": "true" },
    })
}

fn mode(watched: &Watched) -> Option<Enforcement> {
    watched.current().snapshot.cilium().map(|config| config.mode)
}

/// Whether the pods of a namespace without policies are isolated, and those of one with them.
fn isolated(watched: &Watched) -> [bool; 2] {
    let world = watched.current();
    ["b", "a"].map(|name| {
        let state = world.snapshot.namespace_or_empty(name);
        world.snapshot.policies_in(&state).any(|policy| policy.isolates(Direction::Ingress))
    })
}

fn absent(watched: &Watched) -> bool {
    watched.numbers().kinds.iter().any(|kind| kind.resource == Resource::CiliumConfig && kind.absent)
}

fn seen(watched: &Watched) -> Vec<String> {
    watched.current().snapshot.sightings().iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn ciliums_configuration_is_followed() {
    let script = small();
    script.list("configmaps", "10", &[config("10", "always")]);
    let feed = script.watch("configmaps");
    let watched = start(&script);
    until_ready(&watched).await;
    assert_eq!((mode(&watched), isolated(&watched)), (Some(Enforcement::Always), [true, true]));
    assert_eq!(
        script.asked("list configmaps"),
        ["list configmaps?fieldSelector=metadata.name%3Dcilium-config&limit=500"]
    );
    let asked = script.asked("watch configmaps");
    assert!(asked[0].contains("?fieldSelector=metadata.name%3Dcilium-config&watch=1&"), "{asked:?}");

    feed.send(event("MODIFIED", &config("11", "never"))).unwrap();
    until("never", || isolated(&watched) == [false, false]).await;
    // Of an agent that does not start with a value that is none, nothing changes but by its next start.
    feed.send(event("MODIFIED", &config("12", "sometimes"))).unwrap();
    until("no value", || (mode(&watched), isolated(&watched)) == (Some(Enforcement::Default), [false, true])).await;
    feed.send(event("MODIFIED", &config("13", "always"))).unwrap();
    until("again", || isolated(&watched) == [true, true]).await;
    feed.send(event("DELETED", &config("14", "always"))).unwrap();
    until("gone", || mode(&watched).is_none()).await;
    assert_eq!(isolated(&watched), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_list_without_the_configuration_forgets_it() {
    let script = small();
    script.list("configmaps", "10", &[config("10", "always")]).list("configmaps", "20", &[]);
    script.fail("watch configmaps", 410);
    let watched = start(&script);
    until_ready(&watched).await;
    until("forgotten", || mode(&watched).is_none()).await;
    assert_eq!((isolated(&watched), watched.not_ready()), ([false, true], None));
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_may_not_be_read_is_assumed_and_read_once_it_may_be() {
    let script = small();
    script.usually("list configmaps", 403, status(403));
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(absent(&watched) && mode(&watched).is_none());
    script.no_longer("list configmaps").list("configmaps", "10", &[config("10", "always")]);
    until("allowed", || mode(&watched) == Some(Enforcement::Always)).await;
    assert!(!absent(&watched));

    // The permission is taken away: nothing goes on counting that nobody can see any more.
    let script = small();
    script.list("configmaps", "10", &[config("10", "always")]);
    script.usually("watch configmaps", 403, status(403)).usually("list configmaps", 403, status(403));
    let watched = start(&script);
    until_ready(&watched).await;
    until("assumed", || mode(&watched).is_none()).await;
    assert_eq!(watched.not_ready(), None);
}

fn node(name: &str, reason: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "status": { "conditions": [{ "type": "NetworkUnavailable", "status": "False", "reason": reason }] },
    })
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_nodes() {
    let script = small();
    let groups = json!({ "groups": [{ "name": "apps" }, { "name": "cilium.io" }] }).to_string();
    script.usually("list apis", 200, groups);
    script.then("list nodes", Act::Silence).then("list nodes", Act::Answer(403, status(403)));
    script.usually("list nodes", 200, page("9", "more", &[node("a", "RouteCreated"), node("b", "CalicoIsUp")]));
    let mut settings = Settings::new("portcullis");
    settings.timing.scout = Duration::from_mins(1);
    let watched = Watched::start(script.client(), settings);
    until_ready(&watched).await;
    assert!(seen(&watched).is_empty(), "ready before the nodes have answered");
    until("definitions", || seen(&watched) == ["Cilium, by the CustomResourceDefinitions of cilium.io alone"]).await;
    until("nodes", || seen(&watched) == ["Calico, by the condition NetworkUnavailable (CalicoIsUp) of node b"]).await;
    let asked = script.asked("list nodes");
    assert!(asked.iter().all(|query| query == "list nodes?limit=20"), "one page and no more: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn agents_outdo_nodes_as_long_as_they_run() {
    let mut agent = pod("kube-system", "canal-x7k2p", "9", "x");
    agent["metadata"]["labels"] = json!({ "k8s-app": "canal" });
    agent["metadata"]["ownerReferences"] = json!([{ "kind": "DaemonSet", "name": "canal", "controller": true }]);
    let script = Script::default();
    script.list("namespaces", "10", &[plain("a", "1")]).list("pods", "10", std::slice::from_ref(&agent));
    script.list("nodes", "10", &[node("b", "CalicoIsUp")]);
    let feed = script.watch("pods");
    let watched = start(&script);
    until_ready(&watched).await;
    assert_eq!(seen(&watched), ["Canal, by the agents of DaemonSet kube-system/canal"]);
    agent["metadata"]["resourceVersion"] = json!("11");
    feed.send(event("DELETED", &agent)).unwrap();
    until("none", || seen(&watched) == ["Calico, by the condition NetworkUnavailable (CalicoIsUp) of node b"]).await;
}
