//! Changes that reach many namespaces: which ones are judged, and how what is found there is told.

use std::collections::{BTreeMap, BTreeSet};

use super::Judged;
use super::levels::{Effective, effective};
use crate::model::house::{House, Level, RuleId};
use crate::model::{Change, Object, PolicyObject, Str};
use crate::snapshot::Snapshot;

/// Namespaces judged for one change. Each costs a look at its pods, and a review has seconds; the background audit looks
/// at all of them.
const MOST_NAMESPACES: usize = 1_000;

/// Findings told for each rule and level.
const MOST_TOLD: usize = 5;

/// Namespaces that a change reaches beside the one it is in, with what holds there.
pub(super) struct Reached(pub(super) Vec<(Str, Effective)>);

impl Reached {
    pub(super) fn by(change: &Change, house: &House, before: &Snapshot, after: &Snapshot) -> Self {
        let names = names(change, before, after).into_iter();
        let all = names.map(|name| {
            let mut there = effective(house, &after.namespace_or_empty(&name));
            there.see(before.plugins());
            (name, there)
        });
        Self(all.collect())
    }

    /// For a policy of the whole cluster, the namespace of those that it reaches in which a rule holds at the highest level,
    /// if that is higher than what holds for the cluster itself: house rules that govern some namespaces only govern what
    /// is opened there as well.
    pub(super) fn strictest(&self, change: &Change, home: &Effective) -> BTreeMap<RuleId, &Str> {
        let mut found = BTreeMap::new();
        if self.0.is_empty() || !matches!(change.object(), Some(Object::Policy(_))) {
            return found;
        }
        for id in RuleId::ALL.iter().copied() {
            let mut highest = home.level(id).0;
            for (name, there) in &self.0 {
                if there.level(id).0 > highest {
                    highest = there.level(id).0;
                    found.insert(id, name);
                }
            }
        }
        found
    }
}

/// Those of the pods that a policy selects, and those of the policies that refer to a tier or a group, in the order of
/// their names.
fn names(change: &Change, before: &Snapshot, after: &Snapshot) -> Vec<Str> {
    let states: Vec<&Object> = change.before.iter().chain(&change.after).collect();
    let mut names: BTreeSet<Str> = BTreeSet::new();
    for (object, world) in [(&change.before, before), (&change.after, after)] {
        match object {
            Some(Object::Policy(object)) if object.id.namespace.is_none() => selected(object, world, &mut names),
            Some(Object::Tier(_) | Object::AddressGroup(_)) => {
                for object in world.referring(&states) {
                    match &object.id.namespace {
                        Some(namespace) => drop(names.insert(namespace.clone())),
                        None => selected(object, world, &mut names),
                    }
                }
            }
            _ => {}
        }
    }
    names.remove(change.id.namespace());
    names.into_iter().take(MOST_NAMESPACES).collect()
}

/// Namespaces with pods in the scope of a policy.
fn selected(object: &PolicyObject, world: &Snapshot, names: &mut BTreeSet<Str>) {
    for policy in &object.policies {
        let there = world.in_scope(&policy.subject.namespaces);
        names.extend(there.filter(|n| !n.classes().is_empty()).map(|n| n.name().clone()));
    }
}

/// A few findings of each rule and level; the last of them says how many more there are.
pub(super) fn few_of_each(found: Vec<Judged>) -> Vec<Judged> {
    let mut groups: BTreeMap<(RuleId, Level), Vec<Judged>> = BTreeMap::new();
    for judged in found {
        groups.entry((judged.finding.rule, judged.level)).or_default().push(judged);
    }
    let mut few = Vec::new();
    for mut group in groups.into_values() {
        let more = group.len().saturating_sub(MOST_TOLD);
        group.truncate(MOST_TOLD);
        if more > 0
            && let Some(last) = group.last_mut()
        {
            last.finding.because.push(format!("and {more} more like this in other namespaces"));
        }
        few.append(&mut group);
    }
    few
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Labels, Namespace, NamespaceScope, ObjectRef, Peer, PortSet, Selector};
    use crate::review::{User, review, standing};
    use crate::rules::fixtures::{block, egress, only, pod, said, to};

    fn everywhere(peers: Vec<Peer>) -> Object {
        let Object::Policy(mut object) = egress("out", vec![to(0, peers, PortSet::full())]) else { panic!("a policy") };
        object.id = Arc::new(ObjectRef::cluster("projectcalico.org/v3", "GlobalNetworkPolicy", "out"));
        let policy = Arc::make_mut(&mut object.policies[0]);
        policy.id = Arc::clone(&object.id);
        policy.subject.namespaces = NamespaceScope::all();
        Object::Policy(object)
    }

    #[test]
    fn house_rules_of_some_namespaces_hold_for_what_is_opened_in_them() {
        let mut house = only(RuleId::OpenCidr);
        house.rules[0].name = "prod".into();
        house.rules[0].namespaces = Selector::equals("env", "prod");
        let named = |name: &str, env| Object::Namespace(Namespace::new(name, &Labels::new([("env", env)])));
        let state = |pods: &[&str]| {
            let mut objects = vec![named("a", "test"), named("b", "prod"), named("c", "prod")];
            objects.extend(pods.iter().map(|namespace| pod(namespace, "web", &[])));
            Snapshot::of(&objects)
        };
        let open = everywhere(vec![block("0.0.0.0/0", &[])]);
        let judged =
            |pods: &[&str]| said(&review(&state(pods), &house, &Change::create(open.clone()), &User::default()));
        assert!(judged(&["a"]).is_empty(), "nobody whom they govern is opened");
        let found = judged(&["a", "b", "c"]);
        assert_eq!(found.len(), 1, "once, and not for each namespace: {found:?}");
        assert!(
            found[0].starts_with("enforce: egress of GlobalNetworkPolicy out opens private addresses"),
            "{found:?}"
        );
        let world = state(&["a", "b"]).with(&open);
        assert_eq!(said(&standing(&world, &house, &open)).len(), 1, "what stands is told as well");
    }
}
