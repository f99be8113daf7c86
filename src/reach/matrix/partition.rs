//! For one list of policies: all other kinds sorted into cells that meet the same rules, with one decision for each cell.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::atoms;
use super::super::bounds::{Bounds, Readings, SideReading, has_ports, may_doubt};
use super::super::decide::Endpoint;
use super::kinds::Kinds;
use crate::model::{Direction, IpSet, NamedPort, Peer, PodSpec, Policy};

/// What one list of policies says about everyone else.
#[derive(Debug)]
pub(super) struct Partition {
    /// The outcome for kinds that are not in `exceptions`.
    pub(super) default: u32,
    pub(super) exceptions: Vec<(u32, u32)>,
    /// All addresses, in pieces with different outcomes.
    pub(super) addresses: Vec<(IpSet, u32)>,
}

/// Bounds under each reading, each distinct one once.
#[derive(Debug)]
pub(super) struct Outcomes {
    list: Vec<Vec<Bounds>>,
    known: HashMap<Vec<Bounds>, u32>,
}

impl Outcomes {
    fn new(readings: usize) -> Self {
        let mut outcomes = Self { list: Vec::new(), known: HashMap::new() };
        outcomes.intern(vec![Bounds::full(); readings]);
        outcomes
    }

    fn intern(&mut self, outcome: Vec<Bounds>) -> u32 {
        if let Some(id) = self.known.get(&outcome) {
            return *id;
        }
        let id = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(outcome.clone());
        self.known.insert(outcome, id);
        id
    }

    /// The outcome "everything passes", which is the first to be known.
    pub(super) const FULL: u32 = 0;

    /// For each outcome whether nothing passes under any reading.
    pub(super) fn shut(&self) -> Vec<bool> {
        self.list.iter().map(|outcome| outcome.iter().all(|bounds| !has_ports(&bounds.possible))).collect()
    }

    pub(super) fn get(&self, id: u32) -> &[Bounds] {
        self.list.get(id as usize).map_or(&[], Vec::as_slice)
    }
}

type Key<'a> = (Direction, usize, &'a [NamedPort]);

/// Partitions, each made once.
pub(super) struct Partitions<'k, 'a> {
    kinds: &'k Kinds<'a>,
    readings: &'k Readings,
    known: HashMap<Key<'a>, usize>,
    list: Vec<Partition>,
    outcomes: Outcomes,
}

impl<'k, 'a> Partitions<'k, 'a> {
    pub(super) fn new(kinds: &'k Kinds<'a>, readings: &'k Readings) -> Self {
        let outcomes = Outcomes::new(readings.dialects().len());
        Self { kinds, readings, known: HashMap::new(), list: Vec::new(), outcomes }
    }

    pub(super) fn finish(self) -> (Vec<Partition>, Outcomes) {
        (self.list, self.outcomes)
    }

    /// What may leave pods of this kind.
    pub(super) fn egress(&mut self, kind: usize) -> usize {
        self.side(kind, Direction::Egress, &[])
    }

    /// What may get to pods of this kind. Named ports are resolved on them (semantics 2.1.8).
    pub(super) fn ingress(&mut self, kind: usize) -> usize {
        let list = &self.kinds.lists[self.kinds.list(kind, Direction::Ingress)];
        let names = uses_names(list, Direction::Ingress);
        let ports = if names { &self.kinds.pod(kind).pod.ports[..] } else { &[] };
        self.side(kind, Direction::Ingress, ports)
    }

    fn side(&mut self, kind: usize, direction: Direction, ports: &'a [NamedPort]) -> usize {
        let list = self.kinds.list(kind, direction);
        if let Some(known) = self.known.get(&(direction, list, ports)) {
            return *known;
        }
        let partition = self.make(direction, &self.kinds.lists[list], self.kinds.pod(kind).pod);
        self.list.push(partition);
        self.known.insert((direction, list, ports), self.list.len() - 1);
        self.list.len() - 1
    }

