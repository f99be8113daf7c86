//! Assertions in a running cluster: who would break a row is refused, and `kubectl get` is the matrix.

use super::decisions::until_pods;
use crate::support::{Kubectl, Outcome, Suite, cases, objects, until};

cases![
    changes_that_would_break_a_row_are_refused,
    the_status_follows_and_kubectl_shows_the_matrix,
    a_row_of_a_namespace_only_warns_elsewhere,
    a_row_about_nobody_is_no_pass,
    what_makes_no_sense_is_refused_by_the_schema,
];

fn assertion(namespace: &str, name: &str, from: &str, to: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: portcullis.dev/v1alpha1\nkind: ConnectivityAssertion\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{from: {{{from}}}, to: {{{to}}}, {rest}}}\n"
    )
}

fn app(name: &str) -> String {
    format!("podSelector: {{matchLabels: {{app: {name}}}}}")
}

fn workload(name: &str) -> String {
    format!("workload: {{kind: Deployment, name: {name}}}")
}

/// `web` may reach `api` on 8080, which admits namespaces of the team `team`; nothing else passes.
fn policies(namespace: &str, team: &str) -> [String; 2] {
    let web = objects::policy(
        namespace,
        "web",
        "podSelector: {matchLabels: {app: web, tier: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]",
    );
    let api = objects::policy(
        namespace,
        "api",
        &format!(
            "podSelector: {{matchLabels: {{app: api}}}}, policyTypes: [Ingress], ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{team: {team}}}}}, podSelector: {{matchLabels: {{app: web}}}}}}], ports: [{{port: 8080}}]}}]"
        ),
    );
    [web, api]
}

/// The Deployment whose pods the policy selects.
fn web(namespace: &str) -> String {
    objects::deployment(namespace, "web").replace("{app: web}}, spec", "{app: web, tier: front}}, spec")
}

/// A namespace in which `web` talks to `api`, and a row that says so.
fn shop(kubectl: &Kubectl, namespace: &str) {
    kubectl.namespace(namespace, &[("team", namespace)]);
    let [egress, ingress] = policies(namespace, namespace);
    kubectl.apply(&(objects::baseline(namespace) + &egress + &ingress)).passes();
    kubectl.apply(&(web(namespace) + &objects::deployment(namespace, "api"))).passes();
    until_pods(kubectl, namespace, 2);
    let row =
        assertion(namespace, "web-reaches-api", &workload("web"), &app("api"), "ports: [{port: 8080}], expect: Allow");
    kubectl.apply(&row).passes();
    until_phase(kubectl, namespace, "web-reaches-api", "Holds");
}

fn until_phase(kubectl: &Kubectl, namespace: &str, name: &str, phase: &str) -> serde_json::Value {
    until(&format!("{name} is {phase}"), || {
        let found = kubectl.get(&["-n", namespace, "connectivityassertion", name]).ok_or("there is none")?;
        if found["status"]["phase"] == phase { Ok(found) } else { Err(found["status"].to_string()) }
    })
}

