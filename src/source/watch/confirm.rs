//! Consistent reads: the labels of one namespace and all policies that hold for it at the moment of the question, its own
//! and those of the cluster, whatever the watches have seen. They are rare, bounded, and shared by those who ask at the same
//! time.

mod api;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub(super) use api::{FromApi, pod};

use super::client::RequestError;
use crate::model::{Namespace, Object, ObjectRef, Str};
use crate::snapshot::Snapshot;
use crate::translate::Kind;

/// Reads that run at once. More would only make each of them slower.
const AT_ONCE: usize = 16;

/// Why something could not be read afresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// The deadline came first.
    #[error("{what} could not be read afresh from the API server in time; the answer would rest on old data")]
    Late {
        /// The namespace, or what belongs to none.
        what: String,
    },
    /// The API server did not answer, or not with what was asked for.
    #[error("{what} could not be read afresh: {why}")]
    Failed {
        /// The namespace, or what belongs to none.
        what: String,
        /// What went wrong.
        why: String,
    },
}

/// What stands in the place of a namespace for what belongs to none.
pub(super) const CLUSTER: &str = "";

fn called(namespace: &str) -> String {
    if namespace == CLUSTER { "policies of the whole cluster".to_owned() } else { format!("namespace {namespace}") }
}

/// What a consistent read has found.
#[derive(Debug)]
pub(super) struct Fresh {
    /// `None` if it does not exist, and for what belongs to none.
    namespace: Option<Namespace>,
    /// All objects of some kinds.
    kinds: Vec<(Kind, Vec<Object>)>,
}

impl Fresh {
    /// Puts what was found in the place of what the snapshot has.
    pub(super) fn overlay(&self, name: &str, snapshot: &mut Snapshot) {
        match &self.namespace {
            Some(namespace) => snapshot.insert(&Object::Namespace(namespace.clone())),
            None if name == CLUSTER => {}
            None => snapshot.remove(&Object::Namespace(Namespace::named(name))),
        }
        for (kind, objects) in &self.kinds {
            let found: BTreeMap<ObjectRef, &Object> = objects.iter().map(|object| (object.id(), object)).collect();
            for known in known(snapshot, *kind, name) {
                if !found.contains_key(&known.id()) {
                    snapshot.remove(&known);
                }
            }
            for object in found.into_values() {
                // What cannot be read is what it was before: the best that is known of it.
                if !matches!(object, Object::Unreadable(..)) && !has(snapshot, object) {
                    snapshot.insert(object);
                }
            }
        }
    }
}

/// Whether the snapshot has the object just as it is.
fn has(snapshot: &Snapshot, object: &Object) -> bool {
    match object {
        Object::Policy(policy) => snapshot.written_policy(&policy.id).is_some_and(|old| **old == *policy),
        Object::AddressGroup(group) => snapshot.address_group(&group.id) == Some(group),
        Object::Tier(tier) => snapshot.tier(&tier.id.name) == Some(tier),
        _ => false,
    }
}

/// Objects of the kind in this namespace that the snapshot has.
fn known(snapshot: &Snapshot, kind: Kind, namespace: &str) -> Vec<Object> {
    let is_one = |id: &ObjectRef| id.namespace() == namespace && Kind::of(id.group(), &id.kind) == Some(kind);
    match kind {
        Kind::CalicoTier => snapshot.tiers().cloned().map(Object::Tier).collect(),
        Kind::NetworkSet | Kind::GlobalNetworkSet | Kind::CiliumCidrGroup => {
            let groups = snapshot.address_groups().filter(|group| is_one(&group.id));
            groups.cloned().map(Object::AddressGroup).collect()
        }
        _ => {
            let own = snapshot.namespace(namespace).into_iter().flat_map(|state| state.policies());
            let all = own.chain(snapshot.cluster_policies().filter(|_| namespace == CLUSTER));
            let written = all.filter(|p| is_one(&p.id)).filter_map(|policy| snapshot.written_policy(&policy.id));
            written.map(|policy| Object::Policy((**policy).clone())).collect()
        }
    }
}

