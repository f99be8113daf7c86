//! One question, answered in full: what may flow, which rules say so on either side, and what the answer hangs on.

use std::sync::Arc;

use super::atoms;
use super::bounds::{Bounds, Readings, SideReading, Verdict};
use super::decide::{Decision, Endpoint, Used, selecting};
use super::flow::PodAt;
use super::matrix::combine;
use crate::model::house::Dialect;
use crate::model::{Action, Direction, IpSet, PodSpec, Policy, PortSet};
use crate::snapshot::{NamespaceState, Snapshot};

/// Pods that one end of a question stands for.
#[derive(Clone, Copy, Debug)]
pub struct Pods<'a> {
    /// One of them.
    pub at: PodAt<'a>,
    /// How they are called in the answer.
    pub name: &'a str,
    /// How many there are.
    pub count: u32,
}

/// One end of a question.
#[derive(Clone, Debug)]
pub enum Ends<'a> {
    /// Pods, in one group for each class.
    Pods(Vec<Pods<'a>>),
    /// Addresses outside the cluster.
    Addresses(IpSet),
}

/// Something that the policies leave open, and what it leaves open here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// Whether an `ipBlock` matches addresses of pods: upstream, Calico, Antrea and OVN say yes, Cilium says no.
    IpBlockAgainstPods,
    /// An `ipBlock` may match a pod whose address is not known.
    PodAddress,
    /// One end is on its node's network, and a pod's own node always gets through.
    HostNetwork,
    /// A peer that only the running cluster can settle: nodes, DNS names, entities.
    RuntimePeer,
    /// The pods or addresses asked about get different answers.
    Part,
    /// The ports asked about get different answers.
    Ports,
}

impl Point {
    /// A name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpBlockAgainstPods => "ipblock-against-pods",
            Self::PodAddress => "pod-address",
            Self::HostNetwork => "host-network",
            Self::RuntimePeer => "runtime-peer",
            Self::Part => "part",
            Self::Ports => "ports",
        }
    }

    /// A sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::IpBlockAgainstPods => {
                "an ipBlock matches pods on upstream, calico, antrea and ovn, and does not on cilium: settle it with --dialect"
            }
            Self::PodAddress => {
                "an ipBlock may cover the pod, whose address is not in the input: name an address, or read the pods of a cluster"
            }
            Self::HostNetwork => {
                "one end is on its node's network: traffic between a pod and its own node always passes, from other nodes the rules decide"
            }
            Self::RuntimePeer => "a rule names nodes, DNS names or entities, which only the running cluster can settle",
            Self::Part => "the pods or addresses asked about get different answers: see each part",
            Self::Ports => "some of the ports asked about pass and others do not",
        }
    }
}

/// Why a side has no say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governed {
    /// Policies isolate or govern the pod.
    Policies,
    /// No policy isolates it in this direction: everything passes.
    NotIsolated,
    /// It is on its node's network: policies do not apply.
    HostNetwork,
    /// It is not in the cluster.
    Outside,
}

/// A rule, or the isolation by a policy, that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The rule, or `None` where isolation itself decided.
    pub rule: Option<usize>,
    /// What it did.
    pub action: Action,
    /// To which ports.
    pub ports: PortSet,
    /// Whether it did so whatever is left open.
    pub certain: bool,
}

/// One side of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideAnswer {
    /// Its verdict on what was asked.
    pub verdict: Verdict,
    /// What it lets through.
    pub bounds: Bounds,
    /// Who decides there.
    pub governed: Governed,
    /// The rules that decided.
    pub decided_by: Vec<Step>,
    /// Policies that isolate the pod on this side.
    pub isolated_by: Vec<Arc<Policy>>,
}

/// The answer for pods and addresses that get the same one.
#[derive(Clone, Debug)]
pub struct Part {
    /// Names of the sources.
    pub from: String,
    /// Names of the destinations.
    pub to: String,
    /// Indexes into the groups asked about, for who wants to ask further.
    pub ends: (usize, usize),
    /// The addresses of this part, where an end is addresses.
    pub addresses: Option<IpSet>,
    /// The verdict.
    pub verdict: Verdict,
    /// What passes.
    pub bounds: Bounds,
    /// What the source's policies say.
    pub egress: SideAnswer,
    /// What the destination's policies say.
    pub ingress: SideAnswer,
    /// What the verdict hangs on.
    pub points: Vec<Point>,
}

/// The whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The verdict over all parts.
    pub verdict: Verdict,
    /// What passes for every part, and what may for some.
    pub bounds: Bounds,
    /// The parts, at least one.
    pub parts: Vec<Part>,
    /// What the verdict hangs on.
    pub points: Vec<Point>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Both ends are addresses.
    #[error("neither end is a pod: policies say nothing about traffic that no pod takes part in")]
    NoPods,
    /// An end is empty.
    #[error("one end is empty")]
    Empty,
}

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
        let mut points = Vec::new();
        if by_node && self.open(&bounds) {
            points.push(Point::HostNetwork);
        }
        let each = || egress.iter().chain(&ingress).map(SideReading::bounds);
        if each().any(|b| self.differs(&b.certain, &b.possible)) {
            points.push(Point::PodAddress);
        }
        for side in [&egress, &ingress] {
            let all = both(side);
            if all.windows(2).any(|pair| pair.iter().any(|b| self.differs(&b.possible, &pair[0].possible))) {
                points.push(Point::IpBlockAgainstPods);
            }
        }
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
