//! `open-cidr`: whoever opens the internet must except the private ranges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::narrow::{Blamed, narrowed};
use super::rule::{Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::{fields, open_group, wording};
use crate::model::house::{OpenCidr, RuleId};
use crate::model::pod::PodLookup;
use crate::model::{
    Action, Direction, FieldPath, IpSet, Labels, ObjectRef, Peer, PodSpec, Policy, PolicyObject, PortSet, policy,
};
use crate::reach::{Exposure, Opening, beyond, openings, private_beside_public, selecting};

declare_rule! {
    /// A policy that opens a wide range of public addresses must not open private ones with it.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: which addresses do all policies together open to the pods that it selects, port
    /// by port and in each direction of `directions`? If they are more public addresses of a family than one block of
    /// `widestV4` (default /8) or `widestV6` (/16) has, no private address (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
    /// fc00::/7) may be among them. It is the set that counts and not the text: `0.0.0.0/1` and `128.0.0.0/1` are the whole
    /// of IPv4, an `except` that another item opens again excepts nothing, and a rule without peers is every address.
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
    /// ## Exceptions
    ///
    /// A block that lies inside a private range is there on purpose: beside a wide opening such blocks may have up to as
    /// many addresses as one block of `reopenV4` (/16) or `reopenV6` (/48), and never a whole range. Without a wide opening
    /// they may have any number. A policy is blamed only for what it adds: one that was as open before only warns.
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
        let Some(object) = cx.policy_in_force() else { return };
        let own: Vec<&Policy> = object.policies.iter().map(|p| &**p).collect();
        let mut blamed = Blamed::new();
        let mut found = Vec::new();
        for &direction in &cx.settings.open_cidr.directions {
            let Some(violation) = judge(cx, &object.id, &own, direction) else { continue };
            blamed.extend(violation.blamed.iter().map(|index| (direction, *index)));
            found.push(finding(cx, object, direction, violation));
        }
        if found.is_empty() {
            return;
        }
        let fix = fix(cx, object, &own, &blamed);
        out.extend(found.into_iter().map(|finding| Finding { fix: fix.clone(), ..finding }));
    }
}

/// Items that are told one by one.
const MOST_ITEMS: usize = 6;

/// What is open that should not be.
pub(super) struct Violation {
    pub(super) open: Vec<Exposure>,
    path: FieldPath,
    blamed: BTreeSet<usize>,
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
        let all = openings(&together, direction, &pod);
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
                violation.blamed.extend(guilty(&mine, &open).map(|o| o.index));
            }
            None => result = Some(violation(cx, id, &mine, &everything, open)?),
        }
    }
    result
}

fn opens_addresses(rule: &policy::Rule) -> bool {
    // Entities and combined conditions can be addresses as well; what cannot is told at a glance.
    rule.action == Action::Allow && rule.peers.iter().any(|peer| !matches!(peer, Peer::Pods(_) | Peer::Nobody))
}

/// Openings that take part: on one of these ports, with private addresses or with public ones beside them.
fn guilty<'a>(list: &'a [&'a Opening<'a>], open: &'a [Exposure]) -> impl Iterator<Item = &'a Opening<'a>> {
    list.iter().copied().filter(|o| {
        open.iter().any(|e| {
            let families = (!e.addresses.v4().is_empty() && !o.addresses.v4().is_empty())
                || (!e.addresses.v6().is_empty() && !o.addresses.v6().is_empty());
            families && e.ports.intersects(&o.ports)
        })
    })
}

fn violation(
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
        _ => format!("opens {}", written(o)),
    };
    let lines = wide.iter().map(|o| format!("{} {} on {}", place(o), opens_what(o), o.rule.ports)).chain(
        inside.iter().map(|o| {
            let again = if excepting { "opened again" } else { "opened" };
            format!("{} is {again} by {} on {}", written(o), place(o), o.rule.ports)
        }),
    );
    let mut because: Vec<String> = lines.take(MOST_ITEMS).collect();
    let more = (wide.len() + inside.len()).saturating_sub(MOST_ITEMS);
    if more > 0 {
        because.push(format!("and {more} more items"));
    }
    let path = if matches!(first.rule.peers.get(first.peer), Some(Peer::Any)) {
        if first.rule.peers_at.is_empty() { first.rule.at.clone() } else { first.rule.at.field(first.rule.peers_at) }
    } else {
        fields::addresses(&first.policy.id, first.rule, first.peer)
    };
    let blamed = guilty(mine, &open).map(|o| o.index).collect();
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
    let named: Vec<String> = violation
        .blamed
        .iter()
        .filter_map(|i| object.policies.iter().find_map(|p| p.rules(direction).get(*i)))
        .filter(|rule| !rule.ports.names.is_empty())
        .map(|rule| rule.ports.to_string())
        .collect();
    let ports = if named.is_empty() { ports.to_string() } else { wording::few(&named, 3, "ports") };
    let message = format!(
        "{} of {} opens private addresses {} beside public ones on {ports}; {}",
        direction.field(),
        wording::policy(&object.id),
        addresses.summary(4),
        if violation.by_accident { "except them" } else { "narrow the private blocks" },
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
    let everyone = object.policies.iter().any(|p| {
        p.rules(direction)
            .iter()
            .enumerate()
            .any(|(i, r)| violation.blamed.contains(&i) && r.peers.contains(&Peer::Any))
    });
    if everyone {
        let (what, by) = if fields::is_cilium(&object.id) {
            ("it", "their labels")
        } else {
            ("a rule without peers", "podSelector and namespaceSelector")
        };
        finding.help = Some(format!(
            "{what} admits every pod as well; with blocks in its place, name the pods that are meant by {by}"
        ));
    }
    finding
}

