//! Callers who misbehave: too slow, too large, too many, or speaking something else; honest ones must not notice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::io::ErrorKind;
use std::time::Duration;

use serve_support::{connect, fixture, fixture_with, post, read_answer, review};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads until the other side closes, and says what was read.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    match read.expect("the connection stays open") {
        Ok(_) => {}
        Err(error) => assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}"),
    }
    all
}

#[tokio::test]
async fn slow_headers_are_cut_while_an_idle_connection_waits() {
    let f = fixture_with(|o| o.limits.header_timeout = Duration::from_millis(100)).await;
    let client = f.ca.client();
    let mut idle = f.server.connect(&client).await.unwrap();
    let mut used = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut used, "{}").await.unwrap().status, 200);

    let mut slow = f.server.connect(&client).await.unwrap();
    let begun = std::time::Instant::now();
    slow.write_all(b"POST /v1/review HTTP/1.1\r\n").await.unwrap();
    slow.flush().await.unwrap();
    assert_eq!(until_closed(&mut slow).await, b"");
    assert!(begun.elapsed() >= Duration::from_millis(100));

    // Both have been idle for longer than the header timeout by now.
    assert_eq!(review(&mut idle, "{}").await.unwrap().status, 200);
    assert_eq!(review(&mut used, "{}").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_trickle_of_header_bytes_does_not_buy_time() {
    let f = fixture_with(|o| o.limits.header_timeout = Duration::from_millis(100)).await;
    let (mut from, mut to) = tokio::io::split(f.server.connect(&f.ca.client()).await.unwrap());
    let trickle = tokio::spawn(async move {
        to.write_all(b"POST /v1/review HTTP/1.1\r\nx: ").await.unwrap();
        while to.write_all(b"a").await.is_ok() && to.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(until_closed(&mut from).await, b"");
    trickle.abort();
}

#[tokio::test]
async fn idle_connections_end_at_the_idle_timeout() {
    let f = fixture_with(|o| o.limits.idle_timeout = Duration::from_millis(100)).await;
    let mut idle = f.server.connect(&f.ca.client()).await.unwrap();
    assert_eq!(review(&mut idle, "{}").await.unwrap().status, 200);
    assert_eq!(until_closed(&mut idle).await, b"");
}

#[tokio::test]
async fn a_body_of_33_mib_is_refused_and_the_refusal_arrives() {
    let f = fixture().await;
    let size = 33 << 20;
    let head = format!(
        "POST /v1/review HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    );
    let (mut from, mut to) = tokio::io::split(f.server.connect(&f.ca.client()).await.unwrap());
    let sending = tokio::spawn(async move {
        to.write_all(head.as_bytes()).await?;
        to.write_all(&vec![b' '; size]).await?;
        to.flush().await
    });
    let answer = read_answer(&mut from).await.unwrap();
    assert_eq!(answer.status, 413);
    assert!(answer.closes() && answer.body.contains("--body-limit"), "{answer:?}");
    // Whether the sender sees an error depends on how far it got; that it ends is what counts.
    let _ = sending.await.unwrap();
}

#[tokio::test]
async fn a_body_of_32_mib_is_read() {
    let f = fixture_with(|o| o.limits.body_timeout = Duration::from_secs(30)).await;
    let body = " ".repeat(32 << 20);
    let request = post(&body).replacen("timeout=10s", "timeout=30s", 1);
    let (mut from, mut to) = tokio::io::split(f.server.connect(&f.ca.client()).await.unwrap());
    let sending = tokio::spawn(async move {
        to.write_all(request.as_bytes()).await?;
        // Where the socket was full, the end of it is still with the client's TLS.
        to.flush().await
    });
    assert_eq!(read_answer(&mut from).await.unwrap().body, format!("{{\"len\":{}}}", 32 << 20));
    sending.await.unwrap().unwrap();
}

/// A caller who reads only after it has sent everything must find the refusal, not a reset.
#[tokio::test]
async fn a_refusal_waits_for_a_caller_who_sends_to_the_end() {
    let f = fixture_with(|o| o.limits.body = 1 << 20).await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    stream.write_all(post(&" ".repeat(12 << 20)).as_bytes()).await.expect("the server took the rest");
    stream.flush().await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().status, 413);
}

#[tokio::test]
async fn a_chunked_body_without_end_is_cut_at_the_limit() {
    let f = fixture_with(|o| o.limits.body = 1 << 20).await;
    let (mut from, mut to) = tokio::io::split(f.server.connect(&f.ca.client()).await.unwrap());
    let sending = tokio::spawn(async move {
        to.write_all(
            b"POST /v1/review HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await?;
        let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
        loop {
            if let Err(error) = to.write_all(chunk.as_bytes()).await {
                return std::io::Result::<()>::Err(error);
            }
        }
    });
    assert_eq!(read_answer(&mut from).await.unwrap().status, 413);
    assert_eq!(until_closed(&mut from).await, b"");
    assert!(sending.await.unwrap().is_err(), "an endless sender is cut off");
}

#[tokio::test]
async fn a_slow_body_is_cut() {
    let f = fixture_with(|o| o.limits.body_timeout = Duration::from_millis(100)).await;
    let mut slow = f.server.connect(&f.ca.client()).await.unwrap();
    let head = "POST /v1/review HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    let answer = read_answer(&mut slow).await.unwrap();
    assert!(answer.status == 408 && answer.closes(), "{answer:?}");
    assert_eq!(until_closed(&mut slow).await, b"");
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_or_of_http() {
    let f = fixture_with(|o| o.limits.handshake_timeout = Duration::from_millis(200)).await;
    for garbage in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff]] {
        let mut stream = TcpStream::connect(f.server.webhook).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let mut silent = TcpStream::connect(f.server.webhook).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, b"");

    let client = f.ca.client();
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"POST /v1/review HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = f.server.connect(&client).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut stream = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
}

#[tokio::test]
async fn idle_strangers_make_room_for_new_callers() {
    let f = fixture_with(|o| o.limits.connections = 8).await;
    let client = f.ca.client();
    let mut known = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut known, "{}").await.unwrap().status, 200);
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(connect(f.server.webhook, &client).await.unwrap());
    }
    let mut late = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut late, "{}").await.unwrap().status, 200);
    assert_eq!(review(&mut known, "{}").await.unwrap().status, 200, "who has brought reviews stays");
    assert!(f.server.metric("portcullis_connections").await <= 8.0);
}

