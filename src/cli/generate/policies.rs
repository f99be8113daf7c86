//! `portcullis generate policies`: the least policies for a matrix, in the kind that is wanted, written only when the engine
//! has proved that they yield exactly it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::super::Exit;
use super::super::cluster::{Input, omitted};
use super::super::endpoint;
use super::super::kinds::{Written, WrittenAs};
use crate::model::house::{Dialect, Settings};
use crate::model::{Object, ObjectRef, Policy, PortSet, Protocol, Str};
use crate::reach::{
    Focus, Matrix, Options, Readings, State, WantedEdge, WantedEnd, among_themselves, evaluate, tailor, wanted_by,
};
use crate::report::matrix::{connections, rows, to_table};
use crate::report::{Difference, Filter, Row, read_connections, read_end, read_rows};
use crate::rules;
use crate::snapshot::Snapshot;
use crate::source::files::Files;

/// The least policies that yield a matrix, proved to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis generate policies manifests/                        today's connections, in the least policies
  portcullis matrix manifests/ -o json > wanted.json             print, edit, and have it made true
  portcullis generate policies manifests/ --matrix wanted.json
  portcullis generate policies manifests/ --assertions wanted/    whatever keeps these assertions, and nothing else
  portcullis generate policies --cluster --namespace shop
  portcullis generate policies manifests/ --kind cilium           the same in another kind, proved likewise

For every namespace a default deny in both directions, a way to cluster DNS, and for every workload one policy with one
rule for each connection and side. They take the place of all NetworkPolicies that these namespaces have, and of those
of the kind that is written. Nothing is written unless the engine proves that they yield exactly the matrix, connections
to cluster DNS aside. A matrix says nothing about pods of one workload among themselves: add a row from a workload to
itself where they must talk. A ClusterNetworkPolicy cannot deny what comes from outside of the cluster.
Exit code: 0 written and proved, 2 refused, with the reason.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    input: Input,
    /// The matrix that is wanted, as `matrix -o json` prints it; without it today's
    #[arg(long, value_name = "FILE")]
    matrix: Option<PathBuf>,
    /// Assertions that are wanted, in these files or folders, in the place of a matrix
    #[arg(long, value_name = "PATH", conflicts_with = "matrix")]
    assertions: Vec<PathBuf>,
    /// Write policies for these namespaces only; the default is all that have workloads, but those of the system
    #[arg(short, long, value_name = "NAMESPACE", value_delimiter = ',')]
    namespace: Vec<String>,
    /// The kind of policy to write
    #[arg(long, value_enum, default_value_t = WrittenAs::Networkpolicy)]
    kind: WrittenAs,
    /// Leave out the way to cluster DNS, and prove the matrix without exception
    #[arg(long)]
    no_dns: bool,
    /// How the CNI reads what Kubernetes leaves open: upstream, calico, cilium, antrea, ovn
    #[arg(long, value_name = "CNI")]
    dialect: Option<String>,
}

/// Namespaces of the cluster's own; policies there are the business of who runs it.
const SYSTEM: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

pub(in crate::cli) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let files = args.input.read("default")?;
    if super::super::report_errors(&files.errors) {
        return Ok(Exit::Unusable);
    }
    let world = files.world().snapshot;
    // Only one network enforces these kinds, and so its reading counts.
    let enforcer = match args.kind {
        WrittenAs::Cilium => Some(Dialect::Cilium.as_str()),
        WrittenAs::Calico => Some(Dialect::Calico.as_str()),
        WrittenAs::Networkpolicy | WrittenAs::Clusternetworkpolicy => None,
    };
    let dialect = args.dialect.as_deref().or(enforcer);
    if enforcer.is_some() && dialect != enforcer {
        bail!("{} are not enforced by the CNI that --dialect names", args.kind.plural());
    }
    let readings = endpoint::readings(dialect, &files.house.rules, &world)?;
    let covered = covered(&world, &args.namespace)?;
    let dns = (!args.no_dns).then(Settings::default);
    let task = Task { world: &world, covered: &covered, dns: dns.as_ref(), readings: &readings, kind: args.kind };
    let (yaml, proved) = if args.assertions.is_empty() {
        let wanted = match &args.matrix {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                read_rows(&text).with_context(|| path.display().to_string())?
            }
            None => rows_of(&world, &readings),
        };
        task.for_matrix(wanted)?
    } else {
        let wanted = Files::read(&args.assertions, "default");
        if super::super::report_errors(&wanted.errors) {
            return Ok(Exit::Unusable);
        }
        task.for_assertions(&wanted)?
    };
    out.write_all(yaml.as_bytes())?;
    let mut notes = vec![proved];
    // ClusterNetworkPolicies that are there are for the whole cluster, and stay.
    let of_kind = if args.kind == WrittenAs::Cilium { " and CiliumNetworkPolicies" } else { "" };
    notes.push(format!(
        "they take the place of all NetworkPolicies{of_kind} in {}; pods of one workload reach each other only where a row says so",
        covered.iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
    ));
    notes.extend(omitted(&files));
    for note in notes {
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
    Ok(Exit::Clean)
}

