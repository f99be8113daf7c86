//! A gate that has its state from a folder, without any access to the cluster: the first thing that can be tried out.

use crate::support::gate::State;
use crate::support::{Gate, Settings, Suite, cases, objects, scratch};

cases![a_gate_over_files_blocks_and_lets_pass, a_gate_over_files_in_warn_mode_blocks_nothing];

fn world(name: &str) -> State {
    let dir = scratch(name).join("world");
    std::fs::create_dir_all(&dir).unwrap();
    let text = objects::namespace("files-open", &[])
        + &objects::namespace("files-closed", &[])
        + &objects::namespace("kube-system", &[("kubernetes.io/metadata.name", "kube-system")])
        + &objects::pod("kube-system", "dns", &[("k8s-app", "kube-dns")])
        + &objects::baseline("files-closed");
    std::fs::write(dir.join("cluster.yaml"), text).unwrap();
    State::Files(dir)
}

fn a_gate_over_files_blocks_and_lets_pass(suite: &Suite) {
    let settings = Settings { name: "files", state: world("files"), ..Settings::default() };
    let gate = Gate::install(suite.plane(), settings);
    let kubectl = suite.plane().kubectl();
    kubectl.namespace("files-open", &gate.labels());
    kubectl.namespace("files-closed", &gate.labels());
    let denial = kubectl.apply(&objects::deployment("files-open", "web"));
    let denial = denial.denied("missing-default-deny", "no default deny for Ingress in namespace files-open");
    assert!(denial.cure().is_some(), "{denial}");
    assert!(kubectl.get(&["-n", "files-open", "deployment", "web"]).is_none(), "it must not have been stored");
    kubectl.apply(&objects::deployment("files-closed", "web")).passes_silently();
    assert!(kubectl.get(&["-n", "files-closed", "deployment", "web"]).is_some());
}

fn a_gate_over_files_in_warn_mode_blocks_nothing(suite: &Suite) {
    let settings = Settings { name: "files-warn", mode: "warn", state: world("files-warn"), ..Settings::default() };
    let gate = Gate::install(suite.plane(), settings);
    let kubectl = suite.plane().kubectl();
    kubectl.namespace("files-open-to-all", &gate.labels());
    let outcome = kubectl.apply(&objects::deployment("files-open-to-all", "web"));
    outcome.warns("missing-default-deny", "(would be denied in enforce mode)");
    assert!(kubectl.get(&["-n", "files-open-to-all", "deployment", "web"]).is_some());
}
