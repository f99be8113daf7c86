//! `open-cidr`: whoever opens the internet must except the private ranges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::opens::{counts_for_nothing, is_every_name, may_open, opens_addresses};
use super::rule::{Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::{covering, fields, open_group, open_pods, wording};
use crate::model::house::{OpenCidr, RuleId};
use crate::model::original::Narrowing;
use crate::model::pod::PodLookup;
use crate::model::{
    Direction, FieldPath, IpSet, Labels, ObjectRef, Peer, PodSpec, Policy, PolicyObject, PortSet, policy,
};
use crate::reach::{Exposure, Opening, beyond, openings, private_beside_public, selecting};

declare_rule! {
    /// A policy that opens a wide range of public addresses must not open private ones with it.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: which addresses do all policies together open to the pods that it selects, port
    /// by port and in each direction of `directions`? If they are more public addresses of a family than one block of
    /// `widest.ipv4` (default /8) or `widest.ipv6` (/16) has, no private address (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
    /// fc00::/7) may be among them. It is the set that counts and not the text: `0.0.0.0/1` and `128.0.0.0/1` are the whole
    /// of IPv4, an `except` that another item opens again excepts nothing, and a rule without peers is every address. Names
    /// of Cilium's `toFQDNs` that match every name (`*`) are every address as well, because a name may resolve to any.
    ///
    /// When a workload is created or changed: do several policies that each are in order open private addresses beside public
    /// ones to its pods together? The finding names the policies. When a policy is created or changed and such pods do not
    /// run yet, but labels exist that it and another policy both select, it warns.
    ///
    /// When a group of addresses changes (NetworkSet, GlobalNetworkSet, CiliumCIDRGroup), or a tier does: the same of the
    /// policies that refer to it. The group is blamed for what it opens through them.
    ///
    /// ## Why
    ///
    /// `0.0.0.0/0` is written to reach the internet, and it reaches every pod, node, database and management network as
    /// well.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// egress:
    ///   - to: [{ipBlock: {cidr: 0.0.0.0/0}}]
    /// ```
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// egress:
    ///   - to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}}]
    /// ```
    ///
    /// The refusal carries the object as it was sent, whatever its kind, with the private ranges excepted in the rules that
    /// are to blame. `networks` of ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy have no except: of a
    /// narrower block what is left is listed, and beside `0.0.0.0/0` a rule before it takes the private ranges out:
    ///
    /// ```yaml
    /// egress:
    ///   - {action: Pass, to: [{networks: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]}]}
    ///   - {action: Accept, to: [{networks: [0.0.0.0/0]}]}
    /// ```
    ///
    /// ## Exceptions
    ///
    /// A block that lies inside a private range is there on purpose: beside a wide opening such blocks may have up to as
    /// many addresses as one block of `reopen.ipv4` (/16) or `reopen.ipv6` (/48), and never a whole range. Without a wide opening
    /// they may have any number. A policy is blamed only for what it adds: one that was as open before only warns. A workload
    /// is blamed only for what several policies open together: not for what one of them opens alone, and not where pods
    /// that run in the namespace reach the same addresses already.
    ///
    /// ## References
    ///
    /// RFC 1918; RFC 4193. Kubernetes API: IPBlock.
    pub OpenCidrRule = OpenCidr, since "0.1.0"
}

impl Rule for OpenCidrRule {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn judges_referring(&self) -> bool {
        true
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        open_group::check(cx, out);
        open_pods::check(cx, out);
        let Some(object) = cx.policy_in_force() else { return };
        let own: Vec<&Policy> = object.policies.iter().map(|p| &**p).collect();
        let mut blamed = BTreeSet::new();
        let mut found = Vec::new();
        for &direction in &cx.settings.open_cidr.directions {
            let Some(violation) = judge(cx, &object.id, &own, direction) else {
                out.extend(open_pods::possible(cx, object, direction));
                continue;
            };
            blamed.extend(violation.blamed.iter().cloned());
            found.push(finding(cx, object, direction, violation));
        }
        if found.is_empty() {
            return;
        }
        let fix = fix(cx, object, &blamed);
        out.extend(found.into_iter().map(|finding| Finding { fix: fix.clone(), ..finding }));
    }
}

/// Items that are told one by one.
const MOST_ITEMS: usize = 6;

/// What is open that should not be.
pub(super) struct Violation {
    pub(super) open: Vec<Exposure>,
    pub(super) path: FieldPath,
    /// The rules that take part, by their places.
    blamed: BTreeSet<FieldPath>,
    pub(super) because: Vec<String>,
    /// Whether a block of the policy reaches into private ranges from outside, so that an except mends it.
    by_accident: bool,
}

/// The pods that the policies select: one as the selector describes it, and those that run.
fn subjects(cx: &Context<'_>, own: &[&Policy]) -> Vec<Arc<PodSpec>> {
    let labels = own.iter().map(|policy| policy.subject.pods.representative().unwrap_or_default());
    let imagined = labels.map(|labels: Labels| Arc::new(PodSpec::with_labels(labels)));
    let running = cx.namespace.classes().iter().map(|class| class.pod()).filter(|pod| {
        let lookup = PodLookup { pod, namespace: cx.namespace.labels() };
        !pod.host_network && own.iter().any(|policy| policy.subject.pods.matches(&lookup))
    });
    imagined.chain(running.cloned()).collect()
}

/// Judges one direction. A policy is to blame if it is wrong even where the others open public addresses only, or if without
/// it less would be open.
pub(super) fn judge(cx: &Context<'_>, id: &ObjectRef, own: &[&Policy], direction: Direction) -> Option<Violation> {
    let settings = &cx.settings.open_cidr;
    // A policy that opens no address is not to blame, whatever the others do.
    if !own.iter().any(|policy| policy.rules(direction).iter().any(opens_addresses)) {
        return None;
    }
    // Where nobody opens a private address it does not matter whom the policies select.
    let all = || own.iter().copied().chain(cx.world.policies_in(cx.namespace).map(|policy| &**policy));
    if !all().any(|policy| policy.rules(direction).iter().any(|rule| may_open(rule, &settings.private))) {
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut result: Option<Violation> = None;
    for pod in subjects(cx, own) {
        let others: Vec<&Policy> =
            selecting(cx.world, cx.namespace, &pod).into_iter().map(|p| &**p).filter(|p| *p.id != *id).collect();
        let names: Vec<&ObjectRef> = others.iter().map(|p| &*p.id).collect();
        if !seen.insert((names, pod.ports.clone())) {
            continue;
        }
        // Of several policies in one object only those count that select this pod.
        let lookup = PodLookup { pod: &pod, namespace: cx.namespace.labels() };
        let own_here = own.iter().filter(|p| own.len() == 1 || p.subject.pods.matches(&lookup));
        let together: Vec<&Policy> = own_here.chain(&others).copied().collect();
        let mut all = openings(&together, direction, &pod);
        all.retain(|o| *o.policy.id == *id || !counts_for_nothing(cx, o));
        if !all.iter().any(|o| *o.policy.id == *id) {
            continue;
        }
        let everything: Vec<&Opening<'_>> = all.iter().collect();
        let open = private_beside_public(&everything, settings);
        if open.is_empty() {
            continue;
        }
        let (mine, theirs): (Vec<&Opening<'_>>, Vec<&Opening<'_>>) = all.iter().partition(|o| *o.policy.id == *id);
        let public =
            theirs.iter().map(|o| Opening { addresses: o.addresses.difference(&settings.private), ..(*o).clone() });
        let public: Vec<Opening<'_>> = public.collect();
        let alone: Vec<&Opening<'_>> = mine.iter().copied().chain(&public).collect();
        let to_blame = !private_beside_public(&alone, settings).is_empty()
            || !beyond(&open, &private_beside_public(&theirs, settings)).is_empty();
        if !to_blame {
            continue;
        }
        match &mut result {
            Some(violation) => {
                let more = beyond(&open, &violation.open);
                violation.open.extend(more);
                violation.blamed.extend(guilty(&mine, &open).map(|o| o.rule.at.clone()));
            }
            None => result = Some(violation(cx, id, &mine, &everything, open)?),
        }
    }
    result
}

/// Openings that take part: on one of these ports, with private addresses or with public ones beside them.
pub(super) fn guilty<'a>(list: &'a [&'a Opening<'a>], open: &'a [Exposure]) -> impl Iterator<Item = &'a Opening<'a>> {
    list.iter().copied().filter(|o| {
        open.iter().any(|e| {
            let families = (!e.addresses.v4().is_empty() && !o.addresses.v4().is_empty())
                || (!e.addresses.v6().is_empty() && !o.addresses.v6().is_empty());
            families && e.ports.intersects(&o.ports)
        })
    })
}

pub(super) fn violation(
    cx: &Context<'_>,
    id: &ObjectRef,
    mine: &[&Opening<'_>],
    all: &[&Opening<'_>],
    open: Vec<Exposure>,
) -> Option<Violation> {
    let private = &cx.settings.open_cidr.private;
    let opens =
        |o: &Opening<'_>| open.iter().any(|e| e.addresses.intersects(&o.addresses) && e.ports.intersects(&o.ports));
    let first = mine.iter().copied().find(|o| opens(o)).or_else(|| guilty(mine, &open).next())?;
    let mut wide: Vec<&Opening<'_>> = guilty(all, &open).filter(|o| !o.addresses.is_subset(private)).collect();
    // Of many items those that let the private addresses in are told first.
    wide.sort_by_cached_key(|o| !opens(o));
    let inside: Vec<&Opening<'_>> = guilty(all, &open).filter(|o| o.addresses.is_subset(private) && opens(o)).collect();
    let excepting = wide.iter().any(|o| match o.rule.peers.get(o.peer) {
        Some(Peer::Addresses(peer)) => peer.blocks.iter().any(|(_, except)| !except.is_empty()),
        _ => false,
    });
    let place = |o: &Opening<'_>| {
        let path = o.rule.peer_path(o.peer);
        if *o.policy.id == *id { path.short().to_owned() } else { wording::place(&o.policy.id, &path) }
    };
    let opens_what = |o: &Opening<'_>| match o.rule.peers.get(o.peer) {
        Some(Peer::Any) => "admits everyone".to_owned(),
        Some(Peer::Entity(_)) => "opens the world".to_owned(),
        Some(Peer::Domains(_)) => "opens the addresses of every name".to_owned(),
        _ => format!("opens {}", written(o)),
    };
    let lines = wide.iter().map(|o| format!("{} {} on {}", place(o), opens_what(o), o.rule.ports)).chain(
        inside.iter().map(|o| {
            let again = if excepting { "opened again" } else { "opened" };
            format!("{} is {again} by {} on {}", written(o), place(o), o.rule.ports)
        }),
    );
    let mut because: Vec<String> = lines.collect();
    // What is certain of a rule and what it may mean beyond that can be the same addresses.
    because.dedup();
    let more = because.len().saturating_sub(MOST_ITEMS);
    because.truncate(MOST_ITEMS);
    if more > 0 {
        because.push(format!("and {more} more items"));
    }
    let path = if matches!(first.rule.peers.get(first.peer), Some(Peer::Any)) {
        if first.rule.peers_at.is_empty() { first.rule.at.clone() } else { first.rule.at.field(first.rule.peers_at) }
    } else {
        // Sets of addresses have been put in the place of selectors that name them.
        let written = cx.world.written_policy(&first.policy.id);
        let policies = written.iter().flat_map(|object| &object.policies);
        let same = |rule: &&policy::Rule| {
            let key = |rule: &policy::Rule| (rule.at.clone(), rule.peers_at, rule.peers.len());
            key(rule) == key(first.rule)
        };
        let rule = policies.flat_map(|policy| policy.ingress.iter().chain(&policy.egress)).find(same);
        fields::addresses(&first.policy.id, rule.unwrap_or(first.rule), first.peer)
    };
    let blamed = guilty(mine, &open).map(|o| o.rule.at.clone()).collect();
    let by_accident = mine.iter().any(|o| opens(o) && !o.addresses.is_subset(private));
    Some(Violation { open, path, blamed, because, by_accident })
}

/// The blocks as people wrote them.
fn written(opening: &Opening<'_>) -> String {
    let peer = match opening.rule.peers.get(opening.peer) {
        Some(Peer::Addresses(peer)) => peer,
        Some(Peer::AllOf(_) | Peer::Not(_)) => return wording::addresses(&opening.addresses),
        _ => return "everyone".to_owned(),
    };
    let blocks = peer.blocks.iter().map(|(cidr, except)| {
        let except: Vec<String> = except.iter().map(ToString::to_string).collect();
        if except.is_empty() {
            cidr.to_string()
        } else {
            format!("{cidr} except {}", wording::few(&except, 4, "blocks"))
        }
    });
    let blocks: Vec<String> = blocks.collect();
    wording::few(&blocks, 4, "blocks")
}

fn finding(cx: &Context<'_>, object: &PolicyObject, direction: Direction, violation: Violation) -> Finding {
    let addresses = IpSet::union_all(violation.open.iter().map(|e| &e.addresses));
    let ports = violation.open.iter().fold(PortSet::empty(), |all, e| all.union(&e.ports));
    let rules = || object.policies.iter().flat_map(|p| p.rules(direction));
    let blamed = || rules().filter(|rule| violation.blamed.contains(&rule.at));
    let named: Vec<String> =
        blamed().filter(|rule| !rule.ports.names.is_empty()).map(|rule| rule.ports.to_string()).collect();
    let ports = if named.is_empty() { ports.to_string() } else { wording::few(&named, 3, "ports") };
    // The one group of kinds in which blocks have no excepts.
    let listed = object.id.group() == "policy.networking.k8s.io";
    let everyone = blamed().any(|rule| rule.peers.contains(&Peer::Any));
    let names = blamed().flat_map(|rule| &rule.peers).any(is_every_name);
    let message = format!(
        "{} of {} opens private addresses {} beside public ones on {ports}; {}",
        direction.field(),
        wording::policy(&object.id),
        addresses.summary(4),
        match (violation.by_accident, listed) {
            (true, _) if names => "name the domains that are meant",
            (true, false) => "except them",
            (true, true) => "leave them out",
            (false, _) => "narrow the private blocks",
        },
    );
    let mut finding = Finding::new(RuleId::OpenCidr, (*object.id).clone(), message)
        .keyed(key(cx, &object.id, direction, &violation.open))
        .at(violation.path);
    finding.because = violation.because;
    if !violation.by_accident {
        let OpenCidr { reopen_v4, reopen_v6, .. } = cx.settings.open_cidr;
        finding.help = Some(format!(
            "beside a wide opening private blocks may come to one /{reopen_v4} (IPv6: /{reopen_v6}) in all and to no whole \
             private range; name the addresses that are meant"
        ));
    }
    if listed && violation.by_accident {
        let pass = if object.id.kind == "BaselineAdminNetworkPolicy" { "" } else { "passes or " };
        finding.help = Some(format!(
            "networks have no except: a rule before it that {pass}denies the private ranges takes them out"
        ));
    }
    if violation.blamed.len() > Narrowing::MOST_RULES {
        finding.help = Some(format!(
            "{} rules open them: write one rule for what is meant instead of a fix to each",
            violation.blamed.len()
        ));
        return finding;
    }
    if everyone {
        let (what, by) = if fields::is_cilium(&object.id) {
            ("it", "their labels".to_owned())
        } else {
            ("a rule without peers", format!("{} and namespaceSelector", fields::pods(&object.id)))
        };
        finding.help = Some(format!(
            "{what} admits every pod as well; with blocks in its place, name the pods that are meant by {by}"
        ));
    }
    finding
}

/// The same before and after, unless the change opens more, or opens it for more pods: then that is part of the key.
pub(super) fn key(cx: &Context<'_>, id: &ObjectRef, direction: Direction, open: &[Exposure]) -> String {
    let before = cx.then.policy(id).filter(|object| !cx.is_before() && object.policies.iter().all(|p| p.is_in_force()));
    let Some(before) = before else { return direction.as_str().to_owned() };
    let was_for = |new: &Policy| before.policies.iter().any(|old| covering::subject(&old.subject, &new.subject));
    let opening = |policy: &Policy| policy.rules(direction).iter().any(opens_addresses);
    let now = cx.world.policy(id).map_or_else(Vec::new, |object| object.policies.iter().collect());
    if !now.iter().all(|new| !opening(new) || was_for(new)) {
        return format!("{direction} of other pods");
    }
    let old: Vec<&Policy> = before.policies.iter().map(|p| &**p).collect();
    let there = cx.then.namespace_or_empty(cx.namespace.name());
    let cx = Context { world: cx.then, namespace: &there, touched: None, ..*cx };
    let then = judge(&cx, id, &old, direction).map(|v| v.open).unwrap_or_default();
    let more = beyond(open, &then);
    if more.is_empty() {
        return direction.as_str().to_owned();
    }
    let more: Vec<String> = more.iter().map(|e| format!("{} on {}", e.addresses, e.ports)).collect();
    format!("{direction}: {}", more.join(", "))
}

/// The object itself without the private ranges in the rules that are to blame. What could not be read cannot be answered for.
fn fix(cx: &Context<'_>, object: &PolicyObject, blamed: &BTreeSet<FieldPath>) -> Option<Fix> {
    (object.unread.is_empty() && blamed.len() <= Narrowing::MOST_RULES).then(|| {
        let private = cx.settings.open_cidr.private.clone();
        Fix::Narrow(Narrowing { rules: blamed.clone(), private, all: false })
    })
}

#[cfg(test)]
mod tests;
