//! Policies as a union of allows, and of denies that beat them, with a default deny: the shape that every kind has in
//! common. What depends on order, on another tier or on more than addresses and ports has no such shape.

use std::sync::Arc;

use super::super::render::{Obstacle, obstacle};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::{AddressPeer, Entity};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, IpSet, NamespaceScope, Peer, Policy, Priority, Rule, Selector,
    Standing, Tier, TierSemantics,
};

/// The policy in that shape. `others` are all that it may stand together with.
pub(super) fn plain(policy: &Policy, others: &[&Policy]) -> Result<Policy, Obstacle> {
    match policy.tier.standing {
        Standing::InForce => {}
        Standing::Missing => {
            return obstacle(&FieldPath::new("spec.tier"), "its tier does not exist, and so it is not enforced");
        }
        Standing::Staged => return obstacle(&FieldPath::default(), "it is staged, and never enforced"),
    }
    let mut plain = match policy.tier.semantics {
        TierSemantics::Union => policy.clone(),
        TierSemantics::FirstMatch(_) if *policy.tier == *Tier::calico("") => of_calico(policy)?,
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

/// Among policies of the default tier that only allow, order says nothing, and whoever is governed gets nothing else.
fn of_calico(policy: &Policy) -> Result<Policy, Obstacle> {
    for rule in policy.ingress.iter().chain(&policy.egress) {
        match rule.action {
            Action::Allow => {}
            Action::Deny => {
                return obstacle(&rule.at, "its action is Deny, and what comes first there has no counterpart");
            }
            Action::Pass => return obstacle(&rule.at, "its action is Pass, and there is no other tier to pass to"),
        }
    }
    Ok(policy.clone())
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
                Action::Pass => return obstacle(&rule.at, "its action is Pass, and there is no other tier to pass to"),
            }
        }
        let of_tier = || others.iter().filter(|other| *other.tier == *policy.tier && other.id != policy.id);
        if closes {
            let cut_off = of_tier().find(|other| {
                other.priority >= policy.priority
                    && !apart(&policy.subject.namespaces, &other.subject.namespaces)
                    && other.rules(direction).iter().any(|rule| rule.action == Action::Allow)
            });
            if let Some(other) = cut_off {
                let what = format!("what {} accepts comes after it, and the order would be lost", other.id);
                return obstacle(&FieldPath::new("spec.priority"), what);
            }
        } else if !kept.is_empty() {
            let closed = of_tier().any(|other| {
                let for_these = other.subject.pods == policy.subject.pods || other.subject.pods.is_everything();
                other.priority > policy.priority
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

/// Whether no pod can be in both scopes, as far as names tell.
fn apart(a: &NamespaceScope, b: &NamespaceScope) -> bool {
    let name = |scope: &NamespaceScope| match scope {
        NamespaceScope::Named(name) => Some(name.clone()),
        NamespaceScope::Matching(selector) => selector.required_value(NAMESPACE_NAME_LABEL).cloned(),
    };
    matches!((name(a), name(b)), (Some(a), Some(b)) if a != b)
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
