//! The command line against a live cluster: reach, matrix and check with --cluster, as the administrator and as somebody
//! who may read less.

use std::process::Command;

use serde_json::Value;

use crate::support::{Kubectl, Suite, cases, objects, scratch, until};

cases![the_command_line_answers_from_a_cluster, what_may_not_be_read_is_said, a_server_that_is_not_there_is_said];

struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

fn portcullis(kubeconfig: &std::path::Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command = command.args(args).arg("--kubeconfig").arg(kubeconfig);
    let output = command.env_remove("HTTPS_PROXY").env_remove("https_proxy").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

/// A shop of two, in which web may ask api.
fn furnish(kubectl: &Kubectl, namespace: &str) {
    kubectl.namespace(namespace, &[]);
    kubectl.apply(&objects::baseline(namespace)).passes();
    let allow = |name, subject, rules: &str| {
        objects::policy(namespace, name, &format!("podSelector: {{matchLabels: {{app: {subject}}}}}, {rules}"))
    };
    let ports = "ports: [{port: 8080}]";
    let policies = allow(
        "web",
        "web",
        &format!("policyTypes: [Egress], egress: [{{to: [{{podSelector: {{matchLabels: {{app: api}}}}}}], {ports}}}]"),
    ) + &allow(
        "api",
        "api",
        &format!("ingress: [{{from: [{{podSelector: {{matchLabels: {{app: web}}}}}}], {ports}}}]"),
    );
    kubectl.apply(&policies).passes();
    kubectl.apply(&(objects::deployment(namespace, "web") + &objects::deployment(namespace, "api"))).passes();
    until("the pods", || {
        let pods = kubectl.get(&["-n", namespace, "pods"]).unwrap();
        if pods["items"].as_array().unwrap().len() == 2 { Ok(()) } else { Err("not all".to_owned()) }
    });
}

fn the_command_line_answers_from_a_cluster(suite: &Suite) {
    let kubectl = suite.kubectl();
    furnish(&kubectl, "live-shop");
    let ask = |args: &[&str]| portcullis(kubectl.config(), args);
    let reach = |from, to| {
        let ran = ask(&["reach", "--cluster", "--from", from, "--to", to, "--port", "8080/TCP", "-o", "json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str::<Value>(&ran.out).unwrap()
    };
    let allowed = reach("live-shop/web", "live-shop/api");
    assert_eq!(allowed["verdict"], "Allow", "{allowed:#}");
    assert_eq!(allowed["egress"]["decidedBy"][0]["policy"]["name"], "web");
    assert_eq!(reach("live-shop/api", "live-shop/web")["verdict"], "Deny");

    let matrix = ask(&["matrix", "--cluster", "--from", "live-shop/web", "--namespace", "live-shop", "-o", "csv"]);
    assert!(matrix.out.contains("live-shop/web[Deployment],live-shop/api[Deployment],TCP 8080"), "{}", matrix.out);

    let dir = scratch("live");
    let file = dir.join("closed.yaml");
    let closed = objects::policy("live-shop", "api", "podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]");
    std::fs::write(&file, &closed).unwrap();
    let changed = ask(&["matrix", file.to_str().unwrap(), "--against-cluster", "--namespace", "live-shop"]);
    assert!(
        changed.out.contains("- live-shop/web[Deployment]   live-shop/api[Deployment]   TCP 8080"),
        "{}",
        changed.out
    );
    assert_eq!(changed.out.lines().count(), 2, "{}", changed.out);

    std::fs::write(&file, objects::namespace("live-open", &[]) + &objects::deployment("live-open", "web")).unwrap();
    let checked = ask(&["check", file.to_str().unwrap(), "--against-cluster"]);
    assert_eq!(checked.code, Some(1), "{} {}", checked.out, checked.err);
    assert!(checked.out.contains("missing-default-deny") && checked.out.contains("live-open"), "{}", checked.out);
    assert!(!checked.out.contains("live-shop"), "only what the files change is judged: {}", checked.out);
}

/// The administrator's kubeconfig, speaking as somebody else.
fn config_of(kubectl: &Kubectl, user: &str) -> std::path::PathBuf {
    let raw = kubectl.run(&["config", "view", "--raw", "-o", "json"]).passes();
    let mut config: Value = serde_json::from_str(&raw.stdout).unwrap();
    config["users"][0]["user"]["as"] = user.into();
    let file = scratch("live").join(format!("{user}.json"));
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

fn what_may_not_be_read_is_said(suite: &Suite) {
    let kubectl = suite.kubectl();
    furnish(&kubectl, "live-half");
    let config = config_of(&kubectl, "live-reader");
    let ask = || portcullis(&config, &["matrix", "--cluster", "--namespace", "live-half", "-o", "csv"]);
    let nothing = ask();
    assert_eq!(nothing.code, Some(2), "{}", nothing.out);
    assert!(nothing.err.contains("without Namespace no answer would be true"), "{}", nothing.err);
    kubectl
        .run(&[
            "create",
            "clusterrole",
            "live-reader",
            "--verb=list",
            "--resource=namespaces,pods,networkpolicies.networking.k8s.io",
        ])
        .passes();
    kubectl
        .run(&["create", "clusterrolebinding", "live-reader", "--clusterrole=live-reader", "--user=live-reader"])
        .passes();
    // Authorizers learn of a new binding a moment later.
    until("the new role", || if ask().code == Some(0) { Ok(()) } else { Err("not yet".to_owned()) });
    let part = ask();
    assert!(part.err.contains("note: Deployment could not be read"), "{}", part.err);
    assert!(part.out.contains("live-half/web[Deployment],live-half/api[Deployment],TCP 8080"), "{}", part.out);
}

fn a_server_that_is_not_there_is_said(suite: &Suite) {
    let kubectl = suite.kubectl();
    let raw = kubectl.run(&["config", "view", "--raw", "-o", "json"]).passes();
    let mut config: Value = serde_json::from_str(&raw.stdout).unwrap();
    // Nothing listens on the discard port.
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9".into();
    let file = scratch("live").join("nobody.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let ran = portcullis(&file, &["matrix", "--cluster"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("127.0.0.1:9") && ran.err.contains("no answer from the API server"), "{}", ran.err);
    let ran = portcullis(&file, &["matrix", "--cluster", "--context", "no-such-context"]);
    assert!(ran.err.contains("no-such-context"), "{}", ran.err);
}
