//! `portcullis serve`: flags into options, a source of state, and the server around them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use super::Exit;
use super::cluster::kube_config;
use crate::admission::{Cluster, Fixed};
use crate::model::house::Level;
use crate::serve::certs::{KubeStore, MemoryStore, SelfManaged, Store};
use crate::serve::{
    self, AuditMetrics, Callers, Certificates, Closing, DecisionMetrics, GateReviewer, Limits, NotReady, Options,
    Shutdown,
};
use crate::source::files::{CONFIG_NAMESPACE, Files};
use crate::source::lease::Candidate;
use crate::source::status::{self, Violations};
use crate::source::watch::{Settings, Watched, client_config};

/// Answer admission reviews, in a cluster or from a folder of manifests.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis serve                                          in a cluster, as the chart runs it
  portcullis serve --manifests cluster/ --ca-file ca.crt \\
    --listen 127.0.0.1:10250 --admin-listen 127.0.0.1:8080  without a cluster

Every flag can be set by an environment variable as well. RUST_LOG sets what is logged; RUST_LOG=info,decision=debug
logs every review.")]
pub struct Args {
    /// Where reviews are answered, over TLS
    #[arg(long, env = "PORTCULLIS_LISTEN", default_value = "0.0.0.0:10250")]
    listen: SocketAddr,
    /// Where health and metrics are answered, in plain HTTP
    #[arg(long, env = "PORTCULLIS_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    admin_listen: SocketAddr,
    /// The highest level that any finding can have: in `warn` nothing is ever blocked
    #[arg(long, env = "PORTCULLIS_MODE", value_enum, default_value_t = Mode::Enforce)]
    mode: Mode,
    /// What follows at most for pods that a controller makes for an object that was admitted before
    #[arg(long, env = "PORTCULLIS_FROM_CONTROLLERS", value_enum, default_value_t = Mode::Warn)]
    from_controllers: Mode,
    /// Serve a fixed state from these files or folders, with no cluster at all
    #[arg(long, env = "PORTCULLIS_MANIFESTS", value_name = "PATH", value_delimiter = ',')]
    manifests: Vec<PathBuf>,
    /// Folder with tls.crt and tls.key, as a mounted Secret has them; read again when they change
    #[arg(long, env = "PORTCULLIS_CERT_DIR", value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Make and rotate the certificate here; the default without --cert-dir
    #[arg(long, env = "PORTCULLIS_SELF_MANAGED_CERTS", conflicts_with = "cert_dir")]
    self_managed_certs: bool,
    /// With --manifests: where to write the CA that callers verify with
    #[arg(long, env = "PORTCULLIS_CA_FILE", value_name = "FILE", requires = "manifests")]
    ca_file: Option<PathBuf>,
    /// Secret in which all replicas share the self-managed certificate
    #[arg(long, env = "PORTCULLIS_TLS_SECRET", default_value = "portcullis-tls")]
    tls_secret: String,
    /// Service that the API server calls
    #[arg(long, env = "PORTCULLIS_SERVICE_NAME", default_value = "portcullis")]
    service_name: String,
    /// Names or addresses the certificate is for besides the Service
    #[arg(long, env = "PORTCULLIS_EXTRA_NAMES", value_delimiter = ',', value_name = "NAME")]
    extra_names: Vec<String>,
    /// Namespace that Portcullis runs in
    #[arg(long, env = "PORTCULLIS_NAMESPACE")]
    namespace: Option<String>,
    /// ValidatingWebhookConfiguration whose caBundle is kept up to date
    #[arg(long, env = "PORTCULLIS_WEBHOOK_CONFIGURATION", default_value = "portcullis")]
    webhook_configuration: String,
    /// Namespace whose RuleExceptions count; the default is Portcullis's own
    #[arg(long, env = "PORTCULLIS_CONFIG_NAMESPACE")]
    config_namespace: Option<String>,
    /// Seconds to go on answering after SIGTERM; API servers keep idle connections for 90
    #[arg(long, env = "PORTCULLIS_DRAIN_TIMEOUT", default_value_t = 95, value_name = "SECONDS")]
    drain_timeout: u64,
    /// Seconds between two background audits of everything that is there
    #[arg(long, env = "PORTCULLIS_AUDIT_INTERVAL", default_value_t = serve::PACE.as_secs(), value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..))]
    audit_interval: u64,
    /// Bytes of request bodies held at once
    #[arg(long, env = "PORTCULLIS_MAX_INFLIGHT_BYTES", default_value = "64MiB", value_parser = bytes)]
    max_inflight_bytes: usize,
    /// Largest request body
    #[arg(long, env = "PORTCULLIS_BODY_LIMIT", default_value = "32MiB", value_parser = bytes)]
    body_limit: usize,
    /// Threads that judge reviews; large bodies have half as many again
    #[arg(long, env = "PORTCULLIS_REVIEW_THREADS", default_value_t = Limits::default().review_threads, value_name = "N")]
    review_threads: usize,
    /// Open connections on the webhook port
    #[arg(long, env = "PORTCULLIS_MAX_CONNECTIONS", default_value_t = Limits::default().connections, value_name = "N")]
    max_connections: usize,
    /// Open connections of one source address that have not delivered a review
    #[arg(long, env = "PORTCULLIS_MAX_SOURCE_CONNECTIONS", default_value_t = Limits::default().source_connections,
        value_name = "N")]
    max_source_connections: usize,
    /// CA certificates in PEM: callers of the webhook port must show a certificate of theirs; read again when it changes
    #[arg(long, env = "PORTCULLIS_CLIENT_CA", value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Name that a caller's certificate must have, as common name or alternative name; may be given several times
    #[arg(
        long = "client-name",
        env = "PORTCULLIS_CLIENT_NAME",
        value_delimiter = ',',
        value_name = "NAME",
        requires = "client_ca"
    )]
    client_names: Vec<String>,
    /// Log format; json is the default where standard output is no terminal
    #[arg(long, env = "PORTCULLIS_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Kubeconfig; the default is the pod's service account, then ~/.kube/config
    #[arg(long, env = "PORTCULLIS_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, env = "PORTCULLIS_CONTEXT")]
    context: Option<String>,
    /// Seconds a leaf certificate lives (tests make it short)
    #[arg(long, env = "PORTCULLIS_LEAF_LIFETIME", hide = true)]
    leaf_lifetime: Option<u64>,
    /// Seconds a CA lives (tests make it short)
    #[arg(long, env = "PORTCULLIS_CA_LIFETIME", hide = true)]
    ca_lifetime: Option<u64>,
    /// Seconds a new CA is published before a leaf of it is served (tests make it short)
    #[arg(long, env = "PORTCULLIS_CA_SETTLE", hide = true)]
    ca_settle: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// Deny what the house rules deny
    Enforce,
    /// Warn only: nothing is ever blocked
    Warn,
    /// Record only
    Audit,
}

