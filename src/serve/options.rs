//! What a server can be told, with defaults that are safe in a cluster; reading flags is the command line's business.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ServeError;
use super::callers::Callers;
use super::certs::{SelfManaged, Store};
use super::closing::Closing;
use super::deadline::DeadlinePolicy;

/// Everything [`run`](super::run) needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where reviews are answered, over TLS.
    pub listen: SocketAddr,
    /// Where health and metrics are answered, in plain HTTP.
    pub admin_listen: SocketAddr,
    /// Where the serving certificate comes from.
    pub certificates: Certificates,
    /// Whose certificates callers must show; none: no caller is asked for one.
    pub callers: Option<Callers>,
    /// The webhook configuration that is closed when this replica is ready; none without a cluster.
    pub closing: Option<Closing>,
    /// Oldest TLS version that is spoken.
    pub tls: TlsVersions,
    /// Bounds on what callers can make the server hold.
    pub limits: Limits,
    /// How long the end takes.
    pub drain: DrainOptions,
}

impl Options {
    /// The defaults of a server in a cluster, with this source of certificates.
    pub fn new(certificates: Certificates) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 10250)),
            admin_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            certificates,
            callers: None,
            closing: None,
            tls: TlsVersions::default(),
            limits: Limits::default(),
            drain: DrainOptions::default(),
        }
    }

    /// Refuses combinations under which the server could answer nothing.
    pub(super) fn validate(&self) -> Result<(), ServeError> {
        let limits = &self.limits;
        let refuse = |why: String| Err(ServeError::Options(why));
        if limits.body == 0 {
            return refuse("--body-limit is 0, so that no review could be read; the default is 32 MiB".to_owned());
        }
        if limits.inflight_bytes < limits.body {
            return refuse(format!(
                "--max-inflight-bytes ({}) is smaller than --body-limit ({}): the largest legal review would always be shed",
                limits.inflight_bytes, limits.body
            ));
        }
        let least =
            limits.connections.min(limits.source_connections).min(limits.concurrency).min(limits.review_threads);
        if least == 0 {
            return refuse("the limits on reviews, threads and connections must all be at least 1".to_owned());
        }
        Ok(())
    }
}

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum Certificates {
    /// `tls.crt` and `tls.key` in a directory, as a Secret is mounted; read again and again.
    Directory {
        /// The directory.
        path: PathBuf,
        /// How often it is read.
        poll: Duration,
    },
    /// Made here, kept in one Secret that all replicas share, its CA written into the webhook configuration.
    SelfManaged {
        /// Names and lifetimes.
        settings: SelfManaged,
        /// The Secret and the webhook configuration.
        store: Arc<dyn Store>,
    },
}

impl Certificates {
    /// A directory, read every 10 s: a kubelet renews a mounted Secret within about a minute, so this adds little.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::Directory { path: path.into(), poll: Duration::from_secs(10) }
    }
}

/// The TLS versions spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersions {
    /// TLS 1.3 alone. Every API server of the last years speaks it.
    #[default]
    Tls13,
    /// TLS 1.2 as well, for middle boxes that stand between.
    Tls12AndTls13,
}

/// Bounds on what callers can make the server hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body. An API server takes objects of 3 MiB, escapes `<`, `>` and `&` six-fold and sends two of them.
    pub body: usize,
    /// Bytes of all bodies together.
    pub inflight_bytes: usize,
    /// Bodies up to this size may use the part of the budget that large ones may not.
    pub small_body: usize,
    /// Bodies from this size on are judged on threads of their own.
    pub large_body: usize,
    /// Threads that judge reviews; large bodies have half as many again. Each computes one review at a time, and what that
    /// takes of memory is most of what the server needs, so their number does not follow the machine's cores.
    pub review_threads: usize,
    /// Reviews that are queued for these threads or being judged.
    pub concurrency: usize,
    /// Open connections; one more closes the oldest that has not delivered a review, else the one that has been idle
    /// longest.
    pub connections: usize,
    /// Open connections of one source address that have not delivered a review; one more closes the oldest of them. API
    /// servers behind one address share the number, but a connection of theirs has delivered a review within milliseconds.
    pub source_connections: usize,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// From accept to the end of the handshake.
    pub handshake_timeout: Duration,
    /// From the end of the headers to the end of the body.
    pub body_timeout: Duration,
    /// Life of a connection without a request. Longer than the 90 s after which an API server drops its own idle
    /// connections: whoever closes first risks that the other has just sent a request, and a lost POST is not repeated.
    pub idle_timeout: Duration,
    /// How deadlines are derived.
    pub deadline: DeadlinePolicy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            inflight_bytes: 64 << 20,
            small_body: 256 << 10,
            large_body: 64 << 10,
            review_threads: 2,
            concurrency: 256,
            connections: 2048,
            source_connections: 256,
            header_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(150),
            deadline: DeadlinePolicy::default(),
        }
    }
}

/// How long the end takes.
#[derive(Debug, Clone, Copy)]
pub struct DrainOptions {
    /// The latest end. A little more than the API server's idle timeout of 90 s, after which its pool is empty.
    pub timeout: Duration,
    /// The earliest end. New connections come until every API server has seen that the endpoint is gone.
    pub linger: Duration,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(95), linger: Duration::from_secs(5) }
    }
}
