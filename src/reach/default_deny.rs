//! Whether a namespace denies by default: is *any* pod of it, with whatever labels, isolated, and does not every pod get everything anyway?

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::everyone::{is_every_pod, is_every_pod_there_is, is_nearly_all, is_nearly_every_port};
use super::exposure::exposure_to_pods;
use crate::model::house::Dialect;
use crate::model::meter::charge;
use crate::model::policy::TierEnd;
use crate::model::selector::{Escape, escaping};
use crate::model::{
    Action, Direction, Enforcer, IpSet, Labels, Peer, Policy, PortSet, Priority, Protocol, Rule, Selector, Str, Tier,
    TierSemantics,
};
use crate::snapshot::{NamespaceState, Snapshot};

/// The answer for one direction of one namespace.
#[derive(Clone, Debug)]
pub enum DefaultDeny {
    /// Every pod is isolated, by these policies together.
    Present(Vec<Arc<Policy>>),
    /// Some pod would not be.
    Missing(Missing),
}

/// Why there is no default deny.
#[derive(Clone, Debug)]
pub enum Missing {
    /// A pod with these labels is isolated by no policy. The policies isolate others.
    Escapes(Labels, Vec<Arc<Policy>>),
    /// These policies let every pod have everything.
    Open(Vec<Arc<Policy>>),
    /// The selectors of these policies are too entangled to prove that they cover every pod.
    Unproven(Vec<Arc<Policy>>),
}

/// Looks for a default deny of the namespace in this direction, in all tiers together.
pub fn default_deny(
    snapshot: &Snapshot,
    namespace: &NamespaceState,
    direction: Direction,
    dialect: Dialect,
) -> DefaultDeny {
    let here = enforced(snapshot, namespace, dialect);
    // Once for each tier and not for each of its policies.
    let mut handing_on: BTreeMap<(Priority, &Str), bool> = BTreeMap::new();
    let mut isolating: Vec<&Arc<Policy>> = Vec::with_capacity(here.len());
    for policy in here.iter().copied().filter(|policy| denies_by_default(policy, direction)) {
        let tier = &policy.tier;
        let hands_on = tier.semantics != TierSemantics::Union
            && *handing_on
                .entry((tier.order, &tier.name))
                .or_insert_with(|| hands_on_everything(snapshot, tier, &here, direction));
        if !hands_on {
            isolating.push(policy);
        }
    }
    let owned = |list: &[&Arc<Policy>]| list.iter().map(|p| Arc::clone(p)).collect::<Vec<_>>();
    match escape(&isolating, namespace) {
        Escape::By(labels) => return DefaultDeny::Missing(Missing::Escapes(labels, owned(&isolating))),
        Escape::Unknown => return DefaultDeny::Missing(Missing::Unproven(owned(&isolating))),
        Escape::Impossible => {}
    }
    // Of several tiers the first that denies every pod is where traffic ends: what later ones allow is never asked for.
    isolating.sort_by_key(|p| p.tier.order);
    let mut last = isolating.last().map_or(Priority::LAST, |p| p.tier.order);
    for order in isolating.iter().map(|p| p.tier.order) {
        let so_far: Vec<&Arc<Policy>> = isolating.iter().copied().filter(|p| p.tier.order <= order).collect();
        if escape(&so_far, namespace) == Escape::Impossible {
            last = order;
            break;
        }
    }
    isolating.retain(|p| p.tier.order <= last);
    let before: Vec<&Arc<Policy>> = here.into_iter().filter(|p| p.tier.order <= last).collect();
    let open = everything_for_all(snapshot, &before, direction, namespace, last);
    if !open.is_empty() {
        return DefaultDeny::Missing(Missing::Open(owned(&open)));
    }
    // The ones that do it alone say more than the long list of those that help.
    let alone: Vec<&Arc<Policy>> = isolating.iter().copied().filter(|p| selects_everyone(p, namespace)).collect();
    DefaultDeny::Present(owned(if alone.is_empty() { &isolating } else { &alone }))
}

