//! A cluster as the state that a question is about: which one, and how it is read.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::model::Enforcement;
use crate::model::cni::Cni;
use crate::snapshot::Snapshot;
use crate::source::files::Files;
use crate::source::watch::client_config;

/// Which cluster to ask.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Which {
    /// Kubeconfig; the default is $KUBECONFIG, then ~/.kube/config, then the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Which {
    /// Reads the cluster once. What may not be read is in the result.
    pub(super) fn read(&self) -> anyhow::Result<Files> {
        // The first provider wins; a second one in the process would be a defect that rustls reports by itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let config = kube_config(self.kubeconfig.as_deref(), self.context.as_deref()).await.context(
                "found no cluster: name a kubeconfig with --kubeconfig or a context with --context, or give files instead of --cluster",
            )?;
            let config = client_config(config);
            let server = config.cluster_url.clone();
            let client = kube::Client::try_from(config).with_context(|| format!("cannot make a client for {server}"))?;
            Files::of_cluster(&client).await.with_context(|| format!("cannot read the cluster at {server}"))
        })
    }
}

/// Where the state comes from that a question is about: files, or a cluster.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Input {
    /// Files, folders, or - for standard input
    #[arg(required_unless_present = "cluster", conflicts_with = "cluster", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Ask a cluster instead of reading files
    #[arg(long)]
    cluster: bool,
    /// When Cilium lets policies decide, in place of what enable-policy in the ConfigMap cilium-config says
    #[arg(long, value_enum, value_name = "MODE")]
    cilium_enforcement: Option<Mode>,
    #[command(flatten)]
    which: Which,
}

/// When Cilium lets policies decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// For pods that a policy selects
    Default,
    /// For every pod: what no policy allows is denied
    Always,
    /// Never: nothing is denied
    Never,
}

impl From<Mode> for Enforcement {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Default => Self::Default,
            Mode::Always => Self::Always,
            Mode::Never => Self::Never,
        }
    }
}

impl Input {
    /// Reads it. Objects without a namespace belong to `namespace`.
    pub(super) fn read(&self, namespace: &str) -> anyhow::Result<Files> {
        let files = if self.cluster { self.which.read()? } else { Files::read(&self.paths, namespace) };
        Ok(self.settled(files))
    }

    /// These, where what is said on the command line holds.
    pub(super) fn settled(&self, files: Files) -> Files {
        files.enforced(self.cilium_enforcement.map(Enforcement::from))
    }

    /// How it was named, as words of a command.
    pub(super) fn words(&self) -> Vec<String> {
        if !self.cluster {
            return self.paths.iter().map(|path| path.display().to_string()).collect();
        }
        let kubeconfig = self.which.kubeconfig.as_ref().map(|file| file.display().to_string());
        let options = [("--kubeconfig", kubeconfig), ("--context", self.which.context.clone())];
        let options = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten();
        ["--cluster".to_owned()].into_iter().chain(options).collect()
    }

    /// The cluster that is meant.
    pub(super) const fn which(&self) -> &Which {
        &self.which
    }
}

/// The named kubeconfig or context, else what is usual: a kubeconfig, or a pod's service account.
pub(super) async fn kube_config(file: Option<&Path>, context: Option<&str>) -> anyhow::Result<kube::Config> {
    let choice = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    if let Some(file) = file {
        let kubeconfig =
            Kubeconfig::read_from(file).with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &choice).await;
        return config.with_context(|| format!("cannot use the kubeconfig {}", file.display()));
    }
    if context.is_some() {
        return kube::Config::from_kubeconfig(&choice).await.context("cannot use this context of the kubeconfig");
    }
    Ok(kube::Config::infer().await?)
}

/// What of a cluster could not be read, for those who read the answer.
pub(super) fn omitted(files: &Files) -> Vec<String> {
    files.omitted.iter().map(ToString::to_string).collect()
}

/// What enforces policies, where anything is known of it, and what is assumed of that.
pub(super) fn network(files: &Files, world: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    if !world.sightings().is_empty() || world.cilium().is_some() {
        notes.push(format!("what enforces policies: {}", world.network()));
    }
    notes.extend(files.cilium_unread.iter().map(|(id, unread)| format!("{id} at {}: {}", unread.at, unread.what)));
    if let Some(why) = files.cilium_omitted.as_ref().filter(|_| world.plugins().contains(&Cni::Cilium)) {
        notes.push(format!(
            "ConfigMap kube-system/cilium-config could not be read ({why}): enable-policy is taken for default; the verb list on \
             it is needed, or --cilium-enforcement"
        ));
    }
    notes
}
