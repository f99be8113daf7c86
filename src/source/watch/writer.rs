//! The one writer of the published state: takes what the followers hand over, changes its working copy, and publishes
//! it when nothing more is queued. What has not changed in model terms is not published.

mod foreign;
mod pods;
mod services;
mod shown;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use tokio::time::Instant;

use super::desk::Desk;
use super::follow::Update;
use super::item::{Item, Key};
use super::resource::Resource;
use pods::is_same;
use services::Services;

use crate::model::house::{House, Level};
use crate::model::pod::Controller;
use crate::model::{Namespace, Object, ObjectRef, PodSpec, Str};
use crate::review::World;
use crate::snapshot::Snapshot;
use crate::translate::Kind;
use crate::unseen::{Number, Unseen};

/// Complaints that are remembered, so that each is logged once.
const REMEMBERED: usize = 10_000;

/// What must be known of a pod to take it out of its class again.
#[derive(Debug, PartialEq)]
struct Pod {
    spec: Arc<PodSpec>,
    controller: Option<Controller>,
    addresses: Box<[std::net::IpAddr]>,
}

/// A thing and the list in which it was last seen.
#[derive(Debug)]
struct Seen<T> {
    thing: T,
    list: u32,
}

/// A list that is being taken over. Its objects wait until it is complete, so that a mixture of old and new is never
/// published; those that have not changed only leave a mark.
#[derive(Debug, Default)]
struct Relist {
    number: u32,
    waiting: Vec<Item>,
}

/// What a publication brings.
#[derive(Debug)]
pub(super) struct Publication {
    /// The new state; `None` if it is the same as before.
    pub(super) world: Option<Arc<World>>,
    /// Whether any of our own objects has changed, if only in its status.
    pub(super) desk_changed: bool,
    /// Up to when each kind is complete.
    pub(super) complete_at: Vec<(Resource, Instant)>,
    /// Kinds whose list is now part of the state, and whether they are absent.
    pub(super) synced: Vec<(Resource, bool)>,
    /// Changes that were admitted here and that the new state has.
    pub(super) shown: Vec<Number>,
    /// Whether there are policies that name Services.
    pub(super) services_named: bool,
}

/// The writer's working copy.
#[derive(Debug)]
pub(super) struct Writer {
    work: Snapshot,
    changed: bool,
    pods: BTreeMap<Key, Seen<Pod>>,
    templates: BTreeMap<Kind, BTreeMap<Key, Seen<Pod>>>,
    namespaces: BTreeMap<Key, Seen<()>>,
    policies: BTreeMap<Key, Seen<()>>,
    foreign: BTreeMap<Kind, BTreeMap<Key, Seen<()>>>,
    services: Services,
    /// Whether there is a configuration of Cilium.
    cilium: bool,
    desk: Desk,
    relists: [Relist; Resource::ALL.len()],
    complained: HashSet<u64>,
    hasher: RandomState,
    complete_at: Vec<(Resource, Instant)>,
    synced: Vec<(Resource, bool)>,
    unseen: Arc<Unseen>,
    shown: Vec<Number>,
}

impl Writer {
    pub(super) fn new(desk: Desk, unseen: Arc<Unseen>) -> Self {
        Self {
            work: Snapshot::default(),
            changed: false,
            pods: BTreeMap::new(),
            templates: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            policies: BTreeMap::new(),
            foreign: BTreeMap::new(),
            services: Services::default(),
            cilium: false,
            desk,
            relists: std::array::from_fn(|_| Relist::default()),
            complained: HashSet::new(),
            hasher: RandomState::new(),
            complete_at: Vec::new(),
            synced: Vec::new(),
            unseen,
            shown: Vec::new(),
        }
    }

    pub(super) const fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(super) fn objects(&self, resource: Resource) -> usize {
        match resource {
            Resource::Namespaces => self.namespaces.len(),
            Resource::Pods | Resource::Templates(_) => self.workloads(resource).map_or(0, BTreeMap::len),
            Resource::NetworkPolicies => self.policies.len(),
            Resource::Foreign(kind) => self.foreign.get(&kind).map_or(0, BTreeMap::len),
            Resource::CiliumConfig => usize::from(self.cilium),
            Resource::Services => self.services.len(),
            _ => self.desk.missing(resource, &[]).len(),
        }
    }