    fn make(&mut self, direction: Direction, policies: &[&'a Arc<Policy>], subject: &PodSpec) -> Partition {
        if policies.is_empty() {
            let full = Outcomes::FULL;
            return Partition { default: full, exceptions: Vec::new(), addresses: vec![(IpSet::full(), full)] };
        }
        let (cell, firsts) = self.cells(direction, policies);
        let mut sizes = vec![0_usize; firsts.len()];
        for c in &cell {
            sizes[*c as usize] += 1;
        }
        let mut outcomes = Vec::with_capacity(firsts.len());
        for first in &firsts {
            let other = self.kinds.pod(*first).endpoint();
            outcomes.push(self.decide(direction, policies, subject, other));
        }
        let widest = (0..firsts.len()).max_by_key(|c| sizes[*c]);
        let default = widest.map_or(0, |c| outcomes[c]);
        let exceptions = cell
            .iter()
            .enumerate()
            .map(|(kind, c)| (u32::try_from(kind).unwrap_or(u32::MAX), outcomes[*c as usize]))
            .filter(|(_, outcome)| *outcome != default)
            .collect();
        let addresses = self.addresses(direction, policies, subject);
        Partition { default, exceptions, addresses }
    }

    /// The cell of every kind, and for every cell a kind that is in it.
    pub(super) fn cells(&self, direction: Direction, policies: &[&'a Arc<Policy>]) -> (Vec<u32>, Vec<usize>) {
        let kinds = self.kinds;
        let mut cells = Cells { of: vec![0; kinds.len()], count: 1 };
        let rules = || policies.iter().flat_map(|p| p.rules(direction));
        for peer in rules().flat_map(|r| &r.peers) {
            peer.visit(&mut |part| {
                if let Peer::Pods(peer) = part {
                    cells.split(kinds.matched(peer).iter().map(|kind| (*kind as usize, 0)));
                }
            });
        }
        // On egress the destination resolves named ports.
        if direction == Direction::Egress && uses_names(policies, direction) && differ(&kinds.ports) {
            cells.split(kinds.ports.iter().copied().enumerate());
        }
        if may_doubt(policies, direction) {
            if differ(&kinds.places) {
                cells.split(kinds.places.iter().copied().enumerate());
            }
            // A pod on the host's network may be what is meant by its node.
            cells.split((0..kinds.len()).map(|kind| (kind, u32::from(kinds.pod(kind).pod.host_network))));
        }
        // Cells that are empty by now lose their number.
        let mut numbers: Vec<Option<u32>> = vec![None; cells.count as usize];
        let mut firsts = Vec::new();
        for (kind, cell) in cells.of.iter_mut().enumerate() {
            *cell = *numbers[*cell as usize].get_or_insert_with(|| {
                firsts.push(kind);
                u32::try_from(firsts.len() - 1).unwrap_or(u32::MAX)
            });
        }
        (cells.of, firsts)
    }

    fn addresses(
        &mut self,
        direction: Direction,
        policies: &[&'a Arc<Policy>],
        subject: &PodSpec,
    ) -> Vec<(IpSet, u32)> {
        let mut pieces: Vec<(IpSet, u32)> = Vec::new();
        for piece in atoms::cut(&IpSet::full(), policies, direction) {
            let Some(one) = atoms::representative(&piece) else { continue };
            let outcome = self.decide(direction, policies, subject, Endpoint::Addresses(&IpSet::single(one)));
            match pieces.iter_mut().find(|(_, known)| *known == outcome) {
                Some((set, _)) => *set = set.union(&piece),
                None => pieces.push((piece, outcome)),
            }
        }
        pieces
    }

    fn decide(
        &mut self,
        direction: Direction,
        policies: &[&'a Arc<Policy>],
        subject: &PodSpec,
        other: Endpoint<'_>,
    ) -> u32 {
        let dialects = self.readings.dialects();
        let doubt = may_doubt(policies, direction);
        let mut outcome: Vec<Bounds> = Vec::with_capacity(dialects.len());
        for dialect in dialects {
            let bounds = match outcome.first() {
                Some(first) if !doubt => first.clone(),
                _ => SideReading::of(policies, direction, subject, other, *dialect).bounds(),
            };
            outcome.push(bounds);
        }
        self.outcomes.intern(outcome)
    }
}

pub(super) fn uses_names(policies: &[&Arc<Policy>], direction: Direction) -> bool {
    policies.iter().flat_map(|p| p.rules(direction)).any(|rule| !rule.ports.names.is_empty())
}

fn differ(marks: &[u32]) -> bool {
    marks.windows(2).any(|pair| pair[0] != pair[1])
}

/// A partition that is being refined.
struct Cells {
    of: Vec<u32>,
    count: u32,
}

impl Cells {
    /// Kinds with different marks, or with none, part ways.
    fn split(&mut self, marks: impl Iterator<Item = (usize, u32)>) {
        let mut parts: HashMap<(u32, u32), u32> = HashMap::new();
        for (kind, mark) in marks {
            let cell = &mut self.of[kind];
            *cell = *parts.entry((*cell, mark)).or_insert_with(|| {
                self.count += 1;
                self.count - 1
            });
        }
    }
}
