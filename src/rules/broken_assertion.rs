//! `broken-assertion`: what somebody has asserted about the network stays true.

use super::rule::{Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::{asserted, wording};
use crate::model::assertion::{Assertion, Claim};
use crate::model::house::{Level, RuleId};
use crate::model::meter;
use crate::model::{FieldPath, Object};
use crate::reach::{Effort, Focus, Outcome, Readings, State, Why, evaluate_within};

declare_rule! {
    /// A connectivity assertion that held must not be broken by a change.
    ///
    /// ## What it checks
    ///
    /// When a policy, a workload, the labels of a namespace or an assertion changes: does every ConnectivityAssertion and
    /// ClusterConnectivityAssertion that the change can concern hold afterwards? One that held before and does not hold
    /// any more is the change's fault. So is one that would hang on how the network plugin reads a policy. One that was
    /// broken before is only recorded.
    ///
    /// A new assertion that does not hold, or that speaks of nobody, is let through with a warning, because writing down
    /// what should be so comes before making it so. With `onCreate: enforce` it is refused.
    ///
    /// ## Why
    ///
    /// A matrix of who may reach whom, tested once, is true on the day of the test. Kept as objects it is true on every
    /// day after, and whoever would break a row hears it before it is broken.
    ///
    /// ## Refused
    ///
    /// Deleting the policy that admits `web` to `api` while an assertion expects Allow there; a policy that opens the
    /// database to a namespace from which an assertion expects Deny; new labels for a Deployment that no policy selects.
    ///
    /// ## Accepted
    ///
    /// The same changes once another policy keeps the assertion true, or the assertion has been corrected.
    ///
    /// ## Exceptions
    ///
    /// An assertion of a namespace refuses changes in that namespace only. Elsewhere it warns: otherwise any tenant could
    /// block its neighbours. A ClusterConnectivityAssertion refuses everywhere. A RuleException lifts the rule for a time.
    ///
    /// ## References
    ///
    /// [Connectivity assertions](../assertions.md).
    pub BrokenAssertion = BrokenAssertion, since "0.1.0"
}

impl Rule for BrokenAssertion {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if cx.world.assertions().len() == 0 {
            return;
        }
        let readings = Readings::in_world(cx.world, cx.settings.settled);
        let mut efforts = [Means::new(), Means::new()];
        if let Some(Object::Assertion(assertion)) = cx.change.object() {
            // Without it there is nothing to hold, before or after.
            let [effort, _] = &mut efforts;
            if cx.object.is_some()
                && let Some(claim) = &assertion_in(cx, assertion).claim
            {
                let assertion = assertion_in(cx, assertion);
                match effort.evaluate(cx, claim, &readings, &Focus::Everything) {
                    Some(outcome) => {
                        out.extend(of_itself(cx, assertion, claim, &outcome, &readings, &mut effort.effort));
                    }
                    None => out.push(too_much(cx, &[assertion])),
                }
            }
            return;
        }
        let focus = Focus::of(cx.change);
        if cx.standing || matches!(focus, Focus::Nothing) {
            return;
        }
        let mut left: [Vec<&Assertion>; 2] = Default::default();
        for assertion in cx.world.assertions() {
            let Some(claim) = &assertion.claim else { continue };
            // Nobody's own assertions take from what there is for those of the cluster.
            let whose = usize::from(assertion.home().is_some());
            let (effort, left) = (&mut efforts[whose], &mut left[whose]);
            if effort.effort.is_spent() {
                left.extend(focus.concerns(cx.world, claim).then_some(&**assertion));
            } else if is_after(cx) {
                match effort.evaluate(cx, claim, &readings, &focus) {
                    Some(outcome) => {
                        out.extend(broken(cx, assertion, claim, &outcome, &readings, &mut effort.effort));
                    }
                    None => left.extend(effort.effort.is_spent().then_some(&**assertion)),
                }
            } else if focus.concerns(cx.world, claim)
                && let Some(outcome) = effort.evaluate(cx, claim, &readings, &Focus::Everything)
                && !matches!(outcome.state, State::Holds)
            {
                // Did not hold as a whole: then it is not this change that breaks it.
                out.push(Finding::new(RuleId::BrokenAssertion, cx.change.id.clone(), "").keyed(key(assertion)));
            }
        }
        out.extend(left.iter().filter(|left| is_after(cx) && !left.is_empty()).map(|left| too_much(cx, left)));
    }
}

