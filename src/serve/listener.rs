//! Accepts connections, bounds their number, and ends when the drain is through.
//!
//! The accept loop is our own, on hyper and tokio-rustls: what ready-made servers offer leaves hyper's timer unset (so
//! that slow headers are never cut), cannot tell an idle connection from one that is just sending a request, and closes
//! idle connections at the begin of a drain, which loses the request that the API server is sending at that moment.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{self, Activity};
use super::drain::Shutdown;
use super::metrics::{Metrics, Shed};
use super::options::{DrainOptions, Limits};
use super::strangers::Strangers;

/// What is served on one port.
pub(super) struct Port {
    routes: Router,
    limits: Limits,
    /// Replaced as a whole when a file that it was made of changes.
    tls: Option<Arc<ArcSwap<ServerConfig>>>,
    metrics: Option<Metrics>,
}

impl Port {
    /// A port in plain HTTP, not counted in the metrics.
    pub(super) fn plain(routes: Router, limits: Limits) -> Self {
        Self { routes, limits, tls: None, metrics: None }
    }

    /// A port over TLS.
    pub(super) fn tls(routes: Router, limits: Limits, config: Arc<ArcSwap<ServerConfig>>, metrics: Metrics) -> Self {
        Self { routes, limits, tls: Some(config), metrics: Some(metrics) }
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
    strangers: Strangers,
    next_id: u64,
    all: CancellationToken,
    news_tx: UnboundedSender<News>,
    news_rx: UnboundedReceiver<News>,
}

struct Known {
    activity: Arc<Activity>,
    close: CancellationToken,
}

/// Word from a connection, by its number.
#[derive(Debug, Clone, Copy)]
enum News {
    /// It has delivered a review, or proved who it is.
    Proven(u64),
    /// It has ended.
    Ended(u64),
}

impl Open {
    fn new(port: Port) -> Self {
        let (news_tx, news_rx) = mpsc::unbounded_channel();
        Self {
            port: Arc::new(port),
            tasks: TaskTracker::new(),
            known: HashMap::new(),
            strangers: Strangers::default(),
            next_id: 0,
            all: CancellationToken::new(),
            news_tx,
            news_rx,
        }
    }

    /// Accepts one connection, or takes note of what became of others.
    async fn accept(&mut self, listener: &TcpListener) {
        tokio::select! {
            Some(news) = self.news_rx.recv() => self.note(news),
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => self.admit(stream, from.ip()),
                Err(error) => pause_after(&error).await,
            }
        }
        if let Some(metrics) = &self.port.metrics {
            metrics.strangers.set(i64::try_from(self.strangers.len()).unwrap_or(i64::MAX));
        }
    }

    fn note(&mut self, news: News) {
        let (News::Proven(id) | News::Ended(id)) = news;
        self.strangers.remove(id);
        if matches!(news, News::Ended(_)) {
            self.known.remove(&id);
        }
    }

    fn admit(&mut self, stream: TcpStream, from: IpAddr) {
        while let Ok(news) = self.news_rx.try_recv() {
            self.note(news);
        }
        if !self.make_room(from) {
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
        let activity = Activity::new({
            let tx = self.news_tx.clone();
            move || {
                // Nobody listens when the whole port is gone already.
                let _ = tx.send(News::Proven(id));
            }
        });
        let close = self.all.child_token();
        self.known.insert(id, Known { activity: Arc::clone(&activity), close: close.clone() });
        self.strangers.add(id, from);
        let done = Done { id, tx: self.news_tx.clone(), metrics: self.port.metrics.clone() };
        if let Some(metrics) = &self.port.metrics {
            metrics.connections.inc();
        }
        let port = Arc::clone(&self.port);
        self.tasks.spawn(async move {
            let _done = done;
            port.serve(stream, activity, close).await;
        });
    }

    /// Closes connections until one more is within the limits. False when all of those that could be closed are being
    /// answered.
    fn make_room(&mut self, from: IpAddr) -> bool {
        let limits = self.port.limits;
        if self.strangers.count_from(from) >= limits.source_connections {
            self.count(Shed::SourceConnections);
            let victim = self.strangers.oldest_from(from).find(|id| self.may_close(*id));
            if !self.close(victim) {
                return false;
            }
        }
        if self.known.len() < limits.connections {
            return true;
        }
        self.count(Shed::Connections);
        // Who has never delivered a review goes first, the oldest before others, whatever it does: ten thousand strangers
        // with half a request each must not lock out the API server. Then goes who has waited longest for a request.
        let stranger = self.strangers.oldest().find(|id| self.may_close(*id));
        let victim = stranger.or_else(|| {
            let idle =
                self.known.iter().filter_map(|(id, known)| known.activity.idle_since().map(|since| (since, *id)));
            idle.min().map(|(_, id)| id)
        });
        self.close(victim)
    }

    fn may_close(&self, id: u64) -> bool {
        self.known.get(&id).is_some_and(|known| !known.activity.is_judging())
    }

    fn close(&mut self, victim: Option<u64>) -> bool {
        let Some(id) = victim else { return false };
        self.strangers.remove(id);
        self.known.remove(&id).inspect(|known| known.close.cancel()).is_some()
    }

    fn count(&self, reason: Shed) {
        if let Some(metrics) = &self.port.metrics {
            metrics.count_shed(reason);
        }
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
    tx: UnboundedSender<News>,
    metrics: Option<Metrics>,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(metrics) = &self.metrics {
            metrics.connections.dec();
        }
        // Nobody listens when the whole port is gone already.
        let _ = self.tx.send(News::Ended(self.id));
    }
}

impl Port {
    async fn serve(&self, stream: TcpStream, activity: Arc<Activity>, close: CancellationToken) {
        let Some(tls) = &self.tls else {
            conn::serve(stream, self.routes.clone(), &activity, &self.limits, &close).await;
            return;
        };
        let acceptor = TlsAcceptor::from(tls.load_full());
        let handshake = tokio::time::timeout(self.limits.handshake_timeout, acceptor.accept(stream));
        let failure = tokio::select! {
            () = close.cancelled() => return,
            done = handshake => match done {
                Ok(Ok(stream)) => {
                    activity.handshake_done();
                    // Without a client CA none is asked for; with one, who got here has shown a good one.
                    if stream.get_ref().1.peer_certificates().is_some() {
                        activity.prove();
                    }
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
