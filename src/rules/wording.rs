//! The few phrases that all rules share, so that the same thing is always called the same.

use std::sync::Arc;

use crate::model::{FieldPath, IpSet, ObjectRef, PodSpec, Policy, Str};

/// How a policy is called beside others: NetworkPolicies by their name alone, which is what people call them. One that is
/// to get a generated name has none while it is judged.
pub(super) fn policy(id: &ObjectRef) -> String {
    match (id.kind == "NetworkPolicy" && id.group() == "networking.k8s.io", id.name.is_empty()) {
        (true, false) => id.name.to_string(),
        (true, true) => "a policy without a name yet".to_owned(),
        (false, false) => format!("{} {}", id.kind, id.name),
        (false, true) => format!("a {} without a name yet", id.kind),
    }
}

/// The names of policies, each once; of many only the first.
pub(super) fn policies<'a>(list: impl IntoIterator<Item = &'a Arc<Policy>>) -> String {
    let mut names: Vec<String> = list.into_iter().map(|p| policy(&p.id)).collect();
    names.sort();
    names.dedup();
    few(&names, 3, "policies")
}

/// Addresses as people would write them: of many ranges what they leave out, where that is less.
pub(super) fn addresses(set: &IpSet) -> String {
    let left_out = set.complement();
    let less = left_out.to_cidrs().len() < set.to_cidrs().len();
    if less && !left_out.is_empty() { format!("all addresses but {}", left_out.summary(4)) } else { set.summary(4) }
}

/// At most `most` of them, then how many more there are.
pub(super) fn few(all: &[String], most: usize, what: &str) -> String {
    let shown: Vec<&str> = all.iter().take(most).map(String::as_str).collect();
    match all.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more {what}", shown.join(", ")),
    }
}

/// A place in a policy: `allow-dns egress[0]`, `egress[0] of GlobalNetworkPolicy allow-dns`.
pub(super) fn place(id: &ObjectRef, at: &FieldPath) -> String {
    let (policy, at, by_name) = (policy(id), at.short(), *policy(id) == *id.name);
    if by_name { format!("{policy} {at}") } else { format!("{at} of {policy}") }
}

/// The labels that people write; those that controllers add tell nobody anything.
pub(super) fn labels(pod: &PodSpec) -> String {
    let pairs: Vec<String> = written_labels(pod).map(|(k, v)| format!("{k}={v}")).collect();
    if pairs.is_empty() { "no labels".to_owned() } else { pairs.join(",") }
}

/// The same as pairs.
pub(super) fn written_labels(pod: &PodSpec) -> impl Iterator<Item = (&Str, &Str)> {
    const BY_CONTROLLERS: [&str; 4] = [
        "controller-revision-hash",
        "pod-template-generation",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    ];
    pod.labels.iter().filter(|(key, _)| !BY_CONTROLLERS.contains(&&***key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_whose_name_is_still_to_be_made_is_called_so() {
        let id = |kind, group, name| ObjectRef::namespaced(group, kind, "shop", name);
        let (plain, cilium) = (("NetworkPolicy", "networking.k8s.io/v1"), ("CiliumNetworkPolicy", "cilium.io/v2"));
        assert_eq!(policy(&id(plain.0, plain.1, "dd")), "dd");
        assert_eq!(policy(&id(plain.0, plain.1, "")), "a policy without a name yet");
        assert_eq!(policy(&id(cilium.0, cilium.1, "")), "a CiliumNetworkPolicy without a name yet");
        let at = FieldPath::new("spec.egress[0]");
        assert_eq!(place(&id(plain.0, plain.1, "dd"), &at), "dd egress[0]");
        assert_eq!(place(&id(plain.0, plain.1, ""), &at), "egress[0] of a policy without a name yet");
    }
}
