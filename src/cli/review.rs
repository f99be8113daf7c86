//! `portcullis review`: one AdmissionReview in, the answered one out, through the very gate that `serve` uses.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::Exit;
use crate::admission::{Fixed, Gate, Outcome, Reply};
use crate::report::printable::one_line;
use crate::review::World;
use crate::source::files::{CONFIG_NAMESPACE, Files};

/// Answer one AdmissionReview from a file or standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  portcullis review request.json --manifests cluster/

Exit code: 0 allowed, 1 denied, 2 not a review.")]
pub struct Args {
    /// File with the AdmissionReview in JSON, or - for standard input
    file: PathBuf,
    /// The state to judge against: files or folders
    #[arg(long, value_name = "PATH")]
    manifests: Vec<PathBuf>,
    /// Namespace whose RuleExceptions count
    #[arg(long, default_value = CONFIG_NAMESPACE)]
    config_namespace: String,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut body = Vec::new();
    if args.file.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut body).context("cannot read standard input")?;
    } else {
        body = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    }
    let world = if args.manifests.is_empty() {
        World::default()
    } else {
        let mut files = Files::read(&args.manifests, "default");
        if super::report_errors(&files.errors) {
            return Ok(Exit::Unusable);
        }
        // The webhook goes on with what it could read of them, and so does this; but nobody looks into a status here.
        for slip in &files.house_unread {
            let _ = writeln!(std::io::stderr(), "warning: {}", one_line(&slip.to_string()));
        }
        for note in files.honour(&args.config_namespace) {
            let _ = writeln!(std::io::stderr(), "note: {}", one_line(&note));
        }
        files.world()
    };
    let (reply, outcome) = answer(world, &body)?;
    match reply {
        Reply::Review(bytes) => {
            out.write_all(&bytes)?;
            out.write_all(b"\n")?;
        }
        Reply::BadRequest(message) | Reply::Unavailable(message) => bail!(message),
    }
    Ok(match outcome {
        Outcome::Denied => Exit::Findings,
        Outcome::Malformed | Outcome::Unavailable => Exit::Unusable,
        Outcome::Allowed | Outcome::Warned | Outcome::Passed => Exit::Clean,
    })
}

/// Answers one review against a fixed world.
pub(super) fn answer(world: World, body: &[u8]) -> anyhow::Result<(Reply, Outcome)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let gate = Gate::new(std::sync::Arc::new(Fixed::new(world)));
    let outcome = std::sync::Mutex::new(Outcome::Malformed);
    let reply = runtime.block_on(gate.answer(body, Instant::now() + Duration::from_secs(10), |decided| {
        if let Ok(mut slot) = outcome.lock() {
            *slot = decided.outcome;
        }
    }));
    let outcome = outcome.into_inner().unwrap_or(Outcome::Malformed);
    Ok((reply, outcome))
}