/// Policies asked about a pair of pods, for one side of a change and the assertions of one kind: less than half a second.
const MOST_EFFORT: usize = 250_000;

/// What the assertions of one kind may take: policies asked about pairs, and steps of the meter. Neither kind takes from the
/// other, nor from the other rules.
struct Means {
    effort: Effort,
    steps: u64,
}

impl Means {
    fn new() -> Self {
        Self { effort: Effort::of(MOST_EFFORT), steps: meter::left() / 4 }
    }

    fn evaluate(&mut self, cx: &Context<'_>, claim: &Claim, readings: &Readings, focus: &Focus<'_>) -> Option<Outcome> {
        let before = meter::left();
        let effort = &mut self.effort;
        let outcome = meter::within(self.steps, || evaluate_within(cx.world, claim, readings, focus, effort));
        self.steps = self.steps.saturating_sub(before.saturating_sub(meter::left()));
        outcome.unwrap_or_else(|_| {
            self.effort = Effort::none();
            None
        })
    }
}

/// What was left out of an evaluation that would take too long. Of the cluster's assertions that is a refusal: otherwise a
/// tenant could write policies until nobody looks any more.
fn too_much(cx: &Context<'_>, left: &[&Assertion]) -> Finding {
    let names: Vec<String> = left.iter().map(|assertion| asserted::name(assertion)).collect();
    let message = format!(
        "{} would take too long to evaluate; use fewer different selectors in the policies there, or narrow the assertion",
        wording::few(&names, 1, "assertions")
    );
    let homes = left.iter().all(|assertion| assertion.home().is_some());
    let id = cx.change.object().map_or_else(|| cx.change.id.clone(), Object::id);
    Finding::new(RuleId::BrokenAssertion, id, message)
        .keyed("too much")
        .capped(if homes { Level::Warn } else { Level::Enforce })
        .because("each selector of a policy stands for pods that may come, and every pair of them is looked at")
}

/// The assertion that changes, as it is in this world.
fn assertion_in<'a>(cx: &Context<'a>, other: &'a Assertion) -> &'a Assertion {
    match cx.object {
        Some(Object::Assertion(assertion)) => assertion,
        _ => other,
    }
}

/// Whether this is the world with the change.
fn is_after(cx: &Context<'_>) -> bool {
    match (&cx.change.after, cx.object) {
        (Some(after), Some(object)) => std::ptr::eq(after, object),
        (None, None) => true,
        _ => false,
    }
}

fn key(assertion: &Assertion) -> String {
    assertion.id.to_string()
}

/// An assertion that changes itself.
fn of_itself(
    cx: &Context<'_>,
    assertion: &Assertion,
    claim: &Claim,
    outcome: &Outcome,
    readings: &Readings,
    effort: &mut Effort,
) -> Option<Finding> {
    let name = asserted::name(assertion);
    if matches!(outcome.state, State::Holds) {
        let unmatched = asserted::gaps(claim, &outcome.gaps);
        let mut finding = Finding::new(
            RuleId::BrokenAssertion,
            (*assertion.id).clone(),
            format!("{name} speaks of pods that are not there yet; check its spelling"),
        )
        .keyed("no pods yet")
        .at(gap_at(outcome)?)
        .capped(Level::Warn);
        finding.because = unmatched;
        return Some(finding);
    }
    let told = asserted::tell(cx.world, claim, outcome, readings);
    let vacuous = matches!(outcome.state, State::Vacuous);
    let message = match outcome.state {
        State::Vacuous => format!("{name} {}", told.message),
        State::Depends(_) => format!("{name} expects {}, and {}", claim.expect, told.message),
        _ => format!("{name} expects {} and does not hold: {}", claim.expect, told.message),
    };
    let at = if vacuous { gap_at(outcome).unwrap_or_default() } else { Assertion::expect_at() };
    let mut finding = Finding::new(RuleId::BrokenAssertion, (*assertion.id).clone(), message)
        .keyed(if vacuous { "vacuous" } else { "broken" })
        .at(at)
        .capped(if vacuous { cx.settings.on_create.min(Level::Warn) } else { cx.settings.on_create });
    finding.because = told.because;
    open(&mut finding, asserted::opening(cx.world, claim, outcome, readings, effort), told.help);
    Some(finding)
}

