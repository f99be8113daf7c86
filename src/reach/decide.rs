//! One side of a flow: what the policies that select a pod let through to or from one endpoint, tier by tier.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::house::Dialect;
use crate::model::peer::Entity;
use crate::model::pod::PodLookup;
use crate::model::policy::TierEnd;
use crate::model::{
    Action, AddressScope, Direction, IpSet, Peer, PodSpec, Policy, PortMatch, PortSet, Protocol, Rule, TierSemantics,
};
use crate::snapshot::{NamespaceState, Snapshot};

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

/// What one side lets through.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// What is allowed.
    pub allowed: PortSet,
    /// The rules that allowed or denied something, in the order in which they were consulted.
    pub used: Vec<Used>,
    /// Whether any policy isolates or governs the pod in this direction.
    pub isolated: bool,
}

/// The policies in force that select the pod, in the order of their tiers and priorities.
pub fn selecting<'a>(snapshot: &'a Snapshot, namespace: &'a NamespaceState, pod: &PodSpec) -> Vec<&'a Arc<Policy>> {
    if pod.host_network {
        return Vec::new();
    }
    let lookup = PodLookup { pod, namespace: namespace.labels() };
    let mut policies: Vec<&Arc<Policy>> =
        snapshot.policies_in(namespace).filter(|policy| policy.subject.pods.matches(&lookup)).collect();
    policies.sort_by(|a, b| order(a).cmp(&order(b)));
    policies
}

fn order(policy: &Policy) -> (crate::model::policy::Priority, &str, crate::model::policy::Priority, &str) {
    (policy.tier.order, &policy.tier.name, policy.priority, &policy.id.name)
}

/// What the policies let through on this side. `policies` are those that select the pod, as [`selecting`] orders them.
pub fn decide(policies: &[&Arc<Policy>], side: &Side<'_>) -> Decision {
    let mut decision = Decision::default();
    let mut open = PortSet::full();
    let mut rest = policies;
    while let Some(first) = rest.first() {
        let tier = Arc::clone(&first.tier);
        let (here, later) = rest.split_at(rest.iter().take_while(|p| p.tier == tier).count());
        rest = later;
        open = match tier.semantics {
            TierSemantics::Union => union_tier(here, side, &open, &mut decision),
            TierSemantics::FirstMatch(end) => first_match_tier(here, end, side, open, &mut decision),
        };
        if open.is_empty() {
            return decision;
        }
    }
    // No tier decided: Kubernetes lets it through.
    decision.allowed = decision.allowed.union(&open);
    decision
}

/// Deny beats allow; an isolated pod gets what is allowed and nothing from later tiers. Returns what stays undecided.
fn union_tier(policies: &[&Arc<Policy>], side: &Side<'_>, open: &PortSet, decision: &mut Decision) -> PortSet {
    let (mut allowed, mut denied) = (PortSet::empty(), PortSet::empty());
    let mut isolating = Vec::new();
    for policy in policies {
        if policy.isolates(side.direction) {
            isolating.push(*policy);
        }
        for (index, rule) in policy.rules(side.direction).iter().enumerate() {
            let ports = rule_ports(rule, side).intersection(open);
            if ports.is_empty() {
                continue;
            }
            match rule.action {
                Action::Allow => allowed = allowed.union(&ports),
                Action::Deny => denied = denied.union(&ports),
                Action::Pass => continue,
            }
            decision.used.push(Used { policy: Arc::clone(policy), rule: Some(index), action: rule.action, ports });
        }
    }
    let allowed = allowed.difference(&denied);
    let left = open.difference(&denied);
    if isolating.is_empty() {
        return left;
    }
    decision.isolated = true;
    let refused = left.difference(&allowed);
    if !refused.is_empty() {
        decision.used.extend(isolating.into_iter().map(|policy| Used {
            policy: Arc::clone(policy),
            rule: None,
            action: Action::Deny,
            ports: refused.clone(),
        }));
    }
    decision.allowed = decision.allowed.union(&allowed);
    PortSet::empty()
}

