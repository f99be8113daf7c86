//! A cluster that is followed, as the gate sees it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::admission::{Cluster, ConfirmError};
use crate::model::Workload;
use crate::review::{User, World};
use crate::source::watch::Watched;
use crate::unseen::Unseen;

impl Cluster for Watched {
    fn current(&self) -> Arc<World> {
        Self::current(self)
    }

    async fn confirm(&self, namespace: &str, deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        Self::confirm(self, namespace, deadline).await.map_err(|error| ConfirmError(error.to_string()))
    }

    fn may_be_behind(&self, namespace: &str) -> bool {
        Self::may_be_behind(self, namespace)
    }

    fn unseen(&self) -> Option<&Unseen> {
        Some(Self::unseen(self))
    }

    async fn pod(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Option<Workload>, ConfirmError> {
        Self::pod(self, namespace, name, deadline).await.map_err(|error| ConfirmError(error.to_string()))
    }

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        Self::may_edit_house_rules(self, user).await.map_err(|error| ConfirmError(error.to_string()))
    }
}
