//! Who may talk to whom: every workload and every address range that policies distinguish, in one evaluation.
//!
//! Pods that no policy can tell apart are one *kind*. For each distinct list of policies the other kinds are sorted into
//! cells that meet the same rules, and one decision is made for each cell. A cluster where nothing is alike still costs
//! one decision for each rule, not for each pair of pods.

mod kinds;
mod nodes;
mod partition;
mod reasons;
mod same;
mod witnesses;

use std::collections::HashMap;

use super::bounds::{Bounds, Readings, has_ports};
use crate::model::{IpSet, PortSet};
use crate::snapshot::Snapshot;
use kinds::Kinds;
pub use nodes::Node;
use partition::{Outcomes, Partition, Partitions};
pub use reasons::{Opened, Reasons};
pub use same::{Comparison, Differing, compare};

/// One end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<'a> {
    /// A node, by its index.
    Node(usize),
    /// Addresses outside the cluster.
    External(&'a IpSet),
}

/// Connections from one end to another.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    /// Where they start.
    pub src: End<'a>,
    /// Where they end.
    pub dst: End<'a>,
    /// A number that stands for these bounds; equal numbers are equal bounds.
    pub id: u32,
    /// What passes.
    pub bounds: &'a Bounds,
}

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The readings of the specification to consider.
    pub readings: Readings,
    /// Whether to add, for each namespace, pods that do not exist yet: one without labels, and one for each selector of
    /// a policy that matches no pod.
    pub representatives: bool,
}

/// The evaluated cluster.
#[derive(Debug)]
pub struct Matrix {
    nodes: Vec<Node>,
    notes: Vec<String>,
    partitions: Vec<Partition>,
    egress: Vec<usize>,
    ingress: Vec<usize>,
    /// For each kind as a source, the partitions in which it is not in the default cell.
    exceptions: Vec<Vec<(usize, u32)>>,
    host: Vec<bool>,
    outcomes: Outcomes,
}

impl Matrix {
    /// Evaluates a state.
    pub fn of(world: &Snapshot, options: &Options) -> Self {
        let invented = if options.representatives { nodes::representatives(world) } else { Vec::new() };
        let kinds = Kinds::of(world, &invented);
        let (nodes, notes) = nodes::name(&kinds);
        Self { nodes, notes, ..Self::over(&kinds, &options.readings) }
    }

    /// Evaluates kinds, without names for them.
    fn over(kinds: &Kinds<'_>, readings: &Readings) -> Self {
        let mut partitions = Partitions::new(kinds, readings);
        let (mut egress, mut ingress) = (Vec::new(), Vec::new());
        for kind in 0..kinds.len() {
            egress.push(partitions.egress(kind));
            ingress.push(partitions.ingress(kind));
        }
        let (partitions, outcomes) = partitions.finish();
        let mut exceptions = vec![Vec::new(); kinds.len()];
        for (p, partition) in partitions.iter().enumerate() {
            for &(kind, outcome) in &partition.exceptions {
                exceptions[kind as usize].push((p, outcome));
            }
        }
        let host = (0..kinds.len()).map(|kind| kinds.pod(kind).pod.host_network).collect();
        Self { nodes: Vec::new(), notes: Vec::new(), partitions, egress, ingress, exceptions, host, outcomes }
    }

    /// What a kind may send and where it may get in.
    fn row(&self, kind: usize, defaults: &[u32]) -> Row {
        let sends = &self.partitions[self.egress[kind]];
        let mut egress = vec![sends.default; self.host.len()];
        for &(other, outcome) in &sends.exceptions {
            egress[other as usize] = outcome;
        }
        let mut ingress = defaults.to_vec();
        for &(partition, outcome) in &self.exceptions[kind] {
            ingress[partition] = outcome;
        }
        Row { egress, ingress }
    }

    /// The outcome of every partition for kinds that are in its default cell.
    fn defaults(&self) -> Vec<u32> {
        self.partitions.iter().map(|p| p.default).collect()
    }

