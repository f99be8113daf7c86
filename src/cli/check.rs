//! `portcullis check`: manifests judged as the webhook would judge them, with the line of everything it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Exit;
use super::cluster::{Input, network, omitted};
use crate::model::house::Level;
use crate::model::{Change, ObjectRef};
use crate::report::printable::one_line;
use crate::report::{FileFinding, Place, Report};
use crate::review::{Scope, Standing, User, Verdict, World, review_written};
use crate::source::files::{CONFIG_NAMESPACE, Files, Located};

/// Judge manifests as the webhook would judge them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis check deploy/ policies/
  kustomize build overlays/prod | portcullis check -
  portcullis check new/ --against old/     only what the change makes worse is an error
  portcullis check -o github .             marks the lines in a pull request
  portcullis check -o sarif . > findings.sarif
  portcullis check new/ --against-cluster  the same for a cluster to which the files are applied
  portcullis check --cluster               everything that a cluster has
  portcullis check -o json . | jq '.findings[] | select(.level == \"enforce\")'

HouseRules and RuleExceptions among the manifests count as in a cluster. Exit code: 0 clean, 1 findings at enforce, 2 unreadable input.")]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// The state before the change: files or folders
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// The state before the change is a cluster, and the change is to apply the files there
    #[arg(long, conflicts_with_all = ["against", "cluster"])]
    against_cluster: bool,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Namespace whose RuleExceptions count
    #[arg(long, default_value = CONFIG_NAMESPACE)]
    config_namespace: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For machines; sorted, and the same bytes for the same input
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for CI systems
    Junit,
    /// Workflow commands that mark the lines in a pull request on GitHub
    Github,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let files = args.input.read(&args.namespace)?;
    let mut unreadable = super::report_errors(&files.errors);
    for slip in &files.house_unread {
        let _ = writeln!(std::io::stderr(), "error: {}", one_line(&slip.to_string()));
        unreadable = true;
    }
    let mut notes = omitted(&files);
    let read: BTreeSet<&str> = files.objects.iter().map(Located::file).collect();
    let read: Vec<String> = read.into_iter().map(str::to_owned).collect();
    let (mut after, mut before) = (files, None);
    if args.against_cluster {
        let cluster = args.input.settled(args.input.which().read()?);
        notes = omitted(&cluster);
        after = cluster.overlaid_with(&after);
        before = Some(cluster);
    } else if !args.against.is_empty() {
        let old = args.input.settled(Files::read(&args.against, &args.namespace));
        unreadable |= super::report_errors(&old.errors);
        before = Some(old);
    }
    notes.extend(after.honour(&args.config_namespace));
    let world = after.world();
    notes.extend(network(&after, &world.snapshot));
    let report = match &before {
        Some(before) => compare(before, &after, &world),
        None => judge(&after, &world),
    };
    match args.output {
        Output::Text => out.write_all(report.to_text(super::colour()).as_bytes())?,
        Output::Json => out.write_all(report.to_json()?.as_bytes())?,
        Output::Sarif => out.write_all(report.to_sarif()?.as_bytes())?,
        Output::Junit => out.write_all(report.to_junit(&read)?.as_bytes())?,
        Output::Github => out.write_all(report.to_github().as_bytes())?,
    }
    for note in notes {
        let _ = writeln!(std::io::stderr(), "note: {}", one_line(&note));
    }
    Ok(match (unreadable, report.summary.enforce) {
        (true, _) => Exit::Unusable,
        (false, 0) => Exit::Clean,
        (false, _) => Exit::Findings,
    })
}

fn judge(files: &Files, world: &World) -> Report {
    let (mut findings, standing) = (Vec::new(), Standing::new(world));
    for located in &files.objects {
        collect(&standing.judge(&located.object, located), located, &mut findings);
    }
    Report::new(findings, files.objects.len(), files.skipped)
}

/// Each object that differs is judged as the last of all changes to arrive.
fn compare(before: &Files, after: &Files, world: &World) -> Report {
    let old: BTreeMap<ObjectRef, &Located> = before.objects.iter().map(|l| (l.object.id(), l)).collect();
    let new: BTreeMap<ObjectRef, &Located> = after.objects.iter().map(|l| (l.object.id(), l)).collect();
    let mut findings = Vec::new();
    for (id, located) in &new {
        let was = old.get(id).map(|l| &l.object);
        if was != Some(&located.object) {
            let change = match was {
                Some(was) => Change::update(was.clone(), located.object.clone()),
                None => Change::create(located.object.clone()),
            };
            collect(&last(world, &change, located), located, &mut findings);
        }
    }
    for (id, located) in &old {
        if !new.contains_key(id) {
            collect(&last(world, &Change::delete(located.object.clone()), located), located, &mut findings);
        }
    }
    Report::new(findings, new.len(), after.skipped)
}

fn last(world: &World, change: &Change, located: &Located) -> Verdict {
    let mut snapshot = world.snapshot.clone();
    if let Some(object) = &change.after {
        snapshot.remove(object);
    }
    review_written(&snapshot, &world.house, change, &User::default(), located, Scope::default())
}

fn collect(verdict: &Verdict, located: &Located, findings: &mut Vec<FileFinding>) {
    for judged in verdict.findings.iter().filter(|j| j.level != Level::Off) {
        let position = located.locate(&judged.finding.path);
        let place = Place { file: located.file().to_owned(), line: position.line, column: position.column };
        findings.push(FileFinding::new(verdict, judged, place));
    }
}
