//! kubectl as people call it, and as whom.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Outcome, scratch, until};

/// kubectl with a kubeconfig.
#[derive(Clone)]
pub struct Kubectl {
    bin: PathBuf,
    config: PathBuf,
    user: Option<String>,
}

impl Kubectl {
    pub fn new(bin: PathBuf, config: PathBuf) -> Self {
        Self { bin, config, user: None }
    }

    /// The same as somebody else.
    pub fn as_user(&self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self.clone() }
    }

    /// A user who has one role in one namespace and nothing elsewhere, once it may create this resource.
    pub fn tenant(&self, namespace: &str, (kind, role): (&str, &str), resource: &str) -> Self {
        let name = format!("{role}-{namespace}");
        let yaml = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {role}, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {role}}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {name}}}]\n"
        );
        self.apply(&yaml).passes();
        let user = self.as_user(&name);
        super::until("its permissions count", || {
            let may = user.run(&["-n", namespace, "auth", "can-i", "create", resource]);
            if may.ok { Ok(()) } else { Err(may.to_string()) }
        });
        user
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    /// A command with kubectl on its PATH and the cluster in its KUBECONFIG.
    fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env("KUBECONFIG", &self.config)
            .env("KUBECACHEDIR", scratch("kube-cache"))
            .env_remove("HTTPS_PROXY")
            .env_remove("https_proxy");
        command
    }

    fn finish(mut command: Command, input: &str) -> Outcome {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may end without having read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Outcome::of(&child.wait_with_output().unwrap())
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Outcome {
        let mut command = self.command(&self.bin.join("kubectl").display().to_string());
        command.args(["--request-timeout", "40s"]);
        if let Some(user) = &self.user {
            command.args(["--as", user, "--as-group", "system:authenticated"]);
        }
        command.args(args);
        Self::finish(command, input)
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.run_with_input(args, "")
    }

    /// `kubectl apply -f -`
    pub fn apply(&self, yaml: &str) -> Outcome {
        self.run_with_input(&["apply", "-f", "-"], yaml)
    }

    /// A script as somebody would paste it into a shell.
    pub fn paste(&self, script: &str) -> Outcome {
        let mut command = self.command("bash");
        command.args(["-euc", script]);
        Self::finish(command, "")
    }

    /// An object as the API server has it, `None` if there is none.
    pub fn get(&self, args: &[&str]) -> Option<Value> {
        let all = [&["get", "-o", "json", "--ignore-not-found"], args].concat();
        let outcome = self.run(&all).passes();
        (!outcome.stdout.trim().is_empty()).then(|| serde_json::from_str(&outcome.stdout).unwrap())
    }

    /// The objects of a list; kubectl says nothing at all where there are none.
    pub fn list(&self, args: &[&str]) -> Vec<Value> {
        self.get(args).and_then(|list| list["items"].as_array().cloned()).unwrap_or_default()
    }

    /// Makes a namespace in which pods can be created, with these labels.
    pub fn namespace(&self, name: &str, labels: &[(&str, &str)]) {
        let mut yaml =
            format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    e2e: case\n");
        for (key, value) in labels {
            let _ = writeln!(yaml, "    {key}: \"{value}\"");
        }
        self.apply(&yaml).passes();
        self.until_populated(name);
    }

    /// Waits for what controllers put into every namespace.
    pub fn until_populated(&self, namespace: &str) {
        until("the default service account", || {
            self.get(&["-n", namespace, "serviceaccount/default"]).map(|_| ()).ok_or_else(|| "none".to_owned())
        });
    }
}
