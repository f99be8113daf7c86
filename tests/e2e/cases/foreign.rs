//! Policies of kinds that a cluster may be without: nothing is asked about them until their definition is there, and then
//! they count without anybody restarting anything.

use std::time::Duration;

use crate::support::foreign::CLUSTER_NETWORK_POLICIES;
use crate::support::{Kubectl, Outcome, Suite, cases, objects, until, until_within};

cases![a_kind_that_is_installed_later_is_followed_and_judged];

fn policy(name: &str, tier: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
         tier: {tier}\n  priority: 10\n  subject: {{namespaces: {{matchLabels: {{kubernetes.io/metadata.name: foreign}}}}}}\n{rules}"
    )
}

/// Denies by default, with a way to DNS.
fn default_deny() -> String {
    policy(
        "foreign-default-deny",
        "Baseline",
        "  ingress: [{action: Deny, from: [{namespaces: {}}]}]\n  egress:\n  - action: Accept\n    to: [{pods: {namespaceSelector: \
         {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}}]\n    \
         protocols: [{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]\n  \
         - {action: Deny, to: [{networks: [\"0.0.0.0/0\", \"::/0\"]}]}\n",
    )
}

fn try_out(kubectl: &Kubectl, yaml: &str) -> Outcome {
    kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], yaml)
}

fn a_kind_that_is_installed_later_is_followed_and_judged(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("foreign", &[]);
    let web = objects::deployment("foreign", "web");
    try_out(&kubectl, &web).denied("missing-default-deny", "no policy isolates pods for Ingress");

    // Installing the definition is nobody's business, and applies of other kinds go on as before.
    CLUSTER_NETWORK_POLICIES.install(&kubectl);
    kubectl.apply(&objects::baseline("foreign")).passes();
    kubectl.run(&["-n", "foreign", "delete", "networkpolicies", "--all"]).passes();

    // What cannot be read in full is said, from the first object on; what opens the world is refused.
    let unreadable = policy("foreign-odd", "Baseline", "  ingress: [{action: Deny, from: [{services: {}}]}]\n");
    let said = until("the API server asks about the new kind", || {
        let outcome = try_out(&kubectl, &unreadable);
        if outcome.ok && !outcome.warnings().is_empty() { Ok(outcome) } else { Err(outcome.to_string()) }
    });
    said.warns("not-understood", "spec.ingress[0].from[0].services");
    let open = policy("foreign-open", "Admin", "  egress: [{action: Accept, to: [{networks: [\"0.0.0.0/0\"]}]}]\n");
    try_out(&kubectl, &open).denied("open-cidr", "spec.egress[0].to[0]");

    // The cure is an administrator's policy: once the watch has it, the workload passes.
    kubectl.apply(&default_deny()).passes();
    until_within(Duration::from_secs(90), "the watch has found the kind", || {
        let outcome = try_out(&kubectl, &web);
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
    kubectl.apply(&web).passes_silently();
    until("the pods are there", || {
        let pods = kubectl.get(&["-n", "foreign", "pods"]).unwrap();
        if pods["items"].as_array().unwrap().is_empty() { Err("none".to_owned()) } else { Ok(()) }
    });

    // Denying DNS above everything, and taking the last default deny away, are refused while pods run there.
    let no_dns = policy(
        "foreign-no-dns",
        "Admin",
        "  egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{udp: {destinationPort: {number: 53}}}]}]\n",
    );
    until("the running pods are known", || {
        let outcome = try_out(&kubectl, &no_dns);
        if outcome.is_denied() { Ok(outcome) } else { Err(outcome.to_string()) }
    })
    .denied("blocked-dns", "pods of namespace foreign");
    let delete = ["delete", "clusternetworkpolicy", "foreign-default-deny"];
    kubectl.run(&delete).denied("missing-default-deny", "namespace foreign");
    kubectl.run(&["-n", "foreign", "delete", "deployment", "web"]).passes_silently();
    kubectl.run(&["-n", "foreign", "delete", "pods", "--all", "--now"]).passes();
    until("nothing runs there any more", || {
        let outcome = kubectl.run(&delete);
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
}