/// Namespaces that get policies.
fn covered(world: &Snapshot, asked: &[String]) -> anyhow::Result<BTreeSet<Str>> {
    if let Some(unknown) = asked.iter().find(|name| world.namespace(name).is_none()) {
        bail!("there is no namespace {unknown}");
    }
    let with_pods = world.namespaces().filter(|n| !n.classes().is_empty());
    let all: BTreeSet<Str> = if asked.is_empty() {
        with_pods.map(|n| n.name().clone()).filter(|name| !SYSTEM.contains(&&**name)).collect()
    } else {
        asked.iter().map(|name| name.as_str().into()).collect()
    };
    if all.is_empty() {
        bail!("there are no workloads to write policies for");
    }
    Ok(all)
}

/// Policies for a state, to be made and proved.
struct Task<'a> {
    world: &'a Snapshot,
    covered: &'a BTreeSet<Str>,
    dns: Option<&'a Settings>,
    readings: &'a Readings,
    kind: WrittenAs,
}

impl Task<'_> {
    /// Policies that yield exactly this matrix, and the sentence that says so.
    fn for_matrix(&self, wanted: Vec<Row>) -> anyhow::Result<(String, String)> {
        let wanted = self.aside(wanted);
        let edges: Vec<WantedEdge> = wanted.iter().filter_map(edge).collect();
        let (yaml, count, next) = self.make(&edges)?;
        let yielded = self.aside(rows_of(&next, self.readings));
        let (own, among_others): (Vec<Row>, Vec<Row>) = wanted.into_iter().partition(|row| row.src == row.dst);
        for row in &own {
            let end = read_end(&row.src).with_context(|| format!("`{}` is no workload", row.src))?;
            let yielded = connections(&among_themselves(&next, &end, self.readings).certain);
            if yielded != *row.conn {
                bail!("pods of {} would reach each other on {yielded}, not on {}", row.src, row.conn);
            }
        }
        let difference = Difference::between(&among_others, &yielded);
        if !difference.is_empty() {
            bail!(
                "no {} of this form yield the matrix. With those that come nearest, this is there (+) or lacking (-):\n{}",
                self.kind.plural(),
                to_table(&difference.signed())
            );
        }
        let proved = format!(
            "proved: with these {count} policies the matrix has exactly the {} rows that are wanted{}",
            yielded.len() + own.len(),
            match (self.dns.is_some(), self.kind) {
                (true, WrittenAs::Clusternetworkpolicy) => {
                    ", connections to cluster DNS aside and those from outside of the cluster, which this kind cannot deny"
                }
                (false, WrittenAs::Clusternetworkpolicy) => {
                    ", connections from outside of the cluster aside, which this kind cannot deny"
                }
                (true, _) => ", connections to cluster DNS aside",
                (false, _) => "",
            }
        );
        Ok((yaml, proved))
    }

    /// Policies that allow what the assertions want and nothing else, under which all of them hold.
    fn for_assertions(&self, wanted: &Files) -> anyhow::Result<(String, String)> {
        let mut claims = Vec::new();
        for located in &wanted.objects {
            let Object::Assertion(assertion) = &located.object else { continue };
            let Some(claim) = &assertion.claim else {
                let what: Vec<String> = assertion.unread.iter().map(|u| format!("{} {}", u.at, u.what)).collect();
                bail!("{}: {} cannot be read: {}", located.file(), assertion.id, what.join("; "));
            };
            claims.push((&assertion.id, claim));
        }
        if claims.is_empty() {
            bail!("there are no assertions in these files");
        }
        let edges = wanted_by(self.world, claims.iter().map(|(_, claim)| *claim));
        let (yaml, count, next) = self.make(&edges)?;
        let fails = |claim| match evaluate(&next, claim, self.readings, &Focus::Everything).map(|o| o.state) {
            Some(State::Broken(_)) => Some("would be broken"),
            Some(State::Depends(_)) => Some("would hang on what the policies leave open"),
            Some(State::Holds | State::Vacuous) | None => None,
        };
        let failing: Vec<String> =
            claims.iter().filter_map(|(id, claim)| fails(claim).map(|why| format!("{id} {why} ({claim})"))).collect();
        if !failing.is_empty() {
            bail!("no {} of this form keep all of the assertions:\n  {}", self.kind.plural(), failing.join("\n  "));
        }
        let proved = format!("proved: with these {count} policies all {} assertions hold", claims.len());
        Ok((yaml, proved))
    }

    /// The policies as they are written, and the state with them in the place of others: what is proved is what will be
    /// read, not what was meant.
    fn make(&self, edges: &[WantedEdge]) -> anyhow::Result<(String, usize, Snapshot)> {
        let mut policies: Vec<Policy> = Vec::new();
        for namespace in self.covered {
            let baseline = rules::baseline(namespace, &self.dns.cloned().unwrap_or_default());
            policies.extend(baseline.into_iter().filter(|policy| self.dns.is_some() || policy.egress.is_empty()));
        }
        policies.extend(tailor(self.world, edges, |namespace| self.covered.contains(namespace))?);
        policies.sort_by(|a, b| (a.id.namespace(), &a.id.name).cmp(&(b.id.namespace(), &b.id.name)));
        let written = Written::policies(&policies, self.kind)?;
        let mut next = without_policies(self.world, self.covered, self.kind);
        for object in &written.objects {
            if next.policy(&object.id()).is_some() {
                bail!("{} is there already, and would be overwritten: give it another name first", object.id());
            }
            next.insert(object);
        }
        Ok((written.yaml, written.objects.len(), next))
    }

    /// The rows that policies of these namespaces decide, without connections to cluster DNS where those are set aside.
    fn aside(&self, mut all: Vec<Row>) -> Vec<Row> {
        let inside = |text: &str| matches!(read_end(text), Some(WantedEnd::Pods { namespace, .. }) if self.covered.contains(&namespace));
        let from_outside = |text: &str| matches!(read_end(text), Some(WantedEnd::Addresses(_)));
        let unsayable = |row: &Row| self.kind == WrittenAs::Clusternetworkpolicy && from_outside(&row.src);
        all.retain(|row| (inside(&row.src) || inside(&row.dst)) && !unsayable(row));
        for row in &mut all {
            row.entry = None;
            if let Some(settings) = self.dns
                && is_dns(self.world, &row.dst, settings)
                && inside(&row.src)
            {
                let ports = PortSet::port(Protocol::Udp, 53).union(&PortSet::port(Protocol::Tcp, 53));
                let less = |text: &str| read_connections(text).map(|set| connections(&set.difference(&ports)).into());
                row.conn = less(&row.conn).unwrap_or_else(|| row.conn.clone());
                row.depends = row.depends.as_deref().and_then(less).filter(|text| **text != *"No Connections");
            }
        }
        all.retain(|row| &*row.conn != "No Connections" || row.depends.is_some());
        all.sort();
        all.dedup();
        all
    }
}

