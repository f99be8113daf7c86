//! What an assertion comes to, in words: the same in a refusal, in a status and in the report on files.

use std::sync::Arc;

use super::wording;
use crate::model::assertion::{Assertion, Claim, Expect, Pairs};
use crate::model::{Action, Change, Direction, Object, ObjectRef, Policy, PolicyObject, Rule};
use crate::reach::{
    Answer, At, Effort, Focus, Gap, Governed, Outcome, Pair, Part, Point, Readings, SideAnswer, State, Verdict, Why,
    evaluate_within, remedy,
};
use crate::snapshot::{Owner, Snapshot};

/// Rounds in which one pair after the other is opened before a remedy is given up.
const ROUNDS: usize = 4;
/// Policies that a list names.
const NAMED: usize = 4;

/// What an assertion comes to, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What is so, as the end of a sentence that begins with the name of the assertion.
    pub message: String,
    /// Why.
    pub because: Vec<String>,
    /// Policies that decide it.
    pub policies: Vec<Arc<ObjectRef>>,
    /// What to do about it.
    pub help: Option<String>,
    /// The rule that lets through what should not pass, where there is one: its policy and its place.
    pub culprit: Option<(Arc<ObjectRef>, crate::model::FieldPath)>,
}

/// Puts an outcome into words.
pub fn tell(world: &Snapshot, claim: &Claim, outcome: &Outcome, readings: &Readings) -> Told {
    let pair = match &outcome.state {
        State::Broken(pair) | State::Depends(pair) => Some(pair),
        State::Holds => outcome.example.as_ref(),
        State::Vacuous => None,
    };
    let mut told = Told::default();
    if let Some((pair, answer)) = pair.and_then(|pair| Some((pair, pair.answer(world, readings).ok()?)))
        && let Some(part) = answer.parts.first()
    {
        told.policies = deciding(part);
        told.message = match &outcome.state {
            State::Broken(_) => broken(claim, pair, part),
            State::Depends(_) => doubtful(pair),
            State::Holds | State::Vacuous => String::new(),
        };
        if !matches!(outcome.state, State::Holds) {
            told.because = sides(pair, part);
            told.because.extend(points(&answer));
            told.culprit = culprit(claim, part);
            told.help = help(claim, part, &answer);
        }
    }
    match outcome.state {
        State::Vacuous => {
            "says nothing, because nobody is there that it could speak of".clone_into(&mut told.message);
            told.because = gaps(claim, &outcome.gaps);
            told.help = Some("correct the end that nobody is at, or delete the assertion".to_owned());
        }
        State::Holds => "holds".clone_into(&mut told.message),
        State::Broken(_) | State::Depends(_) => {}
    }
    told
}

/// Why nobody is at an end, in words.
pub fn gaps(claim: &Claim, gaps: &[Gap]) -> Vec<String> {
    let one = |gap: &Gap| {
        let who = match gap.at {
            At::From => &claim.from,
            At::To => &claim.to,
        };
        let field = gap.at.field();
        match gap.why {
            Why::NoPodsYet => format!("{field} {who} matches no pod yet; pods that come are judged all the same"),
            Why::NoWorkload => format!("{field} {who} names a workload that is not there"),
            Why::NoNamespace => format!("{field} {who} matches no namespace"),
            Why::Impossible => format!("{field} {who} matches no labels that a pod could have"),
            Why::NoSuchPort => format!("no pod of {field} {who} has a port of that name"),
        }
    };
    gaps.iter().map(one).collect()
}

/// What keeps an assertion that expects Allow.
pub(super) struct Opening {
    /// Policies to put in first.
    pub(super) policies: Vec<Policy>,
    /// Where the same rules could go instead.
    pub(super) instead: Vec<String>,
}

/// Policies that, put in first, keep an assertion that expects Allow; each pair that is in the way is opened in turn.
pub(super) fn opening(
    world: &Snapshot,
    claim: &Claim,
    outcome: &Outcome,
    readings: &Readings,
    effort: &mut Effort,
) -> Option<Opening> {
    if claim.expect != Expect::Allow {
        return None;
    }
    let stand_in = Owner { kind: "Pod".into(), name: "pods".into() };
    let mut world = world.clone();
    let mut outcome = outcome.clone();
    let mut opening = Opening { policies: Vec::new(), instead: Vec::new() };
    for _ in 0..ROUNDS {
        let (State::Broken(pair) | State::Depends(pair)) = &outcome.state else { break };
        let found = remedy(&world, pair.from.open_end(&stand_in), pair.to.open_end(&stand_in), &pair.ports, readings)?;
        for policy in found.policies {
            world.apply(&Change::create(Object::Policy(PolicyObject {
                id: Arc::clone(&policy.id),
                policies: vec![Arc::new(policy.clone())],
                unread: Vec::new(),
                implicit_types: false,
            })));
            opening.policies.push(policy);
        }
        for place in found.instead.iter().map(|(id, at)| wording::place(id, at)) {
            if !opening.instead.contains(&place) {
                opening.instead.push(place);
            }
        }
        outcome = evaluate_within(&world, claim, readings, &Focus::Everything, effort)?;
    }
    (matches!(outcome.state, State::Holds) && !opening.policies.is_empty()).then_some(opening)
}

/// How an assertion is called.
pub(super) fn name(assertion: &Assertion) -> String {
    match assertion.home() {
        Some(home) => format!("assertion {home}/{}", assertion.id.name),
        None => format!("cluster assertion {}", assertion.id.name),
    }
}

