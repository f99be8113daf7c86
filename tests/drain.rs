//! The end of a server, step by step: unready, still answering, closing what it answers, gone when nothing is open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use serve_support::{Ca, Running, connect, directory, mount, options, post, read_answer, review, start};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

struct Fixture {
    client: ClientConfig,
    server: Running,
    _dir: TempDir,
}

async fn fixture(change: impl FnOnce(&mut portcullis::serve::Options)) -> Fixture {
    let ca = Ca::new("test");
    let dir = TempDir::new().unwrap();
    let (chain, key) = ca.leaf(-60, 600);
    mount(dir.path(), "1", &chain, &key);
    let mut options = options(directory(dir.path()));
    change(&mut options);
    let server = start(options).await;
    server.until_ready(200, "ok").await;
    Fixture { client: ca.client(), server, _dir: dir }
}

async fn ended(server: Running) {
    tokio::time::timeout(Duration::from_secs(20), server.task).await.expect("still running").unwrap().unwrap();
}

#[tokio::test]
async fn the_steps_of_a_drain_come_in_order() {
    let f = fixture(|_| {}).await;
    let mut idle = f.server.connect(&f.client).await.unwrap();
    assert!(!review(&mut idle, "{}").await.unwrap().closes());
    let mut working = f.server.connect(&f.client).await.unwrap();
    working.write_all(post("gate").as_bytes()).await.unwrap();
    f.server.script.entered.notified().await;

    f.server.shutdown.drain();
    let (status, text) = f.server.admin("/readyz").await;
    assert!(status == 503 && text.contains("draining"), "unready at once: {status} {text}");
    assert_eq!(f.server.admin("/healthz").await.0, 200, "but alive, so that nobody kills it");

    let mut late = f.server.connect(&f.client).await.expect("new connections are still accepted");
    let answer = review(&mut late, "{}").await.unwrap();
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");

    let answer = review(&mut idle, "{}").await.expect("an idle connection was not closed under its owner");
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");

    assert!(!f.server.task.is_finished(), "a review is still open");
    f.server.script.open();
    let answer = read_answer(&mut working).await.unwrap();
    assert!(answer.status == 200 && answer.closes() && answer.body.contains("gate"), "{answer:?}");
    drop((idle, working, late));
    let webhook = f.server.webhook;
    ended(f.server).await;
    assert!(connect(webhook, &f.client).await.is_err());
}

#[tokio::test]
async fn it_waits_for_idle_owners_and_at_least_the_linger() {
    let f = fixture(|o| o.drain.linger = Duration::from_millis(200)).await;
    let idle = f.server.connect(&f.client).await.unwrap();
    let begun = std::time::Instant::now();
    f.server.shutdown.drain();
    drop(idle);
    let mut late = f.server.connect(&f.client).await.expect("accepting for as long as others may not know");
    assert_eq!(review(&mut late, "{}").await.unwrap().status, 200);
    drop(late);
    ended(f.server).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn the_drain_timeout_ends_what_does_not_end_itself() {
    let f = fixture(|o| o.drain.timeout = Duration::from_millis(200)).await;
    let _idle = f.server.connect(&f.client).await.unwrap();
    let begun = std::time::Instant::now();
    f.server.shutdown.drain();
    ended(f.server).await;
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn an_abort_does_not_wait() {
    let f = fixture(|_| {}).await;
    let mut working = f.server.connect(&f.client).await.unwrap();
    working.write_all(post("gate").as_bytes()).await.unwrap();
    f.server.script.entered.notified().await;
    f.server.shutdown.drain();
    f.server.shutdown.abort();
    ended(f.server).await;
    assert!(read_answer(&mut working).await.is_err());
}

/// Callers as an API server is one: they keep connections for reuse, and never repeat a POST that failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_under_load_loses_no_review() {
    let f = fixture(|_| {}).await;
    let next = fixture(|_| {}).await;
    let moved = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (moved, stop, answered) = (Arc::clone(&moved), Arc::clone(&stop), Arc::clone(&answered));
            let old = (f.server.webhook, f.client.clone());
            let new = (next.server.webhook, next.client.clone());
            tokio::spawn(async move {
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = if let Some(stream) = kept.take() {
                        stream
                    } else {
                        let (to, client) = if moved.load(Ordering::Relaxed) { &new } else { &old };
                        connect(*to, client).await.expect("a connection was refused")
                    };
                    let answer = review(&mut stream, "{}").await.expect("a review was lost");
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    kept = (!answer.closes()).then_some(stream);
                }
            })
        })
        .collect();
    let reach = async |count: usize| {
        while answered.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    reach(200).await;
    f.server.shutdown.drain();
    reach(400).await;
    assert!(!f.server.task.is_finished(), "callers still come");
    moved.store(true, Ordering::Relaxed);
    ended(f.server).await;
    let so_far = answered.load(Ordering::Relaxed);
    reach(so_far + 200).await;
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_aborts() {
    let shutdown = portcullis::serve::Shutdown::on_signals().unwrap();
    // To this process alone, whose handler is in place.
    let signal = || {
        let kill = std::process::Command::new("kill").arg("-TERM").arg(std::process::id().to_string()).status();
        assert!(kill.unwrap().success());
    };
    assert!(!shutdown.is_draining());
    signal();
    shutdown.draining().await;
    let aborted = tokio::time::timeout(Duration::from_millis(50), shutdown.aborted()).await;
    assert!(aborted.is_err(), "one signal does not abort");
    signal();
    tokio::time::timeout(Duration::from_secs(10), shutdown.aborted()).await.expect("the second one does");
}
