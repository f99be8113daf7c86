//! What is judged of a request after its answer: findings of rules that only record.

use std::sync::Arc;

use super::envelope::Incoming;
use crate::model::{Change, Object};
use crate::review::{Scope, User, Verdict, World, home_of, may_record, review_within};

/// Bytes of the largest request of which more is recorded than its answer says. Larger ones are left to the background audit,
/// so that requests which wait to be recorded take little memory.
const MOST_BYTES: usize = 32 << 10;

/// An admitted request that waits to be recorded.
#[derive(Debug)]
pub struct Record {
    /// The uid of its review.
    pub uid: String,
    change: Arc<Change>,
    user: User,
    world: Arc<World>,
}

impl Record {
    /// The record of a request, if a rule may have something to record about it.
    pub(super) fn of(request: &Incoming<'_>, change: &Arc<Change>, world: &Arc<World>, bytes: usize) -> Option<Self> {
        let about_policies = !matches!(change.object(), Some(Object::Workload(_) | Object::Namespace(_)) | None);
        let home = || home_of(&world.snapshot, &change.id);
        (bytes <= MOST_BYTES && (about_policies || may_record(&world.house, home().labels()))).then(|| Self {
            uid: request.uid.to_string(),
            change: Arc::clone(change),
            user: request.user.clone(),
            world: Arc::clone(world),
        })
    }

    /// Judges the request by the rules that only record.
    pub fn judge(&self) -> Verdict {
        let World { snapshot, house } = &*self.world;
        review_within(snapshot, house, &self.change, &self.user, Scope::of_record())
    }
}
