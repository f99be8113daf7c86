//! Boolean expressions over labels: Kubernetes label selectors, and everything that Cilium and Calico add to them.
//!
//! Besides matching, a selector can be *solved*: which labels would match, or escape, a set of selectors? That is how
//! "every pod of the namespace, with whatever labels" is decided exactly and not by looking for `podSelector: {}`.

mod fold;
mod settle;
mod texts;

use std::collections::BTreeMap;
use std::fmt;

use super::Str;
use super::labels::Labels;

pub use fold::{and, name_in_namespace, not, or};

/// Pseudo label: the pod's service account name.
pub const SERVICE_ACCOUNT_KEY: &str = "@serviceaccount";
/// Pseudo label: present where the labels of the pod's service account are known. Selectors in force do not have it: the
/// snapshot settles it, and the next one, by the service accounts that it knows.
pub const ACCOUNT_KNOWN_KEY: &str = "@serviceaccount-known";
/// Pseudo label prefix: the labels of the pod's service account.
pub const ACCOUNT_LABEL_PREFIX: &str = "@serviceaccount/";
/// Pseudo label prefix: the labels of the pod's namespace.
pub const NAMESPACE_LABEL_PREFIX: &str = "@namespace/";

/// Something that has a value for some keys.
pub trait Lookup {
    /// The value of the key, if the key is there.
    fn value(&self, key: &str) -> Option<&str>;
}

impl Lookup for Labels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(|v| &**v)
    }
}

/// What has no labels at all.
struct NoLabels;

impl Lookup for NoLabels {
    fn value(&self, _key: &str) -> Option<&str> {
        None
    }
}

/// A test of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    /// The key is present.
    Exists,
    /// The key is present with one of these values (sorted).
    In(Vec<Str>),
    /// The value contains the text.
    Contains(Str),
    /// The value starts with the text.
    StartsWith(Str),
    /// The value ends with the text.
    EndsWith(Str),
}

impl Test {
    /// Whether the value, or its absence, passes.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return false };
        match self {
            Self::Exists => true,
            Self::In(values) => values.iter().any(|v| &**v == value),
            Self::Contains(text) => value.contains(&**text),
            Self::StartsWith(text) => value.starts_with(&**text),
            Self::EndsWith(text) => value.ends_with(&**text),
        }
    }
}

/// A selector. `NotIn` and `DoesNotExist` are negations, so that they match when the key is missing (semantics 2.1.11).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// Matches if the key passes the test.
    Key(Str, Test),
    /// Matches if the inner one does not.
    Not(Box<Selector>),
    /// Matches if all do; the empty conjunction matches everything.
    And(Vec<Selector>),
    /// Matches if one does; the empty disjunction matches nothing.
    Or(Vec<Selector>),
}

impl Selector {
    /// Matches everything.
    pub const fn everything() -> Self {
        Self::And(Vec::new())
    }

    /// Matches nothing.
    pub const fn nothing() -> Self {
        Self::Or(Vec::new())
    }

    /// `key` has this value.
    pub fn equals(key: impl Into<Str>, value: impl Into<Str>) -> Self {
        Self::Key(key.into(), Test::In(vec![value.into()]))
    }

    /// `key` has one of these values.
    pub fn is_in<V: Into<Str>>(key: impl Into<Str>, values: impl IntoIterator<Item = V>) -> Self {
        let mut values: Vec<Str> = values.into_iter().map(Into::into).collect();
        values.sort();
        values.dedup();
        Self::Key(key.into(), Test::In(values))
    }

    /// `key` is present.
    pub fn exists(key: impl Into<Str>) -> Self {
        Self::Key(key.into(), Test::Exists)
    }

