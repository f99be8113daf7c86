//! Every kind of workload, in the forms in which people and tools send them.

use crate::support::{Suite, cases, objects, until};

cases![every_kind_is_judged, generated_names, what_is_not_judged_passes];

fn every_kind(namespace: &str) -> Vec<(&'static str, String)> {
    let kind =
        |api_version, kind: &'static str| (kind, objects::workload(api_version, kind, namespace, &kind.to_lowercase()));
    vec![
        kind("apps/v1", "Deployment"),
        kind("apps/v1", "StatefulSet"),
        kind("apps/v1", "DaemonSet"),
        kind("apps/v1", "ReplicaSet"),
        kind("v1", "ReplicationController"),
        kind("batch/v1", "Job"),
        ("CronJob", objects::cron_job(namespace, "cronjob")),
        ("Pod", objects::pod(namespace, "pod", &[("app", "pod")])),
    ]
}

fn every_kind_is_judged(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("kinds", &[]);
    for (kind, yaml) in every_kind("kinds") {
        let says = format!("{kind} kinds/{} breaks a house rule", kind.to_lowercase());
        kubectl.apply(&yaml).denied("missing-default-deny", &says);
        assert!(kubectl.get(&["-n", "kinds", kind, &kind.to_lowercase()]).is_none(), "{kind} was stored");
    }
    kubectl.apply(&objects::baseline("kinds")).passes();
    for (kind, yaml) in every_kind("kinds") {
        kubectl.apply(&yaml).passes_silently();
        assert!(kubectl.get(&["-n", "kinds", kind, &kind.to_lowercase()]).is_some(), "{kind} is not there");
    }
    // Their controllers can go on: four of them make a pod without any node.
    until("pods of Deployment, StatefulSet, ReplicaSet, ReplicationController, Job and the bare one", || {
        let found = kubectl.list(&["-n", "kinds", "pods"]).len();
        if found >= 6 { Ok(()) } else { Err(format!("{found} pods")) }
    });
}

fn generated_names(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("generated", &[]);
    let pod = objects::pod("generated", "job-", &[("app", "job")]).replace("name: job-,", "generateName: job-,");
    let create = || kubectl.run_with_input(&["create", "-f", "-"], &pod);
    create().denied("missing-default-deny", "Pod generated/job-");
    kubectl.apply(&objects::baseline("generated")).passes();
    create().passes_silently();
    create().passes_silently();
    let pods = kubectl.get(&["-n", "generated", "pods"]).unwrap();
    assert_eq!(pods["items"].as_array().unwrap().len(), 2);
}

fn what_is_not_judged_passes(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("unjudged", &[]);
    let others = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: unjudged}\ndata: {a: b}\n\
                  ---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: unjudged}\nspec: {ports: [{port: 80}], selector: {app: web}}\n";
    kubectl.apply(others).passes_silently();
    kubectl.run(&["-n", "unjudged", "delete", "configmap/c", "service/s"]).passes_silently();
    // kube-system is never asked about: what the cluster itself needs must always come up.
    kubectl.apply(&objects::deployment("kube-system", "unjudged")).passes_silently();
    kubectl.run(&["-n", "kube-system", "delete", "deployment", "unjudged"]).passes_silently();
    let log = suite.gate().log();
    assert!(log.contains("\"namespace\":\"generated\"") || log.contains("\"namespace\":\""), "decisions are logged");
    assert!(!log.contains("\"namespace\":\"kube-system\""), "portcullis was asked about kube-system");
}
