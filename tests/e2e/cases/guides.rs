//! Two public guides on micro-segmentation, followed step by step, and the mistakes people make while following them.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Kubectl, Suite, cases, objects, repository, until};

cases![
    first_guide_as_published,
    first_guide_where_udp_is_enough,
    second_guide_as_published,
    default_deny_forgotten,
    dns_rule_forgotten,
    except_removed,
    dns_namespace_misspelt,
    dns_label_misspelt,
    deny_before_allow_under_running_pods,
];

const FIRST: [&str; 4] = ["myapp-staging", "data-layer", "traefik-system", "ai"];
const SECOND: [&str; 4] = ["production", "database", "monitoring", "ingress-nginx"];

/// A file of a guide, word for word.
fn published(guide: &str, file: &str) -> String {
    std::fs::read_to_string(repository().join("tests/guides").join(guide).join(file)).unwrap()
}

/// A file of a guide in namespaces of its own, so that cases do not meet.
fn documents(guide: &str, file: &str, suffix: &str) -> Vec<Value> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(&published(guide, file)).unwrap();
    for document in &mut documents {
        rename(document, suffix);
    }
    documents
}

fn rename(value: &mut Value, suffix: &str) {
    match value {
        Value::String(text) if FIRST.iter().chain(&SECOND).any(|name| name == text) => {
            *text = format!("{text}-{suffix}");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, suffix)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, suffix)),
        _ => {}
    }
}

fn list(items: impl IntoIterator<Item = Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>()}).to_string()
}

fn of_kind(documents: &[Value], kind: &str) -> Vec<Value> {
    documents.iter().filter(|document| document["kind"] == kind).cloned().collect()
}

fn named(documents: &[Value], name: &str) -> Value {
    let found = documents.iter().find(|d| d["metadata"]["name"] == name && d["kind"] != "Namespace");
    found.unwrap_or_else(|| panic!("no {name} in the guide")).clone()
}

/// `portcullis generate baseline` for namespaces that a guide leaves open.
fn baseline(namespaces: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.args(["generate", "baseline"]).args(namespaces).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The namespaces of the first guide in a copy, with the baseline in all but the application's.
fn first_guide(kubectl: &Kubectl, suffix: &str) -> (String, Vec<Value>) {
    let workloads = documents("first", "workloads.yaml", suffix);
    kubectl.apply(&list(of_kind(&workloads, "Namespace"))).passes();
    (format!("myapp-staging-{suffix}"), workloads)
}

fn first_guide_as_published(suite: &Suite) {
    let kubectl = suite.kubectl();
    let workloads: Vec<Value> = serde_saphyr::from_multiple(&published("first", "workloads.yaml")).unwrap();
    kubectl.apply(&list(of_kind(&workloads, "Namespace"))).passes();
    for file in [
        "default-deny-ingress.yaml",
        "default-deny-egress.yaml",
        "myapp-api-network-policy.yaml",
        "myapp-workers-network-policy.yaml",
        "my-web-client-network-policy.yaml",
        "postgresql-network-policy.yaml",
        "nats-network-policy.yaml",
        "allow-external-apis.yaml",
    ] {
        kubectl.apply(&published("first", file)).passes();
    }
    kubectl.apply(&baseline(&FIRST[1..].iter().map(|&name| name.to_owned()).collect::<Vec<_>>())).passes();
    // The guide lets these two ask DNS over UDP only: long answers would fail, and Portcullis says so.
    let udp_only = ["myapp-workers", "my-web-client"].map(|name| named(&workloads, name).to_string());
    for workload in &udp_only {
        let denial = kubectl.apply(workload).denied("blocked-dns", "cluster DNS cannot be reached on TCP 53");
        assert!(denial.stderr.contains("UDP 53 is allowed by"), "{denial}");
    }
    // One cure is enough for both: it lets every pod that the default deny isolates ask DNS.
    kubectl.denied_then_cured(&udp_only[0], "blocked-dns", "TCP 53");
    for workload in workloads.iter().filter(|w| w["kind"] != "Namespace") {
        kubectl.apply(&workload.to_string()).passes();
    }
}

fn first_guide_where_udp_is_enough(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (namespace, workloads) = first_guide(&kubectl, "udp");
    kubectl.apply(&format!(
        "apiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {{name: udp-is-enough}}\nspec:\n  \
         namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}\n  dns: {{protocols: [UDP]}}\n"
    )).passes();
    for file in [
        "default-deny-all.yaml",
        "myapp-api-network-policy.yaml",
        "myapp-workers-network-policy.yaml",
        "my-web-client-network-policy.yaml",
        "allow-external-apis.yaml",
    ] {
        kubectl.apply(&list(documents("first", file, "udp"))).passes();
    }
    let own = |w: &&Value| w["kind"] != "Namespace" && w["metadata"]["namespace"] == namespace.as_str();
    for workload in workloads.iter().filter(own) {
        until("the house rules count", || {
            let outcome = kubectl.apply(&workload.to_string());
            if outcome.ok { Ok(outcome) } else { Err(outcome.to_string()) }
        });
    }
}

fn second_guide_as_published(suite: &Suite) {
    let kubectl = suite.kubectl();
    let workloads: Vec<Value> = serde_saphyr::from_multiple(&published("second", "workloads.yaml")).unwrap();
    kubectl.apply(&list(of_kind(&workloads, "Namespace"))).passes();
    kubectl.apply(&published("second", "complete-app-policies.yaml")).passes();
    for tier in ["frontend", "backend", "database"] {
        kubectl.apply(&named(&workloads, tier).to_string()).passes();
    }
    let tiers = kubectl.get(&["-n", "production", "deployments,statefulsets"]).unwrap();
    assert_eq!(tiers["items"].as_array().unwrap().len(), 3);
}

fn default_deny_forgotten(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (namespace, workloads) = first_guide(&kubectl, "no-deny");
    kubectl.apply(&list(documents("first", "myapp-api-network-policy.yaml", "no-deny"))).passes();
    let api = named(&workloads, "myapp-api").to_string();
    let because = format!("no default deny for Ingress in namespace {namespace}");
    let denial = kubectl.denied_then_cured(&api, "missing-default-deny", &because);
    assert!(denial.stderr.contains("no default deny for Egress"), "{denial}");
}

/// The API policy of the first guide with its DNS rule changed.
fn with_dns_rule(suffix: &str, change: impl FnOnce(&mut Vec<Value>)) -> Value {
    let mut policy = documents("first", "myapp-api-network-policy.yaml", suffix).remove(0);
    let rules = policy["spec"]["egress"].as_array_mut().unwrap();
    assert_eq!(rules.last().unwrap()["ports"][0]["port"], 53, "the guide's last rule is the one for DNS");
    change(rules);
    policy
}

fn dns_rule_forgotten(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (_, workloads) = first_guide(&kubectl, "no-dns");
    kubectl.apply(&list(documents("first", "default-deny-all.yaml", "no-dns"))).passes();
    let policy = with_dns_rule("no-dns", |rules| drop(rules.pop()));
    kubectl.apply(&policy.to_string()).passes();
    let api = named(&workloads, "myapp-api").to_string();
    let denial = kubectl.denied_then_cured(&api, "blocked-dns", "cluster DNS cannot be reached on UDP 53 and TCP 53");
    assert!(denial.stderr.contains("myapp-api-allow"), "who isolates must be named:\n{denial}");
}

fn except_removed(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (namespace, _) = first_guide(&kubectl, "no-except");
    let mut policy = documents("first", "allow-external-apis.yaml", "no-except").remove(0);
    policy["spec"]["egress"][0]["to"][0]["ipBlock"].as_object_mut().unwrap().remove("except");
    let denial = kubectl.denied_then_replaced(&policy.to_string(), "open-cidr", "10.0.0.0/8");
    assert!(denial.stderr.contains("at       spec.egress[0].to[0]"), "{denial}");
    let stored = kubectl.get(&["-n", &namespace, "networkpolicy", "allow-external-apis"]).unwrap();
    let except = &stored["spec"]["egress"][0]["to"][0]["ipBlock"]["except"];
    assert_eq!(*except, json!(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]));
}

