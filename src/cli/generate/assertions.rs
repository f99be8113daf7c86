//! `portcullis generate assertions`: what a namespace may and may not do today, as objects that the cluster then keeps true.

mod claims;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::bail;

use super::super::Exit;
use super::super::cluster::{Input, omitted};
use super::super::endpoint;
use crate::model::{IpSet, PortSet, Str};
use crate::reach::{Bounds, End, Matrix, Node, Options, Readings, blocks, has_ports};
use crate::snapshot::Snapshot;
use crate::translate::render;
use claims::{Side, Writer};

/// Today's connectivity of namespaces, as ConnectivityAssertions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis generate assertions manifests/ --namespace shop > assertions.yaml
  portcullis generate assertions --cluster --namespace shop,payments | kubectl apply -f -

Allow for what passes, Deny for the rest: pair by pair inside a namespace and with workloads of others that it talks to,
and as a whole for all other namespaces, those to come included. What hangs on something that the policies leave open is
not stated, and that is said. Every assertion that is written has been evaluated and holds. The same input gives the same
bytes. Exit code: 0 written, 2 unreadable input.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    input: Input,
    /// Namespaces to write assertions for
    #[arg(short, long, value_name = "NAMESPACE", value_delimiter = ',', required = true)]
    namespace: Vec<String>,
    /// How the CNI reads what Kubernetes leaves open: upstream, calico, cilium, antrea, ovn
    #[arg(long, value_name = "CNI")]
    dialect: Option<String>,
}

pub(in crate::cli) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let files = args.input.read("default")?;
    if super::super::report_errors(&files.errors) {
        return Ok(Exit::Unusable);
    }
    let world = files.world().snapshot;
    let readings = endpoint::readings(args.dialect.as_deref(), &files.house.rules, &world)?;
    let mut documents = Vec::new();
    let mut notes = omitted(&files);
    let wanted: BTreeSet<&str> = args.namespace.iter().map(String::as_str).collect();
    for namespace in wanted {
        if world.namespace(namespace).is_none_or(|n| n.classes().is_empty()) {
            bail!("there are no workloads in namespace {namespace}");
        }
        let mut writer = Writer::new(&world, &readings, namespace);
        state(&mut writer, &world, &readings, namespace);
        notes.extend(writer.notes());
        documents.extend(writer.finish().iter().map(render::to_yaml));
    }
    out.write_all(documents.join("---\n").as_bytes())?;
    for note in notes {
        let _ = writeln!(std::io::stderr(), "note: {note}");
    }
    Ok(Exit::Clean)
}

/// Both directions between a workload and everybody else.
type Towards = BTreeMap<usize, Bounds>;

/// Everything that is so of one namespace.
fn state(writer: &mut Writer<'_>, world: &Snapshot, readings: &Readings, namespace: &str) {
    let matrix = Matrix::of(world, &Options { readings: readings.clone(), representatives: false });
    let nodes = matrix.nodes();
    let own = |i: usize| nodes.get(i).is_some_and(|node| *node.namespace == *namespace);
    let mut pods: BTreeMap<(usize, Side), Towards> = BTreeMap::new();
    let mut outside: BTreeMap<(usize, Side), Vec<(IpSet, Bounds)>> = BTreeMap::new();
    matrix.edges(true, own, |edge| {
        let bounds = || edge.bounds.clone();
        match (edge.src, edge.dst) {
            (End::Node(a), End::Node(b)) => {
                if own(a) {
                    pods.entry((a, Side::From)).or_default().insert(b, bounds());
                }
                if own(b) {
                    pods.entry((b, Side::To)).or_default().insert(a, bounds());
                }
            }
            (End::Node(a), End::External(set)) => {
                outside.entry((a, Side::From)).or_default().push((set.clone(), bounds()))
            }
            (End::External(set), End::Node(b)) => {
                outside.entry((b, Side::To)).or_default().push((set.clone(), bounds()))
            }
            (End::External(_), End::External(_)) => {}
        }
    });
    for (i, node) in nodes.iter().enumerate().filter(|(i, _)| own(*i)) {
        if !node.variant.is_empty() {
            writer.note(format!(
                "{} is left out: an assertion names a workload as a whole, and policies tell its pods apart",
                node.name
            ));
            continue;
        }
        for side in [Side::From, Side::To] {
            if let Some(towards) = pods.get(&(i, side)) {
                with_pods(writer, nodes, (i, node, side), towards);
            }
            for (set, bounds) in together(outside.remove(&(i, side)).unwrap_or_default()) {
                with_addresses(writer, (node, side), &set, &bounds);
            }
        }
    }
}

/// Ranges that get the same answer as one set.
fn together(pieces: Vec<(IpSet, Bounds)>) -> Vec<(IpSet, Bounds)> {
    let mut all: Vec<(IpSet, Bounds)> = Vec::new();
    for (set, bounds) in pieces {
        match all.iter_mut().find(|(_, known)| *known == bounds) {
            Some((known, _)) => *known = known.union(&set),
            None => all.push((set, bounds)),
        }
    }
    all
}

/// Inside the namespace every pair, once; towards others by namespace where that says it all.
fn with_pods(writer: &mut Writer<'_>, nodes: &[Node], (i, node, side): (usize, &Node, Side), towards: &Towards) {
    let mut foreign: BTreeMap<&Str, Vec<(&Node, &Bounds)>> = BTreeMap::new();
    for (j, bounds) in towards {
        let Some(other) = nodes.get(*j).filter(|_| *j != i) else { continue };
        if other.namespace != node.namespace {
            foreign.entry(&other.namespace).or_default().push((other, bounds));
        } else if side == Side::From {
            pair(writer, node, side, other, bounds);
        }
    }
    let shut = |all: &[(&Node, &Bounds)]| all.iter().all(|(_, bounds)| !has_ports(&bounds.possible));
    let open: Vec<&Str> = foreign.iter().filter(|(_, all)| !shut(all)).map(|(name, _)| *name).collect();
    let all_others_shut = writer.deny_others(node, side, &open);
    for (namespace, all) in &foreign {
        if shut(all) && (all_others_shut || writer.of_namespace(node, side, namespace, false)) {
            continue;
        }
        let full = all.iter().all(|(_, bounds)| bounds.certain.is_full());
        if full && writer.of_namespace(node, side, namespace, true) {
            continue;
        }
        for (other, bounds) in all {
            pair(writer, node, side, other, bounds);
        }
    }
}

fn pair(writer: &mut Writer<'_>, node: &Node, side: Side, other: &Node, bounds: &Bounds) {
    if !other.variant.is_empty() {
        writer.note(format!(
            "{} is left out: an assertion names a workload as a whole, and policies tell its pods apart",
            other.name
        ));
        return;
    }
    writer.bounded(node, side, &writer.workload(other), bounds);
}

fn with_addresses(writer: &mut Writer<'_>, (node, side): (&Node, Side), set: &IpSet, bounds: &Bounds) {
    if set.is_full() {
        writer.bounded(node, side, &Writer::world(), bounds);
        return;
    }
    for (cidr, except) in blocks(set) {
        writer.bounded(node, side, &Writer::block(&cidr, &except), bounds);
    }
}

/// Everything that is not in the set, of the protocols that have ports.
fn rest(set: &PortSet) -> PortSet {
    PortSet::full().difference(set)
}
