//! What replicas do to the cluster's own objects: one writes statuses, and the webhook configuration is closed by who can answer.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Gate, Kubectl, Settings, Suite, cases, objects, until, until_within};

cases![a_ready_replica_closes_the_configuration_and_leaves_it_to_its_owner, one_of_two_replicas_writes_statuses];

fn policies(kubectl: &Kubectl, name: &str) -> (Value, Vec<String>) {
    let found = kubectl.get(&["validatingwebhookconfiguration", name, "--show-managed-fields"]).unwrap();
    let policy = |webhook: &Value| webhook["failurePolicy"].as_str().unwrap().to_owned();
    let all = found["webhooks"].as_array().unwrap().iter().map(policy).collect();
    (found, all)
}

fn a_ready_replica_closes_the_configuration_and_leaves_it_to_its_owner(suite: &Suite) {
    let kubectl = suite.plane().kubectl();
    let mut gate =
        Gate::install(suite.plane(), Settings { name: "closing", failure_policy: "Ignore", ..Settings::default() });
    assert_eq!(policies(&kubectl, "closing").1, ["Ignore", "Ignore"], "nobody has wished for anything else");
    let wish = |policy: &str| {
        let annotation = format!("portcullis.dev/failure-policy={policy}");
        kubectl.run(&["annotate", "validatingwebhookconfiguration", "closing", &annotation, "--overwrite"]).passes();
        // It must have been ready for a while, and then gives up the ownership of what it wrote.
        until("both webhooks are as wished", || {
            let (found, policies) = policies(&kubectl, "closing");
            let owners = found["metadata"]["managedFields"].as_array().unwrap();
            let owned = owners.iter().any(|owner| owner["manager"] == "portcullis");
            if policies == [policy, policy] && !owned { Ok(()) } else { Err(format!("{policies:?}, owned: {owned}")) }
        });
    };
    wish("Fail");
    // Opened by the wish alone, as a tool does that leaves the field be, and closed again.
    wish("Ignore");
    wish("Fail");
    kubectl.namespace("closing-shop", &gate.labels());
    let web = objects::deployment("closing-shop", "web");
    kubectl.apply(&web).denied("missing-default-deny", "closing-shop");
    gate.kill();
    let refused = kubectl.apply(&web);
    assert!(!refused.ok && refused.stderr.contains("failed calling webhook"), "{refused}");

    // Told to open, by the wish and the value, it stays open with a replica that could close it.
    let (mut open, _) = policies(&kubectl, "closing");
    open["metadata"]["annotations"]["portcullis.dev/failure-policy"] = "Ignore".into();
    for webhook in open["webhooks"].as_array_mut().unwrap() {
        webhook["failurePolicy"] = "Ignore".into();
    }
    kubectl.run_with_input(&["replace", "-f", "-"], &open.to_string()).passes();
    gate.start();
    gate.until_ready();
    gate.until_it_decides();
    assert_eq!(policies(&kubectl, "closing").1, ["Ignore", "Ignore"]);
    gate.kill();
    kubectl.apply(&web).passes_silently();
}

fn one_of_two_replicas_writes_statuses(suite: &Suite) {
    let kubectl = suite.plane().kubectl();
    let first = Gate::install(suite.plane(), Settings { name: "rivals", ..Settings::default() });
    let second = first.twin();
    let mut replicas = [first, second];
    let holder = || {
        let lease = kubectl.get(&["-n", "rivals", "lease", "portcullis-status"]);
        lease.and_then(|lease| lease["spec"]["holderIdentity"].as_str().map(str::to_owned)).ok_or("nobody".to_owned())
    };
    let of = |replicas: &[Gate; 2], holder: &str| {
        replicas.iter().position(|gate| holder.ends_with(&format!("-{}", gate.pid())))
    };
    // Each replica has a token of its own, by which the audit log tells them apart. Other releases write as others.
    let writers = || -> BTreeSet<String> {
        let lines = suite.plane().audit("/status");
        let ours = lines.iter().filter(|line| line["user"]["username"] == "system:serviceaccount:rivals:rivals");
        ours.map(|line| line["user"]["extra"]["authentication.kubernetes.io/credential-id"][0].to_string()).collect()
    };
    let until_writers = |count: usize| {
        // Another holder is believed to be gone only after its lease has run out, and then rounds have their pace.
        until_within(Duration::from_secs(90), "the status is written", || {
            let found = writers();
            if found.len() >= count { Ok(found) } else { Err(format!("{found:?}")) }
        })
    };
    let elected = until("one holds the lease", holder);
    let leader = of(&replicas, &elected).unwrap_or_else(|| panic!("{elected} is neither"));
    let exception = "---\napiVersion: portcullis.dev/v1alpha1\nkind: RuleException\nmetadata: {name: waived, namespace: rivals}\n\
                     spec: {rules: [host-network], targets: {namespaces: [rivals-canary]}, reason: one, expires: \"2099-01-01T00:00:00Z\"}\n";
    kubectl.apply(exception).passes();
    assert_eq!(until_writers(1).len(), 1, "one writes, and the other does not");
    assert_eq!(until("the lease is held", holder), elected);

    replicas[leader].kill();
    kubectl.apply(&exception.replace("reason: one", "reason: two")).passes();
    until_writers(2);
    let next = until("the other holds the lease", holder);
    assert_eq!(of(&replicas, &next), Some(1 - leader), "{next}");
}