/// The policies that the network of this dialect enforces. Where it may be one of two, only those that both do.
fn enforced<'a>(snapshot: &'a Snapshot, namespace: &'a NamespaceState, dialect: Dialect) -> Vec<&'a Arc<Policy>> {
    // Room for all at once: how many there are is not known before.
    let mut all = Vec::with_capacity(32);
    all.extend(snapshot.policies_in(namespace));
    if snapshot.has_exclusive() == (false, false) {
        return all;
    }
    let any_of = |enforcer| all.iter().any(|p: &&Arc<Policy>| p.tier.enforcer == enforcer);
    let both = any_of(Enforcer::Cilium) && any_of(Enforcer::Calico);
    let counts = |p: &Policy| match (p.tier.enforcer, dialect) {
        (Enforcer::Any, _) | (Enforcer::Cilium, Dialect::Cilium) | (Enforcer::Calico, Dialect::Calico) => true,
        (_, Dialect::Upstream) => !both,
        _ => false,
    };
    all.retain(|p| counts(p));
    all
}

/// Whether a tier leaves everything to later ones for some pod, so that its end denies nothing there.
fn hands_on_everything(snapshot: &Snapshot, tier: &Tier, policies: &[&Arc<Policy>], direction: Direction) -> bool {
    let mut of_tier = policies.iter().filter(|p| p.tier.order == tier.order && p.tier.name == tier.name);
    of_tier.any(|p| p.rules(direction).iter().any(|rule| passes_everything(snapshot, rule)))
}

fn passes_everything(snapshot: &Snapshot, rule: &Rule) -> bool {
    let is_whole = |set: &IpSet| set.v4().is_full() || set.v6().is_full();
    let everyone = |peer: &Peer| match peer {
        Peer::Addresses(block) => is_whole(&block.set),
        Peer::Pods(_) | Peer::Nobody => is_every_pod_there_is(snapshot, peer),
        other => is_whole(&other.addresses()) || is_every_pod(other),
    };
    charge(1 + rule.peers.len());
    rule.action == Action::Pass && is_nearly_every_port(&rule.ports.numbers) && rule.peers.iter().any(everyone)
}

/// Policies that would complete the default deny if they were more than staged (semantics 2.4.14).
pub fn staged_default_deny(snapshot: &Snapshot, namespace: &NamespaceState, direction: Direction) -> Vec<Arc<Policy>> {
    let staged = snapshot.staged_in(namespace).filter(|p| denies_by_default(p, direction));
    let staged: Vec<&Arc<Policy>> = staged.collect();
    if staged.is_empty() {
        return Vec::new();
    }
    let in_force = snapshot.policies_in(namespace).filter(|p| denies_by_default(p, direction));
    let together: Vec<&Arc<Policy>> = staged.iter().copied().chain(in_force).collect();
    if escape(&together, namespace) != Escape::Impossible {
        return Vec::new();
    }
    staged.into_iter().map(Arc::clone).collect()
}

/// Whether a pod of the namespace could be selected by none of these.
fn escape(policies: &[&Arc<Policy>], namespace: &NamespaceState) -> Escape {
    if policies.iter().any(|p| p.subject.pods.is_everything()) {
        return Escape::Impossible;
    }
    let selectors: Vec<Cow<'_, Selector>> =
        policies.iter().map(|p| p.subject.pods.in_namespace(namespace.labels())).collect();
    escaping(&selectors.iter().map(Cow::as_ref).collect::<Vec<_>>())
}

/// Whether a policy selects every pod that the namespace could have.
fn selects_everyone(policy: &Policy, namespace: &NamespaceState) -> bool {
    policy.subject.pods.in_namespace(namespace.labels()).matches_everything()
}

/// Whether the pods that a policy selects are denied whatever nobody allows.
pub fn denies_by_default(policy: &Policy, direction: Direction) -> bool {
    charge(1);
    // What is not known to isolate is no default deny.
    if policy.is_not_read() {
        return false;
    }
    match policy.tier.semantics {
        TierSemantics::Union | TierSemantics::FirstMatch(TierEnd::DenyGoverned) => policy.isolates(direction),
        // A first-match tier that goes on to the next denies by default only through rules that deny everyone. Traffic
        // that a rule before them passes on is denied by no one yet.
        TierSemantics::FirstMatch(TierEnd::Continue) => {
            let rules = policy.rules(direction);
            let before_any_pass = rules.iter().take_while(|r| r.action != Action::Pass || r.peers == [Peer::Nobody]);
            denies_everyone(before_any_pass.filter(|r| r.action == Action::Deny && r.ports.is_any()), direction)
        }
    }
}

