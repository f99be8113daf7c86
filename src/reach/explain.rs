//! One question, answered in full: what may flow, which rules say so on either side, and what the answer hangs on.

use std::sync::Arc;

use super::answer::{Answer, Ends, Governed, NoAnswer, Part, Pods, Point, SideAnswer, Step};
use super::atoms;
use super::bounds::{Bounds, Readings, SideReading, Verdict};
use super::decide::{Decision, Endpoint, Used};
use super::flow::PodAt;
use super::matrix::combine;
use super::selection::selecting;
use crate::model::house::Dialect;
use crate::model::{Direction, IpSet, Peer, PodSpec, Policy, PortSet};
use crate::snapshot::{NamespaceState, Snapshot};

/// Answers what may flow between two ends, on the ports asked for or on any.
pub fn explain(
    world: &Snapshot,
    from: &Ends<'_>,
    to: &Ends<'_>,
    asked: Option<&PortSet>,
    readings: &Readings,
) -> Result<Answer, NoAnswer> {
    let question = Question { world, asked, readings };
    let mut parts = Vec::new();
    match (from, to) {
        (Ends::Addresses(_), Ends::Addresses(_)) => return Err(NoAnswer::NoPods),
        (Ends::Pods(sources), Ends::Pods(destinations)) => {
            for (i, source) in sources.iter().enumerate() {
                for (j, destination) in destinations.iter().enumerate() {
                    let mut part = question.pods(source, destination);
                    part.ends = (i, j);
                    parts.push(part);
                }
            }
        }
        (Ends::Pods(sources), Ends::Addresses(set)) => {
            for (i, source) in sources.iter().enumerate() {
                let found = question.addresses(source, Direction::Egress, set);
                parts.extend(found.into_iter().map(|part| Part { ends: (i, 0), ..part }));
            }
        }
        (Ends::Addresses(set), Ends::Pods(destinations)) => {
            for (j, destination) in destinations.iter().enumerate() {
                let found = question.addresses(destination, Direction::Ingress, set);
                parts.extend(found.into_iter().map(|part| Part { ends: (0, j), ..part }));
            }
        }
    }
    let parts = merge(parts);
    let mut all = parts.iter().map(|p| p.bounds.clone());
    let first = all.next().ok_or(NoAnswer::Empty)?;
    let bounds = all.fold(first, |all, next| all.either(&next));
    let verdict = Verdict::of_parts(parts.iter().map(|p| p.verdict));
    let mut points: Vec<Point> = parts.iter().flat_map(|p| p.points.iter().copied()).collect();
    if verdict == Verdict::Depends && parts.iter().any(|p| p.verdict != Verdict::Depends) {
        points.push(Point::Part);
    }
    points.sort();
    points.dedup();
    Ok(Answer { verdict, bounds, parts, points })
}

/// Both bounds for two pods and no explanation.
pub(super) fn bounds_between(world: &Snapshot, from: PodAt<'_>, to: PodAt<'_>, readings: &Readings) -> Bounds {
    let egress = read(world, from, Direction::Egress, to.endpoint(), readings);
    let ingress = read(world, to, Direction::Ingress, from.endpoint(), readings);
    let bounds = |side: &[SideReading]| side.iter().map(SideReading::bounds).collect::<Vec<_>>();
    combine(&bounds(&egress), &bounds(&ingress), from.pod.host_network || to.pod.host_network)
}

/// One side under every reading.
pub(super) fn read(
    world: &Snapshot,
    subject: PodAt<'_>,
    direction: Direction,
    other: Endpoint<'_>,
    readings: &Readings,
) -> Vec<SideReading> {
    let policies = selecting(world, subject.namespace, subject.pod);
    let one = |dialect: &Dialect| SideReading::of(&policies, direction, subject.pod, other, *dialect);
    readings.dialects().iter().map(one).collect()
}

/// One side towards one endpoint on any port: its bounds under each reading, and the reasons.
pub(super) fn side_towards(
    world: &Snapshot,
    subject: PodAt<'_>,
    direction: Direction,
    other: Endpoint<'_>,
    readings: &Readings,
) -> (Vec<Bounds>, SideAnswer) {
    let side = read(world, subject, direction, other, readings);
    let question = Question { world, asked: None, readings };
    let answer = question.side(&side, subject.namespace, subject.pod, direction);
    (side.iter().map(SideReading::bounds).collect(), answer)
}

