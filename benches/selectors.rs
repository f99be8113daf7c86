//! Calico's selectors: reading one, and matching one against the labels of a pod. The goal is a million a second on one core.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot be set up has nothing to say")]

use std::hint::black_box;
use std::time::Duration;

use cpu_time::ThreadTime;
use portcullis::model::Labels;
use portcullis::translate::calico::selector::{Keys, parse};

/// From the one that nearly every rule has to the largest that people write by hand.
const SELECTORS: [(&str, &str); 4] = [
    ("one label", "app == 'web'"),
    ("three tests", "app == 'web' && tier in {'front', 'back'} && !has(legacy)"),
    ("alternatives", "(role == 'db' || app starts with 'we') && environment != 'dev' && (has(team) || all())"),
    ("twenty values", "app in {'a','b','c','d','e','f','g','h','i','j','k','l','m','n','o','p','q','r','s','web'}"),
];

/// Runs until it has taken long enough to mean something; returns how many there were in a second of this thread.
fn rate(mut once: impl FnMut() -> bool) -> f64 {
    let (mut rounds, mut done) = (1_000_u32, 0_u32);
    let started = ThreadTime::now();
    loop {
        for _ in 0..rounds {
            assert!(black_box(once()), "the pod matches");
        }
        done += rounds;
        let taken = started.elapsed();
        if taken > Duration::from_millis(500) {
            return f64::from(done) / taken.as_secs_f64();
        }
        rounds *= 2;
    }
}

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let labels =
        Labels::new([("app", "web"), ("environment", "prod"), ("team", "shop"), ("tier", "front"), ("version", "7")]);
    println!("{:<14} {:>18} {:>18} {:>18}", "selector", "parse and match/s", "match/s", "in model terms/s");
    for (name, text) in SELECTORS {
        let read = rate(|| parse(black_box(text)).is_ok_and(|expr| expr.matches(black_box(&labels))));
        let expr = parse(text).unwrap();
        let matched = rate(|| expr.matches(black_box(&labels)));
        let lowered = expr.lower(Keys::Pods).certain;
        let model = rate(|| lowered.matches(black_box(&labels)));
        println!("{name:<14} {read:>18.0} {matched:>18.0} {model:>18.0}");
    }
}
