//! Every way to the labels that selectors see is reviewed, and the daily life of nodes and schedulers is not.

use serde_json::{Value, json};

use crate::support::{Gate, Kubectl, Outcome, Settings, Suite, cases, objects, until};

cases![
    labels_of_a_namespace_are_reviewed_whichever_way_they_change,
    labels_of_a_pod_are_reviewed_whichever_way_they_change,
    nodes_and_schedulers_cause_no_calls,
];

/// A user who may do everything in one namespace and nothing elsewhere.
fn tenant(kubectl: &Kubectl, namespace: &str) -> Kubectl {
    let yaml = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: wild, namespace: {namespace}}}\n\
         rules: [{{apiGroups: [\"*\"], resources: [\"*\"], verbs: [\"*\"]}}]\n"
    );
    kubectl.apply(&yaml).passes();
    kubectl.tenant(namespace, ("Role", "wild"), "pods")
}

fn labels(kubectl: &Kubectl, args: &[&str]) -> Value {
    kubectl.get(args).unwrap()["metadata"]["labels"].clone()
}

fn labels_of_a_namespace_are_reviewed_whichever_way_they_change(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "sub-space";
    kubectl.namespace(space, &[]);
    let wild = tenant(&kubectl, space);
    let lowered = r#"{"metadata":{"labels":{"portcullis.dev/enforce":"none"}}}"#;
    let finalize = |label: &str| {
        let mut namespace = kubectl.get(&["namespace", space]).unwrap();
        namespace["metadata"]["labels"][label] = "none".into();
        let path = format!("/api/v1/namespaces/{space}/finalize");
        wild.run_with_input(&["replace", "--raw", &path, "-f", "-"], &namespace.to_string())
    };
    let status =
        |patch: &str| wild.run(&["patch", "namespace", space, "--subresource=status", "--type=merge", "-p", patch]);
    let ways: [(&str, Outcome); 3] = [
        ("plain", wild.run(&["label", "namespace", space, "portcullis.dev/enforce=none"])),
        ("status", status(lowered)),
        ("finalize", finalize("portcullis.dev/enforce")),
    ];
    for (way, outcome) in ways {
        assert!(!outcome.ok && outcome.stderr.contains("denied the request"), "{way}: {outcome}");
        assert!(outcome.stderr.contains("may not update houserules.portcullis.dev"), "{way}: {outcome}");
    }
    assert_eq!(labels(&kubectl, &["namespace", space]).get("portcullis.dev/enforce"), None);
    // Other labels are the tenant's own affair.
    status(&lowered.replace("portcullis.dev/enforce", "team")).passes();
    finalize("squad").passes();
    assert_eq!(labels(&kubectl, &["namespace", space])["squad"], "none");
}

fn labels_of_a_pod_are_reviewed_whichever_way_they_change(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "sub-pod";
    kubectl.namespace(space, &[]);
    let front = "podSelector: {matchLabels: {tier: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]";
    let db = "podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]";
    let policies = objects::policy(space, "front", front) + &objects::policy(space, "db", db);
    kubectl.apply(&(objects::baseline(space) + &policies)).passes();
    let pods = objects::pod(space, "web", &[("app", "web")]) + &objects::pod(space, "db", &[("app", "db")]);
    kubectl.apply(&pods).passes();
    let row = format!(
        "apiVersion: portcullis.dev/v1alpha1\nkind: ConnectivityAssertion\nmetadata: {{name: apart, namespace: {space}}}\n\
         spec: {{from: {{podSelector: {{matchLabels: {{app: web}}}}}}, to: {{podSelector: {{matchLabels: {{app: db}}}}}}, ports: [{{port: 5432}}], expect: Deny}}\n"
    );
    kubectl.apply(&row).passes();
    let wild = tenant(&kubectl, space);
    until("the row counts", || {
        let outcome = wild.run(&["-n", space, "label", "pod", "web", "tier=front", "--dry-run=server"]);
        if outcome.is_denied() { Ok(()) } else { Err(outcome.to_string()) }
    });
    let patch = r#"{"metadata":{"labels":{"tier":"front"}}}"#;
    let bind = |path: &str, labels: Value| {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": "web", "namespace": space, "labels": labels},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "sub-node"},
        });
        let path = format!("/api/v1/namespaces/{space}/{path}");
        wild.run_with_input(&["create", "--raw", &path, "-f", "-"], &binding.to_string())
    };
    let ways: [(&str, Outcome); 4] = [
        ("plain", wild.run(&["-n", space, "label", "pod", "web", "tier=front"])),
        (
            "status",
            wild.run(&["-n", space, "patch", "pod", "web", "--subresource=status", "--type=merge", "-p", patch]),
        ),
        ("binding", bind("pods/web/binding", json!({"tier": "front"}))),
        ("bindings", bind("bindings", json!({"tier": "front"}))),
    ];
    for (way, outcome) in ways {
        assert!(!outcome.ok && outcome.stderr.contains("denied the request"), "{way}: {outcome}");
        assert!(outcome.stderr.contains("assertion sub-pod/apart expects Deny"), "{way}: {outcome}");
    }
    assert_eq!(labels(&kubectl, &["-n", space, "pod", "web"]).get("tier"), None);
    bind("pods/web/binding", json!({"shelf": "three"})).passes();
    assert_eq!(labels(&kubectl, &["-n", space, "pod", "web"])["shelf"], "three");
}

fn nodes_and_schedulers_cause_no_calls(suite: &Suite) {
    let kubectl = suite.plane().kubectl();
    let gate = Gate::install(suite.plane(), Settings { name: "daily", ..Settings::default() });
    let space = "daily-life";
    kubectl.namespace(space, &gate.labels());
    kubectl.apply(&objects::baseline(space)).passes();
    kubectl.apply(&objects::pod(space, "p", &[("app", "p")])).passes();
    let settled = || {
        let before = gate.decisions("");
        std::thread::sleep(std::time::Duration::from_millis(500));
        if gate.decisions("") > before { Err("reviews come in".to_owned()) } else { Ok(before) }
    };
    let before = until("it is quiet", settled);
    assert!(before > 0.0);
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p", "namespace": space},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "daily-node"},
    });
    let path = format!("/api/v1/namespaces/{space}/pods/p/binding");
    kubectl.run_with_input(&["create", "--raw", &path, "-f", "-"], &binding.to_string()).passes();
    for (phase, ready) in [("Pending", "False"), ("Running", "False"), ("Running", "True")] {
        let status = json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        let patch = status.to_string();
        kubectl
            .run(&["-n", space, "patch", "pod", "p", "--subresource=status", "--type=strategic", "-p", &patch])
            .passes();
    }
    let annotate = r#"{"metadata":{"annotations":{"a":"b"}}}"#;
    kubectl.run(&["patch", "namespace", space, "--subresource=status", "--type=merge", "-p", annotate]).passes();
    let namespace = kubectl.get(&["namespace", space]).unwrap().to_string();
    let path = format!("/api/v1/namespaces/{space}/finalize");
    kubectl.run_with_input(&["replace", "--raw", &path, "-f", "-"], &namespace).passes();
    kubectl.run(&["-n", space, "delete", "pod", "p", "--wait=false"]).passes();
    assert!((gate.decisions("") - before).abs() < f64::EPSILON, "{} calls", gate.decisions("") - before);
    // Not for want of being asked: a label on the same way is.
    kubectl
        .run(&[
            "patch",
            "namespace",
            space,
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
        ])
        .passes();
    assert!((gate.decisions("") - before - 1.0).abs() < f64::EPSILON, "{} calls", gate.decisions("") - before);
}
