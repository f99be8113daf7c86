//! Every limit and status of the review route, on the real router without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use portcullis::admission::Caps;
use portcullis::serve::{Answer, Limits, Metrics, Reviewer, Shutdown, new_registry, webhook_router};
use prometheus_client::registry::Registry;
use serve_support::Script;
use tower::ServiceExt;

struct Fixture {
    routes: Router,
    script: Arc<Script>,
    shutdown: Shutdown,
    registry: Registry,
    metrics: Metrics,
}

fn fixture(change: impl FnOnce(&mut Limits)) -> Fixture {
    let mut limits = Limits::default();
    change(&mut limits);
    let mut registry = new_registry();
    let metrics = Metrics::register(&mut registry);
    let script = Arc::new(Script::default());
    let shutdown = Shutdown::new();
    let routes = webhook_router(Arc::clone(&script), limits, metrics.clone(), shutdown.clone()).unwrap();
    Fixture { routes, script, shutdown, registry, metrics }
}

impl Fixture {
    async fn send(&self, request: Request<Body>) -> (StatusCode, String, Response<()>) {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (head.status, text, Response::from_parts(head, ()))
    }

    async fn review(&self, body: impl Into<Body>) -> (StatusCode, String, Response<()>) {
        self.send(post("/v1/review", body)).await
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn post(uri: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(uri).header("content-type", "application/json").body(body.into()).unwrap()
}

fn header<'a>(response: &'a Response<()>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// What a shed answer must carry, so that the API server repeats it on another connection.
fn assert_shed((status, text, head): &(StatusCode, String, Response<()>), why: &str) {
    assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert_eq!(header(head, "retry-after"), Some("1"));
    assert_eq!(header(head, "connection"), Some("close"));
    assert!(text.contains(why), "{text}");
}

#[tokio::test]
async fn a_review_is_answered_as_json_and_keeps_its_connection() {
    let f = fixture(|_| {});
    let (status, text, head) = f.review("{}").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"len":2}"#));
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    assert_eq!(header(&head, "connection"), None);
    assert!(f.metrics().contains("portcullis_requests_total{outcome=\"reviewed\"} 1"), "{}", f.metrics());
}

/// Notes on which thread a review is judged.
#[derive(Default)]
struct Noting(std::sync::Mutex<Vec<String>>);

impl Reviewer for Noting {
    async fn review(&self, _body: Bytes, _deadline: tokio::time::Instant, _caps: Option<Caps>) -> Answer {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        self.0.lock().unwrap().push(name);
        Answer::Review(b"{}".to_vec())
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn reviews_are_judged_on_threads_of_their_own_and_large_ones_on_others() {
    let noting = Arc::new(Noting::default());
    let metrics = Metrics::register(&mut new_registry());
    let limits = Limits { large_body: 100, ..Limits::default() };
    let routes = webhook_router(Arc::clone(&noting), limits, metrics, Shutdown::new()).unwrap();
    for size in [99, 100] {
        let response = routes.clone().oneshot(post("/v1/review", vec![b' '; size])).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(*noting.0.lock().unwrap(), ["review", "review-large"]);
}

/// Answers with the caps that a call brings.
struct Echo;

impl Reviewer for Echo {
    async fn review(&self, _body: Bytes, _deadline: tokio::time::Instant, caps: Option<Caps>) -> Answer {
        Answer::Review(format!("{caps:?}").into_bytes())
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn the_path_states_the_mode() {
    let metrics = Metrics::register(&mut new_registry());
    let routes = webhook_router(Arc::new(Echo), Limits::default(), metrics, Shutdown::new()).unwrap();
    for (path, status, said) in [
        ("/v1/review", 200, "None"),
        ("/v1/review/mode/warn/from-controllers/audit", 200, "Some(Caps { mode: Warn, from_controllers: Audit })"),
        ("/v1/review/mode/warn/from-controllers/audit?timeout=5s", 200, "Warn"),
        ("/v1/review/mode/off/from-controllers/audit", 404, "POST /v1/review"),
        ("/v1/review/mode/warn", 404, "POST /v1/review"),
    ] {
        let response = routes.clone().oneshot(post(path, "{}")).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(said), "{path}: {body:?}");
    }
}

#[tokio::test]
async fn content_types_with_parameters_are_json_and_others_are_not() {
    let f = fixture(|_| {});
    for (kind, wanted) in [
        (Some("application/json"), 200),
        (Some("application/json; charset=utf-8"), 200),
        (Some("Application/JSON"), 200),
        (Some("application/jsonx"), 415),
        (Some("application/yaml"), 415),
        (Some("text/plain"), 415),
        (None, 415),
    ] {
        let mut request = Request::post("/v1/review");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let (status, text, _) = f.send(request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(status.as_u16(), wanted, "{kind:?}");
        if wanted == 415 {
            assert!(text.contains("application/json") && text.contains(kind.unwrap_or("no content type")), "{text}");
        }
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_unread() {
    let f = fixture(|_| {});
    let mut request = post("/v1/review", "\u{1f}\u{8b}");
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let (status, text, head) = f.send(request).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(text.contains("gzip"), "{text}");
    assert_eq!(header(&head, "connection"), Some("close"));
    assert_eq!(f.script.reviews.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn other_paths_and_methods() {
    let f = fixture(|_| {});
    for path in ["/", "/v1/review/", "/v1/reviews", "/metrics", "/healthz", "/readyz"] {
        let (status, text, _) = f.send(post(path, "{}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(text.contains("POST /v1/review"), "{text}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let request = Request::builder().method(method).uri("/v1/review").body(Body::empty()).unwrap();
        let (status, _, head) = f.send(request).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(header(&head, "allow"), Some("POST"));
    }
}

#[tokio::test]
async fn the_body_limit_holds_for_announced_and_for_chunked_bodies() {
    let f = fixture(|limits| limits.body = 1000);
    assert_eq!(f.review(vec![b' '; 1000]).await.0, StatusCode::OK);
    let mut announced = post("/v1/review", Body::empty());
    announced.headers_mut().insert("content-length", "1001".parse().unwrap());
    let (status, text, head) = f.send(announced).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("1000 bytes") && text.contains("--body-limit"), "{text}");
    assert_eq!(header(&head, "retry-after"), None, "a repetition would be as large");
    let endless = futures::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 300])));
    assert_eq!(f.review(Body::from_stream(endless)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(f.metrics.in_flight_bytes.get(), 0);
}

#[tokio::test]
async fn pieces_are_joined_in_order() {
    let f = fixture(|_| {});
    let pieces = ["ga", "", "t", "e"].map(|piece| Ok::<_, Infallible>(Bytes::from(piece)));
    f.script.open();
    let (_, text, _) = f.review(Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!(text, r#"{"gate":true}"#);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_cut_at_the_body_timeout_or_the_deadline() {
    let f = fixture(|_| {});
    for (uri, wanted) in [("/v1/review?timeout=30s", 5_000), ("/v1/review?timeout=2s", 1_800)] {
        let start = tokio::time::Instant::now();
        let stalling =
            futures::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]).chain(futures::stream::pending());
        let (status, text, head) = f.send(post(uri, Body::from_stream(stalling))).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
        assert_eq!(header(&head, "connection"), Some("close"));
        // tokio's timer has millisecond steps.
        assert!(start.elapsed().as_millis().abs_diff(wanted) <= 2, "{:?}", start.elapsed());
    }
    assert_eq!(f.metrics.in_flight_bytes.get(), 0);
}

#[tokio::test]
async fn a_broken_body_is_a_bad_request() {
    let f = fixture(|_| {});
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
    assert_eq!(f.review(Body::from_stream(broken)).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn small_reviews_pass_while_large_ones_fill_the_budget() {
    let f = fixture(|limits| {
        limits.body = 1000;
        limits.inflight_bytes = 2000;
        limits.small_body = 100;
    });
    // Two large bodies that have come but for their last byte: 1500 bytes, all that large ones may hold.
    let held: Vec<_> = (0..2)
        .map(|_| {
            let routes = f.routes.clone();
            let stalling = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; 750]))])
                .chain(futures::stream::pending());
            tokio::spawn(routes.oneshot(post("/v1/review", Body::from_stream(stalling))))
        })
        .collect();
    while f.metrics.in_flight_bytes.get() < 1500 {
        tokio::task::yield_now().await;
    }
    assert_shed(&f.review(vec![b' '; 101]).await, "bytes");
    let mut announced = post("/v1/review", Body::empty());
    announced.headers_mut().insert("content-length", "900".parse().unwrap());
    assert_shed(&f.send(announced).await, "bytes");
    assert_eq!(f.review(vec![b' '; 100]).await.0, StatusCode::OK);
    for task in held {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    assert_eq!(f.metrics.in_flight_bytes.get(), 0, "a caller who goes away gives its bytes back");
    assert_eq!(f.metrics.in_flight.get(), 0);
    assert!(f.metrics().contains("portcullis_shed_total{reason=\"bytes\"} 2"), "{}", f.metrics());
}

#[tokio::test]
async fn more_reviews_than_places_are_shed_but_slow_bodies_take_none() {
    let f = fixture(|limits| limits.concurrency = 1);
    let stalling = tokio::spawn(
        f.routes
            .clone()
            .oneshot(post("/v1/review", Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>()))),
    );
    let first = tokio::spawn(f.routes.clone().oneshot(post("/v1/review", "gate")));
    f.script.entered.notified().await;
    assert_shed(&f.review("{}").await, "too many reviews");
    f.script.open();
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(f.review("{}").await.0, StatusCode::OK);
    stalling.abort();
}

#[tokio::test]
async fn the_reviewer_is_told_the_callers_deadline_and_cut_off_when_it_overruns() {
    let f = fixture(|_| {});
    for (uri, most) in [("/v1/review?timeout=3s", 2_800), ("/v1/review", 9_800)] {
        let (_, text, _) = f.send(post(uri, "deadline")).await;
        let left: u64 = text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        // The clock of the threads that judge goes on; a second is more than any machine needs for an empty queue.
        assert!(left <= most && left > most - 1_000, "{uri}: {text}");
    }
    let shed = f.send(post("/v1/review?timeout=200ms", "overrun")).await;
    assert_shed(&shed, "timeout");
}

/// Computes until it is released, as a review that takes too long does.
#[derive(Default)]
struct Burning {
    begun: AtomicUsize,
    released: AtomicBool,
}

impl Reviewer for Burning {
    async fn review(&self, body: Bytes, _deadline: tokio::time::Instant, _caps: Option<Caps>) -> Answer {
        self.begun.fetch_add(1, Ordering::Relaxed);
        while body.starts_with(b"burn") && !self.released.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        Answer::Review(b"{}".to_vec())
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

#[tokio::test]
async fn a_queued_review_is_shed_when_the_queue_is_full_or_its_deadline_passes_and_is_then_not_judged() {
    let burning = Arc::new(Burning::default());
    let metrics = Metrics::register(&mut new_registry());
    let limits = Limits { concurrency: 2, review_threads: 1, ..Limits::default() };
    let routes = webhook_router(Arc::clone(&burning), limits, metrics.clone(), Shutdown::new()).unwrap();
    let send = |uri: &str, body: &'static str| tokio::spawn(routes.clone().oneshot(post(uri, body)));
    let status =
        async |sent: tokio::task::JoinHandle<Result<Response<Body>, Infallible>>| sent.await.unwrap().unwrap().status();
    let burns = send("/v1/review?timeout=300ms", "burn");
    while burning.begun.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let queued = send("/v1/review?timeout=300ms", "{}");
    tokio::task::yield_now().await;
    while metrics.in_flight.get() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(status(send("/v1/review", "{}")).await, StatusCode::SERVICE_UNAVAILABLE, "the queue is full");
    assert_eq!(status(queued).await, StatusCode::SERVICE_UNAVAILABLE, "its deadline passed");
    assert_eq!(status(burns).await, StatusCode::SERVICE_UNAVAILABLE, "and so did that of the one that computes");
    assert!(metrics.in_flight_bytes.get() >= 4, "its body is held as long as it computes");
    burning.released.store(true, Ordering::Relaxed);
    while metrics.in_flight_bytes.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(status(send("/v1/review", "{}")).await, StatusCode::OK);
    assert_eq!(burning.begun.load(Ordering::Relaxed), 2, "the queued one was never judged");
}

#[tokio::test]
async fn a_panic_is_a_500_that_is_not_repeated_and_the_next_review_is_answered() {
    let f = fixture(|_| {});
    let (status, text, head) = f.review("panic").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(header(&head, "retry-after"), None);
    assert!(text.contains("defect") && !text.contains("\"allowed\""), "{text}");
    f.script.unready_panics.store(true, Ordering::Relaxed);
    assert_eq!(f.review("{}").await.0, StatusCode::INTERNAL_SERVER_ERROR);
    f.script.unready_panics.store(false, Ordering::Relaxed);
    assert_eq!(f.review("{}").await.0, StatusCode::OK);
    assert_eq!(f.metrics.panics.get(), 2);
    assert_eq!((f.metrics.in_flight.get(), f.metrics.in_flight_bytes.get()), (0, 0));
}

#[tokio::test]
async fn not_ready_and_declined_reviews_go_elsewhere() {
    let f = fixture(|_| {});
    assert_shed(&f.review("busy").await, "the API server does not answer");
    f.script.unready.store(true, Ordering::Relaxed);
    assert_shed(&f.review("{}").await, "waiting for the first list of pods");
    assert_eq!(f.script.reviews.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_review_at_all_is_a_bad_request_with_what_was_expected() {
    let f = fixture(|_| {});
    let (status, text, _) = f.review("bad").await;
    assert_eq!((status, text.as_str()), (StatusCode::BAD_REQUEST, "expected an AdmissionReview\n"));
}

#[tokio::test]
async fn a_draining_server_answers_and_closes() {
    let f = fixture(|_| {});
    f.shutdown.drain();
    let (status, text, head) = f.review("{}").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, r#"{"len":2}"#));
    assert_eq!(header(&head, "connection"), Some("close"));
}