fn rows_of(world: &Snapshot, readings: &Readings) -> Vec<Row> {
    let options = Options { readings: readings.clone(), representatives: false };
    rows(&Matrix::of(world, &options), &Filter::default())
}

/// Whether the end is pods of cluster DNS.
fn is_dns(world: &Snapshot, end: &str, settings: &Settings) -> bool {
    let Some(WantedEnd::Pods { namespace, owner, .. }) = read_end(end) else { return false };
    let state = world.namespace_or_empty(&namespace);
    let mut own = state.classes().iter().filter(|class| *class.owner() == owner);
    *namespace == *settings.dns.namespace
        && own.any(|class| settings.dns.labels.iter().all(|(key, value)| class.pod().labels.get(key) == Some(value)))
}

fn edge(row: &Row) -> Option<WantedEdge> {
    let ports = read_connections(&row.conn).filter(|ports| !ports.is_empty())?;
    Some(WantedEdge { from: read_end(&row.src)?, to: read_end(&row.dst)?, ports })
}

/// The state without the policies of these namespaces that the written ones take the place of.
fn without_policies(world: &Snapshot, covered: &BTreeSet<Str>, kind: WrittenAs) -> Snapshot {
    let mut next = world.clone();
    for namespace in covered {
        let state = world.namespace_or_empty(namespace);
        let replaced = |id: &ObjectRef| id.kind == "NetworkPolicy" || id.kind == kind.kind().kind();
        for policy in state.policies().filter(|policy| replaced(&policy.id)) {
            next.remove(&Object::Policy((**policy).clone()));
        }
    }
    next
}
