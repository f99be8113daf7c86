//! Callers keep getting answers while two replicas go through generations of self-made certificates.
//!
//! Time is the test's own: the replicas take it from the store and the callers from their verifier, so that years pass in
//! seconds, and each day only begins when everybody has finished a round in the one before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod serve_support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use portcullis::serve::Certificates;
use portcullis::serve::certs::{Published, SecretState, SelfManaged, Store, StoreError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use serve_support::{connect, options, review, start};

const DAY: Duration = Duration::from_hours(24);

#[derive(Debug, Default)]
struct Cluster {
    now: AtomicU64,
    looks: AtomicU64,
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    version: u64,
    secret: Option<SecretState>,
    published: Published,
}

#[derive(Debug, Clone)]
struct Shared(Arc<Cluster>);

impl Shared {
    fn with<T: Send + 'static>(&self, act: impl FnOnce(&mut Objects) -> T) -> BoxFuture<'static, T> {
        let result = act(&mut self.0.objects.lock().unwrap());
        async { result }.boxed()
    }
}

impl TimeProvider for Shared {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now.load(Ordering::SeqCst))))
    }
}

impl Store for Shared {
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, StoreError>> {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        let seconds = self.0.now.load(Ordering::SeqCst);
        async move { Ok(Timestamp::from_second(seconds.try_into().unwrap()).unwrap()) }.boxed()
    }

    fn read_secret(&self) -> BoxFuture<'_, Result<Option<SecretState>, StoreError>> {
        self.with(|objects| Ok(objects.secret.clone()))
    }

    fn write_secret(
        &self,
        version: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|objects| {
            if objects.secret.as_ref().map(|secret| secret.version.clone()) != version {
                return Err(StoreError::Conflict);
            }
            objects.version += 1;
            objects.secret = Some(SecretState { version: objects.version.to_string(), data });
            Ok(())
        })
    }

    fn read_published(&self) -> BoxFuture<'_, Result<Option<Published>, StoreError>> {
        self.with(|objects| Ok(Some(objects.published.clone())))
    }

    fn publish(&self, read: Published, bundle: String) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(|objects| {
            if objects.published.version != read.version {
                return Err(StoreError::Conflict);
            }
            objects.version += 1;
            objects.published.version = objects.version.to_string();
            objects.published.webhooks[0].1 = bundle.into_bytes();
            Ok(())
        })
    }
}

/// A caller that trusts what is published now, as of the test's clock.
fn caller(cluster: &Shared) -> ClientConfig {
    let bundle = cluster.0.objects.lock().unwrap().published.webhooks[0].1.clone();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).map(Result::unwrap));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_details(provider, Arc::new(cluster.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_review_is_lost_through_generations_of_certificates() {
    let cluster = Shared(Arc::default());
    cluster.0.now.store(Timestamp::now().as_second().try_into().unwrap(), Ordering::SeqCst);
    cluster.0.objects.lock().unwrap().published.webhooks = vec![("houserules.portcullis.dev".to_owned(), Vec::new())];
    let replica = || {
        let mut settings = SelfManaged::for_service("portcullis", "portcullis", "portcullis-tls", "portcullis");
        settings.poll = Duration::from_millis(2);
        settings.ca_lifetime = DAY * 60;
        start(options(Certificates::SelfManaged { settings, store: Arc::new(cluster.clone()) }))
    };
    let replicas = [replica().await, replica().await];
    for replica in &replicas {
        replica.until_ready(200, "ok").await;
    }

    let stop = Arc::new(AtomicBool::new(false));
    let leaves = Arc::new(Mutex::new(BTreeSet::new()));
    let rounds: Vec<_> = (0..4).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let callers: Vec<_> = rounds
        .iter()
        .enumerate()
        .map(|(index, rounds)| {
            let to = replicas[index % replicas.len()].webhook;
            let (cluster, stop, leaves, rounds) =
                (cluster.clone(), Arc::clone(&stop), Arc::clone(&leaves), Arc::clone(rounds));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let mut stream = connect(to, &caller(&cluster)).await.expect("a handshake failed");
                    leaves.lock().unwrap().insert(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec());
                    assert_eq!(review(&mut stream, "{}").await.expect("a review was lost").status, 200);
                    rounds.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();

    let mut cas = BTreeSet::new();
    for _day in 0..100 {
        cluster.0.now.fetch_add(DAY.as_secs(), Ordering::SeqCst);
        // Two rounds of each caller and four looks of the replicas: at least one of each began in this day.
        let before: Vec<_> = rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect();
        let looks = cluster.0.looks.load(Ordering::SeqCst);
        let behind = || {
            cluster.0.looks.load(Ordering::SeqCst) < looks + 8
                || rounds.iter().zip(&before).any(|(now, before)| now.load(Ordering::SeqCst) < before + 2)
        };
        while behind() {
            assert!(!callers.iter().any(tokio::task::JoinHandle::is_finished), "a caller gave up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let objects = cluster.0.objects.lock().unwrap();
        cas.insert(objects.secret.as_ref().unwrap().data["ca.key"].clone());
    }
    stop.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(cas.len() >= 3, "{} CAs in 100 days", cas.len());
    assert!(leaves.lock().unwrap().len() >= 6, "{} leaves", leaves.lock().unwrap().len());
    for replica in replicas {
        assert_eq!(replica.admin("/readyz").await.0, 200);
        replica.shutdown.abort();
        replica.task.await.unwrap().unwrap();
    }
}
