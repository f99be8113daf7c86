//! Tiers against an evaluator that follows one port through all of them, for every way in which rules that may match do or
//! do not: what the engine calls certain is what passes in all of them, what it calls possible passes in one.

use std::sync::Arc;

use portcullis::model::house::Dialect;
use portcullis::model::{
    Action, Direction, FieldPath, IpSet, NamespaceScope, ObjectRef, Peer, PodSpec, Policy, PortMatch, PortSet,
    Priority, Protocol, Rule, Selector, Subject, Tier, TierEnd, TierSemantics, Ties,
};
use portcullis::reach::{Doubt, Endpoint, Side, decide};
use proptest::prelude::*;

use crate::clusters::cases;

const PORTS: [u16; 3] = [1, 2, 3];

/// One rule: what it does, to which of the ports, and whether it matches; `None` where only the running cluster knows.
#[derive(Clone, Debug)]
struct Line {
    action: Action,
    ports: Vec<u16>,
    matches: Option<bool>,
}

#[derive(Clone, Debug)]
struct Written {
    tier: usize,
    priority: u8,
    isolates: bool,
    lines: Vec<Line>,
}

fn tiers() -> [Arc<Tier>; 4] {
    let ordered = Tier {
        name: "ordered".into(),
        order: Priority::new(2000.0),
        semantics: TierSemantics::FirstMatch(TierEnd::DenyGoverned),
        ties: Ties::ByName,
        ..(*Tier::admin()).clone()
    };
    [Tier::admin(), Arc::new(ordered), Tier::network_policy(), Tier::baseline()]
}

fn line() -> impl Strategy<Value = Line> {
    let action = prop_oneof![Just(Action::Allow), Just(Action::Deny), Just(Action::Pass)];
    let ports = proptest::sample::subsequence(PORTS.to_vec(), 1..=3);
    let matches = prop_oneof![2 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))];
    (action, ports, matches).prop_map(|(action, ports, matches)| Line { action, ports, matches })
}

fn written() -> impl Strategy<Value = Vec<Written>> {
    let one = (0..4_usize, 0..3_u8, any::<bool>(), proptest::collection::vec(line(), 0..3));
    let one = one.prop_map(|(tier, priority, isolates, lines)| Written { tier, priority, isolates, lines });
    proptest::collection::vec(one, 0..6).prop_filter("few enough ways", |all| {
        all.iter().flat_map(|w| &w.lines).filter(|l| l.matches.is_none()).count() < 9
    })
}

fn policy(index: usize, written: &Written) -> Arc<Policy> {
    let rule = |line: &Line| Rule {
        action: line.action,
        peers: vec![match line.matches {
            Some(true) => Peer::Any,
            Some(false) => Peer::Nobody,
            None => Peer::Domains(vec!["example.org".into()]),
        }],
        ports: PortMatch::numbers(
            line.ports.iter().fold(PortSet::empty(), |all, p| all.union(&PortSet::port(Protocol::Tcp, *p))),
        ),
        at: FieldPath::default(),
        peers_at: "",
        filtered_by: None,
    };
    let tier = Arc::clone(&tiers()[written.tier]);
    Arc::new(Policy {
        id: Arc::new(ObjectRef::cluster("example.org/v1", "Policy", format!("p{index}"))),
        priority: if written.tier == 2 { Priority::LAST } else { Priority::new(f64::from(written.priority)) },
        // The tiers of ClusterNetworkPolicy isolate nothing.
        isolates_ingress: false,
        isolates_egress: written.isolates && matches!(written.tier, 1 | 2),
        tier,
        subject: Subject { namespaces: NamespaceScope::all(), pods: Selector::everything() },
        ingress: Vec::new(),
        egress: written.lines.iter().map(rule).collect(),
    })
}

/// In which order policies of equal priority come: as many orders as matter for six policies.
fn orders(policies: &[Arc<Policy>]) -> Vec<Vec<Arc<Policy>>> {
    let key = |p: &Policy| (p.tier.order, p.priority);
    let mut sorted = policies.to_vec();
    sorted.sort_by(|a, b| (key(a), &a.id.name).cmp(&(key(b), &b.id.name)));
    let mut all = vec![Vec::new()];
    for tied in sorted.chunk_by(|a, b| a.tier.ties == Ties::Undefined && key(a) == key(b)) {
        let ways = permutations(tied);
        all = all
            .iter()
            .flat_map(|done: &Vec<Arc<Policy>>| ways.iter().map(|way| [done.as_slice(), way.as_slice()].concat()))
            .collect();
    }
    all
}

fn permutations(list: &[Arc<Policy>]) -> Vec<Vec<Arc<Policy>>> {
    if list.len() < 2 {
        return vec![list.to_vec()];
    }
    let mut all = Vec::new();
    for i in 0..list.len() {
        let mut rest = list.to_vec();
        let first = rest.remove(i);
        all.extend(permutations(&rest).into_iter().map(|way| [vec![Arc::clone(&first)], way].concat()));
    }
    all
}