/// What a flow between two pods hangs on, on any port.
pub(super) fn points_between(
    world: &Snapshot,
    egress: &[Bounds],
    ingress: &[Bounds],
    by_node: bool,
    readings: &Readings,
) -> Vec<Point> {
    let bounds = combine(egress, ingress, by_node);
    let mut points = Question { world, asked: None, readings }.points(egress, ingress, by_node);
    if bounds.doubtful().is_empty() {
        points.clear();
    }
    points.dedup();
    points
}

struct Question<'q> {
    world: &'q Snapshot,
    asked: Option<&'q PortSet>,
    readings: &'q Readings,
}

impl Question<'_> {
    fn pods(&self, from: &Pods<'_>, to: &Pods<'_>) -> Part {
        let egress = read(self.world, from.at, Direction::Egress, to.at.endpoint(), self.readings);
        let ingress = read(self.world, to.at, Direction::Ingress, from.at.endpoint(), self.readings);
        let by_node = from.at.pod.host_network || to.at.pod.host_network;
        let both = |side: &[SideReading]| side.iter().map(SideReading::bounds).collect::<Vec<_>>();
        let bounds = combine(&both(&egress), &both(&ingress), by_node);
        let points = self.points(&both(&egress), &both(&ingress), by_node);
        self.part(
            (from.name, to.name),
            None,
            bounds,
            points,
            [
                self.side(&egress, from.at.namespace, from.at.pod, Direction::Egress),
                self.side(&ingress, to.at.namespace, to.at.pod, Direction::Ingress),
            ],
        )
    }

    /// What the answer for two pods hangs on.
    fn points(&self, egress: &[Bounds], ingress: &[Bounds], by_node: bool) -> Vec<Point> {
        let mut points = Vec::new();
        if by_node && self.open(&combine(egress, ingress, by_node)) {
            points.push(Point::HostNetwork);
        }
        if egress.iter().chain(ingress).any(|b| self.differs(&b.certain, &b.possible)) {
            points.push(Point::PodAddress);
        }
        for all in [egress, ingress] {
            if all.windows(2).any(|pair| pair.iter().any(|b| self.differs(&b.possible, &pair[0].possible))) {
                points.push(Point::IpBlockAgainstPods);
            }
        }
        points
    }

    /// The addresses cut where the pod's policies cut them, and what is the same put together again.
    fn addresses(&self, pods: &Pods<'_>, direction: Direction, set: &IpSet) -> Vec<Part> {
        let policies = selecting(self.world, pods.at.namespace, pods.at.pod);
        let mut parts = Vec::new();
        for piece in atoms::cut(set, &policies, direction) {
            let Some(one) = atoms::representative(&piece) else { continue };
            let one = IpSet::single(one);
            let side = read(self.world, pods.at, direction, Endpoint::Addresses(&one), self.readings);
            let all: Vec<Bounds> = side.iter().map(SideReading::bounds).collect();
            let bounds = combine(&all, &vec![Bounds::full(); all.len()], false);
            let points = if self.open(&bounds) { vec![Point::RuntimePeer] } else { Vec::new() };
            let here = self.side(&side, pods.at.namespace, pods.at.pod, direction);
            let outside = SideAnswer {
                verdict: Verdict::Allow,
                bounds: Bounds::full(),
                governed: Governed::Outside,
                decided_by: Vec::new(),
                isolated_by: Vec::new(),
            };
            let (names, sides) = match direction {
                Direction::Egress => ((pods.name, ""), [here, outside]),
                Direction::Ingress => (("", pods.name), [outside, here]),
            };
            parts.push(self.part(names, Some(piece), bounds, points, sides));
        }
        parts
    }

    fn part(
        &self,
        (from, to): (&str, &str),
        addresses: Option<IpSet>,
        bounds: Bounds,
        mut points: Vec<Point>,
        [egress, ingress]: [SideAnswer; 2],
    ) -> Part {
        let verdict = bounds.verdict(self.asked);
        let doubts = Doubts::of(&[(Direction::Egress, &egress), (Direction::Ingress, &ingress)]);
        if doubts.not_known {
            points.retain(|point| doubts.by_place || !matches!(point, Point::PodAddress | Point::RuntimePeer));
            points.push(Point::NotKnown);
        }
        if verdict == Verdict::Depends && points.is_empty() {
            points.push(Point::Ports);
        } else if verdict != Verdict::Depends && self.asked.is_some() {
            points.clear();
        }
        points.dedup();
        Part {
            from: from.to_owned(),
            to: to.to_owned(),
            ends: (0, 0),
            addresses,
            verdict,
            bounds,
            egress,
            ingress,
            points,
        }
    }

    /// Whether anything asked about is in doubt.
    fn open(&self, bounds: &Bounds) -> bool {
        self.differs(&bounds.certain, &bounds.possible)
    }

    fn differs(&self, a: &PortSet, b: &PortSet) -> bool {
        self.asked.map_or_else(|| a != b, |asked| a.intersection(asked) != b.intersection(asked))
    }

    fn side(&self, readings: &[SideReading], at: &NamespaceState, pod: &PodSpec, direction: Direction) -> SideAnswer {
        let mut all = readings.iter().map(SideReading::bounds);
        let first = all.next().unwrap_or_default();
        let bounds = all.fold(first, |all, next| all.either(&next));
        let policies = selecting(self.world, at, pod);
        let isolated_by: Vec<Arc<Policy>> =
            policies.iter().filter(|p| p.isolates(direction)).map(|p| Arc::clone(p)).collect();
        let governed = if pod.host_network {
            Governed::HostNetwork
        } else if isolated_by.is_empty() && policies.iter().all(|p| p.rules(direction).is_empty()) {
            Governed::NotIsolated
        } else {
            Governed::Policies
        };
        SideAnswer {
            verdict: bounds.verdict(self.asked),
            bounds,
            governed,
            decided_by: self.steps(readings),
            isolated_by,
        }
    }

    /// The rules that decided under any reading; certain are those that did under every one, for and against.
    fn steps(&self, readings: &[SideReading]) -> Vec<Step> {
        let decisions: Vec<&Decision> = readings.iter().flat_map(|r| [&r.against, &r.in_favour]).collect();
        let relevant = |used: &Used| self.asked.is_none_or(|asked| used.ports.intersects(asked));
        let mut steps: Vec<Step> = Vec::new();
        for used in decisions.iter().flat_map(|d| &d.used).filter(|used| relevant(used)) {
            let same = |u: &Used| Arc::ptr_eq(&u.policy, &used.policy) && u.rule == used.rule;
            if steps.iter().any(|s| Arc::ptr_eq(&s.policy, &used.policy) && s.rule == used.rule) {
                continue;
            }
            steps.push(Step {
                policy: Arc::clone(&used.policy),
                rule: used.rule,
                action: used.action,
                ports: used.ports.clone(),
                certain: decisions.iter().all(|d| d.used.iter().any(|u| same(u) && relevant(u))),
            });
        }
        steps
    }
}

