//! `portcullis matrix`: who may talk to whom, and what a change to the policies adds and takes away.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Exit;
use super::endpoint::{self, Endpoint};
use crate::reach::{Matrix, Options};
use crate::report::{Difference, Filter, Pick, Row, matrix};
use crate::snapshot::Snapshot;
use crate::source::files::Files;

/// Show which workloads may talk to which, and to which addresses outside.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}

Examples:
  portcullis matrix manifests/
  portcullis matrix manifests/ --to data/postgresql --port 5432/TCP
  portcullis matrix manifests/ -o json --dialect calico
  portcullis matrix new/ --against old/            what the change adds (+) and removes (-)
  portcullis matrix manifests/ --namespace shop -o dot | dot -Tsvg > shop.svg
  portcullis matrix new/ --against old/ -o html > picture.html      to look at, and to click for the reasons

A row holds what certainly passes; `depends` holds what passes only if something that the policies leave open turns out
so (`portcullis reach` says what). Rows on which nothing passes are left out, and so are workloads and themselves.
Exit code: 0 shown, 2 unreadable input.", endpoint::FORMS))]
pub struct Args {
    /// Files, folders, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// The state to compare with: files or folders
    #[arg(long, value_name = "PATH")]
    pub(super) against: Vec<PathBuf>,
    /// Only rows with an end in this namespace; also the namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<String>,
    /// Only rows from this end
    #[arg(long, value_name = "END")]
    pub(super) from: Option<String>,
    /// Only rows to this end
    #[arg(long, value_name = "END")]
    pub(super) to: Option<String>,
    /// Only these ports, such as 5432/TCP
    #[arg(long, value_name = "PORT/PROTOCOL")]
    pub(super) port: Option<String>,
    /// Also rows on which nothing passes
    #[arg(long)]
    all: bool,
    /// Add rows for pods to come: one without labels for each namespace, and one for each selector that matches no pod
    #[arg(long)]
    pub(super) representative: bool,
    /// How the CNI reads what Kubernetes leaves open: upstream, calico, cilium, antrea, ovn
    #[arg(long, value_name = "CNI")]
    pub(super) dialect: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Columns for people
    Table,
    /// Rows for machines; sorted, and the same bytes for the same input
    Json,
    /// For spreadsheets
    Csv,
    /// A graph for Graphviz
    Dot,
    /// One page to look at: a map, a matrix, and the reason of every cell
    Html,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let after = Files::read(&args.paths, args.namespace.as_deref().unwrap_or("default"));
    let before = Files::read(&args.against, args.namespace.as_deref().unwrap_or("default"));
    if super::report_errors(&after.errors) | super::report_errors(&before.errors) {
        return Ok(Exit::Unusable);
    }
    if args.output == Output::Html {
        return super::matrix_html::run(args, &after, &before, out);
    }
    let (rows, mut notes) = evaluate(args, &after, &before)?;
    let text = if args.against.is_empty() {
        let plain = || rows.iter().map(|row| ("", row)).collect::<Vec<_>>();
        match args.output {
            Output::Table => matrix::to_table(&plain()),
            Output::Json => matrix::to_json(&rows)?,
            Output::Csv => matrix::to_csv(&rows),
            Output::Dot | Output::Html => matrix::to_dot(&plain()),
        }
    } else {
        let (old, more) = evaluate(args, &before, &after)?;
        notes.extend(more);
        notes.sort();
        notes.dedup();
        let difference = Difference::between(&old, &rows);
        match args.output {
            Output::Table => difference.to_table(),
            Output::Json => difference.to_json()?,
            Output::Csv => difference.to_csv(),
            Output::Dot | Output::Html => matrix::to_dot(&difference.signed()),
        }
    };
    out.write_all(text.as_bytes())?;
    for note in notes {
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
    Ok(Exit::Clean)
}

/// The rows of one state. `other` is the state it is compared with: an end that only one of them has is no mistake.
fn evaluate(args: &Args, files: &Files, other: &Files) -> anyhow::Result<(Vec<Row>, Vec<String>)> {
    let world = files.world().snapshot;
    let filter = Filter {
        namespace: args.namespace.clone(),
        from: pick(args, args.from.as_deref(), &world, other)?,
        to: pick(args, args.to.as_deref(), &world, other)?,
        ports: args.port.as_deref().map(endpoint::ports).transpose()?,
        all: args.all,
    };
    let options = options(args, files, other)?;
    let evaluated = Matrix::of(&world, &options);
    let mut notes = evaluated.notes().to_vec();
    notes.extend(super::reach::unread(files));
    Ok((matrix::rows(&evaluated, &filter), notes))
}

/// An end that is asked for.
pub(super) fn pick(args: &Args, end: Option<&str>, world: &Snapshot, other: &Files) -> anyhow::Result<Option<Pick>> {
    let Some(text) = end else { return Ok(None) };
    let found = Endpoint::parse(text)?.pick(world);
    if found.is_err() && !args.against.is_empty() {
        return Endpoint::parse(text)?.pick(&other.world().snapshot).map(Some);
    }
    found.map(Some)
}

/// How both states are evaluated.
pub(super) fn options(args: &Args, files: &Files, other: &Files) -> anyhow::Result<Options> {
    let rules: Vec<_> = files.house.rules.iter().chain(&other.house.rules).cloned().collect();
    let readings = endpoint::readings(args.dialect.as_deref(), &rules)?;
    Ok(Options { readings, representatives: args.representative })
}
