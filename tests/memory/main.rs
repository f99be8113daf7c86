//! The real binary in a memory cgroup of the chart's limit, under the objects that take the most memory for each byte.
//!
//! It needs a memory cgroup, version 1 or 2, in which a group can be made: root on most machines. Elsewhere it says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking and says why it is skipped"
)]

#[path = "../serve_support/mod.rs"]
mod serve_support;

mod cgroup;
mod process;
mod shapes;

use std::time::Duration;

use cgroup::Cgroup;
use process::Process;

/// Bytes of the chart's `resources.limits.memory`.
fn chart_limit() -> u64 {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/charts/portcullis/values.yaml")).unwrap();
    let values: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let limit = values["resources"]["limits"]["memory"].as_str().unwrap();
    limit.strip_suffix("Mi").expect("a limit in Mi").parse::<u64>().unwrap() << 20
}

/// A group of the chart's limit; none, with the reason on the output, where the machine lets nobody make one.
fn group(name: &str) -> Option<Cgroup> {
    match Cgroup::make(name, chart_limit()) {
        Ok(group) => Some(group),
        Err(why) => {
            let root = std::fs::metadata("/proc/self").is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!(root && ci), "no memory cgroup although CI runs as root: {why}");
            eprintln!("SKIP memory: no memory cgroup can be made: {why}");
            None
        }
    }
}

/// The objects that take the most memory for each byte, each in turn, then the large ones all at once, beside as many
/// connections as the server holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_objects_do_not_exhaust_the_memory_of_the_chart() {
    let Some(group) = group("siege") else { return };
    let process = Process::start(&group).await;
    // As many connections as the server holds, less those that the rest of the test needs.
    let idle = process.besiege(2_000.min(sockets())).await;
    eprintln!("memory: {} MiB with {} idle connections", group.highest() >> 20, idle.len());
    let mut large = Vec::new();
    for shape in shapes::all() {
        let body = shape.body();
        let answers = process.send(std::slice::from_ref(&body)).await;
        assert_eq!(answers, [200], "{}: {}", shape.name, process.log());
        process.is_alive(&group, shape.name).await;
        if body.len() > 2 << 20 {
            large.push(body);
        }
    }
    // More bytes than fit into the budget: some are shed, and the others are held at the same time.
    let all: Vec<String> = large.iter().cycle().take(30).cloned().collect();
    let statuses = process.send(&all).await;
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
    process.is_alive(&group, "all at once").await;
    eprintln!("memory: {} MiB at the most, of {} MiB", group.highest() >> 20, chart_limit() >> 20);
}

/// Sockets that this process may open, less those that it needs for itself.
fn sockets() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(1 << 20).min(1 << 20) - 200
}

/// The check itself: a limit that cannot be enough is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_needs_more_than_its_limit_is_killed() {
    let Some(group) = group("check") else { return };
    group.limit(24 << 20).unwrap();
    let started = tokio::time::timeout(Duration::from_mins(1), async {
        let Some(process) = Process::try_start(&group).await else { return };
        let large: Vec<String> = (0..20).map(|_| "x".repeat(3 << 20)).collect();
        process.try_send(&large).await;
        process.until_dead().await;
    });
    started.await.expect("the server lives on in 24 MiB with 60 MiB of bodies");
    assert!(group.kills() > 0);
}

/// Memory for each byte of body, one shape after the other in a process of its own; a table and no assertion.
/// `cargo test --test memory -- --ignored --nocapture` prints it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints a table"]
async fn table() {
    eprintln!("{:<44} {:>10} {:>9} {:>9} {:>9}", "object", "bytes", "MiB", "per byte", "answer");
    for shape in shapes::all() {
        let process = Process::start_free().await;
        let idle = process.highest();
        let body = shape.body();
        let status = process.send(std::slice::from_ref(&body)).await[0];
        let more = process.highest() - idle;
        #[allow(clippy::cast_precision_loss, reason = "some million bytes")]
        let (mib, factor) = (more as f64 / f64::from(1 << 20), more as f64 / body.len() as f64);
        eprintln!("{:<44} {:>10} {mib:>9.1} {factor:>9.1} {status:>9}", shape.name, body.len());
    }
}
