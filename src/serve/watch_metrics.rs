//! The numbers of the watches, read when metrics are scraped.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::source::watch::{KindNumbers, Numbers, Watched};

/// Registers the numbers of a followed cluster.
pub fn register_watch_metrics(registry: &mut Registry, cluster: &Arc<Watched>) {
    registry.register_collector(Box::new(WatchCollector(Arc::clone(cluster))));
}

#[derive(Debug)]
struct WatchCollector(Arc<Watched>);

/// Name, help and value of what is said of each kind.
type PerKind = (&'static str, &'static str, fn(&KindNumbers) -> f64);
/// The same for the whole state.
type Whole = (&'static str, &'static str, fn(&Numbers) -> f64);

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
const PER_KIND: [PerKind; 4] = [
    ("watch_objects", "Objects known, by kind", |k| k.objects as f64),
    ("watch_age_seconds", "Time since the kind was last known to be complete, -1 before the first list", |k| {
        k.age.map_or(-1.0, |age| age.as_secs_f64())
    }),
    ("watch_relists", "Lists begun since the start, by kind", |k| k.relists as f64),
    ("watch_unreadable", "Objects, lines and pages that could not be read, by kind", |k| k.unreadable as f64),
];

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
const WHOLE: [Whole; 4] = [
    ("snapshot_version", "Version of the published state", |n| n.version as f64),
    ("confirm_reads", "Consistent reads made to confirm a decision", |n| n.confirm.reads as f64),
    ("confirm_failed", "Confirmations that got no answer in time", |n| n.confirm.failed as f64),
    ("confirm_seconds", "Time that all consistent reads took together", |n| n.confirm.took.as_secs_f64()),
];

impl Collector for WatchCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let numbers = self.0.numbers();
        for (name, help, value) in PER_KIND {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for kind in numbers.kinds.iter().filter(|kind| !kind.absent) {
                let labels = [("kind", kind.resource.name())];
                ConstGauge::new(value(kind)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in WHOLE {
            let gauge = ConstGauge::new(value(&numbers));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
