//! Namespaces in which a policy change was admitted that the watch has not shown yet. What was judged before such a
//! change says nothing about after it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::Str;

/// A change that is admitted here can still be refused elsewhere, and then nothing ever comes of it.
const AT_MOST: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
struct Mark {
    changes: u32,
    until: Instant,
}

/// The marks.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    marks: Mutex<HashMap<Str, Mark>>,
    /// Asked before the lock is taken: nearly always there are none.
    count: AtomicUsize,
}

impl Dirty {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Str, Mark>) -> T) -> T {
        let mut marks = self.marks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = change(&mut marks);
        self.count.store(marks.len(), Ordering::Release);
        result
    }

    /// A change has been admitted.
    pub(super) fn mark(&self, namespace: &str) {
        let now = Instant::now();
        self.change(|marks| {
            marks.retain(|_, mark| mark.until > now);
            let mark = marks.entry(namespace.into()).or_insert(Mark { changes: 0, until: now });
            mark.changes = mark.changes.saturating_add(1);
            mark.until = now + AT_MOST;
        });
    }

    /// The watch has shown one change. Each takes back one mark, because it may be an older one than was just admitted.
    pub(super) fn passed(&self, namespace: &str) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        self.change(|marks| {
            if let Some(mark) = marks.get_mut(namespace) {
                mark.changes = mark.changes.saturating_sub(1);
                if mark.changes == 0 {
                    marks.remove(namespace);
                }
            }
        });
    }

    /// Whether a change is still out.
    pub(super) fn is_marked(&self, namespace: &str) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let now = Instant::now();
        self.change(|marks| marks.get(namespace).is_some_and(|mark| mark.until > now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mark_stays_until_as_many_changes_have_passed_or_time_is_up() {
        let dirty = Dirty::default();
        assert!(!dirty.is_marked("a"));
        dirty.mark("a");
        dirty.mark("a");
        dirty.passed("b");
        dirty.passed("a");
        assert!(dirty.is_marked("a"), "the second is still out");
        assert!(!dirty.is_marked("b"));
        dirty.passed("a");
        assert!(!dirty.is_marked("a"));

        dirty.mark("a");
        tokio::time::advance(AT_MOST).await;
        assert!(!dirty.is_marked("a"));
        dirty.mark("b");
        assert_eq!(dirty.count.load(Ordering::Relaxed), 1, "what has run out is forgotten");
    }
}
