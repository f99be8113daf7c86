//! One side of a flow: what the policies that select a pod let through to or from one endpoint, tier by tier.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ptr;
use std::sync::Arc;

use super::meets::{Match, rule_meets};
use crate::model::house::Dialect;
use crate::model::meter::charge;
use crate::model::{
    Action, Direction, Enforcer, IpSet, PodSpec, Policy, PortMatch, PortSet, Priority, Protocol, Tier, TierEnd,
    TierSemantics, Ties,
};
use crate::snapshot::NamespaceState;

/// The other end of a flow.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint<'a> {
    /// A pod, or a pod that could exist.
    Pod {
        /// Its namespace.
        namespace: &'a NamespaceState,
        /// The pod.
        pod: &'a PodSpec,
        /// Its addresses where known; empty means they are not.
        addresses: &'a [IpAddr],
    },
    /// Addresses outside the cluster's pods, taken as one: a rule matches only if it covers all of them.
    Addresses(&'a IpSet),
}

/// How to take what cannot be known, such as the address of a pod that is not running yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Allow rules do not match, deny rules do: what is left is certainly allowed.
    Against,
    /// The other way round: what is not left is certainly denied.
    InFavour,
}

/// One side of a flow: the pod whose policies decide, and the other end.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Whether the pod is the destination or the source.
    pub direction: Direction,
    /// The pod whose policies decide.
    pub subject: &'a PodSpec,
    /// The other end.
    pub other: Endpoint<'a>,
    /// The ports that are asked about; of others nothing is said.
    pub asked: &'a PortSet,
    /// How the CNI reads what is left open.
    pub dialect: Dialect,
    /// How to take what cannot be known.
    pub doubt: Doubt,
}

/// A rule that took part in a decision.
#[derive(Clone, Debug)]
pub struct Used {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Index of the rule in its direction, or `None` where isolation itself decided.
    pub rule: Option<usize>,
    /// What it did.
    pub action: Action,
    /// To which ports.
    pub ports: PortSet,
}

/// What one side lets through of what is asked about.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// What is allowed.
    pub allowed: PortSet,
    /// What is allowed only by rules that look at more than addresses and ports.
    pub filtered: PortSet,
    /// The rules that allowed or denied something, in the order in which they were consulted.
    pub used: Vec<Used>,
    /// Whether any policy isolates or governs the pod in this direction.
    pub isolated: bool,
}

/// What the policies let through on this side. `policies` are those that select the pod, as [`selecting`](super::selecting) orders them.
///
/// Cilium's and Calico's policies are never enforced by one network. Where the dialect does not say which of the two
/// there is and policies of both select the pod, each is taken by itself, and the doubt is between them.
pub fn decide(policies: &[&Arc<Policy>], side: &Side<'_>) -> Decision {
    if policies.is_empty() {
        return Decision { allowed: side.asked.clone(), ..Decision::default() };
    }
    let any_of = |enforcer| policies.iter().any(|p| p.tier.enforcer == enforcer);
    let (cilium, calico) = (any_of(Enforcer::Cilium), any_of(Enforcer::Calico));
    if !cilium && !calico {
        return Walk::over(policies, Ranking::Own, side);
    }
    let without = |enforcer| policies.iter().copied().filter(|p| p.tier.enforcer != enforcer).collect::<Vec<_>>();
    let as_calico = || {
        let mut list = without(Enforcer::Cilium);
        list.sort_by(|a, b| Ranking::Calico.compare(a, b));
        Walk::over(&list, Ranking::Calico, side)
    };
    let as_cilium = || Walk::over(&without(Enforcer::Calico), Ranking::Own, side);
    match side.dialect {
        Dialect::Cilium => as_cilium(),
        Dialect::Calico => as_calico(),
        Dialect::Upstream if !calico => as_cilium(),
        Dialect::Upstream if !cilium => as_calico(),
        Dialect::Upstream => as_cilium().or(as_calico(), side.doubt),
        Dialect::Antrea | Dialect::Ovn => {
            let list: Vec<_> = policies.iter().copied().filter(|p| p.tier.enforcer == Enforcer::Any).collect();
            Walk::over(&list, Ranking::Own, side)
        }
    }
}

impl Decision {
    /// Either of two decisions may be the right one.
    fn or(mut self, other: Self, doubt: Doubt) -> Self {
        self.allowed = match doubt {
            Doubt::Against => self.allowed.intersection(&other.allowed),
            Doubt::InFavour => self.allowed.union(&other.allowed),
        };
        self.filtered = self.filtered.union(&other.filtered);
        self.used.extend(other.used);
        self.isolated |= other.isolated;
        self
    }
}

/// Where policies stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranking {
    /// In the tiers of their own kind.
    Own,
    /// NetworkPolicies among Calico's (semantics 2.4.3).
    Calico,
}

