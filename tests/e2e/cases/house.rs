//! HouseRules and RuleException: changed on a running cluster, they take effect without anybody restarting anything.

use crate::support::{Kubectl, Outcome, Suite, cases, objects, until};

cases![
    levels_follow_the_house_rules,
    exemptions_are_by_exact_name,
    an_exception_lifts_one_rule_until_it_ends,
    the_status_counts_what_stands_against_the_rules,
    ; alone: without_house_rules_the_defaults_hold,
];

/// House rules for the namespaces of one team.
fn house_rules(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {{name: {name}}}\nspec: {{namespaceSelector: {{matchLabels: {{team: {name}}}}}, {spec}}}\n"
    )
}

fn try_out(kubectl: &Kubectl, yaml: &str) -> Outcome {
    kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], yaml)
}

fn until_outcome(what: &str, kubectl: &Kubectl, yaml: &str, wanted: impl Fn(&Outcome) -> bool) -> Outcome {
    until(what, || {
        let outcome = try_out(kubectl, yaml);
        if wanted(&outcome) { Ok(outcome) } else { Err(outcome.to_string()) }
    })
}

fn levels_follow_the_house_rules(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("levels", &[("team", "levels")]);
    let web = objects::deployment("levels", "web");
    try_out(&kubectl, &web).denied("missing-default-deny", "built-in default");
    let set = |level: &str| {
        kubectl
            .apply(&house_rules("levels", &format!("rules: {{missing-default-deny: {{level: \"{level}\"}}}}")))
            .passes();
    };
    set("warn");
    let warned = until_outcome("warn", &kubectl, &web, |o| o.ok && !o.warnings().is_empty());
    warned.warns("missing-default-deny", "");
    set("off");
    until_outcome("off", &kubectl, &web, |o| o.ok && o.warnings().is_empty());
    set("enforce");
    let denied = until_outcome("enforce", &kubectl, &web, Outcome::is_denied);
    denied.denied("missing-default-deny", "Level: enforce (HouseRules/levels)");
    // The base rules of the suite hold everywhere, so without these the default counts again.
    kubectl.run(&["delete", "houserules", "levels"]).passes();
    let denied = until_outcome("the default again", &kubectl, &web, |o| !o.stderr.contains("HouseRules/levels"));
    denied.denied("missing-default-deny", "built-in default");
    let wrong = kubectl.apply(&house_rules("levels", "rules: {missing-default-deny: {level: block}}"));
    assert!(!wrong.ok && wrong.stderr.contains("Unsupported value"), "{wrong}");
}

fn exemptions_are_by_exact_name(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("exempted", &[("team", "exempted")]);
    let exempt = "exempt: {users: [release-robot], workloadSelector: {matchLabels: {legacy: \"true\"}}}";
    kubectl.apply(&house_rules("exempted", exempt)).passes();
    let role = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: robots, namespace: exempted}\n\
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}\n\
                subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: release-robot}, {apiGroup: rbac.authorization.k8s.io, kind: User, name: release-robot-2}]\n";
    kubectl.apply(role).passes();
    let web = objects::deployment("exempted", "web");
    let legacy = web.replace("labels: {app: web}", "labels: {app: web, legacy: \"true\"}");
    until_outcome("the exemption of a label", &kubectl, &legacy, |o| o.ok);
    try_out(&kubectl, &web).denied("missing-default-deny", "namespace exempted");
    until_outcome("the robot's permissions", &kubectl.as_user("release-robot"), &web, |o| o.ok).passes_silently();
    let other =
        until_outcome("the other robot's permissions", &kubectl.as_user("release-robot-2"), &web, Outcome::is_denied);
    other.denied("missing-default-deny", "namespace exempted");
}

