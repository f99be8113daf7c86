//! `dangling-peer`: a peer that matches no namespace, or no pod there, allows nothing.

use std::sync::Arc;

use super::fields;
use super::nearest::{self, Words};
use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::{Level, RuleId};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::meter::charge;
use crate::model::pod::PodLookup;
use crate::model::selector::Test;
use crate::model::{FieldPath, NamespaceScope, Peer, PodPeer, PolicyObject, Selector, Str, policy};
use crate::snapshot::{Directory, NamespaceState, Snapshot};

declare_rule! {
    /// A peer should match pods that are there.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does the `namespaceSelector` of each peer match a namespace, and its
    /// `podSelector` a pod in one of them? If not, the nearest namespace or label is named.
    ///
    /// ## Why
    ///
    /// A peer with a slip allows nothing, and the policy looks right. Most often the namespace is called otherwise
    /// (`ingress` for `ingress-nginx`) or is selected by a label that nobody has set (`name: kube-system`).
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// to:
    ///   - namespaceSelector: {matchLabels: {name: kube-system}}
    /// ```
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// to:
    ///   - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    /// ```
    ///
    /// ## Exceptions
    ///
    /// It is only recorded where nothing can be known yet: the namespace has no pods, or no Namespace object has been
    /// seen, as in a folder of manifests.
    ///
    /// ## References
    ///
    /// Kubernetes: *Network Policies*, "Targeting a namespace by its name".
    pub DanglingPeer = DanglingPeer, since "0.1.0"
}

impl Rule for DanglingPeer {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        let mut peers: Vec<(&PodPeer, &policy::Rule, usize)> = Vec::new();
        let mut beyond = None;
        let calico = fields::is_calico(&object.id);
        for rule in object.policies.iter().flat_map(|policy| policy.ingress.iter().chain(&policy.egress)) {
            let room = MOST_LOOKED_FOR - peers.len();
            let mut sought = sought(calico, rule);
            peers.extend(sought.by_ref().take(room).map(|(i, peer)| (peer, rule, i)));
            if let Some((i, _)) = sought.next() {
                beyond = Some(rule.peer_path(i));
                break;
            }
        }
        let mut found = 0;
        for ((peer, rule, i), seen) in peers.iter().zip(look(cx.world, &peers)) {
            let Some(dangling) = judge(cx, peer, &seen, found < MOST_EXPLAINED) else { continue };
            // Those that are only recorded are not explained, and take no hint from the ones that are shown.
            found += usize::from(dangling.cap > Level::Audit);
            let path = fields::inside_peer(rule, *i, field(object, dangling.field));
            let message = format!("{} {}", wording::place(&object.id, &path), dangling.what);
            let mut finding =
                Finding::new(RuleId::DanglingPeer, (*object.id).clone(), message).at(path).capped(dangling.cap);
            finding.because.extend(dangling.because);
            out.push(finding);
        }
        out.extend(beyond.map(|path| too_many(object, path)));
    }
}

/// What there is of a peer.
#[derive(Default)]
struct Seen<'a> {
    namespaces: usize,
    first: Option<&'a Str>,
    /// Whether there are pods in these namespaces at all.
    pods: bool,
    on_host: bool,
    /// It is not dangling, and nothing more needs to be known.
    found: bool,
}

impl<'a> Seen<'a> {
    fn note(&mut self, peer: &PodPeer, namespace: &'a NamespaceState) {
        if !namespace.is_in(&peer.namespaces) {
            return;
        }
        self.namespaces += 1;
        self.first.get_or_insert(namespace.name());
        self.pods |= !namespace.classes().is_empty();
        self.found |= peer.pods.is_everything();
        for class in namespace.classes().iter().take_while(|_| !peer.pods.is_everything()) {
            charge(1);
            if peer.pods.matches(&PodLookup { pod: class.pod(), namespace: namespace.labels() }) {
                self.on_host |= class.pod().host_network;
                self.found |= !class.pod().host_network;
            }
        }
    }
}

/// The peers of a rule that should match pods. Calico's one peer is several here, pods or network sets that its selector
/// matches, and one of them is enough.
fn sought(calico: bool, rule: &policy::Rule) -> impl Iterator<Item = (usize, &PodPeer)> {
    let found = || rule.peers.iter().any(|peer| peer.pods().is_none() && !peer.addresses().is_empty());
    // A rule that only may match is told once, where it certainly does.
    let most = match calico {
        true if rule.filtered_by.is_some() || found() => 0,
        true => 1,
        false => usize::MAX,
    };
    let peers = rule.peers.iter().enumerate().filter(move |(_, peer)| calico || matches!(peer, Peer::Pods(_)));
    peers.filter_map(|(i, peer)| Some((i, peer.pods()?))).take(most)
}

