//! Reads a spec (see `tests/rules/README.md`), judges its changes one after the other, and writes it back with what came out.

use std::fmt::Write as _;

use portcullis::model::entrance::{Entrances, Service};
use portcullis::model::house::{Exempt, House, HouseRules, Level, PartialSettings, RuleId};
use portcullis::model::{Change, Object, Policy, References, Selector, Str};
use portcullis::review::{Cure, Scope, User, Verdict, review_written};
use portcullis::snapshot::Snapshot;
use portcullis::source::manifests;
use portcullis::translate::narrow::Written;
use portcullis::translate::{self, Defaults, Kind, entrance, render};
use serde_json::Value;

/// What a change led to.
pub struct Outcome {
    pub verdict: Verdict,
}

impl Outcome {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.verdict.findings.is_empty()
    }
}

/// A spec after it ran.
pub struct Run {
    /// The spec as it should be.
    pub text: String,
    /// The verdicts in their order.
    pub outcomes: Vec<Outcome>,
}

/// The objects of one section, and the Services that are known in it.
#[derive(Clone, Default)]
struct State(Vec<Object>, References);

impl State {
    fn find(&self, object: &Object) -> Option<&Object> {
        let id = object.id();
        self.0.iter().find(|o| o.id().kind == id.kind && o.id().namespace == id.namespace && o.id().name == id.name)
    }

    fn carry_out(&mut self, change: &Change) {
        if let Some(before) = &change.before {
            self.0.retain(|object| object != before);
        }
        self.0.extend(change.after.clone());
    }
}

/// Runs a spec with this rule alone, at its default level.
pub fn run(rule: RuleId, text: &str) -> Run {
    let house = only(rule);
    let mut run = Run { text: String::new(), outcomes: Vec::new() };
    let (mut common, mut state, mut in_section) = (State::default(), State::default(), false);
    let source = without_verdicts(text);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("## ") {
            (state, in_section) = (common.clone(), true);
        }
        let _ = writeln!(run.text, "{line}");
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let body = body.join("\n") + "\n";
        let _ = writeln!(run.text, "{body}```");
        match info {
            "yaml state" => state.0.extend(objects(&body).into_iter().map(|(object, _)| object)),
            "yaml services" => state.1.services = services(&body),
            "yaml apply" | "yaml delete" => {
                let (change, value) = change(&state, info == "yaml delete", &body);
                let original = Written::of(&change.id, &value).expect("a kind that is known");
                let world = Snapshot::knowing(state.1.clone(), &state.0);
                let verdict = review_written(&world, &house, &change, &User::default(), &original, Scope::default());
                if let Cure::Instead(written) = &verdict.cure {
                    let again = objects(&written.yaml);
                    assert!(again.iter().map(|(object, _)| object).eq([&written.object]), "{}", written.yaml);
                }
                let _ = writeln!(run.text, "\n{VERDICT}\n{}```", show(&verdict));
                // As in a cluster: what was allowed is there from now on.
                if verdict.is_allowed() {
                    state.carry_out(&change);
                }
                run.outcomes.push(Outcome { verdict });
            }
            _ => panic!("`{info}` is no block of a spec"),
        }
        if !in_section {
            common = state.clone();
        }
    }
    run
}

const VERDICT: &str = "```text verdict";

/// The spec as its author wrote it: verdicts go, with the blank line before each.
fn without_verdicts(text: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != VERDICT {
            out.push(line);
            continue;
        }
        out.pop();
        for skipped in lines.by_ref() {
            if skipped == "```" {
                break;
            }
        }
    }
    out.join("\n") + "\n"
}

