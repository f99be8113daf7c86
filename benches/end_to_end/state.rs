//! What the state of a large cluster takes: every object read from JSON and put into one snapshot, as a watch does it.

use std::time::{Duration, Instant};

use portcullis::model::Change;
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json};

use super::process::memory;
use super::support::cluster;

/// Fills a snapshot and prints what that took.
pub fn measure() {
    let resident = || memory("self", "VmRSS:").unwrap_or(f64::NAN);
    let empty = resident();
    let mut snapshot = Snapshot::default();
    let (mut reading, mut applying) = (Duration::ZERO, Duration::ZERO);
    let mut counts = [("namespaces", 0_usize), ("policies", 0), ("pods", 0)];
    for (kind, value) in cluster::namespaces().chain(cluster::policies()).chain(cluster::pods()) {
        counts[match kind {
            Kind::Namespace => 0,
            Kind::NetworkPolicy => 1,
            _ => 2,
        }]
        .1 += 1;
        let text = value.to_string();
        drop(value);
        let begun = Instant::now();
        let object = from_json(kind, text.as_bytes(), &Defaults::default());
        let read = Instant::now();
        snapshot.apply(&Change::create(object));
        reading += read - begun;
        applying += read.elapsed();
    }
    let full = resident();

    // From now on a version has been published, so that every change leaves the one before as it is.
    let changes: Vec<Change> =
        cluster::pods().step_by(10).map(|(kind, value)| Change::create(cluster::object(kind, &value))).collect();
    let begun = Instant::now();
    for change in &changes {
        let mut next = snapshot.clone();
        next.apply(change);
        snapshot = next;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(changes.len()).unwrap_or(u32::MAX));

    println!("\nState of {}", counts.map(|(name, count)| format!("{count} {name}")).join(", "));
    println!("  read from JSON      {:8.2} s", reading.as_secs_f64());
    println!("  applied             {:8.2} s", applying.as_secs_f64());
    println!("  resident memory     {full:8.1} MiB ({empty:.1} before)");
    println!("  one more change, published by itself {each:8.1} µs");
}
