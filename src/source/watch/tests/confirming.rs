//! Consistent reads, and changes that are expected until the watches show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::model::{Change, Object};
use crate::source::watch::client::RequestError;
use crate::source::watch::confirm::{Fresh, ReadNamespace, Reader};
use crate::source::watch::script::{Act, event, page};
use crate::translate::{Defaults, Kind, from_json};
use crate::unseen::Part;

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
    assert_eq!(watched.numbers().confirm.reads, 2, "the namespace, and what belongs to none");
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
    script.fail("list ciliumclusterwidenetworkpolicies", 500);
    let error = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("policies of the whole cluster could not be read afresh: the API server answered 500")
    );
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

fn cilium(namespace: Option<&str>, name: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name, "resourceVersion": "1" },
        "spec": { "endpointSelector": {}, "egress": [{ "toCIDRSet": [{ "cidrGroupRef": "partners" }] }] },
    })
}

fn group(cidr: &str) -> Value {
    json!({ "metadata": { "name": "partners", "resourceVersion": "1" }, "spec": { "externalCIDRs": [cidr] } })
}

fn tier(order: u32) -> Value {
    json!({ "metadata": { "name": "security", "resourceVersion": "1" }, "spec": { "order": order } })
}

#[tokio::test(start_paused = true)]
async fn every_kind_that_decides_is_read_afresh_with_what_it_refers_to() {
    let script = small();
    script.usually("list a", 200, plain("a", "1").to_string());
    let absent = crate::source::watch::script::status(404);
    for kind in ["clusternetworkpolicies", "adminnetworkpolicies"] {
        script.usually(&format!("list {kind}"), 404, absent.clone());
    }
    script
        .list("ciliumnetworkpolicies", "10", &[cilium(Some("a"), "old"), cilium(Some("b"), "other")])
        .list("ciliumclusterwidenetworkpolicies", "10", &[cilium(None, "gone")])
        .list("ciliumcidrgroups", "10", &[group("198.51.100.0/24")])
        .list("calico tiers", "10", &[tier(5)]);
    let watched = start(&script);
    until_ready(&watched).await;
    let asked = script.asked("list clusternetworkpolicies").len();
    script
        .list("ciliumnetworkpolicies", "60", &[cilium(Some("a"), "new")])
        .list("ciliumclusterwidenetworkpolicies", "60", &[cilium(None, "everywhere")])
        .list("ciliumcidrgroups", "60", &[group("203.0.113.0/24")])
        .list("calico tiers", "60", &[tier(7)])
        .list("networkpolicies", "60", &[policy("a", "deny", "5")]);
    let world = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap();
    let state = world.snapshot.namespace("a").unwrap();
    assert_eq!(state.policies().map(|p| p.id.name.to_string()).collect::<Vec<_>>(), ["deny", "new"]);
    let opened = state.policies().flat_map(|p| &p.policies).flat_map(|p| &p.egress).flat_map(|rule| &rule.peers);
    assert_eq!(opened.map(|peer| peer.addresses().to_string()).collect::<Vec<_>>(), ["203.0.113.0/24"]);
    let everywhere = world.snapshot.cluster_policies().map(|p| p.id.name.to_string());
    assert_eq!(everywhere.collect::<Vec<_>>(), ["everywhere"]);
    assert_eq!(world.snapshot.tiers().map(|t| t.order.number()).collect::<Vec<_>>(), [Some(7.0)]);
    assert_eq!(
        world.snapshot.namespace("b").unwrap().policies().count(),
        1,
        "policies of other namespaces stay as the watch has them"
    );
    assert_eq!(world.snapshot.has_exclusive(), (true, false));
    assert_eq!(script.asked("list clusternetworkpolicies").len(), asked, "a kind that is not there is not asked for");
    assert!(script.asked("list stagednetworkpolicies").len() < 2, "what is only staged decides nothing");
}

