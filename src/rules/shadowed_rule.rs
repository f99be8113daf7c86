//! `shadowed-rule`: a rule that an earlier one always comes before decides nothing.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{covering, wording};
use crate::model::house::RuleId;
use crate::model::{Action, Direction, Peer, TierSemantics};

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
                    if rule.peers.iter().all(|peer| *peer == Peer::Nobody) || covering::no_ports(&rule.ports) {
                        continue;
                    }
                    let earlier =
                        rules.iter().take(i).find(|earlier| earlier.at != rule.at && covering::rule(earlier, rule));
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
