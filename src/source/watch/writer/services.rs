//! The Services that there are, kept as long as policies name some.

use std::collections::{BTreeMap, BTreeSet};

use super::{Item, Key};
use crate::model::entrance::Service;

/// All of them, and whether that is news.
#[derive(Debug, Default)]
pub(super) struct Services {
    all: BTreeMap<Key, Service>,
    changed: bool,
}

impl Services {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn put(&mut self, key: Key, service: Service) {
        if self.all.get(&key) != Some(&service) {
            self.all.insert(key, service);
            self.changed = true;
        }
    }

    pub(super) fn delete(&mut self, key: &Key) {
        self.changed |= self.all.remove(key).is_some();
    }

    /// They are not known any more.
    pub(super) fn clear(&mut self) {
        self.changed |= !self.all.is_empty();
        self.all.clear();
    }

    /// Those that a complete list does not have.
    pub(super) fn missing(&self, listed: &[Item]) -> Vec<Key> {
        let key = |item: &'_ Item| if let Item::Service(key, _) = item { Some(key.clone()) } else { None };
        let listed: BTreeSet<Key> = listed.iter().filter_map(key).collect();
        self.all.keys().filter(|key| !listed.contains(*key)).cloned().collect()
    }

    /// All of them, if any has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> Option<BTreeMap<Key, Service>> {
        std::mem::take(&mut self.changed).then(|| self.all.clone())
    }
}
