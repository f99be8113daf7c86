//! A store without a cluster: the certificate lives as long as the process, and its CA can be written to a file for callers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::store::{Published, SecretState, Store, StoreError};

#[derive(Debug, Default)]
struct Held {
    secret: Option<SecretState>,
    published: Published,
}

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    held: Mutex<Held>,
    ca_file: Option<PathBuf>,
}

impl MemoryStore {
    /// A store that writes the CA bundle to this file, if one is named.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        let published = Published { webhooks: vec![("local".to_owned(), Vec::new())], ..Published::default() };
        Self { held: Mutex::new(Held { secret: None, published }), ca_file }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Held) -> T) -> Result<T, StoreError> {
        self.held.lock().map(|mut held| f(&mut held)).map_err(|e| StoreError::Failed(e.to_string()))
    }
}

impl Store for MemoryStore {
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, StoreError>> {
        async { Ok(Timestamp::now()) }.boxed()
    }

    fn read_secret(&self) -> BoxFuture<'_, Result<Option<SecretState>, StoreError>> {
        async { self.with(|held| held.secret.clone()) }.boxed()
    }

    fn write_secret(
        &self,
        _version: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async move { self.with(|held| held.secret = Some(SecretState { version: "1".to_owned(), data })) }.boxed()
    }

    fn read_published(&self) -> BoxFuture<'_, Result<Option<Published>, StoreError>> {
        async { self.with(|held| Some(held.published.clone())) }.boxed()
    }

    fn publish(&self, read: Published, bundle: String) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if let Some(file) = &self.ca_file {
                std::fs::write(file, &bundle)
                    .map_err(|e| StoreError::Failed(format!("cannot write the CA to {}: {e}", file.display())))?;
            }
            let webhooks = read.webhooks.into_iter().map(|(name, _)| (name, bundle.clone().into_bytes())).collect();
            self.with(|held| held.published = Published { webhooks, ..read })
        }
        .boxed()
    }
}
