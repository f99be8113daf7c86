//! What happens when a part is away: the API server, a permission, Portcullis itself.

use std::time::Duration;

use crate::support::process::signal;
use crate::support::wait::LIMIT;
use crate::support::{Gate, Settings, Suite, cases, objects, until, until_within};

cases![
    a_permission_that_is_missing_is_said_and_waited_for,
    portcullis_away_with_ignore_lets_pass,
    portcullis_away_with_fail_stops_what_matters_and_nothing_else,
    ; alone: the_api_server_stops_and_comes_back,
];

/// Lets a stopped process go on, whatever happens to the case.
struct Stopped(u32);

impl Stopped {
    fn new(pid: u32) -> Self {
        signal(pid, "STOP");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn until_unready(gate: &Gate, limit: Duration, containing: &str) -> String {
    until_within(limit, "portcullis is not ready", || match gate.admin("/readyz") {
        Ok((503, why)) if why.contains(containing) => Ok(why),
        other => Err(format!("{other:?}")),
    })
}

fn the_api_server_stops_and_comes_back(suite: &Suite) {
    let kubectl = suite.kubectl();
    let gate = suite.gate();
    assert_eq!(gate.admin("/readyz").unwrap().0, 200);
    let stopped = Stopped::new(suite.plane().pid("kube-apiserver"));
    // Two minutes are bridged: a restart of the API server must not make every webhook unready as well.
    until_unready(gate, Duration::from_secs(200), "nothing heard from the API server");
    assert_eq!(gate.admin("/healthz").unwrap().0, 200, "a restart would mend nothing");
    drop(stopped);
    until("portcullis is ready again", || match gate.admin("/readyz") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    kubectl.namespace("after-the-stop", &[]);
    kubectl.apply(&objects::deployment("after-the-stop", "web")).denied("missing-default-deny", "after-the-stop");
}

fn a_permission_that_is_missing_is_said_and_waited_for(suite: &Suite) {
    let mut gate = Gate::install(suite.plane(), Settings { name: "rbac", ..Settings::default() });
    let kubectl = suite.plane().kubectl();
    gate.kill();
    let role = kubectl.get(&["clusterrole", "rbac"]).unwrap();
    let mut without = role.clone();
    for rule in without["rules"].as_array_mut().unwrap() {
        if let Some(resources) = rule["resources"].as_array_mut() {
            resources.retain(|resource| resource != "pods");
        }
    }
    kubectl.run_with_input(&["replace", "-f", "-"], &without.to_string()).passes();
    until("the permission is gone", || {
        let account = kubectl.as_user("system:serviceaccount:rbac:rbac");
        if account.run(&["auth", "can-i", "list", "pods", "-A"]).ok { Err("it is there".to_owned()) } else { Ok(()) }
    });
    let before = gate.log().len();
    gate.start();
    let why = until_unready(&gate, LIMIT, "pods: forbidden");
    let log = until("the log says it", || {
        let log = gate.log().split_off(before);
        if log.contains("pods") && log.contains("forbidden") { Ok(log) } else { Err(log) }
    });
    assert!(log.contains("WARN") || log.contains("ERROR"), "{log}");
    assert!(!why.is_empty());
    let mut role = role;
    role["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    kubectl.run_with_input(&["replace", "-f", "-"], &role.to_string()).passes();
    gate.until_ready();
    gate.until_it_decides();
}

fn portcullis_away_with_ignore_lets_pass(suite: &Suite) {
    let settings = Settings { name: "away-ignore", failure_policy: "Ignore", ..Settings::default() };
    let mut gate = Gate::install(suite.plane(), settings);
    let kubectl = suite.plane().kubectl();
    kubectl.namespace("away-ignored", &gate.labels());
    let web = objects::deployment("away-ignored", "web");
    kubectl.apply(&web).denied("missing-default-deny", "away-ignored");
    gate.kill();
    kubectl.apply(&web).passes_silently();
    assert!(kubectl.get(&["-n", "away-ignored", "deployment", "web"]).is_some());
}

fn portcullis_away_with_fail_stops_what_matters_and_nothing_else(suite: &Suite) {
    let mut gate = Gate::install(suite.plane(), Settings { name: "away-fail", ..Settings::default() });
    let kubectl = suite.plane().kubectl();
    kubectl.namespace("away-failed", &gate.labels());
    kubectl.apply(&objects::baseline("away-failed")).passes();
    gate.kill();
    let web = objects::deployment("away-failed", "web");
    let refused = kubectl.apply(&web);
    assert!(
        !refused.ok && refused.stderr.contains("failed calling webhook \"houserules.portcullis.dev\""),
        "{refused}"
    );
    assert!(kubectl.get(&["-n", "away-failed", "deployment", "web"]).is_none());
    let unrelated = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: away-failed}\n";
    kubectl.apply(unrelated).passes_silently();
    kubectl.run(&["label", "namespace", "kube-public", "e2e=touched", "--overwrite"]).passes_silently();
    gate.start();
    gate.until_ready();
    kubectl.apply(&web).passes_silently();
}