/// What kinds of doubt the rules behind an answer have.
#[derive(Default)]
struct Doubts {
    /// Something that nothing in the input settles.
    not_known: bool,
    /// Addresses, or what only the running cluster can settle.
    by_place: bool,
}

impl Doubts {
    fn of(sides: &[(Direction, &SideAnswer)]) -> Self {
        let mut doubts = Self::default();
        for (direction, side) in sides {
            let steps = side.decided_by.iter().filter(|step| !step.certain);
            for rule in steps.filter_map(|step| step.policy.rules(*direction).get(step.rule?)) {
                let (mut not_known, mut by_place) = (false, false);
                for peer in &rule.peers {
                    peer.visit(&mut |part| match part {
                        Peer::Unsettled(_) | Peer::Unreadable => not_known = true,
                        Peer::Addresses(_) | Peer::Entity(_) | Peer::Nodes(_) | Peer::Domains(_) => by_place = true,
                        _ => {}
                    });
                }
                doubts.not_known |= not_known;
                doubts.by_place |= by_place && !not_known;
            }
        }
        doubts
    }
}

/// Parts with the same answer for the same reasons become one.
fn merge(parts: Vec<Part>) -> Vec<Part> {
    let mut merged: Vec<Part> = Vec::new();
    for part in parts {
        let alike = |p: &&mut Part| {
            p.bounds == part.bounds && p.egress == part.egress && p.ingress == part.ingress && p.points == part.points
        };
        match merged.iter_mut().find(alike) {
            Some(known) => {
                if let (Some(all), Some(more)) = (&mut known.addresses, &part.addresses) {
                    *all = all.union(more);
                }
                for (names, name) in [(&mut known.from, &part.from), (&mut known.to, &part.to)] {
                    if !names.split(", ").any(|n| n == name) {
                        *names = format!("{names}, {name}");
                    }
                }
            }
            None => merged.push(part),
        }
    }
    merged
}