fn changes_that_would_break_a_row_are_refused(suite: &Suite) {
    let kubectl = suite.kubectl();
    shop(&kubectl, "asserted");
    let row = "assertion asserted/web-reaches-api expects Allow and would not hold";
    let [web, api] = policies("asserted", "asserted");

    let denial = kubectl.apply(&web.replace("8080", "9090")).denied("broken-assertion", row);
    assert!(denial.stderr.contains("egress of Deployment asserted/web"), "{denial}");
    kubectl.run(&["-n", "asserted", "delete", "networkpolicy", "api"]).denied("broken-assertion", row);
    kubectl.apply(&objects::deployment("asserted", "web")).denied("broken-assertion", row);
    let label = kubectl.run(&["label", "namespace", "asserted", "--overwrite", "team=other"]);
    label.denied("broken-assertion", row);

    // The way out that is printed is one.
    kubectl.denied_then_cured(&api.replace("8080", "9090"), "broken-assertion", row);
    until_phase(&kubectl, "asserted", "web-reaches-api", "Holds");
    kubectl.run(&["-n", "asserted", "delete", "connectivityassertion", "web-reaches-api"]).passes();
    until("the row is forgotten", || {
        let outcome = kubectl.run(&["label", "namespace", "asserted", "--overwrite", "--dry-run=server", "team=other"]);
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
}

fn the_status_follows_and_kubectl_shows_the_matrix(suite: &Suite) {
    let kubectl = suite.kubectl();
    shop(&kubectl, "matrix");
    let shut = assertion("matrix", "api-is-kept-from-web", &app("api"), &app("web"), "expect: Deny");
    kubectl.apply(&shut).passes();
    // Written down before it is so: let in with a warning.
    let wish = assertion("matrix", "api-reaches-web", &app("api"), &app("web"), "ports: [{port: 80}], expect: Allow");
    kubectl.apply(&wish).warns("broken-assertion", "api-reaches-web");
    kubectl
        .run(&["-n", "matrix", "wait", "--for=condition=Holds", "--timeout=60s", "cassert/api-is-kept-from-web"])
        .passes();
    let broken = until_phase(&kubectl, "matrix", "api-reaches-web", "Broken");
    let message = broken["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("egress of Deployment matrix/api and ingress of Deployment matrix/web refuse"),
        "{message}"
    );
    assert_eq!(broken["status"]["policies"], serde_json::json!(["matrix/allow-dns", "matrix/default-deny"]));
    let shown = kubectl.run(&["-n", "matrix", "get", "connectivityassertions"]).passes().stdout;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "FROM", "TO", "PORTS", "EXPECT", "STATUS", "SINCE"], "{shown}");
    let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no {name}:\n{shown}"));
    assert_eq!(
        row("api-is-kept-from-web")[1..7],
        ["matrix/app=api", "matrix/app=web", "every", "port", "Deny", "Holds"]
    );
    assert_eq!(
        row("web-reaches-api")[1..7],
        ["matrix/Deployment/web", "matrix/app=api", "TCP", "8080", "Allow", "Holds"]
    );
    assert_eq!(row("api-reaches-web")[5..7], ["Allow", "Broken"]);

    // It would open what the other row wants shut.
    let open = |direction: &str, side: &str, of: &str, other: &str| {
        objects::policy(
            "matrix",
            &format!("{of}-{side}"),
            &format!(
                "podSelector: {{matchLabels: {{app: {of}}}}}, policyTypes: [{direction}], {}: [{{{side}: [{{podSelector: {{matchLabels: {{app: {other}}}}}}}], ports: [{{port: 80}}]}}]",
                direction.to_lowercase()
            ),
        )
    };
    kubectl.apply(&open("Egress", "to", "api", "web")).passes();
    let ingress = open("Ingress", "from", "web", "api");
    let denial = until("the first half is known", || {
        let outcome = kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &ingress);
        if outcome.is_denied() { Ok(outcome) } else { Err(outcome.to_string()) }
    });
    denial.denied("broken-assertion", "assertion matrix/api-is-kept-from-web expects Deny");
    kubectl.run(&["-n", "matrix", "delete", "connectivityassertion", "api-is-kept-from-web"]).passes();
    until("the row is forgotten", || {
        let outcome = kubectl.apply(&ingress);
        if outcome.ok { Ok(()) } else { Err(outcome.to_string()) }
    });
    kubectl
        .run(&["-n", "matrix", "wait", "--for=condition=Holds", "--timeout=60s", "cassert/api-reaches-web"])
        .passes();
    let found = until_phase(&kubectl, "matrix", "api-reaches-web", "Holds");
    assert_eq!(found["status"]["observedGeneration"], found["metadata"]["generation"]);
}

