//! Policies whose rules were not read, because of their size: what they may do is not certain in any direction.

use std::sync::Arc;

use super::policy::{Action, Policy, Priority, Rule, Subject, Tier};
use super::{FieldPath, NamespaceScope, ObjectRef, Peer, PortMatch, Selector, Str};

impl Policy {
    /// A policy whose rules were not read: it may allow anything to every pod of these namespaces, and where its tier has
    /// denials deny anything. Verdicts that it could change are not certain.
    pub fn not_read(
        id: Arc<ObjectRef>,
        tier: Arc<Tier>,
        priority: Priority,
        namespaces: NamespaceScope,
        why: Str,
    ) -> Self {
        let rule = |action, peer| Rule {
            action,
            peers: vec![peer],
            ports: PortMatch::any(),
            at: FieldPath::default(),
            peers_at: "",
            filtered_by: None,
        };
        let allows = rule(Action::Allow, Peer::Unsettled(why));
        let rules =
            if tier.is_network_policy() { vec![allows] } else { vec![rule(Action::Deny, Peer::Unreadable), allows] };
        let subject = Subject { namespaces, pods: Selector::everything() };
        let (isolates_ingress, isolates_egress, ingress) = (true, true, rules.clone());
        Self { id, tier, priority, subject, isolates_ingress, isolates_egress, ingress, egress: rules }
    }

    /// Whether its rules were not read, so that what it isolates is not certain either.
    pub fn is_not_read(&self) -> bool {
        matches!(self.egress.last(), Some(Rule { peers, .. }) if matches!(peers.as_slice(), [Peer::Unsettled(_)]))
            && self.egress == self.ingress
    }
}
