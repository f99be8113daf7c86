//! A cluster that is a folder: a world that never changes, for `serve --manifests`, `review` and `demo`.

use std::sync::Arc;

use tokio::time::Instant;

use crate::admission::{Cluster, ConfirmError};
use crate::review::{User, World};

/// A world that is always current.
#[derive(Debug)]
pub(super) struct Fixed(Arc<World>);

impl Fixed {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new(world))
    }
}

impl Cluster for Fixed {
    fn current(&self) -> Arc<World> {
        Arc::clone(&self.0)
    }

    async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        Ok(Arc::clone(&self.0))
    }

    fn may_be_behind(&self, _namespace: &str) -> bool {
        false
    }

    fn admitted_policy_change(&self, _namespace: &str) {}

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        Ok(user.groups.iter().any(|group| &**group == "system:masters"))
    }
}