impl Ranking {
    fn tier(self, policy: &Policy) -> &Tier {
        match self {
            Self::Calico if policy.tier.is_network_policy() => Tier::network_policy_in_calico().0,
            _ => &policy.tier,
        }
    }

    fn priority(self, policy: &Policy) -> Priority {
        match self {
            Self::Calico if policy.tier.is_network_policy() => Tier::network_policy_in_calico().1,
            _ => policy.priority,
        }
    }

    /// By tier, place in it, and what breaks ties.
    pub(super) fn compare(self, a: &Policy, b: &Policy) -> Ordering {
        let (one, two) = (self.tier(a), self.tier(b));
        // Nearly all policies share one tier.
        let tiers =
            if ptr::eq(one, two) { Ordering::Equal } else { (one.order, &one.name).cmp(&(two.order, &two.name)) };
        let by_id = || {
            let (a, b) = (&a.id, &b.id);
            a.name.cmp(&b.name).then_with(|| a.namespace().cmp(b.namespace())).then_with(|| a.kind.cmp(&b.kind))
        };
        tiers.then_with(|| self.priority(a).cmp(&self.priority(b))).then_with(by_id)
    }

    /// Whether nothing says which of two policies comes first. Calico goes by name everywhere.
    fn is_tie(self, a: &Policy, b: &Policy) -> bool {
        self == Self::Own && a.tier.ties == Ties::Undefined && a.priority == b.priority
    }
}

/// The way through the tiers, from the first to the last.
///
/// With doubt against the flow, `settled` gathers what may be denied; with doubt in its favour, what may be allowed. A
/// port can take several ways where rules may or may not match, and one of them is enough.
struct Walk<'s, 'p> {
    side: &'s Side<'p>,
    ranking: Ranking,
    settled: PortSet,
    decision: Decision,
}

impl<'s, 'p> Walk<'s, 'p> {
    fn over(policies: &[&Arc<Policy>], ranking: Ranking, side: &'s Side<'p>) -> Decision {
        let mut walk = Self { side, ranking, settled: PortSet::empty(), decision: Decision::default() };
        let mut open = side.asked.clone();
        for here in policies.chunk_by(|a, b| {
            let (a, b) = (ranking.tier(a), ranking.tier(b));
            a.order == b.order && a.name == b.name
        }) {
            let Some(first) = here.first() else { continue };
            open = match ranking.tier(first).semantics {
                TierSemantics::Union => walk.union_tier(here, &open),
                TierSemantics::FirstMatch(end) => walk.first_match_tier(here, end, open),
            };
            if open.is_empty() {
                break;
            }
        }
        // No tier decided: Kubernetes lets it through.
        walk.allow(&open);
        walk.decision.allowed = match side.doubt {
            Doubt::Against => side.asked.difference(&walk.settled),
            Doubt::InFavour => walk.settled,
        };
        walk.decision
    }

    fn allow(&mut self, ports: &PortSet) {
        if self.side.doubt == Doubt::InFavour {
            self.settled = self.settled.union(ports);
        }
    }

    fn deny(&mut self, ports: &PortSet) {
        if self.side.doubt == Doubt::Against {
            self.settled = self.settled.union(ports);
        }
    }

    fn note(&mut self, policy: &Arc<Policy>, rule: Option<usize>, action: Action, ports: PortSet) {
        charge(8);
        self.decision.used.push(Used { policy: Arc::clone(policy), rule, action, ports });
    }

    /// Notes that policies refuse by isolation what is left.
    fn refuse(&mut self, isolating: &[&Arc<Policy>], refused: &PortSet) {
        self.decision.isolated = true;
        if !refused.is_empty() {
            self.deny(refused);
            for policy in isolating {
                self.note(policy, None, Action::Deny, refused.clone());
            }
        }
    }

    /// Whether a match that is not certain is taken for one. Doubt against the flow: an allow must match for certain, a deny
    /// is taken to match if it may.
    fn takes(&self, action: Action, found: Match) -> bool {
        match found {
            Match::Yes => true,
            Match::No => false,
            Match::Maybe => (self.side.doubt == Doubt::Against) == (action == Action::Deny),
        }
    }

