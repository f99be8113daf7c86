//! The routes of the webhook port and the life of one request: checks, limits, the reviewer, the answer.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures::FutureExt;
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::body::{self, BodyError};
use super::budget::{ByteBudget, Charge};
use super::conn::Activity;
use super::deadline::Deadline;
use super::drain::Shutdown;
use super::metrics::{Metrics, Shed};
use super::options::Limits;
use super::pool::{Pool, Unfinished};
use super::reply::Reply;
use super::{Answer, Reviewer};
use crate::admission::Caps;

/// The path that the webhook configuration names.
pub const REVIEW_PATH: &str = "/v1/review";

/// The path where it names levels that take the place of `--mode` and `--from-controllers`.
const CAPPED_PATH: &str = "/v1/review/mode/{mode}/from-controllers/{level}";

/// How a request came; the listener puts it on each request.
#[derive(Clone)]
pub(super) struct Arrived {
    /// The first sign of it: the caller's clock runs from there.
    pub(super) at: Instant,
    /// The connection.
    pub(super) on: Arc<Activity>,
}

const OVERRUN: &str = "the review was not finished before the caller's timeout";

/// What all requests share.
struct App<R> {
    reviewer: Arc<R>,
    limits: Limits,
    bytes: Arc<ByteBudget>,
    pool: Pool,
    metrics: Metrics,
    shutdown: Shutdown,
}

/// The routes of the webhook port, without a port: tests call them directly. They own the threads that judge reviews.
pub fn webhook_router<R: Reviewer>(
    reviewer: Arc<R>,
    limits: Limits,
    metrics: Metrics,
    shutdown: Shutdown,
) -> io::Result<Router> {
    let bytes = ByteBudget::new(limits.inflight_bytes, limits.body, limits.small_body, metrics.in_flight_bytes.clone());
    let pool = Pool::start(&limits)?;
    let app = Arc::new(App { reviewer, limits, bytes, pool, metrics, shutdown });
    Ok(Router::new()
        .route(REVIEW_PATH, post(review::<R>).fallback(wrong_method::<R>))
        .route(CAPPED_PATH, post(review::<R>).fallback(wrong_method::<R>))
        .fallback(wrong_path::<R>)
        .with_state(app))
}

async fn review<R: Reviewer>(State(app): State<Arc<App<R>>>, request: Request) -> Response {
    let arrived = request.extensions().get().map_or_else(Instant::now, |arrived: &Arrived| arrived.at);
    let in_flight = InFlight::enter(&app.metrics.in_flight);
    // The whole answer is inside, so that not even a panic in a look at the readiness escapes.
    let reply = AssertUnwindSafe(answer(&app, request, arrived)).catch_unwind().await.unwrap_or_else(|_| {
        app.metrics.panics.inc();
        Reply::panicked()
    });
    drop(in_flight);
    app.metrics.duration.observe(arrived.elapsed().as_secs_f64());
    app.finish(reply)
}

async fn wrong_method<R: Reviewer>(State(app): State<Arc<App<R>>>) -> Response {
    app.finish(Reply::wrong_method())
}

async fn wrong_path<R: Reviewer>(State(app): State<Arc<App<R>>>) -> Response {
    app.finish(Reply::wrong_path())
}

impl<R> App<R> {
    fn finish(&self, reply: Reply) -> Response {
        self.metrics.count(reply.outcome);
        if let Some(reason) = reply.shed {
            self.metrics.count_shed(reason);
        }
        // A connection that is left open would bring the next review to a server that is going away.
        reply.into_response(self.shutdown.is_draining())
    }
}

