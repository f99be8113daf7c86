//! What is expected, for how long, how much of it, and in which order reviews are put.

use super::*;
use crate::model::pod::Controller;
use crate::model::{Labels, Namespace, ObjectRef, PodSpec, PolicyObject, Workload};
use crate::snapshot::Snapshot;

fn policy(namespace: &str, name: &str) -> Object {
    let id = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", namespace, name).into();
    Object::Policy(PolicyObject { id, policies: Vec::new(), unread: Vec::new(), implicit_types: false })
}

fn pod(namespace: &str, name: &str) -> Object {
    Object::Workload(Workload {
        id: ObjectRef::namespaced("v1", "Pod", namespace, name),
        labels: Labels::default(),
        pod: Arc::new(PodSpec::with_labels(Labels::new([("app", name)]))),
        controller: None::<Controller>,
        addresses: Vec::new(),
        finished: false,
        leaving: false,
        template_at: "",
    })
}

fn admit(unseen: &Unseen, namespace: &str, change: Change) -> bool {
    let part = Part::of(&change).unwrap();
    let look = unseen.look(namespace, part);
    unseen.admit(namespace, part, &Arc::new(change), 100, &look)
}

fn seen_by(unseen: &Unseen, namespace: &str, part: Part) -> Vec<String> {
    unseen.look(namespace, part).changes.iter().map(|change| change.id.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_expected_where_it_matters_until_it_is_shown_or_time_is_up() {
    let unseen = Unseen::default();
    assert!(admit(&unseen, "a", Change::delete(policy("a", "deny"))));
    assert!(admit(&unseen, "a", Change::create(pod("a", "web"))));
    assert_eq!(seen_by(&unseen, "a", Part::Policy), ["deny", "web"]);
    assert_eq!(seen_by(&unseen, "a", Part::Protected), ["deny"], "pods do not stand in each other's way");
    assert!(seen_by(&unseen, "b", Part::Policy).is_empty());
    assert_eq!(seen_by(&unseen, CLUSTER, Part::Policy), ["deny", "web"], "a policy of the cluster concerns all");

    assert!(unseen.shown(Shown::Is(&policy("a", "deny"))).is_empty(), "that is not its deletion");
    let Object::Policy(gone) = policy("a", "deny") else { panic!("a policy") };
    unseen.forget(&unseen.shown(Shown::Gone(&gone.id)));
    assert_eq!(seen_by(&unseen, "a", Part::Policy), ["web"]);
    unseen.forget(&unseen.shown(Shown::Is(&pod("a", "web"))));
    assert!(unseen.is_empty());

    assert!(admit(&unseen, "a", Change::create(pod("a", "web"))));
    tokio::time::advance(EXPECTED_FOR).await;
    assert!(seen_by(&unseen, "a", Part::Policy).is_empty());
    assert!(!unseen.look("a", Part::Policy).doubtful, "pods are not read afresh");

    assert!(admit(&unseen, "a", Change::delete(policy("a", "deny"))));
    assert!(!unseen.look("a", Part::Protected).doubtful);
    tokio::time::advance(EXPECTED_FOR).await;
    assert!(unseen.look("a", Part::Protected).doubtful);
    tokio::time::advance(DOUBTED_FOR).await;
    assert!(!unseen.look("a", Part::Protected).doubtful);
}

#[tokio::test(start_paused = true)]
async fn of_two_reviews_at_once_the_second_has_to_look_again() {
    let unseen = Unseen::default();
    let (first, second) = (unseen.look("a", Part::Policy), unseen.look("a", Part::Protected));
    let elsewhere = unseen.look("b", Part::Policy);
    assert!(unseen.admit("a", Part::Policy, &Arc::new(Change::delete(policy("a", "deny"))), 1, &first));
    let create = Arc::new(Change::create(pod("a", "web")));
    assert!(!unseen.admit("a", Part::Protected, &create, 1, &second));
    assert!(unseen.admit("b", Part::Policy, &Arc::new(Change::delete(policy("b", "deny"))), 1, &elsewhere));
    // The watch has shown it meanwhile: nothing is found, and yet the state that was judged may lack it.
    let Object::Policy(gone) = policy("a", "deny") else { panic!("a policy") };
    unseen.forget(&unseen.shown(Shown::Gone(&gone.id)));
    assert!(!unseen.admit("a", Part::Protected, &create, 1, &second));
    let again = unseen.look("a", Part::Protected);
    assert!(again.changes.is_empty());
    assert!(unseen.admit("a", Part::Protected, &create, 1, &again));
    // Two pods do not have to wait for each other, and a change of the whole cluster has to for both.
    let (one, two, all) =
        (unseen.look("a", Part::Protected), unseen.look("a", Part::Protected), unseen.look(CLUSTER, Part::Policy));
    assert!(
        unseen.admit("a", Part::Protected, &create, 1, &one) && unseen.admit("a", Part::Protected, &create, 1, &two)
    );
    assert!(!unseen.admit(CLUSTER, Part::Policy, &Arc::new(Change::delete(policy("", "all"))), 1, &all));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_held_is_said_to_be_unknown_for_a_while() {
    let unseen = Unseen::default();
    for i in 0..MOST_IN_A_PLACE {
        assert!(admit(&unseen, "a", Change::create(pod("a", &format!("p{i}")))));
    }
    assert!(!unseen.look("a", Part::Policy).overflown);
    assert!(admit(&unseen, "a", Change::create(pod("a", "more"))));
    assert!(unseen.look("a", Part::Policy).overflown);
    assert!(!unseen.look("a", Part::Protected).overflown && !unseen.look("b", Part::Policy).overflown);
    let large = Arc::new(Change::create(policy("b", "large")));
    let look = unseen.look("b", Part::Policy);
    assert!(unseen.admit("b", Part::Policy, &large, MOST_BYTES_IN_A_PLACE + 1, &look));
    assert!(unseen.look("b", Part::Protected).overflown);
    tokio::time::advance(EXPECTED_FOR).await;
    assert!(!unseen.look("a", Part::Policy).overflown && !unseen.look("b", Part::Protected).overflown);
    assert!(admit(&unseen, "c", Change::create(pod("c", "web"))));
    assert_eq!(unseen.len(), 1, "what has run out is cleared away");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_makes_up_namespaces_fills_nothing() {
    let unseen = Unseen::default();
    let early = unseen.look("real", Part::Policy);
    for i in 0..MOST_PLACES + 10 {
        let name = format!("n{i}");
        assert!(admit(&unseen, &name, Change::create(pod(&name, "web"))));
    }
    assert!(unseen.len() <= MOST_PLACES);
    let change = Arc::new(Change::delete(policy("real", "deny")));
    assert!(!unseen.admit("real", Part::Policy, &change, 1, &early), "what was thrown away could have mattered");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_a_watch_shows_something_or_with_the_deadline() {
    let unseen = Arc::new(Unseen::default());
    assert!(admit(&unseen, "a", Change::create(pod("a", "web"))));
    let look = unseen.look("a", Part::Policy);
    let start = Instant::now();
    unseen.moved_since(&look, "a", Part::Policy, start + Duration::from_secs(2)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let other = Arc::clone(&unseen);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.forget(&other.shown(Shown::Is(&pod("a", "web"))));
    });
    let start = Instant::now();
    unseen.moved_since(&look, "a", Part::Policy, start + Duration::from_secs(2)).await;
    assert_eq!(start.elapsed(), Duration::from_millis(300));
}

#[test]
fn each_change_may_be_stored_or_not() {
    let (one, two) = (policy("a", "one"), policy("a", "two"));
    let now = Snapshot::of([&Object::Namespace(Namespace::named("a")), &one, &two]);
    let changes = [Change::delete(one), Change::delete(two), Change::create(pod("a", "web"))].map(Arc::new);
    let described = |snapshot: &Snapshot| {
        let state = snapshot.namespace_or_empty("a");
        let names: Vec<&str> = state.policies().map(|policy| &*policy.id.name).collect();
        format!("{} with {}", names.join(","), state.classes().len())
    };
    let worlds = |changes: &[Arc<Change>]| -> Vec<String> {
        super::worlds(&now, changes).unwrap().iter().map(described).collect()
    };
    assert_eq!(worlds(&changes), ["one,two with 1", "two with 1", "one with 1", " with 1"]);
    assert_eq!(worlds(&changes[..1]), ["two with 0"]);
    assert!(worlds(&[]).is_empty());
    let more: Vec<Arc<Change>> = (0..5).map(|i| Arc::new(Change::create(policy("a", &format!("p{i}"))))).collect();
    let found = worlds(&more);
    assert_eq!(found.len(), 12);
    assert!(
        found.contains(&"one,p0,p1,p2,p3,p4,two with 0".to_owned()) && found.contains(&"one,p3,two with 0".to_owned())
    );
    let many: Vec<Arc<Change>> = (0..13).map(|i| Arc::new(Change::create(policy("a", &format!("p{i}"))))).collect();
    assert!(super::worlds(&now, &many).is_none());
}
