//! Accepts connections, bounds their number, and ends when the drain is through.
//!
//! The accept loop is our own, on hyper and tokio-rustls: what ready-made servers offer leaves hyper's timer unset (so
//! that slow headers are never cut), cannot tell an idle connection from one that is just sending a request, and closes
//! idle connections at the begin of a drain, which loses the request that the API server is sending at that moment.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{self, Activity};
use super::drain::Shutdown;
use super::metrics::{Metrics, Shed};
use super::options::{DrainOptions, Limits};

/// What is served on one port.
pub(super) struct Port {
    routes: Router,
    limits: Limits,
    tls: Option<TlsAcceptor>,
    metrics: Option<Metrics>,
}

impl Port {
    /// A port in plain HTTP, not counted in the metrics.
    pub(super) fn plain(routes: Router, limits: Limits) -> Self {
        Self { routes, limits, tls: None, metrics: None }
    }

    /// A port over TLS.
    pub(super) fn tls(routes: Router, limits: Limits, config: Arc<ServerConfig>, metrics: Metrics) -> Self {
        Self { routes, limits, tls: Some(TlsAcceptor::from(config)), metrics: Some(metrics) }
    }

    /// Serves until dropped.
    pub(super) async fn serve_forever(self, listener: TcpListener) {
        let mut open = Open::new(self);
        loop {
            open.accept(&listener).await;
        }
    }

    /// Serves until a drain has ended or an abort was asked for.
    ///
    /// New connections are accepted during the whole drain: other processes learn at their own pace that this endpoint
    /// is gone, and a refused connection is an error that a user sees. What is answered closes its connection, so that
    /// the open ones become fewer; idle ones are left to their owners, who close them within 90 s.
    pub(super) async fn serve_until_drained(self, listener: TcpListener, shutdown: &Shutdown, drain: DrainOptions) {
        let mut open = Open::new(self);
        let tasks = open.tasks.clone();
        let drained = async {
            shutdown.draining().await;
            let begun = Instant::now();
            tracing::info!(connections = tasks.len(), "draining");
            tasks.close();
            let idle = async {
                tokio::time::sleep(drain.linger).await;
                tasks.wait().await;
            };
            let in_time = tokio::time::timeout(drain.timeout.max(drain.linger), idle).await.is_ok();
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            if in_time {
                tracing::info!(took_ms, "drained: no connection is open");
            } else {
                tracing::warn!(took_ms, connections = tasks.len(), "drain timeout: closing what is still open");
            }
        };
        tokio::pin!(drained);
        loop {
            tokio::select! {
                biased;
                () = shutdown.aborted() => break,
                () = &mut drained => break,
                () = open.accept(&listener) => {}
            }
        }
    }
}

/// The connections that are open on a port; dropping it closes them.
struct Open {
    port: Arc<Port>,
    tasks: TaskTracker,
    known: HashMap<u64, Known>,
    next_id: u64,
    all: CancellationToken,
    done_tx: tokio::sync::mpsc::UnboundedSender<u64>,
    done_rx: tokio::sync::mpsc::UnboundedReceiver<u64>,
}

struct Known {
    activity: Arc<Activity>,
    close: CancellationToken,
}

impl Open {
    fn new(port: Port) -> Self {
        let (done_tx, done_rx) = tokio::sync::mpsc::unbounded_channel();
        Self {
            port: Arc::new(port),
            tasks: TaskTracker::new(),
            known: HashMap::new(),
            next_id: 0,
            all: CancellationToken::new(),
            done_tx,
            done_rx,
        }
    }

    /// Accepts one connection, or cleans up after one that ended.
    async fn accept(&mut self, listener: &TcpListener) {
        tokio::select! {
            Some(id) = self.done_rx.recv() => { self.known.remove(&id); }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => self.admit(stream),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) {
        while let Ok(id) = self.done_rx.try_recv() {
            self.known.remove(&id);
        }
        if self.known.len() >= self.port.limits.connections && !self.evict() {
            // All are being answered; one more would be one too many. Dropping it is all that is left.
            return;
        }
        // Small answers must not wait for the acknowledgement of what went before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("the connection was gone before it was served: {error}");
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let activity = Activity::new();
        let close = self.all.child_token();
        self.known.insert(id, Known { activity: Arc::clone(&activity), close: close.clone() });
        let done = Done { id, tx: self.done_tx.clone(), metrics: self.port.metrics.clone() };
        if let Some(metrics) = &self.port.metrics {
            metrics.connections.inc();
        }
        let port = Arc::clone(&self.port);
        self.tasks.spawn(async move {
            let _done = done;
            port.serve(stream, activity, close).await;
        });
    }

    /// Closes the connection that has waited longest for its next request, preferring those that never brought a
    /// review: ten thousand idle strangers must not lock out the API server. False when every one is being answered.
    fn evict(&mut self) -> bool {
        let victim = self
            .known
            .iter()
            .filter(|(_, known)| !known.close.is_cancelled())
            .filter_map(|(id, known)| known.activity.idle_rank().map(|rank| (rank, *id)))
            .min();
        if let Some(metrics) = &self.port.metrics {
            metrics.count_shed(Shed::Connections);
        }
        let closed = victim.and_then(|(_, id)| self.known.remove(&id));
        closed.inspect(|known| known.close.cancel()).is_some()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

/// Tells that a connection has ended, on whatever way it did.
struct Done {
    id: u64,
    tx: tokio::sync::mpsc::UnboundedSender<u64>,
    metrics: Option<Metrics>,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
        }
        // Nobody listens when the whole port is gone already.
        let _ = self.tx.send(self.id);
    }
}

impl Port {
    async fn serve(&self, stream: TcpStream, activity: Arc<Activity>, close: CancellationToken) {
        let Some(tls) = &self.tls else {
            conn::serve(stream, self.routes.clone(), &activity, &self.limits, &close).await;
            return;
        };
        let handshake = tokio::time::timeout(self.limits.handshake_timeout, tls.accept(stream));
        let failure = tokio::select! {
            () = close.cancelled() => return,
            done = handshake => match done {
                Ok(Ok(stream)) => {
                    activity.handshake_done();
                    conn::serve(stream, self.routes.clone(), &activity, &self.limits, &close).await;
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "timed out".to_owned(),
            }
        };
        if let Some(metrics) = &self.metrics {
            metrics.handshake_failures.inc();
        }
        tracing::debug!("TLS handshake failed: {failure}");
    }
}

/// Out of file descriptors and the like do not end by themselves at once; a loop without pause would burn the CPU that
/// could close connections. An error of one connection (gone before it was accepted) needs no pause.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!("cannot accept connections: {error}; check the limit of open files. Trying again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
