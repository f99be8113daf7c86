//! The reviews that a real API server sends: captured, and held against `tests/admission`, which other tests answer.
//!
//! `PORTCULLIS_CAPTURE=1 cargo test --test e2e -- capture` writes the files anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use portcullis::admission::Caps;
use portcullis::serve::certs::{MemoryStore, SelfManaged};
use portcullis::serve::{Answer, Certificates, Options, Reviewer, Server, Shutdown, new_registry};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::gate::apply_webhook;
use crate::support::{CASE_LABEL, Suite, cases, objects, repository, scratch, until};

cases![reviews_are_what_the_stored_ones_are];

/// Lets everything pass and keeps what was asked.
#[derive(Default)]
struct Recorder(Mutex<Vec<Value>>);

impl Reviewer for Recorder {
    async fn review(&self, body: Bytes, _deadline: Instant, _caps: Option<Caps>) -> Answer {
        let review: Value = serde_json::from_slice(&body).unwrap();
        let uid = review["request"]["uid"].clone();
        self.0.lock().unwrap().push(review);
        let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true}});
        Answer::Review(answer.to_string().into_bytes())
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

impl Recorder {
    /// The first review of this kind and operation in these namespaces, if it has been asked for.
    fn first(&self, kind: &str, operation: &str, namespace: &str) -> Option<Value> {
        let reviews = self.0.lock().unwrap();
        let fits = |review: &&Value| {
            let request = &review["request"];
            request["kind"]["kind"] == kind && request["operation"] == operation && request["namespace"] == namespace
        };
        reviews.iter().find(fits).cloned()
    }
}

/// What differs from run to run, or could be taken for a credential, becomes the same everywhere.
fn normalize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                match (key.as_str(), &*field) {
                    ("uid", Value::String(_)) => *field = "00000000-0000-4000-8000-000000000000".into(),
                    ("resourceVersion", Value::String(_)) => *field = "1".into(),
                    ("creationTimestamp" | "time" | "startTime", Value::String(_)) => {
                        *field = "2026-01-01T00:00:00Z".into();
                    }
                    _ => normalize(field),
                }
            }
            fields.remove("extra");
            fields.remove("managedFields");
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::String(text) if text.starts_with("kube-api-access-") => *text = "kube-api-access-xxxxx".into(),
        _ => {}
    }
}

fn reviews_are_what_the_stored_ones_are(suite: &Suite) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ca_file = scratch("capture").join("ca.crt");
    let _ = std::fs::remove_file(&ca_file);
    let mut settings = SelfManaged::for_service("capture", "capture", "capture-tls", "capture");
    settings.names.push("127.0.0.1".to_owned());
    let store = Arc::new(MemoryStore::new(Some(ca_file.clone())));
    let mut options = Options::new(Certificates::SelfManaged { settings, store });
    options.listen = "127.0.0.1:0".parse().unwrap();
    options.admin_listen = "127.0.0.1:0".parse().unwrap();
    let recorder = Arc::new(Recorder::default());
    let server = runtime.block_on(Server::bind(options)).unwrap();
    let address = server.webhook_addr();
    runtime.spawn(server.run(Arc::clone(&recorder), Shutdown::new(), new_registry()));
    let ca = until("the CA", || match std::fs::read_to_string(&ca_file) {
        Ok(ca) if !ca.is_empty() => Ok(ca),
        other => Err(format!("{other:?}")),
    });

    let kubectl = suite.plane().kubectl();
    apply_webhook(&kubectl, "capture", "Fail", &format!("https://{address}/v1/review"), Some(&ca));
    for namespace in ["open", "closed"] {
        kubectl.namespace(namespace, &[(CASE_LABEL, "capture")]);
    }
    until("the API server asks", || {
        kubectl.run_with_input(&["apply", "--dry-run=server", "-f", "-"], &objects::deployment("open", "canary"));
        if recorder.0.lock().unwrap().is_empty() { Err("nothing yet".to_owned()) } else { Ok(()) }
    });
    recorder.0.lock().unwrap().clear();
    let create = |yaml: &str| kubectl.run_with_input(&["create", "-f", "-"], yaml).passes();
    create(&objects::default_deny("closed"));
    // Before any controller makes a pod there.
    create(&objects::pod("open", "job-", &[("app", "job")]).replace("name: job-,", "generateName: job-,"));
    create(&objects::deployment("open", "web"));
    create(&objects::cron_job("open", "report"));
    create(&objects::deployment("closed", "web"));
    kubectl.run(&["-n", "closed", "set", "image", "deployment/web", "main=main:2"]).passes();
    kubectl.run(&["-n", "closed", "delete", "networkpolicy", "default-deny"]).passes();
    kubectl.run(&["label", "namespace", "closed", "portcullis.dev/enforce=none"]).passes();

    let wanted = [
        ("create-networkpolicy", "NetworkPolicy", "CREATE", "closed"),
        ("create-deployment", "Deployment", "CREATE", "open"),
        ("create-cronjob", "CronJob", "CREATE", "open"),
        ("create-pod-with-generated-name", "Pod", "CREATE", "open"),
        ("create-pod-by-controller", "Pod", "CREATE", "closed"),
        ("update-deployment", "Deployment", "UPDATE", "closed"),
        ("delete-networkpolicy", "NetworkPolicy", "DELETE", "closed"),
        ("update-namespace", "Namespace", "UPDATE", "closed"),
    ];
    let captured: BTreeMap<&str, Value> = wanted
        .into_iter()
        .map(|(name, kind, operation, namespace)| {
            let mut review =
                until(name, || recorder.first(kind, operation, namespace).ok_or_else(|| "not asked".to_owned()));
            normalize(&mut review);
            (name, review)
        })
        .collect();
    drop(runtime);
    let anew = std::env::var_os("PORTCULLIS_CAPTURE").is_some();
    for (name, review) in captured {
        let file = repository().join("tests/admission").join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&review).unwrap() + "\n";
        if anew {
            std::fs::write(&file, &text).unwrap();
        }
        // Fields come and go with versions of Kubernetes; what a review is made of must not.
        let stored: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let shape = |review: &Value| {
            let request = review["request"].as_object().unwrap();
            let filled: Vec<String> =
                request.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key.clone()).collect();
            (request["kind"].clone(), request["operation"].clone(), filled)
        };
        assert_eq!(shape(&stored), shape(&review), "{name} is not what this API server sends; capture it anew");
    }
}