    /// Takes over what a follower says.
    pub(super) fn take(&mut self, update: Update) {
        match update {
            Update::ListBegun(resource) => {
                let relist = &mut self.relists[resource.index()];
                relist.number = relist.number.wrapping_add(1);
                relist.waiting.clear();
            }
            Update::Page(resource, items) => {
                for item in items {
                    self.complain(&item);
                    self.note_shown(&item);
                    if !self.is_known(&item) {
                        self.relists[resource.index()].waiting.push(item);
                    }
                }
            }
            Update::ListEnded(resource, at) => {
                // What has gone goes first: a pod that moved to another owner is then never counted twice.
                let waiting = std::mem::take(&mut self.relists[resource.index()].waiting);
                self.remove_unseen(resource, &waiting);
                for item in waiting {
                    self.put(item);
                }
                self.synced.push((resource, false));
                self.complete_at.push((resource, at));
            }
            Update::Changed(resource, item, at) => {
                self.complain(&item);
                self.note_shown(&item);
                self.put(item);
                self.complete_at.push((resource, at));
            }
            Update::Deleted(resource, key, at) => {
                self.delete(resource, &key);
                self.complete_at.push((resource, at));
            }
            Update::Complete(resource, at) => self.complete_at.push((resource, at)),
            Update::Hints(hints) => self.changed |= self.work.set_hints(hints),
            Update::Absent(resource, at) => {
                for key in self.desk.missing(resource, &[]) {
                    self.delete(resource, &key);
                }
                match resource {
                    Resource::Foreign(kind) => self.clear_foreign(kind),
                    Resource::CiliumConfig => self.set_cilium(None),
                    Resource::Services => self.services.clear(),
                    _ => {}
                }
                self.synced.push((resource, true));
                self.complete_at.push((resource, at));
            }
        }
    }

    /// The next version, given the time in seconds since the epoch.
    pub(super) fn publish(&mut self, now: i64, cap: Level, from_controllers: Level) -> Publication {
        let house = self.desk.expire(now);
        if let Some(services) = self.services.take_changed() {
            self.work.set_services(services);
            self.changed = true;
        }
        let desk_changed = self.desk.take_changed();
        let mut world = None;
        if self.changed || house {
            self.changed = false;
            self.work.advance();
            // Made here, so that no review waits for it.
            self.work.directory();
            let house = House { cap, from_controllers, ..self.desk.house(now) };
            world = Some(Arc::new(World { snapshot: self.work.clone(), house }));
        }
        Publication {
            world,
            desk_changed,
            complete_at: std::mem::take(&mut self.complete_at),
            synced: std::mem::take(&mut self.synced),
            shown: std::mem::take(&mut self.shown),
            services_named: self.work.names_services(),
        }
    }

    /// Whether the object is there already just as it is; then it is marked as seen.
    fn is_known(&mut self, item: &Item) -> bool {
        if let Item::Object(object) = item
            && let Some((kind, id)) = Resource::foreign(object)
        {
            return self.has_foreign(object) && self.mark_foreign(kind, &key_of(id));
        }
        match item {
            Item::Object(Object::Namespace(namespace)) => {
                let (same, list) = (self.has_namespace(namespace), self.list_of(Resource::Namespaces));
                same && mark(&mut self.namespaces, &namespace_key(namespace), list)
            }
            Item::Object(Object::Policy(policy)) => {
                let same = self.work.written_policy(&policy.id).is_some_and(|old| **old == *policy);
                let list = self.list_of(Resource::NetworkPolicies);
                same && mark(&mut self.policies, &key_of(&policy.id), list)
            }
            Item::Object(Object::Workload(workload)) => {
                let Some(resource) = Resource::of_workload(&workload.id) else { return false };
                let (key, list) = (key_of(&workload.id), self.list_of(resource));
                match self.workloads(resource).and_then(|all| all.get(&key)) {
                    // Most ReplicaSets are old revisions: they do not have to wait for the end of the list.
                    None => !workload.takes_part(),
                    Some(pod) => is_same(&pod.thing, workload) && mark(self.workloads_mut(resource), &key, list),
                }
            }
            // Few, and cheap to put in again.
            Item::Object(_)
            | Item::Rules(..)
            | Item::Exception(..)
            | Item::Assertion(..)
            | Item::Service(..)
            | Item::Cilium(..) => false,
        }
    }

    /// The list of this kind that was begun last.
    fn list_of(&self, resource: Resource) -> u32 {
        self.relists[resource.index()].number
    }

    fn has_namespace(&self, namespace: &Namespace) -> bool {
        self.work.namespace(&namespace.name).is_some_and(|state| state.is_known() && state.object() == namespace)
    }

