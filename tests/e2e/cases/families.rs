//! Blocked, warned and cured in each family of policies, and namespaces whose protection comes from two of them together.

use crate::support::foreign::{ADMIN_NETWORK_POLICIES, CALICO, CILIUM};
use crate::support::{Kubectl, Outcome, Suite, cases, objects, until};

cases![
    cilium_policies_block_warn_and_cure,
    calico_policies_block_warn_and_cure,
    admin_network_policies_block_and_warn,
    ciliums_default_deny_and_kubernetes_way_to_dns_are_enough_together,
];

const CILIUM_DENY: &str = "{endpointSelector: {}, ingress: [{}], egress: [{}]}";
const TO_DNS: &str = "toEndpoints: [{matchLabels: {\"k8s:io.kubernetes.pod.namespace\": kube-system, k8s-app: kube-dns}}], \
                      toPorts: [{ports: [{port: \"53\", protocol: UDP}, {port: \"53\", protocol: TCP}]";

fn object(api_version: &str, kind: &str, place: &str, name: &str, spec: &str) -> String {
    let namespace = if place.is_empty() { String::new() } else { format!(", namespace: {place}") };
    format!("---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}{namespace}}}\nspec: {spec}\n")
}

fn cilium(namespace: &str, name: &str, spec: &str) -> String {
    object("cilium.io/v2", "CiliumNetworkPolicy", namespace, name, spec)
}

fn try_out(kubectl: &Kubectl, yaml: &str) -> Outcome {
    kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], yaml)
}

/// The webhook's answer to a kind that has just been defined: for some moments API servers do not ask about it.
#[track_caller]
fn once_asked(kubectl: &Kubectl, yaml: &str) -> Outcome {
    until("the API server asks about the new kind", || {
        let outcome = try_out(kubectl, yaml);
        if outcome.is_denied() { Ok(outcome) } else { Err(outcome.to_string()) }
    })
}

/// The verdict over a workload once the watch has seen the policies before it.
#[track_caller]
fn once_seen(kubectl: &Kubectl, yaml: &str, holds: impl Fn(&Outcome) -> bool) -> Outcome {
    until("the policies count", || {
        let outcome = try_out(kubectl, yaml);
        if holds(&outcome) { Ok(outcome) } else { Err(outcome.to_string()) }
    })
}

