//! What size costs: the worst shape of a cluster, and the matrix of a folder of manifests. Prints tables.
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

mod folder;
mod links;
mod shapes;
mod worst;

use std::process::{Command, ExitCode};
use std::time::Duration;

use cpu_time::ProcessTime;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let number = || args.get(1).and_then(|n| n.parse().ok()).unwrap_or(100);
    match args.first().map(String::as_str) {
        Some("worst") => worst::measure(number()),
        Some("folder") => folder::measure(),
        Some("links") => links::measure(),
        _ => everything(),
    }
    ExitCode::SUCCESS
}

fn everything() {
    println!("\nOne namespace, 10,000 pods, 10,000 policies that each select all of them\n");
    println!("| the pods are | built | evaluated | edges | in all |");
    println!("|---|---:|---:|---:|---:|");
    for workloads in [100, 10_000] {
        alone(&["worst", &workloads.to_string()]);
    }
    println!("\nThe matrix of 1,000 Deployments in 50 namespaces with 1,100 policies, from files\n");
    alone(&["folder"]);
    println!(
        "\n25,000 namespaces with 75,000 NetworkPolicies; in 2,500 of them a policy of Calico's with a tier and a group\n"
    );
    println!("| what changes | policies that refer to it | linked again in |");
    println!("|---|---:|---:|");
    alone(&["links"]);
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

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}
