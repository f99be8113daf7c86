//! Whether what somebody has asserted is so: for the pods that are there, and for those that may come.
//!
//! Pods that may come are those that somebody has described: the smallest pod that the assertion's selector demands, and
//! for every selector of a policy that decides here the smallest pod that it demands, where the assertion means that one
//! too. Labels that nobody has put together are not put together here: a pod that does carry both is judged when it comes.

mod effort;
mod ends;
mod focus;

use std::net::IpAddr;
use std::sync::Arc;

use super::answer::{Answer, Ends, NoAnswer, Pods};
use super::atoms;
use super::bounds::{Bounds, Readings, SideReading, may_doubt};
use super::decide::{Endpoint, resolve_on};
use super::explain::explain;
use super::flow::PodAt;
use super::matrix::combine;
use super::remedy::OpenEnd;
use crate::model::assertion::{Claim, Expect, Pairs};
use crate::model::{Direction, IpSet, PodSpec, Policy, PortSet};
use crate::snapshot::{NamespaceState, Owner, Snapshot};
pub use effort::Effort;
use ends::{Candidate, Side};
pub use focus::Focus;

/// What an assertion comes to.
#[derive(Clone, Debug)]
pub enum State {
    /// It is so.
    Holds,
    /// It is not, as this pair shows.
    Broken(Box<Pair>),
    /// Whether it is so hangs on what the policies leave open, as this pair shows.
    Depends(Box<Pair>),
    /// It speaks of nobody.
    Vacuous,
}

/// What an assertion comes to, and about whom.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The state.
    pub state: State,
    /// A pair that shows it where it holds.
    pub example: Option<Box<Pair>>,
    /// Ends that nobody is at.
    pub gaps: Vec<Gap>,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// The source.
    From,
    /// The destination.
    To,
}

impl At {
    /// The field.
    pub const fn field(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::To => "to",
        }
    }
}

/// An end that nobody is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Which end.
    pub at: At,
    /// Why nobody is there.
    pub why: Why,
}

/// Why nobody is at an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Nobody yet; pods that come are judged all the same.
    NoPodsYet,
    /// There is no such workload.
    NoWorkload,
    /// No namespace is selected.
    NoNamespace,
    /// No labels can match the selector.
    Impossible,
    /// No pod there has a port of that name.
    NoSuchPort,
}

/// Who stands at an end of a pair.
#[derive(Clone, Debug)]
pub enum Party {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: Arc<NamespaceState>,
        /// The pod.
        pod: Arc<PodSpec>,
        /// Its addresses where known.
        addresses: Vec<IpAddr>,
        /// Whom it belongs to; `None` for one that may come.
        owner: Option<Owner>,
    },
    /// Addresses that get the same answer.
    Addresses(IpSet),
}

impl Party {
    /// How people call it.
    pub fn name(&self) -> String {
        match self {
            Self::Pod { namespace, owner: Some(owner), .. } => {
                format!("{} {}/{}", owner.kind, namespace.name(), owner.name)
            }
            Self::Pod { namespace, pod, .. } if pod.labels.is_empty() => {
                format!("a pod without labels that may come to {}", namespace.name())
            }
            Self::Pod { namespace, pod, .. } => {
                format!("a pod with {} that may come to {}", pod.labels, namespace.name())
            }
            Self::Addresses(set) => set.summary(3),
        }
    }

    fn ends<'a>(&'a self, name: &'a str) -> Ends<'a> {
        match self {
            Self::Pod { namespace, pod, addresses, .. } => {
                Ends::Pods(vec![Pods { at: PodAt { namespace, pod, addresses }, name, count: 1 }])
            }
            Self::Addresses(set) => Ends::Addresses(set.clone()),
        }
    }

    /// As the search for a remedy takes it; `stand_in` owns pods that may come.
    pub fn open_end<'a>(&'a self, stand_in: &'a Owner) -> OpenEnd<'a> {
        match self {
            Self::Pod { namespace, pod, addresses, owner } => {
                OpenEnd::Pod(PodAt { namespace, pod, addresses }, owner.as_ref().unwrap_or(stand_in))
            }
            Self::Addresses(set) => OpenEnd::Addresses(set),
        }
    }
}

/// A source, a destination, and the ports that were asked about there.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The source.
    pub from: Party,
    /// The destination.
    pub to: Party,
    /// The ports.
    pub ports: PortSet,
}

