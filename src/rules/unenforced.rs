//! `unenforced`: a policy that the cluster's network plugin does not carry out.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{fields, wording};
use crate::model::cni::{Cni, Enforces, Family, Part};
use crate::model::house::RuleId;
use crate::model::{Direction, FieldPath, Peer, PolicyObject, PortSet, Protocol, Standing, policy};

declare_rule! {
    /// A policy needs a network plugin that enforces its kind; without one it is accepted, stored, and has no effect.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: is any of the network plugins that run in the cluster known to enforce policies
    /// of this kind? Plugins are seen by the pods of their DaemonSets, in the namespaces where they are usually installed.
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
    /// Cilium enforces nothing where its configuration says `enable-policy: never`; that is known of files and of the command
    /// line, not of the webhook.
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
    /// Where no plugin is seen nothing is said: k3s and some managed clusters run theirs outside of pods.
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
        if let Some(object) = cx.policy().filter(|o| o.policies.iter().any(|p| p.tier.standing == Standing::Off)) {
            let message = format!("nothing enforces {}: Cilium's enable-policy is never; set it to default", object.id);
            out.push(Finding::new(RuleId::Unenforced, (*object.id).clone(), message).keyed("unenforced"));
            return;
        }
        let plugins = cx.world.plugins();
        let Some(object) = cx.policy().filter(|_| cx.settings.detect_dialect && !plugins.is_empty()) else { return };
        let Some(family) = Family::of(object.id.group(), &object.id.kind) else { return };
        let answers = || plugins.iter().map(|plugin| (plugin, plugin.enforces(family)));
        let enforcing: Vec<Cni> = plugins.iter().copied().filter(|p| p.enforces(family) != Enforces::No).collect();
        out.extend(Part::ALL.into_iter().filter_map(|part| left_out(object, part, &enforcing)));
        if answers().any(|(_, answer)| answer == Enforces::Yes) {
            return;
        }
        let conditions: Vec<String> = answers()
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
        let names: Vec<&str> = plugins.iter().copied().map(Cni::as_str).collect();
        let seen = names.join(" and ");
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
                .because(format!("the agents of {seen} run in this cluster, and of no other plugin that is known"))
                .helped("kubectl get daemonsets -A shows what runs; set dialect in HouseRules where another plugin enforces"),
        );
    }
}

/// A part of the policy that none of the plugins which enforce its kind is known to carry out.
fn left_out(object: &PolicyObject, part: Part, enforcing: &[Cni]) -> Option<Finding> {
    let answers = || enforcing.iter().map(|plugin| (plugin, plugin.carries_out(part)));
    if enforcing.is_empty() || answers().any(|(_, answer)| answer == Enforces::Yes) {
        return None;
    }
    let rules = object.policies.iter().flat_map(|p| Direction::BOTH.into_iter().flat_map(|d| p.rules(d)));
    let at = rules.into_iter().find_map(|rule| place(object, rule, part))?;
    let conditions = answers().filter_map(|(plugin, answer)| match answer {
        Enforces::If(condition) => Some(format!("{plugin} does if {condition}")),
        Enforces::Yes | Enforces::No => None,
    });
    let conditions: Vec<String> = conditions.collect();
    let names: Vec<&str> = enforcing.iter().copied().map(Cni::as_str).collect();
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
