//! "Did you mean": the label, namespace or port name nearest to one that matches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::model::labels::{NAMESPACE_NAME_LABEL, namespace_name_label};
use crate::model::meter::charge;
use crate::model::selector::Test;
use crate::model::{Labels, Selector, Str};
use crate::snapshot::Directory;

/// Edits that still count as a slip of the pen.
const EDITS: usize = 2;

/// Bytes of the longest name that is compared: a label has 63 at most, its prefix 253.
const LONGEST: usize = 320;

/// How far apart two names are: an ending or part left out counts as nearer than a slip. `None` is too far.
fn distance(asked: &str, there: &str) -> Option<usize> {
    if asked == there {
        return Some(0);
    }
    if asked.len() > LONGEST {
        return None;
    }
    // Names of one or two letters are near to everything.
    let short = asked.len().min(there.len()) < 3;
    if !short && (there.contains(asked) || asked.contains(there)) {
        return Some(1);
    }
    // Names whose lengths differ by more have more edits.
    if asked.len().abs_diff(there.len()) > 4 * EDITS {
        return None;
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

/// Labels that are there, for suggestions. Lists are bounded: of a large cluster not every label is compared.
pub(super) trait Vocabulary {
    /// Keys, at most [`MOST_CANDIDATES`].
    fn keys(&self) -> Vec<&Str>;
    /// Whether the label is there.
    fn has(&self, key: &str, value: &str) -> bool;
    /// Values of the key that come before and after this one in order, at most [`MOST_CANDIDATES`].
    fn around(&self, key: &str, value: &Str) -> Vec<&Str>;
    /// The first values of the key, one more than a sentence shows.
    fn first(&self, key: &str) -> Vec<Str>;
}

/// Names or values that are compared with the one that matches nothing.
const MOST_CANDIDATES: usize = 64;

/// Pods whose labels are looked at.
const MOST_PODS: usize = 2_000;

/// Values that a sentence about a key shows, and one more.
const SHOWN: usize = 4;

/// Labels of some pods.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeMap<Str, BTreeSet<Str>>);

impl Words {
    /// The labels of the first pods of a list.
    pub(super) fn of<'a>(there: impl IntoIterator<Item = &'a Labels>) -> Self {
        let mut words = Self::default();
        for labels in there.into_iter().take(MOST_PODS) {
            charge(1 + 4 * labels.len());
            for (key, value) in labels.iter() {
                match words.0.get_mut(key) {
                    Some(values) if values.contains(value) => {}
                    Some(values) => drop(values.insert(value.clone())),
                    None => drop(words.0.insert(key.clone(), BTreeSet::from([value.clone()]))),
                }
            }
        }
        words
    }
}

impl Vocabulary for Words {
    fn keys(&self) -> Vec<&Str> {
        self.0.keys().take(MOST_CANDIDATES).collect()
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|values| values.contains(value))
    }

    fn around(&self, key: &str, value: &Str) -> Vec<&Str> {
        let Some(values) = self.0.get(key) else { return Vec::new() };
        let (before, after) = (values.range::<Str, _>(..value).rev(), values.range::<Str, _>(value..));
        before.take(MOST_CANDIDATES / 2).chain(after.take(MOST_CANDIDATES / 2)).collect()
    }

    fn first(&self, key: &str) -> Vec<Str> {
        self.0.get(key).into_iter().flatten().take(SHOWN).cloned().collect()
    }
}

impl Vocabulary for Directory {
    fn keys(&self) -> Vec<&Str> {
        std::iter::once(&*NAME_LABEL).chain(Self::keys(self)).take(MOST_CANDIDATES).collect()
    }

    fn has(&self, key: &str, value: &str) -> bool {
        if key == NAMESPACE_NAME_LABEL {
            return self.names().binary_search_by(|name| (**name).cmp(value)).is_ok();
        }
        Self::has(self, key, value)
    }

    fn around(&self, key: &str, value: &Str) -> Vec<&Str> {
        if key == NAMESPACE_NAME_LABEL {
            return neighbours(value, self.names()).iter().collect();
        }
        let (before, after) = (self.values_before(key, value), self.values_from(key, value));
        before.take(MOST_CANDIDATES / 2).chain(after.take(MOST_CANDIDATES / 2)).collect()
    }

    fn first(&self, key: &str) -> Vec<Str> {
        if key == NAMESPACE_NAME_LABEL {
            return self.names().iter().take(SHOWN).cloned().collect();
        }
        self.values(key).take(SHOWN).cloned().collect()
    }
}

/// The label that holds a namespace's name, as a string that lives long enough.
static NAME_LABEL: LazyLock<Str> = LazyLock::new(namespace_name_label);

/// The names in a sorted list that are compared with one: all of a short list, of a long one the neighbours in order.
fn neighbours<'a>(asked: &str, there: &'a [Str]) -> &'a [Str] {
    let middle = there.partition_point(|name| **name < *asked);
    let range = if there.len() <= 4 * MOST_CANDIDATES {
        0..there.len()
    } else {
        middle.saturating_sub(MOST_CANDIDATES / 2)..there.len().min(middle + MOST_CANDIDATES / 2)
    };
    charge(8 * range.len());
    there.get(range).unwrap_or_default()
}

/// The name nearest to one in a sorted list.
pub(super) fn name_in_order<'a>(asked: &str, there: &'a [Str]) -> Option<&'a Str> {
    name(asked, neighbours(asked, there))
}

/// The label nearest to the first demand that is not met: the same key with a near value, the same value under another
/// key, a near key; failing these, what values the key has.
pub(super) fn label(selector: &Selector, there: &impl Vocabulary) -> Option<Instead> {
    /// Values of one demand that are compared.
    const MOST_WANTED: usize = 8;
    let mut values_of = None;
    for (key, wanted) in demands(selector).into_iter().take(MOST_WANTED) {
        let wanted = wanted.get(..MOST_WANTED).unwrap_or(wanted);
        let first = there.first(key);
        charge(8 * MOST_CANDIDATES * (1 + wanted.len()));
        let met = if wanted.is_empty() { !first.is_empty() } else { wanted.iter().any(|v| there.has(key, v)) };
        if met {
            continue;
        }
        let same_key = wanted.iter().flat_map(|wanted| {
            let values = there.around(key, wanted).into_iter();
            values.filter_map(|value| Some((distance(wanted, value)?, format!("{key}={value}"))))
        });
        // Another key only counts together with exactly the value that was asked for, or when it is nearly the key.
        let keys = there.keys();
        let other_key = keys.iter().filter(|other| **other != key).flat_map(|other| {
            let near = distance(key, other).map(|edits| edits + 3);
            let same_value = wanted.iter().filter(|wanted| there.has(other, wanted)).cloned();
            let any = wanted.is_empty() && near.is_some();
            let any_value = there.first(other).into_iter().filter(move |_| any);
            same_value.chain(any_value).map(move |value| (near.unwrap_or(10), format!("{other}={value}")))
        });
        if let Some((_, label)) = same_key.chain(other_key).min() {
            return Some(Instead::Near(label));
        }
        if !first.is_empty() && values_of.is_none() {
            values_of = Some(Instead::Values(key.clone(), first));
        }
    }
    values_of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(selector: &Selector, there: &[(&str, &str)]) -> Option<String> {
        let all: Vec<Labels> = there.iter().map(|pair| Labels::new([*pair])).collect();
        label(selector, &Words::of(&all)).map(|instead| instead.sentence("pods"))
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