impl Pair {
    /// Who decides about it on either side.
    pub fn answer(&self, world: &Snapshot, readings: &Readings) -> Result<Answer, NoAnswer> {
        let (from, to) = (self.from.name(), self.to.name());
        explain(world, &self.from.ends(&from), &self.to.ends(&to), Some(&self.ports), readings)
    }
}

/// Evaluates a claim, for those pairs that are in focus. `None`: it is out of focus altogether.
pub fn evaluate(world: &Snapshot, claim: &Claim, readings: &Readings, focus: &Focus<'_>) -> Option<Outcome> {
    evaluate_within(world, claim, readings, focus, &mut Effort::unlimited())
}

/// The same with as much effort as is left. Where it runs out before the answer is known, there is none: `None`, and
/// [`Effort::is_spent`].
pub fn evaluate_within(
    world: &Snapshot,
    claim: &Claim,
    readings: &Readings,
    focus: &Focus<'_>,
    effort: &mut Effort,
) -> Option<Outcome> {
    // One pair is enough for this one, so which pairs a change concerns says nothing.
    let narrow = if claim.pairs == Pairs::Any { &Focus::Everything } else { focus };
    if !focus.concerns(world, claim) {
        return None;
    }
    let spares = [ends::spare(world, &claim.from), ends::spare(world, &claim.to)];
    let source = Side::new(world, claim, At::From, spares[0].as_ref());
    let target = Side::new(world, claim, At::To, spares[1].as_ref());
    let mut run = Run { claim, readings, effort, first: None, bad: None, doubtful: None, no_port: false };
    let mut gaps: Vec<Gap> = Vec::new();
    if matches!(narrow, Focus::Everything) {
        let (sources, targets) = (source.all(None), target.all(None));
        gaps.extend(source.gap(&sources));
        gaps.extend(target.gap(&targets));
        run.pairs(&sources, &targets);
    } else {
        // Pairs with a near source, and those of a far source with a near target.
        let namespaces = narrow.namespaces();
        let near = |at, c: &Candidate<'_>| narrow.meets(at, c.namespace, &c.pod, c.owner);
        let mut sources = source.all(namespaces.as_deref());
        sources.retain(|c| near(At::From, c));
        let mut targets = target.all(namespaces.as_deref());
        targets.retain(|c| near(At::To, c));
        let done = !sources.is_empty() && run.pairs(&sources, &target.all(None));
        if !done && !targets.is_empty() {
            let mut far = source.all(None);
            far.retain(|c| !near(At::From, c));
            run.pairs(&far, &targets);
        }
    }
    if run.effort.is_spent() {
        return None;
    }
    if run.no_port && run.first.is_none() {
        gaps.push(Gap { at: At::To, why: Why::NoSuchPort });
    }
    let vacuous = gaps.iter().any(|gap| gap.why != Why::NoPodsYet);
    let state = match (run.bad, run.doubtful) {
        _ if vacuous => State::Vacuous,
        (Some(pair), _) => State::Broken(pair),
        (None, Some(pair)) => State::Depends(pair),
        (None, None) => State::Holds,
    };
    Some(Outcome { state, example: run.first, gaps })
}

/// What one pair comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Good,
    Bad,
    Doubtful,
}

struct Run<'r> {
    claim: &'r Claim,
    readings: &'r Readings,
    effort: &'r mut Effort,
    first: Option<Box<Pair>>,
    bad: Option<Box<Pair>>,
    doubtful: Option<Box<Pair>>,
    no_port: bool,
}

