//! What the tests of the server share: a scripted reviewer, certificates, and a raw HTTPS client.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use portcullis::admission::Caps;
use portcullis::serve::{Answer, Certificates, Options, Reviewer, Server, Shutdown, new_registry};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

pub const HOST: &str = "portcullis.portcullis.svc";

/// Does what the body says: `panic`, `bad`, `busy`, `gate` (wait for [`Script::open`]), `overrun`, `burn` (compute until
/// [`Script::cool`]); else echoes the length.
#[derive(Default)]
pub struct Script {
    pub unready: AtomicBool,
    pub unready_panics: AtomicBool,
    pub gate: Notify,
    pub entered: Notify,
    pub reviews: AtomicUsize,
    pub burning: AtomicUsize,
    pub cooled: AtomicBool,
}

impl Script {
    pub fn open(&self) {
        self.gate.notify_one();
    }

    pub fn cool(&self) {
        self.cooled.store(true, Ordering::Relaxed);
    }
}

impl Reviewer for Script {
    async fn review(&self, body: Bytes, deadline: Instant, _caps: Option<Caps>) -> Answer {
        self.reviews.fetch_add(1, Ordering::Relaxed);
        match &*body {
            b"panic" => panic!("scripted panic"),
            b"bad" => Answer::BadRequest("expected an AdmissionReview\n".to_owned()),
            b"busy" => Answer::Unavailable("the API server does not answer".to_owned()),
            b"gate" => {
                self.entered.notify_one();
                self.gate.notified().await;
                Answer::Review(b"{\"gate\":true}".to_vec())
            }
            burn if burn.starts_with(b"burn") => {
                self.burning.fetch_add(1, Ordering::Relaxed);
                while !self.cooled.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                self.burning.fetch_sub(1, Ordering::Relaxed);
                Answer::Review(b"{}".to_vec())
            }
            b"overrun" => {
                self.entered.notify_one();
                std::future::pending().await
            }
            b"deadline" => {
                let left = deadline.saturating_duration_since(Instant::now());
                Answer::Review(format!("{{\"left\":{}}}", left.as_millis()).into_bytes())
            }
            other => Answer::Review(format!("{{\"len\":{}}}", other.len()).into_bytes()),
        }
    }

    fn not_ready(&self) -> Option<String> {
        assert!(!self.unready_panics.load(Ordering::Relaxed), "scripted panic in not_ready");
        self.unready.load(Ordering::Relaxed).then(|| "waiting for the first list of pods".to_owned())
    }
}

/// A test CA.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Chain and key in PEM, valid from `from` to `to` seconds from now.
    pub fn leaf(&self, from: i64, to: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let at = |offset: i64| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            let seconds = now.as_secs().checked_add_signed(offset).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        params.not_before = at(from);
        params.not_after = at(to);
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    /// A client that trusts this CA alone.
    pub fn client(&self) -> ClientConfig {
        client_trusting(self.roots())
    }

    /// The certificate of the CA in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client that trusts this CA, and shows a certificate of `issuer` with this common name and alternative names.
    pub fn client_of(&self, issuer: &Self, common_name: &str, names: &[&str]) -> ClientConfig {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

pub fn client_trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Writes a generation as the kubelet does: a new directory, then `..data` swapped to it.
pub fn mount(dir: &Path, generation: &str, chain: &str, key: &str) {
    let into = dir.join(format!("..{generation}"));
    std::fs::create_dir_all(&into).unwrap();
    std::fs::write(into.join("tls.crt"), chain).unwrap();
    std::fs::write(into.join("tls.key"), key).unwrap();
    let fresh = dir.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{generation}"), &fresh).unwrap();
    std::fs::rename(&fresh, dir.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let link = dir.join(file);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Path::new("..data").join(file), link).unwrap();
        }
    }
}

/// A running server.
pub struct Running {
    pub webhook: SocketAddr,
    pub admin: SocketAddr,
    pub shutdown: Shutdown,
    pub script: Arc<Script>,
    pub task: tokio::task::JoinHandle<Result<(), portcullis::serve::ServeError>>,
    pub end: EndOfTest,
}

/// Ends what computes, which would outlive a test that fails.
pub struct EndOfTest(Arc<Script>);

impl Drop for EndOfTest {
    fn drop(&mut self) {
        self.0.cool();
    }
}

/// Options for loopback with a quick look at certificates.
pub fn options(certificates: Certificates) -> Options {
    let mut options = Options::new(certificates);
    options.listen = "127.0.0.1:0".parse().unwrap();
    options.admin_listen = "127.0.0.1:0".parse().unwrap();
    options.drain.linger = Duration::ZERO;
    options
}

pub fn directory(path: &Path) -> Certificates {
    Certificates::Directory { path: path.to_owned(), poll: Duration::from_millis(20) }
}

pub async fn start(options: Options) -> Running {
    let server = Server::bind(options).await.unwrap();
    let script = Arc::new(Script::default());
    let shutdown = Shutdown::new();
    let (webhook, admin) = (server.webhook_addr(), server.admin_addr());
    let task = tokio::spawn(server.run(Arc::clone(&script), shutdown.clone(), new_registry()));
    let end = EndOfTest(Arc::clone(&script));
    Running { webhook, admin, shutdown, script, task, end }
}

impl Running {
    pub async fn connect(&self, client: &ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.webhook, client).await
    }

    /// GET on the admin port: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await.unwrap();
        (answer.status, answer.body)
    }

    /// Waits until readiness says this.
    pub async fn until_ready(&self, status: u16, containing: &str) {
        let seen = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let (now, text) = self.admin("/readyz").await;
                if now == status && text.contains(containing) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let in_time = seen.await.is_ok();
        assert!(in_time, "still {:?}, wanted {status} {containing:?}", self.admin("/readyz").await);
    }

    /// The value of a metric line that starts with this.
    pub async fn metric(&self, line: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        text.lines()
            .find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no line {line:?} in\n{text}"))
    }
}

pub async fn connect(to: SocketAddr, client: &ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(to).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(HOST).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(client.clone())).connect(name, tcp).await
}

/// One HTTP answer.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl HttpAnswer {
    pub fn closes(&self) -> bool {
        self.head.contains("connection: close")
    }
}

pub fn post(body: &str) -> String {
    format!(
        "POST /v1/review?timeout=10s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends one review on an open connection and reads the answer.
pub async fn review<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, body: &str) -> std::io::Result<HttpAnswer> {
    stream.write_all(post(body).as_bytes()).await?;
    stream.flush().await?;
    read_answer(stream).await
}

/// Reads one answer with a content length.
pub async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<HttpAnswer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await?;
    Ok(HttpAnswer { status, head, body: String::from_utf8(body).unwrap() })
}

pub const DAY: i64 = 86_400;

/// A server with a certificate from a mounted directory, and the CA of it.
pub struct Fixture {
    pub ca: Ca,
    pub dir: TempDir,
    pub server: Running,
}

pub async fn fixture() -> Fixture {
    fixture_with(|_| {}).await
}

pub async fn fixture_with(change: impl FnOnce(&mut Options)) -> Fixture {
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