impl From<Mode> for Level {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Warn => Self::Warn,
            Mode::Audit => Self::Audit,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One JSON object per line
    Json,
    /// For people
    Text,
}

/// Reads `64MiB`, `512KiB`, `1048576`.
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "KiB" | "Ki" => 1 << 10,
        "MiB" | "Mi" => 1 << 20,
        "GiB" | "Gi" => 1 << 30,
        other => return Err(format!("`{other}` is no unit; use KiB, MiB or GiB")),
    };
    let number: usize = digits.parse().map_err(|_| format!("`{digits}` is no number of bytes"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too large"))
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    start_logging(args.log_format);
    // The first provider wins; a second one in the process would be a defect that rustls reports by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The background audit runs on these threads, and reviews what the review threads do.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(serve::STACK).build()?;
    let served = runtime.block_on(serve(args));
    // A background audit may be in the middle of a large cluster; nobody waits for what it finds.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    Ok(Exit::Clean)
}

fn start_logging(format: Option<LogFormat>) {
    use std::io::IsTerminal;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_client=off"));
    let terminal = std::io::stdout().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    if format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }) == LogFormat::Json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        builder.with_ansi(terminal).init();
    }
}

async fn serve(args: &Args) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals().context("cannot listen for signals")?;
    if args.manifests.is_empty() {
        return in_cluster(args, shutdown).await;
    }
    let namespace = args.namespace.clone().unwrap_or_else(|| CONFIG_NAMESPACE.to_owned());
    let mut files = Files::read(&args.manifests, "default");
    if super::report_errors(&files.errors) {
        bail!("the state could not be read in full; nothing is served on half of it");
    }
    for slip in &files.house_unread {
        tracing::warn!("not understood: {slip}");
    }
    for note in files.honour(args.config_namespace.as_deref().unwrap_or(&namespace)) {
        tracing::warn!("{note}");
    }
    let mut world = files.world();
    world.house.cap = args.mode.into();
    world.house.from_controllers = args.from_controllers.into();
    tracing::info!(objects = files.objects.len(), skipped = files.skipped, "serving a fixed state from files");
    // Where each field stands in its file is of use to `check` alone, and is most of the memory.
    drop(files);
    let store = Arc::new(MemoryStore::new(args.ca_file.clone()));
    let options = options(args, &namespace, || store);
    let registry = serve::new_registry();
    let background =
        Background { namespace, last: Violations::default(), pace: Duration::from_secs(args.audit_interval) };
    run_server(options, Arc::new(Fixed::new(world)), Arc::new(|| None), background, shutdown, registry).await
}

