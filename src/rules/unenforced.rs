//! `unenforced`: a policy that the cluster's network plugin does not carry out.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{fields, wording};
use crate::model::cni::{Cni, Enforces, Family, Part};
use crate::model::house::RuleId;
use crate::model::sighting::Sighting;
use crate::model::{Direction, FieldPath, Peer, PolicyObject, PortSet, Protocol, policy};

declare_rule! {
    /// A policy needs a network plugin that enforces its kind; without one it is accepted, stored, and has no effect.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: is any of the network plugins that run in the cluster known to enforce policies
    /// of this kind? Plugins are seen by the pods of their DaemonSets, in the namespaces where they are usually installed, or
    /// else by what nodes report as the reason of their condition `NetworkUnavailable`.
    ///
    /// | plugin | NetworkPolicy | other kinds |
    /// |---|---|---|
    /// | Antrea | yes | AdminNetworkPolicy |
    /// | Amazon VPC CNI | if its policy agent is on | AdminNetworkPolicy from 1.21 |
    /// | Azure Network Policy Manager | yes | |
    /// | Calico, Canal | yes | Calico's own; ClusterNetworkPolicy from 3.32, AdminNetworkPolicy before |
    /// | Cilium | yes | Cilium's own; ClusterNetworkPolicy if switched on |
    /// | Flannel | no | |
    /// | kindnet | from kind 0.24 | |
    /// | kube-network-policies | yes | ClusterNetworkPolicy |
    /// | Kube-OVN | yes | AdminNetworkPolicy, ClusterNetworkPolicy |
    /// | kube-router, Weave Net | yes | |
    /// | OVN-Kubernetes | yes | AdminNetworkPolicy |
    ///
    /// Cilium enforces nothing where its ConfigMap `cilium-config` says `enable-policy: never`, and not the kinds that are
    /// switched off there (`enable-k8s-networkpolicy`, `enable-cilium-network-policy`,
    /// `enable-cilium-clusterwide-network-policy`), unless another plugin does. ClusterNetworkPolicy and SCTP count as enforced
    /// if `enable-k8s-cluster-network-policy` and `enable-sctp` say so there.
    ///
    /// And of a policy whose kind is enforced: are all its parts? Plugins that carry out everything else leave out
    ///
    /// | part | by |
    /// |---|---|
    /// | ports by name | OVN-Kubernetes, Weave Net |
    /// | ranges of ports (`endPort`) | Weave Net |
    /// | SCTP | kube-router; Cilium unless `sctp.enabled` is set |
    /// | IPv6 blocks | Azure Network Policy Manager, Weave Net |
    ///
    /// Where no plugin is seen nothing is said: k3s and some managed clusters run theirs outside of pods. Neither is where
    /// only CustomResourceDefinitions tell of one, which may be left over, or only nodes that report Flannel, as in k3s.
    ///
    /// ## Why
    ///
    /// The API server takes every NetworkPolicy, whether or not anything reads it. A cluster on Flannel alone looks
    /// segmented in every listing, and every pod reaches every other.
    ///
    /// ## Refused
    ///
    /// A NetworkPolicy where Flannel is the only plugin; a CiliumNetworkPolicy where Calico is; `port: http` where
    /// OVN-Kubernetes is.
    ///
    /// ## Accepted
    ///
    /// The same policy once a plugin that enforces it runs: Canal adds Calico's policies to Flannel, and
    /// kube-network-policies can be installed beside any plugin.
    ///
    /// ## Exceptions
    ///
    /// An agent under other labels or in another namespace is not seen. Setting `dialect` in HouseRules to the plugin that
    /// enforces says so, and this rule is silent then. Versions that are no longer maintained are not thought of (Cilium
    /// before 1.16 has no `endPort`), nor are Windows nodes, on which Azure Network Policy Manager lacks `except`, SCTP and
    /// ports by name as well. Three or more ports in a row count as a range, however they are written.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Prerequisites" and "Targeting a range of ports".
    pub Unenforced = Unenforced, since "0.1.0"
}

