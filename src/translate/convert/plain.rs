//! Policies as a union of allows, and of denies that beat them, with a default deny: the shape that every kind has in
//! common. What depends on order, on another tier or on more than addresses and ports has no such shape.

use std::sync::Arc;

use super::super::render::{Obstacle, obstacle};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::{AddressPeer, Entity};
use crate::model::selector::{Escape, escaping};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, IpSet, NamespaceScope, Peer, Policy, Priority, Rule, Selector,
    Standing, Subject, Tier, TierSemantics,
};

/// The policy in that shape. `others` are all that it may stand together with.
pub(super) fn plain(policy: &Policy, others: &[&Policy]) -> Result<Policy, Obstacle> {
    match policy.tier.standing {
        Standing::InForce => {}
        Standing::Missing => {
            return obstacle(&FieldPath::new("spec.tier"), "its tier does not exist, and so it is not enforced");
        }
        Standing::Off => return obstacle(&FieldPath::default(), "the network is told to enforce no policy"),
        Standing::Staged => return obstacle(&FieldPath::default(), "it is staged, and never enforced"),
    }
    let mut plain = match policy.tier.semantics {
        TierSemantics::Union => policy.clone(),
        TierSemantics::FirstMatch(_) if *policy.tier == *Tier::calico("") => of_calico(policy, others)?,
        TierSemantics::FirstMatch(_) if *policy.tier == *Tier::baseline() => of_baseline(policy, others)?,
        TierSemantics::FirstMatch(_) => {
            let what =
                format!("its tier {} decides before or after NetworkPolicies, and not with them", policy.tier.name);
            return obstacle(&FieldPath::new("spec.tier"), what);
        }
    };
    plain.tier = Tier::network_policy();
    plain.priority = Priority::LAST;
    if let NamespaceScope::Matching(selector) = &plain.subject.namespaces
        && let Some(name) = selector.required_value(NAMESPACE_NAME_LABEL)
        && *selector == Selector::equals(NAMESPACE_NAME_LABEL, name.clone())
    {
        plain.subject.namespaces = NamespaceScope::Named(name.clone());
    }
    for rules in [&mut plain.ingress, &mut plain.egress] {
        for rule in rules.iter_mut() {
            rule.peers = rule.peers.iter().map(simple).filter(|peer| !is_nobody(peer)).collect();
        }
        rules.retain(|rule| !rule.peers.is_empty());
    }
    Ok(plain)
}

/// Among policies of the default tier that only allow, order says nothing, and whoever is governed gets nothing else: a
/// denial of everyone at the end says what is so without it.
fn of_calico(policy: &Policy, others: &[&Policy]) -> Result<Policy, Obstacle> {
    let mut plain = policy.clone();
    for direction in Direction::BOTH {
        let rules = policy.rules(direction);
        let end = rules.iter().position(|rule| denies_everyone(rule, direction)).unwrap_or(rules.len());
        let kept = rules.get(..end).unwrap_or_default();
        for rule in kept {
            match rule.action {
                Action::Allow => {}
                Action::Deny => {
                    return obstacle(&rule.at, "its action is Deny, and what comes first there has no counterpart");
                }
                Action::Pass => return obstacle(&rule.at, NO_PASS),
            }
        }
        if end < rules.len() {
            not_cut_off(policy, direction, others, place_in_calico)?;
        }
        match direction {
            Direction::Ingress => plain.ingress = kept.to_vec(),
            Direction::Egress => plain.egress = kept.to_vec(),
        }
    }
    Ok(plain)
}

const NO_PASS: &str = "its action is Pass, and there is no other tier to pass to";

/// Where a policy stands in the default tier of Calico, to which NetworkPolicies belong (semantics 2.4.3).
fn place_in_calico(policy: &Policy) -> Option<Priority> {
    let (tier, order) = Tier::network_policy_in_calico();
    if policy.tier.is_network_policy() {
        return Some(order);
    }
    (policy.tier == *tier).then_some(policy.priority)
}

fn place_in_baseline(policy: &Policy) -> Option<Priority> {
    (*policy.tier == *Tier::baseline()).then_some(policy.priority)
}

/// A denial of everyone ends what comes after it: if another policy allows something there, the order would be lost.
fn not_cut_off(
    policy: &Policy,
    direction: Direction,
    others: &[&Policy],
    place: fn(&Policy) -> Option<Priority>,
) -> Result<(), Obstacle> {
    let after = others.iter().find(|other| {
        other.id != policy.id
            && place(other) >= place(policy)
            && other.rules(direction).iter().any(|rule| rule.action == Action::Allow)
            && !apart(&policy.subject, &other.subject)
    });
    match after {
        None => Ok(()),
        Some(other) => {
            let what = format!("it denies everyone before {} allows some, and the order would be lost", other.id);
            obstacle(&FieldPath::new("spec").field(direction.field()), what)
        }
    }
}