/// The field as this kind of policy calls it.
fn field(object: &PolicyObject, name: &'static str) -> &'static str {
    if name == "podSelector" { fields::pods(&object.id) } else { name }
}

/// Looks for all peers at once: every namespace of a large cluster has to be fetched from memory, which takes far longer
/// than to compare its labels, so it is done once and not for each peer.
fn look<'a>(world: &'a Snapshot, peers: &[(&'a PodPeer, &policy::Rule, usize)]) -> Vec<Seen<'a>> {
    let mut seen: Vec<Seen<'a>> = peers.iter().map(|_| Seen::default()).collect();
    let mut everywhere = Vec::new();
    for (i, (peer, ..)) in peers.iter().enumerate() {
        if Snapshot::is_looked_up(&peer.namespaces) {
            for namespace in world.in_scope(&peer.namespaces) {
                seen[i].note(peer, namespace);
                if seen[i].found {
                    break;
                }
            }
        } else {
            everywhere.push(i);
        }
    }
    for namespace in world.namespaces() {
        charge(everywhere.len());
        if everywhere.is_empty() {
            break;
        }
        everywhere.retain(|&i| {
            seen[i].note(peers[i].0, namespace);
            !seen[i].found
        });
    }
    seen
}

/// Each peer may be compared with every namespace of the cluster, and a policy has room for thousands of peers.
const MOST_LOOKED_FOR: usize = 500;

/// Peers for which what was most likely meant is looked for; a reader takes in a few such hints.
const MOST_EXPLAINED: usize = 3;

/// Namespaces in which pods are looked for that a peer without a `namespaceSelector` may have meant.
const MOST_ELSEWHERE: usize = 200;

fn too_many(object: &PolicyObject, path: FieldPath) -> Finding {
    let message = format!(
        "{} and those after it were not looked for: a policy with more than {MOST_LOOKED_FOR} groups of pods is beyond checking; split it",
        wording::place(&object.id, &path)
    );
    Finding::new(RuleId::DanglingPeer, (*object.id).clone(), message).at(path)
}

struct Dangling {
    field: &'static str,
    what: String,
    because: Option<String>,
    cap: Level,
}

fn judge(cx: &Context<'_>, peer: &PodPeer, seen: &Seen<'_>, explain: bool) -> Option<Dangling> {
    match &peer.namespaces {
        NamespaceScope::Matching(selector) if seen.namespaces == 0 => return Some(no_namespace(cx, selector, explain)),
        _ => {}
    }
    if seen.found || peer.pods.is_everything() {
        return None;
    }
    let selector = &peer.pods;
    let dangling = |what, because, cap| Some(Dangling { field: "podSelector", what, because, cap });
    if seen.on_host {
        let what = format!(
            "{selector} matches only pods on the host's network, which selectors do not see; name the nodes' addresses"
        );
        return dangling(what, None, Level::Warn);
    }
    let place = match (seen.namespaces, seen.first) {
        (0 | 1, first) => format!("namespace {}", first.unwrap_or(cx.namespace.name())),
        (several, _) => format!("the {several} namespaces it names"),
    };
    let what = format!("{selector} matches no pod of {place}; correct it or create the workload");
    if !seen.pods {
        return dangling(what, Some("there are no pods yet".to_owned()), Level::Audit);
    }
    let there = || cx.world.in_scope(&peer.namespaces).flat_map(|n| n.classes()).map(|class| &class.pod().labels);
    let because = explain.then(|| {
        forgotten_namespace(cx, peer)
            .or_else(|| nearest::label(selector, &Words::of(there())).map(|instead| instead.sentence("pods there")))
    });
    let because = because.flatten();
    dangling(what, because, Level::Warn)
}

/// Without a `namespaceSelector` a peer is a pod of the policy's own namespace. Pods elsewhere that match say what was meant.
fn forgotten_namespace(cx: &Context<'_>, peer: &PodPeer) -> Option<String> {
    let NamespaceScope::Named(own) = &peer.namespaces else { return None };
    let has_such = |namespace: &&Arc<NamespaceState>| {
        charge(1 + namespace.classes().len());
        let mut pods = namespace.classes().iter().map(|class| class.pod());
        pods.any(|pod| peer.pods.matches(&PodLookup { pod, namespace: namespace.labels() }))
    };
    // Most often DNS is meant.
    let dns = cx.world.namespace(&cx.settings.dns.namespace).into_iter();
    let elsewhere = dns.chain(cx.world.namespaces().take(MOST_ELSEWHERE)).filter(has_such);
    let first = elsewhere.map(|namespace| namespace.name()).min()?;
    let cilium = cx.policy().is_some_and(|object| fields::is_cilium(&object.id));
    let lacking = if cilium { "the label io.kubernetes.pod.namespace" } else { "a namespaceSelector" };
    Some(format!("without {lacking} it means pods of namespace {own}; there are such pods in namespace {first}"))
}

fn no_namespace(cx: &Context<'_>, selector: &Selector, explain: bool) -> Dangling {
    let directory = cx.world.directory();
    let because = explain.then(|| {
        because_of_name(selector, directory)
            .or_else(|| nearest::label(selector, directory).map(|instead| instead.sentence("namespaces")))
    });
    // The home of cluster DNS is in every cluster, though hardly in anybody's folder of manifests.
    let assumed = selector.required_value(NAMESPACE_NAME_LABEL).is_some_and(|name| *name == cx.settings.dns.namespace);
    Dangling {
        field: "namespaceSelector",
        what: format!("{selector} matches no namespace; correct it or create the namespace"),
        because: because.flatten(),
        cap: if directory.names().is_empty() || assumed { Level::Audit } else { Level::Warn },
    }
}

/// The slips with names of namespaces: a name that is nearly right, and a name under a label that nobody sets.
fn because_of_name(selector: &Selector, directory: &Directory) -> Option<String> {
    if let Some(asked) = selector.required_value(NAMESPACE_NAME_LABEL) {
        let near = nearest::name_in_order(asked, directory.names())?;
        return Some(format!("{NAMESPACE_NAME_LABEL} is {near}, not {asked}: did you mean that?"));
    }
    let parts = match selector {
        Selector::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    parts.iter().find_map(|part| match part {
        Selector::Key(key, Test::In(values)) => {
            charge(values.len());
            let name = values.iter().find(|value| directory.names().binary_search(value).is_ok())?;
            Some(format!("there is a namespace {name}, and its name is in {NAMESPACE_NAME_LABEL}, not in {key}"))
        }
        _ => None,
    })
}