/// Follows one port. `ways` says for each rule that may match whether it does.
fn passes(policies: &[Arc<Policy>], port: u16, ways: u32) -> bool {
    let mut unknown = 0;
    let mut verdict = None;
    let mut at = 0;
    // Rules are numbered in the order of the policies' names, so that a way means the same in every order.
    let mut numbers = std::collections::HashMap::new();
    let mut by_name: Vec<&Arc<Policy>> = policies.iter().collect();
    by_name.sort_by_key(|p| &p.id.name);
    for policy in by_name {
        for (i, rule) in policy.egress.iter().enumerate() {
            if matches!(rule.peers[0], Peer::Domains(_)) {
                numbers.insert((policy.id.name.clone(), i), unknown);
                unknown += 1;
            }
        }
    }
    let hits = |policy: &Policy, i: usize| {
        let rule = &policy.egress[i];
        let met = match rule.peers[0] {
            Peer::Any => true,
            Peer::Domains(_) => ways >> numbers[&(policy.id.name.clone(), i)] & 1 == 1,
            _ => false,
        };
        met && rule.ports.numbers.contains(Protocol::Tcp, port)
    };
    while verdict.is_none() && at < policies.len() {
        let tier = &policies[at].tier;
        let here: Vec<&Arc<Policy>> = policies[at..].iter().take_while(|p| p.tier == *tier).collect();
        at += here.len();
        let isolated = here.iter().any(|p| p.isolates_egress);
        let matching: Vec<Action> =
            here.iter().flat_map(|p| (0..p.egress.len()).filter(|i| hits(p, *i)).map(|i| p.egress[i].action)).collect();
        verdict = match tier.semantics {
            TierSemantics::Union if matching.contains(&Action::Deny) => Some(false),
            TierSemantics::Union if matching.contains(&Action::Allow) => Some(true),
            TierSemantics::Union => isolated.then_some(false),
            TierSemantics::FirstMatch(end) => match matching.first() {
                Some(Action::Allow) => Some(true),
                Some(Action::Deny) => Some(false),
                Some(Action::Pass) => None,
                None => (isolated && end == TierEnd::DenyGoverned).then_some(false),
            },
        };
    }
    verdict.unwrap_or(true)
}

fn decided(policies: &[Arc<Policy>], doubt: Doubt) -> PortSet {
    decided_on(policies, doubt, PortSet::every())
}

fn decided_on(policies: &[Arc<Policy>], doubt: Doubt, asked: &PortSet) -> PortSet {
    let mut sorted: Vec<&Arc<Policy>> = policies.iter().collect();
    sorted.sort_by(|a, b| {
        (a.tier.order, &a.tier.name, a.priority, &a.id.name).cmp(&(b.tier.order, &b.tier.name, b.priority, &b.id.name))
    });
    let (subject, address) = (PodSpec::default(), IpSet::single("192.0.2.1".parse().unwrap()));
    let side = Side {
        direction: Direction::Egress,
        subject: &subject,
        other: Endpoint::Addresses(&address),
        asked,
        dialect: Dialect::Upstream,
        doubt,
    };
    decide(&sorted, &side).allowed
}

proptest! {
    #![proptest_config(cases(2000))]

    /// semantics 2.2.1, 2.2.3, 2.2.5, 2.3.4, 2.4.1
    #[test]
    fn bounds_are_what_passes_in_every_way_and_in_one(written in written()) {
        let policies: Vec<Arc<Policy>> = written.iter().enumerate().map(|(i, w)| policy(i, w)).collect();
        let unknown = written.iter().flat_map(|w| &w.lines).filter(|l| l.matches.is_none()).count();
        let (certain, possible) = (decided(&policies, Doubt::Against), decided(&policies, Doubt::InFavour));
        let orders = orders(&policies);
        for port in PORTS {
            let outcomes: Vec<bool> = orders
                .iter()
                .flat_map(|order| (0..1_u32 << unknown).map(move |ways| passes(order, port, ways)))
                .collect();
            prop_assert_eq!(certain.contains(Protocol::Tcp, port), outcomes.iter().all(|o| *o), "certain, port {}", port);
            prop_assert_eq!(possible.contains(Protocol::Tcp, port), outcomes.iter().any(|o| *o), "possible, port {}", port);
        }
    }
    /// What is said of some ports is what is said of them among all.
    #[test]
    fn asking_about_fewer_ports_changes_nothing_about_them(
        written in written(),
        ports in proptest::sample::subsequence(PORTS.to_vec(), 0..=3),
    ) {
        let policies: Vec<Arc<Policy>> = written.iter().enumerate().map(|(i, w)| policy(i, w)).collect();
        let asked = ports.iter().fold(PortSet::empty(), |all, p| all.union(&PortSet::port(Protocol::Tcp, *p)));
        for doubt in [Doubt::Against, Doubt::InFavour] {
            prop_assert_eq!(decided_on(&policies, doubt, &asked), decided(&policies, doubt).intersection(&asked));
        }
    }
}