impl Rule for Unenforced {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if let Some(object) = cx.policy()
            && let Some((setting, instead, said_by)) = cx.world.overruled(&object.id)
        {
            let message = format!("nothing enforces {}: Cilium's {setting}; set it to {instead}", object.id);
            let finding = Finding::new(RuleId::Unenforced, (*object.id).clone(), message).keyed("unenforced");
            out.push(finding.because(format!("{said_by} says so")));
            return;
        }
        let sightings = cx.world.sightings();
        let known = cx.settings.detect_dialect && !sightings.is_empty() && sightings.iter().all(Sighting::is_proof);
        let Some(object) = cx.policy().filter(|_| known) else { return };
        let Some(family) = Family::of(object.id.group(), &object.id.kind) else { return };
        let answers = cx.world.enforcing(family);
        let parts = Part::ALL.into_iter().map(|part| (part, cx.world.carrying_out(family, part)));
        out.extend(parts.filter_map(|(part, answers)| left_out(object, part, &answers)));
        if answers.iter().any(|(_, answer)| *answer == Enforces::Yes) {
            return;
        }
        let conditions: Vec<String> = answers
            .iter()
            .filter_map(|(plugin, answer)| match answer {
                Enforces::If(condition) => Some(format!("{plugin} does if {condition}")),
                Enforces::Yes | Enforces::No => None,
            })
            .collect();
        // Most clusters with such a plugin have it switched on; saying so at every NetworkPolicy would only teach people to
        // read past warnings.
        if !conditions.is_empty() && family == Family::NetworkPolicy {
            return;
        }
        let names: Vec<&str> = cx.world.plugins().iter().copied().map(Cni::as_str).collect();
        let seen = names.join(" and ");
        let clues: Vec<String> = sightings.iter().map(ToString::to_string).collect();
        let message = if conditions.is_empty() {
            format!(
                "nothing enforces {}: {seen} {} not carry out a {}; install a plugin that does, or delete the policy",
                object.id,
                if names.len() == 1 { "does" } else { "do" },
                object.id.kind
            )
        } else {
            format!("nothing may enforce {}: {}", object.id, conditions.join(", and "))
        };
        out.push(
            Finding::new(RuleId::Unenforced, (*object.id).clone(), message)
                .keyed("unenforced")
                .because(format!("seen here: {}; and no other plugin that is known", clues.join("; ")))
                .helped("kubectl get daemonsets -A shows what runs; set dialect in HouseRules where another plugin enforces"),
        );
    }
}

/// A part of the policy that none of the plugins which enforce its kind is known to carry out.
fn left_out(object: &PolicyObject, part: Part, answers: &[(Cni, Enforces)]) -> Option<Finding> {
    if answers.is_empty() || answers.iter().any(|(_, answer)| *answer == Enforces::Yes) {
        return None;
    }
    let rules = object.policies.iter().flat_map(|p| Direction::BOTH.into_iter().flat_map(|d| p.rules(d)));
    let at = rules.into_iter().find_map(|rule| place(object, rule, part))?;
    let conditions = answers.iter().filter_map(|(plugin, answer)| match answer {
        Enforces::If(condition) => Some(format!("{plugin} does if {condition}")),
        Enforces::Yes | Enforces::No => None,
    });
    let conditions: Vec<String> = conditions.collect();
    let names: Vec<&str> = answers.iter().map(|(plugin, _)| plugin.as_str()).collect();
    let place = wording::place(&object.id, &at);
    let (what, instead) = (part.as_str(), instead(part));
    let message = if conditions.is_empty() {
        format!("{place} uses {what}, which {} cannot carry out; {instead}", names.join(" and "))
    } else {
        format!("{place} uses {what}, which nothing may carry out: {}", conditions.join(", and "))
    };
    let finding = Finding::new(RuleId::Unenforced, (*object.id).clone(), message).keyed(format!("{what} {at}")).at(at);
    Some(
        finding.helped(
            "kubectl get daemonsets -A shows what runs; set dialect in HouseRules where another plugin enforces",
        ),
    )
}

const fn instead(part: Part) -> &'static str {
    match part {
        Part::NamedPorts => "write the numbers",
        Part::PortRanges => "write the ports one by one, or leave them out",
        Part::Sctp => "name the peers without ports, or use a plugin that knows it",
        Part::Ipv6 => "what comes over IPv6 is not filtered by them",
    }
}

/// Where the rule uses it.
fn place(object: &PolicyObject, rule: &policy::Rule, part: Part) -> Option<FieldPath> {
    let numbers = &rule.ports.numbers;
    // Everything is no condition that a plugin would have to carry out.
    let limited = |protocol| !numbers.ports(protocol).is_empty() && *numbers != PortSet::full();
    let used = match part {
        Part::NamedPorts => !rule.ports.names.is_empty(),
        Part::PortRanges => Protocol::ALL.into_iter().any(|protocol| {
            let ports = numbers.ports(protocol);
            limited(protocol) && !ports.is_full() && ports.ranges().iter().any(|(lo, hi)| hi - lo >= 2)
        }),
        Part::Sctp => limited(Protocol::Sctp),
        Part::Ipv6 => {
            let of_ipv6 = |peer: &Peer| matches!(peer, Peer::Addresses(peer) if !peer.set.v6().is_empty());
            return rule.peers.iter().position(of_ipv6).map(|i| fields::addresses(&object.id, rule, i));
        }
    };
    used.then(|| rule.at.clone())
}
