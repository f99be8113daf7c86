//! What the state of a large cluster takes: every object read from JSON and put into one snapshot, as a watch does it;
//! and what it takes when its policies are of several kinds. Times are of the CPU, so that they mean something on a machine
//! that is busy with other things.

use std::time::Duration;

use cpu_time::ThreadTime;
use portcullis::model::{Change, Object};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json};

use super::process::memory;
use super::support::{cluster, mixed};

/// Sizes of cluster, by their namespaces: from 1,000 pods to 100,000.
pub const SIZES: [usize; 5] = [250, 750, 2_500, 7_500, cluster::NAMESPACES];

/// Objects that come at a time, as pages of a list do.
const PAGE: usize = 500;

/// The heading of the rows that [`measure`] prints.
pub fn heading() {
    println!("\nWhat a state takes, each in a process of its own");
    println!(
        "{:>10} {:>10} {:>10} {:>10} {:>11} {:>14} {:>20}  policies are",
        "pods", "namespaces", "policies", "read s", "applied s", "resident MiB", "one more change µs"
    );
}

/// Fills a snapshot with so many namespaces and what is in them, and prints what that took.
pub fn measure(namespaces: usize, of_many_kinds: bool) {
    let resident = || memory("self", "VmRSS:").unwrap_or(f64::NAN);
    let empty = resident();
    let mut snapshot = Snapshot::default();
    let (mut reading, mut applying) = (Duration::ZERO, Duration::ZERO);
    let mut counts = [0_usize; 3];
    let pods = || cluster::pods().take(1 + namespaces * cluster::PODS);
    let spaces = cluster::namespaces().take(3 + namespaces);
    let policies: Box<dyn Iterator<Item = _>> =
        if of_many_kinds { Box::new(mixed::policies()) } else { Box::new(cluster::policies()) };
    let mut all = spaces.chain(policies.take(namespaces * cluster::POLICIES)).chain(pods());
    loop {
        let page: Vec<(Kind, String)> =
            all.by_ref().take(PAGE).map(|(kind, value)| (kind, value.to_string())).collect();
        if page.is_empty() {
            break;
        }
        for (kind, _) in &page {
            counts[match kind {
                Kind::Namespace => 0,
                Kind::Pod => 2,
                _ => 1,
            }] += 1;
        }
        let read = |(kind, text): &(Kind, String)| from_json(*kind, text.as_bytes(), &Defaults::default());
        let begun = ThreadTime::now();
        let objects: Vec<Object> = page.iter().map(read).collect();
        reading += begun.elapsed();
        debug_assert!(objects.iter().all(|object| object.unread().is_empty()), "something was not understood");
        let begun = ThreadTime::now();
        for object in objects {
            snapshot.apply(&Change::create(object));
        }
        applying += begun.elapsed();
    }
    let full = resident();

    // From now on a version has been published, so that every change leaves the one before as it is.
    let changes: Vec<Change> =
        pods().step_by(10).map(|(kind, value)| Change::create(cluster::object(kind, &value))).collect();
    let begun = ThreadTime::now();
    for change in &changes {
        let mut next = snapshot.clone();
        next.apply(change);
        snapshot = next;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(changes.len()).unwrap_or(u32::MAX));

    println!(
        "{:>10} {:>10} {:>10} {:>10.2} {:>11.2} {:>14.1} {:>20.1}  {}",
        counts[2],
        counts[0],
        counts[1],
        reading.as_secs_f64(),
        applying.as_secs_f64(),
        full - empty,
        each,
        if of_many_kinds { "of many kinds" } else { "NetworkPolicies" }
    );
}