    /// Deny beats allow; an isolated pod gets what is allowed and nothing from later tiers. Returns what stays undecided.
    fn union_tier(&mut self, policies: &[&Arc<Policy>], open: &PortSet) -> PortSet {
        let direction = self.side.direction;
        let (mut allowed, mut denied, mut filtered) = (PortSet::empty(), PortSet::empty(), PortSet::empty());
        let mut isolating = Vec::new();
        for policy in policies {
            if policy.isolates(direction) {
                isolating.push(*policy);
            }
            for (index, rule) in policy.rules(direction).iter().enumerate() {
                charge(1);
                // Ports first: they are told faster than peers.
                if rule.action == Action::Pass
                    || !may_be_on(&rule.ports, open)
                    || !self.takes(rule.action, rule_meets(rule, self.side))
                {
                    continue;
                }
                let ports = resolve(&rule.ports, self.side).intersection(open);
                if ports.is_empty() {
                    continue;
                }
                let all = match (rule.action, &rule.filtered_by) {
                    (Action::Allow, None) => &mut allowed,
                    // A condition holds for what it is about even where nothing isolates (semantics 2.3.15).
                    (Action::Allow, Some(_)) => &mut filtered,
                    (Action::Deny | Action::Pass, _) => &mut denied,
                };
                *all = all.union(&ports);
                self.note(policy, Some(index), rule.action, ports);
            }
        }
        if !filtered.is_empty() {
            let only_filtered = filtered.difference(&allowed).difference(&denied);
            self.decision.filtered = self.decision.filtered.union(&only_filtered);
            allowed = allowed.union(&filtered);
        }
        let mut left = open.difference(&allowed);
        if !denied.is_empty() {
            allowed = allowed.difference(&denied);
            left = left.difference(&denied);
            self.deny(&denied);
        }
        self.allow(&allowed);
        if isolating.is_empty() {
            return left;
        }
        self.refuse(&isolating, &left);
        PortSet::empty()
    }

    /// The first rule that matches decides; `Pass` leaves it to the next tier. Returns what stays undecided.
    fn first_match_tier(&mut self, policies: &[&Arc<Policy>], end: TierEnd, mut open: PortSet) -> PortSet {
        let mut passed = PortSet::empty();
        let ranking = self.ranking;
        // Of policies that tie each one may be the first: all of them are asked about the same ports.
        for tied in policies.chunk_by(|a, b| ranking.is_tie(a, b)) {
            let mut taken = PortSet::empty();
            for policy in tied {
                taken = taken.union(&self.first_match(policy, open.clone(), &mut passed));
            }
            open = open.difference(&taken);
        }
        let governing: Vec<&Arc<Policy>> =
            policies.iter().copied().filter(|p| p.isolates(self.side.direction)).collect();
        if governing.is_empty() || end == TierEnd::Continue {
            return open.union(&passed);
        }
        self.refuse(&governing, &open);
        passed
    }

    /// Returns the ports that never get past this policy.
    fn first_match(&mut self, policy: &Arc<Policy>, mut open: PortSet, passed: &mut PortSet) -> PortSet {
        let mut taken = PortSet::empty();
        for (index, rule) in policy.rules(self.side.direction).iter().enumerate() {
            charge(1);
            if !may_be_on(&rule.ports, &open) {
                continue;
            }
            let found = rule_meets(rule, self.side);
            // What may pass to the next tier may as well stay: both ways are gone.
            let forks = rule.action == Action::Pass && found == Match::Maybe;
            if !forks && !self.takes(rule.action, found) {
                continue;
            }
            let ports = resolve(&rule.ports, self.side).intersection(&open);
            if ports.is_empty() {
                continue;
            }
            match rule.action {
                Action::Allow => {
                    if rule.filtered_by.is_some() {
                        self.decision.filtered = self.decision.filtered.union(&ports);
                    }
                    self.allow(&ports);
                }
                Action::Deny => self.deny(&ports),
                Action::Pass => *passed = passed.union(&ports),
            }
            if !forks {
                open = open.difference(&ports);
                taken = taken.union(&ports);
            }
            self.note(policy, Some(index), rule.action, ports);
        }
        taken
    }
}

/// Whether a condition can hold for one of these ports, before names are resolved.
fn may_be_on(condition: &PortMatch, ports: &PortSet) -> bool {
    !condition.names.is_empty() || condition.numbers.intersects(ports)
}

/// Named ports become numbers on the destination pod; addresses have no names (semantics 2.1.8).
fn resolve(ports: &PortMatch, side: &Side<'_>) -> PortSet {
    match (side.direction, &side.other) {
        (Direction::Ingress, _) => resolve_on(ports, side.subject),
        (Direction::Egress, Endpoint::Pod { pod, .. }) => resolve_on(ports, pod),
        (Direction::Egress, Endpoint::Addresses(_)) => ports.numbers.clone(),
    }
}

/// The ports that a condition comes to on this destination pod.
pub(super) fn resolve_on(ports: &PortMatch, pod: &PodSpec) -> PortSet {
    let mut set = ports.numbers.clone();
    if ports.names.is_empty() {
        return set;
    }
    for named in &pod.ports {
        charge(ports.names.len());
        let asked = |(protocol, name): &(Option<Protocol>, _)| {
            *name == named.name && protocol.is_none_or(|protocol| protocol == named.protocol)
        };
        if ports.names.iter().any(asked) {
            set = set.union(&PortSet::port(named.protocol, named.port));
        }
    }
    set
}
