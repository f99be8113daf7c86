//! Kinds that a cluster may be without: they count from the moment they exist, wherever they are served.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::script::{event, namespace};
use super::{Script, start, until, until_ready};
use crate::source::watch::Resource;
use crate::translate::Kind;

fn cnp(name: &str, version: &str) -> Value {
    json!({
        "metadata": { "name": name, "resourceVersion": version },
        "spec": {
            "tier": "Baseline", "priority": 10, "subject": { "namespaces": {} },
            "ingress": [{ "action": "Deny", "from": [{ "namespaces": {} }] }],
        },
    })
}

fn absent(watched: &super::Watched, kind: Kind) -> bool {
    watched.numbers().kinds.iter().any(|numbers| numbers.resource == Resource::Foreign(kind) && numbers.absent)
}

fn names(watched: &super::Watched) -> Vec<String> {
    let world = watched.current();
    world.snapshot.cluster_policies().map(|policy| policy.id.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_kind_is_followed_from_the_moment_it_is_installed_and_forgotten_when_it_goes() {
    let script = Script::default();
    script.list("namespaces", "10", &[namespace("a", "1", json!({}))]);
    script.fail("list clusternetworkpolicies", 404).list("clusternetworkpolicies", "20", &[cnp("one", "20")]);
    let feed = script.watch("clusternetworkpolicies");
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(absent(&watched, Kind::ClusterNetworkPolicy) && names(&watched).is_empty());

    until("installed", || names(&watched) == ["one"]).await;
    assert!(!absent(&watched, Kind::ClusterNetworkPolicy));
    feed.send(event("ADDED", &cnp("two", "21"))).unwrap();
    until("one more", || names(&watched) == ["one", "two"]).await;
    feed.send(event("DELETED", &cnp("one", "22"))).unwrap();
    until("one less", || names(&watched) == ["two"]).await;
    assert_eq!(watched.numbers().kinds.iter().map(|k| k.objects).sum::<u64>(), 2, "one namespace, one policy");

    // The definition is deleted: two answers in a row are believed, and the objects are gone with it.
    script.usually("list clusternetworkpolicies", 404, super::super::script::status(404));
    script.usually("watch clusternetworkpolicies", 404, super::super::script::status(404));
    drop(feed);
    until("uninstalled", || names(&watched).is_empty()).await;
    assert!(absent(&watched, Kind::ClusterNetworkPolicy) && watched.not_ready().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_calico_stores_is_read_where_its_own_api_server_is_away() {
    for code in [404, 503, 403] {
        let script = Script::default();
        script.usually("list calico globalnetworksets", code, super::super::script::status(code));
        let watched = start(&script);
        until_ready(&watched).await;
        assert!(!absent(&watched, Kind::GlobalNetworkSet), "{code}");
        assert_eq!(script.asked("list stored globalnetworksets").len(), 1, "{code}");
    }
    // An API server that cannot answer is no proof that there is nothing to know.
    let script = Script::default();
    script.fail("list calico globalnetworksets", 503);
    script.usually("list stored globalnetworksets", 404, super::super::script::status(404));
    let watched = start(&script);
    until("asked twice", || !script.asked("list stored globalnetworksets").is_empty()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let why = watched.not_ready().expect("not known to be absent");
    assert!(why.contains("globalnetworksets.projectcalico.org: not listed yet (the API server answered 503"), "{why}");
    until_ready(&watched).await;
    assert!(!absent(&watched, Kind::GlobalNetworkSet));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_cannot_be_read_is_there_all_the_same() {
    let script = Script::default();
    script.list("adminnetworkpolicies", "20", &[json!({ "metadata": { "name": "odd" }, "spec": 7 })]);
    let watched = start(&script);
    until_ready(&watched).await;
    let world = watched.current();
    let odd = world.snapshot.cluster_policies().next().expect("it is there");
    assert_eq!((&*odd.id.name, odd.unread.len() > 1), ("odd", true), "{:?}", odd.unread);
}
