//! Input as bad as it comes, through the real routes and the real gate: each has its answer, and nothing passes by accident.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis::admission::Fixed;
use portcullis::serve::{DecisionMetrics, GateReviewer, Limits, Metrics, Shutdown, new_registry, webhook_router};
use portcullis::source::files::Files;
use serde_json::{Value, json};
use tower::ServiceExt;

#[path = "bad_input/envelope.rs"]
mod envelope;
#[path = "bad_input/golden.rs"]
mod golden;
#[path = "bad_input/policies.rs"]
mod policies;

/// A namespace without policies, one with what it needs, and cluster DNS.
const CLUSTER: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: open}
---
apiVersion: v1
kind: Namespace
metadata: {name: closed}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system, labels: {kubernetes.io/metadata.name: kube-system}}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: dns, image: dns}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: closed, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: closed}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-dns, namespace: closed}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
      ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-web, namespace: closed}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]
";

/// The routes of a server in front of that cluster.
fn routes() -> Router {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("cluster.yaml");
    std::fs::write(&path, CLUSTER).unwrap();
    let files = Files::read(&[path], "default");
    assert!(files.errors.is_empty());
    let mut registry = new_registry();
    let decisions = DecisionMetrics::register(&mut registry);
    let cluster = Arc::new(Fixed::for_tenants(files.world()));
    let reviewer = Arc::new(GateReviewer::new(cluster, decisions, Arc::new(|| None)).unwrap());
    webhook_router(reviewer, Limits::default(), Metrics::register(&mut registry), Shutdown::new()).unwrap()
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    text: String,
}

