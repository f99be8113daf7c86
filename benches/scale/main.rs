//! What size costs: building the state of a cluster from what an API server sends, the worst shape of one, and the
//! matrix of a folder of manifests. Prints tables; `hack/plot-scaling` draws the first of them.
//!
//! Every measurement runs in a process of its own, so that its memory holds nothing else, and counts the CPU time of that
//! process, so that it means something on a machine that is busy with other things.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a benchmark that cannot be set up has nothing to say, and its output is its result"
)]

mod api;
mod events;
mod folder;
mod shapes;
mod worst;

use std::process::{Command, ExitCode};
use std::time::Duration;

use cpu_time::ProcessTime;

/// Pods of the clusters that are built; a quarter as many namespaces, three quarters as many policies.
const SIZES: [usize; 5] = [1_000, 3_000, 10_000, 30_000, 100_000];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = || args.get(1).and_then(|n| n.parse().ok()).unwrap_or(SIZES[0]);
    match args.first().map(String::as_str) {
        Some("events") => events::measure(number()),
        Some("worst") => worst::measure(number()),
        Some("folder") => folder::measure(),
        _ => everything(),
    }
    ExitCode::SUCCESS
}

fn everything() {
    println!("Built from what an API server sends (CPU time of the process; memory above that of the empty process)\n");
    println!(
        "| pods | namespaces | policies | first list | watch events | state | one more pod of a known workload | one question |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for size in SIZES {
        alone(&["events", &size.to_string()]);
    }
    println!("\nOne namespace, 10,000 pods, 10,000 policies that each select all of them\n");
    println!("| the pods are | built | evaluated | edges | in all |");
    println!("|---|---:|---:|---:|---:|");
    for workloads in [100, 10_000] {
        alone(&["worst", &workloads.to_string()]);
    }
    println!("\nThe matrix of 1,000 Deployments in 50 namespaces with 1,100 policies, from files\n");
    alone(&["folder"]);
}

/// Runs one measurement in a process of its own.
fn alone(args: &[&str]) {
    let me = std::env::current_exe().unwrap();
    assert!(Command::new(me).args(args).status().unwrap().success(), "{args:?} failed");
}

/// CPU time of this process for the work, and what it yields.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = ProcessTime::now();
    let result = work();
    (start.elapsed(), result)
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
