//! A directory of namespaces by name and label, so that selectors and suggestions look names up instead of going through
//! every namespace of the cluster.
//!
//! It is made once for each set of namespaces: the writer makes it before it publishes, and pods or policies that change
//! leave it as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::NamespaceState;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::meter::charge;
use crate::model::selector::Test;
use crate::model::{Labels, Selector, Str};

/// Places of namespaces in the list of names.
type Places = Vec<u32>;

/// Namespaces whose Namespace object is known, by name and by each of their labels.
#[derive(Debug, Default)]
pub struct Directory {
    names: Vec<Str>,
    labels: BTreeMap<Str, BTreeMap<Str, Places>>,
}

/// A directory that is made when it is asked for, shared by all states with the same namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct Lazy(Arc<OnceLock<Directory>>);

impl Lazy {
    pub(super) fn get<'a>(&'a self, namespaces: impl Iterator<Item = &'a Arc<NamespaceState>>) -> &'a Directory {
        self.0.get_or_init(|| Directory::of(namespaces))
    }

    /// Forgets the directory, because the namespaces are other ones.
    pub(super) fn forget(&mut self) {
        // One that was never made can stay, unless other states will make it of their namespaces.
        if self.0.get().is_some() || Arc::strong_count(&self.0) > 1 {
            self.0 = Arc::default();
        }
    }
}

impl Directory {
    fn of<'a>(namespaces: impl Iterator<Item = &'a Arc<NamespaceState>>) -> Self {
        let mut known: Vec<(&Str, &Labels)> =
            namespaces.filter(|n| n.is_known()).map(|n| (n.name(), n.labels())).collect();
        known.sort();
        let mut labels: BTreeMap<Str, BTreeMap<Str, Places>> = BTreeMap::new();
        for (place, (_, own)) in (0_u32..).zip(&known) {
            // Names have their own list.
            for (key, value) in own.iter().filter(|(key, _)| &***key != NAMESPACE_NAME_LABEL) {
                let values = match labels.get_mut(key) {
                    Some(values) => values,
                    None => labels.entry(key.clone()).or_default(),
                };
                values.entry(value.clone()).or_default().push(place);
            }
        }
        Self { names: known.into_iter().map(|(name, _)| name.clone()).collect(), labels }
    }

    /// Names in order.
    pub fn names(&self) -> &[Str] {
        &self.names
    }

    /// Keys of labels in order, without the one that holds the name.
    pub fn keys(&self) -> impl Iterator<Item = &Str> {
        self.labels.keys()
    }

    /// Values of a key in order.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &Str> {
        self.labels.get(key).into_iter().flat_map(BTreeMap::keys)
    }

    /// Values of a key from this one on, in order.
    pub fn values_from<'a>(&'a self, key: &str, value: &Str) -> impl Iterator<Item = &'a Str> {
        let values = self.labels.get(key);
        values.into_iter().flat_map(move |values| values.range(value.clone()..)).map(|(value, _)| value)
    }

    /// Values of a key before this one, in descending order.
    pub fn values_before<'a>(&'a self, key: &str, value: &Str) -> impl Iterator<Item = &'a Str> {
        let values = self.labels.get(key);
        values.into_iter().flat_map(move |values| values.range(..value.clone()).rev()).map(|(value, _)| value)
    }

    /// Whether some namespace has the label.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.labels.get(key).is_some_and(|values| values.contains_key(value))
    }

    /// Names of namespaces among which all are that the selector matches; `None` where it has no requirement that could be
    /// looked up, and every namespace has to be tested.
    pub(super) fn candidates(&self, selector: &Selector) -> Option<Vec<&Str>> {
        let parts = match selector {
            Selector::And(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        charge(parts.len());
        let mut best: Option<(usize, Vec<&Places>)> = None;
        for part in parts {
            let Selector::Key(key, test) = part else { continue };
            if &**key == NAMESPACE_NAME_LABEL {
                continue;
            }
            let values = self.labels.get(key);
            let places: Vec<&Places> = match (values, test) {
                (None, _) => Vec::new(),
                (Some(values), Test::In(wanted)) => {
                    charge(wanted.len());
                    wanted.iter().filter_map(|value| values.get(value)).collect()
                }
                (Some(values), _) => {
                    charge(values.len());
                    let holds = values.iter().filter(|(value, _)| test.holds(Some(value)));
                    holds.map(|(_, places)| places).collect()
                }
            };
            let many = places.iter().map(|places| places.len()).sum();
            if best.as_ref().is_none_or(|(fewest, _)| many < *fewest) {
                best = Some((many, places));
            }
        }
        let (many, places) = best?;
        charge(many);
        let mut all: Vec<u32> = places.into_iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        Some(all.into_iter().filter_map(|place| self.names.get(usize::try_from(place).ok()?)).collect())
    }
}