impl Answer {
    fn response(&self) -> Option<Value> {
        let review: Value = serde_json::from_str(&self.text).ok()?;
        assert_eq!(
            (&review["kind"], &review["apiVersion"]),
            (&json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
        );
        Some(review["response"].clone())
    }
}

async fn send(routes: &Router, content_type: &str, body: impl Into<Body>) -> Answer {
    let request =
        Request::post("/v1/review?timeout=10s").header("content-type", content_type).body(body.into()).unwrap();
    let (head, body) = routes.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// What must come back.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// No review at all: this status, saying this.
    Http(u16, &'static str),
    /// A review that refuses, with a status of this code that says this.
    Refused(u16, &'static str),
    /// A review that allows, with a warning that says this.
    Warned(&'static str),
    /// A review that allows without a word.
    Allowed,
}

/// Whether the answer is the expected one; if not, both.
fn compare(name: &str, answer: &Answer, expected: Expected) -> Result<(), String> {
    let response = answer.response();
    let says = |text: &Value, says: &str| text.as_str().is_some_and(|text| text.contains(says));
    let fits = match (expected, &response) {
        (Expected::Http(status, text), None) => answer.status.as_u16() == status && answer.text.contains(text),
        (Expected::Http(..), Some(_)) | (_, None) => false,
        (expected, Some(response)) => {
            let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
            let decided = match expected {
                Expected::Refused(code, text) => {
                    let status = &response["status"];
                    response["allowed"] == false && status["code"] == code && says(&status["message"], text)
                }
                Expected::Warned(text) => response["allowed"] == true && warnings.iter().any(|w| says(w, text)),
                _ => response["allowed"] == true && warnings.is_empty(),
            };
            answer.status == StatusCode::OK && response["uid"] == "u-1" && decided
        }
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{name}: expected {expected:?}, got {} {:.1500}", answer.status, answer.text))
    }
}

#[track_caller]
fn check(name: &str, answer: &Answer, expected: Expected) {
    if let Err(wrong) = compare(name, answer, expected) {
        panic!("{wrong}");
    }
}

/// Sends every body and shows all wrong answers at once.
async fn check_all<B: Into<Body>>(cases: Vec<(&str, B, Expected)>) {
    let routes = routes();
    let mut wrong = Vec::new();
    for (name, body, expected) in cases {
        let answer = send(&routes, "application/json", body).await;
        wrong.extend(compare(name, &answer, expected).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A review of this object, in the namespace that it names.
fn review(operation: &str, object: &Value) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or("v1");
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (object, old) = match operation {
        "DELETE" => (&Value::Null, object),
        "UPDATE" => (object, object),
        _ => (object, &Value::Null),
    };
    let named = if object.is_null() { old } else { object };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": group, "version": version, "kind": named["kind"]},
            "name": named["metadata"]["name"].as_str().unwrap_or(""),
            "namespace": named["metadata"]["namespace"].as_str().unwrap_or(""),
            "operation": operation,
            "userInfo": {"username": "ann", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

/// The folder of this repository.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deployment(namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
    })
}

fn text(review: &Value) -> String {
    review.to_string()
}

#[tokio::test]
async fn a_good_review_is_the_measure() {
    let routes = routes();
    for (namespace, expected) in [
        ("closed", Expected::Allowed),
        ("open", Expected::Refused(403, "no default deny for Ingress in namespace open")),
    ] {
        let answer = send(&routes, "application/json", text(&review("CREATE", &deployment(namespace)))).await;
        check(namespace, &answer, expected);
    }
}

#[tokio::test]
async fn what_is_no_review() {
    let routes = routes();
    let good = text(&review("CREATE", &deployment("open")));
    for kind in ["text/plain", "application/yaml", "application/jsonx", "application/vnd.kubernetes.protobuf", ""] {
        check(kind, &send(&routes, kind, good.clone()).await, Expected::Http(415, "application/json"));
    }
    let mut latin = good.clone().into_bytes();
    let at = good.find("ann").unwrap();
    latin[at] = 0xe4;
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("nothing", Vec::new(), Expected::Http(400, "EOF")),
        ("blanks", b" \n ".to_vec(), Expected::Http(400, "EOF")),
        ("prose", b"hello".to_vec(), Expected::Http(400, "expected")),
        ("YAML", b"apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n".to_vec(), Expected::Http(400, "expected")),
        ("null", b"null".to_vec(), Expected::Http(400, "AdmissionReview")),
        ("a list", b"[]".to_vec(), Expected::Http(400, "AdmissionReview")),
        ("a string", b"\"AdmissionReview\"".to_vec(), Expected::Http(400, "AdmissionReview")),
        ("an empty object", b"{}".to_vec(), Expected::Http(400, "AdmissionReview")),
        ("a byte order mark", [b"\xef\xbb\xbf", good.as_bytes()].concat(), Expected::Http(400, "")),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), Expected::Http(400, "")),
        ("a zero byte", b"\0".to_vec(), Expected::Http(400, "expected")),
        ("deep lists", b"[".repeat(100_000), Expected::Http(400, "")),
        ("deep objects", br#"{"a":"#.repeat(100_000), Expected::Http(400, "")),
        ("invalid UTF-8", latin, Expected::Refused(400, "not UTF-8")),
        ("33 MiB", vec![b' '; 33 << 20], Expected::Http(413, "")),
    ];
    check_all(cases).await;
    for cut in (1..good.len()).step_by(7) {
        let answer = send(&routes, "application/json", good[..cut].to_owned()).await;
        let refused =
            answer.response().map(|response| response["allowed"] == false && response["status"]["code"] == 400);
        assert!(refused.unwrap_or(answer.status == StatusCode::BAD_REQUEST), "cut at {cut}: {answer:?}");
    }
    let answer = send(&routes, "application/json", good.clone() + " trailing").await;
    check("trailing text", &answer, Expected::Refused(400, "trailing characters"));
    let two = format!("{good}{good}");
    check("two reviews", &send(&routes, "application/json", two).await, Expected::Refused(400, "trailing characters"));
}

#[tokio::test]
async fn large_objects_are_judged_like_small_ones() {
    let routes = routes();
    for (namespace, expected) in
        [("closed", Expected::Allowed), ("open", Expected::Refused(403, "missing-default-deny"))]
    {
        let mut object = deployment(namespace);
        object["metadata"]["annotations"] = json!({"note": "<&>".repeat(1 << 20)});
        let answer = send(&routes, "application/json", text(&review("UPDATE", &object))).await;
        // The same violation before and after is not this change's.
        let expected = if namespace == "open" { Expected::Warned("missing-default-deny") } else { expected };
        check(namespace, &answer, expected);
    }
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "open"}, "data": {"a": "x".repeat(3 << 20)}});
    let answer = send(&routes, "application/json", text(&review("CREATE", &config_map))).await;
    check("ConfigMap", &answer, Expected::Warned("does not judge ConfigMap"));
    let mut wide = deployment("open");
    // Beyond the ceiling of what is read there are more than etcd stores.
    for (labels, rule) in [(20_000, "missing-default-deny"), (100_000, "too-large")] {
        wide["spec"]["template"]["metadata"]["labels"] =
            (0..labels).map(|n| (format!("label-{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
        let answer = send(&routes, "application/json", text(&review("CREATE", &wide))).await;
        check(&format!("{labels} labels"), &answer, Expected::Refused(403, rule));
    }
}
