//! Which rules and peers open addresses, as `open-cidr` counts them.

use super::rule::Context;
use crate::model::dns_names::covers_every_name;
use crate::model::meter::charge;
use crate::model::peer::Entity;
use crate::model::{Action, Direction, IpSet, Peer, Policy, policy};
use crate::reach::Opening;

/// Whether a part of the policy could not be read, so that it is taken as allowing nothing: what it may have been meant to
/// open is told by `not-understood`.
pub(super) fn counts_for_nothing(cx: &Context<'_>, opening: &Opening<'_>) -> bool {
    let Some(Peer::AllOf(parts)) = opening.rule.peers.get(opening.peer) else { return false };
    parts.iter().any(|part| matches!(part, Peer::Unsettled(_)))
        && cx.world.policy(&opening.policy.id).is_some_and(|object| !object.unread.is_empty())
}

/// Whether a rule opens addresses, or may.
pub(super) fn opens_addresses(rule: &policy::Rule) -> bool {
    // Entities and combined conditions can be addresses as well; what cannot is told at a glance.
    rule.action == Action::Allow && rule.peers.iter().any(|peer| !matches!(peer, Peer::Pods(_) | Peer::Nobody))
}

/// Whether a rule may open an address of the set; "no" is certain.
pub(super) fn may_open(rule: &policy::Rule, set: &IpSet) -> bool {
    charge(1 + rule.peers.len());
    rule.action == Action::Allow && rule.peers.iter().any(|peer| reaches(peer, set))
}

fn reaches(peer: &Peer, set: &IpSet) -> bool {
    match peer {
        Peer::Addresses(peer) => peer.set.intersects(set),
        Peer::Domains(_) => is_every_name(peer),
        Peer::Entity(entity) => *entity == Entity::World,
        Peer::AllOf(parts) => parts.iter().all(|part| reaches(part, set)),
        Peer::Pods(_) | Peer::Nodes(_) | Peer::Nobody => false,
        _ => true,
    }
}

/// Whether a policy opens every address on every port.
pub(super) fn opens_everything(policy: &Policy, direction: Direction) -> bool {
    policy.rules(direction).iter().any(|rule| {
        charge(1);
        let everyone = |peer: &Peer| matches!(peer, Peer::Any | Peer::Entity(Entity::World));
        rule.action == Action::Allow && rule.ports.is_any() && rule.peers.iter().any(everyone)
    })
}

/// Whether names of a peer match every name, so that it opens every address.
pub(super) fn is_every_name(peer: &Peer) -> bool {
    matches!(peer, Peer::Domains(names) if names.iter().any(|name| covers_every_name(name)))
}