async fn in_cluster(args: &Args, shutdown: Shutdown) -> anyhow::Result<()> {
    let config = kube_config(args.kubeconfig.as_deref(), args.context.as_deref()).await.context(
        "found no cluster: neither a pod's service account nor a kubeconfig; use --kubeconfig, or --manifests to serve without a cluster",
    )?;
    let config = client_config(config);
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.clone();
    let client = kube::Client::try_from(config).with_context(|| format!("cannot make a client for {server}"))?;
    tracing::info!(%server, namespace, mode = Level::from(args.mode).as_str(), "following a cluster");
    let config_namespace = args.config_namespace.clone().unwrap_or_else(|| namespace.clone());
    let mut settings = Settings::new(config_namespace);
    settings.cap = args.mode.into();
    settings.from_controllers = args.from_controllers.into();
    let cluster = Arc::new(Watched::start(client.clone(), settings));
    let mut registry = serve::new_registry();
    serve::register_watch_metrics(&mut registry, &cluster);
    let mut options =
        options(args, &namespace, || Arc::new(KubeStore::new(client.clone(), &self_managed(args, &namespace))));
    options.closing = Some(Closing::new(client.clone(), &args.webhook_configuration));
    let candidate = Candidate::new(client.clone(), &namespace, "portcullis-status", &identity());
    let last = Violations::default();
    let statuses = tokio::spawn(status::keep(client.clone(), Arc::clone(&cluster), candidate, Arc::clone(&last)));
    let not_ready: NotReady = {
        let cluster = Arc::clone(&cluster);
        Arc::new(move || cluster.not_ready())
    };
    let background = Background { namespace, last, pace: Duration::from_secs(args.audit_interval) };
    let followed = Arc::clone(&cluster);
    let served = tokio::select! {
        served = run_server(options, cluster, not_ready, background, shutdown, registry) => served,
        // A process that follows nothing would be unready for ever; the next one begins anew.
        why = followed.broken() => Err(anyhow::anyhow!(why)),
    };
    statuses.abort();
    served
}

/// What tells this replica from the others: the pod's name, which is also its host name.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "portcullis".to_owned());
    format!("{host}-{}", std::process::id())
}

/// How the background audit runs.
struct Background {
    /// Portcullis's own namespace, which is not judged.
    namespace: String,
    /// Where it leaves what it found.
    last: Violations,
    /// Between two sweeps.
    pace: Duration,
}

async fn run_server<C: Cluster>(
    options: Options,
    cluster: Arc<C>,
    not_ready: NotReady,
    background: Background,
    shutdown: Shutdown,
    mut registry: Registry,
) -> anyhow::Result<()> {
    let metrics = DecisionMetrics::register(&mut registry);
    let audit = AuditMetrics::register(&mut registry);
    let reviewer = Arc::new(GateReviewer::new(Arc::clone(&cluster), metrics, Arc::clone(&not_ready))?);
    let Background { namespace, last, pace } = background;
    let sweeper =
        tokio::spawn(serve::keep_sweeping(move || cluster.current(), not_ready, audit, namespace, last, pace));
    let served = serve::run(options, reviewer, shutdown, registry).await;
    sweeper.abort();
    served?;
    tracing::info!("drained; bye");
    Ok(())
}

fn options(args: &Args, namespace: &str, store: impl FnOnce() -> Arc<dyn Store>) -> Options {
    let certificates = match &args.cert_dir {
        Some(dir) => Certificates::directory(dir.clone()),
        None => Certificates::SelfManaged { settings: self_managed(args, namespace), store: store() },
    };
    let mut options = Options::new(certificates);
    options.listen = args.listen;
    options.admin_listen = args.admin_listen;
    options.limits.body = args.body_limit;
    options.limits.inflight_bytes = args.max_inflight_bytes;
    options.limits.review_threads = args.review_threads;
    options.limits.connections = args.max_connections;
    options.limits.source_connections = args.max_source_connections;
    options.callers = args.client_ca.as_ref().map(|ca| Callers::new(ca, args.client_names.clone()));
    options.drain.timeout = Duration::from_secs(args.drain_timeout);
    options
}

fn self_managed(args: &Args, namespace: &str) -> SelfManaged {
    let mut settings =
        SelfManaged::for_service(&args.service_name, namespace, &args.tls_secret, &args.webhook_configuration);
    settings.names.extend(args.extra_names.iter().cloned());
    if let Some(seconds) = args.leaf_lifetime {
        settings.wanted_leaf_lifetime = Duration::from_secs(seconds);
        settings.poll = Duration::from_secs(1);
    }
    if let Some(seconds) = args.ca_lifetime {
        settings.ca_lifetime = Duration::from_secs(seconds);
    }
    if let Some(seconds) = args.ca_settle {
        settings.settle = Duration::from_secs(seconds);
    }
    settings
}
