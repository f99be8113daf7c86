//! The store against an API server made of routes: which calls it makes, and what it understands from the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::super::keeper::{Keeper, Next};
use super::super::{KubeStore, Served, Store, StoreError};
use super::settings;
use crate::serve::metrics::{Metrics, new_registry};

const SECRETS: &str = "/api/v1/namespaces/castle/secrets";
const CONFIGURATION: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/portcullis";

#[derive(Default)]
struct Cluster {
    secret: Option<Value>,
    configuration: Option<Value>,
    version: u64,
    patches: Vec<(String, Value)>,
    /// Answers every write with this instead.
    refuse: Option<(StatusCode, &'static str)>,
}

type Shared = Arc<Mutex<Cluster>>;

fn cluster() -> (KubeStore, Shared) {
    let shared = Shared::default();
    shared.lock().unwrap().configuration = Some(json!({
        "metadata": { "name": "portcullis", "resourceVersion": "7", "annotations": {} },
        "webhooks": [
            { "name": "houserules.portcullis.dev", "clientConfig": { "service": { "name": "portcullis", "namespace": "castle" } },
              "sideEffects": "None", "admissionReviewVersions": ["v1"] },
            { "name": "namespaces.portcullis.dev", "clientConfig": {}, "sideEffects": "None", "admissionReviewVersions": ["v1"] },
        ],
    }));
    let routes = Router::new()
        .route("/version", get(async || ([("date", "Sat, 21 Nov 2026 14:00:00 GMT")], "{}")))
        .route(SECRETS, post(create))
        .route(&format!("{SECRETS}/{{name}}"), get(read_secret).put(replace))
        .route(CONFIGURATION, get(read_configuration).patch(patch))
        .with_state(Arc::clone(&shared));
    (KubeStore::new(kube::Client::new(routes, "castle"), &settings()), shared)
}

fn status(code: StatusCode, reason: &str) -> Response {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
                       "reason": reason, "message": format!("{reason} by test") });
    (code, body.to_string()).into_response()
}

fn found(object: Option<&Value>) -> Response {
    object.map_or_else(|| status(StatusCode::NOT_FOUND, "NotFound"), |object| object.to_string().into_response())
}