fn a_row_of_a_namespace_only_warns_elsewhere(suite: &Suite) {
    let kubectl = suite.kubectl();
    shop(&kubectl, "tenant");
    kubectl.namespace("neighbour", &[]);
    let allow = |port: u16| {
        objects::policy(
            "neighbour",
            "db",
            &format!(
                "podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{team: tenant}}}}}}], ports: [{{port: {port}}}]}}]"
            ),
        )
    };
    kubectl.apply(&(objects::baseline("neighbour") + &allow(5432) + &objects::deployment("neighbour", "db"))).passes();
    let egress = "podSelector: {matchLabels: {app: api}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 5432}]}]";
    kubectl.apply(&objects::policy("tenant", "api-db", egress)).passes();
    until_pods(&kubectl, "neighbour", 1);
    let to = "workload: {kind: Deployment, name: db, namespace: neighbour}";
    let row = assertion("tenant", "api-reaches-db", &app("api"), to, "ports: [{port: 5432}], expect: Allow");
    kubectl.apply(&row).passes();
    until_phase(&kubectl, "tenant", "api-reaches-db", "Holds");
    kubectl.apply(&allow(5433)).warns("broken-assertion", "tenant/api-reaches-db");
    until_phase(&kubectl, "tenant", "api-reaches-db", "Broken");
    kubectl.apply(&allow(5432)).passes_silently();
    until_phase(&kubectl, "tenant", "api-reaches-db", "Holds");
    // Those who run the cluster can ask for it everywhere.
    let cluster = format!(
        "---\napiVersion: portcullis.dev/v1alpha1\nkind: ClusterConnectivityAssertion\nmetadata: {{name: tenant-reaches-db}}\nspec: {{from: {{workload: {{kind: Deployment, name: api, namespace: tenant}}}}, to: {{{to}}}, ports: [{{port: 5432}}], expect: Allow}}\n"
    );
    kubectl.apply(&cluster).passes();
    kubectl.run(&["wait", "--for=condition=Holds", "--timeout=60s", "ccassert/tenant-reaches-db"]).passes();
    kubectl.apply(&allow(5433)).denied("broken-assertion", "cluster assertion tenant-reaches-db");
    kubectl.run(&["delete", "ccassert", "tenant-reaches-db"]).passes();
}

fn a_row_about_nobody_is_no_pass(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("nobody", &[]);
    let typo = assertion("nobody", "typo", &workload("wbe"), &app("api"), "expect: Deny");
    kubectl.apply(&typo).warns("broken-assertion", "says nothing");
    let vacuous = until_phase(&kubectl, "nobody", "typo", "Vacuous");
    let condition = |found: &serde_json::Value, kind: &str| {
        let all = found["status"]["conditions"].as_array().unwrap().clone();
        all.into_iter().find(|c| c["type"] == kind).unwrap()
    };
    assert_eq!(condition(&vacuous, "Holds")["status"], "False");
    assert_eq!(condition(&vacuous, "Matched")["reason"], "Nobody");
    kubectl.apply(&objects::baseline("nobody")).passes();
    let early = assertion("nobody", "early", &app("web"), &app("api"), "expect: Deny");
    kubectl.apply(&early).warns("broken-assertion", "not there yet");
    let holds = until_phase(&kubectl, "nobody", "early", "Holds");
    assert_eq!(condition(&holds, "Matched")["reason"], "NoPodsYet");
}

fn what_makes_no_sense_is_refused_by_the_schema(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("senseless", &[]);
    let refused = |from: &str, to: &str, rest: &str, says: &str| {
        let outcome: Outcome = kubectl.apply(&assertion("senseless", "row", from, to, rest));
        assert!(!outcome.ok && outcome.stderr.contains(says), "{outcome}");
    };
    let one = "give exactly one of podSelector and namespaceSelector, workload, cidr, or world";
    refused("podSelector: {}, world: true", &app("api"), "expect: Deny", one);
    refused(&app("web"), &app("api"), "ports: [{port: 80, endPort: 79}], expect: Deny", "must not be below it");
    refused(&app("web"), "world: true", "ports: [{port: https}], expect: Deny", "addresses have no port names");
    refused(&app("web"), &app("api"), "expect: Perhaps", "supported values: \"Allow\", \"Deny\"");
}
