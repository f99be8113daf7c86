//! Two worlds with the same pods and other policies, compared verdict by verdict: all pods there are and those that the
//! selectors of either could mean, all addresses, both directions, every port. What differs is held against the points at
//! which the policies are known to depart from each other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::kinds::{Kinds, Member};
use super::partition::Outcomes;
use super::{Matrix, Row, combine, witnesses};
use crate::model::house::Dialect;
use crate::model::{AddressScope, Departure, Direction, IntervalSet, IpSet, ObjectRef, PortSet, Protocol, Touches};
use crate::reach::bounds::{Bounds, Readings};
use crate::snapshot::Snapshot;

/// What comparing two worlds came to.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Pods that exist, or that templates make.
    pub pods: usize,
    /// Pods made of selectors.
    pub made_up: usize,
    /// Ranges of addresses that the policies of either world tell apart.
    pub ranges: usize,
    /// Pairs of ends with different verdicts: a great many, and of those that nothing explains some in any case.
    pub differing: Vec<Differing>,
    /// How many others there are.
    pub more: usize,
    /// Policies of the first world that select none of these pods, so that nothing was seen of what they do.
    pub idle: BTreeSet<Arc<ObjectRef>>,
}

/// Pairs that are kept with their names, so that a large cluster in which everything differs still fits into memory.
const MOST_KEPT: usize = 20_000;

impl Comparison {
    /// What no departure explains.
    pub fn unexplained(&self) -> impl Iterator<Item = &Differing> {
        self.differing.iter().filter(|one| !one.explained)
    }
}

/// Two ends between which the worlds differ.
#[derive(Clone, Debug)]
pub struct Differing {
    /// Where the connection starts.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// What passed.
    pub before: Bounds,
    /// What passes.
    pub after: Bounds,
    /// The departures that can have to do with it, by their index.
    pub because: Vec<usize>,
    /// Whether they are all there is to it.
    pub explained: bool,
}

/// Compares the verdicts of two worlds, each under the reading of its network.
pub fn compare(worlds: [&Snapshot; 2], dialects: [Dialect; 2], departures: &[Departure]) -> Comparison {
    let worlds = witnesses::with_namespaces(worlds);
    let pods = witnesses::pods(worlds.each_ref());
    let invented = worlds.each_ref().map(|world| witnesses::invented(world, &pods));
    let [kinds, others] = [0, 1].map(|i| Kinds::of(&worlds[i], &invented[i]));
    let [before, after] = [(&kinds, 0), (&others, 1)].map(|(k, i)| Matrix::over(k, &Readings::of(Some(dialects[i]))));
    let mut by_policy: HashMap<(&ObjectRef, Direction), Vec<(usize, &Departure)>> = HashMap::new();
    for (i, departure) in departures.iter().enumerate() {
        by_policy.entry((&*departure.policy, departure.direction)).or_default().push((i, departure));
    }
    let mut both = Both {
        kinds: &kinds,
        before: &before,
        after: &after,
        departures: by_policy,
        dialects,
        known: HashMap::new(),
        ranges: BTreeSet::new(),
        found: Comparison::default(),
    };
    both.found.made_up = pods.len();
    both.found.pods = kinds.members.len().saturating_sub(pods.len());
    // The same pods in the same order in both worlds; those that neither tells apart are looked at once.
    let mut classes: Vec<Class<'_>> = Vec::new();
    let mut seen = HashMap::new();
    for (member, other) in kinds.members.iter().zip(&others.members) {
        let next = classes.len();
        if *seen.entry((member.kind, other.kind)).or_insert(next) == next {
            classes.push(Class { member, before: member.kind, after: other.kind });
        }
    }
    both.all(&classes);
    let selecting: HashSet<&ObjectRef> = kinds.lists.iter().flatten().map(|policy| &*policy.id).collect();
    let idle = witnesses::policies(&worlds[0]).into_iter().filter(|policy| !selecting.contains(&*policy.id));
    both.found.idle = idle.map(|policy| Arc::clone(&policy.id)).collect();
    // What says most comes first: what is there before what was made up.
    both.found.differing.sort_by_key(|one| [&one.from, &one.to].map(|end| end.ends_with(MADE_UP)));
    both.found.ranges = both.ranges.len();
    both.found
}

/// How the names of pods end that were made of selectors.
const MADE_UP: &str = "[Representative]";

