//! What goes wrong between here and the API server: each fault with what must follow.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::source::watch::Resource;
use crate::source::watch::script::{Act, event, page, status};

/// The list after the thread was lost: p1 is gone, p2 has changed, p3 is new.
fn later(script: &Script) {
    script.list("pods", "100", &[pod("a", "p2", "40", "api"), pod("a", "p3", "41", "web")]);
}

async fn listed_again(watched: &Watched) {
    until("listed again", || classes(watched, "a") == ["app=api x1", "app=web x1"]).await;
}

#[tokio::test(start_paused = true)]
async fn gone_in_the_stream_lists_again() {
    let script = small();
    let feed = script.watch("pods");
    later(&script);
    let watched = start(&script);
    until_ready(&watched).await;
    feed.send(event("ERROR", &serde_json::from_str(&status(410)).unwrap())).unwrap();
    listed_again(&watched).await;
}

#[tokio::test(start_paused = true)]
async fn gone_at_the_start_lists_again() {
    let script = small();
    script.fail("watch pods", 410);
    later(&script);
    let watched = start(&script);
    listed_again(&watched).await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_starts_the_list_over_in_one_piece() {
    let script = Script::default();
    script
        .then("list pods", Act::Answer(200, page("7", "one", &[pod("a", "ghost", "1", "ghost")])))
        .fail("list pods", 410);
    later(&script);
    let watched = start(&script);
    listed_again(&watched).await;
    assert_eq!(script.asked("list pods")[2], "list pods?limit=0");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_goes_on_from_the_last_event() {
    let script = small();
    let (first, second) = (script.watch("pods"), script.watch("pods"));
    let watched = start(&script);
    until_ready(&watched).await;
    first.send(event("MODIFIED", &pod("a", "p1", "11", "api"))).unwrap();
    first.send(Ok("{\"type\":\"DELE".to_owned())).unwrap();
    first.send(Err(std::io::ErrorKind::ConnectionReset.into())).unwrap();
    second.send(event("DELETED", &pod("a", "p2", "12", "web"))).unwrap();
    until("the second watch is read", || classes(&watched, "a") == ["app=api x1"]).await;
    assert!(script.asked("watch pods")[1].contains("resourceVersion=11&"));
    assert_eq!(script.asked("list pods").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_noticed_and_left() {
    let script = small();
    let feed = script.watch("pods");
    let watched = start(&script);
    until_ready(&watched).await;
    let begun = tokio::time::Instant::now();
    until("a second watch", || script.asked("watch pods").len() == 2).await;
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
    drop(feed);
}

#[tokio::test(start_paused = true)]
async fn silence_makes_unready_and_an_answer_ready_again() {
    let script = small();
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(!watched.may_be_behind("a"));
    let names = ["namespaces", "pods", "networkpolicies", "houserules", "ruleexceptions"];
    for name in names {
        script.usually(&format!("list {name}"), 503, status(503));
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(watched.may_be_behind("a"), "an approval would rest on what is a minute old");
    assert_eq!(watched.not_ready(), None);
    until("unready", || watched.not_ready().is_some()).await;
    let why = watched.not_ready().unwrap();
    assert!(why.contains("nothing heard from the API server for 12"), "{why}");
    assert!(why.contains("the API server answered 503"), "{why}");
    assert_eq!(classes(&watched, "a"), ["app=web x2"], "what was known stays known");

    for name in names {
        script.usually(&format!("list {name}"), 200, page("50", "", &[]));
    }
    until_ready(&watched).await;
    assert!(classes(&watched, "a").is_empty(), "and what has gone meanwhile is gone");
}

#[tokio::test(start_paused = true)]
async fn one_kind_that_finds_the_server_back_tells_the_others() {
    let script = small();
    let names = ["namespaces", "pods", "networkpolicies", "houserules", "ruleexceptions"];
    let watches: Vec<String> = names.iter().map(|name| format!("watch {name}")).collect();
    let open: Vec<_> = names.iter().map(|name| script.watch(name)).collect();
    let watched = start(&script);
    until_ready(&watched).await;
    let requests = |what: &String| script.asked(what).iter().filter(|asked| asked.starts_with(what)).count();
    for what in &watches {
        script.usually(what, 503, status(503));
        script.usually(&what.replace("watch", "list"), 503, status(503));
    }
    drop(open);
    tokio::time::sleep(Duration::from_secs(90)).await;

    // The API server is back, and every kind somewhere in a pause of up to 15 s.
    for what in &watches {
        script.no_longer(what).no_longer(&what.replace("watch", "list"));
    }
    let before: Vec<usize> = watches.iter().map(requests).collect();
    let asked = |i: usize| requests(&watches[i]) > before[i];
    until("the first asks again", || (0..watches.len()).any(asked)).await;
    let first = tokio::time::Instant::now();
    until("all ask again", || (0..watches.len()).all(asked)).await;
    assert!(first.elapsed() < Duration::from_secs(1), "the last one came {:?} later", first.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_watch_after_an_outage_is_short() {
    let script = small();
    let feed = script.watch("pods");
    script.fail("watch pods", 503);
    let watched = start(&script);
    until_ready(&watched).await;
    drop(feed);
    until("asked three times", || script.asked("watch pods").len() == 3).await;
    let lasting = |asked: &String| {
        let (_, rest) = asked.split_once("timeoutSeconds=").unwrap();
        rest.split('&').next().unwrap().parse::<u64>().unwrap()
    };
    let asked = script.asked("watch pods");
    assert!(lasting(&asked[0]) > 20, "{asked:?}");
    assert_eq!(lasting(&asked[2]), 3, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn forbidden_is_never_guessed_around() {
    let script = Script::default();
    script.usually("list pods", 403, status(403));
    let watched = start(&script);
    until("the reason is known", || watched.not_ready().is_some_and(|why| why.contains("forbidden"))).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let why = watched.not_ready().unwrap();
    assert!(why.starts_with("pods: forbidden: says 403; grant list and watch on pods"), "{why}");
    assert!(!why.contains("namespaces:"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn rights_taken_away_make_unready_at_the_next_watch() {
    let script = small();
    let feed = script.watch("networkpolicies");
    script.fail("watch networkpolicies", 403).fail("watch networkpolicies", 403);
    let watched = start(&script);
    until_ready(&watched).await;
    drop(feed);
    until("unready", || watched.not_ready().is_some()).await;
    assert!(watched.not_ready().unwrap().starts_with("networkpolicies.networking.k8s.io: forbidden"));
    assert_eq!(policies(&watched, "a"), ["deny"]);
    until_ready(&watched).await;
}

#[tokio::test(start_paused = true)]
async fn one_odd_object_costs_only_itself() {
    let script = Script::default();
    let mut odd = pod("a", "odd", "3", "web");
    odd["spec"] = json!("not a spec");
    let mut strange = policy("a", "strange", "4");
    strange["spec"]["podSelector"] = json!(7);
    script.list("pods", "10", &[odd, json!(5), json!({ "metadata": {} }), pod("a", "fine", "4", "web")]).list(
        "networkpolicies",
        "10",
        &[strange, policy("a", "deny", "5")],
    );
    let feed = script.watch("pods");
    let watched = start(&script);
    until_ready(&watched).await;
    assert_eq!(classes(&watched, "a"), ["app=web x1"]);
    assert_eq!(policies(&watched, "a"), ["deny", "strange"]);
    let world = watched.current();
    let state = world.snapshot.namespace_or_empty("a");
    let strange = state.policies().find(|policy| &*policy.id.name == "strange").unwrap();
    assert!(!strange.unread.is_empty(), "shown as not understood");

    feed.send(event("ADDED", &json!({ "metadata": { "labels": 3 } }))).unwrap();
    feed.send(event("ADDED", &pod("b", "next", "12", "web"))).unwrap();
    until("the stream goes on", || classes(&watched, "b") == ["app=web x1"]).await;
    let pods = watched.numbers().kinds.into_iter().find(|kind| kind.resource == Resource::Pods).unwrap();
    assert_eq!((pods.unreadable, pods.relists), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_json_lists_again() {
    let script = small();
    let feed = script.watch("pods");
    later(&script);
    let watched = start(&script);
    until_ready(&watched).await;
    feed.send(Ok("{\"type\":\"ADDED\",\"object\":{oops\n".to_owned())).unwrap();
    listed_again(&watched).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_behind_is_not_believed() {
    let script = small();
    let feed = script.watch("pods");
    later(&script);
    let watched = start(&script);
    until_ready(&watched).await;
    feed.send(event("MODIFIED", &pod("a", "p1", "9", "old"))).unwrap();
    listed_again(&watched).await;
    assert!(classes(&watched, "a").iter().all(|class| !class.contains("old")));
}

#[tokio::test(start_paused = true)]
async fn while_a_list_is_on_its_way_the_old_state_stays_whole() {
    let script = small();
    let feed = script.watch("pods");
    script
        .then("list pods", Act::Answer(200, page("100", "next", &[pod("a", "p2", "40", "api")])))
        .then("list pods", Act::Silence);
    later(&script);
    let watched = start(&script);
    until_ready(&watched).await;
    feed.send(event("ERROR", &serde_json::from_str(&status(410)).unwrap())).unwrap();
    until("half listed", || script.asked("list pods").len() == 3).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(classes(&watched, "a"), ["app=web x2"]);
    listed_again(&watched).await;
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_a_kind_is_gone_is_not_believed() {
    let script = small();
    let rules = json!({ "metadata": { "name": "strict", "resourceVersion": "30" }, "spec": {} });
    script.list("houserules", "31", std::slice::from_ref(&rules));
    script.fail("watch houserules", 404);
    script.list("houserules", "32", std::slice::from_ref(&rules));
    script.fail("watch houserules", 404).fail("list houserules", 404);
    let watched = start(&script);
    until("there", || !watched.current().house.rules.is_empty()).await;
    until("listed again", || script.asked("list houserules").len() == 2).await;
    assert!(!watched.current().house.rules.is_empty());
    until("gone for good", || watched.current().house.rules.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_left_alone_and_pauses_grow() {
    let script = Script::default();
    script.usually("list pods", 429, status(429));
    let watched = start(&script);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let asked = script.asked("list pods").len();
    assert!((8..40).contains(&asked), "{asked} requests in two minutes");
    assert!(watched.not_ready().unwrap().contains("pods: not listed yet (the API server answered 429: says 429)"));
}
