//! Block, warn, audit; create, update, delete: what is decided, what kubectl shows, and what the API server stores.

use serde_json::Value;

use crate::support::{Gate, Kubectl, Settings, Suite, cases, objects, until};

cases![
    a_denial_shows_its_reason_and_a_cure_that_works,
    dry_run_and_server_side_apply_are_judged_alike,
    warn_mode_lets_everything_pass_with_a_warning,
    audit_mode_is_silent_and_leaves_its_record,
    an_old_violation_never_blocks_the_way_out,
    a_label_change_that_loses_dns_is_denied,
    the_last_default_deny_stays_while_there_are_pods,
    deleting_a_workload_always_passes,
];

/// Waits until a namespace has this many pods, and until the gate may have seen them.
pub fn until_pods(kubectl: &Kubectl, namespace: &str, count: usize) {
    until("pods", || {
        let found = kubectl.list(&["-n", namespace, "pods"]).len();
        if found >= count { Ok(()) } else { Err(format!("{found}")) }
    });
}

fn exists(kubectl: &Kubectl, namespace: &str, what: &str) -> bool {
    kubectl.get(&["-n", namespace, what]).is_some()
}

fn a_denial_shows_its_reason_and_a_cure_that_works(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("blocked", &[]);
    let web = objects::deployment("blocked", "web");
    let denial = kubectl.apply(&web).denied("missing-default-deny", "Deployment blocked/web breaks a house rule");
    assert!(denial.stderr.starts_with("Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"houserules.portcullis.dev\" denied the request: "), "{denial}");
    assert!(denial.stderr.contains("because  no policy isolates pods for Ingress"), "{denial}");
    assert!(!exists(&kubectl, "blocked", "deployment/web"), "what was denied must not be stored");
    let denial = kubectl.denied_then_cured(&web, "missing-default-deny", "no default deny for Egress");
    assert_eq!(denial.rules().len(), 2, "one line per direction:\n{denial}");
    assert!(exists(&kubectl, "blocked", "deployment/web"));
    // What kubectl hides is there for other clients: status.details.causes.
    kubectl.namespace("blocked-raw", &[]);
    let answer = kubectl.run_with_input(&["create", "-v=9", "-f", "-"], &objects::deployment("blocked-raw", "web"));
    let causes = answer.stderr.split("\"causes\": [").nth(1).unwrap_or_default();
    assert!(causes.contains("\"reason\": \"missing-default-deny\""), "{answer}");
}

fn dry_run_and_server_side_apply_are_judged_alike(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("ways", &[]);
    let web = objects::deployment("ways", "web");
    for flags in [&["--dry-run=server"][..], &["--server-side"], &["--server-side", "--dry-run=server"]] {
        let args = [&["apply", "-f", "-"], flags].concat();
        kubectl.run_with_input(&args, &web).denied("missing-default-deny", "namespace ways");
    }
    kubectl.run_with_input(&["create", "-f", "-"], &web).denied("missing-default-deny", "namespace ways");
    kubectl.apply(&objects::baseline("ways")).passes();
    kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &web).passes_silently();
    assert!(!exists(&kubectl, "ways", "deployment/web"), "a dry run stores nothing");
    kubectl.run_with_input(&["apply", "--server-side", "-f", "-"], &web).passes_silently();
    assert!(exists(&kubectl, "ways", "deployment/web"));
}

fn warn_mode_lets_everything_pass_with_a_warning(suite: &Suite) {
    let gate = Gate::install(suite.plane(), Settings { name: "warn", mode: "warn", ..Settings::default() });
    let kubectl = suite.kubectl();
    kubectl.namespace("warned", &gate.labels());
    let web = objects::deployment("warned", "web");
    let outcome = kubectl.apply(&web).warns("missing-default-deny", "(would be denied in enforce mode)");
    assert!(outcome.warnings().iter().all(|w| w.chars().count() <= 120), "{outcome}");
    assert!(exists(&kubectl, "warned", "deployment/web"));
    kubectl.apply(&objects::baseline("warned")).passes();
    let last = kubectl.run(&["-n", "warned", "delete", "networkpolicy", "default-deny"]);
    last.warns("missing-default-deny", "(would be denied in enforce mode)");
    assert!(!exists(&kubectl, "warned", "networkpolicy/default-deny"));
}

/// The audit annotations of requests for this object that the API server has logged, newest last.
fn annotations(suite: &Suite, gate: &str, uri: &str) -> Vec<Value> {
    let lines = suite.plane().audit(uri);
    let of = |line: Value| {
        let all = line["annotations"].as_object()?.clone();
        all.keys().any(|key| key.starts_with("houserules.portcullis.dev/")).then_some(Value::Object(all))
    };
    assert!(!gate.is_empty());
    lines.into_iter().filter_map(of).collect()
}

