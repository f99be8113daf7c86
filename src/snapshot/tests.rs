//! The state under changes, overlays, and links between objects.

use super::*;
use crate::model::cni::Cni;
use crate::model::ipset::parse_cidr;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{
    Action, AddressScope, FieldPath, GroupChoice, GroupKind, GroupPeer, Labels, Namespace, NamespaceScope, Peer,
    PodSpec, PortMatch, Priority, Rule, Selector, Subject, Tier, TierEnd, Workload,
};

pub(super) fn pod(namespace: &str, name: &str, app: &str) -> Object {
    Object::Workload(Workload {
        id: ObjectRef::namespaced("v1", "Pod", namespace, name),
        labels: Labels::default(),
        pod: Arc::new(PodSpec::with_labels(Labels::new([("app", app)]))),
        controller: Some(crate::model::pod::Controller { kind: "Deployment".into(), name: app.into() }),
        addresses: Vec::new(),
        finished: false,
        leaving: false,
        template_at: "",
    })
}

#[test]
fn pods_fold_into_classes_and_come_out_again() {
    let (a, b, c) = (pod("n", "a", "web"), pod("n", "b", "web"), pod("n", "c", "api"));
    let mut snapshot = Snapshot::of([&a, &b, &c]);
    let classes =
        |s: &Snapshot| s.namespace("n").map_or(Vec::new(), |n| n.classes().iter().map(|c| c.count()).collect());
    assert_eq!(classes(&snapshot), [1, 2], "api, then web");
    snapshot.remove(&a);
    assert_eq!(classes(&snapshot), [1, 1]);
    snapshot.remove(&b);
    snapshot.remove(&c);
    assert!(snapshot.namespace("n").is_none(), "nothing is left behind");
}

#[test]
fn a_pod_that_goes_away_is_counted_out_once() {
    let (a, b) = (pod("n", "a", "web"), pod("n", "b", "web"));
    let Object::Workload(mut going) = a.clone() else { panic!("a pod") };
    going.leaving = true;
    let going = Object::Workload(going);
    let mut snapshot = Snapshot::of([&a, &b]);
    snapshot.apply(&Change::update(a, going.clone()));
    snapshot.apply(&Change::delete(going));
    assert_eq!(snapshot.namespace("n").unwrap().classes()[0].count(), 1, "the other pod is still there");
}

#[test]
fn a_template_is_there_once_and_goes_with_its_last_object() {
    let template = |name: &str, app: &str| {
        let Object::Workload(pod) = pod("n", name, app) else { panic!("a pod") };
        let id = ObjectRef::namespaced("apps/v1", "ReplicaSet", "n", name);
        let controller = Some(crate::model::pod::Controller { kind: "Rollout".into(), name: "r".into() });
        Object::Workload(Workload { id, controller, template_at: "spec.template", ..pod })
    };
    let (one, two) = (template("one", "web"), template("two", "web"));
    let classes = |s: &Snapshot| s.namespace("n").map_or(0, |n| n.classes().len());
    let mut snapshot = Snapshot::of([&one, &two, &one]);
    assert_eq!(classes(&snapshot), 1, "of one owner and like each other");
    snapshot.apply(&Change::update(one, template("one", "api")));
    assert_eq!(classes(&snapshot), 2);
    snapshot.remove(&template("one", "api"));
    assert_eq!(classes(&snapshot), 1);
    snapshot.remove(&two);
    assert!(snapshot.namespace("n").is_none(), "nothing is left behind");
}

#[test]
fn an_overlay_leaves_the_world_as_it_is() {
    let before = Snapshot::of([&pod("n", "a", "web")]);
    let after = before.overlay(&Change::create(pod("n", "b", "api")));
    assert_eq!(before.namespace("n").unwrap().classes().len(), 1);
    assert_eq!(after.namespace("n").unwrap().classes().len(), 2);
}

#[test]
fn a_scope_by_name_and_by_label_agree() {
    let prod = Object::Namespace(Namespace::new("prod", &Labels::new([("env", "prod")])));
    let snapshot = Snapshot::of([&prod, &Object::Namespace(Namespace::named("dev"))]);
    let names = |scope: &NamespaceScope| snapshot.in_scope(scope).map(|n| n.name().to_string()).collect::<Vec<_>>();
    assert_eq!(names(&NamespaceScope::Matching(Selector::equals("env", "prod"))), ["prod"]);
    assert_eq!(names(&NamespaceScope::Matching(Selector::equals(NAMESPACE_NAME_LABEL, "dev"))), ["dev"]);
    let neither = Selector::all(vec![Selector::equals(NAMESPACE_NAME_LABEL, "dev"), Selector::exists("env")]);
    assert!(names(&NamespaceScope::Matching(neither)).is_empty());
    assert_eq!(names(&NamespaceScope::all()).len(), 2);
}

