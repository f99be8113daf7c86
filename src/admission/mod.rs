//! From the bytes of an AdmissionReview to the bytes of its answer: envelope, change, review, response.
//!
//! The world is behind [`Cluster`], so that the same path serves a watched cluster, a folder of manifests and tests.

mod caps;
mod change;
mod decided;
mod envelope;
mod expected;
mod fixed;
mod gate;
mod lean;
mod record;
mod response;
mod wire;

use std::sync::Arc;

pub use caps::Caps;
pub use decided::{Decided, Outcome};
pub use envelope::{EnvelopeError, Incoming};
pub use fixed::Fixed;
pub use gate::{Gate, Reply};
pub use record::Record;
pub use response::Response;
use tokio::time::Instant;
pub use wire::Given;

use crate::model::Workload;
use crate::review::{User, World};
use crate::unseen::Unseen;

/// Where the world comes from, and what only the cluster itself can answer.
pub trait Cluster: Send + Sync + 'static {
    /// The latest published state.
    fn current(&self) -> Arc<World>;

    /// The state with this namespace read afresh from the API server, before the deadline.
    fn confirm(
        &self,
        namespace: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Arc<World>, ConfirmError>> + Send;

    /// Whether an approval from the cache could be wrong for this namespace, because the cache is known to be behind.
    fn may_be_behind(&self, namespace: &str) -> bool;

    /// Changes that were admitted here and that the state does not have yet; `None` where nothing comes of what is admitted.
    fn unseen(&self) -> Option<&Unseen>;

    /// A pod as the API server has it now; `None` where there is none.
    fn pod(
        &self,
        namespace: &str,
        name: &str,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Workload>, ConfirmError>> + Send;

    /// Whether the user may update HouseRules, and so may lower what a namespace's labels ask for.
    fn may_edit_house_rules(&self, user: &User) -> impl Future<Output = Result<bool, ConfirmError>> + Send;
}

/// Why the API server could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfirmError(pub String);