impl Run<'_> {
    /// Looks at pairs until the answer is known; whether it is.
    fn pairs(&mut self, sources: &[Candidate<'_>], targets: &[Candidate<'_>]) -> bool {
        sources.iter().any(|source| {
            targets.iter().any(|target| {
                let policies = source.policies.len() + target.policies.len();
                self.effort.take(1 + policies * self.readings.dialects().len());
                self.effort.is_spent() || self.pair(source, target)
            })
        })
    }

    /// Looks at one pair; whether the answer is known then.
    fn pair(&mut self, source: &Candidate<'_>, target: &Candidate<'_>) -> bool {
        let asked = self.asked(target);
        if asked.is_empty() {
            self.no_port = true;
            return false;
        }
        let pieces = match (&source.external, &target.external) {
            (None, None) => {
                let found = self.between(source, target, &asked);
                return self.note(found, || Pair { from: source.place(), to: target.place(), ports: asked.clone() });
            }
            (None, Some(set)) => (source, Direction::Egress, atoms::cut(set, &source.policies, Direction::Egress)),
            (Some(set), None) => (target, Direction::Ingress, atoms::cut(set, &target.policies, Direction::Ingress)),
            (Some(_), Some(_)) => return false,
        };
        let (pods, direction, pieces) = pieces;
        for piece in pieces {
            let Some(one) = atoms::representative(&piece) else { continue };
            let one = IpSet::single(one);
            let side = self.side(pods, direction, Endpoint::Addresses(&one));
            let found = self.judge(&whole(&side, pods.pod.host_network), &asked);
            let pair = || match direction {
                Direction::Egress => (source.place(), Party::Addresses(piece.clone())),
                Direction::Ingress => (Party::Addresses(piece.clone()), target.place()),
            };
            let done = self.note(found, || {
                let (from, to) = pair();
                Pair { from, to, ports: asked.clone() }
            });
            if done {
                return true;
            }
        }
        false
    }

    /// The ports that are asked about at this destination.
    fn asked(&self, target: &Candidate<'_>) -> PortSet {
        match &self.claim.ports {
            None => PortSet::full(),
            Some(ports) if target.external.is_some() => ports.numbers.clone(),
            Some(ports) => resolve_on(ports, &target.pod),
        }
    }

    fn between(&self, source: &Candidate<'_>, target: &Candidate<'_>, asked: &PortSet) -> Found {
        let by_node = source.pod.host_network || target.pod.host_network;
        let egress = self.side(source, Direction::Egress, target.endpoint());
        // What the source keeps in, nobody need ask the destination about.
        if !by_node {
            let shut = whole(&egress, false);
            match self.claim.expect {
                Expect::Deny if !asked.intersects(&shut.possible) => return Found::Good,
                Expect::Allow if !asked.is_subset(&shut.possible) => return Found::Bad,
                _ => {}
            }
        }
        let ingress = self.side(target, Direction::Ingress, source.endpoint());
        self.judge(&combine(&egress, &ingress, by_node), asked)
    }

    fn judge(&self, bounds: &Bounds, asked: &PortSet) -> Found {
        match self.claim.expect {
            Expect::Allow if asked.is_subset(&bounds.certain) => Found::Good,
            Expect::Allow if !asked.is_subset(&bounds.possible) => Found::Bad,
            Expect::Deny if !asked.intersects(&bounds.possible) => Found::Good,
            Expect::Deny if asked.intersects(&bounds.certain) => Found::Bad,
            _ => Found::Doubtful,
        }
    }

    /// One side under every reading. Where nothing can be in doubt it is decided once.
    fn side(&self, subject: &Candidate<'_>, direction: Direction, other: Endpoint<'_>) -> Vec<Bounds> {
        let dialects = self.readings.dialects();
        let one = |dialect| SideReading::of(&subject.policies, direction, &subject.pod, other, dialect).bounds();
        if !may_doubt(&subject.policies, direction)
            && let Some(first) = dialects.first()
        {
            return vec![one(*first); dialects.len()];
        }
        dialects.iter().map(|dialect| one(*dialect)).collect()
    }

    fn note(&mut self, found: Found, pair: impl Fn() -> Pair) -> bool {
        let keep = |slot: &mut Option<Box<Pair>>| {
            slot.get_or_insert_with(|| Box::new(pair()));
        };
        match (found, self.claim.pairs) {
            (Found::Good, Pairs::All) => keep(&mut self.first),
            (Found::Good, Pairs::Any) => {
                self.first = Some(Box::new(pair()));
                (self.bad, self.doubtful) = (None, None);
                return true;
            }
            (Found::Bad, Pairs::All) => {
                keep(&mut self.first);
                keep(&mut self.bad);
                return true;
            }
            (Found::Bad, Pairs::Any) => {
                keep(&mut self.first);
                // One that may yet be so comes before one that is not.
                if self.doubtful.is_none() {
                    keep(&mut self.bad);
                }
            }
            (Found::Doubtful, _) => {
                keep(&mut self.first);
                keep(&mut self.doubtful);
                if self.claim.pairs == Pairs::Any {
                    self.bad = None;
                }
            }
        }
        false
    }
}

/// One side alone, over every reading.
fn whole(side: &[Bounds], by_node: bool) -> Bounds {
    combine(side, &vec![Bounds::full(); side.len()], by_node)
}

/// The policies that select a pod, kept with it.
type Selecting<'a> = Vec<&'a Arc<Policy>>;