fn an_exception_lifts_one_rule_until_it_ends(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("excepted", &[]);
    kubectl.namespace("excepted-not", &[]);
    let exception = |namespace: &str, name: &str, expires: &str| {
        format!(
            "---\napiVersion: portcullis.dev/v1alpha1\nkind: RuleException\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{rules: [missing-default-deny], targets: {{namespaces: [excepted]}}, reason: \"moves next week\", expires: \"{expires}\"}}\n"
        )
    };
    let web = objects::deployment("excepted", "web");
    // Anybody may write objects into namespaces of their own; only those in Portcullis's own count.
    kubectl.apply(&exception("excepted", "smuggled", "2099-01-01T00:00:00Z")).passes();
    kubectl.apply(&exception("portcullis", "expired", "2020-01-01T00:00:00Z")).passes();
    kubectl.apply(&exception("portcullis", "given", "2099-01-01T00:00:00Z")).passes();
    until_outcome("the exception counts", &kubectl, &web, |o| o.ok).passes_silently();
    kubectl.apply(&web).passes_silently();
    let record = until("the audit log has it", || {
        let lines = suite.plane().audit("/namespaces/excepted/deployments");
        let annotation = |line: &serde_json::Value| {
            line["annotations"]["houserules.portcullis.dev/lifted"].as_str().map(str::to_owned)
        };
        lines.iter().rev().find_map(annotation).ok_or_else(|| "no annotation".to_owned())
    });
    assert!(record.contains("RuleException/portcullis/given") && record.contains("moves next week"), "{record}");
    try_out(&kubectl, &objects::deployment("excepted-not", "web")).denied("missing-default-deny", "excepted-not");
    kubectl.run(&["-n", "portcullis", "delete", "ruleexception", "given"]).passes();
    // The other two are still there, and neither counts.
    let api = objects::deployment("excepted", "api");
    until_outcome("the exception is gone", &kubectl, &api, Outcome::is_denied);
}

/// Deleting the last object must not be a way to switch the rules off.
fn without_house_rules_the_defaults_hold(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("no-house", &[]);
    let web = objects::deployment("no-house", "web");
    let everywhere = |spec: &str| {
        format!(
            "apiVersion: portcullis.dev/v1alpha1\nkind: HouseRules\nmetadata: {{name: everywhere}}\nspec: {{{spec}}}\n"
        )
    };
    // Lowered first, so that the end of the objects is seen as one.
    kubectl.run(&["delete", "houserules", "--all"]).passes();
    kubectl.apply(&everywhere("rules: {missing-default-deny: {level: warn}}")).passes();
    until_outcome("warn", &kubectl, &web, |o| o.ok && !o.warnings().is_empty());
    kubectl.run(&["delete", "houserules", "--all"]).passes();
    assert!(kubectl.list(&["houserules"]).is_empty());
    until_outcome("the defaults", &kubectl, &web, Outcome::is_denied)
        .denied("missing-default-deny", "Level: enforce (built-in default)");
    kubectl.apply(&everywhere("")).passes();
}

fn the_status_counts_what_stands_against_the_rules(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("counted", &[("team", "counted")]);
    let spec = "rules: {missing-default-deny: {level: warn}, blocked-dns: {level: warn}}";
    kubectl.apply(&house_rules("counted", spec)).passes();
    let column = |path: &str| {
        let found = kubectl.get(&["houserules", "counted"]).unwrap();
        found.pointer(path).cloned().unwrap_or_default()
    };
    until("nothing stands against them", || match column("/status/violations") {
        value if value == 0 => Ok(()),
        other => Err(other.to_string()),
    });
    let pod = objects::pod("counted", "bare", &[("app", "bare")]);
    until_outcome("the level", &kubectl, &pod, |o| o.ok && !o.warnings().is_empty());
    kubectl.apply(&pod).passes();
    until("both directions are counted", || match column("/status/violations") {
        value if value == 2 => Ok(()),
        other => Err(other.to_string()),
    });
    let table = kubectl.run(&["get", "houserules", "counted"]).passes();
    assert!(table.stdout.contains("VIOLATIONS"), "{}", table.stdout);
    kubectl.apply(&objects::baseline("counted")).passes();
    until("they are mended", || match column("/status/violations") {
        value if value == 0 => Ok(()),
        other => Err(other.to_string()),
    });
}
