//! Consistent reads of one namespace: the policies and labels that hold at the moment of the question, whatever the
//! watches have seen. They are rare, bounded, and shared by those who ask at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Client;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::client::{self, ListQuery, RequestError};
use super::item::Item;
use super::resource::Resource;
use super::wire::Page;
use crate::model::{Namespace, Object, PolicyObject, Str};
use crate::snapshot::Snapshot;

/// Reads that run at once. More would only make each of them slower.
const AT_ONCE: usize = 16;

/// Why a namespace could not be read afresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// The deadline came first.
    #[error(
        "namespace {namespace} could not be read afresh from the API server in time; the answer would rest on old data"
    )]
    Late {
        /// The namespace.
        namespace: Str,
    },
    /// The API server did not answer, or not with what was asked for.
    #[error("namespace {namespace} could not be read afresh: {why}")]
    Failed {
        /// The namespace.
        namespace: Str,
        /// What went wrong.
        why: String,
    },
}

/// What a consistent read has found.
#[derive(Debug)]
pub(super) struct Fresh {
    /// `None` if it does not exist.
    namespace: Option<Namespace>,
    policies: Vec<PolicyObject>,
}

impl Fresh {
    /// Puts what was found in the place of what the snapshot has.
    pub(super) fn overlay(&self, name: &str, snapshot: &mut Snapshot) {
        match &self.namespace {
            Some(namespace) => snapshot.insert(&Object::Namespace(namespace.clone())),
            None => snapshot.remove(&Object::Namespace(Namespace::named(name))),
        }
        snapshot.replace_policies(name, &self.policies);
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

/// Reads namespaces.
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
            Err(_) => Err(ConfirmError::Late { namespace: namespace.into() }),
            Ok(Err(error)) => Err(ConfirmError::Failed { namespace: namespace.into(), why: error.to_string() }),
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
        // Ours and the map's: nobody else stands in line.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(self.namespace);
        }
    }
}

/// Reads from the API server.
#[derive(Clone)]
pub(super) struct FromApi {
    pub(super) client: Client,
    /// How long a read may take, whatever its askers' deadlines.
    pub(super) within: Duration,
}

impl ReadNamespace for FromApi {
    async fn read(&self, namespace: &str) -> Result<Fresh, RequestError> {
        let name = client::encode(namespace);
        let (found, policies) = futures::join!(self.namespace(&name), self.policies(&name));
        Ok(Fresh { namespace: found?, policies: policies? })
    }
}

impl FromApi {
    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, RequestError> {
        let path = format!("{}/{name}", Resource::Namespaces.path());
        let bytes = match client::get(&self.client, &path, self.within).await {
            Err(RequestError::NotFound(_)) => return Ok(None),
            got => got?,
        };
        let raw = serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))?;
        match Item::read(Resource::Namespaces, raw) {
            Ok(Item::Object(Object::Namespace(namespace))) => Ok(Some(namespace)),
            Ok(_) => Err(RequestError::Nonsense(format!("namespace {name} cannot be read"))),
            Err(why) => Err(RequestError::Nonsense(why)),
        }
    }

    async fn policies(&self, namespace: &str) -> Result<Vec<PolicyObject>, RequestError> {
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies");
        // In one piece: a namespace's policies are few.
        let path = client::list_path(&path, &ListQuery::default());
        let bytes = client::get(&self.client, &path, self.within).await?;
        let page: Page<'_> =
            serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))?;
        page.items
            .iter()
            .flatten()
            .map(|raw| match Item::read(Resource::NetworkPolicies, raw) {
                Ok(Item::Object(Object::Policy(policy))) => Ok(policy),
                Ok(_) => Err(RequestError::Nonsense("not a NetworkPolicy".to_owned())),
                Err(why) => Err(RequestError::Nonsense(why)),
            })
            .collect()
    }
}
