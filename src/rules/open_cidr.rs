//! `open-cidr`: whoever opens the internet must except the private ranges.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::narrow::{Blamed, narrowed};
use super::rule::{Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::pod::PodLookup;
use crate::model::{
    Direction, FieldPath, IpSet, Labels, Object, ObjectRef, Peer, PodSpec, Policy, PolicyObject, PortSet,
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
    pub OpenCidr = OpenCidr, since "0.1.0"
}

impl Rule for OpenCidr {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
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

/// What is open that should not be.
struct Violation {
    open: Vec<Exposure>,
    path: FieldPath,
    blamed: BTreeSet<usize>,
    because: Vec<String>,
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
fn judge(cx: &Context<'_>, id: &ObjectRef, own: &[&Policy], direction: Direction) -> Option<Violation> {
    let settings = &cx.settings.open_cidr;
    let mut seen = BTreeSet::new();
    let mut result: Option<Violation> = None;
    for pod in subjects(cx, own) {
        let others: Vec<&Policy> =
            selecting(cx.world, cx.namespace, &pod).into_iter().map(|p| &**p).filter(|p| *p.id != *id).collect();
        let names: Vec<&ObjectRef> = others.iter().map(|p| &*p.id).collect();
        if !seen.insert((names, pod.ports.clone())) {
            continue;
        }
        let together: Vec<&Policy> = own.iter().chain(&others).copied().collect();
        let all = openings(&together, direction, &pod);
        if !all.iter().any(|o| *o.policy.id == *id) {
            continue;
        }
        let open = private_beside_public(&all, settings);
        if open.is_empty() {
            continue;
        }
        let (mine, theirs): (Vec<Opening<'_>>, Vec<Opening<'_>>) =
            all.iter().cloned().partition(|o| *o.policy.id == *id);
        let public =
            theirs.iter().map(|o| Opening { addresses: o.addresses.difference(&settings.private), ..o.clone() });
        let alone: Vec<Opening<'_>> = mine.iter().cloned().chain(public).collect();
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
            None => result = Some(violation(cx, id, &mine, &all, open)?),
        }
    }
    result
}

/// Openings that take part: on one of these ports, with private addresses or with public ones beside them.
fn guilty<'a>(list: &'a [Opening<'a>], open: &'a [Exposure]) -> impl Iterator<Item = &'a Opening<'a>> {
    list.iter().filter(|o| {
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
    mine: &[Opening<'_>],
    all: &[Opening<'_>],
    open: Vec<Exposure>,
) -> Option<Violation> {
    let private = &cx.settings.open_cidr.private;
    let opens =
        |o: &Opening<'_>| open.iter().any(|e| e.addresses.intersects(&o.addresses) && e.ports.intersects(&o.ports));
    let first = mine.iter().find(|o| opens(o)).or_else(|| guilty(mine, &open).next())?;
    let wide: Vec<&Opening<'_>> = guilty(all, &open).filter(|o| !o.addresses.is_subset(private)).collect();
    let inside: Vec<&Opening<'_>> = guilty(all, &open).filter(|o| o.addresses.is_subset(private) && opens(o)).collect();
    let excepting = wide.iter().any(|o| !o.addresses.intersects(private));
    let place = |o: &Opening<'_>| {
        let path = o.rule.peer_path(o.peer);
        if *o.policy.id == *id { path.short().to_owned() } else { wording::place(&o.policy.id, &path) }
    };
    let lines = wide.iter().map(|o| format!("{} opens {} on {}", place(o), written(o), o.rule.ports)).chain(
        inside.iter().map(|o| {
            let again = if excepting { "opened again" } else { "opened" };
            format!("{} is {again} by {} on {}", written(o), place(o), o.rule.ports)
        }),
    );
    let lines: Vec<String> = lines.collect();
    let more = lines.len().saturating_sub(6);
    let mut because: Vec<String> = lines.into_iter().take(6).collect();
    if more > 0 {
        because.push(format!("and {more} more items"));
    }
    let path = first.rule.peer_path(first.peer);
    let path = if matches!(first.rule.peers.get(first.peer), Some(Peer::Any)) {
        if first.rule.peers_at.is_empty() { first.rule.at.clone() } else { first.rule.at.field(first.rule.peers_at) }
    } else {
        path.field("ipBlock").field("cidr")
    };
    let blamed = guilty(mine, &open).map(|o| o.index).collect();
    Some(Violation { path, blamed, because, open })
}

/// The blocks as people wrote them.
fn written(opening: &Opening<'_>) -> String {
    let Some(Peer::Addresses(peer)) = opening.rule.peers.get(opening.peer) else {
        return "everyone".to_owned();
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
        "{} of {} opens private addresses {} beside public ones on {ports}; except them",
        direction.field(),
        wording::policy(&object.id),
        addresses.summary(4),
    );
    let mut finding = Finding::new(RuleId::OpenCidr, (*object.id).clone(), message)
        .keyed(key(cx, object, direction, &violation.open))
        .at(violation.path);
    finding.because = violation.because;
    let everyone = object.policies.iter().any(|p| {
        p.rules(direction)
            .iter()
            .enumerate()
            .any(|(i, r)| violation.blamed.contains(&i) && r.peers.contains(&Peer::Any))
    });
    if everyone {
        finding.help = Some(
            "a rule without peers admits every pod as well; with blocks in its place, name the pods that are meant by \
             podSelector and namespaceSelector"
                .to_owned(),
        );
    }
    finding
}

/// The same before and after, unless the change opens more: then what it opens is part of the key.
fn key(cx: &Context<'_>, object: &PolicyObject, direction: Direction, open: &[Exposure]) -> String {
    let after = cx.change.after.as_ref().is_some_and(|after| cx.object.is_some_and(|here| std::ptr::eq(after, here)));
    let Some(Object::Policy(before)) = cx.change.before.as_ref().filter(|_| after) else {
        return direction.as_str().to_owned();
    };
    let old: Vec<&Policy> = before.policies.iter().map(|p| &**p).collect();
    let then = judge(cx, &object.id, &old, direction).map(|v| v.open).unwrap_or_default();
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
    if object.id.kind != "NetworkPolicy" {
        return None;
    }
    let private = &cx.settings.open_cidr.private;
    let directions = &cx.settings.open_cidr.directions;
    [false, true].into_iter().find_map(|all| {
        let candidate = narrowed(policy, blamed, private, all);
        let fine = directions.iter().all(|d| judge(cx, &object.id, &[&candidate], *d).is_none());
        fine.then_some(Fix::ApplyInstead(candidate))
    })
}