/// The first rule that matches decides; `Pass` leaves it to the next tier. Returns what stays undecided.
fn first_match_tier(
    policies: &[&Arc<Policy>],
    end: TierEnd,
    side: &Side<'_>,
    mut open: PortSet,
    decision: &mut Decision,
) -> PortSet {
    let mut passed = PortSet::empty();
    let mut governed = false;
    for policy in policies {
        governed |= policy.isolates(side.direction);
        for (index, rule) in policy.rules(side.direction).iter().enumerate() {
            let ports = rule_ports(rule, side).intersection(&open);
            if ports.is_empty() {
                continue;
            }
            open = open.difference(&ports);
            match rule.action {
                Action::Allow => decision.allowed = decision.allowed.union(&ports),
                Action::Deny => {}
                Action::Pass => passed = passed.union(&ports),
            }
            decision.used.push(Used { policy: Arc::clone(policy), rule: Some(index), action: rule.action, ports });
        }
    }
    if governed && end == TierEnd::DenyGoverned {
        decision.isolated = true;
        return passed;
    }
    open.union(&passed)
}

/// The ports of a rule that matches this endpoint; nothing where it does not.
fn rule_ports(rule: &Rule, side: &Side<'_>) -> PortSet {
    // Doubt against the flow: an allow must match for certain, a deny is taken to match if it may.
    let needs_certainty = (side.doubt == Doubt::Against) == (rule.action != Action::Deny);
    let matched = rule.peers.iter().any(|peer| match meets(peer, side) {
        Match::Yes => true,
        Match::No => false,
        Match::Maybe => !needs_certainty,
    });
    if matched { resolve(&rule.ports, side) } else { PortSet::empty() }
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
        let asked = |(protocol, name): &(Option<Protocol>, _)| {
            *name == named.name && protocol.is_none_or(|protocol| protocol == named.protocol)
        };
        if ports.names.iter().any(asked) {
            set = set.union(&PortSet::port(named.protocol, named.port));
        }
    }
    set
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

impl From<bool> for Match {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

fn meets(peer: &Peer, side: &Side<'_>) -> Match {
    match (peer, &side.other) {
        (Peer::Any, _)
        | (Peer::Entity(Entity::World), Endpoint::Addresses(_))
        | (Peer::Entity(Entity::Cluster), Endpoint::Pod { .. }) => Match::Yes,
        // Selectors do not see pods on the host's network (semantics 2.1.17).
        (Peer::Pods(peer), Endpoint::Pod { namespace, pod, .. }) => {
            let lookup = PodLookup { pod, namespace: namespace.labels() };
            (!pod.host_network && namespace.is_in(&peer.namespaces) && peer.pods.matches(&lookup)).into()
        }
        (Peer::Addresses(peer), Endpoint::Addresses(set)) => set.is_subset(&peer.set).into(),
        (Peer::Addresses(peer), Endpoint::Pod { addresses, .. }) => match peer.scope {
            AddressScope::ExternalOnly => Match::No,
            AddressScope::ByDialect if !side.dialect.ip_blocks_match_pods() => Match::No,
            AddressScope::ByDialect | AddressScope::PodsToo => covers_pod(&peer.set, addresses),
        },
        (Peer::Entity(_) | Peer::Nodes(_) | Peer::Domains(_), Endpoint::Addresses(_)) => Match::Maybe,
        (Peer::Entity(_) | Peer::Nodes(_) | Peer::Domains(_), Endpoint::Pod { .. })
        | (Peer::Pods(_), Endpoint::Addresses(_))
        | (Peer::Nobody, _) => Match::No,
    }
}

/// Whether a block matches a pod. Without a known address only a whole family is certain to.
fn covers_pod(set: &IpSet, addresses: &[IpAddr]) -> Match {
    if set.is_empty() {
        return Match::No;
    }
    if addresses.is_empty() {
        return if set.v4().is_full() || set.v6().is_full() { Match::Yes } else { Match::Maybe };
    }
    // A dual-stack pod is reached over either family; within a family all addresses must be covered.
    for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        let mut of_family = addresses.iter().filter(|a| family(a)).peekable();
        if of_family.peek().is_some() && of_family.all(|a| set.contains(*a)) {
            return Match::Yes;
        }
    }
    if addresses.iter().any(|a| set.contains(*a)) { Match::Maybe } else { Match::No }
}
