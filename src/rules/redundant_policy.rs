//! `redundant-policy`: a policy that others make needless.

use std::sync::Arc;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{covering, wording};
use crate::model::house::RuleId;
use crate::model::pod::PodLookup;
use crate::model::{
    Action, Direction, Enforcer, IpSet, ObjectRef, Peer, PodSpec, Policy, PolicyObject, PortMatch, PortSet, Tier,
    TierEnd, TierSemantics, Ties, policy,
};

declare_rule! {
    /// A policy should change something.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: would everything be as it is without it? That is so where other policies apply to
    /// all pods that it applies to, isolate them in the same directions, and allow (or, before it in an order, decide about)
    /// at least the same peers and ports. It is read off the policies and not off the pods of today: pods that come, and
    /// labels that change, make no difference.
    ///
    /// ## Why
    ///
    /// What is written twice is mended once. Who narrows the other policy later finds that nothing has changed, and who
    /// looks for the reason finds it late.
    ///
    /// ## Refused
    ///
    /// `allow-web-from-shop`, where `allow-web` opens the same port of the same pods to every namespace.
    ///
    /// ## Accepted
    ///
    /// Either of the two.
    ///
    /// ## Exceptions
    ///
    /// A policy without rules says that nothing passes, and only another one without rules makes it needless: a default deny
    /// beside `allow-dns` is no finding, although `allow-dns` isolates as well. Policies with conditions beyond addresses
    /// and ports (HTTP, DNS names) are never taken for needless in a union, nor are those of which something could not be
    /// read. Groups of addresses are compared by name. Of two policies that say the same, the background audit names the
    /// second one by name. At most 200 other policies, and 200,000 pairs of peers, are compared.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "The two sorts of pod isolation": policies are additive.
    pub RedundantPolicy = RedundantPolicy, since "0.1.0"
}

/// Other policies whose subjects are compared. Most are sorted out by one look at a pod that they would have to select.
const MOST_OTHERS: usize = 200;

/// Policy objects that are looked at so far.
const MOST_LOOKED_AT: usize = 5_000;

/// Pairs of peers that are compared.
const MOST_PAIRS: usize = 200_000;

impl Rule for RedundantPolicy {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy_in_force() else { return };
        if object.policies.is_empty() || !object.unread.is_empty() || shares_a_place(cx, object) {
            return;
        }
        let who = wording::policy(&object.id);
        let found = |message: String| {
            Finding::new(RuleId::RedundantPolicy, (*object.id).clone(), message).keyed(RuleId::RedundantPolicy.as_str())
        };
        if object.policies.iter().all(|p| does_nothing(p)) {
            out.push(found(format!(
                "{who} changes nothing: it isolates no pod and has no rule; delete it or write one"
            )));
            return;
        }
        let mut search = Search { pairs: MOST_PAIRS, by: Vec::new() };
        let others = others(cx, object);
        let own = written(cx, object);
        if own.is_empty() || !own.iter().all(|own| search.is_needless(own, &others)) {
            return;
        }
        let mut by = search.by;
        by.sort();
        by.dedup();
        if cx.standing && by.len() == 1 && by.iter().any(|other| is_mutual(cx, object, other)) {
            return;
        }
        let names: Vec<String> = by.iter().map(|id| wording::policy(id)).collect();
        out.push(found(format!(
            "{who} changes nothing beside {}: every pod and all traffic that it is about is decided there; delete it",
            wording::few(&names, 3, "policies")
        )));
    }
}

fn does_nothing(policy: &Policy) -> bool {
    Direction::BOTH.into_iter().all(|d| !policy.isolates(d) && policy.rules(d).is_empty())
}

/// A policy as it is written, with the tier in which it counts: groups are compared by name, because they can change.
#[derive(Clone, Copy)]
struct Written<'a> {
    policy: &'a Policy,
    tier: &'a Tier,
}

