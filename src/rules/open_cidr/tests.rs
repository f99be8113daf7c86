//! How exact the rule is on many blocks, and that its settings move the limits.

use super::*;
use crate::model::Object;
use crate::model::house::{House, PartialSettings};
use crate::model::{Change, PortSet};
use crate::review::{User, review};
use crate::rules::fixtures::{block, egress, judge, only, said, to};
use crate::snapshot::Snapshot;

#[test]
fn a_thousand_blocks_with_excepts_are_judged_exactly() {
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let mut peers: Vec<Peer> = (0..1000)
        .map(|i| {
            block(&format!("{}.{}.0.0/16", 11 + i / 250, i % 250), &[&format!("{}.{}.7.0/24", 11 + i / 250, i % 250)])
        })
        .collect();
    peers.push(block("0.0.0.0/0", &private));
    let fine = egress("many", vec![to(0, peers.clone(), PortSet::full())]);
    assert!(said(&judge(RuleId::OpenCidr, &[], &Change::create(fine))).is_empty());
    peers.push(block("0.0.0.0/0", &private[..2]));
    let open = egress("many", vec![to(0, peers, PortSet::full())]);
    let started = std::time::Instant::now();
    let verdict = judge(RuleId::OpenCidr, &[], &Change::create(open));
    println!("1,002 blocks with excepts, with the fix and its proof: {:?}", started.elapsed());
    assert_eq!(
        said(&verdict),
        [
            "enforce: egress of many opens private addresses 192.168.0.0/16 beside public ones on every port; except them"
        ]
    );
    assert_eq!(verdict.findings[0].finding.path.as_str(), "spec.egress[0].to[1001].ipBlock.cidr");
    let Some(Fix::Narrow(narrowing)) = &verdict.findings[0].finding.fix else { panic!("{verdict:?}") };
    assert_eq!(narrowing.rules.iter().map(FieldPath::as_str).collect::<Vec<_>>(), ["spec.egress[0]"]);
}

fn with(settings: OpenCidr, object: &Object) -> Vec<String> {
    let mut house: House = only(RuleId::OpenCidr);
    house.rules[0].settings = PartialSettings { open_cidr: Some(settings), ..PartialSettings::default() };
    said(&review(&Snapshot::default(), &house, &Change::create(object.clone()), &User::default()))
}

#[test]
fn settings_move_the_limits() {
    let plain = egress("plain", vec![to(0, vec![block("0.0.0.0/0", &[])], PortSet::full())]);
    let settings = OpenCidr::default;
    assert_eq!(with(settings(), &plain).len(), 1);
    assert!(with(OpenCidr { directions: vec![Direction::Ingress], ..settings() }, &plain).is_empty());
    assert!(with(OpenCidr { widest_v4: 0, ..settings() }, &plain).is_empty(), "nothing is wider than everything");
    assert!(with(OpenCidr { private: IpSet::empty(), ..settings() }, &plain).is_empty());
    let nearly = egress("nearly", vec![to(0, vec![block("10.0.0.0/7", &[])], PortSet::full())]);
    assert!(with(settings(), &nearly).is_empty(), "a /8 of public addresses is not wider than a /8");
    assert_eq!(with(OpenCidr { widest_v4: 9, ..settings() }, &nearly).len(), 1);
}

mod pods {
    //! Policies that are in order one by one, and the pods that several of them select.

    use std::sync::Arc;

    use super::*;
    use crate::model::house::Level;
    use crate::model::{Object, Selector};
    use crate::review::Verdict;
    use crate::rules::fixtures::pod;

    const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

    /// A policy for the pods that have these labels, or for all but them.
    fn policy(name: &str, pods: Selector, peers: Vec<Peer>) -> Object {
        let Object::Policy(mut object) = egress(name, vec![to(0, peers, PortSet::full())]) else { unreachable!() };
        Arc::make_mut(&mut object.policies[0]).subject.pods = pods;
        Object::Policy(object)
    }

    fn internet(pods: Selector) -> Object {
        policy("internet", pods, vec![block("0.0.0.0/0", &PRIVATE)])
    }

    fn inside(pods: Selector) -> Object {
        policy("inside", pods, vec![block("10.0.0.0/8", &[])])
    }

    fn label(key: &'static str, value: &'static str) -> Selector {
        Selector::equals(key, value)
    }

    fn levels(verdict: &Verdict) -> Vec<(Level, &str, bool)> {
        verdict.findings.iter().map(|j| (j.level, j.finding.key.as_str(), j.pre_existing)).collect()
    }

    fn levels_of(verdict: &Verdict) -> Vec<Level> {
        verdict.findings.iter().map(|j| j.level).collect()
    }

    fn reviewed(state: &[Object], change: &Change, user: &str) -> Verdict {
        let user = User { name: user.into(), ..User::default() };
        review(&Snapshot::of(state), &only(RuleId::OpenCidr), change, &user)
    }

