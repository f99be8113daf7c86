//! An API server that is a function: it answers lists and watches from texts that were made before the clock started.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use kube::Client;

/// What it has of one kind.
#[derive(Clone, Default)]
pub struct Kind {
    /// The resource.
    pub name: &'static str,
    /// Pages of the list.
    pub pages: Vec<Bytes>,
    /// What the watch says before it falls silent.
    pub events: Vec<Bytes>,
}

/// Pages of a list, or one empty page.
pub fn pages(objects: &[String], size: usize) -> Vec<Bytes> {
    let chunks: Vec<&[String]> = if objects.is_empty() { vec![&[]] } else { objects.chunks(size).collect() };
    let last = chunks.len() - 1;
    let page = |(i, chunk): (usize, &[String])| {
        let more = if i == last { String::new() } else { (i + 1).to_string() };
        let items = chunk.join(",");
        Bytes::from(format!(r#"{{"metadata":{{"resourceVersion":"2","continue":"{more}"}},"items":[{items}]}}"#))
    };
    chunks.into_iter().enumerate().map(page).collect()
}

/// Objects as events of a watch, in chunks as they come off a connection.
pub fn events(objects: &[String]) -> Vec<Bytes> {
    let line = |object: &String| format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n");
    objects.chunks(16).map(|chunk| Bytes::from(chunk.iter().map(line).collect::<String>())).collect()
}

/// A client of that server.
pub fn client(kinds: Vec<Kind>) -> Client {
    let kinds = Arc::new(kinds);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let kinds = Arc::clone(&kinds);
        async move { Ok::<_, Infallible>(Response::new(answer(&kinds, request.uri()))) }
    });
    Client::new(service, "default")
}

fn answer(kinds: &[Kind], uri: &axum::http::Uri) -> Body {
    let (name, query) = (uri.path().rsplit('/').next().unwrap_or_default(), uri.query().unwrap_or_default());
    let kind = kinds.iter().find(|kind| kind.name == name);
    if query.contains("watch=1") {
        let said = kind.map(|kind| kind.events.clone()).unwrap_or_default();
        let lines = futures::stream::iter(said.into_iter().map(Ok::<_, Infallible>));
        return Body::from_stream(futures::StreamExt::chain(lines, futures::stream::pending()));
    }
    let page = query.split('&').find_map(|part| part.strip_prefix("continue=")).and_then(|n| n.parse().ok());
    let page: Option<Bytes> = kind.and_then(|kind| kind.pages.get(page.unwrap_or(0_usize)).cloned());
    Body::from(page.unwrap_or_else(|| Bytes::from_static(br#"{"metadata":{"resourceVersion":"1"},"items":[]}"#)))
}
