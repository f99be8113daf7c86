//! The command line: one subcommand per job, all on the same engine. Exit codes: 0 clean, 1 findings at enforce, 2 unreadable input or usage.

mod check;
mod cluster;
mod convert;
mod demo;
mod endpoint;
mod generate;
mod kinds;
mod live;
mod matrix;
mod matrix_html;
mod ports;
mod probe;
mod reach;
mod review;
mod rules;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::report::printable::lines;
use clap::{CommandFactory, Parser, Subcommand};

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing that the house rules forbid.
    Clean,
    /// Something that they forbid.
    Findings,
    /// Input that could not be read, or words that make no sense.
    Unusable,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Clean => 0,
            Exit::Findings => 1,
            Exit::Unusable => 2,
        })
    }
}

/// Keeps every workload of a Kubernetes cluster micro-segmented, and says why it refuses.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Examples:
  portcullis demo                                  see what it does, without a cluster
  portcullis check manifests/                      judge files as the webhook would
  helm template shop ./chart | portcullis check -  judge what Helm would install
  portcullis matrix manifests/                     who may talk to whom
  portcullis matrix --cluster --context staging    the same for a cluster
  portcullis rules open-cidr                       read about a rule
  portcullis generate baseline shop | kubectl apply -f -
  portcullis convert policies/ --to cilium         the same policies in another kind")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer admission reviews, in a cluster or from a folder of manifests
    Serve(Box<serve::Args>),
    /// Judge manifests as the webhook would judge them
    Check(check::Args),
    /// Say whether traffic passes from one end to another, and which rules decide
    Reach(reach::Args),
    /// Show which workloads may talk to which
    Matrix(matrix::Args),
    /// Answer one AdmissionReview from a file or standard input
    Review(review::Args),
    /// List the house rules, or explain one
    Rules(rules::Args),
    /// Write policies
    #[command(subcommand)]
    Generate(generate::Command),
    /// Translate policies between kinds, proved to mean the same or with every point at which they cannot
    Convert(convert::Args),
    /// Print the CustomResourceDefinitions
    Crds,
    /// Show what Portcullis does, without a cluster
    Demo(demo::Args),
    /// Ask a running webhook for an answer, to see that it works
    Probe(probe::Args),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is a usage error.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match dispatch(cli.command) {
        Ok(exit) => exit.into(),
        // A closed pipe (`| head`) is the reader's choice and not a failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", lines(&format!("{error:#}")));
            Exit::Unusable.into()
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    match command {
        Command::Serve(args) => {
            drop(out);
            serve::run(&args)
        }
        Command::Check(args) => check::run(&args, &mut out),
        Command::Reach(args) => reach::run(&args, &mut out),
        Command::Matrix(args) => matrix::run(&args, &mut out),
        Command::Review(args) => review::run(&args, &mut out),
        Command::Rules(args) => rules::run(&args, &mut out),
        Command::Generate(command) => generate::run(&command, &mut out),
        Command::Convert(args) => convert::run(&args, &mut out),
        Command::Crds => {
            out.write_all(crate::api::crds_yaml()?.as_bytes())?;
            Ok(Exit::Clean)
        }
        Command::Demo(args) => demo::run(&args, &mut out),
        Command::Probe(args) => probe::run(&args, &mut out),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut out);
            Ok(Exit::Clean)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// Whether standard output takes colours.
fn colour() -> bool {
    use std::io::IsTerminal;
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Prints what could not be read; true if there was anything.
fn report_errors(errors: &[crate::source::manifests::ManifestError]) -> bool {
    for error in errors {
        let _ = writeln!(io::stderr(), "error: {}", lines(&error.to_string()));
    }
    !errors.is_empty()
}