fn gap_at(outcome: &Outcome) -> Option<FieldPath> {
    let gap = outcome.gaps.first()?;
    let spec = FieldPath::new("spec");
    Some(if gap.why == Why::NoSuchPort { spec.field("ports") } else { spec.field(gap.at.field()) })
}

/// An assertion that something else breaks.
fn broken(
    cx: &Context<'_>,
    assertion: &Assertion,
    claim: &Claim,
    outcome: &Outcome,
    readings: &Readings,
    effort: &mut Effort,
) -> Option<Finding> {
    let (State::Broken(_) | State::Depends(_)) = &outcome.state else { return None };
    let told = asserted::tell(cx.world, claim, outcome, readings);
    let name = asserted::name(assertion);
    let verb = if matches!(outcome.state, State::Broken(_)) { "would not hold" } else { "would not be certain" };
    let message = format!("{name} expects {} and {verb}: {}", claim.expect, told.message);
    let mut finding = Finding::new(RuleId::BrokenAssertion, cx.change.id.clone(), message).keyed(key(assertion));
    if let Some((policy, at)) = &told.culprit
        && **policy == cx.change.id
    {
        finding = finding.at(at.clone());
    }
    if let Some(description) = &assertion.description {
        finding.because.push(format!("it is there for: {description}"));
    }
    finding.because.extend(told.because);
    open(&mut finding, asserted::opening(cx.world, claim, outcome, readings, effort), told.help);
    // It is the breaking that is worth a word, not every change beside a row that is broken.
    finding.cap_if_old = Level::Audit;
    finding.rests_on_absence = claim.expect == crate::model::assertion::Expect::Allow;
    // Any tenant could otherwise block its neighbours.
    if assertion.home().is_some_and(|home| home != cx.namespace.name()) {
        finding = finding.capped(Level::Warn);
        finding.because.push(format!(
            "an assertion of namespace {} refuses changes there only; a ClusterConnectivityAssertion refuses everywhere",
            assertion.id.namespace()
        ));
    }
    Some(finding)
}

