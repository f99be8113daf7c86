//! Our own objects as the cluster has them: HouseRules and RuleExceptions, compiled into the [`House`] that reviews go
//! by, and assertions with the status that they have so far.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::item::{Configured, Item, Key};
use super::resource::Resource;
use crate::model::house::{Exception, House, HouseRules};
use crate::model::{Assertion, Str, house::Level};

/// All of our objects. Few, so they are kept whole.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The namespace whose exceptions count.
    honoured: Str,
    rules: BTreeMap<Key, Configured<HouseRules>>,
    exceptions: BTreeMap<Key, Configured<Option<Exception>>>,
    assertions: BTreeMap<Key, Arc<Configured<Assertion>>>,
    changed: bool,
    house_changed: bool,
    /// When the next exception in force ends.
    next_end: Option<i64>,
}

impl Desk {
    /// An empty one; exceptions count in this namespace only.
    pub(super) fn new(honoured: Str) -> Self {
        Self {
            honoured,
            rules: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            assertions: BTreeMap::new(),
            changed: false,
            // The first version is published whatever it holds.
            house_changed: true,
            next_end: None,
        }
    }

    /// HouseRules by key; cluster-scoped, so the namespace is empty.
    pub fn rules(&self) -> &BTreeMap<Key, Configured<HouseRules>> {
        &self.rules
    }

    /// RuleExceptions by namespace and name.
    pub fn exceptions(&self) -> &BTreeMap<Key, Configured<Option<Exception>>> {
        &self.exceptions
    }

    /// Assertions of both kinds; the namespace of the cluster form is empty.
    pub fn assertions(&self) -> &BTreeMap<Key, Arc<Configured<Assertion>>> {
        &self.assertions
    }

    /// Whether exceptions in this namespace count.
    pub fn honours(&self, namespace: &str) -> bool {
        *self.honoured == *namespace
    }

    /// When the next exception in force ends, in seconds since the epoch.
    pub(super) const fn next_end(&self) -> Option<i64> {
        self.next_end
    }

    pub(super) fn put_rules(&mut self, key: Key, rules: Configured<HouseRules>) {
        let old = self.rules.get(&key);
        self.house_changed |= old.is_none_or(|old| old.read != rules.read);
        self.changed |= old != Some(&rules);
        self.rules.insert(key, rules);
    }

    pub(super) fn put_exception(&mut self, key: Key, exception: Configured<Option<Exception>>) {
        let old = self.exceptions.get(&key);
        self.house_changed |= old.is_none_or(|old| old.read != exception.read) && self.honours(&key.0);
        self.changed |= old != Some(&exception);
        self.exceptions.insert(key, exception);
    }

    /// What it states, if that is something else than before.
    pub(super) fn put_assertion(&mut self, key: Key, assertion: Configured<Assertion>) -> Option<Assertion> {
        let old = self.assertions.get(&key);
        let stated = old.is_none_or(|old| old.read != assertion.read).then(|| assertion.read.clone());
        self.changed |= old.is_none_or(|old| **old != assertion);
        self.assertions.insert(key, Arc::new(assertion));
        stated
    }

    /// Forgets an object; gives back an assertion that the state holds as well.
    pub(super) fn delete(&mut self, resource: Resource, key: &Key) -> Option<Assertion> {
        let mut assertion = None;
        let removed = match resource {
            Resource::HouseRules => self.rules.remove(key).is_some(),
            Resource::RuleExceptions => self.exceptions.remove(key).is_some(),
            Resource::Assertions | Resource::ClusterAssertions => {
                assertion = self.assertions.remove(key).map(|assertion| assertion.read.clone());
                self.changed |= assertion.is_some();
                false
            }
            _ => false,
        };
        self.changed |= removed;
        self.house_changed |= removed;
        assertion
    }

    /// Objects that a complete list does not have.
    pub(super) fn missing(&self, resource: Resource, listed: &[Item]) -> Vec<Key> {
        let listed: std::collections::BTreeSet<&Key> = listed
            .iter()
            .filter_map(|item| match item {
                Item::Rules(key, _) | Item::Exception(key, _) | Item::Assertion(key, _) => Some(key),
                Item::Object(_) | Item::Service(..) | Item::Cilium(..) => None,
            })
            .collect();
        let missing = |key: &&Key| !listed.contains(key);
        match resource {
            Resource::HouseRules => self.rules.keys().filter(missing).cloned().collect(),
            Resource::RuleExceptions => self.exceptions.keys().filter(missing).cloned().collect(),
            Resource::Assertions => {
                self.assertions.keys().filter(|k| !k.0.is_empty()).filter(missing).cloned().collect()
            }
            Resource::ClusterAssertions => {
                self.assertions.keys().filter(|k| k.0.is_empty()).filter(missing).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether any object has changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether the house is another one than when this was last asked, be it that an exception has ended.
    pub(super) fn expire(&mut self, now: i64) -> bool {
        let ended = self.next_end.is_some_and(|end| end <= now);
        let changed = std::mem::take(&mut self.house_changed) || ended;
        if changed {
            self.next_end = self.in_force(now).map(|exception| exception.expires_at).min();
        }
        // The status of an exception that has just ended is another one as well.
        self.changed |= ended;
        changed
    }

    fn in_force(&self, now: i64) -> impl Iterator<Item = &Exception> {
        let honoured = self.exceptions.iter().filter(|(key, _)| self.honours(&key.0));
        honoured.filter_map(|(_, exception)| exception.read.as_ref()).filter(move |e| e.expires_at > now)
    }

    /// What holds now. Level and cap are those of the process.
    pub(super) fn house(&self, now: i64) -> House {
        House {
            rules: self.rules.values().map(|rules| rules.read.clone()).collect(),
            exceptions: self.in_force(now).cloned().collect(),
            cap: Level::Enforce,
            from_controllers: Level::Warn,
        }
    }
}
