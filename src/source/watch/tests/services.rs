//! Services are followed as long as a policy names one, and not a moment longer than that.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::script::{event, status};
use super::{Script, Settings, Watched, plain, start, until, until_ready};
use crate::model::{Direction, Peer};
use crate::source::watch::Resource;

fn service(name: &str, version: &str, app: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": name, "resourceVersion": version },
        "spec": { "selector": { "app": app }, "ports": [{ "port": 80 }] },
    })
}

fn naming(version: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": "out", "resourceVersion": version },
        "spec": { "endpointSelector": {}, "egress": [{ "toServices": [{ "k8sService": { "serviceName": "db", "namespace": "a" } }] }] },
    })
}

/// What the first rule of the policy comes to: the labels of the pods, or nothing where that is not known.
fn leads_to(watched: &Watched) -> Option<String> {
    let world = watched.current();
    let state = world.snapshot.namespace_or_empty("a");
    let policy = world.snapshot.policies_in(&state).next()?;
    match policy.rules(Direction::Egress).first()?.peers.first()? {
        Peer::Pods(pods) => Some(pods.pods.to_string()),
        _ => None,
    }
}

fn absent(watched: &Watched) -> bool {
    watched.numbers().kinds.iter().any(|kind| kind.resource == Resource::Services && kind.absent)
}

#[tokio::test(start_paused = true)]
async fn services_are_followed_as_long_as_a_policy_names_one() {
    let script = Script::default();
    script.list("namespaces", "10", &[plain("a", "1")]);
    script.list("services", "20", &[service("db", "20", "db"), service("web", "20", "web")]);
    let (policies, services) = (script.watch("ciliumnetworkpolicies"), script.watch("services"));
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(absent(&watched) && script.asked("list services").is_empty(), "nobody asks for them");

    policies.send(event("ADDED", &naming("11"))).unwrap();
    until("known", || leads_to(&watched).is_some()).await;
    assert!(leads_to(&watched).unwrap().contains("app=db"), "{:?}", leads_to(&watched));
    assert!(!absent(&watched) && watched.not_ready().is_none());
    services.send(event("MODIFIED", &service("db", "21", "postgres"))).unwrap();
    until("changed", || leads_to(&watched).is_some_and(|text| text.contains("app=postgres"))).await;
    services.send(event("DELETED", &service("db", "22", "postgres"))).unwrap();
    until("deleted", || leads_to(&watched).is_none()).await;
    assert_eq!(watched.current().snapshot.references().services.len(), 1, "of which the rest is known");

    policies.send(event("DELETED", &naming("12"))).unwrap();
    drop(services);
    until("forgotten", || absent(&watched)).await;
    assert!(watched.current().snapshot.references().services.is_empty());
    let asked = script.asked("list services").len();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!((script.asked("list services").len(), watched.not_ready()), (asked, None), "and not asked for again");
}

#[tokio::test(start_paused = true)]
async fn without_permission_they_are_not_known() {
    let script = Script::default();
    script.list("namespaces", "10", &[plain("a", "1")]).list("ciliumnetworkpolicies", "10", &[naming("9")]);
    script.usually("list services", 403, status(403));
    let watched = Watched::start(script.client(), Settings::new("portcullis"));
    until("asked", || !script.asked("list services").is_empty()).await;
    until_ready(&watched).await;
    assert!(leads_to(&watched).is_none() && absent(&watched));
    script.no_longer("list services").list("services", "20", &[service("db", "20", "db")]);
    until("allowed", || leads_to(&watched).is_some()).await;
}
