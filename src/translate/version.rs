//! Objects of a version of their API that is not known. They are read as the version that is, and that is a guess: what
//! they deny may be denied, what they allow may not be allowed, and nothing rests on them.

use super::json::Value;

use std::sync::Arc;

use super::{Kind, shorten};
use crate::model::{
    Action, Direction, FieldPath, Object, Peer, Policy, PolicyObject, PortMatch, READ_AS, Rule, TierEnd, TierSemantics,
    Unread,
};

/// Where an object says its version.
const AT: &str = "apiVersion";

/// The object as it counts: as it was read if its version is known.
pub(super) fn settled(kind: Kind, value: &Value<'_>, object: Object) -> Object {
    let version = value.get(AT).and_then(Value::as_str).unwrap_or_default();
    let stored = kind.other_collection().and_then(|path| path.strip_prefix("/apis/")?.rsplit_once('/'));
    let known = [Some(kind.api_version()), stored.map(|(version, _)| version)];
    if version.is_empty() || known.contains(&Some(version)) {
        return object;
    }
    let what = || format!("version `{}` is not known; the object {READ_AS} {}", shorten(version), kind.api_version());
    let note = |unread: &mut Vec<Unread>| {
        if unread.iter().all(|part| part.at.as_str() != AT) {
            unread.push(Unread { at: FieldPath::new(AT), what: what() });
        }
    };
    match object {
        Object::Policy(mut policy) => {
            note(&mut policy.unread);
            let doubt = format!("a version that is not known ({})", shorten(version));
            let policies = policy.policies.iter().map(|one| Arc::new(doubtful(one, &doubt))).collect();
            Object::Policy(PolicyObject { policies, ..policy })
        }
        Object::AddressGroup(mut group) => {
            note(&mut group.unread);
            Object::AddressGroup(group)
        }
        Object::Tier(mut tier) => {
            note(&mut tier.unread);
            Object::Tier(tier)
        }
        other => other,
    }
}

/// The policy as one of which nothing is certain, not even that it isolates.
pub(super) fn doubtful(policy: &Policy, doubt: &str) -> Policy {
    let mut policy = policy.clone();
    let unsettled = || Peer::Unsettled(doubt.into());
    for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
        for peer in &mut rule.peers {
            *peer = Peer::AllOf(vec![peer.clone(), unsettled()]);
        }
        rule.filtered_by.get_or_insert_with(|| doubt.into());
    }
    // Where nothing passes on by itself, what no rule allows may be denied.
    let closes = !matches!(policy.tier.semantics, TierSemantics::FirstMatch(TierEnd::Continue));
    for direction in Direction::BOTH {
        let (isolates, rules) = match direction {
            Direction::Ingress => (&mut policy.isolates_ingress, &mut policy.ingress),
            Direction::Egress => (&mut policy.isolates_egress, &mut policy.egress),
        };
        if std::mem::take(isolates) && closes {
            rules.push(Rule {
                action: Action::Deny,
                peers: vec![unsettled()],
                ports: PortMatch::any(),
                at: FieldPath::new("spec"),
                peers_at: "",
                filtered_by: Some(doubt.into()),
            });
        }
    }
    policy
}
