//! The binary on a small fixed state, and reviews for it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use super::cgroup::Cgroup;
use super::serve_support::{HOST, client_trusting, connect, read_answer};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// A namespace with pods and without policies, one with a default deny, and cluster DNS.
const STATE: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: open}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: open, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: closed}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: closed, labels: {app: web}}
spec: {containers: [{name: web, image: web}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: closed}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: dns, image: dns}]}
";

/// A server; ends with this value.
pub struct Process {
    child: Mutex<Child>,
    address: SocketAddr,
    admin: SocketAddr,
    dir: TempDir,
}

impl Process {
    /// Starts the server in a group, and waits until it is ready.
    pub async fn start(group: &Cgroup) -> Self {
        Self::try_start(group).await.expect("the server starts within the limit")
    }

    /// Starts the server without a limit.
    pub async fn start_free() -> Self {
        Self::spawn(Command::new(BINARY)).await.expect("the server starts")
    }

    /// Starts the server in a group; none when it ends before it is ready.
    pub async fn try_start(group: &Cgroup) -> Option<Self> {
        Self::spawn(group.command(BINARY)).await
    }

    async fn spawn(mut command: Command) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("state.yaml"), STATE).unwrap();
        let (address, admin) = (free_address(), free_address());
        let log = File::create(dir.path().join("log")).unwrap();
        command.args(["serve", "--log-format", "json"]);
        command.arg("--manifests").arg(dir.path().join("state.yaml")).arg("--ca-file").arg(dir.path().join("ca.crt"));
        command.args(["--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        let process = Self { child: Mutex::new(command.spawn().unwrap()), address, admin, dir };
        for _ in 0..3000 {
            if process.ended() {
                return None;
            }
            if process.ready().await {
                return Some(process);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not ready: {}", process.log());
    }

    fn ended(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().unwrap().is_some()
    }

    async fn ready(&self) -> bool {
        let Ok(mut stream) = tokio::net::TcpStream::connect(self.admin).await else { return false };
        let sent = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        sent.is_ok() && read_answer(&mut stream).await.is_ok_and(|answer| answer.status == 200)
    }

    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.dir.path().join("ca.crt")).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        client_trusting(roots)
    }

    /// Sends all bodies at once, each on a connection of its own; statuses of the answers in the order of the bodies.
    pub async fn send(&self, bodies: &[String]) -> Vec<u16> {
        let answers = self.all(bodies).await;
        answers.into_iter().map(|answer| answer.unwrap_or_else(|why| panic!("{why}; {}", self.log()))).collect()
    }

    /// Sends all bodies at once, and forgets what came of it.
    pub async fn try_send(&self, bodies: &[String]) {
        drop(self.all(bodies).await);
    }

    /// Opens connections from many addresses of the loopback network, each of which has had one review with long headers
    /// answered and stays open.
    pub async fn besiege(&self, count: usize) -> Vec<TlsStream<TcpStream>> {
        let connector = tokio_rustls::TlsConnector::from(Arc::new(self.client()));
        let padding = "a".repeat(12 << 10);
        let body = super::shapes::small();
        let request = format!(
            "POST /v1/review HTTP/1.1\r\nhost: x\r\nx-padding: {padding}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut open = Vec::new();
        for n in 0..count {
            let socket = TcpSocket::new_v4().unwrap();
            let host = u8::try_from(2 + n / 200).unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
            let tcp = socket.connect(self.address).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let mut stream = connector.connect(ServerName::try_from(HOST).unwrap(), tcp).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(read_answer(&mut stream).await.unwrap().status, 200);
            open.push(stream);
        }
        open
    }

    async fn all(&self, bodies: &[String]) -> Vec<std::io::Result<u16>> {
        let client = Arc::new(self.client());
        join_all(bodies.iter().map(|body| one(self.address, Arc::clone(&client), body))).await
    }

    /// A small review is answered, and nothing in the group was killed.
    pub async fn is_alive(&self, group: &Cgroup, after: &str) {
        assert!(!self.ended() && group.kills() == 0, "killed after {after}: {}", self.log());
        let small = super::shapes::small();
        assert_eq!(self.send(&[small]).await, [200], "after {after}");
    }

    /// Waits until the process has ended.
    pub async fn until_dead(&self) {
        while !self.ended() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The most memory that it ever had, in bytes.
    pub fn highest(&self) -> u64 {
        let pid = self.child.lock().unwrap_or_else(PoisonError::into_inner).id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let path: PathBuf = self.dir.path().join("log");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().rev().take(5).map(|line| line.chars().take(400).collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Gone already is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
}

async fn one(address: SocketAddr, client: Arc<ClientConfig>, body: &str) -> std::io::Result<u16> {
    let stream = connect(address, &client).await?;
    let (mut from, mut to) = tokio::io::split(stream);
    let head = format!(
        "POST /v1/review?timeout=30s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let sending = async {
        to.write_all(head.as_bytes()).await?;
        to.write_all(body.as_bytes()).await?;
        to.flush().await
    };
    // A review that is shed is answered before it is sent to the end.
    let (sent, answer) = tokio::join!(sending, read_answer(&mut from));
    match answer {
        Ok(answer) => Ok(answer.status),
        Err(error) => Err(sent.err().unwrap_or(error)),
    }
}

/// An address on the loopback interface that is free now.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
