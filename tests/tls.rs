//! The webhook port as a caller on the network meets it: TLS versions, and certificates that change under way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use serve_support::{Ca, DAY, HOST, Running, directory, fixture, fixture_with, mount, options, review, start};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The leaf that a new connection is shown.
async fn leaf_served(server: &Running, client: &ClientConfig) -> Vec<u8> {
    let stream = server.connect(client).await.unwrap();
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn tls_1_3_over_http_1_1_without_tickets_and_nothing_else() {
    let f = fixture().await;
    let mut h2_or_1 = f.ca.client();
    h2_or_1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut stream = f.server.connect(&h2_or_1).await.unwrap();
    assert_eq!(review(&mut stream, "{}").await.unwrap().body, r#"{"len":2}"#);
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(session.tls13_tickets_received(), 0);

    let mut only_h2 = f.ca.client();
    only_h2.alpn_protocols = vec![b"h2".to_vec()];
    assert!(f.server.connect(&only_h2).await.unwrap_err().to_string().contains("NoApplicationProtocol"));

    let stranger = Ca::new("stranger");
    assert!(f.server.connect(&stranger.client()).await.unwrap_err().to_string().contains("UnknownIssuer"));
    assert!(f.server.metric("portcullis_tls_handshake_failures_total").await >= 2.0);
}

#[tokio::test]
async fn tls_1_2_is_refused_unless_asked_for() {
    let tls_1_2 = |ca: &Ca| {
        ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS12])
            .unwrap()
            .with_root_certificates(ca.roots())
            .with_no_client_auth()
    };
    let strict = fixture().await;
    assert!(strict.server.connect(&tls_1_2(&strict.ca)).await.unwrap_err().to_string().contains("ProtocolVersion"));
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
    let before = f.server.metric("portcullis_certificate_not_after_timestamp_seconds").await;

    let (chain, key) = f.ca.leaf(-DAY, 2 * DAY);
    mount(f.dir.path(), "2", &chain, &key);
    while leaf_served(&f.server, &client).await != der(&chain) {
        assert_eq!(review(&mut old, "{}").await.unwrap().status, 200);
    }
    assert_eq!(review(&mut old, "{}").await.unwrap().status, 200);
    let after = f.server.metric("portcullis_certificate_not_after_timestamp_seconds").await;
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
            while f.server.metric("portcullis_certificate_failures_total").await < f64::from(count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
        assert_eq!(leaf_served(&f.server, &client).await, served, "generation {generation}");
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
    for (generation, from, to, status, why) in
        [("1", -2 * DAY, -DAY, 503, "expired at"), ("2", DAY, 2 * DAY, 503, "valid from"), ("3", -DAY, DAY, 200, "ok")]
    {
        let (chain, key) = ca.leaf(from, to);
        mount(dir.path(), generation, &chain, &key);
        server.until_ready(status, why).await;
    }
    server.script.unready.store(true, std::sync::atomic::Ordering::Relaxed);
    server.until_ready(503, "waiting for the first list of pods").await;
}

#[tokio::test]
async fn a_wrong_server_name_gets_the_same_certificate() {
    let f = fixture().await;
    let tcp = TcpStream::connect(f.server.webhook).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(f.ca.client()));
    let error = connector.connect(ServerName::try_from("elsewhere.example").unwrap(), tcp).await.unwrap_err();
    assert!(error.to_string().contains(HOST), "the caller sees for which name it is: {error}");
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
async fn metrics_are_open_metrics() {
    let f = fixture().await;
    let mut stream = f.server.connect(&f.ca.client()).await.unwrap();
    review(&mut stream, "{}").await.unwrap();
    let (status, text) = f.server.admin("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "portcullis_requests_total{outcome=\"reviewed\"} 1",
        "portcullis_request_duration_seconds_bucket{le=\"0.005\"}",
        concat!("portcullis_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "# TYPE portcullis_in_flight_bytes gauge",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// The API server's clock starts when it dials, so a slow handshake is part of its patience; a connection kept for reuse
/// starts each request anew.
#[tokio::test]
async fn the_deadline_of_a_first_request_counts_from_the_dial() {
    let f = fixture().await;
    let tcp = TcpStream::connect(f.server.webhook).await.unwrap();
    let slow = Duration::from_millis(300);
    tokio::time::sleep(slow).await;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(f.ca.client()));
    let mut stream = connector.connect(ServerName::try_from(HOST).unwrap(), tcp).await.unwrap();
    let mut left = async || -> u64 {
        let answer = review(&mut stream, "deadline").await.unwrap().body;
        answer.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    };
    assert!(left().await <= 9_800 - 300);
    assert!(left().await > 9_800 - 300);
}

#[tokio::test]
async fn plain_files_without_a_mount_are_read_as_well() {
    let ca = Ca::new("test");
    let dir = TempDir::new().unwrap();
    let server = start(options(directory(dir.path()))).await;
    for days in [1, 2] {
        let (chain, key) = ca.leaf(-DAY, days * DAY);
        std::fs::write(dir.path().join("tls.key"), &key).unwrap();
        std::fs::write(dir.path().join("tls.crt"), &chain).unwrap();
        server.until_ready(200, "ok").await;
        while leaf_served(&server, &ca.client()).await != der(&chain) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
