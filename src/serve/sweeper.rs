//! The background audit's pace and its numbers: a sweep over the whole state every few minutes, as a gauge and log lines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::NotReady;
use crate::audit::{Auditor, Sweep};
use crate::model::house::{Level, RuleId};
use crate::review::World;
use crate::source::status::Violations;

/// Between two sweeps. Admission sees changes at once; this is for what it could not see.
pub const PACE: Duration = Duration::from_mins(5);
/// Between two looks whether the state is complete, at the start.
const UNTIL_READY: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ViolationLabels {
    rule: &'static str,
    level: &'static str,
}

/// The gauge of standing violations.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    violations: Family<ViolationLabels, Gauge>,
    objects: Gauge,
    failures: Counter,
    skipped: Gauge,
}

impl AuditMetrics {
    /// Registers the families.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            violations: Family::default(),
            objects: Gauge::default(),
            failures: Counter::default(),
            skipped: Gauge::default(),
        };
        registry.register(
            "violations",
            "Findings about what is in the cluster now, by rule and level, as of the last background audit",
            metrics.violations.clone(),
        );
        registry.register(
            "audited_objects",
            "Policies and classes of pods that the last background audit judged",
            metrics.objects.clone(),
        );
        registry.register(
            "audit_failures",
            "Reviews of the background audit that failed inside; each one is a defect, and the log names the object",
            metrics.failures.clone(),
        );
        registry.register(
            "audit_skipped_objects",
            "Objects that the last background audit left out, because their review failed before and they have not changed",
            metrics.skipped.clone(),
        );
        metrics
    }

    fn set(&self, sweep: &Sweep) {
        for &rule in RuleId::ALL {
            for level in [Level::Audit, Level::Warn, Level::Enforce] {
                let count = sweep.counts.get(&(rule, level)).copied().unwrap_or(0);
                let labels = ViolationLabels { rule: rule.as_str(), level: level.as_str() };
                self.violations.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        self.objects.set(i64::try_from(sweep.objects).unwrap_or(i64::MAX));
        self.failures.inc_by(u64::try_from(sweep.failures.len()).unwrap_or(u64::MAX));
        self.skipped.set(i64::try_from(sweep.skipped).unwrap_or(i64::MAX));
    }
}

/// Sweeps until it is dropped, and leaves what it found by namespace in `last`. New refusals are logged once, not at every sweep.
pub async fn keep_sweeping(
    current: impl Fn() -> Arc<World> + Send + Sync,
    not_ready: NotReady,
    metrics: AuditMetrics,
    own_namespace: String,
    last: Violations,
    pace: Duration,
) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut auditor = Auditor::default();
    loop {
        if not_ready().is_some() {
            tokio::time::sleep(UNTIL_READY).await;
            continue;
        }
        let world = current();
        // A large cluster takes seconds: on a thread of its own, which answers no reviews and serves no connections.
        let judged = tokio::task::spawn_blocking({
            let own = own_namespace.clone();
            move || {
                let sweep = auditor.sweep(&world, &own);
                (auditor, sweep)
            }
        });
        let Ok((back, sweep)) = judged.await else {
            tracing::error!("the background audit failed; the next one is in {} s", pace.as_secs());
            metrics.failures.inc();
            auditor = Auditor::default();
            tokio::time::sleep(pace).await;
            continue;
        };
        auditor = back;
        for failure in &sweep.failures {
            tracing::error!(
                target: "audit", object = %failure.object, panic = failure.message,
                "the review of this object failed inside, which is a defect; it is left out until the object changes"
            );
        }
        metrics.set(&sweep);
        let now: BTreeSet<String> =
            sweep.refused.iter().map(|(object, rule, message)| format!("{object}: {rule}: {message}")).collect();
        for line in now.difference(&known) {
            tracing::info!(target: "audit", violation = line, "would be refused today");
        }
        known = now;
        last.store(Some(Arc::new(sweep.by_namespace)));
        tokio::time::sleep(pace).await;
    }
}
