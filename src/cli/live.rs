//! A cluster that is followed, as the gate sees it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::admission::{Cluster, ConfirmError};
use crate::review::{User, World};
use crate::source::watch::Watched;

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

    fn admitted_policy_change(&self, namespace: &str) {
        Self::admitted_policy_change(self, namespace);
    }

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        Self::may_edit_house_rules(self, user).await.map_err(|error| ConfirmError(error.to_string()))
    }
}