/// Pods that neither world tells apart.
struct Class<'a> {
    member: &'a Member<'a>,
    before: usize,
    after: usize,
}

impl Class<'_> {
    fn name(&self) -> String {
        let owner = self.member.owner;
        format!("{}/{}[{}]", self.member.at.namespace.name(), owner.name, owner.kind)
    }

    fn is_on_node(&self) -> bool {
        self.member.at.pod.host_network
    }
}

/// An outcome of the source's side and one of the destination's, and whether an end is on its node's network.
type Sides = (u32, u32, bool);

struct Both<'a> {
    kinds: &'a Kinds<'a>,
    before: &'a Matrix,
    after: &'a Matrix,
    /// By policy and direction, with their places in the list that was given.
    departures: HashMap<(&'a ObjectRef, Direction), Vec<(usize, &'a Departure)>>,
    dialects: [Dialect; 2],
    /// Pairs of outcomes that have been compared: what differs, or nothing.
    known: HashMap<(Sides, Sides), Option<(Bounds, Bounds)>>,
    ranges: BTreeSet<IpSet>,
    found: Comparison,
}

/// The other end, for those who ask what a departure can have to do with it.
enum Other<'a> {
    Pod(&'a Class<'a>),
    Addresses,
}

impl<'a> Both<'a> {
    fn all(&mut self, classes: &[Class<'a>]) {
        let (defaults, other_defaults) = (self.before.defaults(), self.after.defaults());
        let shut = [self.before, self.after].map(|matrix| matrix.outcomes.shut());
        let is_shut = |world: usize, (out, into, by_node): Sides| {
            let shut = |outcome: u32| shut[world].get(outcome as usize).copied().unwrap_or_default();
            !by_node && (shut(out) || shut(into))
        };
        for src in classes {
            let (row, other) = (self.before.row(src.before, &defaults), self.after.row(src.after, &other_defaults));
            for dst in classes {
                let by_node = src.is_on_node() || dst.is_on_node();
                let sides = |row: &Row, matrix: &Matrix, kind: usize| {
                    (row.egress[kind], row.ingress[matrix.ingress[kind]], by_node)
                };
                let pair = (sides(&row, self.before, dst.before), sides(&other, self.after, dst.after));
                // Most pairs of a segmented cluster: in both worlds one side refuses whatever the other says.
                if is_shut(0, pair.0) && is_shut(1, pair.1) {
                    continue;
                }
                if let Some((before, after)) = self.differ(pair) {
                    let sides = [(src, Direction::Egress, Other::Pod(dst)), (dst, Direction::Ingress, Other::Pod(src))];
                    self.report(|| (src.name(), dst.name()), (before, after), &sides, Some(dst));
                }
            }
            for direction in Direction::BOTH {
                self.outside(src, direction);
            }
        }
    }

    /// Addresses, cut where either world cuts them.
    fn outside(&mut self, pod: &Class<'a>, direction: Direction) {
        let partition = |matrix: &'a Matrix, kind: usize| match direction {
            Direction::Egress => &matrix.partitions[matrix.egress[kind]].addresses,
            Direction::Ingress => &matrix.partitions[matrix.ingress[kind]].addresses,
        };
        let everything = Outcomes::FULL;
        for (range, outcome) in partition(self.before, pod.before) {
            for (other_range, other) in partition(self.after, pod.after) {
                let both = range.intersection(other_range);
                if both.is_empty() {
                    continue;
                }
                let sides = |outcome: u32| match direction {
                    Direction::Egress => (outcome, everything, false),
                    Direction::Ingress => (everything, outcome, false),
                };
                if let Some((before, after)) = self.differ((sides(*outcome), sides(*other))) {
                    let ends = || match direction {
                        Direction::Egress => (pod.name(), both.summary(2)),
                        Direction::Ingress => (both.summary(2), pod.name()),
                    };
                    let destination = (direction == Direction::Ingress).then_some(pod);
                    self.report(ends, (before, after), &[(pod, direction, Other::Addresses)], destination);
                }
                self.ranges.insert(both);
            }
        }
    }

