//! A cluster that is a folder: a world that never changes, for `serve --manifests`, `review`, `demo` and tests.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Cluster, ConfirmError};
use crate::review::{User, World};

/// A world that is always current.
#[derive(Debug)]
pub struct Fixed {
    world: Arc<World>,
    /// Whether those who may do everything in a cluster may edit its house rules. Nobody else could be asked.
    administered: bool,
}

impl Fixed {
    /// This world.
    pub fn new(world: World) -> Self {
        Self { world: Arc::new(world), administered: true }
    }

    /// This world as it is for those who may not edit house rules, whoever asks.
    pub fn for_tenants(world: World) -> Self {
        Self { administered: false, ..Self::new(world) }
    }
}

impl Cluster for Fixed {
    fn current(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        Ok(Arc::clone(&self.world))
    }

    fn may_be_behind(&self, _namespace: &str) -> bool {
        false
    }

    fn admitted_policy_change(&self, _namespace: &str) {}

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        Ok(self.administered && user.groups.iter().any(|group| &**group == "system:masters"))
    }
}
