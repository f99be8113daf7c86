//! One answered question: as text for people, as JSON for machines.

use std::fmt::Write as _;

use serde::Serialize;

use super::findings::{ObjectId, Place};
use super::matrix::{connections, external};
use super::yaml;
use crate::model::{Action, Direction, FieldPath, IpSet, ObjectRef, PortSet};
use crate::reach::{Answer, Governed, Part, Remedy, SideAnswer, Step, Verdict, has_ports};

/// Everything there is to show.
pub struct Reach<'a> {
    /// The source as it was asked for.
    pub from: String,
    /// The destination as it was asked for.
    pub to: String,
    /// The ports asked for.
    pub ports: Option<PortSet>,
    /// The answer.
    pub answer: Answer,
    /// Policies that would open a refused flow.
    pub remedy: Option<Remedy>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// Where a field of an object is written.
    pub locate: &'a dyn Fn(&ObjectRef, &FieldPath) -> Option<Place>,
}

#[derive(Serialize)]
struct Json {
    from: String,
    to: String,
    port: Option<String>,
    verdict: &'static str,
    connections: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    depends: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<String>,
    egress: JsonSide,
    ingress: JsonSide,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    points: Vec<JsonPoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<JsonPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<JsonFix>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct JsonPart {
    from: Vec<String>,
    to: Vec<String>,
    verdict: &'static str,
    connections: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    depends: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<String>,
    egress: JsonSide,
    ingress: JsonSide,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonSide {
    verdict: &'static str,
    connections: String,
    governed_by: &'static str,
    decided_by: Vec<JsonStep>,
}

#[derive(Serialize)]
struct JsonStep {
    tier: String,
    policy: ObjectId,
    path: String,
    action: &'static str,
    ports: String,
    certain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
struct JsonPoint {
    id: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonFix {
    policies: String,
    instead: Vec<String>,
    also_isolates: Vec<String>,
}

impl Reach<'_> {
    /// As JSON, indented, with a final newline.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let parts = &self.answer.parts;
        let side = |pick: fn(&Part) -> &SideAnswer, direction| self.json_side(parts.iter().map(pick), direction);
        let json = Json {
            from: self.from.clone(),
            to: self.to.clone(),
            port: self.ports.as_ref().map(connections),
            verdict: self.answer.verdict.as_str(),
            connections: connections(&self.answer.bounds.certain),
            depends: doubtful(&self.answer.bounds.doubtful()),
            filtered: doubtful(&self.asked(&self.answer.bounds.filtered)),
            egress: side(|p| &p.egress, Direction::Egress),
            ingress: side(|p| &p.ingress, Direction::Ingress),
            points: self.answer.points.iter().map(|p| JsonPoint { id: p.as_str(), text: p.sentence() }).collect(),
            parts: if parts.len() < 2 { Vec::new() } else { parts.iter().map(|p| self.json_part(p)).collect() },
            fix: self.remedy.as_ref().map(|remedy| JsonFix {
                policies: yaml(&remedy.policies),
                instead: remedy.instead.iter().map(|(id, at)| format!("{id} {at}")).collect(),
                also_isolates: remedy.also_isolates.iter().map(ToString::to_string).collect(),
            }),
            notes: self.notes.clone(),
        };
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }

    fn json_part(&self, part: &Part) -> JsonPart {
        let names = |own: &str| match &part.addresses {
            Some(set) if own.is_empty() => external(set),
            _ => own.split(", ").map(str::to_owned).collect(),
        };
        JsonPart {
            from: names(&part.from),
            to: names(&part.to),
            verdict: part.verdict.as_str(),
            connections: connections(&part.bounds.certain),
            depends: doubtful(&part.bounds.doubtful()),
            filtered: doubtful(&self.asked(&part.bounds.filtered)),
            egress: self.json_side([&part.egress].into_iter(), Direction::Egress),
            ingress: self.json_side([&part.ingress].into_iter(), Direction::Ingress),
        }
    }

    fn json_side<'s>(&self, sides: impl Iterator<Item = &'s SideAnswer>, direction: Direction) -> JsonSide {
        let sides: Vec<&SideAnswer> = sides.collect();
        let mut all = sides.iter().map(|s| s.bounds.clone());
        let first = all.next().unwrap_or_default();
        let bounds = all.fold(first, |all, next| all.either(&next));
        let mut steps: Vec<&Step> = Vec::new();
        for step in sides.iter().flat_map(|s| &s.decided_by) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        JsonSide {
            verdict: Verdict::of_parts(sides.iter().map(|s| s.verdict)).as_str(),
            connections: connections(&bounds.certain),
            governed_by: match sides.first().map(|s| s.governed) {
                Some(Governed::Policies) => "policies",
                Some(Governed::NotIsolated) | None => "nothing",
                Some(Governed::HostNetwork) => "host network",
                Some(Governed::Outside) => "outside the cluster",
            },
            decided_by: steps.into_iter().map(|step| self.json_step(step, direction)).collect(),
        }
    }

    fn json_step(&self, step: &Step, direction: Direction) -> JsonStep {
        let path = path(step, direction);
        let place = (self.locate)(&step.policy.id, &path);
        let rule = step.rule.and_then(|i| step.policy.rules(direction).get(i));
        JsonStep {
            tier: step.policy.tier.name.to_string(),
            policy: ObjectId::from(&*step.policy.id),
            path: path.as_str().to_owned(),
            action: action(step),
            ports: connections(&step.ports),
            certain: step.certain,
            filtered: rule.and_then(|r| r.filtered_by.as_ref()).map(ToString::to_string),
            file: place.as_ref().map(|p| p.file.clone()),
            line: place.map(|p| p.line),
        }
    }

    /// What of these ports is asked about.
    fn asked(&self, ports: &PortSet) -> PortSet {
        self.ports.as_ref().map_or_else(|| ports.clone(), |asked| ports.intersection(asked))
    }

    /// As text for a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let on = self.ports.as_ref().map_or_else(String::new, |ports| format!(" on {}", connections(ports)));
        let filtered = self.asked(&self.answer.bounds.filtered);
        let how = if has_ports(&filtered) && self.answer.verdict != Verdict::Deny { ", filtered" } else { "" };
        let _ = writeln!(out, "{}{how}: {} to {}{on}", self.answer.verdict, self.from, self.to);
        let _ = writeln!(out, "connections: {}", shown(&self.answer.bounds.certain, &self.answer.bounds.doubtful()));
        if !how.is_empty() {
            let _ = writeln!(out, "filtered: {} passes under a further condition only", connections(&filtered));
        }
        for point in &self.answer.points {
            let _ = writeln!(out, "depends: {}", point.sentence());
        }
        let several = self.answer.parts.len() > 1;
        for part in &self.answer.parts {
            out.push('\n');
            if several {
                let _ = writeln!(
                    out,
                    "{}: {} to {}: {}",
                    part.verdict,
                    self.end(&part.from, part.addresses.as_ref()),
                    self.end(&part.to, part.addresses.as_ref()),
                    shown(&part.bounds.certain, &part.bounds.doubtful())
                );
            }
            self.text_side(&mut out, &part.egress, Direction::Egress, &part.from);
            self.text_side(&mut out, &part.ingress, Direction::Ingress, &part.to);
        }
        if let Some(remedy) = &self.remedy {
            self.text_fix(&mut out, remedy);
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        out
    }

    #[allow(clippy::unused_self, reason = "reads better beside its siblings")]
    fn end(&self, names: &str, addresses: Option<&IpSet>) -> String {
        match addresses {
            Some(set) if names.is_empty() => set.summary(6),
            _ => names.to_owned(),
        }
    }

    fn text_side(&self, out: &mut String, side: &SideAnswer, direction: Direction, name: &str) {
        let what = direction.field();
        let said = match side.governed {
            Governed::Outside => return,
            Governed::HostNetwork => "on its node's network: policies do not apply".to_owned(),
            Governed::NotIsolated => format!("no policy isolates it for {direction}: everything passes"),
            Governed::Policies => shown(&side.bounds.certain, &side.bounds.doubtful()),
        };
        let _ = writeln!(out, "  {what:7} of {name}: {} ({said})", side.verdict);
        let (rules, isolations): (Vec<&Step>, Vec<&Step>) = side.decided_by.iter().partition(|s| s.rule.is_some());
        for step in rules {
            let path = path(step, direction);
            let verb = if step.certain { verb(step.action) } else { may(step.action) };
            let _ = writeln!(
                out,
                "    {} tier: {} {} {verb} {}{}",
                step.policy.tier.name,
                step.policy.id,
                path.short(),
                connections(&self.asked(&step.ports)),
                self.place(step, &path)
            );
            let rule = step.rule.and_then(|i| step.policy.rules(direction).get(i));
            if let Some(filter) = rule.and_then(|r| r.filtered_by.as_ref()) {
                let _ = writeln!(out, "      filtered by {filter}");
            }
        }
        for step in &isolations {
            let path = path(step, direction);
            let (tier, place) = (&step.policy.tier.name, self.place(step, &path));
            let why = by_setting(&step.policy.id).map(|setting| format!(" ({setting})")).unwrap_or_default();
            let _ = writeln!(out, "    {tier} tier: {} isolates it{why}{place}", step.policy.id);
        }
        if let Some(step) = isolations.first() {
            let doubt = if step.certain { "" } else { " for certain" };
            let _ = writeln!(out, "    no rule admits {}{doubt}", connections(&self.asked(&step.ports)));
        }
    }

    fn place(&self, step: &Step, path: &FieldPath) -> String {
        (self.locate)(&step.policy.id, path).map_or_else(String::new, |p| format!("   {}:{}", p.file, p.line))
    }

    #[allow(clippy::unused_self, reason = "reads better beside its siblings")]
    fn text_fix(&self, out: &mut String, remedy: &Remedy) {
        let sides: Vec<&str> = remedy
            .policies
            .iter()
            .map(|p| if p.isolates_egress { "egress of the source" } else { "ingress of the destination" })
            .collect();
        let _ = writeln!(out, "\nto open it, allow it on the {} (checked):\n", sides.join(" and on the "));
        out.push_str(&yaml(&remedy.policies));
        for (id, at) in &remedy.instead {
            let _ = writeln!(out, "# or add the rule to {id} as {at}");
        }
        for owner in &remedy.also_isolates {
            let _ = writeln!(out, "# careful: {owner} has the same labels and would be isolated by this policy");
        }
    }
}

/// Where the step is written: the rule, or what makes the policy isolate.
pub(super) fn path(step: &Step, direction: Direction) -> FieldPath {
    match step.rule.and_then(|i| step.policy.rules(direction).get(i)) {
        Some(rule) => rule.at.clone(),
        None if by_setting(&step.policy.id).is_some() => FieldPath::new("data").field("enable-policy"),
        None if step.policy.id.group() == "cilium.io" => FieldPath::new("spec").field("endpointSelector"),
        None => FieldPath::new("spec").field("podSelector"),
    }
}

/// What isolates where it is no policy but Cilium's configuration that does.
fn by_setting(id: &ObjectRef) -> Option<&'static str> {
    (id.kind == "ConfigMap").then_some("enable-policy: always")
}

pub(super) const fn action(step: &Step) -> &'static str {
    match (step.action, step.rule) {
        (Action::Allow, _) => "Allow",
        (Action::Pass, _) => "Pass",
        (Action::Deny, Some(_)) => "Deny",
        (Action::Deny, None) => "Isolate",
    }
}

const fn verb(action: Action) -> &'static str {
    match action {
        Action::Allow => "allows",
        Action::Deny => "denies",
        Action::Pass => "passes on",
    }
}

const fn may(action: Action) -> &'static str {
    match action {
        Action::Allow => "may allow",
        Action::Deny => "may deny",
        Action::Pass => "may pass on",
    }
}

fn doubtful(set: &PortSet) -> Option<String> {
    has_ports(set).then(|| connections(set))
}

fn shown(certain: &PortSet, doubt: &PortSet) -> String {
    match (has_ports(certain), doubtful(doubt)) {
        (_, None) => connections(certain),
        (true, Some(doubt)) => format!("{}; {doubt} depends", connections(certain)),
        (false, Some(doubt)) => format!("{doubt} depends"),
    }
}
