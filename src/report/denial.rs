//! What kubectl shows: the denial with its reasons and its cure, and one short warning per finding.

use std::fmt::Write as _;

use super::{docs_url, yaml};
use crate::model::Operation;
use crate::model::house::{Level, RuleId};
use crate::review::{Cure, Judged, Verdict};
use crate::rules::Affected;

/// The API server cuts warnings at 256 characters when there are many; kube's own advice is 120.
const WARNING_LENGTH: usize = 120;
/// Pods named in a message before it says "and N more".
const MOST_AFFECTED: usize = 5;

/// The text of a denial: facts first, cure last. `None` if the request passes.
pub fn denial(verdict: &Verdict) -> Option<String> {
    let denied: Vec<&Judged> = verdict.at(Level::Enforce).collect();
    let first = denied.first()?;
    let mut out = String::new();
    let doing = if verdict.operation == Operation::Delete { "deleting " } else { "" };
    let mut broken: Vec<RuleId> = denied.iter().map(|j| j.finding.rule).collect();
    broken.dedup();
    let rules = if broken.len() == 1 { "a house rule".to_owned() } else { format!("{} house rules", broken.len()) };
    let breaks = if verdict.operation == Operation::Delete { "would break" } else { "breaks" };
    let _ = writeln!(out, "{doing}{} {breaks} {rules}\n", verdict.object);
    for (i, judged) in denied.iter().enumerate() {
        let finding = &judged.finding;
        let _ = writeln!(out, "{}. {}: {}", i + 1, finding.rule, finding.message);
        if !finding.path.is_empty() {
            let _ = writeln!(out, "   at       {}", finding.path);
        }
        for fact in &finding.because {
            let _ = writeln!(out, "   because  {fact}");
        }
        if !finding.affected.is_empty() {
            let _ = writeln!(out, "   affects  {}", affected(&finding.affected));
        }
        if let Some(help) = &finding.help {
            let _ = writeln!(out, "   help     {help}");
        }
    }
    out.push('\n');
    out.push_str(&cure(verdict));
    let _ = write!(out, "Level: {} ({}).", first.level, first.source);
    for rule in broken {
        let _ = write!(out, " Docs: {}", docs_url(rule));
    }
    Some(out)
}

fn cure(verdict: &Verdict) -> String {
    let again = if verdict.operation == Operation::Delete { "the delete" } else { "the same request" };
    match &verdict.cure {
        Cure::None => String::new(),
        Cure::First(policies) => format!(
            "fix: apply this first, then {again} passes (checked)\nkubectl apply -f - <<'EOF'\n{}EOF\n\n",
            yaml(policies)
        ),
        Cure::Instead(written) => format!(
            "fix: apply this in its place; it passes (checked)\nkubectl apply -f - <<'EOF'\n{}EOF\n\n",
            written.yaml
        ),
    }
}

/// `Deployment web (3 pods), StatefulSet db (1 pod) and 4 more`.
pub(super) fn affected(list: &[Affected]) -> String {
    let shown: Vec<String> = list
        .iter()
        .take(MOST_AFFECTED)
        .map(|a| match a.pods {
            0 => a.owner.to_string(),
            1 => format!("{} (1 pod)", a.owner),
            n => format!("{} ({n} pods)", a.owner),
        })
        .collect();
    match list.len().saturating_sub(MOST_AFFECTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Short warnings for the findings that are shown and do not deny: what is wrong, and where that alone helps nobody a
/// second one, because both rarely fit into one: what a selector would hit that misses its target, and what cannot be read
/// in a field.
pub fn warnings(verdict: &Verdict) -> Vec<String> {
    verdict.at(Level::Warn).flat_map(|judged| std::iter::once(warning(judged)).chain(hint(judged))).collect()
}

fn warning(judged: &Judged) -> String {
    let finding = &judged.finding;
    let note = if judged.pre_existing {
        " (as before)"
    } else if judged.wanted.min(finding.cap) == Level::Enforce {
        " (would be denied in enforce mode)"
    } else {
        ""
    };
    short(finding.rule, &finding.message, note)
}

fn hint(judged: &Judged) -> Option<String> {
    let finding = &judged.finding;
    let helps = matches!(
        finding.rule,
        RuleId::DanglingPeer | RuleId::DanglingSubject | RuleId::NotUnderstood | RuleId::UnresolvedNamedPort
    );
    let fact = finding.because.first().filter(|_| helps && !judged.pre_existing)?;
    Some(short(finding.rule, fact, ""))
}

/// `rule: text` and a note, cut to what every API server shows.
fn short(rule: RuleId, text: &str, note: &str) -> String {
    let text = format!("{rule}: {text}");
    let room = WARNING_LENGTH - note.len();
    if text.chars().count() <= room {
        return text + note;
    }
    let cut: String = text.chars().take(room - 1).collect();
    format!("{cut}…{note}")
}

/// `(rule, message, field)` of every finding that denies, for `status.details.causes`.
pub fn causes(verdict: &Verdict) -> Vec<(&'static str, String, String)> {
    verdict
        .at(Level::Enforce)
        .map(|j| (j.finding.rule.as_str(), j.finding.message.clone(), j.finding.path.as_str().to_owned()))
        .collect()
}
