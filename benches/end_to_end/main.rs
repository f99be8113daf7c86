//! What a review costs over TLS on one core, beside a webhook that does nothing; how long the server takes to start,
//! and what the state of a large cluster takes. It prints figures and asserts none.
//!
//! The server has one core to itself and the client another. A null webhook runs on the same stack, and the two are
//! measured in turns, so that whatever else the machine does falls on both.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod client;
mod null;
mod process;
mod state;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use client::Client;
use process::{Process, pin};
use support::cluster;
use support::reviews::{self, Review};

/// Core of the server under measurement.
const SERVER_CORE: usize = 0;

/// Core of the client.
const CLIENT_CORE: usize = 1;

/// Connections that always have a review under way: enough that the server never waits for the client.
const CONNECTIONS: usize = 8;

/// Turns of each server with each review.
const ROUNDS: usize = 7;

/// Length of one turn.
const TURN: Duration = Duration::from_millis(1500);

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("null") => null::serve(&args[1..]),
        Some("state") => {
            let size = args.get(1).and_then(|size| size.parse().ok()).unwrap_or(cluster::NAMESPACES);
            state::measure(size, args.get(2).is_some_and(|kinds| kinds == "mixed"));
            Ok(())
        }
        Some("growth") => grow(),
        Some("mixed") => mix(),
        // By itself, for whoever works on what a review costs.
        Some("ratio") => ratio(),
        _ => measure_all(),
    }
}

/// What states of growing size take.
fn grow() -> anyhow::Result<()> {
    state::heading();
    for size in state::SIZES {
        Process::run_state(size, "")?;
    }
    Ok(())
}

/// What the largest takes with policies of one kind and of many, in turns.
fn mix() -> anyhow::Result<()> {
    state::heading();
    // The kernel takes its time to clear pages, now more and now less: the quickest turn of many says what the rest takes.
    for _ in 0..8 {
        Process::run_state(cluster::NAMESPACES, "")?;
        Process::run_state(cluster::NAMESPACES, "mixed")?;
    }
    Ok(())
}

fn measure_all() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    starts(dir.path(), &client_runtime()?)?;
    grow()?;
    mix()?;
    ratio()
}

fn client_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    rustls::crypto::ring::default_provider().install_default().ok();
    if !pin(std::process::id(), CLIENT_CORE) {
        eprintln!("cannot pin processes to cores (taskset): server and client will disturb each other");
    }
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// What a review costs on a large cluster, as a multiple of what a webhook costs that does nothing.
fn ratio() -> anyhow::Result<()> {
    [100, cluster::NAMESPACES].into_iter().try_for_each(ratio_with)
}

/// The same with so many namespaces.
fn ratio_with(namespaces: usize) -> anyhow::Result<()> {
    let runtime = client_runtime()?;
    let dir = tempfile::tempdir()?;
    let manifests = dir.path().join("cluster");
    let objects = write_cluster(&manifests, namespaces)?;
    let null = Process::null(dir.path(), SERVER_CORE)?;
    let begun = Instant::now();
    let portcullis = Process::portcullis(dir.path(), "portcullis", &manifests, SERVER_CORE)?;
    let servers = [("null", &null), ("portcullis", &portcullis)];
    let mut clients = Vec::new();
    for (name, process) in servers {
        let ca = process.wait_for_ca(Duration::from_mins(10))?;
        clients.push(runtime.block_on(Client::connect(process.address, &ca, CONNECTIONS)).context(name)?);
    }
    let accepts = begun.elapsed();
    let settled = portcullis.settle()?;
    println!(
        "\nserve --manifests with {namespaces} namespaces, {objects} objects\n  files to TLS accept {:8.2} s\n  CPU time with the first background audit {:8.2} s\n  resident memory     {:8.1} MiB (highest {:.1} MiB)",
        accepts.as_secs_f64(),
        settled.as_secs_f64(),
        portcullis.resident()?,
        portcullis.highest()?,
    );
    println!(
        "\nOne core, {CONNECTIONS} connections over TLS 1.3, {ROUNDS} turns of {TURN:?} for each server in alternation (medians)"
    );
    println!(
        "{:<14} {:>7}  {:<11} {:>14} {:>22} {:>11} {:>9} {:>9}",
        "review", "bytes", "server", "CPU µs/review", "times null (spread)", "reviews/s", "p50 µs", "p99 µs"
    );
    for review in reviews::all().into_iter().chain([reviews::warned(), reviews::denied()]) {
        let mut turns = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            // Who goes first alternates as well; the first round warms up.
            for who in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let turn = runtime.block_on(take_turn(&mut clients[who], servers[who].1, &review))?;
                if round > 0 {
                    turns[who].push(turn);
                }
            }
        }
        print_rows(&review, &turns);
    }
    portcullis_alone(&runtime, &portcullis)
}

