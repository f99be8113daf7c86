//! Fixes that were judged in one world, so that a fix which serves a thousand objects is judged once and not a thousand
//! times.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{ObjectRef, Policy};

/// Fixes with policies of the same names, and whether the house rules admit them.
type Judged = Vec<(Vec<Policy>, bool)>;

/// Fixes by the names of their policies.
#[derive(Debug, Default)]
pub(super) struct Proofs(RefCell<BTreeMap<Vec<Arc<ObjectRef>>, Judged>>);

impl Proofs {
    /// Whether these policies are admitted, one after the other; `judge` is asked where that is not known yet.
    pub(super) fn admits(&self, policies: &[Policy], judge: impl FnOnce() -> bool) -> bool {
        let names: Vec<_> = policies.iter().map(|policy| Arc::clone(&policy.id)).collect();
        let known = self
            .0
            .borrow()
            .get(&names)
            .and_then(|same| same.iter().find(|(known, _)| known == policies).map(|(_, admitted)| *admitted));
        known.unwrap_or_else(|| {
            let admitted = judge();
            self.0.borrow_mut().entry(names).or_default().push((policies.to_vec(), admitted));
            admitted
        })
    }
}
