//! That a policy which is called redundant can go without a verdict changing, on random policies.

use super::super::fixtures::{block, egress, judge, said, to};
use super::*;
use crate::model::house::Dialect;
use crate::model::{Change, Labels, NamespaceScope, Object, PodPeer, PodSpec, Protocol, Selector};
use crate::reach::{Doubt, Endpoint, Side, decide, selecting};
use crate::snapshot::Snapshot;
use proptest::prelude::*;
use proptest::sample::select;

fn selectors() -> Vec<Selector> {
    let web = || Selector::equals("app", "web");
    let either = Selector::is_in("app", ["web", "api"]);
    vec![Selector::everything(), web(), either, Selector::exists("tier"), web().negate()]
}

fn peers() -> impl Strategy<Value = Peer> {
    let pods = select(selectors())
        .prop_map(|pods| Peer::Pods(PodPeer { namespaces: NamespaceScope::Named("shop".into()), pods }));
    let blocks = select(vec!["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "0.0.0.0/0"])
        .prop_map(|cidr| block(cidr, if cidr == "0.0.0.0/0" { &["10.0.0.0/8"] } else { &[] }));
    prop_oneof![Just(Peer::Any), pods.clone(), pods, blocks.clone(), blocks]
}

fn ports() -> impl Strategy<Value = PortSet> {
    let tcp = |lo, hi| PortSet::range(Protocol::Tcp, lo, hi);
    select(vec![PortSet::full(), tcp(80, 80), tcp(80, 443), tcp(443, 443), PortSet::protocol(Protocol::Udp)])
}

fn policies() -> impl Strategy<Value = Vec<Object>> {
    let rules = prop::collection::vec((prop::collection::vec(peers(), 1..3), ports()), 0..3);
    let one = (select(selectors()), rules, any::<bool>()).prop_map(|(pods, rules, isolates)| {
        let rules = rules.into_iter().enumerate().map(|(i, (peers, ports))| to(i, peers, ports)).collect();
        (pods, rules, isolates)
    });
    prop::collection::vec(one, 2..5).prop_map(|all| {
        let made = all.into_iter().enumerate().map(|(i, (pods, rules, isolates))| {
            let Object::Policy(mut object) = egress(&format!("p{i}"), rules) else { panic!("a policy") };
            let policy = Arc::make_mut(&mut object.policies[0]);
            policy.subject.pods = pods;
            policy.isolates_egress = isolates;
            Object::Policy(object)
        });
        made.collect()
    })
}

/// Everything that any pod may reach.
fn verdicts(world: &Snapshot) -> Vec<PortSet> {
    let pod = |pairs: &[(&'static str, &'static str)]| PodSpec::with_labels(Labels::new(pairs.iter().copied()));
    let pods = [
        pod(&[]),
        pod(&[("app", "web")]),
        pod(&[("app", "api"), ("tier", "front")]),
        pod(&[("app", "web"), ("tier", "back")]),
    ];
    let shop = world.namespace_or_empty("shop");
    let nets = ["10.1.0.0/16", "10.200.0.0/16", "198.51.100.0/24"];
    let nets = nets.map(|net| block(net, &[]).addresses());
    let mut all = Vec::new();
    for subject in &pods {
        let selecting = selecting(world, &shop, subject);
        let to_pods = pods.iter().map(|pod| Endpoint::Pod { namespace: &shop, pod, addresses: &[] });
        for other in to_pods.chain(nets.iter().map(Endpoint::Addresses)) {
            for (dialect, doubt) in [
                (Dialect::Upstream, Doubt::Against),
                (Dialect::Upstream, Doubt::InFavour),
                (Dialect::Cilium, Doubt::Against),
            ] {
                let asked = PortSet::every();
                let side = Side { direction: Direction::Egress, subject, other, asked, dialect, doubt };
                all.push(decide(&selecting, &side).allowed);
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn without_a_needless_policy_everything_is_as_before(policies in policies()) {
        let Some((last, others)) = policies.split_last() else { return Ok(()) };
        let verdict = judge(RuleId::RedundantPolicy, others, &Change::create(last.clone()));
        if !verdict.findings.is_empty() {
            let (with, without) = (Snapshot::of(&policies), Snapshot::of(others));
            prop_assert_eq!(verdicts(&with), verdicts(&without), "{:?}", said(&verdict));
        }
    }
}

#[test]
fn beside_a_thousand_others_it_is_cheap_and_of_two_alike_the_second_is_named() {
    let rules = || vec![to(0, vec![block("10.0.0.0/8", &[])], PortSet::full())];
    let mut state: Vec<Object> = (0..1_000)
        .map(|i| {
            egress(
                &format!("other-{i}"),
                vec![to(0, vec![block(&format!("10.0.{}.0/24", i % 256), &[])], PortSet::full())],
            )
        })
        .collect();
    let started = std::time::Instant::now();
    let verdict = judge(RuleId::RedundantPolicy, &state, &Change::create(egress("all", rules())));
    println!("beside 1,000 policies: {:?}", started.elapsed());
    assert!(said(&verdict).is_empty());
    state = vec![egress("a", rules()), egress("b", rules())];
    let world = Snapshot::of(&state);
    let house = super::super::fixtures::only(RuleId::RedundantPolicy);
    let standing = |object: &Object| said(&crate::review::standing(&world, &house, object)).len();
    assert_eq!((standing(&state[0]), standing(&state[1])), (0, 1));
}