fn written<'a>(cx: &Context<'a>, object: &'a PolicyObject) -> Vec<Written<'a>> {
    let written = cx.world.written_policy(&object.id).map_or(object, |held| &**held);
    // One that is for nobody who is known is left out of what counts; of the others nobody can say which is which then.
    let whole = written.policies.len() == object.policies.len();
    let pairs = written.policies.iter().zip(&object.policies).filter(|_| whole);
    pairs
        .filter(|(_, linked)| linked.is_in_force())
        .map(|(policy, linked)| Written { policy, tier: &linked.tier })
        .collect()
}

/// Policies of other objects that may apply to every pod that these do.
fn others<'a>(cx: &Context<'a>, object: &PolicyObject) -> Vec<Written<'a>> {
    let namespace = cx.namespace.policies().filter(|_| object.id.namespace.is_some());
    let all = namespace.chain(cx.world.cluster_policies()).filter(|other| other.id != object.id);
    // A pod of each: whoever applies to all of them applies to this one, and most do not.
    let probes = object.policies.iter().filter_map(|p| p.subject.pods.representative()).map(PodSpec::with_labels);
    let probes: Vec<PodSpec> = probes.collect();
    let may_apply = |other: &Policy| {
        let pods = &other.subject.pods;
        let matches = |pod: &PodSpec| {
            pods.matches(&PodLookup { pod, namespace: cx.namespace.labels() }) || pods.matches(&pod.labels)
        };
        pods.is_everything() || probes.iter().any(matches)
    };
    let all = all.take(MOST_LOOKED_AT).filter(|other| other.policies.iter().any(|policy| may_apply(policy)));
    all.flat_map(|other| written(cx, other)).filter(|other| may_apply(other.policy)).take(MOST_OTHERS).collect()
}

/// Whether the other one is needless beside this, and the one that goes by its name.
fn is_mutual(cx: &Context<'_>, object: &PolicyObject, other: &ObjectRef) -> bool {
    let Some(other) = cx.world.policy(other) else { return false };
    let (own, theirs) = (written(cx, object), written(cx, other));
    let mut search = Search { pairs: MOST_PAIRS, by: Vec::new() };
    (&object.id.name, &object.id.kind) < (&other.id.name, &other.id.kind)
        && !theirs.is_empty()
        && theirs.iter().all(|policy| search.is_needless(policy, &own))
}

/// With Calico NetworkPolicies have one place in its order, and stand there by name. One of Calico's in the same place can
/// come between two of them, so that it matters which of the two there is.
fn shares_a_place(cx: &Context<'_>, object: &PolicyObject) -> bool {
    let (_, priority) = Tier::network_policy_in_calico();
    let there = |p: &&Arc<Policy>| p.tier.enforcer == Enforcer::Calico && p.priority == priority;
    object.policies.iter().any(|p| p.tier.is_network_policy())
        && cx.world.has_exclusive().1
        && cx.world.policies_in(cx.namespace).any(|p| there(&p))
}

/// Looks for what makes policies needless.
struct Search {
    pairs: usize,
    by: Vec<Arc<ObjectRef>>,
}