pub(super) fn policy(namespace: Option<&str>, name: &str, tier: Arc<Tier>, peers: Vec<Peer>) -> Object {
    let mut id = ObjectRef::cluster("projectcalico.org/v3", "GlobalNetworkPolicy", name);
    id.namespace = namespace.map(Into::into);
    let id = Arc::new(id);
    let rule = Rule {
        action: Action::Allow,
        peers,
        ports: PortMatch::any(),
        at: FieldPath::default(),
        peers_at: "",
        filtered_by: None,
    };
    let subject = Subject { namespaces: NamespaceScope::all(), pods: Selector::everything() };
    let policy = Policy {
        id: Arc::clone(&id),
        tier,
        priority: Priority::LAST,
        subject,
        isolates_ingress: true,
        isolates_egress: false,
        ingress: vec![rule],
        egress: Vec::new(),
    };
    Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread: Vec::new(), implicit_types: false })
}

fn set(namespace: &'static str, cidr: &str) -> Object {
    Object::AddressGroup(AddressGroup {
        id: ObjectRef::namespaced("projectcalico.org/v3", "NetworkSet", namespace, "set"),
        kind: GroupKind::NetworkSet,
        labels: Labels::new([("role", "db")]),
        nets: vec![parse_cidr(cidr).unwrap().0],
        unread: Vec::new(),
    })
}

fn groups(namespaces: NamespaceScope) -> Peer {
    Peer::Groups(GroupPeer {
        kind: GroupKind::NetworkSet,
        namespaces,
        groups: GroupChoice::Matching(Selector::equals("role", "db")),
        except: Vec::new(),
        scope: AddressScope::PodsToo,
    })
}

/// The addresses of the only rule of each policy of the namespace that counts.
fn opened(snapshot: &Snapshot, namespace: &str) -> Vec<String> {
    let state = snapshot.namespace_or_empty(namespace);
    snapshot.policies_in(&state).map(|p| p.ingress[0].peers[0].addresses().to_string()).collect()
}

#[test]
fn groups_may_come_before_or_after_the_policies_that_name_them_and_change() {
    let own = policy(Some("n"), "own", Tier::calico(""), vec![groups(NamespaceScope::Named("n".into()))]);
    for objects in [[&own, &set("n", "10.0.0.0/8")], [&set("n", "10.0.0.0/8"), &own]] {
        let mut snapshot = Snapshot::default();
        for object in objects {
            snapshot.insert(object);
        }
        assert_eq!(opened(&snapshot, "n"), ["10.0.0.0/8"]);
        let changed = snapshot.overlay(&Change::update(set("n", "10.0.0.0/8"), set("n", "10.9.0.0/16")));
        assert_eq!(opened(&changed, "n"), ["10.9.0.0/16"]);
        assert_eq!(opened(&snapshot, "n"), ["10.0.0.0/8"], "the world before is as it was");
        snapshot.remove(&set("n", "10.0.0.0/8"));
        assert_eq!(opened(&snapshot, "n"), ["no address"], "a group that does not exist names nobody");
    }
}

#[test]
fn groups_are_chosen_by_the_labels_of_their_namespace_as_they_are_now() {
    let team = NamespaceScope::Matching(Selector::equals("team", "a"));
    let mut snapshot =
        Snapshot::of([&policy(None, "all", Tier::calico(""), vec![groups(team)]), &set("n", "10.0.0.0/8")]);
    assert_eq!(opened(&snapshot, "n"), ["no address"]);
    snapshot.insert(&Object::Namespace(Namespace::new("n", &Labels::new([("team", "a")]))));
    assert_eq!(opened(&snapshot, "n"), ["10.0.0.0/8"]);
    snapshot.remove(&Object::Namespace(Namespace::named("n")));
    assert_eq!(opened(&snapshot, "n"), ["no address"]);
}