type Outcome = Result<Arc<Fresh>, RequestError>;

/// Readers of one namespace stand in line; `last` is when the latest read began and what it found.
#[derive(Debug, Default)]
struct Slot {
    last: tokio::sync::Mutex<Option<(Instant, Outcome)>>,
}

type Slots = Mutex<HashMap<Str, Arc<Slot>>>;

/// Counts, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfirmNumbers {
    /// Reads made.
    pub reads: u64,
    /// Answers that were shared with somebody else's read.
    pub shared: u64,
    /// Questions that stayed without an answer.
    pub failed: u64,
    /// Time that all reads together took.
    pub took: Duration,
}

/// Reads namespaces, and what belongs to none.
#[derive(Debug)]
pub(super) struct Reader<C> {
    api: C,
    slots: Slots,
    at_once: Semaphore,
    reads: AtomicU64,
    shared: AtomicU64,
    failed: AtomicU64,
    took_micros: AtomicU64,
}

/// What is read with.
pub(super) trait ReadNamespace: Send + Sync {
    fn read(&self, namespace: &str) -> impl Future<Output = Result<Fresh, RequestError>> + Send;
}

impl<C: ReadNamespace> Reader<C> {
    pub(super) fn new(api: C) -> Self {
        Self {
            api,
            slots: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            reads: AtomicU64::new(0),
            shared: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            took_micros: AtomicU64::new(0),
        }
    }

    /// Reads the namespace as it is now or later.
    pub(super) async fn read(&self, namespace: &str, deadline: Instant) -> Result<Arc<Fresh>, ConfirmError> {
        let place = Place { slots: &self.slots, namespace, slot: self.enter(namespace) };
        let result = timeout_at(deadline, self.in_line(&place.slot, namespace)).await;
        drop(place);
        let result = match result {
            Err(_) => Err(ConfirmError::Late { what: called(namespace) }),
            Ok(Err(error)) => Err(ConfirmError::Failed { what: called(namespace), why: error.to_string() }),
            Ok(Ok(fresh)) => Ok(fresh),
        };
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    async fn in_line(&self, slot: &Slot, namespace: &str) -> Outcome {
        let asked = Instant::now();
        let mut last = slot.last.lock().await;
        // Only a read that began after the question can answer it: an earlier one may have missed what came between.
        if let Some((begun, outcome)) = &*last
            && *begun > asked
        {
            self.shared.fetch_add(1, Ordering::Relaxed);
            return outcome.clone();
        }
        let _permit = self.at_once.acquire().await;
        let begun = Instant::now();
        let outcome = self.api.read(namespace).await.map(Arc::new);
        self.reads.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took_micros.fetch_add(micros, Ordering::Relaxed);
        *last = Some((begun, outcome.clone()));
        outcome
    }

    fn enter(&self, namespace: &str) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(namespace) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(namespace.into()).or_default())
    }

    /// Namespaces that somebody is reading or waiting for.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.slots).len()
    }

    pub(super) fn numbers(&self) -> ConfirmNumbers {
        ConfirmNumbers {
            reads: self.reads.load(Ordering::Relaxed),
            shared: self.shared.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            took: Duration::from_micros(self.took_micros.load(Ordering::Relaxed)),
        }
    }
}

fn lock(slots: &Slots) -> std::sync::MutexGuard<'_, HashMap<Str, Arc<Slot>>> {
    slots.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A place in line, left when dropped, be it because the asker has gone away.
struct Place<'a> {
    slots: &'a Slots,
    namespace: &'a str,
    slot: Arc<Slot>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut slots = lock(self.slots);
        // Given up under the lock, so that of two who leave together one is the last.
        drop(std::mem::take(&mut self.slot));
        if slots.get(self.namespace).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            slots.remove(self.namespace);
        }
    }
}
