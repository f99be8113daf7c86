//! `open-cidr` where the policies stay as they are and a group of addresses, or a tier, to which they refer changes.

use super::open_cidr::{judge, key};
use super::rule::{Context, Finding, MOST_REFERRING};
use super::wording;
use crate::model::house::RuleId;
use crate::model::{FieldPath, IpSet, Object, Policy, PortSet};

/// Judges the policies of this namespace that refer to what changes, and with the namespace of the change those of the
/// cluster.
pub(super) fn check(cx: &Context<'_>, out: &mut Vec<Finding>) {
    // What stands is told by the policies themselves.
    if cx.standing {
        return;
    }
    let at = match cx.change.before.as_ref().or(cx.change.after.as_ref()) {
        Some(Object::AddressGroup(_)) if cx.change.id.kind == "CiliumCIDRGroup" => "spec.externalCIDRs",
        Some(Object::AddressGroup(_)) => "spec.nets",
        Some(Object::Tier(_)) => "spec.order",
        _ => return,
    };
    let group = at != "spec.order";
    let in_force = cx.referring().filter(|object| object.policies.iter().all(|policy| policy.is_in_force()));
    for object in in_force.take(MOST_REFERRING) {
        let own: Vec<&Policy> = object.policies.iter().map(|p| &**p).collect();
        for &direction in &cx.settings.open_cidr.directions {
            let Some(violation) = judge(cx, &object.id, &own, direction) else { continue };
            let addresses = IpSet::union_all(violation.open.iter().map(|e| &e.addresses));
            let ports = violation.open.iter().fold(PortSet::empty(), |all, e| all.union(&e.ports));
            let message = format!(
                "{} makes {} of {} open private addresses {} beside public ones on {ports}; {}",
                cx.change.id,
                direction.field(),
                wording::policy(&object.id),
                addresses.summary(4),
                if group { "take them out of the group" } else { "narrow the policy first" },
            );
            let mut finding = Finding::new(RuleId::OpenCidr, cx.change.id.clone(), message)
                .keyed(format!("{} {}", object.id, key(cx, &object.id, direction, &violation.open)))
                .at(FieldPath::new(at));
            finding.because = violation.because;
            out.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{egress, only, to};
    use std::sync::Arc;

    use super::*;
    use crate::model::house::{Exception, Level};
    use crate::model::ipset::parse_cidr;
    use crate::model::{
        AddressGroup, AddressScope, Change, GroupChoice, GroupKind, GroupPeer, Labels, NamespaceScope, ObjectRef, Peer,
        Selector, Tier,
    };
    use crate::review::{User, review};
    use crate::snapshot::Snapshot;

    fn group(cidr: &str) -> Object {
        Object::AddressGroup(AddressGroup {
            id: ObjectRef::cluster("cilium.io/v2", "CiliumCIDRGroup", "partners"),
            kind: GroupKind::Cidrs,
            labels: Labels::default(),
            nets: vec![parse_cidr(cidr).unwrap().0],
            unread: Vec::new(),
        })
    }

    #[test]
    fn an_exception_holds_where_the_policy_is_and_not_where_the_group_is() {
        let peer = Peer::Groups(GroupPeer {
            kind: GroupKind::Cidrs,
            namespaces: NamespaceScope::all(),
            groups: GroupChoice::Named("partners".into()),
            except: Vec::new(),
            scope: AddressScope::ExternalOnly,
        });
        let Object::Policy(mut out) = egress("out", vec![to(0, vec![peer], PortSet::full())]) else { unreachable!() };
        out.policies.iter_mut().for_each(|policy| Arc::make_mut(policy).tier = Tier::cilium());
        let world = Snapshot::of([&Object::Policy(out), &group("198.51.100.0/24")]);
        let change = Change::update(group("198.51.100.0/24"), group("0.0.0.0/0"));
        let mut house = only(RuleId::OpenCidr);
        let levels = |house: &_| -> Vec<Level> {
            review(&world, house, &change, &User::default()).findings.iter().map(|j| j.level).collect()
        };
        assert_eq!(levels(&house), [Level::Enforce]);
        let mut exception = Exception {
            name: "portcullis/partners".into(),
            rules: vec![RuleId::OpenCidr],
            namespaces: vec!["elsewhere".into()],
            selector: Selector::everything(),
            reason: "agreed".into(),
            expires_at: i64::MAX,
        };
        house.exceptions = vec![exception.clone()];
        assert_eq!(levels(&house), [Level::Enforce]);
        exception.namespaces = vec!["shop".into()];
        house.exceptions = vec![exception];
        assert_eq!(levels(&house), [Level::Off]);
        let back = Change::update(group("0.0.0.0/0"), group("198.51.100.0/24"));
        assert!(review(&world, &only(RuleId::OpenCidr), &back, &User::default()).findings.is_empty());
    }
}