/// Whether these rules, which deny every port, name everyone that their kind of policy can name: outright, every pod for
/// ingress, where administrators' policies know no addresses, and every address for egress.
fn denies_everyone<'a>(rules: impl Iterator<Item = &'a Rule>, direction: Direction) -> bool {
    let peers: Vec<&Peer> = rules.flat_map(|rule| &rule.peers).collect();
    let addresses = IpSet::union_all(
        &peers
            .iter()
            .filter_map(|peer| match peer {
                Peer::Addresses(block) => Some(block.set.clone()),
                _ => None,
            })
            .collect::<Vec<_>>(),
    );
    peers.iter().any(|p| matches!(p, Peer::Any))
        || (direction == Direction::Ingress && peers.iter().any(|p| is_every_pod(p)))
        || addresses.is_full()
}

/// Policies that together give every pod everything, if there are such.
fn everything_for_all<'a>(
    snapshot: &Snapshot,
    policies: &[&'a Arc<Policy>],
    direction: Direction,
    namespace: &NamespaceState,
    last: Priority,
) -> Vec<&'a Arc<Policy>> {
    let of = |p: &'a Arc<Policy>| p.rules(direction).iter().filter(move |rule| opens(p, rule, last));
    // Nearly every policy names few ports, and then whom it names does not matter.
    let tcp = |rule: &Rule| {
        let ports = rule.ports.numbers.ports(Protocol::Tcp);
        charge(1 + ports.ranges().len());
        ports.count()
    };
    if !is_nearly_all(policies.iter().flat_map(|p| of(p)).map(tcp).sum()) {
        return Vec::new();
    }
    let universal: Vec<&Arc<Policy>> = policies.iter().copied().filter(|p| selects_everyone(p, namespace)).collect();
    if admits_everything(snapshot, universal.iter().flat_map(|p| of(p))) {
        return universal.into_iter().filter(|p| !p.rules(direction).is_empty()).collect();
    }
    // Or each pod gets everything from one policy or another.
    let wide: Vec<&Arc<Policy>> = policies.iter().copied().filter(|p| admits_everything(snapshot, of(p))).collect();
    if !wide.is_empty() && escape(&wide, namespace) == Escape::Impossible { wide } else { Vec::new() }
}

/// Whether a rule takes traffic past the tier that denies by default: it allows it, or passes it on from that tier.
fn opens(policy: &Policy, rule: &Rule, last: Priority) -> bool {
    let passes = rule.action == Action::Pass
        && policy.tier.order == last
        && policy.tier.semantics == TierSemantics::FirstMatch(TierEnd::DenyGoverned);
    rule.action == Action::Allow || passes
}

/// Whether rules open nearly every port of everyone: everyone outright, all addresses of a family, or all pods of all
/// namespaces.
fn admits_everything<'a>(snapshot: &Snapshot, rules: impl Iterator<Item = &'a Rule> + Clone) -> bool {
    charge(rules.clone().count());
    let nearly = |ports: Vec<&PortSet>| is_nearly_every_port(&PortSet::union_all(ports));
    if !nearly(rules.clone().map(|rule| &rule.ports.numbers).collect()) {
        return false;
    }
    // Blocks that are too few for a family need not be united.
    let addresses = if may_be_whole(rules.clone()) { exposure_to_pods(rules.clone()) } else { Vec::new() };
    let whole = addresses.iter().filter(|e| e.addresses.v4().is_full() || e.addresses.v6().is_full());
    let ports = PortSet::union_all(whole.map(|e| &e.ports));
    if is_nearly_every_port(&ports) {
        return true;
    }
    let to_all_pods = rules.filter(|rule| rule.peers.iter().any(|peer| is_every_pod_there_is(snapshot, peer)));
    nearly(to_all_pods.map(|rule| &rule.ports.numbers).chain([&ports]).collect())
}

/// Whether the peers of rules can cover a family of addresses together, by how many addresses they have; "no" is certain.
fn may_be_whole<'a>(rules: impl Iterator<Item = &'a Rule>) -> bool {
    let (mut v4, mut v6) = (0_u128, 0_u128);
    for peer in rules.flat_map(|rule| &rule.peers) {
        charge(1);
        match peer {
            Peer::Addresses(block) => {
                v4 = v4.saturating_add(block.set.v4().count());
                v6 = v6.saturating_add(block.set.v6().count());
            }
            Peer::Pods(_) | Peer::Nobody | Peer::Domains(_) | Peer::Nodes(_) => {}
            _ => return true,
        }
    }
    v4 > u128::from(u32::MAX) || v6 == u128::MAX
}
