//! `allow-all-peers`: a rule that names nobody, or all pods of all namespaces, admits everyone.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::peer::Entity;
use crate::model::{Action, Direction, FieldPath, Peer, policy};
use crate::reach::{is_every_pod, is_every_pod_there_is};

declare_rule! {
    /// A rule should name its peers and not admit everyone.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: is there a rule without peers (`from` or `to` empty or absent, or the empty
    /// rule `{}`), or one whose peer is all pods of all namespaces, in whatever way that is written? With Cilium the
    /// entities `all` and `cluster` are such peers. Selectors are solved: every namespace has the label
    /// `kubernetes.io/metadata.name`. A selector that leaves out only what does not exist (`NotIn` a name that no namespace
    /// has) is such a peer as well, as soon as namespaces are known.
    ///
    /// ## Why
    ///
    /// One such rule makes every other rule of the same direction pointless, and the default deny of the namespace with
    /// it. It is most often a list that a template left empty.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// ingress:
    ///   - from:
    ///       - namespaceSelector: {}
    /// ```
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// ingress:
    ///   - from:
    ///       - namespaceSelector:
    ///           matchLabels: {kubernetes.io/metadata.name: ingress-nginx}
    /// ```
    ///
    /// ## Exceptions
    ///
    /// A rule without peers is left to `open-cidr` in the directions that it judges, because such a rule opens every
    /// address as well.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Behavior of `to` and `from` selectors", "Allow all ingress traffic".
    pub AllowAllPeers = AllowAllPeers, since "0.1.0"
}

impl Rule for AllowAllPeers {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy_in_force() else { return };
        for policy in &object.policies {
            for direction in Direction::BOTH {
                let left_to_open_cidr = cx.settings.open_cidr.directions.contains(&direction);
                for rule in policy.rules(direction).iter().filter(|rule| rule.action == Action::Allow) {
                    let found = rule.peers.iter().enumerate().find_map(|(i, peer)| match peer {
                        Peer::Any if left_to_open_cidr => None,
                        Peer::Any => Some((list_path(rule), "every pod and every address")),
                        Peer::Pods(_) if is_every_pod(peer) => {
                            Some((rule.peer_path(i), "every pod of every namespace"))
                        }
                        Peer::Pods(_) if is_every_pod_there_is(cx.world, peer) => {
                            Some((rule.peer_path(i), "every pod of every namespace that there is"))
                        }
                        Peer::Entity(Entity::Cluster) => {
                            Some((rule.peer_path(i), "every pod of every namespace and every node"))
                        }
                        _ => None,
                    });
                    let Some((path, who)) = found else { continue };
                    let message = format!(
                        "{} admits {who} on {}; name the peers that are meant",
                        wording::place(&object.id, &path),
                        rule.ports
                    );
                    out.push(Finding::new(RuleId::AllowAllPeers, (*object.id).clone(), message).at(path));
                }
            }
        }
    }
}

/// The list that names nobody: the field where it is there, else the rule.
fn list_path(rule: &policy::Rule) -> FieldPath {
    if rule.peers_at.is_empty() { rule.at.clone() } else { rule.at.field(rule.peers_at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::house::{OpenCidr, PartialSettings};
    use crate::model::{Change, PortSet};
    use crate::review::{User, review};
    use crate::rules::fixtures::{egress, only, said, to};
    use crate::snapshot::Snapshot;

    #[test]
    fn what_open_cidr_does_not_judge_is_judged_here() {
        let everyone = egress("everyone", vec![to(0, vec![Peer::Any], PortSet::full())]);
        let mut house = only(RuleId::AllowAllPeers);
        let open_cidr = OpenCidr { directions: vec![Direction::Ingress], ..OpenCidr::default() };
        house.rules[0].settings = PartialSettings { open_cidr: Some(open_cidr), ..PartialSettings::default() };
        let verdict = review(&Snapshot::default(), &house, &Change::create(everyone), &User::default());
        assert_eq!(
            said(&verdict),
            [
                "warn: everyone egress[0] admits every pod and every address on every port; name the peers that are meant"
            ]
        );
    }
}
