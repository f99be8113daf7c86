//! The few phrases that all rules share, so that the same thing is always called the same.

use std::sync::Arc;

use crate::model::{FieldPath, ObjectRef, PodSpec, Policy, Rule};

/// How a policy is called beside others: NetworkPolicies by their name alone, which is what people call them.
pub(super) fn policy(id: &ObjectRef) -> String {
    if id.kind == "NetworkPolicy" && id.group() == "networking.k8s.io" {
        id.name.to_string()
    } else {
        format!("{} {}", id.kind, id.name)
    }
}

/// The names of policies, each once; of many only the first.
pub(super) fn policies<'a>(list: impl IntoIterator<Item = &'a Arc<Policy>>) -> String {
    let mut names: Vec<String> = list.into_iter().map(|p| policy(&p.id)).collect();
    names.sort();
    names.dedup();
    few(&names, 3, "policies")
}

/// At most `most` of them, then how many more there are.
pub(super) fn few(all: &[String], most: usize, what: &str) -> String {
    let shown: Vec<&str> = all.iter().take(most).map(String::as_str).collect();
    match all.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more {what}", shown.join(", ")),
    }
}

/// A place in a policy: `allow-dns egress[0]`.
pub(super) fn place(id: &ObjectRef, at: &FieldPath) -> String {
    format!("{} {}", policy(id), at.short())
}

/// Whether the object is one of Cilium's, whose fields have other names.
pub(super) fn is_cilium(id: &ObjectRef) -> bool {
    id.group() == "cilium.io"
}

/// A field inside a peer. Cilium's lists of peers hold selectors and blocks themselves, so that there is none.
pub(super) fn inside_peer(rule: &Rule, i: usize, field: &str) -> FieldPath {
    let peer = rule.peer_path(i);
    match (rule.peers_at, field) {
        ("from" | "to", "cidr") => peer.field("ipBlock").field("cidr"),
        ("from" | "to", field) => peer.field(field),
        ("fromCIDRSet" | "toCIDRSet", "cidr") => peer.field("cidr"),
        _ => peer,
    }
}

/// The field that says which pods a policy is for.
pub(super) fn subject_at(policy: &Policy) -> FieldPath {
    if !is_cilium(&policy.id) {
        return FieldPath::new("spec.podSelector");
    }
    // Of several specs in one object the rules know in which they stand.
    let rule = policy.ingress.first().or_else(|| policy.egress.first());
    let spec = rule.and_then(|rule| rule.at.as_str().split_once('.')).map_or("spec", |(spec, _)| spec);
    FieldPath::new(spec).field("endpointSelector")
}

/// The labels that people write; those that controllers add tell nobody anything.
pub(super) fn labels(pod: &PodSpec) -> String {
    const BY_CONTROLLERS: [&str; 4] = [
        "controller-revision-hash",
        "pod-template-generation",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    ];
    let written = pod.labels.iter().filter(|(key, _)| !BY_CONTROLLERS.contains(&&***key));
    let pairs: Vec<String> = written.map(|(k, v)| format!("{k}={v}")).collect();
    if pairs.is_empty() { "no labels".to_owned() } else { pairs.join(",") }
}
