//! `dialect-dependent`: what a policy does hangs on the network plugin that carries it out.

use std::net::IpAddr;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{fields, wording};
use crate::model::house::{Dialect, RuleId};
use crate::model::pod::PodLookup;
use crate::model::{AddressScope, Direction, Enforcer, FieldPath, IpSet, Peer, Policy, PolicyObject, PortSet, policy};
use crate::reach::{Doubt, PodAt, flow_between};
use crate::snapshot::{NamespaceState, PodClass};

declare_rule! {
    /// What a policy does should not hang on which network plugin carries it out.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed, and nothing says which plugin runs in this cluster:
    ///
    /// - Does an `ipBlock` of a NetworkPolicy cover the address of a running pod, or of a node on which pods share the network,
    ///   so that traffic between pods that are there passes with one plugin and not with another? Upstream, Calico, Antrea
    ///   and OVN-Kubernetes match blocks against pods; Cilium does not. Both readings are evaluated together with all other
    ///   policies, on both sides, and one pair of pods with different verdicts is shown.
    /// - Is it a policy of Cilium's that selects running pods which a policy of Calico's selects as well, or the other way
    ///   round? No network enforces both.
    ///
    /// ## Why
    ///
    /// Such a policy works where it was tried, and opens or closes something else after a move to another cluster or plugin.
    ///
    /// ## Refused
    ///
    /// `ipBlock: {cidr: 10.0.0.0/8}` in a cluster whose pods have addresses in 10.0.0.0/8.
    ///
    /// ## Accepted
    ///
    /// The pods by `podSelector` and `namespaceSelector`, and blocks for what is outside the cluster.
    ///
    /// ## Exceptions
    ///
    /// Nothing is found where the dialect is settled: by `dialect` in HouseRules, or by the agents of a plugin that is known.
    /// Files rarely hold addresses of pods, so that there is little to find in them. Equal priorities, which plugins read
    /// differently as well, are for `ambiguous-priority`, and pods on the host's network for `host-network`. At most 20,000
    /// kinds of pods are looked through.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Behavior of ipBlock selectors"; Cilium: *Known issues with NetworkPolicy*.
    pub DialectDependent = DialectDependent, since "0.1.0"
}

/// Classes of pods that are looked through for addresses.
const MOST_CLASSES: usize = 20_000;
/// Different pods of the policy, and different pods at the other end, between which traffic is evaluated.
const MOST_SUBJECTS: usize = 5;
const MOST_OTHERS: usize = 50;

impl Rule for DialectDependent {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if cx.settings.settled.is_some() {
            return;
        }
        let Some(object) = cx.policy_in_force() else { return };
        out.extend(two_networks(cx, object));
        for policy in &object.policies {
            out.extend(Direction::BOTH.into_iter().filter_map(|direction| blocks(cx, policy, direction)));
        }
    }
}

/// Running pods that a policy selects.
fn selected<'a>(cx: &Context<'a>, policy: &'a Policy) -> impl Iterator<Item = (&'a NamespaceState, &'a PodClass)> {
    let here = cx.world.in_scope(&policy.subject.namespaces);
    let pods = here.flat_map(|n| n.classes().iter().map(move |class| (&**n, &**class))).take(MOST_CLASSES);
    pods.filter(|(_, class)| !class.is_template()).filter(|(namespace, class)| {
        let lookup = PodLookup { pod: class.pod(), namespace: namespace.labels() };
        !class.pod().host_network && policy.subject.pods.matches(&lookup)
    })
}

fn two_networks(cx: &Context<'_>, object: &PolicyObject) -> Option<Finding> {
    if cx.world.has_exclusive() != (true, true) {
        return None;
    }
    let (policy, other) = object.policies.iter().find_map(|policy| match policy.tier.enforcer {
        Enforcer::Cilium => Some((policy, Enforcer::Calico)),
        Enforcer::Calico => Some((policy, Enforcer::Cilium)),
        Enforcer::Any => None,
    })?;
    let (namespace, class, rival) = selected(cx, policy).take(MOST_OTHERS).find_map(|(namespace, class)| {
        let lookup = PodLookup { pod: class.pod(), namespace: namespace.labels() };
        let mut there = cx.world.policies_in(namespace).filter(|p| p.tier.enforcer == other);
        let rival = there.find(|p| p.subject.pods.matches(&lookup))?;
        Some((namespace, class, rival))
    })?;
    let theirs = if other == Enforcer::Calico { "Calico" } else { "Cilium" };
    let message = format!(
        "{} selects pods that a policy of {theirs}'s selects as well, and no network enforces both; \
         set dialect in HouseRules to the one that runs",
        wording::policy(&object.id)
    );
    let finding = Finding::new(RuleId::DialectDependent, (*object.id).clone(), message).keyed("two networks");
    let rival = wording::policy(&rival.id);
    Some(finding.because(format!("{} of {} is selected by {rival}", class.owner(), namespace.name())))
}

