//! The serving certificate: which one is served now, and the two ways it gets here (a directory, or made here).

mod bundle;
mod dir;
mod holding;
mod identity;
mod issue;
mod keeper;
mod kube_store;
mod memory_store;
mod plan;
mod settings;
mod store;
#[cfg(test)]
mod tests;

pub use identity::{CertError, Identity};
pub use kube_store::KubeStore;
pub use memory_store::MemoryStore;
pub use settings::SelfManaged;
pub use store::{Published, SecretState, Store, StoreError};

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::metrics::Metrics;

pub(super) use dir::watch_directory;
pub(super) use identity::{caller_names, certificates};
pub(super) use keeper::keep;

/// The certificate that new handshakes get; swapped while connections are open.
#[derive(Debug)]
pub struct Served {
    identity: ArcSwapOption<Identity>,
    problem: ArcSwapOption<String>,
    skew: AtomicI64,
    metrics: Metrics,
}

impl Served {
    pub(super) fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            identity: ArcSwapOption::empty(),
            problem: ArcSwapOption::empty(),
            skew: AtomicI64::new(0),
            metrics,
        })
    }

    /// Serves this one from the next handshake on.
    pub(super) fn swap(&self, identity: Arc<Identity>) {
        tracing::info!(
            not_before = %identity.not_before, not_after = %identity.not_after, subject = %identity.names.join(","),
            "serving certificate loaded"
        );
        self.metrics.certificate_not_after.set(identity.not_after.as_second());
        self.identity.store(Some(identity));
    }

    /// What is served now.
    pub(super) fn identity(&self) -> Option<Arc<Identity>> {
        self.identity.load_full()
    }

    /// Says why callers would not trust what is served although it is valid by itself, or takes that back.
    pub(super) fn set_problem(&self, problem: Option<String>) {
        self.problem.store(problem.map(Arc::new));
    }

    /// Why callers who ask for this name and trust this bundle would refuse what is served, if they would.
    pub(super) fn why_refused(&self, bundle: &[u8], name: &str) -> Option<String> {
        match self.identity() {
            Some(identity) => bundle::why_refused(&identity, bundle, name, self.now()),
            None => Some("no serving certificate is loaded".to_owned()),
        }
    }

    /// Counts a failure to load or renew.
    pub(super) fn count_failure(&self) {
        self.metrics.certificate_failures.inc();
    }

    /// How many seconds the verifier's clock is ahead of this machine's.
    pub(super) fn set_skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::Relaxed);
    }

    /// The time by which certificates are judged: the API server's where it is known, since it is the one that verifies.
    pub(super) fn now(&self) -> Timestamp {
        let local = Timestamp::now();
        let shifted = local.as_second().saturating_add(self.skew.load(Ordering::Relaxed));
        Timestamp::from_second(shifted).unwrap_or(local)
    }

    /// Why a handshake would not succeed at this time, if so.
    pub(super) fn not_ready(&self) -> Option<String> {
        let Some(identity) = self.identity.load_full() else {
            return Some("no serving certificate loaded yet; the log says what is being waited for".to_owned());
        };
        identity.why_not_valid_at(self.now()).or_else(|| self.problem.load_full().map(|why| (*why).clone()))
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.identity.load().as_ref().map(|identity| Arc::clone(&identity.key))
    }
}

/// The certificates of a CA bundle as DER, for clients that verify with it.
pub fn ca_certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertError> {
    Ok(identity::certificates(pem)?.iter().map(|certificate| certificate.to_vec()).collect())
}
