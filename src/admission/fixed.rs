//! A cluster that is a folder: a world that changes only where an exception ends, for `serve --manifests`, `review`, `demo` and tests.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Cluster, ConfirmError};
use crate::model::Workload;
use crate::review::{User, World};
use crate::unseen::Unseen;

/// A world that is always current; an exception in it counts until its end.
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
        let now = Timestamp::now().as_second();
        if self.world.house.exceptions.iter().all(|exception| exception.expires_at > now) {
            return Arc::clone(&self.world);
        }
        let mut world = World::clone(&self.world);
        world.house.exceptions.retain(|exception| exception.expires_at > now);
        Arc::new(world)
    }

    async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        Ok(self.current())
    }

    fn may_be_behind(&self, _namespace: &str) -> bool {
        false
    }

    fn unseen(&self) -> Option<&Unseen> {
        None
    }

    async fn pod(&self, _namespace: &str, _name: &str, _deadline: Instant) -> Result<Option<Workload>, ConfirmError> {
        Ok(None)
    }

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        Ok(self.administered && user.groups.iter().any(|group| &**group == "system:masters"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Selector;
    use crate::model::house::{Exception, RuleId};

    #[test]
    fn an_exception_counts_until_its_end() {
        let mut world = World::default();
        let now = Timestamp::now().as_second();
        world.house.exceptions = [("over", now - 1), ("in-force", now + 3600)]
            .map(|(name, expires_at)| Exception {
                name: name.into(),
                rules: vec![RuleId::OpenCidr],
                namespaces: vec!["shop".into()],
                selector: Selector::everything(),
                reason: "a test".into(),
                expires_at,
            })
            .to_vec();
        let current = Fixed::new(world).current();
        let names: Vec<&str> = current.house.exceptions.iter().map(|exception| &*exception.name).collect();
        assert_eq!(names, ["in-force"]);
    }
}
