//! What counts as empty: a namespace keeps its default deny beside what may yet make pods, and beside pods that are going.

use super::decisions::until_pods;
use crate::support::{Kubectl, Suite, cases, objects, until};

cases![
    a_default_deny_stays_beside_templates_without_pods,
    a_default_deny_stays_beside_a_pod_that_is_being_deleted,
    the_last_finalizer_of_a_default_deny_is_its_deletion,
];

fn delete_deny(kubectl: &Kubectl, namespace: &str) -> crate::support::Outcome {
    kubectl.run(&["-n", namespace, "delete", "networkpolicy", "default-deny", "--dry-run=server"])
}

fn until_deletable(kubectl: &Kubectl, namespace: &str) {
    until("the namespace is empty", || {
        let outcome = delete_deny(kubectl, namespace);
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
}

fn a_default_deny_stays_beside_templates_without_pods(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "dormant";
    kubectl.namespace(space, &[]);
    kubectl.apply(&objects::baseline(space)).passes();
    until_deletable(&kubectl, space);
    let scaled = |yaml: String| yaml.replace("spec:\n  ", "spec:\n  replicas: 0\n  ");
    let suspended = |yaml: String| yaml.replace("spec:\n  ", "spec:\n  suspend: true\n  ");
    let cases = [
        ("deployment", scaled(objects::deployment(space, "d"))),
        ("statefulset", scaled(objects::workload("apps/v1", "StatefulSet", space, "d"))),
        ("replicaset", scaled(objects::workload("apps/v1", "ReplicaSet", space, "d"))),
        ("replicationcontroller", scaled(objects::workload("v1", "ReplicationController", space, "d"))),
        ("job", suspended(objects::workload("batch/v1", "Job", space, "d"))),
        ("cronjob", objects::cron_job(space, "d")),
    ];
    for (kind, yaml) in cases {
        kubectl.apply(&yaml).passes();
        // At once, and after the watch has shown it.
        delete_deny(&kubectl, space).denied("missing-default-deny", "default deny");
        std::thread::sleep(std::time::Duration::from_millis(300));
        delete_deny(&kubectl, space).denied("missing-default-deny", "default deny");
        kubectl.run(&["-n", space, "delete", kind, "d"]).passes();
        until_deletable(&kubectl, space);
    }
    // Scaled to zero while it runs.
    kubectl.apply(&objects::deployment(space, "web")).passes();
    until_pods(&kubectl, space, 1);
    kubectl.run(&["-n", space, "scale", "deployment/web", "--replicas=0"]).passes();
    until_pods(&kubectl, space, 0);
    std::thread::sleep(std::time::Duration::from_millis(300));
    delete_deny(&kubectl, space).denied("missing-default-deny", "Deployment web");
}

fn a_default_deny_stays_beside_a_pod_that_is_being_deleted(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "going";
    kubectl.namespace(space, &[]);
    kubectl.apply(&objects::baseline(space)).passes();
    // Without a node there is nobody to end it, and a finalizer keeps it as a long grace period would.
    let pod = objects::pod(space, "p", &[("app", "p")])
        .replace("metadata: {name: p", "metadata: {finalizers: [e2e.portcullis.dev/stay], name: p");
    kubectl.apply(&pod).passes();
    kubectl.run(&["-n", space, "delete", "pod", "p", "--wait=false"]).passes();
    std::thread::sleep(std::time::Duration::from_millis(300));
    delete_deny(&kubectl, space).denied("missing-default-deny", "default deny");
    let patch = "{\"metadata\":{\"finalizers\":null}}";
    kubectl.run(&["-n", space, "patch", "pod", "p", "--type=merge", "-p", patch]).passes();
    until_deletable(&kubectl, space);
}

fn the_last_finalizer_of_a_default_deny_is_its_deletion(suite: &Suite) {
    let kubectl = suite.kubectl();
    let space = "finalized";
    kubectl.namespace(space, &[]);
    let held = objects::baseline(space).replace(
        "metadata: {name: default-deny",
        "metadata: {finalizers: [e2e.portcullis.dev/stay, e2e.portcullis.dev/too], name: default-deny",
    );
    kubectl.apply(&held).passes();
    kubectl.run(&["-n", space, "delete", "networkpolicy", "default-deny", "--wait=false"]).passes();
    // Nothing ran when that was admitted. For some seconds it is expected to go; after that the policy is in force.
    until("the policy counts again", || {
        let outcome = kubectl.apply(&objects::pod(space, "p", &[("app", "p")]));
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
    let patch = |finalizers: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        kubectl.run(&["-n", space, "patch", "networkpolicy", "default-deny", "--type=merge", "-p", &patch])
    };
    patch("[\"e2e.portcullis.dev/stay\"]").passes();
    patch("null").denied("missing-default-deny", "default deny");
    kubectl.run(&["-n", space, "delete", "pod", "p"]).passes();
    until("the policy may go", || {
        let outcome = patch("null");
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
}