/// A block that is read against addresses of pods by some plugins and not by others.
struct Block<'a> {
    rule: &'a policy::Rule,
    peer: usize,
    set: &'a IpSet,
}

fn blocks(cx: &Context<'_>, policy: &Policy, direction: Direction) -> Option<Finding> {
    let peers = policy.rules(direction).iter().flat_map(|rule| rule.peers.iter().enumerate().map(move |p| (rule, p)));
    let blocks: Vec<Block<'_>> = peers
        .filter_map(|(rule, (peer, one))| match one {
            Peer::Addresses(one) if one.scope == AddressScope::ByDialect => Some(Block { rule, peer, set: &one.set }),
            _ => None,
        })
        .collect();
    if !blocks.iter().any(|block| cx.world.may_have_pods_in(block.set)) {
        return None;
    }
    let all = IpSet::union_all(blocks.iter().map(|block| block.set));
    let mut subjects: Vec<(&NamespaceState, &PodClass)> = selected(cx, policy).collect();
    subjects.dedup_by(|a, b| a.0.name() == b.0.name() && a.1.pod().labels == b.1.pod().labels);
    subjects.truncate(MOST_SUBJECTS);
    if subjects.is_empty() {
        return None;
    }
    let pods = cx.world.namespaces().flat_map(|n| n.classes().iter().map(move |class| (&**n, &**class)));
    let covered = pods.take(MOST_CLASSES).filter_map(|(namespace, class)| {
        let address = class.addresses().iter().copied().find(|address| all.contains(*address))?;
        Some((namespace, class, address))
    });
    covered.take(MOST_OTHERS).find_map(|(there, class, address)| {
        let other = PodAt { namespace: there, pod: class.pod(), addresses: &[address] };
        // A pod always reaches itself.
        let itself = |subject: &PodClass| std::ptr::eq(subject, class) && class.count() == 1;
        subjects.iter().filter(|(_, subject)| !itself(subject)).find_map(|(namespace, subject)| {
            let at = PodAt { namespace, pod: subject.pod(), addresses: subject.addresses() };
            let ends = if direction == Direction::Egress { (at, other) } else { (other, at) };
            let ports = difference(cx, ends);
            let block = blocks.iter().find(|block| block.set.contains(address)).filter(|_| !ports.is_empty())?;
            let name = |n: &NamespaceState, c: &PodClass| format!("{} of {}", c.owner(), n.name());
            let (own, far) = (name(namespace, subject), format!("{} ({address})", name(there, class)));
            let (from, to) = if direction == Direction::Egress { (own, far) } else { (far, own) };
            Some(finding(policy, block, &format!("{ports} from {from} to {to}"), address))
        })
    })
}

/// The ports on which the two readings differ.
fn difference(cx: &Context<'_>, (from, to): (PodAt<'_>, PodAt<'_>)) -> PortSet {
    let [matched, unmatched] = [Dialect::Upstream, Dialect::Cilium]
        .map(|dialect| flow_between(cx.world, from, to, dialect, Doubt::Against).allowed);
    matched.difference(&unmatched)
}

fn finding(policy: &Policy, block: &Block<'_>, flow: &str, address: IpAddr) -> Finding {
    let path: FieldPath = fields::inside_peer(block.rule, block.peer, "cidr");
    let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
    let message = format!(
        "{} covers {family} addresses of pods, which plugins read differently; \
         name the pods by labels, or set dialect in HouseRules",
        wording::place(&policy.id, &path)
    );
    Finding::new(RuleId::DialectDependent, (*policy.id).clone(), message)
        .at(path)
        .because(format!("{flow} passes with upstream, calico, antrea and ovn, and not with cilium"))
}