/// Puts copies of a list element in the place of `portcullis.test/repeat: N` before it: large objects would fill the page.
fn repeat(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(repeat),
        Value::Array(items) => {
            let mut all = Vec::with_capacity(items.len());
            let mut copies = 1;
            for mut item in std::mem::take(items) {
                if let Some(n) = item.get("portcullis.test/repeat").and_then(Value::as_u64) {
                    copies = n;
                    continue;
                }
                repeat(&mut item);
                all.extend(std::iter::repeat_n(item, usize::try_from(std::mem::replace(&mut copies, 1)).unwrap()));
            }
            *items = all;
        }
        _ => {}
    }
}

fn change(state: &State, delete: bool, body: &str) -> (Change, Value) {
    let mut list = objects(body);
    assert_eq!(list.len(), 1, "one object for each change:\n{body}");
    let (object, value) = list.remove(0);
    let before = state.find(&object).cloned();
    let change = match (delete, before) {
        (true, Some(before)) => Change::delete(before),
        (true, None) => panic!("{} is not there to be deleted", object.id()),
        (_, Some(before)) => Change::update(before, object),
        (_, None) => Change::create(object),
    };
    (change, value)
}

/// Services, which are no objects of a review.
fn services(yaml: &str) -> std::collections::BTreeMap<(Str, Str), Service> {
    let mut entrances = Entrances::default();
    for document in manifests::read_str("spec", yaml).0 {
        assert!(entrance::take("", "Service", &document.value, "default", &mut entrances), "no Service:\n{yaml}");
    }
    entrances.services
}

/// Objects as they are read, and as they are written.
fn objects(yaml: &str) -> Vec<(Object, Value)> {
    let (documents, errors) = manifests::read_str("spec", yaml);
    assert!(errors.is_empty(), "{errors:?}\n{yaml}");
    let read = documents.into_iter().map(|document| {
        let api = document.api_version().unwrap_or_default();
        let group = api.split_once('/').map_or("", |(group, _)| group);
        let kind = document.kind().and_then(|kind| Kind::of(group, kind));
        let kind = kind.unwrap_or_else(|| panic!("{api} {:?} is no kind that is known", document.kind()));
        let mut value = document.value;
        repeat(&mut value);
        let object = translate::from_value(kind, &value, &Defaults { namespace: "default", name: "" });
        (object, value)
    });
    read.collect()
}

fn only(rule: RuleId) -> House {
    let levels = RuleId::ALL.iter().map(|id| (*id, if *id == rule { rule.default_level() } else { Level::Off }));
    let rules = HouseRules {
        name: "spec".into(),
        namespaces: Selector::everything(),
        levels: levels.collect(),
        settings: PartialSettings::default(),
        exempt: Exempt::default(),
    };
    House { rules: vec![rules], ..House::default() }
}

fn show(verdict: &Verdict) -> String {
    let mut out = String::from(if verdict.is_allowed() { "allowed\n" } else { "denied\n" });
    for judged in &verdict.findings {
        let finding = &judged.finding;
        let place = format!("{} {}", finding.object, finding.path);
        let _ = writeln!(out, "{}: {} ({})", judged.level, finding.message, place.trim_end());
        for fact in &finding.because {
            let _ = writeln!(out, "  because {fact}");
        }
        if !finding.affected.is_empty() {
            let affected = finding.affected.iter().map(|a| format!("{} ({} pods)", a.owner, a.pods));
            let _ = writeln!(out, "  affects {}", affected.collect::<Vec<_>>().join(", "));
        }
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "  help {help}");
        }
        if judged.pre_existing {
            let _ = writeln!(out, "  as before");
        }
    }
    match &verdict.cure {
        Cure::None => {}
        Cure::First(policies) => {
            let _ = write!(out, "cure: apply this first\n{}", yaml(policies));
        }
        Cure::Instead(written) => {
            let _ = write!(out, "cure: apply this instead\n{}", written.yaml);
        }
    }
    out
}

fn yaml(policies: &[Policy]) -> String {
    let all = policies.iter().map(|policy| render::to_yaml(&render::policy(policy).unwrap()));
    all.collect::<Vec<_>>().join("---\n")
}
