//! A server whose review threads all compute: health, metrics and handshakes answer as if nothing were the matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serve_support::{fixture_with, post, review};
use tokio::io::AsyncWriteExt;

/// The bound that probes and people rely on.
const PROMPT: Duration = Duration::from_millis(100);

/// Runs the look twenty times. Of these, two may fall on a moment in which the machine gives the test no core.
async fn all_prompt(what: &str, mut look: impl AsyncFnMut()) {
    let mut took = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        look().await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    assert!(took[17] < PROMPT, "{what}: {took:?}");
}

#[tokio::test]
async fn health_metrics_and_handshakes_are_prompt_while_every_review_thread_computes() {
    let f = fixture_with(|options| options.limits.review_threads = 2).await;
    let client = f.ca.client();
    // Two threads, one more for large bodies, and as many reviews again in the queue of each.
    let large = format!("burn{}", " ".repeat(100 << 10));
    let mut open = Vec::new();
    for body in ["burn", "burn", "burn", "burn", &large, &large] {
        let mut stream = f.server.connect(&client).await.unwrap();
        stream.write_all(post(body).replacen("timeout=10s", "timeout=30s", 1).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        open.push(stream);
    }
    while f.server.script.burning.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        all_prompt(path, async || assert_eq!(f.server.admin(path).await.0, 200)).await;
    }
    all_prompt("handshake", async || drop(f.server.connect(&client).await.unwrap())).await;
    assert_eq!(f.server.script.burning.load(Ordering::Relaxed), 3, "all of it while every thread computed");
    f.server.script.cool();
    let mut stream = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
}

/// Small reviews wait for threads that large ones cannot take.
#[tokio::test]
async fn small_reviews_are_answered_while_large_ones_compute() {
    let f = fixture_with(|options| options.limits.review_threads = 1).await;
    let client = Arc::new(f.ca.client());
    let large = format!("burn{}", " ".repeat(100 << 10));
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = f.server.connect(&client).await.unwrap();
        stream.write_all(post(&large).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        open.push(stream);
    }
    while f.server.script.burning.load(Ordering::Relaxed) < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut stream = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
    assert_eq!(f.server.script.burning.load(Ordering::Relaxed), 1);
}
