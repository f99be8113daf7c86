//! A scripted API server for tests: answers from a list of acts per path, and fails the test's patience, not its time:
//! it runs on paused time.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Request, Response};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// One answer.
pub(super) enum Act {
    /// A whole answer.
    Answer(u16, String),
    /// A stream that the test feeds.
    Stream(mpsc::UnboundedReceiver<Result<String, std::io::Error>>),
    /// No answer, ever.
    Silence,
}

/// The sending end of a stream; dropping it ends the stream in good order.
pub(super) type Feed = mpsc::UnboundedSender<Result<String, std::io::Error>>;

#[derive(Clone, Default)]
pub(super) struct Script {
    /// Acts by what a request is: `list pods`, `watch pods`.
    acts: Arc<Mutex<BTreeMap<String, VecDeque<Act>>>>,
    /// Acts that are repeated when nothing else is left.
    usual: Arc<Mutex<BTreeMap<String, (u16, String)>>>,
    /// Everything that was asked, with queries.
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(super) fn then(&self, what: &str, act: Act) -> &Self {
        self.acts.lock().unwrap().entry(what.to_owned()).or_default().push_back(act);
        self
    }

    pub(super) fn list(&self, what: &str, version: &str, items: &[Value]) -> &Self {
        self.then(&format!("list {what}"), Act::Answer(200, page(version, "", items)))
    }

    pub(super) fn fail(&self, what: &str, code: u16) -> &Self {
        self.then(what, Act::Answer(code, status(code)))
    }

    pub(super) fn usually(&self, what: &str, code: u16, body: String) -> &Self {
        self.usual.lock().unwrap().insert(what.to_owned(), (code, body));
        self
    }

    /// Takes back what was usual.
    pub(super) fn no_longer(&self, what: &str) -> &Self {
        self.usual.lock().unwrap().remove(what);
        self
    }

    /// The next watch stays open and says what the feed says.
    pub(super) fn watch(&self, what: &str) -> Feed {
        let (feed, stream) = mpsc::unbounded_channel();
        self.then(&format!("watch {what}"), Act::Stream(stream));
        feed
    }

    pub(super) fn asked(&self, prefix: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(prefix)).cloned().collect()
    }

    pub(super) fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let script = script.clone();
            async move { Ok::<_, Infallible>(script.answer(request.uri()).await) }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, uri: &axum::http::Uri) -> Response<Body> {
        let query = uri.query().unwrap_or_default();
        let resource = uri.path().rsplit('/').next().unwrap_or_default();
        let verb = if query.contains("watch=1") { "watch" } else { "list" };
        // Calico calls one of its kinds as Kubernetes does, and serves all of them twice.
        let whose = match uri.path() {
            path if path.contains("/crd.projectcalico.org/") => "stored ",
            path if path.contains("/projectcalico.org/") => "calico ",
            _ => "",
        };
        let what = format!("{verb} {whose}{resource}");
        self.asked.lock().unwrap().push(format!("{what}?{query}"));
        let act = self.acts.lock().unwrap().get_mut(&what).and_then(VecDeque::pop_front);
        let (code, body) = match act {
            Some(Act::Answer(code, text)) => (code, Body::from(text)),
            Some(Act::Stream(mut feed)) => {
                (200, Body::from_stream(futures::stream::poll_fn(move |cx| feed.poll_recv(cx))))
            }
            Some(Act::Silence) => std::future::pending().await,
            None => match self.usual.lock().unwrap().get(&what) {
                Some((code, text)) => (*code, Body::from(text.clone())),
                // Like an API server on which nothing happens: a watch says nothing for as long as it is left open.
                None if verb == "watch" => {
                    (200, Body::from_stream(futures::stream::pending::<Result<String, Infallible>>()))
                }
                None => (200, Body::from(page("1", "", &[]))),
            },
        };
        Response::builder().status(code).body(body).unwrap()
    }
}

pub(super) fn page(version: &str, more: &str, items: &[Value]) -> String {
    json!({ "metadata": { "resourceVersion": version, "continue": more }, "items": items }).to_string()
}

pub(super) fn status(code: u16) -> String {
    json!({ "kind": "Status", "status": "Failure", "code": code, "message": format!("says {code}") }).to_string()
}

#[allow(clippy::unnecessary_wraps, reason = "what feeds take")]
pub(super) fn event(kind: &str, object: &Value) -> Result<String, std::io::Error> {
    Ok(format!("{}\n", json!({ "type": kind, "object": object })))
}

pub(super) fn bookmark(version: &str) -> Result<String, std::io::Error> {
    event("BOOKMARK", &json!({ "metadata": { "resourceVersion": version } }))
}

#[allow(clippy::needless_pass_by_value, reason = "json! makes values")]
pub(super) fn namespace(name: &str, version: &str, labels: Value) -> Value {
    json!({ "metadata": { "name": name, "resourceVersion": version, "labels": labels } })
}

pub(super) fn pod(namespace: &str, name: &str, version: &str, app: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name, "resourceVersion": version, "labels": { "app": app } },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
        "status": { "phase": "Running", "podIPs": [{ "ip": "10.0.0.1" }] },
    })
}

pub(super) fn policy(namespace: &str, name: &str, version: &str) -> Value {
    json!({
        "metadata": { "namespace": namespace, "name": name, "resourceVersion": version },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] },
    })
}
