//! What kubectl shows: the denial with its reasons and its cure, and one short warning per finding.

use std::fmt::Write as _;

use super::printable::{MOST_OF_A_SENTENCE, cut, lines, one_line, sentence};
use super::{docs_url, yaml};
use crate::model::Operation;
use crate::model::house::{Level, RuleId};
use crate::review::{Cure, Judged, Verdict};
use crate::rules::Affected;

/// The API server cuts warnings at 256 characters when there are many; kube's own advice is 120.
const WARNING_LENGTH: usize = 120;
/// Pods named in a message before it says "and N more".
const MOST_AFFECTED: usize = 5;

/// Findings of a denial that are shown in full.
const MOST_FINDINGS: usize = 12;
/// Facts of one finding that are shown.
const MOST_FACTS: usize = 12;
/// Bytes of a fix that is printed.
const MOST_OF_A_FIX: usize = 8 << 10;
/// Bytes of the text of a denial.
const MOST_OF_A_DENIAL: usize = 16 << 10;
/// Warnings of one answer. The API server passes on 4 KiB of them.
const MOST_WARNINGS: usize = 40;

/// The text of a denial: facts first, fix last, at most 16 KiB. `None` if the request passes.
pub fn denial(verdict: &Verdict) -> Option<String> {
    let denied: Vec<&Judged> = verdict.at(Level::Enforce).collect();
    let first = denied.first()?;
    let mut out = String::new();
    let doing = if verdict.operation == Operation::Delete { "deleting " } else { "" };
    let mut broken: Vec<RuleId> = denied.iter().map(|j| j.finding.rule).collect();
    broken.dedup();
    let rules = if broken.len() == 1 { "a house rule".to_owned() } else { format!("{} house rules", broken.len()) };
    let breaks = if verdict.operation == Operation::Delete { "would break" } else { "breaks" };
    let _ = writeln!(out, "{doing}{} {breaks} {rules}\n", sentence(&verdict.object.to_string()));
    let fix = fix(verdict);
    let end = level_and_docs(first, &broken);
    let room = MOST_OF_A_DENIAL - fix.len().min(MOST_OF_A_DENIAL / 2) - end.len().min(MOST_OF_A_DENIAL / 4);
    for (i, judged) in denied.iter().enumerate() {
        if i == MOST_FINDINGS || out.len() + MOST_OF_A_SENTENCE > room {
            let _ = writeln!(out, "and {} more findings", denied.len() - i);
            break;
        }
        let told = out.len();
        tell(&mut out, i + 1, judged);
        // One finding with all that belongs to it can be longer than the whole should be.
        if out.len() > room {
            let whole = out.split_off(told);
            let _ = writeln!(out, "{}", cut(&whole, room.saturating_sub(told)));
        }
    }
    let _ = write!(out, "\n{fix}{end}");
    Some(out)
}

fn tell(out: &mut String, number: usize, judged: &Judged) {
    let finding = &judged.finding;
    let _ = writeln!(out, "{number}. {}: {}", finding.rule, sentence(&finding.message));
    if !finding.path.is_empty() {
        let _ = writeln!(out, "   at       {}", sentence(finding.path.as_str()));
    }
    for fact in finding.because.iter().take(MOST_FACTS) {
        let _ = writeln!(out, "   because  {}", sentence(fact));
    }
    if finding.because.len() > MOST_FACTS {
        let _ = writeln!(out, "   because  of {} more facts", finding.because.len() - MOST_FACTS);
    }
    if !finding.affected.is_empty() {
        let _ = writeln!(out, "   affects  {}", sentence(&affected(&finding.affected)));
    }
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "   help     {}", sentence(help));
    }
}

fn level_and_docs(first: &Judged, broken: &[RuleId]) -> String {
    let mut out = format!("Level: {} ({}).", first.level, sentence(&first.source));
    for rule in broken {
        let _ = write!(out, " Docs: {}", docs_url(*rule));
    }
    out
}

fn fix(verdict: &Verdict) -> String {
    let again = if verdict.operation == Operation::Delete { "the delete" } else { "the same request" };
    let (how, yaml) = match &verdict.cure {
        Cure::None => return String::new(),
        Cure::First(policies) => (format!("apply this first, then {again} passes (checked)"), yaml(policies)),
        Cure::Instead(written) => ("apply this in its place; it passes (checked)".to_owned(), written.yaml.clone()),
    };
    if yaml.len() > MOST_OF_A_FIX {
        return match &verdict.cure {
            Cure::Instead(_) => {
                "fix: send the object without the addresses named above; it passes then (checked). It is too \
                                 long to print\n\n"
                    .to_owned()
            }
            _ => "fix: there is one (checked), and it is too long to print\n\n".to_owned(),
        };
    }
    format!("fix: {how}\nkubectl apply -f - <<'EOF'\n{}EOF\n\n", lines(&yaml))
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
    let mut all = verdict.at(Level::Warn).flat_map(|judged| std::iter::once(warning(judged)).chain(hint(judged)));
    let mut shown: Vec<String> = all.by_ref().take(MOST_WARNINGS).collect();
    let more = all.count();
    if more > 0 {
        shown.push(format!("{more} more warnings are not shown"));
    }
    shown
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
    let text = format!("{rule}: {}", one_line(text));
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
        .take(MOST_FINDINGS)
        .map(|j| {
            let finding = &j.finding;
            let (message, path) = (cut(&finding.message, 512), cut(finding.path.as_str(), 256));
            (finding.rule.as_str(), one_line(&message).into_owned(), one_line(&path).into_owned())
        })
        .collect()
}
