//! What the keeper of self-made certificates needs from the cluster: one Secret and one webhook configuration.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// The data of the Secret with the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretState {
    /// For the write that must not overwrite another replica's.
    pub version: String,
    /// Key to bytes.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// The webhook configuration, as far as certificates are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// For the write that must not overwrite another replica's.
    pub version: String,
    /// Name and `caBundle` of every webhook in it.
    pub webhooks: Vec<(String, Vec<u8>)>,
    /// The annotation by which another controller says that it fills in the bundles.
    pub other_injector: Option<String>,
}

/// Why a look or a write did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Someone wrote in between; look again.
    #[error("changed by another writer in between")]
    Conflict,
    /// Everything else, in words that name the object.
    #[error("{0}")]
    Failed(String),
}

/// The outside of the keeper. Object-safe, so that options can carry one.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The verifier's clock: certificates are judged by the API server, so its time counts.
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, StoreError>>;
    /// The Secret, or `None` when there is none.
    fn read_secret(&self) -> BoxFuture<'_, Result<Option<SecretState>, StoreError>>;
    /// Creates the Secret when `version` is `None`, else replaces its data if it still has that version.
    fn write_secret(
        &self,
        version: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> BoxFuture<'_, Result<(), StoreError>>;
    /// The webhook configuration, or `None` when there is none.
    fn read_published(&self) -> BoxFuture<'_, Result<Option<Published>, StoreError>>;
    /// Sets `caBundle` of every webhook that was read, and nothing else, if the configuration still has that version.
    fn publish(&self, read: Published, bundle: String) -> BoxFuture<'_, Result<(), StoreError>>;
}