/// What would mend it: policies that can be tried, or at least advice.
fn open(finding: &mut Finding, opening: Option<asserted::Opening>, help: Option<String>) {
    finding.help = help;
    match opening {
        Some(opening) => {
            if !opening.instead.is_empty() {
                finding.because.push(format!("a rule at {} would open it", opening.instead.join(" and ")));
            }
            finding.fix = Some(Fix::ApplyFirst(opening.policies));
        }
        None if finding.help.is_none() => {
            finding.help = Some("keep a policy that lets it pass, or correct the assertion first".to_owned());
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::model::house::{Dialect, House, Level, RuleId};
    use crate::model::{Change, Object};
    use crate::review::{Cure, User, Verdict, review};
    use crate::rules::fixtures::{only, said};
    use crate::snapshot::Snapshot;
    use crate::translate::{Defaults, Kind, from_value};

    fn read(kind: Kind, name: &str, rest: Value) -> Object {
        let mut value = rest;
        value["metadata"] = json!({"name": name, "namespace": "shop", "labels": {"app": name}});
        from_value(kind, &value, &Defaults::default())
    }

    fn pod(name: &str) -> Object {
        read(Kind::Pod, name, json!({"spec": {}}))
    }

    fn row(name: &str) -> Object {
        let end = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
        let spec = json!({"from": end("web"), "to": end("api"), "ports": [{"port": 80}], "expect": "Allow"});
        read(Kind::ConnectivityAssertion, name, json!({"spec": spec}))
    }

    fn deny() -> Object {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
        read(Kind::NetworkPolicy, "deny", json!({"spec": spec}))
    }

    fn house(change: impl FnOnce(&mut House)) -> House {
        let mut house = only(RuleId::BrokenAssertion);
        change(&mut house);
        house
    }

    fn judge(house: &House, state: &[Object], change: &Change) -> Verdict {
        review(&Snapshot::of(state), house, change, &User::default())
    }

    #[test]
    fn a_new_row_that_does_not_hold_is_refused_where_that_is_asked_for() {
        let state = [pod("web"), pod("api"), deny()];
        let new = Change::create(row("row"));
        let lenient = judge(&house(|_| {}), &state, &new);
        assert!(lenient.is_allowed() && lenient.at(Level::Warn).count() == 1, "{:?}", said(&lenient));
        let strict = house(|house| house.rules[0].settings.on_create = Some(Level::Enforce));
        let refused = judge(&strict, &state, &new);
        assert!(!refused.is_allowed());
        assert!(matches!(refused.cure, Cure::First(_)), "the policy that makes it so is offered: {:?}", refused.cure);
    }

    #[test]
    fn what_hangs_on_the_plugin_is_settled_by_the_dialect() {
        let state = [pod("web"), pod("api"), row("row"), deny()];
        let block = json!({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 80}]});
        let open = read(
            Kind::NetworkPolicy,
            "open",
            json!({"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [block]}}),
        );
        // It held with the policy; without it nothing admits anybody.
        let with = [&state[..3], &[deny(), open.clone()][..]].concat();
        let gone = Change::delete(open);
        let settled = |dialect| house(|house| house.rules[0].settings.dialect = dialect);
        assert!(!judge(&settled(Some(Dialect::Calico)), &with, &gone).is_allowed(), "on Calico the block matches pods");
        assert!(judge(&settled(Some(Dialect::Cilium)), &with, &gone).is_allowed(), "on Cilium it never let them in");
        assert!(judge(&settled(None), &with, &gone).is_allowed(), "unsettled it was no row that held");
    }

    #[test]
    fn a_pod_that_brings_other_labels_is_judged_when_it_comes() {
        let state = [pod("web"), pod("api"), row("row")];
        let isolate = json!({"podSelector": {"matchLabels": {"tier": "shut"}}, "policyTypes": ["Ingress"]});
        let shut = read(Kind::NetworkPolicy, "shut", json!({"spec": isolate}));
        assert!(judge(&house(|_| {}), &state, &Change::create(shut.clone())).findings.is_empty());
        let labels = json!({"name": "api-2", "namespace": "shop", "labels": {"app": "api", "tier": "shut"}});
        let second = from_value(Kind::Pod, &json!({"metadata": labels, "spec": {}}), &Defaults::default());
        let state = [&state[..], &[shut][..]].concat();
        assert!(!judge(&house(|_| {}), &state, &Change::create(second)).is_allowed());
    }

    #[test]
    fn what_would_take_too_long_is_left_with_a_word_and_of_the_cluster_refused() {
        let one = |i: usize, operator: &str| json!({"matchExpressions": [{"key": "app", "operator": operator, "values": [format!("svc-{i}")]}]});
        let policies = (0..140).map(|n| {
            let (i, operator) = (n / 2, ["In", "NotIn"][n % 2]);
            let spec = json!({
                "podSelector": one(i, operator), "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": one(i, "In")}], "ports": [{"port": 80}]}],
            });
            read(Kind::NetworkPolicy, &format!("p{n}"), json!({"spec": spec}))
        });
        let spec = |end: Value| json!({"from": end, "to": end, "ports": [{"port": 5432}], "expect": "Deny"});
        let everybody = json!({"namespaceSelector": {}, "podSelector": {}});
        let own = |i| {
            read(Kind::ConnectivityAssertion, &format!("row-{i}"), json!({"spec": spec(json!({"podSelector": {}}))}))
        };
        let mut state: Vec<Object> = policies.chain((0..10).map(own)).chain([pod("web"), deny()]).collect();
        let gone = Change::delete(deny());
        let judged = judge(&house(|_| {}), &state, &gone);
        assert!(judged.is_allowed(), "{:?}", said(&judged));
        assert!(
            said(&judged).iter().any(|said| said.contains("would take too long to evaluate")),
            "{:?}",
            said(&judged)
        );
        let whole = json!({"metadata": {"name": "whole"}, "spec": spec(everybody)});
        state.push(from_value(Kind::ClusterConnectivityAssertion, &whole, &Defaults::default()));
        let judged = judge(&house(|_| {}), &state, &gone);
        assert!(
            said(&judged)[0].starts_with("enforce: cluster assertion whole would take too long"),
            "{:?}",
            said(&judged)
        );
    }
}
