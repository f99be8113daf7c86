//! The ceiling of one object: how much of it is read before it counts as too large to judge.
//!
//! A policy beyond its ceiling is kept without its rules: it may allow or deny anything to the pods that it may select, so
//! that verdicts which it could change are *Depends*, and no review pays for its size.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::wire::{Headed, Meta};
use super::{Defaults, Family, Kind, id};
use crate::model::meter::{Spent, within};
use crate::model::policy::Priority;
use crate::model::{FieldPath, NamespaceScope, Object, Policy, PolicyObject, TOO_LARGE, Tier, TierSemantics, Unread};

/// Parts of one object that are read: list elements, map keys and strings. A NetworkPolicy of 20,000 blocks has 40,000.
pub const MOST_PARTS: u64 = 50_000;

/// Parts of one group of addresses that are read. Threat feeds have tens of thousands of addresses in one object.
pub const MOST_GROUP_PARTS: u64 = 300_000;

/// Notes about unreadable fields that are kept of one object.
const MOST_NOTES: usize = 100;

const fn most(kind: Kind) -> u64 {
    if kind.is_address_group() { MOST_GROUP_PARTS } else { MOST_PARTS }
}

/// Reads an object up to its ceiling.
pub(super) fn read<T>(kind: Kind, reading: impl FnOnce() -> T) -> Result<T, Spent> {
    within(most(kind), reading)
}

/// The object that stands for one beyond its ceiling. `from` is its JSON, of which only the name is read.
pub(super) fn too_large<'de, D: serde::Deserializer<'de>>(
    kind: Kind,
    from: D,
    defaults: &Defaults<'_>,
    spent: Spent,
) -> Object {
    let headed = read(kind, || Headed::deserialize(from).ok()).ok().flatten();
    let meta: Meta<'_> = headed.and_then(|headed| headed.metadata).unwrap_or_default();
    let id = id(kind, &meta, defaults);
    let what = format!("more than {} list elements, map keys and strings: it {TOO_LARGE}", spent.limit);
    let unread = vec![Unread { at: FieldPath::default(), what }];
    let Some(tier) = tier(kind) else { return Object::Unreadable(id, unread) };
    let id = Arc::new(id);
    let namespaces = id.namespace.clone().map_or_else(NamespaceScope::all, NamespaceScope::Named);
    let policy = Policy::not_read(Arc::clone(&id), tier, Priority::LAST, namespaces, "too large to read".into());
    Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread, implicit_types: false })
}

/// The tier in which a policy of the kind may decide most.
fn tier(kind: Kind) -> Option<Arc<Tier>> {
    if !kind.is_policy() {
        return None;
    }
    let tier = match (kind.family(), kind) {
        (_, Kind::BaselineAdminNetworkPolicy) => Tier::baseline(),
        (Family::ClusterNetworkPolicy, _) => Tier::admin(),
        (Family::Cilium, _) => Tier::cilium(),
        (Family::Calico, _) => Tier::calico("kube-admin"),
        (Family::Kubernetes | Family::Ours, _) => Tier::network_policy(),
    };
    Some(if kind.is_staged() { tier.staged() } else { tier })
}

/// The object as it is kept: equal rules folded into one, and few notes.
pub(super) fn settled(mut object: Object) -> Object {
    if let Object::Policy(policy) = &mut object {
        for policy in &mut policy.policies {
            fold_rules(policy);
        }
    }
    with_few_notes(object)
}

/// Rules of one direction from which on equal ones are looked for.
const MANY_RULES: usize = 16;

/// Takes out rules that say what an earlier one of a union says. In an order the later one is a finding of its own.
fn fold_rules(policy: &mut Arc<Policy>) {
    let many = policy.ingress.len().max(policy.egress.len()) > MANY_RULES;
    if !many || policy.tier.semantics != TierSemantics::Union {
        return;
    }
    let policy = Arc::make_mut(policy);
    for rules in [&mut policy.ingress, &mut policy.egress] {
        let mut seen = HashSet::new();
        let new: Vec<bool> =
            rules.iter().map(|r| seen.insert((r.action, &r.peers, &r.ports, &r.filtered_by))).collect();
        let mut new = new.into_iter();
        rules.retain(|_| new.next().unwrap_or(true));
    }
}

/// The object with as many notes about unreadable fields as a person reads; the last one counts the others.
fn with_few_notes(mut object: Object) -> Object {
    let notes = match &mut object {
        Object::Policy(policy) => &mut policy.unread,
        Object::Assertion(assertion) => &mut assertion.unread,
        Object::AddressGroup(group) => &mut group.unread,
        Object::Tier(tier) => &mut tier.unread,
        Object::Unreadable(_, unread) => unread,
        Object::Namespace(_) | Object::Workload(_) => return object,
    };
    let more = notes.len().saturating_sub(MOST_NOTES);
    if more > 0 {
        notes.truncate(MOST_NOTES);
        notes.push(Unread { at: FieldPath::default(), what: format!("{more} more fields could not be read") });
    }
    object
}
