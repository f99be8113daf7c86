//! What a healthy API server says arrives.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::source::watch::script::{Act, bookmark, event, page};
use crate::source::watch::{Resource, Timing};

#[tokio::test(start_paused = true)]
async fn lists_then_events_make_the_state() {
    let script = small();
    let (pods, policies_feed) = (script.watch("pods"), script.watch("networkpolicies"));
    let watched = start(&script);
    assert!(watched.not_ready().unwrap().contains("pods: not listed yet"));
    until_ready(&watched).await;
    assert_eq!(classes(&watched, "a"), ["app=web x2"]);
    assert_eq!(policies(&watched, "a"), ["deny"]);

    pods.send(event("MODIFIED", &pod("a", "p1", "11", "api"))).unwrap();
    until("moved to another class", || classes(&watched, "a") == ["app=api x1", "app=web x1"]).await;
    pods.send(event("DELETED", &pod("a", "p2", "12", "web"))).unwrap();
    pods.send(event("ADDED", &pod("b", "p3", "13", "db"))).unwrap();
    until("deleted and added", || classes(&watched, "b") == ["app=db x1"]).await;
    assert_eq!(classes(&watched, "a"), ["app=api x1"]);
    policies_feed.send(event("DELETED", &policy("a", "deny", "14"))).unwrap();
    until("policy gone", || policies(&watched, "a").is_empty()).await;

    let watches = script.asked("watch pods");
    assert_eq!(watches.len(), 1);
    assert!(watches[0].contains("resourceVersion=10&") && watches[0].contains("allowWatchBookmarks=true"));
    let counted = watched.numbers().kinds.iter().map(|kind| kind.objects).collect::<Vec<_>>();
    assert_eq!(counted[..7], [2, 2, 0, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_part_of_the_state_and_its_status_is_not() {
    let script = small();
    let (rows, cluster_rows) = (script.watch("connectivityassertions"), script.watch("clusterconnectivityassertions"));
    let watched = start(&script);
    until_ready(&watched).await;
    let ends = json!({"from": {"podSelector": {}}, "to": {"podSelector": {}}, "expect": "Allow"});
    let mut row =
        json!({"metadata": {"name": "row", "namespace": "a", "resourceVersion": "11", "generation": 1}, "spec": ends});
    let wide = json!({"metadata": {"name": "wide", "resourceVersion": "12", "generation": 1}, "spec": ends});
    rows.send(event("ADDED", &row)).unwrap();
    cluster_rows.send(event("ADDED", &wide)).unwrap();
    until("both are there", || watched.current().snapshot.assertions().len() == 2).await;
    let version = watched.numbers().version;
    row["metadata"]["resourceVersion"] = json!("13");
    row["status"] = json!({"phase": "Holds"});
    rows.send(event("MODIFIED", &row)).unwrap();
    let key = ("a".into(), "row".into());
    until("its status is seen", || watched.desk().borrow().assertions()[&key].status["phase"] == "Holds").await;
    assert_eq!(watched.numbers().version, version, "a status is no reason for a new version");
    row["metadata"]["resourceVersion"] = json!("14");
    rows.send(event("DELETED", &row)).unwrap();
    until("one is gone", || watched.current().snapshot.assertions().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_matter_is_not_published() {
    let script = small();
    let (pods, namespaces) = (script.watch("pods"), script.watch("namespaces"));
    let watched = start(&script);
    until_ready(&watched).await;
    let version = watched.numbers().version;
    let mut noisy = pod("a", "p1", "11", "web");
    noisy["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
    noisy["metadata"]["annotations"] = json!({ "x": "y" });
    pods.send(event("MODIFIED", &noisy)).unwrap();
    namespaces.send(event("MODIFIED", &plain("a", "12"))).unwrap();
    pods.send(bookmark("13")).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(watched.numbers().version, version);
    pods.send(event("DELETED", &pod("a", "p1", "14", "web"))).unwrap();
    until("the pod is gone", || classes(&watched, "a") == ["app=web x1"]).await;
    assert_eq!(watched.numbers().version, version + 1);
}

#[tokio::test(start_paused = true)]
async fn finished_pods_are_no_pods() {
    let script = small();
    let pods = script.watch("pods");
    let watched = start(&script);
    until_ready(&watched).await;
    let mut done = pod("a", "p1", "11", "web");
    done["status"]["phase"] = json!("Succeeded");
    pods.send(event("MODIFIED", &done)).unwrap();
    until("one is left", || classes(&watched, "a") == ["app=web x1"]).await;
    pods.send(event("DELETED", &done)).unwrap();
    pods.send(event("DELETED", &pod("a", "p2", "12", "web"))).unwrap();
    until("none is left", || classes(&watched, "a").is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn pages_are_put_together_and_an_empty_one_is_no_end() {
    let script = Script::default();
    script
        .then("list pods", Act::Answer(200, page("7", "one", &[pod("a", "p1", "1", "web")])))
        .then("list pods", Act::Answer(200, page("7", "two", &[])))
        .then("list pods", Act::Answer(200, page("7", "", &[pod("a", "p2", "2", "api")])));
    let watched = start(&script);
    until_ready(&watched).await;
    assert_eq!(classes(&watched, "a"), ["app=api x1", "app=web x1"]);
    let asked = script.asked("list pods");
    assert_eq!(asked, ["list pods?limit=500", "list pods?limit=500&continue=one", "list pods?limit=500&continue=two"]);
}

#[tokio::test(start_paused = true)]
async fn the_watch_goes_on_where_it_ended() {
    let script = small();
    let first = script.watch("pods");
    let second = script.watch("pods");
    let watched = start(&script);
    until_ready(&watched).await;
    first.send(bookmark("20")).unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    drop(first);
    second.send(event("DELETED", &pod("a", "p1", "21", "web"))).unwrap();
    until("the second watch is read", || classes(&watched, "a") == ["app=web x1"]).await;
    assert!(script.asked("watch pods")[1].contains("resourceVersion=20&"));
    assert_eq!(script.asked("list pods").len(), 1, "nothing was lost, so nothing is listed again");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_bookmarks_stays_fresh_by_ending_its_watches_in_good_order() {
    let script = Script::default();
    let watched = start(&script);
    for _ in 0..10 {
        let feeds: Vec<_> =
            ["namespaces", "pods", "networkpolicies", "houserules", "ruleexceptions"].map(|k| script.watch(k)).into();
        tokio::time::sleep(Timing::default().watch + Duration::from_secs(5)).await;
        drop(feeds);
    }
    assert_eq!(watched.not_ready(), None);
    let age = watched.numbers().kinds.iter().filter_map(|kind| kind.age).max().unwrap();
    assert!(age < Duration::from_mins(1), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn our_own_kinds_count_from_the_moment_they_exist() {
    let script = small();
    script.fail("list houserules", 404).fail("list ruleexceptions", 404);
    let rules = json!({
        "metadata": { "name": "strict", "generation": 3, "resourceVersion": "30" },
        "spec": { "rules": { "host-network": { "level": "enforce" } } },
    });
    script.list("houserules", "31", std::slice::from_ref(&rules));
    let feed = script.watch("houserules");
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(watched.current().house.rules.is_empty());
    assert!(watched.numbers().kinds.iter().any(|kind| kind.resource == Resource::HouseRules && kind.absent));

    until("found", || watched.current().house.rules.iter().any(|rules| &*rules.name == "strict")).await;
    assert_eq!(watched.desk().borrow().rules().values().next().unwrap().generation, Some(3));

    let version = watched.numbers().version;
    let mut judged = rules.clone();
    judged["status"] = json!({ "namespaces": 2 });
    judged["metadata"]["resourceVersion"] = json!("32");
    feed.send(event("MODIFIED", &judged)).unwrap();
    until("the status has come", || {
        watched.desk().borrow().rules().values().any(|rules| rules.status == json!({ "namespaces": 2 }))
    })
    .await;
    assert_eq!(watched.numbers().version, version, "a status changes no rule");
}
