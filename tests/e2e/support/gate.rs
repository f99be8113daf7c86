//! Portcullis in front of the cluster: its objects as the chart renders them, its process, and when it has taken effect.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::plane::Coordinates;
use super::process::Process;
use super::{CASE_LABEL, Kubectl, http, objects, repository, scratch, until};

/// Where a gate has its state from.
#[derive(Clone, Debug)]
pub enum State {
    /// From the API server, as the service account of the chart, with nothing but the chart's permissions.
    Cluster,
    /// From these files.
    Files(PathBuf),
}

/// What a case wants of its gate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Release name; also its namespace, and the value of [`CASE_LABEL`] on the namespaces that it alone judges.
    /// The default release judges all others.
    pub name: &'static str,
    pub mode: &'static str,
    pub state: State,
    /// `Fail`, so that no call that went wrong looks like an approval; the chart's default is another case's subject.
    pub failure_policy: &'static str,
    pub arguments: Vec<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "portcullis",
            mode: "enforce",
            state: State::Cluster,
            failure_policy: "Fail",
            arguments: Vec::new(),
        }
    }
}

/// A free port below those that the kernel gives to outgoing connections, and not given to another case.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs beside each other start at different places. Between the control plane's own ports, one of which is free while a
    // case has its API server down, and those that the kernel gives to connections.
    let first = 30_000 + u16::try_from(std::process::id() % 1_700).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running Portcullis. Its process ends with it; its objects stay, which is what a crash leaves as well.
pub struct Gate {
    pub settings: Settings,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    plane: Coordinates,
    process: Option<Process>,
}

impl Gate {
    /// Installs it and waits until it decides.
    pub fn install(plane: &Coordinates, settings: Settings) -> Self {
        Self::prepare(plane, settings).installed()
    }

    /// The same for one whose addresses were needed before.
    pub fn installed(mut self) -> Self {
        self.install_objects();
        self.start();
        self.until_ready();
        if matches!(self.settings.state, State::Files(_)) {
            let ca = std::fs::read_to_string(self.ca_file()).unwrap();
            self.apply_webhook(&format!("https://{}/v1/review", self.listen), Some(&ca));
        }
        self.until_it_decides();
        self
    }

    /// Chooses addresses; nothing is installed yet.
    pub fn prepare(plane: &Coordinates, settings: Settings) -> Self {
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        Self { listen: address(), admin: address(), settings, plane: plane.clone(), process: None }
    }

    /// A second replica beside it, started and ready.
    pub fn twin(&self) -> Self {
        let mut twin = Self::prepare(&self.plane, self.settings.clone());
        twin.start();
        twin.until_ready();
        twin
    }

