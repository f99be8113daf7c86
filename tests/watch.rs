//! A real API server is followed: objects come, change and go with kubectl, and the state follows.
//!
//! Needs a cluster: hack/kube/control-plane run DIR -- cargo test --test watch -- --ignored
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis::model::Str;
use portcullis::review::User;
use portcullis::source::lease::Candidate;
use portcullis::source::status;
use portcullis::source::watch::{Settings, Timing, Watched, client_config};
use tokio::time::Instant;

/// Runs kubectl with this on its standard input; `KUBECTL` names another binary.
fn kubectl(arguments: &[&str], input: &str) -> String {
    let binary = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let mut child = Command::new(binary)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl runs; set KUBECTL");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "kubectl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn apply(input: &str) {
    kubectl(&["apply", "-f", "-"], input);
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_mins(1), wait).await.is_ok(), "never happened: {what}");
}

const FIRST: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: blue } }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny, namespace: shop }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { containers: [{ name: c, image: example.invalid/i }] }
";

const RULES: &str = "
apiVersion: portcullis.dev/v1alpha1
kind: HouseRules
metadata: { name: strict }
spec:
  namespaceSelector: { matchLabels: { team: blue } }
  rules: { host-network: { level: enforce } }
---
apiVersion: portcullis.dev/v1alpha1
kind: RuleException
metadata: { name: passing, namespace: default }
spec: { rules: [blocked-dns], targets: { namespaces: [shop] }, reason: moving, expires: 2999-01-01T00:00:00Z }
---
apiVersion: portcullis.dev/v1alpha1
kind: RuleException
metadata: { name: smuggled, namespace: shop }
spec: { rules: [blocked-dns], targets: { namespaces: [shop] }, reason: moving, expires: 2999-01-01T00:00:00Z }
";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: hack/kube/control-plane run DIR -- cargo test --test watch -- --ignored"]
async fn the_state_follows_a_real_api_server() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = kube::Config::infer().await.expect("KUBECONFIG names a cluster");
    let client = kube::Client::try_from(client_config(config)).unwrap();
    let mut settings = Settings::new("default");
    // Several pages, several watches, and a quick look for definitions that come later.
    settings.timing =
        Timing { page: 2, watch: Duration::from_secs(5), look_again: Duration::from_millis(500), ..Timing::default() };
    let watched = Arc::new(Watched::start(client.clone(), settings));
    until("ready without definitions", || watched.not_ready().is_none()).await;
    assert!(watched.current().snapshot.namespace("kube-system").is_some_and(|state| state.is_known()));
    let present: Vec<_> = watched.numbers().kinds.into_iter().filter(|kind| !kind.absent).collect();
    assert!(present.iter().all(|kind| !kind.resource.is_optional()), "none of our definitions is there: {present:?}");

    kubectl(&["create", "namespace", "shop"], "");
    // A controller makes it, and without it no pod is let in.
    kubectl(&["wait", "-n", "shop", "serviceaccount/default", "--for=create", "--timeout=60s"], "");
    apply(FIRST);
    let state = || watched.current().snapshot.namespace_or_empty("shop");
    until("all is there", || {
        let state = state();
        state.is_known() && state.policies().count() == 1 && state.classes().len() == 1
    })
    .await;
    kubectl(&["label", "-n", "shop", "pod/web", "app=api", "--overwrite"], "");
    until("moved", || state().classes().iter().any(|class| class.pod().labels.get("app") == Some(&Str::from("api"))))
        .await;
    kubectl(&["label", "namespace/shop", "team=red", "--overwrite"], "");
    until("relabelled", || state().labels().get("team") == Some(&Str::from("red"))).await;
    kubectl(&["label", "namespace/shop", "team=blue", "--overwrite"], "");

    // Asked at once, a consistent read knows what the watch may not have seen yet.
    kubectl(&["delete", "-n", "shop", "networkpolicy/deny"], "");
    let world = watched.confirm("shop", Instant::now() + Duration::from_secs(10)).await.unwrap();
    assert_eq!(world.snapshot.namespace("shop").unwrap().policies().count(), 0);
    until("deleted", || state().policies().count() == 0).await;

    let crds = portcullis::api::crds_yaml().unwrap();
    apply(&crds);
    kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"], "");
    apply(RULES);
    until("house rules count", || {
        let house = &watched.current().house;
        house.rules.len() == 1 && house.exceptions.iter().map(|e| &*e.name).eq(["default/passing"])
    })
    .await;

    let writer = status::keep(
        client.clone(),
        Arc::clone(&watched),
        Candidate::new(client, "default", "portcullis", "me"),
        status::Violations::default(),
    );
    let writer = tokio::spawn(writer);
    let wait = |resource: &str, condition: &str, namespace: &str| {
        kubectl(&["wait", "-n", namespace, resource, &format!("--for=condition={condition}"), "--timeout=60s"], "")
    };
    wait("houserules/strict", "Accepted", "default");
    wait("ruleexception/passing", "Active", "default");
    wait("ruleexception/smuggled", "Active=False", "shop");
    let counted = kubectl(&["get", "houserules/strict", "-o", "jsonpath={.status.namespaces}"], "");
    assert_eq!(counted, "1");
    writer.abort();

    let user = |name: &str, groups: &[&str]| User {
        name: name.into(),
        groups: groups.iter().map(|group| Str::from(*group)).collect(),
        ..User::default()
    };
    assert!(watched.may_edit_house_rules(&user("root", &["system:masters"])).await.unwrap());
    assert!(!watched.may_edit_house_rules(&user("dev", &["system:authenticated"])).await.unwrap());

    // Bookmarks, or watches that end in good order: either way the state comes to be known as newer than this moment.
    let now = Instant::now();
    until("all kinds are known to be fresh", || {
        watched.numbers().kinds.iter().all(|kind| kind.age.is_some_and(|age| age < now.elapsed()))
    })
    .await;
    assert!(watched.numbers().kinds.iter().all(|kind| kind.relists <= 2 || kind.resource.is_optional()));
    assert_eq!(watched.not_ready(), None);
}
