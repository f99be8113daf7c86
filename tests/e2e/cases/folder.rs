//! Policies and workloads in one `kubectl apply -f folder/`: the gate's view is milliseconds behind, its verdict must not be.

use crate::support::{Suite, cases, objects, scratch};

cases![policies_a_moment_before_workloads_never_cause_a_denial, workloads_before_policies_are_denied_and_then_pass];

const ROUNDS: usize = 50;

fn policies_a_moment_before_workloads_never_cause_a_denial(suite: &Suite) {
    let kubectl = suite.kubectl();
    for round in 0..ROUNDS {
        let name = format!("folder-{round}");
        let dir = scratch("folders").join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("0-namespace.yaml"), objects::namespace(&name, &[])).unwrap();
        std::fs::write(dir.join("1-policies.yaml"), objects::baseline(&name)).unwrap();
        let workloads = objects::deployment(&name, "web") + &objects::workload("apps/v1", "StatefulSet", &name, "db");
        std::fs::write(dir.join("2-workloads.yaml"), workloads).unwrap();
        kubectl.run(&["apply", "-f", &dir.display().to_string()]).passes_silently();
    }
}

fn workloads_before_policies_are_denied_and_then_pass(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("wrong-order", &[]);
    let dir = scratch("folders").join("wrong-order");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("1-workloads.yaml"), objects::deployment("wrong-order", "web")).unwrap();
    std::fs::write(dir.join("2-policies.yaml"), objects::baseline("wrong-order")).unwrap();
    let apply = || kubectl.run(&["apply", "-f", &dir.display().to_string()]);
    apply().denied("missing-default-deny", "namespace wrong-order");
    assert!(kubectl.get(&["-n", "wrong-order", "networkpolicy", "default-deny"]).is_some(), "kubectl goes on");
    assert!(kubectl.get(&["-n", "wrong-order", "deployment", "web"]).is_none());
    // The usual way out of such an order.
    apply().passes_silently();
    assert!(kubectl.get(&["-n", "wrong-order", "deployment", "web"]).is_some());
}
