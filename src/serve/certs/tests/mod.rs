//! A world for the tests of self-made certificates: a clock, a Secret and a webhook configuration in memory.

mod keeper;
mod kube_store;
mod plan;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use super::SelfManaged;
use super::holding::{BUNDLE, CA_KEY, Holding, LEAF, LEAF_KEY};
use super::issue;
use super::store::{Published, SecretState, Store, StoreError};

fn settings() -> SelfManaged {
    SelfManaged::for_service("portcullis", "castle", "portcullis-tls", "portcullis")
}

fn start() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn hours(at: Timestamp, hours: i64) -> Timestamp {
    at + SignedDuration::from_hours(hours)
}

/// The data of a Secret made at this time.
fn made_at(settings: &SelfManaged, at: Timestamp) -> BTreeMap<String, Vec<u8>> {
    let ca = issue::ca(settings, at).unwrap();
    let mut data =
        BTreeMap::from([(BUNDLE.to_owned(), ca.certificate.into_bytes()), (CA_KEY.to_owned(), ca.key.into_bytes())]);
    add_leaf(settings, &mut data, at);
    data
}

fn add_leaf(settings: &SelfManaged, data: &mut BTreeMap<String, Vec<u8>>, at: Timestamp) {
    let holding = Holding::read(data);
    let leaf = issue::leaf(settings, &holding.cas[0], holding.ca_key.as_ref().unwrap(), at).unwrap();
    data.insert(LEAF.to_owned(), leaf.certificate.into_bytes());
    data.insert(LEAF_KEY.to_owned(), leaf.key.into_bytes());
}

/// A configuration of two webhooks with this bundle.
fn published(bundle: &str) -> Published {
    Published {
        version: "1".to_owned(),
        webhooks: ["houserules.portcullis.dev", "namespaces.portcullis.dev"]
            .map(|name| (name.to_owned(), bundle.as_bytes().to_vec()))
            .to_vec(),
        other_injector: None,
    }
}

/// The cluster as one store; clones share it.
#[derive(Debug, Clone)]
struct World(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Timestamp,
    secret: Option<(u64, BTreeMap<String, Vec<u8>>)>,
    configuration: Option<Published>,
    next_version: u64,
    /// Every bundle of the first webhook with the time at which it was replaced.
    history: Vec<(Timestamp, Vec<u8>)>,
    random: u64,
    conflicts: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: start(),
            secret: None,
            configuration: Some(published("")),
            next_version: 2,
            history: Vec::new(),
            random: seed,
            conflicts: 0,
        })))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    fn pass(&self, time: Duration) {
        self.with(|state| state.now += time);
    }

    fn holding(&self) -> Holding {
        self.with(|state| state.secret.as_ref().map(|(_, data)| Holding::read(data)).unwrap_or_default())
    }

    /// Lets the other replicas go on for a while, differently for every seed.
    async fn others_first(&self) {
        let turns = self.with(|state| {
            state.random = state.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.random >> 61
        });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }
}

impl State {
    fn version(&mut self) -> u64 {
        self.next_version += 1;
        self.next_version
    }

    fn conflict<T>(&mut self) -> Result<T, StoreError> {
        self.conflicts += 1;
        Err(StoreError::Conflict)
    }
}

impl Store for World {
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, StoreError>> {
        async { Ok(self.with(|state| state.now)) }.boxed()
    }

    fn read_secret(&self) -> BoxFuture<'_, Result<Option<SecretState>, StoreError>> {
        async {
            self.others_first().await;
            Ok(self.with(|state| {
                state.secret.clone().map(|(version, data)| SecretState { version: version.to_string(), data })
            }))
        }
        .boxed()
    }

    fn write_secret(
        &self,
        version: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.others_first().await;
            self.with(|state| {
                if state.secret.as_ref().map(|(version, _)| version.to_string()) != version {
                    return state.conflict();
                }
                state.secret = Some((state.version(), data));
                Ok(())
            })
        }
        .boxed()
    }

    fn read_published(&self) -> BoxFuture<'_, Result<Option<Published>, StoreError>> {
        async {
            self.others_first().await;
            Ok(self.with(|state| state.configuration.clone()))
        }
        .boxed()
    }

    fn publish(&self, read: Published, bundle: String) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.others_first().await;
            self.with(|state| {
                let version = state.version().to_string();
                let now = state.now;
                match &mut state.configuration {
                    Some(current) if current.version == read.version => {
                        state.history.push((now, current.webhooks[0].1.clone()));
                        current.version = version;
                        for (_, published) in &mut current.webhooks {
                            *published = bundle.clone().into_bytes();
                        }
                        Ok(())
                    }
                    _ => state.conflict(),
                }
            })
        }
        .boxed()
    }
}
