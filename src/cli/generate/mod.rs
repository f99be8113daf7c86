//! `portcullis generate`: policies to start from, and policies and assertions made to measure.

mod assertions;
mod policies;

use std::collections::BTreeSet;
use std::io::Write;

use super::Exit;
use super::kinds::{Written, WrittenAs};
use crate::model::house::Settings;
use crate::rules;

/// What to write.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A default deny for both directions and a way to cluster DNS, for each namespace
    #[command(after_help = "Example:
  portcullis generate baseline shop payments | kubectl apply -f -

Not for the namespace of cluster DNS, kube-system, which it would cut off.")]
    Baseline {
        /// Namespaces
        #[arg(required = true)]
        namespaces: Vec<String>,
        /// The kind of policy to write
        #[arg(long, value_enum, default_value_t = WrittenAs::Networkpolicy)]
        kind: WrittenAs,
    },
    /// The least policies that yield a matrix, proved to
    Policies(policies::Args),
    /// Today's connectivity of namespaces, as assertions that the cluster then keeps true
    Assertions(assertions::Args),
}

pub(super) fn run(command: &Command, out: &mut impl Write) -> anyhow::Result<Exit> {
    match command {
        Command::Baseline { namespaces, kind } => baseline(namespaces, *kind, out),
        Command::Policies(args) => policies::run(args, out),
        Command::Assertions(args) => assertions::run(args, out),
    }
}

fn baseline(namespaces: &[String], kind: WrittenAs, out: &mut impl Write) -> anyhow::Result<Exit> {
    let settings = Settings::default();
    let (mut policies, mut seen) = (Vec::new(), BTreeSet::new());
    for namespace in namespaces.iter().filter(|namespace| seen.insert(*namespace)) {
        check_name(namespace)?;
        anyhow::ensure!(
            **namespace != *settings.dns.namespace,
            "{namespace} is where cluster DNS is: this default deny would cut it off from all who ask it, from the API server \
             and from the servers that it asks. Leave {namespace} as it is, or write policies for what runs there: \
             portcullis generate policies --cluster --namespace {namespace}"
        );
        policies.extend(match kind {
            WrittenAs::Cilium => rules::cilium_baseline(namespace, &settings),
            _ => rules::baseline(namespace, &settings),
        });
    }
    let written = Written::policies(&policies, kind)?;
    out.write_all(written.yaml.as_bytes())?;
    for departure in &written.departures {
        let _ = writeln!(std::io::stderr(), "note: {}: {}", departure.policy, departure.what);
    }
    Ok(Exit::Clean)
}

/// A namespace name is a DNS label (RFC 1123).
fn check_name(name: &str) -> anyhow::Result<()> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits =
        (1..=63).contains(&name.len()) && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-');
    anyhow::ensure!(fits, "`{name}` is no namespace name: lower-case letters, digits and `-`, at most 63 characters");
    Ok(())
}