/// The same before and after, unless the change opens more: then what it opens is part of the key.
pub(super) fn key(cx: &Context<'_>, id: &ObjectRef, direction: Direction, open: &[Exposure]) -> String {
    let before = cx.then.policy(id).filter(|object| !cx.is_before() && object.policies.iter().all(|p| p.is_in_force()));
    let Some(before) = before else { return direction.as_str().to_owned() };
    let old: Vec<&Policy> = before.policies.iter().map(|p| &**p).collect();
    let there = cx.then.namespace_or_empty(cx.namespace.name());
    let cx = Context { world: cx.then, namespace: &there, ..*cx };
    let then = judge(&cx, id, &old, direction).map(|v| v.open).unwrap_or_default();
    let more = beyond(open, &then);
    if more.is_empty() {
        return direction.as_str().to_owned();
    }
    let more: Vec<String> = more.iter().map(|e| format!("{} on {}", e.addresses, e.ports)).collect();
    format!("{direction}: {}", more.join(", "))
}

/// The same policy with the private ranges excepted, or else without its private blocks, if that is enough.
fn fix(cx: &Context<'_>, object: &PolicyObject, own: &[&Policy], blamed: &Blamed) -> Option<Fix> {
    let [policy] = own else { return None };
    // What could not be read, or hangs on more than addresses and ports, cannot be written again.
    let whole = Direction::BOTH.into_iter().flat_map(|d| policy.rules(d)).all(|rule| rule.filtered_by.is_none());
    let known = object.id.group() == "networking.k8s.io" || object.id.kind == "CiliumNetworkPolicy";
    if !known || (fields::is_cilium(&object.id) && !(whole && object.unread.is_empty())) {
        return None;
    }
    let private = &cx.settings.open_cidr.private;
    let directions = &cx.settings.open_cidr.directions;
    [false, true].into_iter().find_map(|all| {
        let candidate = narrowed(policy, blamed, private, all);
        let fine = directions.iter().all(|d| judge(cx, &object.id, &[&candidate], *d).is_none());
        // A policy of which nothing is left in a direction is not what anyone meant.
        let emptied = |d: &Direction| candidate.rules(*d).is_empty() && !policy.rules(*d).is_empty();
        (fine && !directions.iter().any(emptied)).then_some(Fix::ApplyInstead(candidate))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Object;
    use crate::model::house::{House, PartialSettings};
    use crate::model::{Change, PortSet};
    use crate::review::{User, review};
    use crate::rules::fixtures::{block, egress, judge, only, said, to};
    use crate::snapshot::Snapshot;

    #[test]
    fn a_thousand_blocks_with_excepts_are_judged_exactly() {
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        let mut peers: Vec<Peer> = (0..1000)
            .map(|i| {
                block(
                    &format!("{}.{}.0.0/16", 11 + i / 250, i % 250),
                    &[&format!("{}.{}.7.0/24", 11 + i / 250, i % 250)],
                )
            })
            .collect();
        peers.push(block("0.0.0.0/0", &private));
        let fine = egress("many", vec![to(0, peers.clone(), PortSet::full())]);
        assert!(said(&judge(RuleId::OpenCidr, &[], &Change::create(fine))).is_empty());
        peers.push(block("0.0.0.0/0", &private[..2]));
        let open = egress("many", vec![to(0, peers, PortSet::full())]);
        let started = std::time::Instant::now();
        let verdict = judge(RuleId::OpenCidr, &[], &Change::create(open));
        println!("1,002 blocks with excepts, with the fix and its proof: {:?}", started.elapsed());
        assert_eq!(
            said(&verdict),
            [
                "enforce: egress of many opens private addresses 192.168.0.0/16 beside public ones on every port; except them"
            ]
        );
        assert_eq!(verdict.findings[0].finding.path.as_str(), "spec.egress[0].to[1001].ipBlock.cidr");
        assert_ne!(verdict.cure, crate::review::Cure::None);
    }

    fn with(settings: OpenCidr, object: &Object) -> Vec<String> {
        let mut house: House = only(RuleId::OpenCidr);
        house.rules[0].settings = PartialSettings { open_cidr: Some(settings), ..PartialSettings::default() };
        said(&review(&Snapshot::default(), &house, &Change::create(object.clone()), &User::default()))
    }

    #[test]
    fn settings_move_the_limits() {
        let plain = egress("plain", vec![to(0, vec![block("0.0.0.0/0", &[])], PortSet::full())]);
        let settings = OpenCidr::default;
        assert_eq!(with(settings(), &plain).len(), 1);
        assert!(with(OpenCidr { directions: vec![Direction::Ingress], ..settings() }, &plain).is_empty());
        assert!(with(OpenCidr { widest_v4: 0, ..settings() }, &plain).is_empty(), "nothing is wider than everything");
        assert!(with(OpenCidr { private: IpSet::empty(), ..settings() }, &plain).is_empty());
        let nearly = egress("nearly", vec![to(0, vec![block("10.0.0.0/7", &[])], PortSet::full())]);
        assert!(with(settings(), &nearly).is_empty(), "a /8 of public addresses is not wider than a /8");
        assert_eq!(with(OpenCidr { widest_v4: 9, ..settings() }, &nearly).len(), 1);
    }
}