    #[test]
    fn what_a_controller_makes_warns() {
        let state = [internet(label("app", "web")), inside(label("tier", "front"))];
        let wide = Change::create(pod("shop", "wide", &[("app", "web"), ("tier", "front")]));
        assert_eq!(levels(&reviewed(&state, &wide, "mallory")), [(Level::Enforce, "Egress: more", false)]);
        let controller = "system:serviceaccount:kube-system:replicaset-controller";
        assert_eq!(levels(&reviewed(&state, &wide, controller)), [(Level::Warn, "Egress: more", false)]);
    }

    #[test]
    fn a_pod_that_was_as_open_before_is_not_blamed_again() {
        let state = [internet(label("app", "web")), inside(label("tier", "front"))];
        let labels = [("app", "web"), ("tier", "front")];
        let more = [("app", "web"), ("tier", "front"), ("version", "2")];
        let relabelled = Change::update(pod("shop", "p", &labels), pod("shop", "p", &more));
        assert_eq!(levels(&reviewed(&state, &relabelled, "dev")), [(Level::Warn, "Egress", true)]);
        let closed = Change::update(pod("shop", "p", &labels), pod("shop", "p", &labels[..1]));
        assert!(reviewed(&state, &closed, "dev").findings.is_empty());
        let opened = Change::update(pod("shop", "p", &labels[..1]), pod("shop", "p", &labels));
        assert_eq!(levels(&reviewed(&state, &opened, "dev")), [(Level::Enforce, "Egress: more", false)]);
        // One more range than before is more.
        let third = policy("third", label("db", "yes"), vec![block("172.16.0.0/12", &[])]);
        let state = [&state[..], &[third]].concat();
        let wider = [("app", "web"), ("db", "yes"), ("tier", "front")];
        let widened = Change::update(pod("shop", "p", &labels), pod("shop", "p", &wider));
        assert_eq!(levels(&reviewed(&state, &widened, "dev")), [(Level::Enforce, "Egress: more", false)]);
    }

    #[test]
    fn a_pod_of_an_existing_class_is_nothing_new_whatever_else_it_is_called() {
        let labels = [("app", "web"), ("tier", "front")];
        let state = [internet(label("app", "web")), inside(label("tier", "front")), pod("shop", "first", &labels)];
        let named = [("app", "web"), ("pod-template-hash", "abc"), ("tier", "front")];
        assert!(reviewed(&state, &Change::create(pod("shop", "second", &named)), "dev").findings.is_empty());
        // Pods that only one of the policies selects are another class.
        let state = [internet(label("app", "web")), inside(label("tier", "front")), pod("shop", "first", &labels[..1])];
        assert_eq!(reviewed(&state, &Change::create(pod("shop", "second", &named)), "dev").findings.len(), 1);
    }

    #[test]
    fn a_policy_that_completes_an_opening_warns_if_a_pod_can_have_both() {
        let warned = |one: Selector, other: Selector| {
            let both_ways = [(internet(one.clone()), inside(other.clone())), (inside(other), internet(one))];
            both_ways.map(|(first, second)| levels_of(&reviewed(&[first], &Change::create(second), "dev")))
        };
        let warn = [vec![Level::Warn], vec![Level::Warn]];
        assert_eq!(warned(label("app", "web"), label("tier", "front")), warn);
        assert_eq!(warned(Selector::exists("app"), label("tier", "front")), warn);
        let none = [vec![], vec![]];
        assert_eq!(warned(label("app", "web"), label("app", "db")), none, "one pod has one value");
        assert_eq!(warned(label("app", "web"), label("app", "web").negate()), none);
        // What the selector of the new policy alone implies is no possibility, but a fact.
        let certain = reviewed(&[internet(Selector::everything())], &Change::create(inside(label("app", "db"))), "dev");
        assert_eq!(levels_of(&certain), [Level::Enforce]);
    }

    #[test]
    fn a_stored_pair_only_warns_as_before() {
        let state = [internet(label("app", "web")), inside(label("tier", "front"))];
        let more =
            policy("inside", label("tier", "front"), vec![block("10.0.0.0/8", &[]), block("198.51.100.0/24", &[])]);
        let found = reviewed(&state, &Change::update(state[1].clone(), more), "dev");
        assert!(found.findings.iter().all(|j| j.pre_existing && j.level == Level::Warn), "{found:?}");
        assert_eq!(found.findings.len(), 1);
    }

    #[test]
    fn two_parts_of_one_object_count_as_two_policies() {
        let (Object::Policy(mut object), Object::Policy(second)) =
            (internet(label("app", "web")), inside(label("tier", "front")))
        else {
            unreachable!()
        };
        let mut second = (*second.policies[0]).clone();
        second.id = Arc::clone(&object.id);
        object.policies.push(Arc::new(second));
        let object = Object::Policy(object);
        let alone = reviewed(&[], &Change::create(object.clone()), "dev");
        assert_eq!(alone.findings.iter().map(|j| j.level).collect::<Vec<_>>(), [Level::Warn]);
        let wide = Change::create(pod("shop", "wide", &[("app", "web"), ("tier", "front")]));
        assert_eq!(levels(&reviewed(&[object], &wide, "dev")), [(Level::Enforce, "Egress: more", false)]);
    }
}
