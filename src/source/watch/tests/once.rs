//! A cluster that is read once: pages, kinds that are forbidden or not there, and servers that do not answer.

use super::*;
use crate::source::files::Files;
use crate::source::watch::OnceError;
use crate::source::watch::script::{Act, page, status};

fn groups(names: &[&str]) -> String {
    let version = |name: &str| match name {
        "portcullis.dev" => "v1alpha1",
        "cilium.io" => "v2",
        _ => "v1",
    };
    let group = |name: &&str| json!({"name": name, "versions": [{"version": version(name)}], "preferredVersion": {"version": version(name)}});
    json!({ "groups": names.iter().map(group).collect::<Vec<_>>() }).to_string()
}

/// A server with the usual groups and these besides.
fn server(more: &[&str]) -> Script {
    let script = small();
    let names = [&["apps", "batch", "networking.k8s.io", "portcullis.dev"], more].concat();
    script.then("list apis", Act::Answer(200, groups(&names)));
    script
}

async fn read(script: &Script) -> Result<Files, OnceError> {
    Files::of_cluster(&script.client()).await
}

fn names(files: &Files) -> Vec<String> {
    files.objects.iter().map(|located| located.object.id().to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_kind_is_read_page_by_page() {
    let script = Script::default();
    script
        .then("list apis", Act::Answer(200, groups(&["apps", "networking.k8s.io", "portcullis.dev"])))
        .list("namespaces", "1", &[plain("a", "1")])
        .then("list pods", Act::Answer(200, page("1", "next", &[pod("a", "p1", "1", "web")])))
        .then("list pods", Act::Answer(200, page("1", "", &[pod("a", "p2", "1", "web")])))
        .list("networkpolicies", "1", &[policy("a", "deny", "1")])
        .list("houserules", "1", &[json!({"metadata": {"name": "all"}, "spec": {}})]);
    let files = read(&script).await.unwrap();
    assert_eq!(names(&files), ["NetworkPolicy a/deny", "Namespace a", "Pod a/p1", "Pod a/p2"]);
    assert!(files.omitted.is_empty() && files.errors.is_empty());
    let world = files.world();
    assert_eq!(world.house.rules.len(), 1);
    assert_eq!(world.snapshot.namespace("a").unwrap().classes().len(), 2, "pods of their own");
    assert!(files.objects.iter().all(crate::source::files::Located::is_live));
    assert_eq!(script.asked("list pods").len(), 2);
    assert!(script.asked("list jobs").is_empty(), "a group that the server does not have is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_took_too_long_is_begun_again_in_one_piece() {
    let script = Script::default();
    script
        .then("list apis", Act::Answer(200, groups(&["networking.k8s.io"])))
        .then("list pods", Act::Answer(200, page("1", "next", &[pod("a", "p1", "1", "web")])))
        .fail("list pods", 410)
        .then("list pods", Act::Answer(200, page("2", "", &[pod("a", "p1", "1", "web"), pod("a", "p2", "1", "web")])));
    let files = read(&script).await.unwrap();
    assert_eq!(names(&files), ["Pod a/p1", "Pod a/p2"]);
    assert!(script.asked("list pods").last().unwrap().ends_with("?limit=0"));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_said_and_what_is_needed_is_demanded() {
    let script = server(&[]);
    script.fail("list deployments", 403).fail("list houserules", 404);
    let files = read(&script).await.unwrap();
    let said: Vec<String> = files.omitted.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "Deployment could not be read (says 403): the answer is without them; they need the verb list on deployments.apps"
        ]
    );
    let script = Script::default();
    script.then("list apis", Act::Answer(200, groups(&["networking.k8s.io"]))).fail("list networkpolicies", 403);
    let error = read(&script).await.unwrap_err().to_string();
    assert!(error.contains("without NetworkPolicy no answer would be true"), "{error}");
    assert!(error.contains("kubectl auth can-i list networkpolicies.networking.k8s.io -A"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn policies_of_other_kinds_are_never_passed_over() {
    let script = server(&["cilium.io"]);
    let resources = json!({"resources": [
        {"name": "ciliumendpoints", "kind": "CiliumEndpoint"},
        {"name": "ciliumfuturenetworkpolicies", "kind": "CiliumFutureNetworkPolicy"},
        {"name": "ciliumfuturenetworkpolicies/status", "kind": "CiliumFutureNetworkPolicy"},
    ]});
    script.then("list v2", Act::Answer(200, resources.to_string())).list(
        "ciliumfuturenetworkpolicies",
        "1",
        &[json!({"metadata": {"name": "l7", "namespace": "a"}, "spec": {}})],
    );
    let files = read(&script).await.unwrap();
    assert!(names(&files).contains(&"CiliumFutureNetworkPolicy a/l7".to_owned()), "{:?}", names(&files));
    assert!(script.asked("list ciliumendpoints").is_empty());
}

#[tokio::test(start_paused = true)]
async fn old_replica_sets_of_a_deployment_do_not_count() {
    let script = server(&[]);
    let set = |name: &str, owner: &Value| {
        json!({
            "metadata": {"name": name, "namespace": "a", "ownerReferences": owner},
            "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}},
        })
    };
    let deployment = json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    script.list("replicasets", "1", &[set("web-5d8", &deployment), set("alone", &json!([]))]);
    let files = read(&script).await.unwrap();
    let sets: Vec<String> = names(&files).into_iter().filter(|name| name.starts_with("ReplicaSet")).collect();
    assert_eq!(sets, ["ReplicaSet a/alone"]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_an_error_and_one_that_is_busy_is_asked_again() {
    let script = Script::default();
    script.then("list apis", Act::Silence);
    let error = read(&script).await.unwrap_err();
    assert!(matches!(error, OnceError::Unreachable(_)), "{error}");
    let script = Script::default();
    script.then("list apis", Act::Answer(401, status(401)));
    assert!(matches!(read(&script).await.unwrap_err(), OnceError::Unauthorized(_)));
    let script = server(&[]);
    script.usually("list deployments", 503, status(503));
    let files = read(&script).await.unwrap();
    assert_eq!(script.asked("list deployments").len(), 3);
    assert_eq!(files.omitted.len(), 1, "it never answered, and that is said");
}

#[tokio::test(start_paused = true)]
async fn what_the_network_is_and_does_is_read_as_well() {
    let agents = |wanted: u32| {
        let template = json!({ "metadata": { "labels": { "k8s-app": "cilium" } }, "spec": {} });
        json!({
            "metadata": { "name": "cilium", "namespace": "kube-system" },
            "spec": { "template": template }, "status": { "desiredNumberScheduled": wanted },
        })
    };
    let node = json!({
        "metadata": { "name": "n1" },
        "status": { "conditions": [{ "type": "NetworkUnavailable", "reason": "CiliumIsUp" }] },
    });
    let config = json!({
        "metadata": { "name": "cilium-config", "namespace": "kube-system" }, "data": { "enable-policy": "always" },
    });
    let script = server(&["crd.projectcalico.org"]);
    script.list("daemonsets", "1", &[agents(0)]).list("nodes", "1", &[node]).list("configmaps", "1", &[config]);
    let network = read(&script).await.unwrap().world().snapshot.network();
    let said = "enable-policy is always, by ConfigMap kube-system/cilium-config";
    assert_eq!(network, format!("Cilium, by the condition NetworkUnavailable (CiliumIsUp) of node n1; {said}"));
    assert_eq!(script.asked("list nodes"), ["list nodes?limit=20"]);

    let script = server(&["crd.projectcalico.org"]);
    script.list("daemonsets", "1", &[agents(3)]).fail("list nodes", 403).fail("list configmaps", 403);
    let files = read(&script).await.unwrap();
    assert_eq!((files.cilium_omitted.as_deref(), files.omitted.len()), (Some("says 403"), 0));
    let network = files.world().snapshot.network();
    let said = "enable-policy is taken for default, for want of its configuration";
    assert_eq!(network, format!("Cilium, by the agents of DaemonSet kube-system/cilium; {said}"));
    let script = server(&["crd.projectcalico.org"]);
    let network = read(&script).await.unwrap().world().snapshot.network();
    assert_eq!(network, "Calico, by the CustomResourceDefinitions of crd.projectcalico.org alone");
}
