//! "Did you mean": the label, namespace or port name nearest to one that matches nothing.

use std::collections::BTreeSet;

use crate::model::selector::Test;
use crate::model::{Labels, Selector, Str};

/// Edits that still count as a slip of the pen.
const EDITS: usize = 2;

/// How far apart two names are: an ending or part left out counts as nearer than a slip. `None` is too far.
fn distance(asked: &str, there: &str) -> Option<usize> {
    if asked == there {
        return Some(0);
    }
    // Names of one or two letters are near to everything.
    let short = asked.len().min(there.len()) < 3;
    if !short && (there.contains(asked) || asked.contains(there)) {
        return Some(1);
    }
    let edits = strsim::osa_distance(asked, there);
    (edits <= EDITS && edits * 2 < asked.chars().count()).then_some(edits + 1)
}

/// The nearest of several names.
pub(super) fn name<'a>(asked: &str, there: impl IntoIterator<Item = &'a Str>) -> Option<&'a Str> {
    let near = there.into_iter().filter_map(|name| Some((distance(asked, name)?, name)));
    near.min().map(|(_, name)| name)
}

/// What a selector asks for at its top level: a key with one of some values, or with any value.
fn demands(selector: &Selector) -> Vec<(&Str, &[Str])> {
    match selector {
        Selector::Key(key, Test::In(values)) => vec![(key, values)],
        Selector::Key(key, Test::Exists) => vec![(key, &[])],
        Selector::And(parts) => parts.iter().flat_map(demands).collect(),
        _ => Vec::new(),
    }
}

/// What is there instead of what a selector asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// A label so near that a slip is likely: `app=web`.
    Near(String),
    /// The key is there, with these values.
    Values(Str, Vec<Str>),
}

impl Instead {
    /// As a sentence, where `who` is `pods there` or `namespaces`.
    pub(super) fn sentence(&self, who: &str) -> String {
        match self {
            Self::Near(label) => format!("{who} have {label}: did you mean that?"),
            Self::Values(key, values) => {
                let shown: Vec<&str> = values.iter().take(3).map(|v| &**v).collect();
                let more = if values.len() > 3 { ", …" } else { "" };
                format!("{who} have {key}={}{more}", shown.join(&format!(", {key}=")))
            }
        }
    }
}

/// The label nearest to the first demand that nobody meets: the same key with a near value, the same value under another
/// key, a near key; failing these, what values the key has.
pub(super) fn label<'a>(selector: &Selector, there: impl IntoIterator<Item = &'a Labels>) -> Option<Instead> {
    let labels: BTreeSet<(&Str, &Str)> = there.into_iter().flat_map(Labels::iter).collect();
    let mut values_of = None;
    for (key, wanted) in demands(selector) {
        let met = labels.iter().any(|&(k, v)| k == key && (wanted.is_empty() || wanted.contains(v)));
        if met {
            continue;
        }
        let near = labels.iter().filter_map(|&(k, v)| {
            let value = if wanted.is_empty() { Some(0) } else { wanted.iter().filter_map(|w| distance(w, v)).min() };
            // Another key only counts together with exactly the value that was asked for, or when it is nearly the key.
            let rank = match (k == key, value?) {
                (true, edits) => edits,
                (false, 0) => distance(key, k).map_or(10, |edits| edits + 3),
                (false, _) => return None,
            };
            (!wanted.is_empty() || rank < 10).then(|| (rank, format!("{k}={v}")))
        });
        if let Some((_, label)) = near.min() {
            return Some(Instead::Near(label));
        }
        let values: Vec<Str> = labels.iter().filter(|(k, _)| *k == key).map(|(_, v)| (*v).clone()).collect();
        if !values.is_empty() && values_of.is_none() {
            values_of = Some(Instead::Values(key.clone(), values));
        }
    }
    values_of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(selector: &Selector, there: &[(&str, &str)]) -> Option<String> {
        let all: Vec<Labels> = there.iter().map(|pair| Labels::new([*pair])).collect();
        label(selector, &all).map(|instead| instead.sentence("pods"))
    }

    #[test]
    fn slips_of_values_and_keys_are_found() {
        let web = Selector::equals("app", "web");
        assert_eq!(near(&web, &[("app", "wax")]).unwrap(), "pods have app=wax", "another word, so no question");
        assert_eq!(near(&web, &[("app", "wbe")]).unwrap(), "pods have app=wbe: did you mean that?");
        assert_eq!(near(&web, &[("app", "web-api")]).unwrap(), "pods have app=web-api: did you mean that?");
        assert_eq!(
            near(&web, &[("app.kubernetes.io/name", "web"), ("tier", "front")]).unwrap(),
            "pods have app.kubernetes.io/name=web: did you mean that?"
        );
        assert_eq!(
            near(&Selector::equals("app", "postgres"), &[("app", "postgers")]).unwrap(),
            "pods have app=postgers: did you mean that?"
        );
        assert_eq!(near(&Selector::equals("app", "db"), &[("app", "web"), ("app", "api")]).unwrap(), {
            "pods have app=api, app=web"
        });
        assert_eq!(near(&web, &[("tier", "front")]), None);
        assert_eq!(near(&Selector::exists("tier"), &[("teir", "front")]).unwrap(), {
            "pods have teir=front: did you mean that?"
        });
    }

    #[test]
    fn names_are_near_when_a_part_was_left_out() {
        let there: Vec<Str> = vec!["ingress-nginx".into(), "monitoring".into()];
        assert_eq!(name("ingress", &there).map(|n| &**n), Some("ingress-nginx"));
        assert_eq!(name("monitorign", &there).map(|n| &**n), Some("monitoring"));
        assert_eq!(name("payments", &there), None);
    }
}
