//! What a change can concern: of a thousand assertions all but a few can be told to be the same after it without a look
//! at a single pair.

use super::At;
use crate::model::assertion::{Claim, Who};
use crate::model::pod::PodLookup;
use crate::model::{Change, Direction, NamespaceScope, Object, PodPeer, PodSpec, Policy, Selector, Workload};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// The pairs that a change can concern.
#[derive(Clone, Debug)]
pub enum Focus<'a> {
    /// Every pair.
    Everything,
    /// No pair.
    Nothing,
    /// Pairs with an end that one of these policies selects, in a direction that it decides.
    Policies(Vec<&'a Policy>),
    /// Pairs with an end in this namespace.
    Namespace(&'a str),
    /// Pairs with an end among the pods of these.
    Workloads(Vec<&'a Workload>),
}

impl<'a> Focus<'a> {
    /// What this change can concern.
    pub fn of(change: &'a Change) -> Self {
        let sides = || change.before.iter().chain(&change.after);
        match change.object() {
            Some(Object::Policy(_)) => Self::Policies(
                sides()
                    .filter_map(|object| if let Object::Policy(policy) = object { Some(policy) } else { None })
                    .flat_map(|object| object.policies.iter().map(|policy| &**policy))
                    .collect(),
            ),
            Some(Object::Namespace(namespace)) => Self::Namespace(&namespace.name),
            Some(Object::Workload(_)) => {
                let all: Vec<&Workload> = sides()
                    .filter_map(|object| if let Object::Workload(workload) = object { Some(workload) } else { None })
                    .collect();
                match all.as_slice() {
                    [before, after] if is_same(before, after) => Self::Nothing,
                    _ => Self::Workloads(all),
                }
            }
            // Policies anywhere can refer to them.
            Some(Object::AddressGroup(_) | Object::Tier(_)) => Self::Everything,
            Some(Object::Assertion(_) | Object::Unreadable(..)) | None => Self::Nothing,
        }
    }

    /// The namespaces in which it lies, where names tell; `None` if it may lie anywhere.
    pub(super) fn namespaces(&self) -> Option<Vec<&'a str>> {
        match self {
            Self::Everything => None,
            Self::Nothing => Some(Vec::new()),
            Self::Policies(all) => all
                .iter()
                .map(|policy| match &policy.subject.namespaces {
                    NamespaceScope::Named(name) => Some(&**name),
                    NamespaceScope::Matching(_) => None,
                })
                .collect(),
            Self::Namespace(name) => Some(vec![name]),
            Self::Workloads(all) => Some(all.iter().map(|workload| workload.namespace()).collect()),
        }
    }

    /// Whether it can concern the claim at all. Quick, and right whenever it says no.
    pub fn concerns(&self, world: &Snapshot, claim: &Claim) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Policies(all) => all.iter().any(|policy| {
                let selects = |who: &Who| may_select(world, policy, who);
                (decides(policy, Direction::Egress) && selects(&claim.from))
                    || (decides(policy, Direction::Ingress) && selects(&claim.to))
            }),
            // The labels are others after the change, so only a name that is given tells.
            Self::Namespace(name) => [&claim.from, &claim.to].into_iter().any(|who| match who {
                Who::Pods(PodPeer { namespaces: NamespaceScope::Named(own), .. })
                | Who::Workload { namespace: own, .. } => **own == **name,
                Who::Pods(_) => true,
                Who::Addresses { .. } | Who::World => false,
            }),
            Self::Workloads(all) => all.iter().any(|workload| {
                let state = world.namespace_or_empty(workload.namespace());
                [&claim.from, &claim.to].into_iter().any(|who| is_meant(who, workload, &state))
            }),
        }
    }

    /// Whether it can concern pairs with this pod at this end.
    pub(super) fn meets(&self, at: At, state: &NamespaceState, pod: &PodSpec, owner: Option<&Owner>) -> bool {
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Policies(all) => {
                let direction = match at {
                    At::From => Direction::Egress,
                    At::To => Direction::Ingress,
                };
                let lookup = PodLookup { pod, namespace: state.labels() };
                all.iter().any(|policy| {
                    decides(policy, direction)
                        && state.is_in(&policy.subject.namespaces)
                        && policy.subject.pods.matches(&lookup)
                })
            }
            Self::Namespace(name) => **state.name() == **name,
            Self::Workloads(all) => all.iter().any(|workload| {
                **state.name() == *workload.namespace() && owner.is_some_and(|owner| *owner == Owner::of(workload))
            }),
        }
    }
}

fn is_same(a: &Workload, b: &Workload) -> bool {
    a.pod == b.pod && a.controller == b.controller && a.takes_part() == b.takes_part()
}

fn decides(policy: &Policy, direction: Direction) -> bool {
    policy.isolates(direction) || !policy.rules(direction).is_empty()
}

fn is_meant(who: &Who, workload: &Workload, state: &NamespaceState) -> bool {
    match who {
        Who::Pods(peer) => {
            state.is_in(&peer.namespaces)
                && peer.pods.matches(&PodLookup { pod: &workload.pod, namespace: state.labels() })
        }
        Who::Workload { namespace, kind, name } => {
            let owner = Owner::of(workload);
            **namespace == *workload.namespace() && owner.kind == *kind && owner.name == *name
        }
        Who::Addresses { .. } | Who::World => false,
    }
}

/// Whether the policy may select a pod at this end.
fn may_select(world: &Snapshot, policy: &Policy, who: &Who) -> bool {
    let subject = &policy.subject;
    match who {
        Who::Addresses { .. } | Who::World => false,
        Who::Workload { namespace, .. } => match &subject.namespaces {
            NamespaceScope::Named(name) => name == namespace,
            scope @ NamespaceScope::Matching(_) => world.namespace_or_empty(namespace).is_in(scope),
        },
        Who::Pods(peer) => {
            let meet = match (&subject.namespaces, &peer.namespaces) {
                (NamespaceScope::Named(a), NamespaceScope::Named(b)) => a == b,
                (NamespaceScope::Named(name), scope) | (scope, NamespaceScope::Named(name)) => {
                    world.namespace_or_empty(name).is_in(scope)
                }
                (NamespaceScope::Matching(_), NamespaceScope::Matching(_)) => true,
            };
            meet && !exclude(&subject.pods, &peer.pods)
        }
    }
}

/// Whether the two demand different values of one label, so that no pod matches both.
fn exclude(a: &Selector, b: &Selector) -> bool {
    match super::ends::demanded(a) {
        Some((key, value)) => b.required_value(key).is_some_and(|other| other != value),
        None => false,
    }
}
