//! A client as lean as one can be, so that it never is what limits: requests written by hand, answers read by length.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in the certificates that both servers make.
const HOST: &str = "portcullis.portcullis.svc";

/// Connections that are kept open, as an API server keeps them.
pub struct Client {
    connections: Vec<TlsStream<TcpStream>>,
}

impl Client {
    /// Opens the connections.
    pub async fn connect(address: SocketAddr, ca: &Path, connections: usize) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let host = ServerName::try_from(HOST)?;
        let mut open = Vec::new();
        while open.len() < connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            open.push(connector.connect(host.clone(), stream).await?);
        }
        Ok(Self { connections: open })
    }

    /// Sends the review again and again on every connection; returns how long each answer took, in microseconds.
    pub async fn run(&mut self, body: &str, time: Duration) -> anyhow::Result<Vec<f64>> {
        let request = format!(
            "POST /v1/review?timeout=5s HTTP/1.1\r\nHost: {HOST}:443\r\nUser-Agent: kube-apiserver-admission\r\n\
             Content-Length: {}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\
             Accept-Encoding: gzip\r\n\r\n{body}",
            body.len()
        );
        let end = Instant::now() + time;
        let all = self.connections.iter_mut().map(|stream| repeat(stream, request.as_bytes(), end));
        tokio::select! {
            took = try_join_all(all) => Ok(took?.concat()),
            () = stay_awake() => bail!("never"),
        }
    }
}

/// Keeps the client's thread from sleeping. Waking it is work for the *server's* core (an interrupt to another one), and
/// would fall on whichever server gives the client time to sleep.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

async fn repeat(stream: &mut TlsStream<TcpStream>, request: &[u8], end: Instant) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::with_capacity(1 << 14);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(took);
        }
        stream.write_all(request).await?;
        stream.flush().await?;
        read_answer(stream, &mut buffer).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
}

async fn read_answer(stream: &mut TlsStream<TcpStream>, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    let mut expected = None;
    while expected.is_none_or(|expected| filled < expected) {
        let read = stream.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the server closed the connection");
        filled += read;
        if expected.is_none() {
            expected = length_of(&buffer[..filled])?;
        }
    }
    Ok(())
}

/// Length of the whole answer, once its head is there.
fn length_of(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head])?;
    if !text.starts_with("HTTP/1.1 200 ") {
        bail!("not an answer to a review: {text}");
    }
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.context("an answer without a length")?;
    Ok(Some(head + 4 + length))
}
