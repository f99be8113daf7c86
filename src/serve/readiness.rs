//! Whether this replica can answer reviews now: one opinion for the admin port and for whoever acts on it.

use std::sync::Arc;

use super::Reviewer;
use super::certs::Served;
use super::drain::Shutdown;

/// Everything that must be in place before a review can be answered.
#[derive(Debug)]
pub(super) struct Readiness<R> {
    reviewer: Arc<R>,
    certificate: Arc<Served>,
    shutdown: Shutdown,
}

impl<R: Reviewer> Readiness<R> {
    pub(super) fn new(reviewer: Arc<R>, certificate: Arc<Served>, shutdown: Shutdown) -> Self {
        Self { reviewer, certificate, shutdown }
    }

    /// The first reason that stands in the way. Draining comes first, because it explains all others.
    pub(super) fn not_ready(&self) -> Option<String> {
        if self.shutdown.is_draining() {
            return Some("draining: this replica is going away".to_owned());
        }
        self.certificate.not_ready().or_else(|| self.reviewer.not_ready())
    }

    /// What is served to callers.
    pub(super) fn certificate(&self) -> &Served {
        &self.certificate
    }
}
