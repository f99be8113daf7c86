//! `shadowed-rule`: a rule that an earlier one always comes before decides nothing.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::{
    Action, Direction, IpSet, NamespaceScope, Peer, PodPeer, PortMatch, PortSet, TierSemantics, policy,
};

declare_rule! {
    /// A rule should be able to decide something.
    ///
    /// ## What it checks
    ///
    /// When a policy in which the first rule that matches decides (Calico, ClusterNetworkPolicy, AdminNetworkPolicy) is
    /// created or changed: does an earlier rule of the same policy match everything that a later one does?
    ///
    /// ## Why
    ///
    /// The later rule looks as if it did something. Most often the rules were meant in the other order.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// ingress:
    ///   - action: Allow
    ///   - action: Deny
    ///     source: {nets: [203.0.113.0/24]}
    /// ```
    ///
    /// ## Accepted
    ///
    /// The same with the denial first.
    ///
    /// ## Exceptions
    ///
    /// Only rules of one policy are compared, and only where labels, addresses and ports decide. That several earlier rules
    /// together leave nothing is not looked for, and rules of NetworkPolicies have no order.
    ///
    /// ## References
    ///
    /// Calico: *Tiered policy*; network-policy-api: *priorities*.
    pub ShadowedRule = ShadowedRule, since "0.1.0"
}

impl Rule for ShadowedRule {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        for policy in object.policies.iter().filter(|p| p.tier.semantics != TierSemantics::Union) {
            for direction in Direction::BOTH {
                let rules = policy.rules(direction);
                for (i, rule) in rules.iter().enumerate() {
                    // Nobody is nothing to decide about, and is another rule's affair.
                    if rule.peers.iter().all(|peer| *peer == Peer::Nobody) || is_empty(&rule.ports) {
                        continue;
                    }
                    let earlier = rules.iter().take(i).find(|earlier| earlier.at != rule.at && covers(earlier, rule));
                    let Some(earlier) = earlier else { continue };
                    let message = format!(
                        "{} can never decide: {} comes first and matches all of it; move it up or take it out",
                        wording::place(&object.id, &rule.at),
                        earlier.at.short()
                    );
                    let mut finding =
                        Finding::new(RuleId::ShadowedRule, (*object.id).clone(), message).at(rule.at.clone());
                    if earlier.action != rule.action {
                        finding = finding.because(format!(
                            "{} {} and {} {}",
                            earlier.at.short(),
                            does(earlier.action),
                            rule.at.short(),
                            does(rule.action)
                        ));
                    }
                    out.push(finding);
                }
            }
        }
    }
}

const fn does(action: Action) -> &'static str {
    match action {
        Action::Allow => "allows",
        Action::Deny => "denies",
        Action::Pass => "passes",
    }
}

fn is_empty(ports: &PortMatch) -> bool {
    ports.numbers.is_empty() && ports.names.is_empty()
}

fn covers(earlier: &policy::Rule, later: &policy::Rule) -> bool {
    // A filter may let part of it past.
    earlier.filtered_by.is_none()
        && covers_ports(&earlier.ports, &later.ports)
        && later.peers.iter().all(|peer| *peer == Peer::Nobody || earlier.peers.iter().any(|e| covers_peer(e, peer)))
}

fn covers_ports(earlier: &PortMatch, later: &PortMatch) -> bool {
    let named = |(protocol, name): &(Option<_>, _)| {
        earlier.names.contains(&(*protocol, std::sync::Arc::clone(name)))
            || protocol.is_some_and(|p| PortSet::protocol(p).is_subset(&earlier.numbers))
            || earlier.is_any()
    };
    later.numbers.is_subset(&earlier.numbers) && later.names.iter().all(named)
}

/// Whether whoever the later peer names, the earlier one names as well. "No" where that is not plain.
fn covers_peer(earlier: &Peer, later: &Peer) -> bool {
    match (earlier, later) {
        (Peer::Any, _) => true,
        (earlier, later) if earlier == later => !is_open(earlier),
        (earlier, Peer::AllOf(parts)) => parts.iter().any(|part| covers_peer(earlier, part)),
        (Peer::Pods(earlier), Peer::Pods(later)) => covers_pods(earlier, later),
        (Peer::Addresses(earlier), Peer::Addresses(later)) => {
            earlier.scope == later.scope && later.set.is_subset(&earlier.set) && later.set != IpSet::empty()
        }
        _ => false,
    }
}

/// Whether something that is not known decides about the peer.
fn is_open(peer: &Peer) -> bool {
    let mut open = false;
    peer.visit(&mut |part| open |= matches!(part, Peer::Unsettled(_) | Peer::Unreadable));
    open
}

fn covers_pods(earlier: &PodPeer, later: &PodPeer) -> bool {
    let everywhere = matches!(&earlier.namespaces, NamespaceScope::Matching(s) if s.matches_everything());
    (everywhere || earlier.namespaces == later.namespaces)
        && (earlier.pods == later.pods || earlier.pods.matches_everything())
}