#[test]
fn policies_of_a_tier_count_while_the_tier_exists_and_staged_ones_never() {
    let tier = |order| {
        Object::Tier(TierObject {
            id: ObjectRef::cluster("projectcalico.org/v3", "Tier", "security"),
            order: Priority::new(order),
            end: TierEnd::Continue,
            unread: Vec::new(),
        })
    };
    let written = policy(Some("n"), "own", Tier::calico("security"), vec![Peer::Any]);
    let staged = policy(Some("n"), "later", Tier::calico("security").staged(), vec![Peer::Any]);
    let mut snapshot = Snapshot::of([&written, &staged]);
    assert!(opened(&snapshot, "n").is_empty());
    snapshot.insert(&tier(7.0));
    let state = snapshot.namespace_or_empty("n");
    let counting: Vec<_> = snapshot.policies_in(&state).collect();
    assert_eq!(counting.len(), 1);
    assert_eq!((&*counting[0].id.name, counting[0].tier.order), ("own", Priority::new(7.0)));
    assert_eq!(**snapshot.written_policy(&written.id()).unwrap(), as_policy(&written), "what is written stays");
    snapshot.remove(&tier(7.0));
    assert!(opened(&snapshot, "n").is_empty());
}

fn as_policy(object: &Object) -> PolicyObject {
    let Object::Policy(policy) = object else { panic!("a policy") };
    policy.clone()
}

#[test]
fn plugins_are_seen_by_their_agents() {
    let agent = |namespace: &str, name: &str, labels: [(&str, &str); 1], kind: &str| {
        let mut object = pod(namespace, name, "x");
        if let Object::Workload(workload) = &mut object {
            workload.pod = Arc::new(PodSpec::with_labels(Labels::new(labels)));
            workload.controller = Some(crate::model::pod::Controller { kind: kind.into(), name: name.into() });
        }
        object
    };
    let flannel = agent("kube-flannel", "a", [("app", "flannel")], "DaemonSet");
    let poser = agent("shop", "b", [("k8s-app", "calico-node")], "DaemonSet");
    let alike = agent("kube-system", "c", [("k8s-app", "cilium")], "Deployment");
    let mut snapshot = Snapshot::of([&flannel, &poser, &alike]);
    assert_eq!(snapshot.plugins(), [Cni::Flannel]);
    let calico = agent("kube-system", "d", [("k8s-app", "calico-node")], "DaemonSet");
    snapshot.insert(&calico);
    assert_eq!(snapshot.plugins(), [Cni::Calico, Cni::Flannel]);
    snapshot.remove(&flannel);
    assert_eq!(snapshot.plugins(), [Cni::Calico]);
}

/// Whatever way a change is noted, the same namespaces come out in the same order.
#[test]
fn laid_over_the_tree_and_written_into_it_are_the_same() {
    let there: Vec<Object> = (0..200).map(|i| pod(&format!("n{i}"), "a", "web")).collect();
    let base = Snapshot::of(&there);
    let changes = [
        Change::create(pod("n7", "b", "api")),
        Change::update(pod("n8", "a", "web"), pod("n8", "a", "api")),
        Change::delete(pod("n9", "a", "web")),
        Change::create(pod("new", "a", "web")),
        Change::delete(pod("never-there", "a", "web")),
    ];
    let seen = |snapshot: &Snapshot| snapshot.namespaces().map(|n| format!("{n:?}")).collect::<Vec<_>>();
    let (mut over, mut into) = (base.clone(), base.clone());
    for change in &changes {
        let mut one = base.clone();
        one.apply(change);
        assert_eq!(seen(&base.overlay(change)), seen(&one), "{change:?}");
        // Several in a row are of several namespaces: all but the last are written down.
        over = over.overlay(change);
        into.apply(change);
        assert_eq!(seen(&over), seen(&into), "{change:?}");
        let name = change.id.namespace();
        assert_eq!(over.namespace(name).is_some(), into.namespace(name).is_some());
    }
    assert_eq!(seen(&base).len(), 200, "nothing of it is in the world it was made of");
    assert_eq!(seen(&base.with(&there[3])).len(), 200);
    assert_eq!(seen(&base.without(&there[3])).len(), 199);
}

