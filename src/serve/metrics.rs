//! The metric families of the server itself; other modules put theirs on the same registry.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// How one request to the webhook port ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An AdmissionReview was written.
    Reviewed,
    /// The body was no AdmissionReview, or could not be read to its end.
    BadRequest,
    /// Wrong content type or a content encoding.
    UnsupportedMedia,
    /// The body is larger than the limit.
    TooLarge,
    /// The body did not arrive in time.
    SlowBody,
    /// Shed with 503; the reason is in its own family.
    Shed,
    /// The reviewer panicked.
    Panicked,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
}

/// Why something was turned away that could have been served at another time or place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// The reviewer has no state to judge on yet.
    NotReady,
    /// The bytes in flight are at their limit.
    Bytes,
    /// The reviews in flight are at their limit.
    Concurrency,
    /// The reviewer overran the deadline.
    Deadline,
    /// The reviewer itself declined.
    Reviewer,
    /// The connections are at their limit: an idle one, or the new one, was closed.
    Connections,
    /// One source address has as many connections without a review as it may: the oldest, or the new one, was closed.
    SourceConnections,
}

// Written out because the derive would use the names of the variants, and label values are in snake case everywhere else.
impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(match self {
            Self::Reviewed => "reviewed",
            Self::BadRequest => "bad_request",
            Self::UnsupportedMedia => "unsupported_media",
            Self::TooLarge => "too_large",
            Self::SlowBody => "slow_body",
            Self::Shed => "shed",
            Self::Panicked => "panicked",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        })
    }
}

impl EncodeLabelValue for Shed {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(match self {
            Self::NotReady => "not_ready",
            Self::Bytes => "bytes",
            Self::Concurrency => "concurrency",
            Self::Deadline => "deadline",
            Self::Reviewer => "reviewer",
            Self::Connections => "connections",
            Self::SourceConnections => "source_connections",
        })
    }
}

/// Label set of the requests family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Outcome,
}

/// Label set of the shed family.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ShedLabel {
    reason: Shed,
}

/// Upper bounds in seconds: below a millisecond for our own eyes, then those of the API server's
/// `webhook_admission_duration_seconds`, so that both histograms can be laid over each other.
const DURATION_BUCKETS: [f64; 13] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];

/// Handles to the families of the server; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<OutcomeLabel, Counter>,
    shed: Family<ShedLabel, Counter>,
    /// Requests between head and answer.
    pub in_flight: Gauge,
    /// Bytes of request bodies in memory.
    pub in_flight_bytes: Gauge,
    /// From arrival to answer.
    pub duration: Histogram,
    /// From a complete body to the start of its review.
    pub queue_duration: Histogram,
    /// Panics caught in reviews.
    pub panics: Counter,
    /// Open connections on the webhook port.
    pub connections: Gauge,
    /// Open connections on the webhook port that have not delivered a review.
    pub strangers: Gauge,
    /// Handshakes that failed or timed out.
    pub handshake_failures: Counter,
    /// End of the serving certificate, seconds since 1970; 0 while there is none.
    pub certificate_not_after: Gauge,
    /// Attempts to load or renew the certificate that failed.
    pub certificate_failures: Counter,
}

/// The registry that every module registers on: all names begin with `portcullis_`.
pub fn new_registry() -> Registry {
    Registry::with_prefix("portcullis")
}

impl Metrics {
    /// Registers the server's families.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            shed: Family::default(),
            in_flight: Gauge::default(),
            in_flight_bytes: Gauge::default(),
            duration: Histogram::new(DURATION_BUCKETS),
            queue_duration: Histogram::new(DURATION_BUCKETS),
            panics: Counter::default(),
            connections: Gauge::default(),
            strangers: Gauge::default(),
            handshake_failures: Counter::default(),
            certificate_not_after: Gauge::default(),
            certificate_failures: Counter::default(),
        };
        let m = &metrics;
        registry.register("requests", "Requests to the webhook port by outcome", m.requests.clone());
        registry.register("shed", "Requests and connections turned away by reason", m.shed.clone());
        registry.register("requests_in_flight", "Requests between head and answer", m.in_flight.clone());
        registry.register("in_flight_bytes", "Bytes of request bodies held in memory", m.in_flight_bytes.clone());
        registry.register("request_duration_seconds", "Time from arrival to answer", m.duration.clone());
        registry.register(
            "queue_duration_seconds",
            "Time from a complete body to the start of its review",
            m.queue_duration.clone(),
        );
        registry.register("panics", "Panics caught while answering; each one is a defect", m.panics.clone());
        registry.register("connections", "Open connections on the webhook port", m.connections.clone());
        registry.register(
            "connections_without_review",
            "Open connections on the webhook port that have not delivered a review",
            m.strangers.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed or timed out",
            m.handshake_failures.clone(),
        );
        registry.register(
            "certificate_not_after_timestamp_seconds",
            "End of the serving certificate in seconds since 1970, 0 while there is none",
            m.certificate_not_after.clone(),
        );
        registry.register(
            "certificate_failures",
            "Failed attempts to load or renew the serving certificate",
            m.certificate_failures.clone(),
        );
        registry.register(
            "build",
            "Version of this binary",
            Info::new(vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
        );
        metrics
    }

    /// Counts one finished request.
    pub fn count(&self, outcome: Outcome) {
        self.requests.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts one thing turned away.
    pub fn count_shed(&self, reason: Shed) {
        self.shed.get_or_create(&ShedLabel { reason }).inc();
    }
}
