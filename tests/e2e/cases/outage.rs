//! What happens when a part is away: the API server, a permission, Portcullis itself.

use std::time::Duration;

use crate::support::plane::Coordinates;
use crate::support::process::signal;
use crate::support::wait::LIMIT;
use crate::support::{Gate, Settings, Suite, cases, objects, until, until_within};

cases![
    a_permission_that_is_missing_is_said_and_waited_for,
    a_permission_that_is_taken_away_is_said_and_waited_for,
    portcullis_away_with_ignore_lets_pass,
    portcullis_away_with_fail_stops_what_matters_and_nothing_else,
    ; alone: the_api_server_dies_and_comes_back,
];

fn until_unready(gate: &Gate, limit: Duration, containing: &str) -> String {
    until_within(limit, "portcullis is not ready", || match gate.admin("/readyz") {
        Ok((503, why)) if why.contains(containing) => Ok(why),
        other => Err(format!("{other:?}")),
    })
}

/// First it is silent, then it is killed: connections hang, and then there are none.
fn the_api_server_dies_and_comes_back(suite: &Suite) {
    const APISERVER: &str = "kube-apiserver";
    let kubectl = suite.kubectl();
    let gate = suite.gate();
    let plane = suite.plane();
    kubectl.namespace("after-the-crash", &[]);
    let web = objects::deployment("after-the-crash", "web");
    kubectl.apply(&web).denied("missing-default-deny", "after-the-crash");
    assert_eq!(gate.admin("/readyz").unwrap().0, 200);
    let before = gate.log().len();
    // While it is away nothing else of this test may leave it so.
    let revived = Revived(plane);
    signal(plane.pid(APISERVER), "STOP");
    // Two minutes are bridged: a restart of the API server must not make every webhook unready as well.
    until_unready(gate, Duration::from_secs(200), "nothing heard from the API server");
    assert_eq!(gate.admin("/healthz").unwrap().0, 200, "a restart would mend nothing");
    plane.crash(APISERVER);
    until_unready(gate, LIMIT, "no connection to the API server");
    drop(revived);

    let log = gate.log().split_off(before);
    assert!(log.contains("cannot follow; trying on until it works"), "{log}");
    // Unready or not, what is wrong does not get in.
    until("it is judged again", || {
        let outcome = kubectl.apply(&web);
        assert!(!outcome.ok, "admitted by accident: {outcome}");
        if outcome.is_denied() { Ok(()) } else { Err(outcome.to_string()) }
    });
    kubectl.apply(&web).denied("missing-default-deny", "after-the-crash");
    until("portcullis is ready again", || match gate.admin("/readyz") {
        Ok((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let log = until("every kind is followed again", || {
        let log = gate.log().split_off(before);
        let times = |text: &str| log.matches(text).count();
        if times("following again") >= times("cannot follow; trying") { Ok(log) } else { Err(log) }
    });
    assert!(!log.contains("panicked"), "{log}");
    assert!(kubectl.get(&["-n", "after-the-crash", "deployment", "web"]).is_none());
}

/// Brings the API server back, whatever happens to the case.
struct Revived<'a>(&'a Coordinates);

impl Drop for Revived<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Killed or only stopped; the second order fails where the first did not work, and says why.
            let _ = std::panic::catch_unwind(|| self.0.crash("kube-apiserver"));
        }
        self.0.revive("kube-apiserver");
    }
}

fn a_permission_that_is_taken_away_is_said_and_waited_for(suite: &Suite) {
    let mut gate = Gate::install(suite.plane(), Settings { name: "revoked", ..Settings::default() });
    let kubectl = suite.plane().kubectl();
    kubectl.namespace("revoked-from", &gate.labels());
    let web = objects::deployment("revoked-from", "web");
    kubectl.apply(&web).denied("missing-default-deny", "revoked-from");
    let before = gate.log().len();
    let mut binding = kubectl.get(&["clusterrolebinding", "revoked"]).unwrap();
    kubectl.run(&["delete", "clusterrolebinding", "revoked"]).passes();
    // Open watches go on until their time is up, which is half a minute; only then is the permission asked for again.
    until_unready(&gate, Duration::from_secs(90), "forbidden");
    let log = gate.log().split_off(before);
    assert!(log.contains("WARN") && log.contains("forbidden"), "{log}");
    let outcome = kubectl.apply(&web);
    assert!(!outcome.ok, "admitted by accident: {outcome}");
    let metadata = binding["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    metadata.remove("uid");
    kubectl.run_with_input(&["create", "-f", "-"], &binding.to_string()).passes();
    gate.until_ready();
    kubectl.apply(&web).denied("missing-default-deny", "revoked-from");
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
