//! The gate as the server's reviewer: what it decides is counted and written to the decision log, one line per review.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::asking::Asking;
use super::recorder::Recorder;
use super::{Answer, Reviewer};
use crate::admission::{Caps, Cluster, Decided, Gate, Outcome, Record, Reply};
use crate::model::house::Level;
use crate::review::Verdict;

/// Buckets of the decision alone: from 10 µs, because the decision is meant to be a small part of a millisecond.
const BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 1.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    rule: &'static str,
    level: &'static str,
}

/// The counts of what was decided.
#[derive(Clone, Debug)]
pub struct DecisionMetrics {
    decisions: Family<DecisionLabels, Counter>,
    findings: Family<FindingLabels, Counter>,
    confirmed: Counter,
    unrecorded: Counter,
    duration: Histogram,
}

impl DecisionMetrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            decisions: Family::default(),
            findings: Family::default(),
            confirmed: Counter::default(),
            unrecorded: Counter::default(),
            duration: Histogram::new(BUCKETS),
        };
        registry.register("decisions", "Reviews by what they came to", metrics.decisions.clone());
        registry.register("findings", "Findings by rule and level", metrics.findings.clone());
        registry.register(
            "confirmed_decisions",
            "Decisions for which the API server was asked again",
            metrics.confirmed.clone(),
        );
        registry.register(
            "unrecorded_requests",
            "Admitted requests that were not judged by the rules that only record, for lack of time or room",
            metrics.unrecorded.clone(),
        );
        registry.register("decision_duration_seconds", "Time from bytes to verdict", metrics.duration.clone());
        metrics
    }

    fn count(&self, decided: &Decided<'_>) {
        self.decisions.get_or_create(&DecisionLabels { outcome: decided.outcome.as_str() }).inc();
        self.duration.observe(decided.took.as_secs_f64());
        if decided.confirmed {
            self.confirmed.inc();
        }
        if let Some(verdict) = decided.verdict {
            self.count_findings(verdict);
        }
    }

    /// Counts findings by rule and level.
    pub(super) fn count_findings(&self, verdict: &Verdict) {
        for judged in &verdict.findings {
            let labels = FindingLabels { rule: judged.finding.rule.as_str(), level: judged.level.as_str() };
            self.findings.get_or_create(&labels).inc();
        }
    }

    /// Counts a request of which nothing was recorded after its answer.
    pub(super) fn count_unrecorded(&self) {
        self.unrecorded.inc();
    }
}

/// Why a source of state is not ready; asked at every readiness probe.
pub type NotReady = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// Answers the server's reviews with a gate.
pub struct GateReviewer<C> {
    gate: Gate<Asking<C>>,
    metrics: DecisionMetrics,
    recorder: Recorder,
    not_ready: NotReady,
}

impl<C> std::fmt::Debug for GateReviewer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateReviewer").finish_non_exhaustive()
    }
}

impl<C: Cluster> GateReviewer<C> {
    /// A reviewer in front of a cluster, which is asked on the threads that call this.
    ///
    /// # Errors
    ///
    /// The thread that records after the answer could not be started.
    pub fn new(cluster: Arc<C>, metrics: DecisionMetrics, not_ready: NotReady) -> io::Result<Self> {
        let recorder = Recorder::start(metrics.clone())?;
        Ok(Self { gate: Gate::new(Arc::new(Asking::here(cluster))), metrics, recorder, not_ready })
    }
}

impl<C: Cluster> Reviewer for GateReviewer<C> {
    async fn review(&self, body: Bytes, deadline: Instant, caps: Option<Caps>) -> Answer {
        if let Some(why) = (self.not_ready)() {
            return Answer::Unavailable(why);
        }
        let record = |decided: &Decided<'_>| {
            self.metrics.count(decided);
            log(decided);
        };
        let later = |waiting: Record| {
            if !self.recorder.take(waiting) {
                self.metrics.count_unrecorded();
            }
        };
        match self.gate.answer_capped(&body, deadline, caps, record, later).await {
            Reply::Review(bytes) => Answer::Review(bytes),
            Reply::BadRequest(message) => Answer::BadRequest(message),
            Reply::Unavailable(message) => Answer::Unavailable(message),
        }
    }

    fn not_ready(&self) -> Option<String> {
        (self.not_ready)()
    }
}

/// One line per review, with its uid. What is let through without a word is on debug level: most lines are that.
fn log(decided: &Decided<'_>) {
    let quiet = matches!(decided.outcome, Outcome::Allowed | Outcome::Passed);
    if quiet && !tracing::enabled!(target: "decision", tracing::Level::DEBUG) {
        return;
    }
    let request = decided.request;
    let text = |f: fn(&crate::admission::Incoming<'_>) -> String| request.map(f).unwrap_or_default();
    let rules = |level: Level| {
        let found = decided.verdict.into_iter().flat_map(|v| v.at(level));
        let mut names: Vec<&str> = found.map(|j| j.finding.rule.as_str()).collect();
        names.dedup();
        names.join(",")
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "decision",
                uid = text(|r| r.uid.to_string()),
                outcome = decided.outcome.as_str(),
                kind = text(|r| r.kind.to_string()),
                namespace = text(|r| r.namespace.to_string()),
                name = text(|r| r.name.to_string()),
                operation = request.and_then(|r| r.operation).map_or("", crate::model::Operation::as_str),
                user = text(|r| r.user.name.to_string()),
                dry_run = request.is_some_and(|r| r.dry_run),
                enforce = rules(Level::Enforce),
                warn = rules(Level::Warn),
                snapshot = decided.verdict.map_or(0, |v| v.snapshot),
                confirmed = decided.confirmed,
                took_us = u64::try_from(decided.took.as_micros()).unwrap_or(u64::MAX),
                error = decided.error.unwrap_or_default(),
            )
        };
    }
    match decided.outcome {
        Outcome::Allowed | Outcome::Passed => line!(debug),
        Outcome::Warned | Outcome::Denied => line!(info),
        Outcome::Malformed | Outcome::Unavailable => line!(warn),
    }
}
