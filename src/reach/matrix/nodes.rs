//! Kinds of pods as people name them: by their top owner, taken apart only where policies take it apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kinds::{Invented, Kinds, Member};
use crate::model::pod::PodLookup;
use crate::model::{Labels, NamespaceScope, Peer, PodPeer, PodSpec, Selector, Str};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// A row and a column of the matrix.
#[derive(Clone, Debug)]
pub struct Node {
    /// `namespace/name[Kind]`, with what sets it apart from others of the same owner in between.
    pub name: String,
    /// Its namespace.
    pub namespace: Str,
    /// Whom the pods belong to.
    pub owner: Owner,
    /// What sets these pods apart from others of the same owner; empty where they are all alike.
    pub variant: String,
    /// How many pods there are; none for a template that has no pods yet and for invented pods.
    pub pods: u32,
    /// Whether they are on their nodes' network: policies do not apply to them.
    pub host_network: bool,
    /// Whether a policy isolates them on ingress, and on egress.
    pub isolated: [bool; 2],
    pub(super) kind: usize,
}

impl Node {
    /// A number that is equal for nodes which no policy tells apart.
    pub const fn kind(&self) -> usize {
        self.kind
    }
}

/// Labels that differ between pods of one owner without meaning anything to people.
const HASHES: [&str; 5] = [
    "pod-template-hash",
    "controller-revision-hash",
    "pod-template-generation",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
];

/// The kind under which invented pods are shown.
pub(super) const REPRESENTATIVE: &str = "Representative";