    /// Workloads, sorted by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What a reader must know about the nodes: owners whose pods are told apart, pods on the node's network.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Every edge on which something certainly or possibly passes, and with `empty` also those on which nothing does.
    /// Nodes come in their order; a node and itself are left out.
    pub fn edges(&self, empty: bool, keep: impl Fn(usize) -> bool, mut each: impl FnMut(Edge<'_>)) {
        let mut pairs = Pairs { matrix: self, known: HashMap::new(), bounds: Vec::new() };
        let defaults = self.defaults();
        let everything = Outcomes::FULL;
        let shut = self.outcomes.shut();
        let is_shut = |outcome: u32| shut.get(outcome as usize).copied().unwrap_or_default();
        for (i, src) in self.nodes.iter().enumerate() {
            let Row { egress, ingress } = self.row(src.kind, &defaults);
            for (j, dst) in self.nodes.iter().enumerate() {
                if i == j || !(keep(i) || keep(j)) {
                    continue;
                }
                let by_node = self.host[src.kind] || self.host[dst.kind];
                let (out, into) = (egress[dst.kind], ingress[self.ingress[dst.kind]]);
                // Most pairs of a segmented cluster: one side refuses whatever the other says.
                if !empty && !by_node && (is_shut(out) || is_shut(into)) {
                    continue;
                }
                let id = pairs.id(out, into, by_node);
                let bounds = &pairs.bounds[id as usize];
                if empty || has_ports(&bounds.possible) {
                    each(Edge { src: End::Node(i), dst: End::Node(j), id, bounds });
                }
            }
            if keep(i) {
                for (ranges, outcome) in &self.partitions[self.egress[src.kind]].addresses {
                    let id = pairs.id(*outcome, everything, false);
                    let bounds = &pairs.bounds[id as usize];
                    if empty || has_ports(&bounds.possible) {
                        each(Edge { src: End::Node(i), dst: End::External(ranges), id, bounds });
                    }
                }
                for (ranges, outcome) in &self.partitions[self.ingress[src.kind]].addresses {
                    let id = pairs.id(everything, *outcome, false);
                    let bounds = &pairs.bounds[id as usize];
                    if empty || has_ports(&bounds.possible) {
                        each(Edge { src: End::External(ranges), dst: End::Node(i), id, bounds });
                    }
                }
            }
        }
    }
}

/// Outcomes for one kind as a source: of its own side by kind, and of the other side by partition.
struct Row {
    egress: Vec<u32>,
    ingress: Vec<u32>,
}

/// Bounds of pairs of outcomes, each computed once.
struct Pairs<'a> {
    matrix: &'a Matrix,
    known: HashMap<(u32, u32, bool), u32>,
    bounds: Vec<Bounds>,
}

impl Pairs<'_> {
    fn id(&mut self, egress: u32, ingress: u32, by_node: bool) -> u32 {
        if let Some(id) = self.known.get(&(egress, ingress, by_node)) {
            return *id;
        }
        let bounds = combine(self.matrix.outcomes.get(egress), self.matrix.outcomes.get(ingress), by_node);
        let id = self.bounds.iter().position(|b| *b == bounds).unwrap_or_else(|| {
            self.bounds.push(bounds);
            self.bounds.len() - 1
        });
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        self.known.insert((egress, ingress, by_node), id);
        id
    }
}

/// Both sides of a flow, each under every reading. `by_node`: one end is on its node's network, and what comes from or
/// goes to a pod's own node always passes (semantics 2.1.17 and 2.1.18).
pub(super) fn combine(egress: &[Bounds], ingress: &[Bounds], by_node: bool) -> Bounds {
    let mut both = egress.iter().zip(ingress).map(|(e, i)| e.and(i));
    let first = both.next().unwrap_or_default();
    let mut bounds = both.fold(first, |all, reading| all.either(&reading));
    if by_node {
        bounds.possible = PortSet::full();
    }
    bounds
}