impl Search {
    fn is_needless(&mut self, own: &Written<'_>, others: &[Written<'_>]) -> bool {
        let beside: Vec<&Written<'_>> = others
            .iter()
            .filter(|other| counts_beside(own.tier, other.tier))
            .filter(|other| covering::subject(&other.policy.subject, &own.policy.subject))
            .collect();
        let before: Vec<&Written<'_>> = match own.tier.semantics {
            TierSemantics::Union => beside.clone(),
            TierSemantics::FirstMatch(_) => beside.iter().copied().filter(|other| is_before(other, own)).collect(),
        };
        Direction::BOTH.into_iter().all(|direction| {
            self.keeps_isolation(own, &beside, direction)
                && own.policy.rules(direction).iter().all(|rule| self.is_decided(own, rule, &before, direction))
        })
    }

    /// Whether its pods stay isolated without it.
    fn keeps_isolation(&mut self, own: &Written<'_>, beside: &[&Written<'_>], direction: Direction) -> bool {
        let isolates =
            own.policy.isolates(direction) && own.tier.semantics != TierSemantics::FirstMatch(TierEnd::Continue);
        if !isolates {
            return true;
        }
        let says_no = own.policy.ingress.is_empty() && own.policy.egress.is_empty();
        let keeper = beside
            .iter()
            .find(|other| other.policy.isolates(direction) && (!says_no || other.policy.rules(direction).is_empty()));
        self.by.extend(keeper.map(|other| Arc::clone(&other.policy.id)));
        keeper.is_some()
    }

    /// Whether others decide everything that this rule would, and in a union the same way.
    fn is_decided(
        &mut self,
        own: &Written<'_>,
        rule: &policy::Rule,
        before: &[&Written<'_>],
        direction: Direction,
    ) -> bool {
        let union = own.tier.semantics == TierSemantics::Union;
        if covering::no_ports(&rule.ports) || (union && rule.action == Action::Pass) {
            return true;
        }
        if union && rule.filtered_by.is_some() {
            return false;
        }
        let wide: Vec<(&Policy, &policy::Rule)> = before
            .iter()
            .flat_map(|other| other.policy.rules(direction).iter().map(|r| (other.policy, r)))
            .filter(|(_, r)| r.filtered_by.is_none() && (!union || r.action == rule.action))
            .collect();
        rule.peers.iter().filter(|peer| **peer != Peer::Nobody).all(|peer| self.is_named(peer, &rule.ports, &wide))
    }

    /// Whether these rules together name this peer on these ports.
    fn is_named(&mut self, peer: &Peer, ports: &PortMatch, wide: &[(&Policy, &policy::Rule)]) -> bool {
        let mut together = PortMatch::numbers(PortSet::empty());
        let mut set = IpSet::empty();
        let mut by = Vec::new();
        for (policy, rule) in wide {
            let Some(left) = self.pairs.checked_sub(rule.peers.len().max(1)) else { return false };
            self.pairs = left;
            let named = rule.peers.iter().any(|one| covering::peer(one, peer));
            if named {
                together.numbers = together.numbers.union(&rule.ports.numbers);
                together.names.extend(rule.ports.names.iter().cloned());
            }
            // Blocks that are halves of another.
            let parts = blocks_like(peer, rule).filter(|_| covering::ports(&rule.ports, ports));
            let before = set.clone();
            set = parts.fold(set, |set, part| set.union(part));
            if named || set != before {
                by.push(Arc::clone(&policy.id));
            }
            if named && covering::ports(&rule.ports, ports) {
                // One alone says it best.
                by = vec![Arc::clone(&policy.id)];
                break;
            }
        }
        let whole = matches!(peer, Peer::Addresses(one) if !one.set.is_empty() && one.set.is_subset(&set));
        let found = whole || covering::ports(&together, ports);
        if found {
            self.by.extend(by);
        }
        found
    }
}

/// Blocks of a rule with the same meaning for pods as this peer's.
fn blocks_like<'a>(peer: &'a Peer, rule: &'a policy::Rule) -> impl Iterator<Item = &'a IpSet> {
    rule.peers.iter().filter_map(move |one| match (peer, one) {
        (Peer::Addresses(peer), Peer::Addresses(one)) if peer.scope == one.scope => Some(&one.set),
        _ => None,
    })
}

/// Whether the other one is enforced wherever this is, and weighed together with it.
fn counts_beside(own: &Tier, other: &Tier) -> bool {
    (own.order, own.semantics) == (other.order, other.semantics)
        && (own.enforcer == other.enforcer || other.enforcer == Enforcer::Any)
        && (own.semantics == TierSemantics::Union || own.name == other.name)
}

fn is_before(other: &Written<'_>, own: &Written<'_>) -> bool {
    let place = |w: &Written<'_>| (w.policy.id.name.clone(), w.policy.id.namespace().to_owned());
    other.policy.priority < own.policy.priority
        || (own.tier.ties == Ties::ByName && other.policy.priority == own.policy.priority && place(other) < place(own))
}

#[cfg(test)]
mod tests {
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
                    let side = Side { direction: Direction::Egress, subject, other, dialect, doubt };
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
}
