//! `portcullis matrix`: who may talk to whom, and what a change to the policies adds and takes away.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Exit;
use super::cluster::{Input, network, omitted};
use super::endpoint::{self, Endpoint};
use crate::reach::{Matrix, Options, entries};
use crate::report::printable::one_line;
use crate::report::{Difference, Filter, Pick, Row, add_entries, matrix};
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
  portcullis matrix --cluster --namespace shop     the same for a live cluster
  portcullis matrix new/ --against-cluster         what applying new/ would add and remove there
  portcullis matrix manifests/ --namespace shop -o dot | dot -Tsvg > shop.svg
  portcullis matrix new/ --against old/ -o html > picture.html      to look at, and to click for the reasons

A row holds what certainly passes; `depends` holds what passes only if something that the policies leave open turns out
so (`portcullis reach` says what). Rows on which nothing passes are left out, and so are workloads and themselves.
Where Ingresses or HTTPRoutes expose a workload, the row from their controller names them, also where it is refused. A
controller that is not known is `{{ingress-controller}}`: any pod of any other namespace.
Exit code: 0 shown, 2 unreadable input.", endpoint::FORMS))]
pub struct Args {
    #[command(flatten)]
    pub(super) input: Input,
    /// The state to compare with: files or folders
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Compare with a cluster: what it would be like with the files applied, and what that changes
    #[arg(long, conflicts_with_all = ["against", "cluster"])]
    against_cluster: bool,
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
    /// The pods that take in what Ingresses and HTTPRoutes expose; without it they are found by their class
    #[arg(long, value_name = "NAMESPACE/NAME or NAMESPACE/key=value")]
    pub(super) ingress_controller: Option<String>,
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

impl Args {
    pub(super) const fn is_compared(&self) -> bool {
        self.against_cluster || !self.against.is_empty()
    }
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let namespace = args.namespace.as_deref().unwrap_or("default");
    let mut after = args.input.read(namespace)?;
    let mut before = args.input.settled(Files::read(&args.against, namespace));
    if super::report_errors(&after.errors) | super::report_errors(&before.errors) {
        return Ok(Exit::Unusable);
    }
    if args.against_cluster {
        before = args.input.settled(args.input.which().read()?);
        after = before.overlaid_with(&after);
    }
    let compared = args.is_compared();
    if args.output == Output::Html {
        return super::matrix_html::run(args, &after, &before, out);
    }
    let (rows, mut notes) = evaluate(args, &after, &before)?;
    let text = if compared {
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
    } else {
        let plain = || rows.iter().map(|row| ("", row)).collect::<Vec<_>>();
        match args.output {
            Output::Table => matrix::to_table(&plain()),
            Output::Json => matrix::to_json(&rows)?,
            Output::Csv => matrix::to_csv(&rows),
            Output::Dot | Output::Html => matrix::to_dot(&plain()),
        }
    };
    out.write_all(text.as_bytes())?;
    for note in notes {
        let _ = writeln!(std::io::stderr(), "note: {}", one_line(&note));
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
        ports: args.port.as_deref().map(super::ports::ports).transpose()?,
        all: args.all,
    };
    let options = options(args, files, other, &world)?;
    let evaluated = Matrix::of(&world, &options);
    let mut notes = evaluated.notes().to_vec();
    notes.extend(super::reach::unread(files));
    notes.extend(omitted(files));
    notes.extend(network(files, &world));
    let mut rows = matrix::rows(&evaluated, &filter);
    let keepers = args.ingress_controller.as_deref().map(|text| endpoint::doorkeepers(text, &world)).transpose()?;
    let (entries, more) = entries(&world, &files.entrances, keepers.as_deref(), &options.readings);
    add_entries(&mut rows, &entries, evaluated.nodes(), &filter);
    notes.extend(more);
    Ok((rows, notes))
}

/// An end that is asked for.
pub(super) fn pick(args: &Args, end: Option<&str>, world: &Snapshot, other: &Files) -> anyhow::Result<Option<Pick>> {
    let Some(text) = end else { return Ok(None) };
    let found = Endpoint::parse(text)?.pick(world);
    if found.is_err() && args.is_compared() {
        return Endpoint::parse(text)?.pick(&other.world().snapshot).map(Some);
    }
    found.map(Some)
}

/// How both states are evaluated.
pub(super) fn options(args: &Args, files: &Files, other: &Files, world: &Snapshot) -> anyhow::Result<Options> {
    let rules: Vec<_> = files.house.rules.iter().chain(&other.house.rules).cloned().collect();
    let readings = endpoint::readings(args.dialect.as_deref(), &rules, world)?;
    Ok(Options { readings, representatives: args.representative })
}
