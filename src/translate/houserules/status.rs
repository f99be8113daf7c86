//! What the status of our objects says: conditions that change their time only with their status, and conflicts.

use jiff::Timestamp;

use crate::api::{Condition, ConditionStatus};
use crate::model::house::{HouseRules, PartialSettings};
use crate::model::{Selector, Str, Unread};

/// Slips that a message names one by one; the rest is counted.
const NAMED: usize = 10;

/// What conditions are about: the object's generation, the time, and what the object said before.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// `metadata.generation` of the object that was read.
    pub generation: Option<i64>,
    /// Now.
    pub now: Timestamp,
    /// Conditions in the status so far.
    pub previous: &'a [Condition],
}

impl Judged<'_> {
    /// A condition whose time changes only with its status.
    pub fn condition(&self, type_: &str, status: bool, reason: &str, message: String) -> Condition {
        let status = if status { ConditionStatus::True } else { ConditionStatus::False };
        let since = self.previous.iter().find(|c| c.type_ == type_ && c.status == status);
        Condition {
            type_: type_.to_owned(),
            status,
            observed_generation: self.generation,
            last_transition_time: match since {
                Some(previous) => previous.last_transition_time.clone(),
                // Whole seconds, as everywhere in Kubernetes.
                None => self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            },
            reason: reason.to_owned(),
            message,
        }
    }
}

/// Conditions of a HouseRules object: `Accepted` and `Conflicting`.
pub fn conditions(unread: &[Unread], conflicts: &[String], judged: Judged<'_>) -> Vec<Condition> {
    let accepted = if unread.is_empty() {
        judged.condition("Accepted", true, "Read", "everything was read".to_owned())
    } else {
        judged.condition("Accepted", false, "NotUnderstood", listed(unread.iter().map(slip)))
    };
    let conflicting = if conflicts.is_empty() {
        judged.condition("Conflicting", false, "NoConflict", "no other HouseRules gives other settings".to_owned())
    } else {
        judged.condition("Conflicting", true, "SettingsDiffer", listed(conflicts.iter().cloned()))
    };
    vec![accepted, conflicting]
}

/// The condition of a RuleException: `Active`. `expires_at` is that of the exception, `None` if it cannot count;
/// `honoured` whether it lives in a namespace where exceptions count.
pub fn exception_conditions(
    unread: &[Unread],
    expires_at: Option<i64>,
    honoured: bool,
    judged: Judged<'_>,
) -> Vec<Condition> {
    let slips = || listed(unread.iter().map(slip));
    let (active, reason, message) = match expires_at {
        None => (false, "NotUnderstood", slips()),
        Some(_) if !honoured => {
            let text = "exceptions do not count in this namespace; move it to the namespace of Portcullis";
            (false, "NotHonoured", text.to_owned())
        }
        Some(end) if end <= judged.now.as_second() => {
            (false, "Expired", "its time is over; delete it or set a later spec.expires".to_owned())
        }
        Some(_) if unread.is_empty() => (true, "Active", "the rules are lifted until spec.expires".to_owned()),
        Some(_) => (true, "Active", format!("the rules that could be read are lifted; {}", slips())),
    };
    vec![judged.condition("Active", active, reason, message)]
}

/// Objects that give different settings for namespaces that both can govern, each with what to do about it.
/// Levels never conflict: the strictest one holds.
pub fn conflicts(all: &[HouseRules]) -> Vec<(Str, String)> {
    let mut found = Vec::new();
    for (i, one) in all.iter().enumerate() {
        for other in all.iter().skip(i + 1) {
            let differing = differing(&one.settings, &other.settings);
            if differing.is_empty() {
                continue;
            }
            let both = Selector::all(vec![one.namespaces.clone(), other.namespaces.clone()]);
            let Some(labels) = both.representative() else { continue };
            for (own, rival) in [(one, other), (other, one)] {
                let text = format!(
                    "{} differs from HouseRules/{} for namespaces that both select (such as one with {labels}); \
                     set it alike in both or let their namespaceSelectors differ",
                    differing.join(", "),
                    rival.name,
                );
                found.push((own.name.clone(), text));
            }
        }
    }
    found.sort();
    found
}

fn differing(a: &PartialSettings, b: &PartialSettings) -> Vec<&'static str> {
    fn differ<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }
    let pairs = [
        ("rules.missing-default-deny", differ(a.default_deny_directions.as_ref(), b.default_deny_directions.as_ref())),
        ("rules.open-cidr", differ(a.open_cidr.as_ref(), b.open_cidr.as_ref())),
        ("rules.broken-assertion", differ(a.on_create.as_ref(), b.on_create.as_ref())),
        ("dns", differ(a.dns.as_ref(), b.dns.as_ref())),
        ("dialect", differ(a.dialect.as_ref(), b.dialect.as_ref())),
    ];
    pairs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

fn slip(unread: &Unread) -> String {
    format!("{} {}", unread.at, unread.what)
}

fn listed(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut parts: Vec<String> = all.take(NAMED).collect();
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    parts.join("; ")
}