fn audit_mode_is_silent_and_leaves_its_record(suite: &Suite) {
    let gate = Gate::install(suite.plane(), Settings { name: "audit", mode: "audit", ..Settings::default() });
    let kubectl = suite.kubectl();
    kubectl.namespace("audited", &gate.labels());
    kubectl.apply(&objects::deployment("audited", "web")).passes_silently();
    // Recorded after the answer, by the gate itself.
    until("the log has it", || {
        let log = gate.log();
        let said = ["recorded", "missing-default-deny", "Deployment audited/web"];
        let line = log.lines().find(|line| said.iter().all(|said| line.contains(said)));
        line.map(drop).ok_or_else(|| "no line".to_owned())
    });
    // A denial is on record as well.
    kubectl.namespace("audited-denied", &[]);
    kubectl.apply(&objects::deployment("audited-denied", "web")).denied("missing-default-deny", "");
    let record = until("the audit log has it", || {
        annotations(suite, "portcullis", "/namespaces/audited-denied/deployments")
            .pop()
            .ok_or_else(|| "no line".to_owned())
    });
    assert_eq!(record["houserules.portcullis.dev/enforce"], "missing-default-deny", "{record}");
}

/// A namespace with a workload that was there before the rules.
fn old_violation(kubectl: &Kubectl, namespace: &str) {
    kubectl.namespace(namespace, &[("portcullis.dev/enforce", "none")]);
    kubectl.apply(&objects::deployment(namespace, "web")).warns("missing-default-deny", "");
    until_pods(kubectl, namespace, 1);
    kubectl.run(&["label", "namespace", namespace, "portcullis.dev/enforce-"]).passes();
    // From now on a second workload is denied, so the first is an old violation.
    until("the namespace is enforced", || {
        let other = objects::deployment(namespace, "other");
        let outcome = kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &other);
        if outcome.is_denied() { Ok(()) } else { Err(outcome.to_string()) }
    });
}

fn an_old_violation_never_blocks_the_way_out(suite: &Suite) {
    let kubectl = suite.kubectl();
    old_violation(&kubectl, "old");
    let in_old = |args: &[&str]| kubectl.run(&[&["-n", "old"], args].concat());
    in_old(&["set", "image", "deployment/web", "main=main:2"]).warns("missing-default-deny", "(as before)");
    in_old(&["scale", "deployment/web", "--replicas=3"]).passes_silently();
    in_old(&["annotate", "deployment/web", "note=x"]).passes_silently();
    in_old(&["rollout", "restart", "deployment/web"]).warns("missing-default-deny", "(as before)");
    // The new ReplicaSets and pods are the controllers' doing and come all the same.
    until_pods(&kubectl, "old", 3);
    // A pod that goes away is made again.
    let first = kubectl.list(&["-n", "old", "pods"])[0]["metadata"]["name"].as_str().unwrap().to_owned();
    in_old(&["delete", "pod", &first, "--wait=false"]).passes();
    until("another pod in its place", || {
        let pods = kubectl.list(&["-n", "old", "pods"]);
        let names: Vec<&str> = pods.iter().filter_map(|p| p["metadata"]["name"].as_str()).collect();
        if names.len() >= 3 && !names.contains(&&*first) { Ok(()) } else { Err(format!("{names:?}")) }
    });
}

fn a_label_change_that_loses_dns_is_denied(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("relabel", &[]);
    kubectl.apply(&objects::default_deny("relabel")).passes();
    let allow = objects::allow_dns("relabel")
        .replace("podSelector: {}, policyTypes", "podSelector: {matchLabels: {dns: \"yes\"}}, policyTypes");
    kubectl.apply(&allow).passes();
    let web = objects::deployment("relabel", "web");
    kubectl.apply(&web.replace("labels: {app: web}", "labels: {app: web, dns: \"yes\"}")).passes_silently();
    let denial = kubectl.denied_then_cured(&web, "blocked-dns", "cluster DNS cannot be reached on UDP 53 and TCP 53");
    assert!(denial.stderr.contains("default-deny"), "{denial}");
}

fn the_last_default_deny_stays_while_there_are_pods(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("last", &[]);
    let delete = || kubectl.run(&["-n", "last", "delete", "networkpolicy", "default-deny"]);
    kubectl.apply(&objects::baseline("last")).passes();
    delete().passes_silently();
    kubectl.apply(&objects::baseline("last")).passes();
    kubectl.apply(&objects::deployment("last", "web")).passes_silently();
    until_pods(&kubectl, "last", 1);
    let denial = until("the pod is seen", || {
        let outcome = kubectl.run(&["-n", "last", "delete", "networkpolicy", "default-deny", "--dry-run=server"]);
        if outcome.is_denied() { Ok(outcome) } else { Err(outcome.to_string()) }
    });
    denial.denied("missing-default-deny", "deleting NetworkPolicy last/default-deny would break");
    let denial = delete().denied("missing-default-deny", "affects  Deployment web (1 pod)");
    assert!(exists(&kubectl, "last", "networkpolicy/default-deny"));
    // Opening it up is the same as deleting it.
    let open = objects::policy(
        "last",
        "default-deny",
        "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]",
    );
    kubectl.apply(&open).denied("missing-default-deny", "lets everyone reach every pod");
    let cure = denial.cure().expect("a cure for the delete");
    assert!(denial.stderr.contains("then the delete passes (checked)"), "{denial}");
    kubectl.paste(&cure).passes();
    delete().passes();
    assert!(!exists(&kubectl, "last", "networkpolicy/default-deny"));
}

fn deleting_a_workload_always_passes(suite: &Suite) {
    let kubectl = suite.kubectl();
    old_violation(&kubectl, "way-out");
    kubectl.run(&["-n", "way-out", "delete", "deployment", "web"]).passes_silently();
    assert!(!exists(&kubectl, "way-out", "deployment/web"));
}
