//! The control plane: started by the repository's own script, ended by it, and by its watchdog if this process is killed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::kubectl::Kubectl;
use super::{repository, scratch};

/// A running API server with its etcd and controller manager.
#[derive(Clone)]
pub struct Coordinates {
    pub dir: PathBuf,
    pub bin: PathBuf,
}

/// The owner: dropping it takes the cluster down.
pub struct ControlPlane {
    pub at: Coordinates,
    /// Held until the cluster is down: a second run would sweep this one's cluster away.
    _lock: File,
}

fn script(name: &str) -> Command {
    let mut command = Command::new(repository().join("hack/kube").join(name));
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let both = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&both).trim().to_owned()
}

/// Whether a control plane can run here; if not, why.
pub fn possible() -> Result<(), String> {
    let one_line = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match script("preflight").arg("control-plane").output() {
        Ok(output) if output.status.success() && !text(&output).contains("to be built first") => Ok(()),
        Ok(output) => Err(one_line(text(&output))),
        Err(error) => Err(format!("hack/kube/preflight does not run: {error}")),
    }
}

impl Coordinates {
    /// Of a cluster of this name, which need not run yet.
    pub fn named(name: &str) -> Self {
        let bin = script("build").arg("--bin").output().unwrap();
        let cached = PathBuf::from(String::from_utf8(bin.stdout).unwrap().trim());
        let given = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let bin = given.filter(|dir| dir.join("kubectl").exists()).unwrap_or(cached);
        Self { dir: scratch(name), bin }
    }

    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.bin.clone(), self.dir.join("kubeconfig"))
    }

    /// The number of one of its processes, as the script recorded it.
    pub fn pid(&self, name: &str) -> u32 {
        let records = std::fs::read_dir(self.dir.join("run")).unwrap();
        let mut records = records.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
        let of = |text: String| {
            let mut fields = text.split_whitespace();
            (fields.next()? == name).then(|| fields.next()?.parse().ok())?
        };
        records.find_map(of).unwrap_or_else(|| panic!("no record of {name} in {}", self.dir.display()))
    }

    /// Kills one of its processes, as a node that goes away does.
    pub fn crash(&self, name: &str) {
        self.order("crash", name);
    }

    /// Starts a process that was killed again, and waits until the API server answers.
    pub fn revive(&self, name: &str) {
        self.order("revive", name);
    }

    fn order(&self, order: &str, name: &str) {
        let output = script("control-plane").arg(order).arg(&self.dir).arg(name).output().unwrap();
        assert!(output.status.success(), "{order} {name}: {}", text(&output));
    }

    /// Lines of the audit log that mention this.
    pub fn audit(&self, containing: &str) -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(self.dir.join("audit.log")).unwrap();
        log.lines().filter(|l| l.contains(containing)).filter_map(|l| serde_json::from_str(l).ok()).collect()
    }
}

impl ControlPlane {
    /// The cluster that cases share.
    pub fn up() -> Self {
        Self::start(Coordinates::named("cluster"), &[])
    }

    /// A cluster with these arguments of its API server besides the usual ones.
    pub fn start(at: Coordinates, apiserver: &[String]) -> Self {
        let lock = File::create(at.dir.join("e2e.lock")).unwrap();
        if lock.try_lock().is_err() {
            eprintln!("e2e: waiting for another run in {}", at.dir.display());
            lock.lock().unwrap();
        }
        // A run that was killed a moment ago may not have been swept up yet.
        let _ = script("control-plane").arg("down").arg(&at.dir).output();
        let started = script("control-plane")
            .arg("up")
            .arg(&at.dir)
            .args(["--with-parent", &std::process::id().to_string()])
            .args(apiserver.iter().map(|argument| format!("--apiserver-arg={argument}")))
            .output()
            .unwrap();
        assert!(started.status.success(), "the control plane does not start: {}", text(&started));
        Self { at, _lock: lock }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = script("control-plane").arg("down").arg(&self.at.dir).output();
    }
}