async fn answer<R: Reviewer>(app: &App<R>, request: Request, arrived: Instant) -> Reply {
    let (head, body) = request.into_parts();
    if let Some(refusal) = wrong_media(&head.headers) {
        return refusal;
    }
    if let Some(why) = app.reviewer.not_ready() {
        return Reply::shed(Shed::NotReady, &format!("not ready: {why}"));
    }
    let caps = match head.uri.path().strip_prefix(REVIEW_PATH).filter(|rest| !rest.is_empty()).map(Caps::parse) {
        Some(None) => return Reply::wrong_path(),
        Some(caps) => caps,
        None => None,
    };
    let deadline = app.limits.deadline.of(head.uri.query(), arrived);
    let read_by = (Instant::now() + app.limits.body_timeout).min(deadline.answer_by);
    let mut charge = app.bytes.open();
    let body = match body::read(body, &head.headers, app.limits.body, &mut charge, read_by).await {
        Ok(body) => body,
        Err(error) => return unread(&error, app.limits.body),
    };
    if let Some(Arrived { on, .. }) = head.extensions.get() {
        on.body_came();
    }
    // Requests that came together are all read before the first is handed over (ADR 8): code that runs many times in a row
    // stays in the caches.
    yield_now().await;
    judge(app, body, charge, deadline, caps).await
}

async fn judge<R: Reviewer>(
    app: &App<R>,
    body: Bytes,
    charge: Charge,
    deadline: Deadline,
    caps: Option<Caps>,
) -> Reply {
    // Taken only now: a body that comes slowly must not hold the place of one that is here.
    let Some(place) = app.pool.place(body.len()) else {
        return Reply::shed(Shed::Concurrency, "too many reviews at once");
    };
    let reviewer = Arc::clone(&app.reviewer);
    let queued = app.metrics.queue_duration.clone();
    let handed_over = Instant::now();
    let review = async move {
        queued.observe(handed_over.elapsed().as_secs_f64());
        let answer = reviewer.review(body, deadline.answer_by, caps).await;
        // The body is in memory until here, also when the caller has been turned away before.
        drop(charge);
        answer
    };
    match timeout_at(deadline.give_up, place.judge(deadline.answer_by, review)).await {
        Ok(Ok(Answer::Review(json))) => Reply::reviewed(json),
        Ok(Ok(Answer::BadRequest(why))) => Reply::bad_request(why),
        Ok(Ok(Answer::Unavailable(why))) => Reply::shed(Shed::Reviewer, &why),
        Ok(Err(Unfinished::Panicked)) => {
            app.metrics.panics.inc();
            Reply::panicked()
        }
        Ok(Err(Unfinished::Ending)) => Reply::shed(Shed::NotReady, "this replica is ending"),
        Ok(Err(Unfinished::Late)) | Err(_) => Reply::shed(Shed::Deadline, OVERRUN),
    }
}

fn unread(error: &BodyError, limit: usize) -> Reply {
    match error {
        BodyError::TooLarge => Reply::too_large(limit),
        BodyError::NoRoom => Reply::shed(Shed::Bytes, "too many bytes of reviews in memory at once"),
        BodyError::Slow => Reply::slow_body(),
        BodyError::Broken(why) => Reply::broken_body(why),
    }
}

fn wrong_media(headers: &HeaderMap) -> Option<Reply> {
    // Read as text only to be refused: nearly every request says what it should.
    let said = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let content_type = headers.get(CONTENT_TYPE);
    let essence = content_type.and_then(|all| all.as_bytes().split(|b| *b == b';').next()).unwrap_or_default();
    if !essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Some(Reply::wrong_content_type(content_type.map(said).as_deref()));
    }
    // Nothing is unpacked here: a few bytes of a compressed body can stand for gigabytes.
    headers
        .get(CONTENT_ENCODING)
        .filter(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
        .map(|encoding| Reply::encoded(&said(encoding)))
}

/// Counts a request as in flight until dropped, even when its connection goes away in between.
struct InFlight(Gauge);

impl InFlight {
    fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Whether a response asks for its connection to be closed.
pub(super) fn closes(response: &Response<Body>) -> bool {
    response.headers().get(CONNECTION).is_some_and(|value| value == "close")
}
