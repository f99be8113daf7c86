//! `redundant-policy`: a policy that others make needless.

use std::ptr;
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
        let who = || wording::policy(&object.id);
        let found = |message: String| {
            Finding::new(RuleId::RedundantPolicy, (*object.id).clone(), message).keyed(RuleId::RedundantPolicy.as_str())
        };
        if object.policies.iter().all(|p| does_nothing(p)) {
            out.push(found(format!(
                "{} changes nothing: it isolates no pod and has no rule; delete it or write one",
                who()
            )));
            return;
        }
        if !ports_are_named_elsewhere(cx, object) {
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
            "{} changes nothing beside {}: every pod and all traffic that it is about is decided there; delete it",
            who(),
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

/// Whether other policies have rules for all ports of this one's. Nearly every policy that changes something is told by that
/// alone, without comparing selectors, which takes longer than all else about a policy.
fn ports_are_named_elsewhere(cx: &Context<'_>, object: &PolicyObject) -> bool {
    let mut others: Vec<&Policy> = Vec::with_capacity(32);
    let namespace = cx.namespace.policies().filter(|_| object.id.namespace.is_some());
    for other in namespace.chain(cx.world.cluster_policies()).take(MOST_LOOKED_AT) {
        // The one that changes is the one that this world holds.
        if !ptr::eq(&raw const **other, object) {
            others.extend(other.policies.iter().map(|policy| &**policy));
        }
    }
    let named = |ports: &PortMatch, direction| {
        // Numbers are crossed out, because those of all policies together would be a list that grows with each. Only for
        // names it matters which numbers there are.
        let mut left = ports.numbers.clone();
        let mut together = PortMatch::numbers(PortSet::empty());
        for (i, rule) in others.iter().flat_map(|other| other.rules(direction)).enumerate() {
            if left.intersects(&rule.ports.numbers) {
                left = left.difference(&rule.ports.numbers);
            }
            if !ports.names.is_empty() {
                together.numbers = together.numbers.union(&rule.ports.numbers);
                together.names.extend(rule.ports.names.iter().cloned());
            }
            let names = || ports.names.is_empty() || covering::ports(&together, ports);
            if i == MOST_OTHERS || (left.is_empty() && names()) {
                return true;
            }
        }
        false
    };
    object.policies.iter().all(|own| {
        Direction::BOTH.into_iter().all(|direction| {
            let rules = own.rules(direction).iter();
            rules
                .filter(|rule| !covering::no_ports(&rule.ports))
                .all(|rule| rule.peers.iter().all(|peer| *peer == Peer::Nobody) || named(&rule.ports, direction))
        })
    })
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
mod tests;