#[test]
fn policies_of_one_network_alone_are_counted() {
    let mut snapshot = Snapshot::of([&policy(Some("n"), "a", Tier::network_policy(), Vec::new())]);
    assert_eq!(snapshot.has_exclusive(), (false, false));
    let (cilium, calico) =
        (policy(Some("n"), "b", Tier::cilium(), Vec::new()), policy(None, "c", Tier::calico("default"), Vec::new()));
    snapshot.insert(&cilium);
    snapshot.insert(&cilium);
    assert_eq!(snapshot.with(&calico).has_exclusive(), (true, true));
    assert_eq!(snapshot.has_exclusive(), (true, false), "what is laid over is not in it");
    snapshot.insert(&calico);
    snapshot.remove(&cilium);
    snapshot.remove(&cilium);
    assert_eq!(snapshot.has_exclusive(), (false, true), "replaced once, taken out once");
    // Under the same name, a policy that everybody enforces.
    snapshot.insert(&policy(None, "c", Tier::network_policy(), Vec::new()));
    assert_eq!(snapshot.has_exclusive(), (false, false));
}

#[test]
fn a_change_of_a_group_or_a_tier_touches_only_what_refers_to_it() {
    let named = |i: usize| format!("n{i}");
    let own = |i: usize| vec![groups(NamespaceScope::Named(named(i).as_str().into()))];
    let mut objects: Vec<Object> = (0..50).map(|i| policy(Some(&named(i)), "own", Tier::calico(""), own(i))).collect();
    objects.extend((0..50).map(|i| policy(Some(&named(i)), "plain", Tier::network_policy(), vec![Peer::Any])));
    objects.push(policy(None, "tiered", Tier::calico("security"), vec![Peer::Any]));
    let before = Snapshot::of(&objects);
    let change = Change::create(set("n7", "10.0.0.0/8"));
    let after = before.overlay(&change);
    let touched = |before: &Snapshot, after: &Snapshot| -> Vec<String> {
        let pairs = before.namespaces().zip(after.namespaces());
        pairs.filter(|(a, b)| !Arc::ptr_eq(a, b)).map(|(a, _)| a.name().to_string()).collect()
    };
    assert_eq!(touched(&before, &after), ["n7"]);
    let referring =
        |to: &Object| -> Vec<String> { after.referring(&[to]).iter().map(|object| object.id.to_string()).collect() };
    assert_eq!(referring(&set("n7", "10.0.0.0/8")), ["GlobalNetworkPolicy n7/own"]);
    let tier = Object::Tier(TierObject {
        id: ObjectRef::cluster("projectcalico.org/v3", "Tier", "security"),
        order: Priority::new(1.0),
        end: TierEnd::Continue,
        unread: Vec::new(),
    });
    assert_eq!(referring(&tier), ["GlobalNetworkPolicy tiered"]);
    assert!(touched(&after, &after.overlay(&Change::create(tier))).is_empty());
}

/// However objects come and go, what counts is what a state made of those that are left would have.
#[test]
fn links_are_the_same_whatever_came_before() {
    use proptest::prelude::*;
    let team = || vec![groups(NamespaceScope::Matching(Selector::equals("team", "a")))];
    let tier = |name: &str, order| {
        let id = ObjectRef::cluster("projectcalico.org/v3", "Tier", name);
        Object::Tier(TierObject { id, order: Priority::new(order), end: TierEnd::Continue, unread: Vec::new() })
    };
    let labelled = |name: &str, team: &str| Object::Namespace(Namespace::new(name, &Labels::new([("team", team)])));
    let pool = [
        policy(Some("n"), "own", Tier::calico(""), vec![groups(NamespaceScope::Named("n".into()))]),
        policy(Some("m"), "team", Tier::calico(""), team()),
        policy(Some("n"), "tiered", Tier::calico("security"), team()),
        policy(None, "all", Tier::calico("other"), team()),
        set("n", "10.0.0.0/8"),
        set("m", "10.1.0.0/16"),
        tier("security", 1.0),
        tier("other", 2.0),
        labelled("n", "a"),
        labelled("m", "b"),
        labelled("m", "a"),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    runner
        .run(&prop::collection::vec(0..pool.len(), 1..24), |steps| {
            let mut snapshot = Snapshot::default();
            let mut there: Vec<usize> = Vec::new();
            for i in steps {
                let had = there.len();
                there.retain(|other| pool[*other].id() != pool[i].id());
                // What is there goes, unless it is another state of it that comes.
                if there.len() < had && i % 2 == 0 {
                    snapshot.remove(&pool[i]);
                } else {
                    snapshot.insert(&pool[i]);
                    there.push(i);
                }
                let made = Snapshot::of(there.iter().map(|i| &pool[*i]));
                for namespace in ["n", "m"] {
                    prop_assert_eq!(opened(&snapshot, namespace), opened(&made, namespace));
                }
            }
            Ok(())
        })
        .unwrap();
}