fn dns_namespace_misspelt(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (_, workloads) = first_guide(&kubectl, "sytem");
    kubectl.apply(&list(documents("first", "default-deny-all.yaml", "sytem"))).passes();
    let policy = with_dns_rule("sytem", |rules| {
        let labels = &mut rules.last_mut().unwrap()["to"][0]["namespaceSelector"]["matchLabels"];
        labels["kubernetes.io/metadata.name"] = "kube-sytem".into();
    });
    let warned = kubectl.apply(&policy.to_string()).warns("dangling-peer", "kube-sytem matches no name");
    warned.warns("dangling-peer", "kube-system");
    let api = named(&workloads, "myapp-api").to_string();
    let denial = kubectl.denied_then_cured(&api, "blocked-dns", "cluster DNS cannot be reached");
    assert!(denial.stderr.contains("kube-sytem"), "the misspelt name must be shown:\n{denial}");
}

fn dns_label_misspelt(suite: &Suite) {
    let kubectl = suite.kubectl();
    let workloads = documents("second", "workloads.yaml", "kubedns");
    kubectl.apply(&list(of_kind(&workloads, "Namespace"))).passes();
    kubectl.apply(&list(documents("second", "default-deny-all.yaml", "kubedns"))).passes();
    let mut policy = documents("second", "allow-dns.yaml", "kubedns").remove(0);
    policy["spec"]["egress"][0]["to"][0]["podSelector"]["matchLabels"]["k8s-app"] = "kubedns".into();
    kubectl
        .apply(&policy.to_string())
        .warns("dangling-peer", "k8s-app=kubedns matches no pod of namespace kube-system");
    let frontend = named(&workloads, "frontend").to_string();
    let denial = kubectl.apply(&frontend).denied("blocked-dns", "kubedns");
    // The cure has the name of the guide's own policy, and so puts it right.
    kubectl.paste(&denial.cure().expect("a cure")).passes();
    kubectl.apply(&frontend).passes();
}

fn deny_before_allow_under_running_pods(suite: &Suite) {
    let kubectl = suite.kubectl();
    let namespace = "deny-first";
    kubectl.namespace(namespace, &[("portcullis.dev/enforce", "none")]);
    kubectl.apply(&objects::deployment(namespace, "web")).passes();
    until("its pod", || {
        if kubectl.list(&["-n", namespace, "pods"]).is_empty() { Err("none yet".to_owned()) } else { Ok(()) }
    });
    until("the pod is seen", || {
        let outcome =
            kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &objects::default_deny(namespace));
        if outcome.warnings().iter().any(|w| w.starts_with("severed-pods: ")) {
            Ok(())
        } else {
            Err(outcome.to_string())
        }
    });
    kubectl.apply(&objects::default_deny(namespace)).warns("severed-pods", "isolated for Ingress with nothing allowed");
    // What allows may come later all the same.
    kubectl.apply(&objects::allow_dns(namespace)).passes();
}