    /// The opposite of a selector.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// All of these. One alone stays as it is.
    pub fn all(mut parts: Vec<Self>) -> Self {
        match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => {
                parts.push(last);
                Self::And(parts)
            }
            (_, None) => Self::everything(),
        }
    }

    /// Whether it is written as matching everything. See [`Selector::matches_everything`] for the exact question.
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::And(parts) if parts.is_empty())
    }

    /// Whether these labels match.
    pub fn matches(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        match self {
            Self::Key(key, test) => test.holds(labels.value(key)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(parts) => parts.iter().all(|p| p.matches(labels)),
            Self::Or(parts) => parts.iter().any(|p| p.matches(labels)),
        }
    }

    /// Whether every label set matches, whatever way it is written.
    pub fn matches_everything(&self) -> bool {
        // A pod without any label is what nearly every selector leaves out.
        self.is_everything() || (self.matches(&NoLabels) && escaping(&[self]) == Escape::Impossible)
    }

    /// Whether it matches whatever the other one matches. "No" where the search for a counterexample gave up.
    pub fn includes(&self, other: &Self) -> bool {
        self == other || self.is_everything() || {
            let outside = Self::Not(Box::new(other.clone()));
            escaping(&[self, &outside]) == Escape::Impossible
        }
    }

    /// The smallest labels found that match, or `None` if nothing can match (or the search gave up).
    pub fn representative(&self) -> Option<Labels> {
        if let Some(labels) = self.demanded() {
            return Some(labels);
        }
        let negated = Self::Not(Box::new(self.clone()));
        match escaping(&[&negated]) {
            Escape::By(labels) => Some(labels),
            Escape::Impossible | Escape::Unknown => None,
        }
    }

    /// What the search would find for a plain list of conditions, each on a key of its own: for nearly all selectors.
    fn demanded(&self) -> Option<Labels> {
        let parts = match self {
            Self::And(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut pairs: Vec<(Str, Str)> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Key(key, Test::In(values)) if pairs.iter().all(|(k, _)| k != key) => {
                    pairs.push((key.clone(), values.iter().min()?.clone()));
                }
                _ => return None,
            }
        }
        Some(Labels::new(pairs))
    }

    /// The value that the selector demands for the key, when it demands exactly one at the top level.
    pub fn required_value(&self, key: &str) -> Option<&Str> {
        match self {
            Self::Key(k, Test::In(values)) if &**k == key && values.len() == 1 => values.first(),
            Self::And(parts) => parts.iter().find_map(|p| p.required_value(key)),
            _ => None,
        }
    }

    fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Str, &'a Test)) {
        match self {
            Self::Key(key, test) => f(key, test),
            Self::Not(inner) => inner.visit(f),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.visit(f)),
        }
    }

    /// The keys it mentions, each once, sorted.
    pub fn keys(&self) -> Vec<Str> {
        let mut keys = Vec::new();
        self.visit(&mut |key, _| keys.push(key.clone()));
        keys.sort();
        keys.dedup();
        keys
    }

    /// Three-valued: `None` while keys that matter are not assigned yet.
    fn decide(&self, known: &BTreeMap<&str, Option<&str>>) -> Option<bool> {
        match self {
            Self::Key(key, test) => known.get(&**key).map(|value| test.holds(*value)),
            Self::Not(inner) => inner.decide(known).map(|b| !b),
            Self::And(parts) => fold(parts, known, false),
            Self::Or(parts) => fold(parts, known, true),
        }
    }

    fn undecided_key<'a>(&'a self, known: &BTreeMap<&str, Option<&str>>) -> Option<&'a str> {
        match self {
            Self::Key(key, _) => (!known.contains_key(&**key)).then_some(&**key),
            Self::Not(inner) => inner.undecided_key(known),
            Self::And(parts) | Self::Or(parts) => {
                parts.iter().filter(|p| p.decide(known).is_none()).find_map(|p| p.undecided_key(known))
            }
        }
    }
}

/// `absorbing` is the value that decides the whole: false for a conjunction, true for a disjunction.
fn fold(parts: &[Selector], known: &BTreeMap<&str, Option<&str>>, absorbing: bool) -> Option<bool> {
    let mut result = Some(!absorbing);
    for part in parts {
        match part.decide(known) {
            Some(value) if value == absorbing => return Some(absorbing),
            Some(_) => {}
            None => result = None,
        }
    }
    result
}

/// Whether some labels escape a set of selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Every label set is matched by at least one selector.
    Impossible,
    /// These labels are matched by none.
    By(Labels),
    /// The search would take too long; callers take the safe side.
    Unknown,
}

/// Assignments tried before the search gives up. A dozen keys fit; real clusters use two or three.
const SEARCH_BUDGET: usize = 20_000;

