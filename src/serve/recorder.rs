//! Records after the answer what rules find that only record: on a thread of its own, from a bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;
use std::{io, thread};

use super::decisions::DecisionMetrics;
use crate::admission::Record;
use crate::model::house::Level;

/// Requests that wait to be recorded. One that finds no room is counted, and is left to the background audit.
const MOST_WAITING: usize = 64;

/// Time between two looks at the queue. The thread is never woken by a review, because that would cost the review more than
/// to put the request there.
const PAUSE: Duration = Duration::from_millis(50);

/// The queue of requests that are to be recorded.
#[derive(Clone, Debug)]
pub(super) struct Recorder(SyncSender<Record>);

impl Recorder {
    /// Starts the thread, which ends with the last of these.
    pub(super) fn start(metrics: DecisionMetrics) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("recorder".to_owned()).spawn(move || record_all(&waiting, &metrics))?;
        Ok(Self(queue))
    }

    /// Puts a request into the queue. False where there is no room.
    pub(super) fn take(&self, record: Record) -> bool {
        self.0.try_send(record).is_ok()
    }
}

fn record_all(waiting: &Receiver<Record>, metrics: &DecisionMetrics) {
    loop {
        match waiting.try_recv() {
            Ok(record) => record_one(&record, metrics),
            Err(TryRecvError::Empty) => thread::sleep(PAUSE),
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

fn record_one(record: &Record, metrics: &DecisionMetrics) {
    // One request that cannot be judged must not keep the others from being recorded.
    let Ok(verdict) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| record.judge())) else {
        metrics.count_unrecorded();
        return;
    };
    metrics.count_findings(&verdict);
    let found = verdict.at(Level::Audit);
    let rules: std::collections::BTreeSet<&str> = found.map(|judged| judged.finding.rule.as_str()).collect();
    if !rules.is_empty() {
        let rules = rules.into_iter().collect::<Vec<_>>().join(",");
        tracing::info!(target: "decision", uid = record.uid, object = %verdict.object, audit = rules, "recorded");
    }
}