/// The nodes, sorted by name, and what must be said about them.
pub(super) fn name(kinds: &Kinds<'_>) -> (Vec<Node>, Vec<String>) {
    let mut owners: BTreeMap<(&Str, &Owner), Vec<&Member<'_>>> = BTreeMap::new();
    for member in &kinds.members {
        owners.entry((member.at.namespace.name(), member.owner)).or_default().push(member);
    }
    let (mut nodes, mut notes) = (Vec::new(), Vec::new());
    for ((namespace, owner), members) in owners {
        // Pods that run say where they are; their template does not, and adds nothing where it looks the same.
        let covered = |m: &Member<'_>| m.template && members.iter().any(|live| !live.template && live.look == m.look);
        let mut by_kind: BTreeMap<usize, Vec<&Member<'_>>> = BTreeMap::new();
        for member in members.iter().filter(|m| !covered(m)) {
            by_kind.entry(member.kind).or_default().push(member);
        }
        let groups: Vec<(usize, Vec<&Member<'_>>)> = by_kind.into_iter().collect();
        let (variants, keys) = variants(&groups);
        if groups.len() > 1 {
            let by = if keys.is_empty() { "something other than labels".to_owned() } else { keys.join(", ") };
            notes.push(format!(
                "{} {namespace}/{} is shown as {} rows: policies tell its pods apart by {by}",
                owner.kind,
                owner.name,
                groups.len()
            ));
        }
        for ((kind, members), variant) in groups.into_iter().zip(variants) {
            let host_network = kinds.pod(kind).pod.host_network;
            if host_network {
                notes.push(format!(
                    "{} {namespace}/{} is on its nodes' network: policies do not apply to it, and selectors do not see it",
                    owner.kind, owner.name
                ));
            }
            let shown = if variant.is_empty() { String::new() } else { format!(" ({variant})") };
            nodes.push(Node {
                name: format!("{namespace}/{}{shown}[{}]", owner.name, owner.kind),
                namespace: namespace.clone(),
                owner: owner.clone(),
                variant,
                pods: members.iter().filter(|m| !m.template).map(|m| m.count).sum(),
                host_network,
                isolated: crate::model::Direction::BOTH.map(|direction| {
                    kinds.lists[kinds.list(kind, direction)].iter().any(|policy| policy.isolates(direction))
                }),
                kind,
            });
        }
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    (nodes, notes)
}

/// For each group of pods of one owner the labels that set it apart, and the keys of these labels.
fn variants(groups: &[(usize, Vec<&Member<'_>>)]) -> (Vec<String>, Vec<String>) {
    if groups.len() < 2 {
        return (vec![String::new(); groups.len()], Vec::new());
    }
    let value = |m: &Member<'_>, key: &str| m.at.pod.labels.get(key).cloned();
    let mut keys: Vec<&Str> = groups
        .iter()
        .flat_map(|(_, members)| members)
        .flat_map(|m| m.at.pod.labels.iter())
        .map(|(key, _)| key)
        .collect();
    keys.sort_by_key(|key| (HASHES.contains(&&***key), *key));
    keys.dedup();
    let mut chosen: Vec<&Str> = Vec::new();
    let mut shown = vec![String::new(); groups.len()];
    for key in keys {
        let steady = groups.iter().all(|(_, members)| {
            members.first().is_some_and(|first| members.iter().all(|m| value(m, key) == value(first, key)))
        });
        if !steady {
            continue;
        }
        let texts: Vec<String> = groups
            .iter()
            .zip(&shown)
            .map(|((_, members), shown)| {
                let text = match members.first().and_then(|m| value(m, key)) {
                    Some(value) => format!("{key}={value}"),
                    None => format!("!{key}"),
                };
                if shown.is_empty() { text } else { format!("{shown},{text}") }
            })
            .collect();
        let distinct = |texts: &[String]| texts.iter().collect::<std::collections::BTreeSet<_>>().len();
        if distinct(&texts) > distinct(&shown) {
            chosen.push(key);
            let done = distinct(&texts) == groups.len();
            shown = texts;
            if done {
                return (shown, chosen.into_iter().map(ToString::to_string).collect());
            }
        }
    }
    for (i, text) in shown.iter_mut().enumerate() {
        *text = if text.is_empty() { format!("#{}", i + 1) } else { format!("{text} #{}", i + 1) };
    }
    (shown, Vec::new())
}

/// Pods that do not exist yet: in each namespace one without labels, and one for every selector that matches no pod there.
pub(super) fn representatives(world: &Snapshot) -> Vec<Invented> {
    let mut invented = Vec::new();
    let mut namespaces: Vec<&Arc<NamespaceState>> = world.namespaces().collect();
    namespaces.sort_by_key(|n| n.name());
    let mut wanted: BTreeMap<Str, Vec<Labels>> = namespaces.iter().map(|n| (n.name().clone(), Vec::new())).collect();
    for namespace in &namespaces {
        for policy in world.policies_in(namespace) {
            want(&mut wanted, world, &policy.subject.namespaces, namespace, &policy.subject.pods);
            for peer in policy.ingress.iter().chain(&policy.egress).flat_map(|r| &r.peers) {
                peer.visit(&mut |part| {
                    let Peer::Pods(PodPeer { namespaces: scope, pods }) = part else { return };
                    for other in world.in_scope(scope) {
                        want(&mut wanted, world, scope, other, pods);
                    }
                });
            }
        }
    }
    for (name, mut list) in wanted {
        let Some(namespace) = world.namespace(&name) else { continue };
        list.push(Labels::default());
        list.sort();
        list.dedup();
        for labels in list {
            let shown = if labels.is_empty() { "any-other-pod".to_owned() } else { format!("{{{labels}}}") };
            let owner = Owner { kind: REPRESENTATIVE.into(), name: shown.into() };
            invented.push(Invented { namespace: Arc::clone(namespace), owner, pod: PodSpec::with_labels(labels) });
        }
    }
    invented
}

fn want(
    wanted: &mut BTreeMap<Str, Vec<Labels>>,
    world: &Snapshot,
    scope: &NamespaceScope,
    namespace: &NamespaceState,
    pods: &Selector,
) {
    // A selector for all namespaces says nothing about this one.
    let named = match scope {
        NamespaceScope::Named(_) => true,
        NamespaceScope::Matching(selector) => !selector.matches_everything(),
    };
    if !named || pods.is_everything() || !namespace.is_in(scope) {
        return;
    }
    let matched = world
        .namespace(namespace.name())
        .is_some_and(|n| n.classes().iter().any(|c| pods.matches(&PodLookup { pod: c.pod(), namespace: n.labels() })));
    if matched {
        return;
    }
    if let (Some(labels), Some(list)) = (pods.representative(), wanted.get_mut(namespace.name()))
        && labels.iter().all(|(key, _)| !key.starts_with('@'))
    {
        list.push(labels);
    }
}
