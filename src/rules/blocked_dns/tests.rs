//! That what is known by a look at some policies is what all of them together say: a policy of another tier, for pods that are
//! not there, changes no finding, though with it every policy has to be asked.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::fixtures::{egress, judge, pod, said, to};
use super::*;
use crate::model::{Change, PodPeer, PortSet, Selector, Tier};

fn pods() -> Vec<Object> {
    vec![
        pod("kube-system", "dns", &[("k8s-app", "kube-dns")]),
        pod("shop", "web", &[("app", "web")]),
        pod("shop", "api", &[("app", "api"), ("tier", "back")]),
        pod("shop", "bare", &[]),
    ]
}

fn peers() -> impl Strategy<Value = Peer> {
    let named =
        |namespace: &str, pods| Peer::Pods(PodPeer { namespaces: NamespaceScope::Named(namespace.into()), pods });
    let dns = named("kube-system", Selector::equals("k8s-app", "kube-dns"));
    let misspelt = named("kube-system", Selector::equals("k8s-app", "coredns"));
    select(vec![Peer::Any, dns.clone(), dns, misspelt, named("shop", Selector::everything()), Peer::Nobody])
}

fn ports() -> impl Strategy<Value = PortSet> {
    let (udp, tcp) = (PortSet::port(Protocol::Udp, 53), PortSet::port(Protocol::Tcp, 53));
    let both = udp.union(&tcp);
    select(vec![both.clone(), both, udp, tcp, PortSet::full(), PortSet::port(Protocol::Tcp, 80), PortSet::empty()])
}

fn policies() -> impl Strategy<Value = Vec<Object>> {
    let selectors = vec![
        Selector::everything(),
        Selector::equals("app", "web"),
        Selector::exists("tier"),
        Selector::equals("app", "web").negate(),
    ];
    let rules = || prop::collection::vec((prop::collection::vec(peers(), 1..3), ports()), 0..3);
    let one = (select(selectors), rules(), rules(), any::<[bool; 2]>());
    prop::collection::vec(one, 1..5).prop_map(|all| {
        let made = all.into_iter().enumerate().map(|(i, (pods, sends, receives, [isolates_out, isolates_in]))| {
            let rules = |rules: Vec<(Vec<Peer>, PortSet)>| {
                rules.into_iter().enumerate().map(|(i, (peers, ports))| to(i, peers, ports)).collect::<Vec<_>>()
            };
            let Object::Policy(mut object) = egress(&format!("p{i}"), rules(sends)) else { panic!("a policy") };
            let policy = Arc::make_mut(&mut object.policies[0]);
            policy.subject.pods = pods;
            (policy.isolates_egress, policy.isolates_ingress) = (isolates_out, isolates_in);
            policy.ingress = rules(receives);
            // A direction that a policy does not restrict has no rules (semantics 2.1.1).
            if !isolates_out {
                policy.egress.clear();
            }
            if !isolates_in {
                policy.ingress.clear();
            }
            Object::Policy(object)
        });
        made.collect()
    })
}

/// Selects nobody, and is of a tier in which policies can refuse.
fn of_another_tier() -> Object {
    let Object::Policy(mut object) = egress("zz", Vec::new()) else { panic!("a policy") };
    let policy = Arc::make_mut(&mut object.policies[0]);
    policy.tier = Tier::cilium();
    policy.subject.pods = Selector::equals("not", "there");
    Object::Policy(object)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn some_policies_say_what_all_of_them_say(policies in policies()) {
        let Some((last, others)) = policies.split_last() else { return Ok(()) };
        let state: Vec<Object> = pods().into_iter().chain(others.iter().cloned()).collect();
        let beside: Vec<Object> = state.iter().cloned().chain([of_another_tier()]).collect();
        let deployed = pod("shop", "new", &[("app", "web"), ("tier", "front")]);
        for change in [Change::create(last.clone()), Change::create(deployed)] {
            for rule in [RuleId::BlockedDns, RuleId::SeveredPods] {
                let (some, all) = (judge(rule, &state, &change), judge(rule, &beside, &change));
                // Where a policy only opens, what was wrong before is not even looked for.
                let nothing_new = some.findings.is_empty() && all.findings.iter().all(|judged| judged.pre_existing);
                prop_assert!(nothing_new || said(&some) == said(&all), "{} {:?}: {:?} {:?}", rule, change.id, said(&some), said(&all));
            }
        }
    }
}