    pub fn name(&self) -> &'static str {
        self.settings.name
    }

    /// Labels of a namespace that this gate judges.
    pub fn labels(&self) -> Vec<(&'static str, &'static str)> {
        if self.name() == "portcullis" { vec![] } else { vec![(CASE_LABEL, self.name())] }
    }

    fn kubectl(&self) -> Kubectl {
        self.plane.kubectl()
    }

    fn ca_file(&self) -> PathBuf {
        scratch(self.name()).join("ca.crt")
    }

    /// What the chart installs, without what only runs in pods.
    fn install_objects(&self) {
        // Two at once would both create the definitions.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _lock = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let kubectl = self.kubectl();
        let crds = Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("crds").output().unwrap();
        kubectl.apply(std::str::from_utf8(&crds.stdout).unwrap()).passes();
        for name in [
            "houserules.portcullis.dev",
            "ruleexceptions.portcullis.dev",
            "connectivityassertions.portcullis.dev",
            "clusterconnectivityassertions.portcullis.dev",
        ] {
            kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{name}")]).passes();
        }
        let wanted = ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];
        let objects: Vec<Value> =
            chart(self.name()).into_iter().filter(|o| wanted.iter().any(|kind| o["kind"] == *kind)).collect();
        kubectl.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).passes();
        kubectl.until_populated(self.name());
        if matches!(self.settings.state, State::Cluster) {
            self.apply_webhook(&format!("https://{}/v1/review", self.listen), None);
        }
    }

    /// The chart's webhook configuration, called at this address.
    pub fn apply_webhook(&self, url: &str, ca: Option<&str>) {
        apply_webhook(&self.kubectl(), self.name(), self.settings.failure_policy, url, ca);
    }

    /// A kubeconfig with a token of the chart's service account.
    fn kubeconfig(&self) -> PathBuf {
        let kubectl = self.kubectl();
        let token = kubectl.run(&["-n", self.name(), "create", "token", self.name(), "--duration=24h"]).passes();
        let config = kubectl.run(&["config", "view", "--raw", "--minify", "-o", "json"]).passes();
        let mut config: Value = serde_json::from_str(&config.stdout).unwrap();
        config["users"][0]["user"] = json!({"token": token.stdout.trim()});
        let path = scratch(self.name()).join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Starts the process. Objects and addresses are those of before, if it ran before.
    pub fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.arg("serve").args(["--listen", &self.listen.to_string(), "--admin-listen", &self.admin.to_string()]);
        command.args(["--mode", self.settings.mode, "--extra-names", "127.0.0.1,localhost"]);
        command.args(["--audit-interval", "2"]);
        command.args(["--log-format", "json"]).args(&self.settings.arguments);
        let name = self.name();
        match &self.settings.state {
            State::Files(path) => command.arg("--manifests").arg(path).arg("--ca-file").arg(self.ca_file()),
            State::Cluster => {
                command.arg("--kubeconfig").arg(self.kubeconfig()).args(["--self-managed-certs", "--namespace", name]);
                command.args(["--service-name", name, "--webhook-configuration", name]);
                command.args(["--tls-secret", &format!("{name}-tls")])
            }
        };
        command.env("RUST_LOG", "info,decision=debug").env_remove("KUBECONFIG");
        self.process = Some(Process::start(&mut command, &self.log_file()));
    }

    fn log_file(&self) -> PathBuf {
        scratch(self.name()).join(format!("portcullis-{}.log", std::process::id()))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was stopped")
    }

    /// Its number, by which it calls itself in the lease; 0 when it was stopped.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }

    /// Ends it at once, as a node that goes away does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Status and text of a path of the admin port.
    pub fn admin(&self, path: &str) -> Result<(u16, String), String> {
        http::get(self.admin, path)
    }

    pub fn until_ready(&mut self) {
        let (admin, log) = (self.admin, self.log_file());
        let process = self.process();
        until("portcullis is ready", || {
            if let Some(status) = process.ended() {
                panic!("portcullis ended with {status}: {}", tail(&log));
            }
            match http::get(admin, "/readyz") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}; log: {}", tail(&log))),
            }
        });
    }

    /// Reviews answered so far, by what they came to; all outcomes for an empty name.
    pub fn decisions(&self, outcome: &str) -> f64 {
        let (_, text) = self.admin("/metrics").unwrap_or_default();
        let wanted = |line: &&str| {
            line.starts_with("portcullis_decisions_total{") && line.contains(&format!("outcome=\"{outcome}"))
        };
        text.lines().filter(wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until the API server asks it: a new configuration takes a moment to be seen.
    pub fn until_it_decides(&self) {
        let kubectl = self.kubectl();
        let canary = format!("{}-canary", self.name());
        kubectl.namespace(&canary, &self.labels());
        let before = self.decisions("");
        until("the API server asks portcullis", || {
            let outcome = kubectl
                .run_with_input(&["apply", "--dry-run=server", "-f", "-"], &objects::deployment(&canary, "canary"));
            if self.decisions("") > before { Ok(()) } else { Err(outcome.to_string()) }
        });
    }
}

/// The chart's webhook configuration, called by address and limited to the namespaces of the release.
pub fn apply_webhook(kubectl: &Kubectl, release: &str, failure_policy: &str, url: &str, ca: Option<&str>) {
    let mut webhook = chart(release)
        .into_iter()
        .find(|object| object["kind"] == "ValidatingWebhookConfiguration")
        .expect("a webhook configuration in deploy/install.yaml");
    // What is wished and what is must agree: a replica follows the wish.
    webhook["metadata"]["annotations"]["portcullis.dev/failure-policy"] = failure_policy.into();
    let scope = if release == "portcullis" {
        json!({"key": CASE_LABEL, "operator": "DoesNotExist"})
    } else {
        json!({"key": CASE_LABEL, "operator": "In", "values": [release]})
    };
    for entry in webhook["webhooks"].as_array_mut().unwrap() {
        // Objects of the whole cluster have no namespace to be told apart by: they are the suite's own gate's, so that a
        // case whose Portcullis is away does not stand in the way of others.
        if release != "portcullis" && entry["name"] == "houserules.portcullis.dev" {
            let namespaced = json!({"name": "namespaced", "expression": "request.?namespace.orValue('') != ''"});
            entry["matchConditions"].as_array_mut().unwrap().push(namespaced);
        }
        entry["clientConfig"] = match ca {
            Some(ca) => json!({"url": url, "caBundle": base64(ca.as_bytes())}),
            None => json!({"url": url}),
        };
        entry["failurePolicy"] = failure_policy.into();
        // The machine may be busy with something else; what a slow answer leads to is not the subject here.
        entry["timeoutSeconds"] = 20.into();
        let selector =
            if entry["name"] == "houserules.portcullis.dev" { "namespaceSelector" } else { "objectSelector" };
        match entry[selector]["matchExpressions"].as_array_mut() {
            Some(expressions) => expressions.push(scope.clone()),
            None => entry[selector] = json!({"matchExpressions": [scope]}),
        }
    }
    kubectl.apply(&webhook.to_string()).passes();
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The objects of the chart for a release of this name, in a namespace of the same name. `deploy/install.yaml` is what the
/// chart renders, and CI holds it to that.
pub fn chart(release: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(repository().join("deploy/install.yaml")).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let rename = |object: Value| {
        let text = object.to_string();
        // Whatever bears the release's name, also in namespaces that releases share.
        let names = ["portcullis", "portcullis-tls", "portcullis-cilium-config"];
        let renamed = names.into_iter().fold(text, |text, name| {
            let own = name.replace("portcullis", release);
            text.replace(&format!("\"{name}\""), &format!("\"{own}\""))
        });
        serde_json::from_str(&renamed).unwrap()
    };
    objects.into_iter().map(rename).collect()
}

fn base64(bytes: &[u8]) -> String {
    // ByteString has the encoding of Kubernetes' own byte fields.
    let text = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap();
    text.as_str().unwrap().to_owned()
}
