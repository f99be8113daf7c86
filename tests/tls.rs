//! The webhook port as a caller on the network meets it: TLS, certificates that change, and callers who misbehave.

mod serve_support;

use std::io::ErrorKind;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use serve_support::{
    Ca, HOST, Running, connect, directory, mount, options, post, read_answer, review, start,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DAY: i64 = 86_400;

struct Fixture {
    ca: Ca,
    dir: TempDir,
    server: Running,
}

async fn fixture() -> Fixture {
    fixture_with(|_| {}).await
}

async fn fixture_with(change: impl FnOnce(&mut portcullis::serve::Options)) -> Fixture {
    let ca = Ca::new("test");
    let dir = TempDir::new().unwrap();
    let (chain, key) = ca.leaf(-DAY, DAY);
    mount(dir.path(), "1", &chain, &key);
    let mut options = options(directory(dir.path()));
    change(&mut options);
    let server = start(options).await;
    server.until_ready(200, "ok").await;
    Fixture { ca, dir, server }
}

/// The leaf that a new connection is shown.
async fn leaf_served(server: &Running, client: &ClientConfig) -> Vec<u8> {
    let stream = server.connect(client).await.unwrap();
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

/// Reads until the other side closes, and says what was read.
async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await;
    match read.expect("the connection stays open") {
        Ok(_) => {}
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
    all
}

#[tokio::test]
async fn tls_1_3_over_http_1_1_without_tickets_and_nothing_else() {
    let f = fixture().await;
    let mut h2_or_1 = f.ca.client();
    h2_or_1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = f.server.connect(&h2_or_1).await.unwrap();
    assert_eq!(
        review(&mut stream, "{}").await.unwrap().body,
        r#"{"len":2}"#
    );
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(
        session.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    assert_eq!(session.tls13_tickets_received(), 0);

    let mut only_h2 = f.ca.client();
    only_h2.alpn_protocols = vec![b"h2".to_vec()];
    assert!(
        f.server
            .connect(&only_h2)
            .await
            .unwrap_err()
            .to_string()
            .contains("NoApplicationProtocol")
    );

    let stranger = Ca::new("stranger");
    assert!(
        f.server
            .connect(&stranger.client())
            .await
            .unwrap_err()
            .to_string()
            .contains("UnknownIssuer")
    );
    assert!(
        f.server
            .metric("portcullis_tls_handshake_failures_total")
            .await
            >= 2.0
    );
}

#[tokio::test]
async fn tls_1_2_is_refused_unless_asked_for() {
    let tls_1_2 = |ca: &Ca| {
        ClientConfig::builder_with_provider(std::sync::Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(ca.roots())
        .with_no_client_auth()
    };
    let strict = fixture().await;
    assert!(
        strict
            .server
            .connect(&tls_1_2(&strict.ca))
            .await
            .unwrap_err()
            .to_string()
            .contains("ProtocolVersion")
    );
    let lenient = fixture_with(|o| o.tls = portcullis::serve::TlsVersions::Tls12AndTls13).await;
    let mut stream = lenient.server.connect(&tls_1_2(&lenient.ca)).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_swapped_mount_is_served_to_new_connections_and_open_ones_live_on() {
    let f = fixture().await;
    let client = f.ca.client();
    let mut old = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut old, "{}").await.unwrap().status, 200);
    let before = f
        .server
        .metric("portcullis_certificate_not_after_timestamp_seconds")
        .await;

    let (chain, key) = f.ca.leaf(-DAY, 2 * DAY);
    mount(f.dir.path(), "2", &chain, &key);
    while leaf_served(&f.server, &client).await != der(&chain) {
        assert_eq!(review(&mut old, "{}").await.unwrap().status, 200);
    }
    assert_eq!(review(&mut old, "{}").await.unwrap().status, 200);
    let after = f
        .server
        .metric("portcullis_certificate_not_after_timestamp_seconds")
        .await;
    #[allow(clippy::cast_precision_loss, reason = "a day in seconds")]
    let day = DAY as f64;
    assert!((after - before - day).abs() < 10.0, "{before} {after}");
}

#[tokio::test]
async fn a_half_written_pair_keeps_the_old_one_until_it_is_whole() {
    let f = fixture().await;
    let client = f.ca.client();
    let served = leaf_served(&f.server, &client).await;
    let (chain, key) = f.ca.leaf(-DAY, 3 * DAY);
    let (_, other_key) = f.ca.leaf(-DAY, 3 * DAY);
    let faults = [
        ("a", chain.as_str(), other_key.as_str()),
        ("b", "", key.as_str()),
        ("c", chain.as_str(), ""),
        ("d", "no pem at all", key.as_str()),
        ("e", &chain[..chain.len() / 2], key.as_str()),
    ];
    for (count, (generation, chain, key)) in (1_u32..).zip(faults) {
        mount(f.dir.path(), generation, chain, key);
        let failed = async {
            while f
                .server
                .metric("portcullis_certificate_failures_total")
                .await
                < f64::from(count)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), failed)
            .await
            .unwrap();
        assert_eq!(
            leaf_served(&f.server, &client).await,
            served,
            "generation {generation}"
        );
    }
    mount(f.dir.path(), "f", &chain, &key);
    while leaf_served(&f.server, &client).await != der(&chain) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn readiness_says_that_the_certificate_is_missing_expired_or_not_yet_valid() {
    let dir = TempDir::new().unwrap();
    let server = start(options(directory(dir.path()))).await;
    server.until_ready(503, "no serving certificate").await;
    assert_eq!(server.admin("/healthz").await.0, 200);
    let ca = Ca::new("test");
    assert!(server.connect(&ca.client()).await.is_err());
    for (generation, from, to, status, why) in [
        ("1", -2 * DAY, -DAY, 503, "expired at"),
        ("2", DAY, 2 * DAY, 503, "valid from"),
        ("3", -DAY, DAY, 200, "ok"),
    ] {
        let (chain, key) = ca.leaf(from, to);
        mount(dir.path(), generation, &chain, &key);
        server.until_ready(status, why).await;
    }
    server
        .script
        .unready
        .store(true, std::sync::atomic::Ordering::Relaxed);
    server
        .until_ready(503, "waiting for the first list of pods")
        .await;
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
    slow.write_all(b"POST /v1/review HTTP/1.1\r\n")
        .await
        .unwrap();
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
        to.write_all(b"POST /v1/review HTTP/1.1\r\nx: ")
            .await
            .unwrap();
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
    assert!(
        answer.closes() && answer.body.contains("--body-limit"),
        "{answer:?}"
    );
    // Whether the sender sees an error depends on how far it got; that it ends is what counts.
    let _ = sending.await.unwrap();
}

#[tokio::test]
async fn a_body_of_32_mib_is_read() {
    let f = fixture().await;
    let body = " ".repeat(32 << 20);
    let (mut from, mut to) = tokio::io::split(f.server.connect(&f.ca.client()).await.unwrap());
    let sending = tokio::spawn(async move { to.write_all(post(&body).as_bytes()).await });
    assert_eq!(
        read_answer(&mut from).await.unwrap().body,
        format!("{{\"len\":{}}}", 32 << 20)
    );
    sending.await.unwrap().unwrap();
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
    assert!(
        sending.await.unwrap().is_err(),
        "an endless sender is cut off"
    );
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
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0; 4096],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut stream = TcpStream::connect(f.server.webhook).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = until_closed(&mut stream).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let mut silent = TcpStream::connect(f.server.webhook).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, b"");

    let client = f.ca.client();
    for garbage in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"POST /v1/review HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = f.server.connect(&client).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let answer = String::from_utf8(until_closed(&mut stream).await).unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let mut stream = f.server.connect(&client).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_wrong_server_name_gets_the_same_certificate() {
    let f = fixture().await;
    let tcp = TcpStream::connect(f.server.webhook).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(f.ca.client()));
    let error = connector
        .connect(ServerName::try_from("elsewhere.example").unwrap(), tcp)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(HOST),
        "the caller sees for which name it is: {error}"
    );
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
    assert_eq!(
        review(&mut known, "{}").await.unwrap().status,
        200,
        "who has brought reviews stays"
    );
    assert!(f.server.metric("portcullis_connections").await <= 8.0);
}

#[tokio::test]
async fn a_panic_over_tls_is_a_500_and_the_connection_serves_on() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    assert_eq!(review(&mut stream, "panic").await.unwrap().status, 500);
    assert_eq!(review(&mut stream, "{}").await.unwrap().status, 200);
    assert!((f.server.metric("portcullis_panics_total").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn two_requests_in_one_write_are_answered_in_order() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    stream
        .write_all(format!("{}{}", post("{}"), post("{  }")).as_bytes())
        .await
        .unwrap();
    assert_eq!(read_answer(&mut stream).await.unwrap().body, r#"{"len":2}"#);
    assert_eq!(read_answer(&mut stream).await.unwrap().body, r#"{"len":4}"#);
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    review(&mut stream, "{}").await.unwrap();
    let (status, text) = f.server.admin("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "portcullis_requests_total{outcome=\"reviewed\"} 1",
        "portcullis_request_duration_seconds_bucket{le=\"0.005\"}",
        concat!(
            "portcullis_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "# TYPE portcullis_in_flight_bytes gauge",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}
