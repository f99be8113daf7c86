//! The matrix with the reasons of every cell: not one text for each pair, but what each list of policies says to each
//! cell of others, so that the answer for any pair is put together from two sides.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::answer::{Governed, Point, SideAnswer};
use super::super::atoms;
use super::super::bounds::{Bounds, Readings, Verdict};
use super::super::decide::Endpoint;
use super::super::explain::{points_between, side_towards};
use super::super::remedy::{OpenEnd, Remedy, lacking, remedy};
use super::kinds::Kinds;
use super::nodes::{self, Node};
use super::partition::{Partitions, uses_names};
use super::{Options, combine};
use crate::model::{Action, Direction, IpSet, NamedPort, Policy, PortSet};
use crate::snapshot::{Owner, Snapshot};

/// What one list of policies says to everyone else, as numbers of sides.
#[derive(Debug)]
struct List {
    /// For each kind.
    kinds: Vec<u32>,
    /// All addresses, in pieces with one answer each.
    addresses: Vec<(IpSet, u32)>,
}

/// The answer of one side.
#[derive(Debug)]
struct Side {
    answer: SideAnswer,
    direction: Direction,
    outcome: u32,
}

/// A refused flow and what would open it.
#[derive(Debug)]
pub struct Opened {
    /// The source, by its index.
    pub src: usize,
    /// The destination, by its index.
    pub dst: usize,
    /// The ports that would be opened.
    pub ports: PortSet,
    /// The policies, proved to open it.
    pub remedy: Remedy,
}

/// The evaluated cluster with its reasons.
#[derive(Debug)]
pub struct Reasons {
    nodes: Vec<Node>,
    notes: Vec<String>,
    lists: Vec<List>,
    egress: Vec<usize>,
    ingress: Vec<usize>,
    sides: Vec<Side>,
    outcomes: Vec<Vec<Bounds>>,
    opened: Vec<Opened>,
}

impl Reasons {
    /// Evaluates a state. For up to `remedies` refused flows between pods it also looks for what would open them:
    /// first for those that one side admits already, then for those within a namespace.
    pub fn of(world: &Snapshot, options: &Options, remedies: usize) -> Self {
        let invented = if options.representatives { nodes::representatives(world) } else { Vec::new() };
        let kinds = Kinds::of(world, &invented);
        let (nodes, notes) = nodes::name(&kinds);
        let mut maker = Maker::new(world, &kinds, &options.readings);
        let (mut egress, mut ingress) = (Vec::new(), Vec::new());
        for kind in 0..kinds.len() {
            egress.push(maker.list(kind, Direction::Egress));
            ingress.push(maker.list(kind, Direction::Ingress));
        }
        let Maker { lists, sides, outcomes, .. } = maker;
        let (sides, outcomes) = (sides.list, outcomes.list);
        let mut reasons = Self { nodes, notes, lists, egress, ingress, sides, outcomes, opened: Vec::new() };
        reasons.opened = reasons.open(world, &kinds, &options.readings, remedies);
        reasons
    }

    /// Workloads, sorted by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What a reader must know about the nodes.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Answers of sides, each distinct one once, with the number of what they come to: sides with different reasons may
    /// share one. The first is that of addresses, where no policy has a say.
    pub fn sides(&self) -> impl ExactSizeIterator<Item = (&SideAnswer, Direction, u32)> {
        self.sides.iter().map(|side| (&side.answer, side.direction, side.outcome))
    }

    /// For every list of policies its number of a side for each kind, see [`Node::kind`].
    pub fn lists(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.lists.iter().map(|list| list.kinds.as_slice())
    }

    /// All addresses in the pieces in which this list tells them apart, with the numbers of their sides.
    pub fn addresses(&self, list: usize) -> &[(IpSet, u32)] {
        self.lists.get(list).map_or(&[], |list| &list.addresses)
    }

    /// The list that decides on this side of a node.
    pub fn list(&self, node: &Node, direction: Direction) -> usize {
        let lists = if direction == Direction::Egress { &self.egress } else { &self.ingress };
        lists.get(node.kind).copied().unwrap_or_default()
    }