async fn json_of(request: Request<Body>) -> Value {
    serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

async fn read_secret(State(cluster): State<Shared>, Path(name): Path<String>) -> Response {
    assert_eq!(name, "portcullis-tls");
    found(cluster.lock().unwrap().secret.as_ref())
}

async fn read_configuration(State(cluster): State<Shared>) -> Response {
    found(cluster.lock().unwrap().configuration.as_ref())
}

async fn create(State(cluster): State<Shared>, request: Request<Body>) -> Response {
    store_secret(&cluster, json_of(request).await, true)
}

async fn replace(State(cluster): State<Shared>, request: Request<Body>) -> Response {
    store_secret(&cluster, json_of(request).await, false)
}

fn store_secret(cluster: &Shared, mut secret: Value, new: bool) -> Response {
    let mut cluster = cluster.lock().unwrap();
    if let Some((code, reason)) = cluster.refuse {
        return status(code, reason);
    }
    match &cluster.secret {
        Some(_) if new => return status(StatusCode::CONFLICT, "AlreadyExists"),
        Some(old) if old["metadata"]["resourceVersion"] != secret["metadata"]["resourceVersion"] => {
            return status(StatusCode::CONFLICT, "Conflict");
        }
        _ => {}
    }
    cluster.version += 1;
    secret["metadata"]["resourceVersion"] = json!(cluster.version.to_string());
    cluster.secret = Some(secret.clone());
    secret.to_string().into_response()
}

async fn patch(State(cluster): State<Shared>, headers: HeaderMap, request: Request<Body>) -> Response {
    let patch = json_of(request).await;
    let mut cluster = cluster.lock().unwrap();
    if let Some((code, reason)) = cluster.refuse {
        return status(code, reason);
    }
    cluster.patches.push((headers["content-type"].to_str().unwrap().to_owned(), patch.clone()));
    let Some(configuration) = &mut cluster.configuration else {
        return status(StatusCode::NOT_FOUND, "NotFound");
    };
    if configuration["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"] {
        return status(StatusCode::CONFLICT, "Conflict");
    }
    configuration["metadata"]["resourceVersion"] = json!("8");
    for change in patch["webhooks"].as_array().unwrap() {
        let webhooks = configuration["webhooks"].as_array_mut().unwrap();
        let webhook = webhooks.iter_mut().find(|webhook| webhook["name"] == change["name"]).unwrap();
        webhook["clientConfig"]["caBundle"] = change["clientConfig"]["caBundle"].clone();
    }
    configuration.to_string().into_response()
}

#[tokio::test]
async fn a_keeper_fills_secret_and_bundles_and_touches_nothing_else() {
    let (store, cluster) = cluster();
    let served = Served::new(Metrics::register(&mut new_registry()));
    let mut keeper = Keeper::new(settings(), Arc::new(store), Arc::clone(&served));
    while keeper.step().await.unwrap() == Next::Again {}
    assert_eq!(served.not_ready(), None);

    let cluster = cluster.lock().unwrap();
    let secret = cluster.secret.as_ref().unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(
        secret["data"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["ca.crt", "ca.key", "tls.crt", "tls.key"]
    );
    let [(kind, patch)] = &cluster.patches[..] else { panic!("{:?}", cluster.patches) };
    assert_eq!(kind, "application/strategic-merge-patch+json");
    let bundle = &secret["data"]["ca.crt"];
    assert_eq!(
        *patch,
        json!({
            "metadata": { "resourceVersion": "7" },
            "webhooks": [
                { "name": "houserules.portcullis.dev", "clientConfig": { "caBundle": bundle } },
                { "name": "namespaces.portcullis.dev", "clientConfig": { "caBundle": bundle } },
            ],
        })
    );
    let configuration = cluster.configuration.as_ref().unwrap();
    assert_eq!(configuration["webhooks"][0]["clientConfig"]["service"]["name"], "portcullis");
}

#[tokio::test]
async fn a_write_under_an_old_version_is_a_conflict_and_labels_survive_a_good_one() {
    let (store, cluster) = cluster();
    let data = BTreeMap::from([("tls.crt".to_owned(), b"x".to_vec())]);
    store.write_secret(None, data.clone()).await.unwrap();
    assert_eq!(store.write_secret(None, data.clone()).await, Err(StoreError::Conflict));
    assert_eq!(store.write_secret(Some("0".to_owned()), data.clone()).await, Err(StoreError::Conflict));
    cluster.lock().unwrap().secret.as_mut().unwrap()["metadata"]["labels"]["team"] = json!("gate");

    let read = store.read_secret().await.unwrap().unwrap();
    assert_eq!(read.data, data);
    store.write_secret(Some(read.version), BTreeMap::new()).await.unwrap();
    let labels = cluster.lock().unwrap().secret.as_ref().unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["team"], "gate");

    let published = store.read_published().await.unwrap().unwrap();
    store.publish(published.clone(), "new".to_owned()).await.unwrap();
    assert_eq!(store.publish(published, "late".to_owned()).await, Err(StoreError::Conflict));
}

#[tokio::test]
async fn refusals_name_the_object_and_what_to_run() {
    let (store, cluster) = cluster();
    let refuse = |code, reason| cluster.lock().unwrap().refuse = Some((code, reason));
    let words = |result: Result<(), StoreError>| match result {
        Err(StoreError::Failed(why)) => why,
        other => panic!("{other:?}"),
    };
    refuse(StatusCode::FORBIDDEN, "Forbidden");
    let why = words(store.write_secret(None, BTreeMap::new()).await);
    assert!(why.contains("Secret castle/portcullis-tls") && why.contains("kubectl auth can-i create secrets"), "{why}");
    let published = store.read_published().await.unwrap().unwrap();
    let why = words(store.publish(published, String::new()).await);
    assert!(why.contains("ValidatingWebhookConfiguration portcullis") && why.contains("can-i patch"), "{why}");
    refuse(StatusCode::NOT_FOUND, "NotFound");
    let why = words(store.write_secret(None, BTreeMap::new()).await);
    assert!(why.contains("create Secret castle/portcullis-tls"), "a missing namespace is no race: {why}");
}

#[tokio::test]
async fn what_is_absent_and_what_others_claim() {
    let (store, cluster) = cluster();
    assert_eq!(store.read_secret().await, Ok(None));
    assert_eq!(store.now().await.unwrap().to_string(), "2026-11-21T14:00:00Z");
    cluster.lock().unwrap().configuration.as_mut().unwrap()["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] =
        json!("castle/ca");
    let published = store.read_published().await.unwrap().unwrap();
    assert_eq!(published.other_injector.as_deref(), Some("cert-manager.io/inject-ca-from"));
    cluster.lock().unwrap().configuration = None;
    assert_eq!(store.read_published().await, Ok(None));
}