/// Looks for labels that none of the selectors match. Exact: a key only ever matters through the values that are named,
/// values with the parts that are named, any other value, and its absence, and all of these are tried.
pub fn escaping(selectors: &[&Selector]) -> Escape {
    // The common cases cost no allocation: something is written as matching everything, or a pod without any label,
    // which the search would try first, is matched by nothing.
    if selectors.iter().any(|s| s.is_everything()) {
        return Escape::Impossible;
    }
    if !selectors.iter().any(|s| s.matches(&NoLabels)) {
        return Escape::By(Labels::default());
    }
    let mut tests: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
    for selector in selectors {
        selector.visit(&mut |key, test| tests.entry(key).or_default().push(test));
    }
    let mut composed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (key, tests) in &tests {
        let Some(values) = texts::composed(tests) else { return Escape::Unknown };
        composed.insert(key, values);
    }
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, tests) in &tests {
        let named = values.entry(key).or_default();
        for test in tests {
            if let Test::In(list) = test {
                named.extend(list.iter().map(|v| &**v));
            }
        }
        named.extend(composed.get(key).into_iter().flatten().map(String::as_str));
        named.sort_unstable();
        named.dedup();
    }
    let mut budget = SEARCH_BUDGET;
    match search(selectors, &values, &mut BTreeMap::new(), &mut budget) {
        Found::Labels(labels) => Escape::By(labels),
        Found::None => Escape::Impossible,
        Found::GaveUp => Escape::Unknown,
    }
}

enum Found {
    Labels(Labels),
    None,
    GaveUp,
}

/// Stands for every value that no selector names.
const FRESH: [&str; 3] = ["any-other-value", "portcullis-other", "zz-other-zz"];

fn search<'a>(
    selectors: &[&'a Selector],
    values: &BTreeMap<&str, Vec<&'a str>>,
    known: &mut BTreeMap<&'a str, Option<&'a str>>,
    budget: &mut usize,
) -> Found {
    if *budget == 0 {
        return Found::GaveUp;
    }
    *budget -= 1;
    let mut open = None;
    for selector in selectors {
        match selector.decide(known) {
            Some(true) => return Found::None,
            Some(false) => {}
            None => open = open.or_else(|| selector.undecided_key(known)),
        }
    }
    let Some(key) = open else {
        return Found::Labels(Labels::new(known.iter().filter_map(|(k, v)| v.map(|v| (*k, v)))));
    };
    let named = values.get(key).map_or(&[][..], Vec::as_slice);
    let fresh = FRESH.into_iter().find(|f| !named.contains(f)).unwrap_or("portcullis-other-value");
    let choices = std::iter::once(None).chain(named.iter().copied().map(Some)).chain([Some(fresh)]);
    for choice in choices {
        known.insert(key, choice);
        match search(selectors, values, known, budget) {
            Found::None => {}
            done => return done,
        }
    }
    known.remove(key);
    Found::None
}

impl fmt::Display for Selector {
    /// The `kubectl -l` notation where there is one: `app=web,tier in (a,b),!legacy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key, test) => match test {
                Test::Exists => write!(f, "{key}"),
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values.join(",")),
                Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
                Test::Contains(text) => write!(f, "{key} contains \"{text}\""),
                Test::StartsWith(text) => write!(f, "{key} starts with \"{text}\""),
                Test::EndsWith(text) => write!(f, "{key} ends with \"{text}\""),
            },
            Self::Not(inner) => match &**inner {
                Self::Key(key, Test::Exists) => write!(f, "!{key}"),
                Self::Key(key, Test::In(values)) if values.len() == 1 => write!(f, "{key}!={}", values.join(",")),
                Self::Key(key, Test::In(values)) => write!(f, "{key} notin ({})", values.join(",")),
                other => write!(f, "!({other})"),
            },
            Self::And(parts) if parts.is_empty() => f.write_str("everything"),
            Self::Or(parts) if parts.is_empty() => f.write_str("nothing"),
            Self::And(parts) => join(f, parts, ","),
            Self::Or(parts) => join(f, parts, " || "),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Selector], between: &str) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        match part {
            Selector::And(inner) | Selector::Or(inner) if inner.len() > 1 => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
