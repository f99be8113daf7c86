//! Namespaces: who may take one out of enforcement, and that nothing keeps one from going away.

use crate::cases::decisions::until_pods;
use crate::support::{Kubectl, Suite, cases, objects, until};

cases![
    only_who_may_edit_house_rules_may_lower_a_namespace,
    only_who_may_edit_house_rules_may_create_a_lowered_namespace,
    a_namespace_goes_away_with_everything_in_it,
];

/// A user who may edit namespaces, and house rules as well if so wished.
fn user(kubectl: &Kubectl, name: &str, house_rules: bool) -> Kubectl {
    let mut rules =
        r#"[{apiGroups: [""], resources: [namespaces], verbs: [create, get, list, update, patch]}"#.to_owned();
    if house_rules {
        rules += ", {apiGroups: [portcullis.dev], resources: [houserules], verbs: [update]}";
    }
    let yaml = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: e2e-{name}}}\nrules: {rules}]\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: e2e-{name}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-{name}}}\n\
         subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {name}}}]\n"
    );
    kubectl.apply(&yaml).passes();
    let user = kubectl.as_user(name);
    until("its permissions count", || {
        let may = user.run(&["auth", "can-i", "patch", "namespaces"]);
        if may.ok { Ok(()) } else { Err(may.to_string()) }
    });
    user
}

fn only_who_may_edit_house_rules_may_lower_a_namespace(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (developer, guardian) = (user(&kubectl, "developer", false), user(&kubectl, "guardian", true));
    kubectl.namespace("flip", &[]);
    let lower = |who: &Kubectl| who.run(&["label", "namespace", "flip", "portcullis.dev/enforce=none"]);
    let raise = |who: &Kubectl| who.run(&["label", "namespace", "flip", "portcullis.dev/enforce-"]);
    let denial = lower(&developer);
    assert!(denial.is_denied(), "{denial}");
    assert!(denial.stderr.contains("admission webhook \"namespaces.portcullis.dev\" denied the request"), "{denial}");
    assert!(denial.stderr.contains("developer may not update houserules.portcullis.dev"), "{denial}");
    developer.run(&["label", "namespace", "flip", "team=shop"]).passes_silently();
    lower(&guardian).passes();
    raise(&developer).passes();
    lower(&kubectl).passes();
    let labels = kubectl.get(&["namespace", "flip"]).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["portcullis.dev/enforce"], "none");
    // And it has the effect that it says.
    until("the label counts", || {
        let outcome =
            kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &objects::deployment("flip", "web"));
        if outcome.ok { Ok(outcome) } else { Err(outcome.to_string()) }
    })
    .warns("missing-default-deny", "");
}

fn only_who_may_edit_house_rules_may_create_a_lowered_namespace(suite: &Suite) {
    let kubectl = suite.kubectl();
    let (tenant, warden) = (user(&kubectl, "tenant", false), user(&kubectl, "warden", true));
    let lowered =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: born-low, labels: {portcullis.dev/enforce: none}}\n";
    let create = |who: &Kubectl, yaml: &str| who.run_with_input(&["create", "-f", "-"], yaml);
    let denial = create(&tenant, lowered);
    assert!(denial.is_denied(), "{denial}");
    assert!(denial.stderr.contains("tenant may not update houserules.portcullis.dev"), "{denial}");
    // Every other namespace is its creator's own affair, whatever its labels.
    create(&tenant, "apiVersion: v1\nkind: Namespace\nmetadata: {name: born-plain, labels: {team: shop}}\n").passes();
    let same_level =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: born-default, labels: {portcullis.dev/enforce: default}}\n";
    create(&tenant, same_level).passes();
    create(&warden, lowered).passes();
}

fn a_namespace_goes_away_with_everything_in_it(suite: &Suite) {
    let kubectl = suite.kubectl();
    kubectl.namespace("leaving", &[]);
    kubectl.apply(&objects::baseline("leaving")).passes();
    kubectl.apply(&objects::deployment("leaving", "web")).passes();
    kubectl.apply(&objects::pod("leaving", "bare", &[("app", "bare")])).passes();
    until_pods(&kubectl, "leaving", 2);
    kubectl.run(&["delete", "namespace", "leaving", "--wait=false"]).passes_silently();
    until("the namespace is gone", || match kubectl.get(&["namespace", "leaving"]) {
        None => Ok(()),
        Some(left) => Err(left["status"].to_string()),
    });
}
