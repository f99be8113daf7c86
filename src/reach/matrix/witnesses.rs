//! Pods and namespaces that do not exist, made of the selectors of policies, so that two sets of policies are compared on
//! whatever either of them could mean and not only on what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::kinds::Invented;
use super::nodes::REPRESENTATIVE;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::selector::{NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY};
use crate::model::{
    Labels, NamedPort, Namespace, NamespaceScope, Object, Peer, PodPeer, PodSpec, Policy, Protocol, Selector, Str,
};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// Every policy, once for each namespace that it may apply in.
pub(super) fn policies(world: &Snapshot) -> Vec<&Policy> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for policy in world.namespaces().flat_map(|namespace| world.policies_in(namespace)) {
        if seen.insert(std::ptr::from_ref(&**policy) as usize) {
            all.push(&**policy);
        }
    }
    all.extend(world.cluster_policies().flat_map(|object| &object.policies).map(|policy| &**policy));
    all
}

/// Calls for every selector of pods, with the namespaces that it reaches into.
fn selectors<'a>(policy: &'a Policy, each: &mut impl FnMut(&'a NamespaceScope, &'a Selector)) {
    each(&policy.subject.namespaces, &policy.subject.pods);
    for peer in policy.ingress.iter().chain(&policy.egress).flat_map(|rule| &rule.peers) {
        peer.visit(&mut |part| {
            if let Peer::Pods(PodPeer { namespaces, pods }) = part {
                each(namespaces, pods);
            }
        });
    }
}

/// Both worlds with the same namespaces: those of either, one that is like no other, and one for every selector that
/// names no namespace there is.
pub(super) fn with_namespaces(worlds: [&Snapshot; 2]) -> [Snapshot; 2] {
    let mut next = worlds.map(Clone::clone);
    let mut wanted: BTreeMap<Str, Namespace> = BTreeMap::new();
    for name in worlds.iter().flat_map(|world| world.namespaces()).map(|namespace| namespace.name()) {
        if worlds.iter().any(|world| world.namespace(name).is_none()) {
            wanted.insert(name.clone(), Namespace::named(name.clone()));
        }
    }
    let mut labels: BTreeSet<Labels> = BTreeSet::from([Labels::default()]);
    for world in worlds {
        for policy in policies(world) {
            selectors(policy, &mut |scope, _| match scope {
                NamespaceScope::Named(name) if world.namespace(name).is_none() => {
                    wanted.insert(name.clone(), Namespace::named(name.clone()));
                }
                NamespaceScope::Matching(selector) if world.in_scope(scope).next().is_none() => {
                    labels.extend(selector.representative());
                }
                _ => {}
            });
        }
    }
    let free = |name: &str| worlds.iter().all(|world| world.namespace(name).is_none());
    for (i, labels) in labels.into_iter().enumerate() {
        let name = match labels.get(NAMESPACE_NAME_LABEL) {
            Some(name) => name.clone(),
            None if i == 0 => "any-other-namespace".into(),
            None => format!("any-namespace-{i}").into(),
        };
        if free(&name) {
            wanted.insert(name.clone(), Namespace::new(name, &labels));
        }
    }
    for (name, namespace) in wanted {
        for (world, was) in next.iter_mut().zip(worlds) {
            if was.namespace(&name).is_none() {
                world.insert(&Object::Namespace(namespace.clone()));
            }
        }
    }
    next
}

/// For every namespace a pod without labels and one for each selector that reaches into it; where ports have names, each
/// with these names as well, for TCP and for the other protocols.
pub(super) fn pods(worlds: [&Snapshot; 2]) -> Vec<(Str, Owner, PodSpec)> {
    let mut wanted: BTreeMap<Str, BTreeSet<Labels>> = BTreeMap::new();
    for world in worlds {
        for namespace in world.namespaces() {
            wanted.entry(namespace.name().clone()).or_default().insert(Labels::default());
        }
        let mut known: BTreeSet<(usize, &Selector)> = BTreeSet::new();
        let mut scopes: HashMap<&NamespaceScope, usize> = HashMap::new();
        for policy in policies(world) {
            selectors(policy, &mut |scope, pods| {
                let next = scopes.len();
                let number = *scopes.entry(scope).or_insert(next);
                if pods.is_everything() || !known.insert((number, pods)) {
                    return;
                }
                let Some(labels) = pods.representative() else { return };
                // Labels of namespaces are what they are; only pods and their accounts can be made up.
                let of_namespace = |(key, value): (&Str, &Str), namespace: &NamespaceState| {
                    key.strip_prefix(NAMESPACE_LABEL_PREFIX)
                        .is_none_or(|key| namespace.labels().get(key) == Some(value))
                };
                for namespace in world.in_scope(scope) {
                    if labels.iter().all(|pair| of_namespace(pair, namespace)) {
                        let own = labels.iter().filter(|(key, _)| !key.starts_with(NAMESPACE_LABEL_PREFIX));
                        let own = Labels::new(own.map(|(key, value)| (key.clone(), value.clone())));
                        wanted.entry(namespace.name().clone()).or_default().insert(own);
                    }
                }
            });
        }
    }
    let names = port_names(worlds);
    let mut list = Vec::new();
    for (namespace, all) in wanted {
        for labels in all {
            let shown = if labels.is_empty() { "any-other-pod".to_owned() } else { format!("{{{labels}}}") };
            let mut add = |more: &str, ports: Vec<NamedPort>, host_network| {
                let owner = Owner { kind: REPRESENTATIVE.into(), name: format!("{shown}{more}").into() };
                let own = labels.iter().filter(|(key, _)| ***key != *SERVICE_ACCOUNT_KEY);
                let mut pod = PodSpec::with_labels(Labels::new(own.map(|(key, value)| (key.clone(), value.clone()))));
                if let Some(account) = labels.get(SERVICE_ACCOUNT_KEY) {
                    pod.service_account = account.clone();
                }
                let pod = PodSpec { ports, host_network, ..pod };
                list.push((namespace.clone(), owner, pod));
            };
            add("", Vec::new(), false);
            if !names.is_empty() {
                add(" with named ports", with_ports(&names, &[(Protocol::Tcp, 20_001)]), false);
                add(
                    " with named ports but TCP",
                    with_ports(&names, &[(Protocol::Udp, 30_001), (Protocol::Sctp, 40_001)]),
                    false,
                );
            }
            if labels.is_empty() {
                add(" on its node's network", Vec::new(), true);
            }
        }
    }
    list
}

fn with_ports(names: &BTreeSet<Str>, of: &[(Protocol, u16)]) -> Vec<NamedPort> {
    let mut ports: Vec<NamedPort> = Vec::new();
    for (protocol, first) in of {
        let numbered = names.iter().zip(*first..);
        ports.extend(numbered.map(|(name, port)| NamedPort { name: name.clone(), protocol: *protocol, port }));
    }
    ports.sort();
    ports
}

fn port_names(worlds: [&Snapshot; 2]) -> BTreeSet<Str> {
    let rules = worlds.into_iter().flat_map(policies).flat_map(|policy| policy.ingress.iter().chain(&policy.egress));
    rules.flat_map(|rule| &rule.ports.names).map(|(_, name)| name.clone()).collect()
}

/// The pods in the namespaces of one world.
pub(super) fn invented(world: &Snapshot, pods: &[(Str, Owner, PodSpec)]) -> Vec<Invented> {
    let of = |(namespace, owner, pod): &(Str, Owner, PodSpec)| {
        let namespace = world.namespace_or_empty(namespace);
        Invented { namespace, owner: owner.clone(), pod: pod.clone() }
    };
    pods.iter().map(of).collect()
}