fn cilium_policies_block_warn_and_cure(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("family-cilium", &[]);
    CILIUM.install(&kubectl);
    let web = objects::deployment("family-cilium", "web");

    // The whole IPv4 Internet with what is private in it; in place of it the policy that is printed.
    let world = "{endpointSelector: {matchLabels: {app: web}}, egress: [{toCIDR: [\"0.0.0.0/0\"]}]}";
    let world = cilium("family-cilium", "world", world);
    once_asked(&kubectl, &world);
    let denial = kubectl.denied_then_replaced(&world, "open-cidr", "spec.egress[0].toCIDR[0]");
    assert!(denial.cure().unwrap().contains("kind: CiliumNetworkPolicy"), "in the kind that was sent: {denial}");
    kubectl.run(&["-n", "family-cilium", "delete", "ciliumnetworkpolicy", "world"]).passes();

    // A name of the DNS that Cilium never sees resolved passes with a warning.
    let name = "{endpointSelector: {matchLabels: {app: web}}, egress: [{toFQDNs: [{matchName: pay.example.com}]}]}";
    try_out(&kubectl, &cilium("family-cilium", "by-name", name)).warns("fqdn-without-dns", "pay.example.com");
    let both = cilium("family-cilium", "odd", "{endpointSelector: {}, egress: [{toMoon: [{}]}]}");
    try_out(&kubectl, &both).warns("not-understood", "toMoon");

    // A default deny of Cilium's own, and then the way to DNS in the same kind.
    kubectl.apply(&cilium("family-cilium", "default-deny", CILIUM_DENY)).passes();
    once_seen(&kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
    let denial = kubectl.apply(&web).denied("blocked-dns", "CiliumNetworkPolicy default-deny");
    let cure = denial.cure().expect("a cure is offered");
    assert!(cure.contains("kind: CiliumNetworkPolicy"), "in the kind that the namespace uses: {denial}");
    kubectl.paste(&cure).passes();
    once_seen(&kubectl, &web, |outcome| outcome.ok);
    kubectl.apply(&web).passes();
    kubectl.until_populated("family-cilium");

    // Denied above it for the whole cluster, while pods run.
    let selector = "{matchLabels: {\"k8s:io.kubernetes.pod.namespace\": family-cilium}}";
    let spec = format!("{{endpointSelector: {selector}, egressDeny: [{{{TO_DNS}}}]}}]}}");
    let above = object("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "", "family-cilium-no-dns", &spec);
    once_asked(&kubectl, &above).denied("blocked-dns", "pods of namespace family-cilium");
}

fn ciliums_default_deny_and_kubernetes_way_to_dns_are_enough_together(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("family-both", &[]);
    CILIUM.install(&kubectl);
    let web = objects::deployment("family-both", "web");
    try_out(&kubectl, &web).denied("missing-default-deny", "no policy isolates pods for Ingress");
    kubectl.apply(&cilium("family-both", "default-deny", CILIUM_DENY)).passes();
    once_seen(&kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
    kubectl.apply(&objects::allow_dns("family-both")).passes();
    once_seen(&kubectl, &web, |outcome| outcome.ok);
    kubectl.apply(&web).passes_silently();
    kubectl.until_populated("family-both");
    // Neither may go while pods rest on it.
    let delete = |kind, name| kubectl.run(&["-n", "family-both", "delete", kind, name]);
    delete("ciliumnetworkpolicy", "default-deny").denied("missing-default-deny", "namespace family-both");
    delete("networkpolicy", "allow-dns").denied("blocked-dns", "pods of namespace family-both");
}

fn calico_policies_block_warn_and_cure(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("family-calico", &[]);
    CALICO.install(&kubectl);
    let policy = |name: &str, spec: &str| object("projectcalico.org/v3", "NetworkPolicy", "family-calico", name, spec);
    let global = |name: &str, spec: &str| object("projectcalico.org/v3", "GlobalNetworkPolicy", "", name, spec);
    let here = "namespaceSelector: projectcalico.org/name == 'family-calico'";
    let web = objects::deployment("family-calico", "web");

    let world =
        "{selector: app == 'web', types: [Egress], egress: [{action: Allow, destination: {nets: [\"0.0.0.0/0\"]}}]}";
    let world = policy("world", world);
    once_asked(&kubectl, &world);
    let denial = kubectl.denied_then_replaced(&world, "open-cidr", "spec.egress[0].destination.nets[0]");
    assert!(denial.cure().unwrap().contains("notNets:"), "in the kind that was sent: {denial}");
    // A change of it is answered without what the API server has added.
    let wider = kubectl.apply(&world).denied("open-cidr", "spec.egress[0].destination.nets[0]");
    assert!(!wider.cure().unwrap().contains("managedFields"), "{wider}");
    kubectl.run(&["-n", "family-calico", "delete", "networkpolicies.projectcalico.org", "world"]).passes();
    let slip = policy("slip", "{selector: \"app = 'web'\", types: [Ingress]}");
    try_out(&kubectl, &slip).warns("not-understood", "column 5");

    // Only staged, it protects nobody; the same in force does.
    let deny = "{selector: all(), types: [Ingress, Egress]}";
    let staged = object("projectcalico.org/v3", "StagedNetworkPolicy", "family-calico", "default-deny", deny);
    kubectl.apply(&staged).passes();
    try_out(&kubectl, &web).denied("missing-default-deny", "no policy isolates pods for Ingress");
    kubectl.apply(&policy("default-deny", deny)).passes();
    once_seen(&kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
    let denial = kubectl.apply(&web).denied("blocked-dns", "default-deny");
    let cure = denial.cure().expect("a cure is offered");
    assert!(cure.contains("apiVersion: projectcalico.org/v3"), "in the kind that the namespace uses: {denial}");
    kubectl.paste(&cure).passes();
    once_seen(&kubectl, &web, |outcome| outcome.ok);
    kubectl.apply(&web).passes();
    kubectl.until_populated("family-calico");

    // Ordered before all of it, for the whole cluster.
    let no_dns = format!(
        "{{{here}, order: 1, types: [Egress], egress: [{{action: Deny, protocol: UDP, destination: {{ports: [53]}}}}]}}"
    );
    once_asked(&kubectl, &global("family-calico-no-dns", &no_dns))
        .denied("blocked-dns", "pods of namespace family-calico");
}

fn admin_network_policies_block_and_warn(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("family-admin", &[]);
    ADMIN_NETWORK_POLICIES.install(&kubectl);
    let subject = "subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: family-admin}}}";
    let admin = |name: &str, egress: &str| {
        let spec = format!("{{priority: 7, {subject}, egress: [{egress}]}}");
        object("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", "", name, &spec)
    };
    let world = admin("family-admin-world", "{action: Allow, to: [{networks: [\"0.0.0.0/0\"]}]}");
    once_asked(&kubectl, &world).denied("open-cidr", "spec.egress[0].to[0]");
    let odd = admin("family-admin-odd", "{action: Explode, to: [{namespaces: {}}]}");
    try_out(&kubectl, &odd).warns("not-understood", "spec.egress[0].action");

    // The baseline isolates; DNS is lacking until an administrator's policy lets it through.
    let web = objects::deployment("family-admin", "web");
    try_out(&kubectl, &web).denied("missing-default-deny", "no policy isolates pods for Ingress");
    let deny = format!(
        "{{{subject}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}], egress: [{{action: Deny, to: [{{networks: [\"0.0.0.0/0\", \"::/0\"]}}, {{namespaces: {{}}}}]}}]}}"
    );
    kubectl
        .apply(&object("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy", "", "default", &deny))
        .passes();
    once_seen(&kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
    let dns = "{action: Allow, to: [{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}}], ports: [{portNumber: {protocol: UDP, port: 53}}, {portNumber: {protocol: TCP, port: 53}}]}";
    kubectl.apply(&admin("family-admin-dns", dns)).passes();
    once_seen(&kubectl, &web, |outcome| outcome.ok);
}