fn broken(claim: &Claim, pair: &Pair, part: &Part) -> String {
    let (from, to) = (pair.from.name(), pair.to.name());
    let some = if claim.pairs == Pairs::Any { "no source can reach any destination; " } else { "" };
    match claim.expect {
        Expect::Allow => {
            let refused = pair.ports.difference(&part.bounds.possible);
            let refusing: Vec<String> = [(&part.egress, "egress", &from), (&part.ingress, "ingress", &to)]
                .into_iter()
                .filter(|(side, ..)| !refused.is_subset(&side.bounds.possible))
                .map(|(_, direction, who)| format!("{direction} of {who}"))
                .collect();
            let verb = if refusing.len() > 1 { "refuse" } else { "refuses" };
            format!("{some}{from} cannot reach {to} on {refused}: {} {verb}", refusing.join(" and "))
        }
        Expect::Deny => {
            let open = pair.ports.intersection(&part.bounds.certain);
            let some = if claim.pairs == Pairs::Any { "every source can reach every destination; " } else { "" };
            format!("{some}{from} can reach {to} on {open}")
        }
    }
}

fn doubtful(pair: &Pair) -> String {
    format!("it is not certain whether {} can reach {} on {}", pair.from.name(), pair.to.name(), pair.ports)
}

/// Who decides on either side.
fn sides(pair: &Pair, part: &Part) -> Vec<String> {
    let egress = side(&part.egress, Direction::Egress, &pair.from.name());
    let ingress = side(&part.ingress, Direction::Ingress, &pair.to.name());
    egress.into_iter().chain(ingress).collect()
}

fn side(side: &SideAnswer, direction: Direction, who: &str) -> Option<String> {
    let field = direction.field();
    let places = |action: Action| -> Vec<String> {
        let steps = side.decided_by.iter().filter(|step| step.action == action);
        let mut all: Vec<String> = steps
            .filter_map(|step| Some(wording::place(&step.policy.id, &rule(&step.policy, direction, step.rule?)?.at)))
            .collect();
        all.sort();
        all.dedup();
        all
    };
    let isolating = || wording::policies(&side.isolated_by);
    Some(match side.governed {
        Governed::Outside => return None,
        Governed::HostNetwork => format!("{who} is on its node's network: policies do not apply to it"),
        Governed::NotIsolated => format!("{field} of {who}: no policy isolates it, so everything passes"),
        Governed::Policies if side.verdict == Verdict::Allow => {
            let by = wording::few(&places(Action::Allow), NAMED, "rules");
            if by.is_empty() {
                format!("{field} of {who}: allowed")
            } else {
                format!("{field} of {who}: allowed by {by}")
            }
        }
        Governed::Policies => {
            let (denies, allows) = (places(Action::Deny), places(Action::Allow));
            let mut text = format!("{field} of {who}: isolated by {}", isolating());
            if !denies.is_empty() {
                text = format!("{field} of {who}: denied by {}", wording::few(&denies, NAMED, "rules"));
            } else if allows.is_empty() {
                text.push_str(", and no rule admits it");
            } else {
                text = format!("{text}; admitted in part or perhaps by {}", wording::few(&allows, NAMED, "rules"));
            }
            text
        }
    })
}

fn rule(policy: &Policy, direction: Direction, index: usize) -> Option<&Rule> {
    policy.rules(direction).get(index)
}

fn points(answer: &Answer) -> Vec<String> {
    let text = |point: &Point| match point {
        Point::IpBlockAgainstPods => {
            Some("network plugins differ in whether an ipBlock matches pods; set dialect in HouseRules to settle it")
        }
        Point::PodAddress => Some("an ipBlock may or may not cover the pod, whose address is not known"),
        Point::HostNetwork => Some("traffic between a pod and its own node always passes, whatever policies say"),
        Point::RuntimePeer => {
            Some("a rule names nodes, DNS names or entities, which only the running cluster can settle")
        }
        Point::NotKnown => Some("a rule hangs on something that is not known here"),
        Point::Part | Point::Ports => None,
    };
    answer.points.iter().filter_map(text).map(str::to_owned).collect()
}

/// Policies that decide about a pair, each once.
fn deciding(part: &Part) -> Vec<Arc<ObjectRef>> {
    let sides = [&part.egress, &part.ingress];
    let mut all: Vec<Arc<ObjectRef>> = sides
        .into_iter()
        .flat_map(|side| {
            let steps = side.decided_by.iter().map(|step| &step.policy);
            // Isolation decides where nothing allows.
            let isolating = side.isolated_by.iter().filter(|_| side.verdict != Verdict::Allow);
            steps.chain(isolating).map(|policy| Arc::clone(&policy.id)).collect::<Vec<_>>()
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The first rule that lets through what should not pass.
fn culprit(claim: &Claim, part: &Part) -> Option<(Arc<ObjectRef>, crate::model::FieldPath)> {
    if claim.expect != Expect::Deny {
        return None;
    }
    [(&part.ingress, Direction::Ingress), (&part.egress, Direction::Egress)].into_iter().find_map(
        |(side, direction)| {
            let step = side.decided_by.iter().find(|step| step.action == Action::Allow)?;
            Some((Arc::clone(&step.policy.id), rule(&step.policy, direction, step.rule?)?.at.clone()))
        },
    )
}

fn help(claim: &Claim, part: &Part, answer: &Answer) -> Option<String> {
    if answer.points.contains(&Point::HostNetwork) {
        return Some("name workloads that are not on their nodes' network".to_owned());
    }
    match claim.expect {
        // The rule that would open it comes as a policy that has been tried.
        Expect::Allow => None,
        Expect::Deny => Some(match culprit(claim, part) {
            Some((id, at)) => format!("narrow {}, or correct the assertion", wording::place(&id, &at)),
            None => "isolate one of both ends with a default deny".to_owned(),
        }),
    }
}