/// In the tier Baseline: what is accepted first, and then a denial of everything else.
fn of_baseline(policy: &Policy, others: &[&Policy]) -> Result<Policy, Obstacle> {
    let mut plain = policy.clone();
    for direction in Direction::BOTH {
        let mut kept: Vec<Rule> = Vec::new();
        let mut closes = false;
        for rule in policy.rules(direction) {
            match rule.action {
                Action::Allow => kept.push(rule.clone()),
                Action::Deny if denies_everyone(rule, direction) => {
                    closes = true;
                    break;
                }
                Action::Deny => {
                    return obstacle(
                        &rule.at,
                        "it denies some and not everyone, and what comes first there has no counterpart",
                    );
                }
                Action::Pass => return obstacle(&rule.at, NO_PASS),
            }
        }
        if closes {
            not_cut_off(policy, direction, others, place_in_baseline)?;
        } else if !kept.is_empty() {
            let closed = others.iter().any(|other| {
                let for_these = other.subject.pods == policy.subject.pods || other.subject.pods.is_everything();
                place_in_baseline(other) > place_in_baseline(policy)
                    && for_these
                    && other.subject.namespaces == policy.subject.namespaces
                    && other.rules(direction).iter().any(|rule| denies_everyone(rule, direction))
            });
            if !closed {
                let what =
                    "no policy for the same pods denies the rest at a later priority, and allowing would isolate them";
                return obstacle(&FieldPath::new("spec").field(direction.field()), what);
            }
            closes = true;
        }
        match direction {
            Direction::Ingress => (plain.isolates_ingress, plain.ingress) = (closes, kept),
            Direction::Egress => (plain.isolates_egress, plain.egress) = (closes, kept),
        }
    }
    Ok(plain)
}

/// Whether no pod can be subject to both, by the names of namespaces or by labels.
fn apart(a: &Subject, b: &Subject) -> bool {
    let name = |subject: &Subject| match &subject.namespaces {
        NamespaceScope::Named(name) => Some(name.clone()),
        NamespaceScope::Matching(selector) => selector.required_value(NAMESPACE_NAME_LABEL).cloned(),
    };
    if matches!((name(a), name(b)), (Some(a), Some(b)) if a != b) {
        return true;
    }
    let both = Selector::all(vec![a.pods.clone(), b.pods.clone()]).negate();
    escaping(&[&both]) == Escape::Impossible
}

/// Whether the rule denies whoever it can name: incoming traffic has no peers but pods (semantics 2.2.7).
fn denies_everyone(rule: &Rule, direction: Direction) -> bool {
    let everyone = |peer: &Peer| match peer {
        Peer::Any => true,
        Peer::Pods(pods) => {
            let all = matches!(&pods.namespaces, NamespaceScope::Matching(selector) if selector.is_everything());
            direction == Direction::Ingress && all && pods.pods.is_everything()
        }
        Peer::Addresses(block) => block.set.is_full(),
        _ => false,
    };
    rule.action == Action::Deny && rule.ports.is_any() && rule.peers.iter().any(everyone)
}

fn is_nobody(peer: &Peer) -> bool {
    *peer == Peer::Nobody || matches!(peer, Peer::Addresses(block) if block.set.is_empty())
}

/// The peer in the simplest terms: blocks less other blocks are blocks with excepts.
fn simple(peer: &Peer) -> Peer {
    match peer {
        Peer::Entity(Entity::World) => blocks(&IpSet::full(), AddressScope::ExternalOnly),
        Peer::Addresses(block) if block.set.is_full() && block.scope == AddressScope::PodsToo => Peer::Any,
        Peer::AllOf(parts) => match parts.as_slice() {
            [Peer::Addresses(block), Peer::Not(other)] => match (&**other, block.blocks.as_slice()) {
                (Peer::Addresses(other), [(cidr, except)])
                    if except.is_empty()
                        && other.scope == block.scope
                        && other.blocks.iter().all(|(net, e)| e.is_empty() && cidr.contains(net)) =>
                {
                    let except = other.blocks.iter().map(|(net, _)| *net).collect();
                    Peer::Addresses(AddressPeer::block(*cidr, except, block.scope))
                }
                _ => by_set(peer),
            },
            _ => by_set(peer),
        },
        Peer::Not(_) => by_set(peer),
        other => other.clone(),
    }
}

/// The addresses of a compound peer that is about addresses alone.
fn by_set(peer: &Peer) -> Peer {
    let mut scopes = Vec::new();
    let mut only_addresses = true;
    peer.visit(&mut |part| match part {
        Peer::Addresses(block) => scopes.push(block.scope),
        Peer::AllOf(parts) if !parts.is_empty() => {}
        Peer::Not(_) => {}
        _ => only_addresses = false,
    });
    if only_addresses && scopes.iter().all(|scope| *scope == AddressScope::PodsToo) {
        return simple(&blocks(&peer.addresses(), AddressScope::PodsToo));
    }
    peer.clone()
}

pub(super) fn blocks(set: &IpSet, scope: AddressScope) -> Peer {
    Peer::Addresses(AddressPeer::blocks(set.to_cidrs(), scope))
}

/// The one namespace that the policy is for.
pub(super) fn home(policy: &Policy, kind: &str) -> Result<crate::model::Str, Obstacle> {
    match &policy.subject.namespaces {
        NamespaceScope::Named(name) => Ok(name.clone()),
        NamespaceScope::Matching(_) => obstacle(
            &FieldPath::new("spec"),
            format!("it is for pods of several namespaces, and a {kind} for those of its own"),
        ),
    }
}

/// Policies with their denials apart, for kinds in which what comes first decides.
pub(super) fn apart_by_action(policy: &Policy) -> (Option<Policy>, Policy) {
    let only = |action: Action| {
        let of = |direction| policy.rules(direction).iter().filter(|rule| rule.action == action).cloned().collect();
        Policy { ingress: of(Direction::Ingress), egress: of(Direction::Egress), ..policy.clone() }
    };
    let denials = only(Action::Deny);
    let some = !denials.ingress.is_empty() || !denials.egress.is_empty();
    (some.then_some(denials), only(Action::Allow))
}

/// A policy of another identity.
pub(super) fn named(policy: Policy, id: crate::model::ObjectRef) -> Policy {
    Policy { id: Arc::new(id), ..policy }
}