    /// The number of the outcome that a side comes to.
    pub fn outcome(&self, side: u32) -> u32 {
        self.sides.get(side as usize).map_or(0, |side| side.outcome)
    }

    /// The sides of a flow between two nodes, and whether one of them is on its node's network.
    pub fn pair(&self, src: &Node, dst: &Node) -> (u32, u32, bool) {
        let side = |of: &Node, to: &Node, direction| {
            self.lists.get(self.list(of, direction)).and_then(|list| list.kinds.get(to.kind)).copied().unwrap_or(0)
        };
        let by_node = src.host_network || dst.host_network;
        (side(src, dst, Direction::Egress), side(dst, src, Direction::Ingress), by_node)
    }

    /// What passes two outcomes between pods, and what that hangs on.
    pub fn meet(&self, world: &Snapshot, options: &Options, pair: (u32, u32, bool)) -> (Bounds, Vec<Point>) {
        let (egress, ingress) = (self.bounds(pair.0), self.bounds(pair.1));
        let points = points_between(world, egress, ingress, pair.2, &options.readings);
        (combine(egress, ingress, pair.2), points)
    }

    /// What passes between a pod and addresses, and what that hangs on.
    pub fn outside(&self, outcome: u32) -> (Bounds, Vec<Point>) {
        let bounds = combine(self.bounds(outcome), self.bounds(0), false);
        let points = if bounds.doubtful().is_empty() { Vec::new() } else { vec![Point::RuntimePeer] };
        (bounds, points)
    }

    /// Refused flows with what would open them.
    pub fn opened(&self) -> &[Opened] {
        &self.opened
    }

    fn bounds(&self, outcome: u32) -> &[Bounds] {
        self.outcomes.get(outcome as usize).map_or(&[], Vec::as_slice)
    }

    fn open(&self, world: &Snapshot, kinds: &Kinds<'_>, readings: &Readings, most: usize) -> Vec<Opened> {
        let mut wanted: Vec<(u8, usize, usize)> = Vec::new();
        for (i, src) in self.nodes.iter().enumerate() {
            for (j, dst) in self.nodes.iter().enumerate() {
                let (out, into, by_node) = self.pair(src, dst);
                let shut =
                    |side: u32| self.sides.get(side as usize).is_some_and(|side| side.answer.verdict == Verdict::Deny);
                if i == j || by_node || !(shut(out) || shut(into)) {
                    continue;
                }
                let rank = match (shut(out) && shut(into), src.namespace == dst.namespace) {
                    (false, _) => 0,
                    (true, true) => 1,
                    (true, false) => 2,
                };
                wanted.push((rank, i, j));
            }
        }
        wanted.sort_unstable();
        wanted.truncate(most);
        wanted.sort_unstable_by_key(|(_, i, j)| (*i, *j));
        let found = wanted.into_iter().filter_map(|(_, i, j)| {
            let (src, dst) = (self.nodes.get(i)?, self.nodes.get(j)?);
            let (out, into, _) = self.pair(src, dst);
            let (out, into) = (self.sides.get(out as usize)?, self.sides.get(into as usize)?);
            let pod = kinds.pod(dst.kind);
            let ports = lacking(&out.answer.bounds, &into.answer.bounds, Some(pod.pod));
            let end = |node: &Node| -> (_, Owner) { (kinds.pod(node.kind), node.owner.clone()) };
            let (from, to) = (end(src), end(dst));
            let (from, to) = (OpenEnd::Pod(from.0, &from.1), OpenEnd::Pod(to.0, &to.1));
            Some(Opened { src: i, dst: j, remedy: remedy(world, from, to, &ports, readings)?, ports })
        });
        found.collect()
    }
}

/// What tells reasons apart.
#[derive(PartialEq, Eq, Hash)]
struct Reason {
    direction: Direction,
    outcome: u32,
    governed: u8,
    steps: Vec<(usize, Option<usize>, Action, PortSet, bool)>,
}

#[derive(Default)]
struct Outcomes {
    list: Vec<Vec<Bounds>>,
    known: HashMap<Vec<Bounds>, u32>,
}

