//! Changes that reach many namespaces: which ones are judged, and how what is found there is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::levels::{Effective, effective};
use super::{Case, Judged};
use crate::model::house::{Dns, House, Level, RuleId};
use crate::model::pod::PodLookup;
use crate::model::{Change, Direction, NamespaceScope, Object, Policy, PolicyObject, Str};
use crate::reach::DnsPods;
use crate::snapshot::Snapshot;

/// Namespaces judged for one change. Each costs a look at its pods, and a review has seconds; the background audit looks
/// at all of them.
const MOST_NAMESPACES: usize = 1_000;

/// Findings told for each rule and level.
const MOST_TOLD: usize = 5;

/// How a change reaches a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// By the policies of its pods.
    Policies,
    /// By the policies of the DNS pods that its pods ask.
    Dns,
}

/// A namespace that a change reaches beside the one it is in.
pub(super) struct There {
    pub(super) name: Str,
    pub(super) way: Way,
    /// What holds there.
    pub(super) effective: Effective,
}

/// All of them.
pub(super) struct Reached(pub(super) Vec<There>);

impl Reached {
    pub(super) fn by(case: Case<'_>, before: &Snapshot, after: &Snapshot) -> Self {
        let house = case.house;
        let names = names(case, before, after).into_iter();
        let all = names.map(|(name, way)| {
            let mut effective = effective(house, &after.namespace_or_empty(&name));
            effective.see(before.plugins());
            There { name, way, effective }
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
            for there in self.0.iter().filter(|there| there.way == Way::Policies) {
                if there.effective.level(id).0 > highest {
                    highest = there.effective.level(id).0;
                    found.insert(id, &there.name);
                }
            }
        }
        found
    }
}

/// Those of the pods that a policy selects, those of the policies that refer to a tier or a group, and where policies of DNS
/// pods change all that have pods, in the order of their names.
fn names(Case { house, change, standing, .. }: Case<'_>, before: &Snapshot, after: &Snapshot) -> Vec<(Str, Way)> {
    let states: Vec<&Object> = change.before.iter().chain(&change.after).collect();
    let mut names: BTreeSet<Str> = BTreeSet::new();
    let mut asking = false;
    for (object, world) in [(&change.before, before), (&change.after, after)] {
        match object {
            Some(Object::Policy(object)) => {
                if object.id.namespace.is_none() {
                    selected(object, world, &mut names);
                }
                // What stands is not asked whom it cuts off: those pods are looked at themselves.
                asking |= !standing && answer_dns(house).any(|dns| restricts(object, world, dns));
            }
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
    // Nearly no change has to go through all of them.
    let all = asking.then(|| after.namespaces()).into_iter().flatten();
    let with_pods = all.filter(|namespace| !namespace.classes().is_empty());
    let ask = with_pods.map(|namespace| namespace.name()).filter(|name| !names.contains(&***name));
    let mut ask: Vec<(Str, Way)> = ask.map(|name| (name.clone(), Way::Dns)).collect();
    ask.sort();
    let all = names.into_iter().map(|name| (name, Way::Policies)).chain(ask);
    all.filter(|(name, _)| **name != *change.id.namespace()).take(MOST_NAMESPACES).collect()
}

/// Where cluster DNS is, by the built-in settings and by those that somebody gave.
fn answer_dns(house: &House) -> impl Iterator<Item = &Dns> {
    static DEFAULT: LazyLock<Dns> = LazyLock::new(Dns::default);
    house.rules.iter().filter_map(|rules| rules.settings.dns.as_ref()).chain([&*DEFAULT])
}

/// Whether a policy decides what the DNS pods receive.
fn restricts(object: &PolicyObject, world: &Snapshot, dns: &Dns) -> bool {
    let may = |policy: &Policy| match &policy.subject.namespaces {
        NamespaceScope::Named(name) => *name == dns.namespace,
        NamespaceScope::Matching(_) => true,
    };
    if !object.policies.iter().any(|policy| may(policy)) {
        return false;
    }
    let DnsPods { namespace, pods, seen } = DnsPods::find(world, dns);
    let selected = |policy: &Policy| {
        let lookup = |pod| PodLookup { pod, namespace: namespace.labels() };
        pods.iter().any(|dns| policy.subject.pods.matches(&lookup(&dns.pod)))
    };
    seen && object.policies.iter().any(|policy| {
        (policy.isolates(Direction::Ingress) || !policy.rules(Direction::Ingress).is_empty())
            && namespace.is_in(&policy.subject.namespaces)
            && selected(policy)
    })
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
    use crate::model::{Labels, Namespace, ObjectRef, Peer, PodPeer, PortSet, Protocol, Selector};
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

    #[test]
    fn whoever_closes_the_dns_pods_is_told_whom_that_cuts_off() {
        let from = |peer: Peer| {
            let Object::Policy(mut object) = egress("in", Vec::new()) else { panic!("a policy") };
            object.id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "kube-system", "in"));
            let policy = Arc::make_mut(&mut object.policies[0]);
            policy.id = Arc::clone(&object.id);
            policy.subject.namespaces = NamespaceScope::Named("kube-system".into());
            (policy.isolates_ingress, policy.isolates_egress) = (true, false);
            policy.ingress = vec![to(0, vec![peer], PortSet::full())];
            Object::Policy(object)
        };
        let pods = |namespaces| Peer::Pods(PodPeer { namespaces, pods: Selector::everything() });
        let (everyone, own) = (pods(NamespaceScope::all()), pods(NamespaceScope::Named("kube-system".into())));
        let ports = PortSet::port(Protocol::Udp, 53).union(&PortSet::port(Protocol::Tcp, 53));
        let dns = pod("kube-system", "dns", &[("k8s-app", "kube-dns")]);
        let asking = [dns, pod("shop", "web", &[]), egress("out", vec![to(0, vec![everyone.clone()], ports)])];
        let unaware = pod("blog", "web", &[]);
        let world = |policies: &[Object]| Snapshot::of(asking.iter().chain([&unaware]).chain(policies));
        let judged = |policies: &[Object], change: Change| {
            let all = said(&review(&world(policies), &only(RuleId::BlockedDns), &change, &User::default()));
            all.iter().map(|said| said.split(';').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let cut = "cluster DNS cannot be reached on UDP 53 and TCP 53 by pods of namespace shop";
        let closed = Change::update(from(everyone.clone()), from(own.clone()));
        assert_eq!(judged(&[from(everyone.clone())], closed), [format!("enforce: {cut}")]);
        assert_eq!(judged(&[], Change::create(from(own.clone()))), [format!("warn: {cut}")]);
        assert_eq!(judged(&[from(own.clone())], Change::delete(from(own.clone()))).len(), 0);
        assert_eq!(judged(&[from(own)], Change::create(from(everyone.clone()))).len(), 0);
        assert_eq!(judged(&[], Change::create(from(everyone))).len(), 0);
    }
}
