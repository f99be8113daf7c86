//! Label sets: small sorted lists, because a pod has a handful.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Str;

/// The well-known immutable label that holds a namespace's own name (semantics 2.1.12).
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

static SHARED: LazyLock<Str> = LazyLock::new(|| NAMESPACE_NAME_LABEL.into());

/// The same as a text that all selectors share: most that choose namespaces do it by this label.
pub fn namespace_name_label() -> Str {
    Arc::clone(&SHARED)
}

/// The key of a label, shared where it is that one.
pub fn key(text: &str) -> Str {
    if text == NAMESPACE_NAME_LABEL { namespace_name_label() } else { text.into() }
}

/// Key/value pairs, sorted by key, each key once. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Str, Str)]>);

impl Default for Labels {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Labels {
    /// From pairs in any order; of equal keys the last one counts.
    pub fn new<K: Into<Str>, V: Into<Str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut all: Vec<(Str, Str)> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        // Keeps the last of equal keys: the sort is stable and `dedup_by` drops the later element, so swap first.
        all.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        Self(all.into())
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Str> {
        // One after the other: of a handful of keys nearly all are told apart by their length alone, without a look at the text.
        self.0.iter().find(|(k, _)| **k == *key).map(|(_, v)| v)
    }

    /// All pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Str, &Str)> {
        self.0.iter().map(|(k, v)| (k, v))
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy with one more label, replacing an equal key.
    #[must_use]
    pub fn with(&self, key: impl Into<Str>, value: impl Into<Str>) -> Self {
        Self::new(self.0.iter().cloned().chain([(key.into(), value.into())]))
    }
}

impl fmt::Display for Labels {
    /// `a=b,c=d`, or `no labels`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no labels");
        }
        let pairs: Vec<String> = self.iter().map(|(k, v)| format!("{k}={v}")).collect();
        f.write_str(&pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_and_order_does_not_matter() {
        let labels = Labels::new([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(labels.get("b").map(|v| &**v), Some("3"));
        assert_eq!(labels, Labels::new([("a", "2"), ("b", "3")]));
        assert_eq!(labels.to_string(), "a=2,b=3");
        assert_eq!(labels.with("a", "9").get("a").map(|v| &**v), Some("9"));
    }
}
