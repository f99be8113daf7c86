//! Consistent reads and the marks that call for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::source::watch::client::RequestError;
use crate::source::watch::confirm::{Fresh, ReadNamespace, Reader};
use crate::source::watch::script::{Act, event, page};

#[tokio::test(start_paused = true)]
async fn a_confirmed_world_has_what_the_watch_has_not_seen() {
    let script = small();
    let watched = start(&script);
    until_ready(&watched).await;
    script.then("list a", Act::Answer(200, namespace("a", "60", json!({ "team": "blue" })).to_string())).list(
        "networkpolicies",
        "61",
        &[policy("a", "new", "60")],
    );
    let deadline = Instant::now() + Duration::from_secs(1);
    let world = watched.confirm("a", deadline).await.unwrap();
    let state = world.snapshot.namespace("a").unwrap();
    assert_eq!(state.policies().map(|p| p.id.name.to_string()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(state.labels().get("team").map(|v| &**v), Some("blue"));
    assert_eq!(state.classes().len(), 2, "pods stay");
    assert_eq!(policies(&watched, "a"), ["deny"], "what is published is not touched");
    assert!(
        script.asked("list networkpolicies").last().unwrap().ends_with("?limit=0"),
        "no version: a consistent read"
    );
    assert_eq!(watched.numbers().confirm.reads, 1);
}

#[tokio::test(start_paused = true)]
async fn no_answer_in_time_is_an_error_and_no_guess() {
    let script = small();
    let watched = start(&script);
    until_ready(&watched).await;
    script.then("list a", Act::Silence);
    let error = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().starts_with("namespace a could not be read afresh from the API server in time"));
    script.fail("list a", 500);
    let error = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "namespace a could not be read afresh: the API server answered 500: says 500");
    assert_eq!(watched.numbers().confirm.failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_policies_and_one_that_is_gone() {
    let script = small();
    let watched = start(&script);
    until_ready(&watched).await;
    script.fail("list a", 404).then("list networkpolicies", Act::Answer(200, page("70", "", &[])));
    let world = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap();
    let state = world.snapshot.namespace("a").unwrap();
    assert!(!state.is_known() && state.policies().next().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_not_safe_between_a_change_and_its_event() {
    let script = small();
    let feed = script.watch("networkpolicies");
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(!watched.may_be_behind("a"));
    assert!(watched.may_be_behind("nowhere"), "not known");
    watched.admitted_policy_change("a");
    assert!(watched.may_be_behind("a") && !watched.may_be_behind("b"));
    feed.send(event("DELETED", &policy("a", "deny", "11"))).unwrap();
    until("passed", || !watched.may_be_behind("a")).await;
    assert!(policies(&watched, "a").is_empty(), "only when the state has it");
}

/// Every read takes a second and finds how many began before it.
#[derive(Default)]
struct Slow(AtomicU64);

impl ReadNamespace for Slow {
    async fn read(&self, _: &str) -> Result<Fresh, RequestError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(RequestError::Gone(self.0.load(Ordering::Relaxed).to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_during_a_read_share_the_next_one() {
    let reader = Arc::new(Reader::new(Slow::default()));
    let ask = |after: u64| {
        let reader = Arc::clone(&reader);
        async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            reader.read("a", Instant::now() + Duration::from_secs(10)).await.unwrap_err().to_string()
        }
    };
    let answers = join_all([ask(0), ask(500), ask(600), ask(700)]).await;
    assert!(answers[0].ends_with(": 1"), "{answers:?}");
    assert!(answers[1..].iter().all(|answer| answer.ends_with(": 2")), "never one that began before: {answers:?}");
    assert_eq!((reader.numbers().reads, reader.numbers().shared), (2, 2));
    assert_eq!(reader.waiting(), 0, "nobody is left in line");
}

#[tokio::test(start_paused = true)]
async fn an_asker_who_leaves_holds_up_nobody() {
    let reader = Reader::new(Slow::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    let left = tokio::time::timeout(Duration::from_millis(100), reader.read("a", deadline)).await;
    assert!(left.is_err());
    assert_eq!(reader.waiting(), 0);
    assert!(reader.read("a", deadline).await.unwrap_err().to_string().ends_with(": 2"));
}
