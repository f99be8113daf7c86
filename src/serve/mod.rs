//! Everything around a decision: TLS, limits, deadlines, health, metrics and the drain; it knows no rule.

mod admin;
mod asking;
mod body;
mod budget;
mod callers;
pub mod certs;
mod closing;
mod conn;
mod deadline;
mod decisions;
mod drain;
mod listener;
mod metrics;
mod options;
mod pool;
mod readiness;
mod recorder;
mod reply;
mod router;
mod strangers;
mod sweeper;
mod threads;
mod tls;
mod watch_metrics;

pub use callers::Callers;
pub use closing::Closing;
pub use deadline::{Deadline, DeadlinePolicy, parse_go_duration};
pub use decisions::{DecisionMetrics, GateReviewer, NotReady};
pub use drain::Shutdown;
pub use metrics::{Metrics, new_registry};
pub use options::{Certificates, DrainOptions, Limits, Options, TlsVersions};
pub use router::webhook_router;
pub use sweeper::{AuditMetrics, PACE, keep_sweeping};
pub use threads::STACK;
pub use watch_metrics::register_watch_metrics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::admission::Caps;
use admin::Admin;
use callers::Handshakes;
use certs::Served;
use listener::Port;
use readiness::Readiness;
use threads::Threads;

/// Judges one review. It should not panic; the server catches panics all the same.
pub trait Reviewer: Send + Sync + 'static {
    /// Answers the raw AdmissionReview in `body` before `deadline`, under the caps that the call brings.
    fn review(&self, body: Bytes, deadline: Instant, caps: Option<Caps>) -> impl Future<Output = Answer> + Send;

    /// Why reviews cannot be answered now, e.g. "waiting for the first list of pods"; `None` when they can.
    fn not_ready(&self) -> Option<String>;
}

/// What a reviewer made of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An AdmissionReview in JSON: HTTP 200.
    Review(Vec<u8>),
    /// Not a review at all: HTTP 400 with what was expected.
    BadRequest(String),
    /// Cannot be judged here and now: HTTP 503 that makes the API server ask another replica.
    Unavailable(String),
}

/// Why a server could not start or keep running.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address} ({flag}): {source}")]
    Bind {
        /// The flag that sets it.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The system has no threads or sockets left.
    #[error("cannot start the server's threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The CA of callers cannot be read.
    #[error("--client-ca {}: {why}; it takes a file with CA certificates in PEM", file.display())]
    ClientCa {
        /// The file.
        file: PathBuf,
        /// The reason.
        why: String,
    },
    /// rustls refused the configuration.
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
    /// A part of the server ended by itself, which only a defect can cause.
    #[error("the {0} ended by itself; its last log lines say why")]
    PartEnded(&'static str),
}

/// A server that listens but does not answer yet; separate from [`run`] so that its addresses can be asked for.
#[derive(Debug)]
pub struct Server {
    options: Options,
    webhook: TcpListener,
    admin: TcpListener,
}

impl Server {
    /// Checks the options and binds both ports.
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        options.validate()?;
        let webhook = listen("--listen", options.listen).await?;
        let admin = listen("--admin-listen", options.admin_listen).await?;
        Ok(Self { options, webhook, admin })
    }

    /// Address of the webhook port, with the real port where 0 was asked for.
    pub fn webhook_addr(&self) -> SocketAddr {
        self.webhook.local_addr().unwrap_or(self.options.listen)
    }

    /// Address of the admin port.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr().unwrap_or(self.options.admin_listen)
    }

    /// Answers until the shutdown is through. Connections, the admin port and reviews have threads of their own, so that
    /// none of them holds up another, and what the caller's threads do holds up none (ADR 9).
    ///
    /// The admin port is served until the very end, so that a prober sees "draining" and not a refused connection.
    pub async fn run<R: Reviewer>(
        self,
        reviewer: Arc<R>,
        shutdown: Shutdown,
        mut registry: Registry,
    ) -> Result<(), ServeError> {
        let Self { options, webhook, admin } = self;
        let metrics = Metrics::register(&mut registry);
        let served = Served::new(metrics.clone());
        let handshakes = Handshakes::new(options.tls, Arc::clone(&served), options.callers).await?;
        let routes = webhook_router(Arc::clone(&reviewer), options.limits, metrics.clone(), shutdown.clone())?;
        let connections = Threads::with_io("connections", threads::for_connections())?;
        let admin_thread = Threads::with_io("admin", 1)?;

        // Dropped on return, which ends what is in it.
        let mut parts = JoinSet::new();
        let readiness = Arc::new(Readiness::new(reviewer, Arc::clone(&served), shutdown.clone()));
        let admin_routes = Admin::new(Arc::clone(&readiness), registry).router();
        let admin_port = Port::plain(admin_routes, options.limits);
        let admin = admin.into_std()?;
        let administered = async move {
            match TcpListener::from_std(admin) {
                Ok(listener) => admin_port.serve_forever(listener).await,
                Err(error) => tracing::error!("cannot listen on the admin port: {error}"),
            }
            "admin listener"
        };
        parts.spawn_on(administered, admin_thread.handle());
        match options.certificates {
            Certificates::Directory { path, poll } => parts.spawn(async move {
                certs::watch_directory(path, poll, served).await;
                "certificate reader"
            }),
            Certificates::SelfManaged { settings, store } => parts.spawn(async move {
                certs::keep(settings, store, served).await;
                "certificate keeper"
            }),
        };

        if let Some(closing) = options.closing {
            parts.spawn(async move {
                closing::keep(closing, readiness).await;
                "keeper of the failure policy"
            });
        }

        let port = Port::tls(routes, options.limits, handshakes.current(), metrics);
        parts.spawn(async move {
            handshakes.keep().await;
            "reader of the client CA"
        });
        tracing::info!(address = %options.listen, "listening for reviews");
        let webhook = webhook.into_std()?;
        let drain = options.drain;
        let answered = AbortOnDropHandle::new(connections.handle().spawn(async move {
            port.serve_until_drained(TcpListener::from_std(webhook)?, &shutdown, drain).await;
            Ok(())
        }));
        tokio::select! {
            drained = answered => drained.unwrap_or(Err(ServeError::PartEnded("webhook listener"))),
            Some(ended) = parts.join_next() => Err(ServeError::PartEnded(ended.unwrap_or("panicked part"))),
        }
    }
}

/// Binds and answers until the shutdown is through.
///
/// `registry` is made by [`new_registry`] and may already hold the families of other modules.
pub async fn run<R: Reviewer>(
    options: Options,
    reviewer: Arc<R>,
    shutdown: Shutdown,
    registry: Registry,
) -> Result<(), ServeError> {
    Server::bind(options).await?.run(reviewer, shutdown, registry).await
}

async fn listen(flag: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Bind { flag, address, source })
}
