//! Callers with and without a certificate, on a webhook port that asks for one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::time::Duration;

use portcullis::serve::{Callers, Server};
use rustls::ClientConfig;
use serve_support::{Ca, Fixture, Running, directory, fixture_with, options, review};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

/// Status of a review, or what the handshake or the first read failed with.
async fn call(server: &Running, client: &ClientConfig) -> Result<u16, String> {
    let mut stream = server.connect(client).await.map_err(|error| error.to_string())?;
    review(&mut stream, "{}").await.map(|answer| answer.status).map_err(|error| error.to_string())
}

/// A server that asks callers for a certificate of this CA, and the file of the CA.
async fn asking(callers: &Ca, names: &[&str]) -> (Fixture, TempDir) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("ca.crt");
    std::fs::write(&file, callers.pem()).unwrap();
    let names = names.iter().map(ToString::to_string).collect();
    let fixture = fixture_with(|options| {
        options.callers = Some(Callers { ca: file, names, poll: Duration::from_millis(20) });
        options.limits.source_connections = 4;
    })
    .await;
    (fixture, dir)
}

#[tokio::test]
async fn only_certificates_of_the_ca_with_a_listed_name_are_let_in() {
    let (callers, others) = (Ca::new("callers"), Ca::new("others"));
    let (f, _dir) = asking(&callers, &["kube-apiserver", "api.example"]).await;
    for (client, wanted) in [
        (f.ca.client_of(&callers, "kube-apiserver", &[]), Ok(200)),
        (f.ca.client_of(&callers, "x", &["other.example", "api.example"]), Ok(200)),
        (f.ca.client_of(&callers, "kubelet", &["node.example"]), Err("AccessDenied")),
        (f.ca.client_of(&callers, "kube-apiserver.evil", &[]), Err("AccessDenied")),
        (f.ca.client_of(&others, "kube-apiserver", &[]), Err("UnknownCA")),
        (f.ca.client(), Err("CertificateRequired")),
    ] {
        match (call(&f.server, &client).await, wanted) {
            (Ok(status), Ok(wanted)) => assert_eq!(status, wanted),
            (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{why}, wanted {wanted}"),
            (got, wanted) => panic!("{got:?}, wanted {wanted:?}"),
        }
    }
    assert!(f.server.metric("portcullis_tls_handshake_failures_total").await >= 4.0);
    assert_eq!(f.server.admin("/readyz").await.0, 200, "probes of the admin port need none");
}

#[tokio::test]
async fn without_names_any_certificate_of_the_ca_is_good() {
    let callers = Ca::new("callers");
    let (f, _dir) = asking(&callers, &[]).await;
    assert_eq!(call(&f.server, &f.ca.client_of(&callers, "anyone", &[])).await, Ok(200));
    assert!(call(&f.server, &f.ca.client()).await.is_err());
}

#[tokio::test]
async fn a_new_ca_is_read_and_a_broken_file_keeps_the_one_before() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let (f, dir) = asking(&old, &[]).await;
    let (by_old, by_new) = (f.ca.client_of(&old, "a", &[]), f.ca.client_of(&new, "a", &[]));
    assert!(call(&f.server, &by_new).await.is_err());
    std::fs::write(dir.path().join("ca.crt"), "no certificate").unwrap();
    let failed = async {
        while f.server.metric("portcullis_certificate_failures_total").await < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
    assert_eq!(call(&f.server, &by_old).await, Ok(200));
    std::fs::write(dir.path().join("ca.crt"), new.pem()).unwrap();
    let read = async {
        while call(&f.server, &by_new).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap();
    assert!(call(&f.server, &by_old).await.is_err());
}

#[tokio::test]
async fn a_server_that_cannot_read_the_ca_does_not_start() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("ca.crt");
    for text in [None, Some("no certificate")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let mut options = options(directory(dir.path()));
        options.callers = Some(Callers::new(&file, Vec::new()));
        let server = Server::bind(options).await.unwrap();
        let run = server.run(
            std::sync::Arc::new(serve_support::Script::default()),
            portcullis::serve::Shutdown::new(),
            portcullis::serve::new_registry(),
        );
        let error = run.await.unwrap_err().to_string();
        assert!(error.contains("--client-ca") && error.contains("ca.crt"), "{error}");
    }
}

/// Four connections of one source that deliver no review are the limit here.
#[tokio::test]
async fn callers_with_a_certificate_are_no_strangers() {
    let callers = Ca::new("callers");
    let (f, _dir) = asking(&callers, &[]).await;
    let client = f.ca.client_of(&callers, "kube-apiserver", &[]);
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut stream = f.server.connect(&client).await.unwrap();
        stream.write_all(b"POST /v1/review HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n").await.unwrap();
        stream.flush().await.unwrap();
        // The handshake is over for the server, too, when it has read this.
        while f.server.metric("portcullis_connections_without_review").await > 0.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        open.push(stream);
    }
    for stream in &mut open {
        stream.write_all(b"content-length: 2\r\n\r\n{}").await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(serve_support::read_answer(stream).await.unwrap().status, 200);
    }
}
