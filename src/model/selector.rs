//! Boolean expressions over labels: Kubernetes label selectors, and everything that Cilium and Calico add to them.
//!
//! Besides matching, a selector can be *solved*: which labels would match, or escape, a set of selectors? That is how
//! "every pod of the namespace, with whatever labels" is decided exactly and not by looking for `podSelector: {}`.

mod display;
mod fold;
mod settle;
mod solve;
mod texts;

use smallvec::{SmallVec, smallvec};

use super::Str;
use super::labels::Labels;
use super::meter::charge;

pub use fold::{and, name_in_namespace, not, or};
pub use solve::{Escape, escaping, escaping_with};

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

/// The values that a test takes. Nearly always it is one, which needs no memory of its own.
pub type Values = SmallVec<[Str; 1]>;

/// A test of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Test {
    /// The key is present.
    Exists,
    /// The key is present with one of these values (sorted).
    In(Values),
    /// The value contains the text.
    Contains(Str),
    /// The value starts with the text.
    StartsWith(Str),
    /// The value ends with the text.
    EndsWith(Str),
}

impl Test {
    /// Whether some value passes.
    fn is_possible(&self) -> bool {
        !matches!(self, Self::In(values) if values.is_empty())
    }

    /// Whether the value, or its absence, passes.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return false };
        match self {
            Self::Exists => true,
            // Sorted, and nearly always one or two.
            Self::In(values) if values.len() > 8 => values.binary_search_by(|v| (**v).cmp(value)).is_ok(),
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
        Self::Key(key.into(), Test::In(smallvec![value.into()]))
    }

    /// `key` has one of these values.
    pub fn is_in<V: Into<Str>>(key: impl Into<Str>, values: impl IntoIterator<Item = V>) -> Self {
        let mut values: Values = values.into_iter().map(Into::into).collect();
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
        charge(1);
        match self {
            Self::Key(key, test) => test.holds(labels.value(key)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(parts) => parts.iter().all(|p| p.matches(labels)),
            Self::Or(parts) => parts.iter().any(|p| p.matches(labels)),
        }
    }

    /// Whether every label set matches, whatever way it is written.
    pub fn matches_everything(&self) -> bool {
        charge(1);
        match self {
            // A pod without the label escapes, and from its absence one that has it.
            Self::Key(..) => false,
            Self::Not(inner) if matches!(&**inner, Self::Key(_, test) if test.is_possible()) => false,
            Self::And(parts) => parts.iter().all(Self::matches_everything),
            // A pod without any label is what nearly every other one leaves out.
            Self::Not(_) | Self::Or(_) => self.matches(&NoLabels) && escaping(&[self]) == Escape::Impossible,
        }
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
        charge(parts.len());
        let mut pairs: Vec<(Str, Str)> = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Key(key, Test::In(values)) => pairs.push((key.clone(), values.first()?.clone())),
                _ => return None,
            }
        }
        let labels = Labels::new(pairs);
        // A key that is named twice takes the search.
        (labels.len() == parts.len()).then_some(labels)
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
}

#[cfg(test)]
mod tests;