/// Latency without a queue: one connection, one review at a time.
fn portcullis_alone(runtime: &tokio::runtime::Runtime, portcullis: &Process) -> anyhow::Result<()> {
    let ca = portcullis.wait_for_ca(Duration::from_secs(1))?;
    let mut client = runtime.block_on(Client::connect(portcullis.address, &ca, 1))?;
    println!("\nportcullis, one connection, one review at a time");
    for review in reviews::all().iter().chain([&reviews::warned(), &reviews::denied()]) {
        runtime.block_on(client.run(&review.body, Duration::from_millis(300)))?;
        let mut took = runtime.block_on(client.run(&review.body, TURN))?;
        println!(
            "  {:<14} p50 {:>7.0} µs   p99 {:>7.0} µs",
            review.name,
            quantile(&mut took, 0.50),
            quantile(&mut took, 0.99)
        );
    }
    Ok(())
}

/// Start and memory on an empty world, with the certificate made on the way.
fn starts(dir: &Path, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let empty = dir.join("empty");
    std::fs::create_dir(&empty)?;
    // A folder without any object is refused, and rightly so.
    let only = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}});
    std::fs::write(empty.join("bare.json"), only.to_string())?;
    let mut took = Vec::new();
    let mut resident = Vec::new();
    for i in 0..9 {
        let begun = Instant::now();
        let process = Process::portcullis(dir, &format!("empty-{i}"), &empty, SERVER_CORE)?;
        let ca = process.wait_for_ca(Duration::from_secs(30))?;
        let mut client = runtime.block_on(Client::connect(process.address, &ca, 1))?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        let review = &reviews::denied();
        runtime.block_on(client.run(&review.body, Duration::from_millis(100)))?;
        resident.push(process.resident()?);
    }
    println!("serve on a world of one empty namespace ({} starts)", took.len());
    println!(
        "  start to TLS accept {:8.1} ms (median; highest {:.1} ms)",
        quantile(&mut took, 0.5),
        quantile(&mut took, 1.0)
    );
    println!("  resident memory     {:8.1} MiB (after some hundred reviews)", quantile(&mut resident, 0.5));
    Ok(())
}

/// Namespaces, policies and the pods nearby as a folder of JSON lists, a thousand objects to a file. Returns how many.
fn write_cluster(dir: &Path, namespaces: usize) -> anyhow::Result<usize> {
    std::fs::create_dir(dir)?;
    let objects: Vec<_> = cluster::with_teams(namespaces).collect();
    for (i, items) in objects.chunks(1000).enumerate() {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
        std::fs::write(dir.join(format!("{i:03}.json")), list.to_string())?;
    }
    Ok(objects.len())
}

/// What one turn came to.
struct Turn {
    cpu: f64,
    per_second: f64,
    p50: f64,
    p99: f64,
}

async fn take_turn(client: &mut Client, server: &Process, review: &Review) -> anyhow::Result<Turn> {
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let mut took = client.run(&review.body, TURN).await?;
    let (cpu, wall) = (server.cpu()?.saturating_sub(cpu), begun.elapsed());
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let reviews = took.len() as f64;
    Ok(Turn {
        cpu: cpu.as_secs_f64() * 1e6 / reviews,
        per_second: reviews / wall.as_secs_f64(),
        p50: quantile(&mut took, 0.50),
        p99: quantile(&mut took, 0.99),
    })
}

fn print_rows(review: &Review, turns: &[Vec<Turn>; 2]) {
    let median = |turns: &[Turn], f: fn(&Turn) -> f64| quantile(&mut turns.iter().map(f).collect::<Vec<_>>(), 0.5);
    let mut ratios: Vec<f64> = turns[0].iter().zip(&turns[1]).map(|(null, ours)| ours.cpu / null.cpu).collect();
    let (low, middle, high) = (quantile(&mut ratios, 0.0), quantile(&mut ratios, 0.5), quantile(&mut ratios, 1.0));
    for (name, turns) in [("null", &turns[0]), ("portcullis", &turns[1])] {
        let ratio = if name == "null" { String::new() } else { format!("{middle:.2} ({low:.2} to {high:.2})") };
        println!(
            "{:<14} {:>7}  {name:<11} {:>14.1} {ratio:>22} {:>11.0} {:>9.0} {:>9.0}",
            review.name,
            review.body.len(),
            median(turns, |t| t.cpu),
            median(turns, |t| t.per_second),
            median(turns, |t| t.p50),
            median(turns, |t| t.p99),
        );
    }
}

/// The value below which this share of the values lies.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index of a list in memory"
)]
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(at).copied().unwrap_or(f64::NAN)
}
