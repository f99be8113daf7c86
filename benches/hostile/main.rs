//! Objects that are made to be expensive, each judged in a process of its own: processor time, memory beyond that of an
//! idle process, and the size of the answer. It prints a table and asserts nothing.
//!
//! Each shape is sent alone, and then 100 of the shape are stored and a pod of their namespace and one of another are
//! reviewed.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "its output is its purpose")]

#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ProcessTime;
use portcullis::admission::{Fixed, Gate, Reply};
use portcullis::model::Object;
use portcullis::review::World;
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json};
use support::hostile::{NAMESPACE, Shape, review, shapes};
use tokio::time::Instant;

/// The largest object that an API server takes is 3 MiB as a request; etcd stores half of that.
const LARGEST: usize = 3 << 20;

/// Objects stored at once.
const STORED: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let shapes = shapes();
    if let [index, size] = args.as_slice() {
        return one(&shapes[index.parse::<usize>().unwrap()], size.parse().unwrap());
    }
    let wanted = args.first().map_or("", String::as_str);
    println!("| shape | bytes | CPU ms | MiB | answer bytes | outcome | 100 stored: same namespace ms | other ms |");
    println!("|---|---:|---:|---:|---:|---|---:|---:|");
    let own = std::env::current_exe().unwrap();
    for (i, shape) in shapes.iter().enumerate().filter(|(_, s)| format!("{} {}", s.kind.2, s.name).contains(wanted)) {
        for size in [64 << 10, 512 << 10, LARGEST] {
            let out = Command::new(&own).args([i.to_string(), size.to_string()]).output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout);
            let said = if out.status.success() { text.trim().to_owned() } else { format!("{}", out.status) };
            println!("| {} {} | {said} |", shape.kind.2, shape.name);
        }
    }
}

fn one(shape: &Shape, size: usize) {
    let body = shape.review(size);
    let idle = peak();
    let (world, start) = (World::default(), ProcessTime::now());
    let (outcome, answer) = answer(world, &body);
    let took = start.elapsed();
    let memory = (peak() - idle) / 1024;
    let text = shape.object(size);
    drop(body);
    let (group, _, kind) = shape.kind;
    let kind = Kind::of(group, kind).unwrap();
    let defaults = Defaults { namespace: NAMESPACE, name: "" };
    let mut snapshot = Snapshot::default();
    for i in 0..STORED {
        let text = text.replacen("\"big\"", &format!("\"big-{i}\""), 1);
        let object: Object = from_json(kind, text.as_bytes(), &defaults);
        snapshot.insert(&object);
    }
    let pods = |namespace: &str| {
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web","namespace":"{namespace}","labels":{{"app":"web"}}}},"spec":{{"containers":[]}}}}"#
        );
        review(("", "v1", "Pod"), true, "CREATE", &pod, "null").replace(
            &format!(r#""namespace":"{NAMESPACE}","operation""#),
            &format!(r#""namespace":"{namespace}","operation""#),
        )
    };
    let timed = |namespace: &str| {
        let (body, world) = (pods(namespace), World { snapshot: snapshot.clone(), ..World::default() });
        let start = ProcessTime::now();
        let _ = self::answer(world, &body);
        start.elapsed()
    };
    let (same, other) = (timed(NAMESPACE), timed("other"));
    println!(
        "{size} | {} | {memory} | {answer} | {outcome} | {} | {}",
        milliseconds(took),
        milliseconds(same),
        milliseconds(other)
    );
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// Highest resident memory so far, in KiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn answer(world: World, body: &str) -> (&'static str, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let gate = Gate::new(Arc::new(Fixed::new(world)));
    let outcome = std::sync::Mutex::new("");
    let deadline = Instant::now() + Duration::from_secs(5);
    let reply = runtime.block_on(gate.answer(body.as_bytes(), deadline, |decided| {
        *outcome.lock().unwrap() = decided.outcome.as_str();
    }));
    let bytes = match reply {
        Reply::Review(bytes) => bytes.len(),
        Reply::BadRequest(text) | Reply::Unavailable(text) => text.len(),
    };
    let outcome = *outcome.lock().unwrap();
    (outcome, bytes)
}