/// Sockets that this process may open, less those that it needs for itself.
fn sockets() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(1 << 20).min(1 << 20) - 200
}

/// Opens connections that send headers and no body, while callers with a new connection for each review, and one that keeps
/// its own, bring reviews. Returns what the metrics say of the connections then.
async fn besieged(attackers: usize, limits: impl FnOnce(&mut portcullis::serve::Limits)) -> (f64, f64, f64) {
    let f = fixture_with(|options| {
        options.limits.body_timeout = Duration::from_mins(5);
        limits(&mut options.limits);
    })
    .await;
    let client = f.ca.client();
    let mut known = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut known, "{}").await.unwrap().status, 200);
    let (webhook, attacker) = (f.server.webhook, client.clone());
    let attack = tokio::spawn(async move {
        let mut held = Vec::new();
        for _ in 0..attackers {
            let Ok(mut stream) = connect(webhook, &attacker).await else { continue };
            // The longest deadline that there is: the attack should outlast the test.
            let head = post("{}").replace("\r\n\r\n{}", "\r\n\r\n").replacen("timeout=10s", "timeout=30s", 1);
            // Closed already is as good.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.flush().await;
            held.push(stream);
        }
        held
    });
    let mut answered = 0;
    while !attack.is_finished() || answered < 20 {
        let mut late = f.server.connect(&client).await.unwrap();
        assert_eq!(review(&mut late, "{}").await.unwrap().status, 200, "after {answered}");
        assert_eq!(review(&mut known, "{}").await.unwrap().status, 200, "who has brought reviews stays");
        answered += 1;
    }
    let held = attack.await.unwrap();
    assert!(held.len() > attackers / 2, "the attack itself failed: {}", held.len());
    let closed = |reason: &str| format!("portcullis_shed_total{{reason=\"{reason}\"}}");
    let strangers = f.server.metric("portcullis_connections_without_review").await;
    let (_, text) = f.server.admin("/metrics").await;
    let count = |line: String| text.lines().find_map(|l| l.strip_prefix(&line)?.trim().parse().ok()).unwrap_or(0.0);
    (strangers, count(closed("source_connections")), count(closed("connections")))
}

/// One after the other, because each needs two sockets for every connection.
#[tokio::test]
async fn connections_that_bring_no_review_are_closed_before_those_that_do() {
    let attackers = 4_400.min(sockets() / 2);
    let (strangers, of_source, of_all) = besieged(attackers, |_| {}).await;
    assert!(strangers <= 256.0, "{strangers}");
    assert!(of_source > 0.0 && of_all < 1.0, "{of_source} {of_all}");

    let room = attackers * 4_096 / 4_400;
    let (strangers, of_source, of_all) = besieged(attackers, |limits| {
        limits.connections = room;
        // As if each came from another address.
        limits.source_connections = attackers * 2;
    })
    .await;
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let room = room as f64;
    assert!(strangers <= room && strangers > room / 2.0, "{strangers}");
    assert!(of_source < 1.0 && of_all > 0.0, "{of_source} {of_all}");
}

#[tokio::test]
async fn two_requests_in_one_write_are_answered_in_order() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    stream.write_all(format!("{}{}", post("{}"), post("{  }")).as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().body, r#"{"len":2}"#);
    assert_eq!(read_answer(&mut stream).await.unwrap().body, r#"{"len":4}"#);
}

#[tokio::test]
async fn headers_larger_than_the_buffer_are_refused() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    let head = format!("POST /v1/review HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n", "a".repeat(17 << 10));
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}