    fn put(&mut self, item: Item) {
        match item {
            Item::Object(object) if Resource::foreign(&object).is_some() => self.put_foreign(&object),
            Item::Object(Object::Workload(workload)) => self.put_workload(workload),
            Item::Object(Object::Namespace(namespace)) => {
                let list = self.list_of(Resource::Namespaces);
                self.namespaces.insert(namespace_key(&namespace), Seen { thing: (), list });
                if !self.has_namespace(&namespace) {
                    self.work.insert(&Object::Namespace(namespace));
                    self.changed = true;
                }
            }
            Item::Object(Object::Policy(policy)) => {
                let list = self.list_of(Resource::NetworkPolicies);
                self.policies.insert(key_of(&policy.id), Seen { thing: (), list });
                if self.work.written_policy(&policy.id).is_none_or(|old| **old != policy) {
                    self.work.insert(&Object::Policy(policy));
                    self.changed = true;
                }
            }
            Item::Object(Object::AddressGroup(_) | Object::Tier(_) | Object::Assertion(_)) => {}
            Item::Object(Object::Unreadable(id, _)) => self.mark_unreadable(&id),
            Item::Rules(key, rules) => self.desk.put_rules(key, *rules),
            Item::Exception(key, exception) => self.desk.put_exception(key, *exception),
            Item::Assertion(key, assertion) => {
                if let Some(stated) = self.desk.put_assertion(key, *assertion) {
                    self.work.insert(&Object::Assertion(stated));
                    self.changed = true;
                }
            }
            Item::Service(key, service) => self.services.put(key, *service),
            Item::Cilium(read) => self.set_cilium(Some(read.0)),
        }
    }

    fn delete(&mut self, resource: Resource, key: &Key) {
        self.note_gone(resource, key);
        match resource {
            Resource::Pods | Resource::Templates(_) => self.remove_workload(resource, key),
            Resource::Namespaces => {
                if self.namespaces.remove(key).is_some() {
                    self.work.remove(&Object::Namespace(Namespace::named(key.1.clone())));
                    self.changed = true;
                }
            }
            Resource::NetworkPolicies => {
                let id = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", key.0.clone(), key.1.clone());
                let known = self.work.written_policy(&id).map(|policy| Object::Policy((**policy).clone()));
                if let (Some(_), Some(policy)) = (self.policies.remove(key), known) {
                    self.work.remove(&policy);
                    self.changed = true;
                }
            }
            Resource::Foreign(kind) => self.delete_foreign(kind, key),
            Resource::CiliumConfig => self.set_cilium(None),
            Resource::Services => self.services.delete(key),
            _ => {
                if let Some(assertion) = self.desk.delete(resource, key) {
                    self.work.remove(&Object::Assertion(assertion));
                    self.changed = true;
                }
            }
        }
    }

    /// Takes out what the list that is now complete did not have.
    fn remove_unseen(&mut self, resource: Resource, waiting: &[Item]) {
        let number = self.list_of(resource);
        for item in waiting {
            // Changed objects are seen as well.
            if let Item::Object(object) = item {
                let key = key_of(&object.id());
                match resource {
                    Resource::Pods | Resource::Templates(_) => mark(self.workloads_mut(resource), &key, number),
                    Resource::Namespaces => mark(&mut self.namespaces, &key, number),
                    Resource::Foreign(kind) => self.mark_foreign(kind, &key),
                    _ => mark(&mut self.policies, &key, number),
                };
            }
        }
        let gone: Vec<Key> = match resource {
            Resource::Pods | Resource::Templates(_) => {
                self.workloads(resource).map(|all| unseen(all, number)).unwrap_or_default()
            }
            Resource::Namespaces => unseen(&self.namespaces, number),
            Resource::NetworkPolicies => unseen(&self.policies, number),
            Resource::Foreign(kind) => self.foreign.get(&kind).map(|all| unseen(all, number)).unwrap_or_default(),
            Resource::Services => self.services.missing(waiting),
            Resource::CiliumConfig if waiting.is_empty() && self.cilium => vec![Key::default()],
            _ => self.desk.missing(resource, waiting),
        };
        for key in gone {
            self.delete(resource, &key);
        }
    }

    /// Logs what could not be read of an object, each complaint once.
    fn complain(&mut self, item: &Item) {
        if item.unread().is_empty() {
            return;
        }
        let name = item.name();
        for unread in item.unread() {
            let hash = self.hasher.hash_one((&name, unread.at.as_str(), &unread.what));
            if self.complained.len() < REMEMBERED && self.complained.insert(hash) {
                tracing::warn!(object = name, at = %unread.at, what = unread.what, "not understood");
            }
        }
    }
}

fn key_of(id: &ObjectRef) -> Key {
    (id.namespace.clone().unwrap_or_default(), id.name.clone())
}

fn namespace_key(namespace: &Namespace) -> Key {
    (Str::default(), namespace.name.clone())
}

fn mark<T>(all: &mut BTreeMap<Key, Seen<T>>, key: &Key, list: u32) -> bool {
    let Some(seen) = all.get_mut(key) else { return false };
    seen.list = list;
    true
}

fn unseen<T>(all: &BTreeMap<Key, Seen<T>>, list: u32) -> Vec<Key> {
    all.iter().filter(|(_, seen)| seen.list != list).map(|(key, _)| key.clone()).collect()
}