#[tokio::test(start_paused = true)]
async fn a_kind_with_very_many_objects_counts_as_the_watch_has_it() {
    let script = small();
    script.usually("list a", 200, plain("a", "1").to_string());
    script.list("ciliumclusterwidenetworkpolicies", "10", &[cilium(None, "watched")]);
    let watched = start(&script);
    until_ready(&watched).await;
    let first = page("60", "there is more", &[cilium(None, "one of many")]);
    script.then("list ciliumclusterwidenetworkpolicies", Act::Answer(200, first));
    let world = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.snapshot.cluster_policies().map(|p| p.id.name.to_string()).collect::<Vec<_>>(), ["watched"]);
    assert!(script.asked("list ciliumclusterwidenetworkpolicies").last().unwrap().ends_with("?limit=1000"));
}

#[tokio::test(start_paused = true)]
async fn what_calico_stores_is_read_afresh_where_its_own_api_server_is_away() {
    let script = small();
    script.usually("list a", 200, plain("a", "1").to_string());
    script.usually("list calico globalnetworkpolicies", 503, crate::source::watch::script::status(503));
    let watched = start(&script);
    until_ready(&watched).await;
    let global = json!({ "metadata": { "name": "deny" }, "spec": { "types": ["Ingress", "Egress"] } });
    script.list("stored globalnetworkpolicies", "60", &[global]);
    let world = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.snapshot.cluster_policies().map(|p| p.id.name.to_string()).collect::<Vec<_>>(), ["deny"]);
    // Where neither answers, nothing is known.
    script.usually("list stored globalnetworkpolicies", 404, crate::source::watch::script::status(404));
    let error = watched.confirm("a", Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
}

/// Admits a change, and says how many changes a pod of namespace a has to expect.
fn admit(watched: &Watched, namespace: &str, change: Change) {
    let look = watched.unseen().look(namespace, Part::Policy);
    assert!(watched.unseen().admit(namespace, Part::Policy, &Arc::new(change), 100, &look));
}

fn expected(watched: &Watched, namespace: &str) -> usize {
    watched.unseen().look(namespace, Part::Protected).changes.len()
}

fn read(kind: Kind, value: &Value) -> Object {
    from_json(kind, value.to_string().as_bytes(), &Defaults::default())
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_the_whole_cluster_is_expected_everywhere_until_it_is_seen() {
    let script = small();
    let feed = script.watch("ciliumclusterwidenetworkpolicies");
    let watched = start(&script);
    until_ready(&watched).await;
    let everywhere = cilium(None, "everywhere");
    admit(&watched, "", Change::create(read(Kind::CiliumClusterwideNetworkPolicy, &everywhere)));
    assert_eq!((expected(&watched, "a"), expected(&watched, "b")), (1, 1));
    let reads = watched.numbers().confirm.reads;
    watched.confirm("", Instant::now() + Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        watched.numbers().confirm.reads,
        reads + 1,
        "a change of the whole cluster reads what is of the cluster"
    );
    feed.send(event("ADDED", &everywhere)).unwrap();
    until("passed", || expected(&watched, "a") == 0).await;
    assert_eq!(watched.current().snapshot.cluster_policies().count(), 1, "only when the state has it");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_expected_until_its_own_event() {
    let script = small();
    let feed = script.watch("networkpolicies");
    let watched = start(&script);
    until_ready(&watched).await;
    assert!(!watched.may_be_behind("a"));
    assert!(watched.may_be_behind("nowhere"), "not known");
    admit(&watched, "a", Change::delete(read(Kind::NetworkPolicy, &policy("a", "deny", "5"))));
    assert_eq!((expected(&watched, "a"), expected(&watched, "b")), (1, 0));
    // A change from before it.
    feed.send(event("MODIFIED", &policy("a", "deny", "11"))).unwrap();
    feed.send(event("ADDED", &policy("a", "other", "12"))).unwrap();
    until("the others are seen", || policies(&watched, "a").len() == 2).await;
    assert_eq!(expected(&watched, "a"), 1);
    feed.send(event("DELETED", &policy("a", "deny", "13"))).unwrap();
    until("passed", || expected(&watched, "a") == 0).await;
    assert_eq!(policies(&watched, "a"), ["other"], "only when the state has it");
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
