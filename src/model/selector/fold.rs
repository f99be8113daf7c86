//! Selectors put together so that parts which say nothing fall out: `everything && x` is as plain as `x`.

use std::sync::{Arc, LazyLock};

use super::super::labels::NAMESPACE_NAME_LABEL;
use super::{NAMESPACE_LABEL_PREFIX, Selector, Str, Test};

/// The opposite.
pub fn not(selector: Selector) -> Selector {
    match selector {
        Selector::And(parts) if parts.is_empty() => Selector::nothing(),
        Selector::Or(parts) if parts.is_empty() => Selector::everything(),
        other => other.negate(),
    }
}

/// All of these.
pub fn and(parts: impl IntoIterator<Item = Selector>) -> Selector {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Selector::Or(none) if none.is_empty() => return Selector::nothing(),
            Selector::And(inner) => list.extend(inner),
            other => list.push(other),
        }
    }
    Selector::all(list)
}

/// One of these is enough.
pub fn or(parts: impl IntoIterator<Item = Selector>) -> Selector {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Selector::And(all) if all.is_empty() => return Selector::everything(),
            Selector::Or(inner) => list.extend(inner),
            other => list.push(other),
        }
    }
    match (list.len(), list.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            list.push(last);
            Selector::Or(list)
        }
        (_, None) => Selector::nothing(),
    }
}

static NAME_IN_NAMESPACE: LazyLock<Str> =
    LazyLock::new(|| format!("{NAMESPACE_LABEL_PREFIX}{NAMESPACE_NAME_LABEL}").into());

/// Pseudo label: the name of the pod's namespace, as a text that all selectors share.
pub fn name_in_namespace() -> Str {
    Arc::clone(&NAME_IN_NAMESPACE)
}

impl Selector {
    /// Whether a test of such a key is anywhere in it.
    pub fn mentions(&self, is_one: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Key(key, _) => is_one(key),
            Self::Not(inner) => inner.mentions(is_one),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.mentions(is_one)),
        }
    }

    /// The same with some tests replaced by what they come to.
    #[must_use]
    pub fn replaced(&self, by: &impl Fn(&Str, &Test) -> Option<Self>) -> Self {
        match self {
            Self::Key(key, test) => by(key, test).unwrap_or_else(|| self.clone()),
            Self::Not(inner) => not(inner.replaced(by)),
            Self::And(parts) => and(parts.iter().map(|part| part.replaced(by))),
            Self::Or(parts) => or(parts.iter().map(|part| part.replaced(by))),
        }
    }
}
