//! One connection: HTTP/1.1 by hyper, under clocks that can tell waiting from dawdling, and an end that loses no answer.
//!
//! hyper's own header timeout runs on idle connections as well. At 2 s it would close the API server's pooled
//! connections all the time, each time with the risk that a review is on its way; so the clock here starts with the
//! first byte of a request, and hyper's is only the outer bound.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::options::Limits;
use super::router::{Arrived, REVIEW_PATH, closes};

/// The first request of a connection that was opened for it follows the handshake at once; then the caller's clock
/// began before the handshake. A connection opened in reserve waits longer.
const OPENED_FOR_IT: Duration = Duration::from_millis(100);

/// What one connection can make us hold before its request is known; hyper's default is 25 times that, and it is not
/// part of the byte budget. Headers of an API server take less than 1 KiB.
const READ_BUFFER: usize = 16 << 10;

/// How long, and how much, unread input of a finished connection is thrown away.
const LINGER: Duration = Duration::from_secs(3);
const LINGER_BYTES: usize = 64 << 20;

/// What a connection is doing, seen from outside.
pub(super) struct Activity {
    state: Mutex<State>,
    /// Called once, when the caller is no stranger any more.
    proven: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct State {
    accepted: Instant,
    ready: Instant,
    since: Instant,
    phase: Phase,
    requests: u64,
    /// Has delivered a review, or proved who it is by a certificate.
    proven: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For the first byte of a request.
    Waiting,
    /// Within headers.
    Headers,
    /// With complete headers: the body comes, or the connection is closing.
    Body,
    /// With a complete body.
    Judging,
}

impl Activity {
    pub(super) fn new(proven: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        let now = Instant::now();
        let state = State { accepted: now, ready: now, since: now, phase: Phase::Waiting, requests: 0, proven: false };
        Arc::new(Self { state: Mutex::new(state), proven: Box::new(proven) })
    }

    pub(super) fn handshake_done(&self) {
        let mut state = self.lock();
        state.ready = Instant::now();
        state.since = state.ready;
    }

    /// Since when a connection has waited for its next request; `None` while it has one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        matches!(state.phase, Phase::Waiting | Phase::Headers).then_some(state.since)
    }

    /// Whether a whole body is here and its answer is not yet.
    pub(super) fn is_judging(&self) -> bool {
        self.lock().phase == Phase::Judging
    }

    /// The body is complete.
    pub(super) fn body_came(&self) {
        self.lock().phase = Phase::Judging;
    }

    /// Notes that the caller is no stranger.
    pub(super) fn prove(&self) {
        let before = std::mem::replace(&mut self.lock().proven, true);
        if !before {
            (self.proven)();
        }
    }

    fn bytes_came(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Waiting {
            state.phase = Phase::Headers;
            state.since = Instant::now();
        }
    }

    /// The headers are complete; returns when this request began for its caller.
    fn request_began(&self) -> Instant {
        let mut state = self.lock();
        let now = Instant::now();
        // A pipelined request was read together with the one before, so no bytes came for it.
        let first_byte = if state.phase == Phase::Headers { state.since } else { now };
        let opened_for_it = state.requests == 0 && first_byte.saturating_duration_since(state.ready) < OPENED_FOR_IT;
        state.phase = Phase::Body;
        state.since = now;
        state.requests += 1;
        if opened_for_it { state.accepted } else { first_byte }
    }

    fn request_answered(&self, closing: bool) {
        let mut state = self.lock();
        // With a body left unread its rest would look like the next request; such a connection is closing.
        state.phase = if closing { Phase::Body } else { Phase::Waiting };
        state.since = Instant::now();
    }

    fn deadline(&self, limits: &Limits) -> Instant {
        let state = self.lock();
        match state.phase {
            // A request has its own deadline; this one ends callers who then do not take their answer.
            Phase::Waiting | Phase::Body | Phase::Judging => state.since + limits.idle_timeout,
            Phase::Headers => state.since + limits.header_timeout,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Plain values, consistent after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    routes: Router,
    activity: &Arc<Activity>,
    limits: &Limits,
    close: &CancellationToken,
) {
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(activity) });
    let service = Service { routes, activity: Arc::clone(activity) };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(READ_BUFFER)
        .serve_connection(io, service);

    let ended = {
        let mut clock: Option<(Instant, Pin<Box<Sleep>>)> = None;
        let mut overdue = |cx: &mut Context<'_>| -> Poll<()> {
            let at = activity.deadline(limits);
            match &mut clock {
                Some((set, sleep)) => {
                    if *set != at {
                        sleep.as_mut().reset(at);
                        *set = at;
                    }
                    sleep.as_mut().poll(cx)
                }
                None => clock.insert((at, Box::pin(tokio::time::sleep_until(at)))).1.as_mut().poll(cx),
            }
        };
        let mut closing = pin!(close.cancelled());
        // One task polls both: every change of the activity happens inside the first poll, so the clock is always set
        // right before it is looked at.
        poll_fn(|cx| {
            if let Poll::Ready(done) = connection.poll_without_shutdown(cx) {
                return Poll::Ready(done.is_ok());
            }
            if closing.as_mut().poll(cx).is_ready() || overdue(cx).is_ready() {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await
    };
    let mut stream = connection.into_parts().io.into_inner().stream;
    if ended {
        linger(&mut stream).await;
    } else {
        // Best effort: whoever dawdled may not read it.
        let _ = tokio::time::timeout(LINGER, stream.shutdown()).await;
    }
}

/// Says that nothing more comes, then reads what is still being sent. Closing with unread input would make the kernel
/// send a reset, which can take away the answer (a 413, a 503) before the caller has read it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let _ = tokio::time::timeout(LINGER, async {
        stream.shutdown().await?;
        let mut waste = vec![0; 16 << 10];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut waste).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    })
    .await;
}

/// Calls the routes and notes begin and end of each request.
struct Service {
    routes: Router,
    activity: Arc<Activity>,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let began = self.activity.request_began();
        let is_review = request.uri().path().starts_with(REVIEW_PATH);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arrived { at: began, on: Arc::clone(&self.activity) });
        let routes = self.routes.clone();
        let activity = Arc::clone(&self.activity);
        Box::pin(async move {
            let response = routes.oneshot(request).await?;
            // First this: a stranger without a request could be closed before its answer is written.
            if is_review && response.status().is_success() {
                activity.prove();
            }
            activity.request_answered(closes(&response));
            Ok(response)
        })
    }
}

/// A stream that notes when bytes come in.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