    fn differ(&mut self, (a, b): (Sides, Sides)) -> Option<(Bounds, Bounds)> {
        let (before, after) = (self.before, self.after);
        let compared = self.known.entry((a, b)).or_insert_with(|| {
            let bounds = |matrix: &Matrix, (egress, ingress, by_node): Sides| {
                with_ports(&combine(matrix.outcomes.get(egress), matrix.outcomes.get(ingress), by_node))
            };
            let (before, after) = (bounds(before, a), bounds(after, b));
            (before != after).then_some((before, after))
        });
        compared.clone()
    }

    fn report(
        &mut self,
        ends: impl FnOnce() -> (String, String),
        (before, after): (Bounds, Bounds),
        sides: &[(&Class<'a>, Direction, Other<'_>)],
        destination: Option<&Class<'a>>,
    ) {
        let changed = changed(&before, &after);
        let (mut left, mut because) = (changed.clone(), Vec::new());
        for (subject, direction, other) in sides {
            let list = &self.kinds.lists[self.kinds.list(subject.before, *direction)];
            // Several policies of the list can be of one object.
            let ids: BTreeSet<&ObjectRef> = list.iter().map(|policy| &*policy.id).collect();
            let departures = ids.into_iter().filter_map(|id| self.departures.get(&(id, *direction)));
            for (i, departure) in departures.flatten() {
                let touched = touched(&departure.touches, other, destination, self.dialects);
                if touched.intersects(&changed) {
                    left = left.difference(&touched);
                    because.push(*i);
                }
            }
        }
        let explained = left.is_empty();
        // Of those that nothing explains there are more than enough by then.
        let most = if explained { MOST_KEPT } else { 2 * MOST_KEPT };
        if self.found.differing.len() >= most {
            self.found.more += 1;
            return;
        }
        let (from, to) = ends();
        self.found.differing.push(Differing { from, to, before, after, because, explained });
    }
}

/// The ports on which a departure can change a verdict about this end.
fn touched(
    touches: &Touches,
    other: &Other<'_>,
    destination: Option<&Class<'_>>,
    [before, after]: [Dialect; 2],
) -> PortSet {
    let all_if = |yes: bool| if yes { PortSet::full() } else { PortSet::empty() };
    match (touches, other) {
        (Touches::Anyone, _) | (Touches::Outside, Other::Addresses) => PortSet::full(),
        (Touches::PodsByAddress { .. } | Touches::PortsNamed { .. }, Other::Addresses) => PortSet::empty(),
        (Touches::PodsByAddress { from, to }, Other::Pod(_)) => {
            all_if(names_pods(*from, before) != to.is_some_and(|to| names_pods(to, after)))
        }
        (Touches::Outside, Other::Pod(pod)) => all_if(pod.is_on_node()),
        (Touches::PortsNamed { name, but }, Other::Pod(_)) => {
            let ports = destination.iter().flat_map(|pod| &pod.member.at.pod.ports);
            let named = ports.filter(|port| port.name == *name && *but != Some(port.protocol));
            named.fold(PortSet::empty(), |all, port| all.union(&PortSet::port(port.protocol, port.port)))
        }
    }
}

/// Whether a block names pods by their addresses.
fn names_pods(scope: AddressScope, dialect: Dialect) -> bool {
    match scope {
        AddressScope::PodsToo => true,
        AddressScope::ByDialect => dialect.ip_blocks_match_pods(),
        AddressScope::ExternalOnly => false,
    }
}

/// What one of two answers has and the other has not.
fn changed(before: &Bounds, after: &Bounds) -> PortSet {
    let pairs =
        [(&before.certain, &after.certain), (&before.possible, &after.possible), (&before.filtered, &after.filtered)];
    let apart = pairs.into_iter().map(|(a, b)| a.difference(b).union(&b.difference(a)));
    apart.fold(PortSet::empty(), |all, one| all.union(&one))
}

/// Traffic without ports is left to networks by NetworkPolicy (semantics 2.1.21), and so it is not compared; nor is port 0,
/// which nothing can be sent to and most kinds have no way to write.
fn with_ports(bounds: &Bounds) -> Bounds {
    let sendable = IntervalSet::range(1, u16::MAX);
    let only = |set: &PortSet| {
        let of = |p: &Protocol| PortSet::of(*p, set.ports(*p).intersection(&sendable));
        Protocol::ALL.iter().fold(PortSet::empty(), |all, p| all.union(&of(p)))
    };
    Bounds { certain: only(&bounds.certain), possible: only(&bounds.possible), filtered: only(&bounds.filtered) }
}
