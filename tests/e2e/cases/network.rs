//! What decides besides policies: Cilium's configuration, and the plugin that nodes report.

use std::path::Path;
use std::process::Command;

use crate::support::foreign::CILIUM;
use crate::support::{Gate, Kubectl, Outcome, Settings, Suite, cases, objects, until};

cases![services_are_known_while_a_policy_names_them; alone: ciliums_configuration_counts_while_it_is_there, the_plugin_that_nodes_report_is_known];

fn try_out(kubectl: &Kubectl, yaml: &str) -> Outcome {
    kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], yaml)
}

#[track_caller]
fn once(what: &str, kubectl: &Kubectl, yaml: &str, holds: impl Fn(&Outcome) -> bool) -> Outcome {
    until(what, || {
        let outcome = try_out(kubectl, yaml);
        if holds(&outcome) { Ok(outcome) } else { Err(outcome.to_string()) }
    })
}

/// What the command line says, with its notes.
fn portcullis(kubeconfig: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command = command.args(args).arg("--kubeconfig").arg(kubeconfig);
    let output = command.env_remove("HTTPS_PROXY").env_remove("https_proxy").output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn configure(kubectl: &Kubectl, mode: &str) {
    let config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\n";
    kubectl.apply(&format!("{config}data: {{enable-policy: {mode}, cluster-name: default}}\n")).passes();
}

fn services_are_known_while_a_policy_names_them(suite: &Suite) {
    let kubectl = suite.kubectl();
    CILIUM.install(&kubectl);
    kubectl.namespace("naming", &[]);
    let policy = |name: &str, spec: &str| {
        let head = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n";
        format!("{head}metadata: {{name: {name}, namespace: naming}}\nspec: {{endpointSelector: {{}}, {spec}}}\n")
    };
    kubectl.apply(&policy("deny", "ingress: [{}], egress: [{}]")).passes();
    let dns = "egress: [{toServices: [{k8sService: {serviceName: dns-of-naming, namespace: kube-system}}]}]";
    kubectl.apply(&policy("to-dns", dns)).passes();
    let web = objects::deployment("naming", "web");
    once("the policies", &kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);

    // The Service leads to the DNS pods, and so does the policy as soon as there is one.
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: dns-of-naming, namespace: kube-system}\n\
                   spec: {selector: {k8s-app: kube-dns}, ports: [{port: 53, protocol: UDP}]}\n";
    kubectl.apply(service).passes();
    once("the Service", &kubectl, &web, |outcome| outcome.ok);
    kubectl.run(&["-n", "kube-system", "delete", "service", "dns-of-naming"]).passes();
    once("no Service", &kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
}

fn ciliums_configuration_counts_while_it_is_there(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("configured", &[]);
    let web = objects::deployment("configured", "web");
    try_out(&kubectl, &web).denied("missing-default-deny", "no policy isolates pods for Ingress");

    // Without any policy every pod is isolated, those of DNS as well, and what is missing is the way there.
    configure(&kubectl, "always");
    once("always", &kubectl, &web, |outcome| outcome.rules() == ["blocked-dns"]);
    let dns =
        "podSelector: {matchLabels: {k8s-app: kube-dns}}, ingress: [{ports: [{port: 53}, {port: 53, protocol: UDP}]}]";
    kubectl.apply(&(objects::allow_dns("configured") + &objects::policy("kube-system", "dns", dns))).passes();
    once("the way to DNS", &kubectl, &web, |outcome| outcome.ok);
    kubectl.apply(&web).passes_silently();
    let ask = ["reach", "--cluster", "--from", "world", "--to", "configured/web", "--port", "8080/TCP"];
    let told = portcullis(kubectl.config(), &ask);
    assert!(told.contains("ConfigMap kube-system/cilium-config isolates it (enable-policy: always)"), "{told}");

    // Whoever turns it back has the finding back, without anybody restarting anything.
    configure(&kubectl, "default");
    let other = objects::deployment("configured", "other");
    once("default", &kubectl, &other, Outcome::is_denied).denied("missing-default-deny", "Ingress");
    configure(&kubectl, "never");
    let deny = objects::default_deny("configured");
    let never = once("never", &kubectl, &deny, |outcome| outcome.ok && outcome.stderr.contains("unenforced"));
    never.warns("unenforced", "Cilium's enable-policy is never; set it to default");
    kubectl.run(&["-n", "kube-system", "delete", "configmap", "cilium-config"]).passes();
    once("nothing is said", &kubectl, &deny, |outcome| outcome.ok && !outcome.stderr.contains("unenforced"));
    kubectl.run(&["-n", "kube-system", "delete", "networkpolicy", "dns"]).passes();
    kubectl.run(&["delete", "namespace", "configured", "--wait=false"]).passes();
}

fn the_plugin_that_nodes_report_is_known(suite: &Suite) {
    let kubectl = suite.kubectl();
    CILIUM.install(&kubectl);
    kubectl
        .apply("---\napiVersion: v1\nkind: Node\nmetadata: {name: reporting}\nspec: {unschedulable: true}\n")
        .passes();
    let condition = "{\"status\": {\"conditions\": [{\"type\": \"NetworkUnavailable\", \"status\": \"False\", \"reason\": \"CalicoIsUp\"}]}}";
    kubectl.run(&["patch", "node", "reporting", "--subresource=status", "--type=merge", "-p", condition]).passes();
    let said = "Calico, by the condition NetworkUnavailable (CalicoIsUp) of node reporting";
    let told = portcullis(kubectl.config(), &["matrix", "--cluster", "--namespace", "kube-system"]);
    assert!(told.contains(&format!("note: what enforces policies: {said}")), "{told}");

    // The webhook looks when it starts, with nothing but the chart's permissions.
    let mut gate = Gate::install(suite.plane(), Settings { name: "nodes", ..Settings::default() });
    kubectl.namespace("reported", &gate.labels());
    let policy = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: own, namespace: reported}\n\
                  spec: {endpointSelector: {}, ingress: [{}], egress: [{}]}\n";
    let warned = once("the plugin is known", &kubectl, policy, |o| o.ok && o.stderr.contains("unenforced"));
    warned.warns("unenforced", "Calico does not carry out a CiliumNetworkPolicy");
    // Once a second it is looked whether there is news to log.
    until("the line in the log", || {
        if gate.log().contains(&format!("\"network\":\"{said}\"")) { Ok(()) } else { Err(gate.log()) }
    });
    gate.kill();
    kubectl.run(&["delete", "validatingwebhookconfiguration", "nodes"]).passes();
    kubectl.run(&["delete", "node", "reporting"]).passes();
}