impl Outcomes {
    fn number(&mut self, outcome: Vec<Bounds>) -> u32 {
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let list = &mut self.list;
        *self.known.entry(outcome).or_insert_with_key(|outcome| {
            list.push(outcome.clone());
            next
        })
    }
}

#[derive(Default)]
struct Sides {
    list: Vec<Side>,
    known: HashMap<Reason, u32>,
}

impl Sides {
    fn number(&mut self, answer: SideAnswer, direction: Direction, outcome: u32) -> u32 {
        let steps = answer.decided_by.iter();
        let reason = Reason {
            direction,
            outcome,
            governed: match answer.governed {
                Governed::Policies => 0,
                Governed::NotIsolated => 1,
                Governed::HostNetwork => 2,
                Governed::Outside => 3,
            },
            steps: steps
                .map(|s| (Arc::as_ptr(&s.policy) as usize, s.rule, s.action, s.ports.clone(), s.certain))
                .collect(),
        };
        let next = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        let list = &mut self.list;
        *self.known.entry(reason).or_insert_with(|| {
            list.push(Side { answer, direction, outcome });
            next
        })
    }
}

/// What makes two kinds have the same list: direction, policies, ports that names are resolved by, and whether policies
/// apply at all.
type Key<'a> = (Direction, usize, &'a [NamedPort], bool);

struct Maker<'k, 'a> {
    world: &'k Snapshot,
    kinds: &'k Kinds<'a>,
    readings: &'k Readings,
    partitions: Partitions<'k, 'a>,
    known: HashMap<Key<'a>, usize>,
    lists: Vec<List>,
    sides: Sides,
    outcomes: Outcomes,
}

impl<'k, 'a> Maker<'k, 'a> {
    fn new(world: &'k Snapshot, kinds: &'k Kinds<'a>, readings: &'k Readings) -> Self {
        let (mut sides, mut outcomes) = (Sides::default(), Outcomes::default());
        let full = outcomes.number(vec![Bounds::full(); readings.dialects().len()]);
        let outside = SideAnswer {
            verdict: Verdict::Allow,
            bounds: Bounds::full(),
            governed: Governed::Outside,
            decided_by: Vec::new(),
            isolated_by: Vec::new(),
        };
        sides.number(outside, Direction::Egress, full);
        let partitions = Partitions::new(kinds, readings);
        Self { world, kinds, readings, partitions, known: HashMap::new(), lists: Vec::new(), sides, outcomes }
    }

    fn list(&mut self, kind: usize, direction: Direction) -> usize {
        let policies: &[&'a Arc<Policy>] = &self.kinds.lists[self.kinds.list(kind, direction)];
        let subject = self.kinds.pod(kind);
        let named = direction == Direction::Ingress && uses_names(policies, direction);
        let ports: &'a [NamedPort] = if named { &subject.pod.ports } else { &[] };
        let key = (direction, self.kinds.list(kind, direction), ports, subject.pod.host_network);
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let (cells, firsts) = self.partitions.cells(direction, policies);
        let said: Vec<u32> =
            firsts.iter().map(|&first| self.side(kind, direction, self.kinds.pod(first).endpoint())).collect();
        let kinds = cells.iter().map(|cell| said.get(*cell as usize).copied().unwrap_or_default()).collect();
        let mut addresses: Vec<(IpSet, u32)> = Vec::new();
        for piece in atoms::cut(&IpSet::full(), policies, direction) {
            let Some(one) = atoms::representative(&piece) else { continue };
            let side = self.side(kind, direction, Endpoint::Addresses(&IpSet::single(one)));
            addresses.push((piece, side));
        }
        self.lists.push(List { kinds, addresses });
        self.known.insert(key, self.lists.len() - 1);
        self.lists.len() - 1
    }

    fn side(&mut self, kind: usize, direction: Direction, other: Endpoint<'_>) -> u32 {
        let (bounds, answer) = side_towards(self.world, self.kinds.pod(kind), direction, other, self.readings);
        let outcome = self.outcomes.number(bounds);
        self.sides.number(answer, direction, outcome)
    }
}
