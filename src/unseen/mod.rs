//! Changes that were admitted here and that no watch has shown yet. The API server stores a change some time after it was
//! admitted; a review of what comes in between must be right with that change and without it.
//!
//! Reviews of one namespace are put in an order by it: an admitted change is noted together with a check that no other change
//! that matters was noted since the review looked.

mod place;
#[cfg(test)]
mod tests;
mod worlds;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::model::{Change, Object, Str};
use place::{Entry, Held, Place};
pub use worlds::worlds;

/// How long a change is expected. What was admitted can be refused by another webhook, and then no watch ever shows it.
pub const EXPECTED_FOR: Duration = Duration::from_secs(5);
/// For how long after that a change of policies or labels that no watch has shown is a reason to read the namespace afresh:
/// the watch may be behind.
const DOUBTED_FOR: Duration = Duration::from_secs(10);
/// A review that looked longer ago than this has passed its deadline.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// How often what has run out is cleared away.
const CLEARED_EVERY: Duration = Duration::from_millis(500);
/// Changes of one namespace that are held.
const MOST_IN_A_PLACE: usize = 256;
/// Bytes of the requests that brought them.
const MOST_BYTES_IN_A_PLACE: usize = 2 << 20;
/// Bytes in all.
const MOST_BYTES: usize = 16 << 20;
/// Namespaces that are remembered.
const MOST_PLACES: usize = 32_768;
/// What stands in the place of a namespace for changes that belong to none.
const CLUSTER: &str = "";

/// What a change is to other changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Something that policies must protect, or an assertion about them. Two of these never stand in each other's way.
    Protected,
    /// Policies, and what they refer to.
    Policy,
    /// Labels of a namespace.
    Namespace,
}

impl Part {
    const ALL: [Self; 3] = [Self::Protected, Self::Policy, Self::Namespace];

    /// The part of a change; `None` where it cannot matter to another one.
    pub fn of(change: &Change) -> Option<Self> {
        match change.object()? {
            Object::Workload(workload) => workload.takes_part().then_some(Self::Protected),
            Object::Assertion(_) => Some(Self::Protected),
            Object::Policy(_) | Object::AddressGroup(_) | Object::Tier(_) => Some(Self::Policy),
            Object::Namespace(_) => Some(Self::Namespace),
            Object::Unreadable(id, _) => place::is_policy(id).then_some(Self::Policy),
        }
    }

    /// Whether the verdict on one can depend on the other.
    const fn matters_to(self, other: Self) -> bool {
        !matches!((self, other), (Self::Protected, Self::Protected))
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What a review finds when it looks.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Changes that matter to it, in the order in which they were admitted.
    pub changes: Vec<Arc<Change>>,
    /// Whether there were more than can be held, so that it is not known what is to come.
    pub overflown: bool,
    /// Whether a change was expected in vain: it was refused elsewhere, or the watch is behind.
    pub doubtful: bool,
    /// When it looked, in admissions.
    at: u64,
}

/// How a watch shows a change.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// The object is this now.
    Is(&'a Object),
    /// The object with the kind, namespace and name of this is gone.
    Gone(&'a crate::model::ObjectRef),
}

/// An expected change: the namespace, and its number among all admissions.
pub type Number = (Str, u64);

#[derive(Debug, Default)]
struct State {
    places: HashMap<Str, Place>,
    /// Of all places together.
    held: Held,
    cleared: Option<Instant>,
    /// Looks from before this admission find nothing here any more.
    floor: u64,
}

/// The changes that are expected.
#[derive(Debug, Default)]
pub struct Unseen {
    state: Mutex<State>,
    /// Admissions so far. Changed under the lock only.
    admissions: AtomicU64,
    /// What a look can find, entries and overflows. Asked before the lock is taken: in a quiet cluster it is zero.
    held: AtomicUsize,
    moved: Notify,
}

impl Unseen {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole entries here, never half-made ones.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been admitted that matters to a change of this part of the namespace. It must be asked before the state is
    /// taken that the change is judged on: what is not found is then in that state.
    pub fn look(&self, namespace: &str, part: Part) -> Look {
        let mut look = Look { at: self.admissions.load(Ordering::Acquire), ..Look::default() };
        if self.held.load(Ordering::Acquire) == 0 {
            return look;
        }
        let now = Instant::now();
        let state = self.lock();
        let mut found: Vec<&Entry> = Vec::new();
        for place in state.near(namespace) {
            found.extend(place.entries.iter().filter(|entry| entry.part.matters_to(part) && entry.until > now));
            look.doubtful |= place.entries.iter().any(|entry| entry.is_doubtful(now));
            look.overflown |= Part::ALL
                .iter()
                .any(|other| other.matters_to(part) && place.overflows(*other).is_some_and(|u| u > now));
        }
        found.sort_unstable_by_key(|entry| entry.number);
        look.changes = found.into_iter().map(|entry| Arc::clone(&entry.change)).collect();
        look
    }

    /// Notes that the change is about to be admitted, after a look. `false` where a change that matters to it was admitted
    /// since then: the review has to look again.
    #[must_use]
    pub fn admit(&self, namespace: &str, part: Part, change: &Arc<Change>, bytes: usize, look: &Look) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let admissions = self.admissions.load(Ordering::Relaxed);
        if admissions != look.at
            && (look.at < state.floor || state.near(namespace).any(|place| place.has_later(part, look.at)))
        {
            return false;
        }
        state.clear(now, admissions);
        let number = admissions + 1;
        let room = MOST_BYTES.saturating_sub(state.held.bytes);
        let entry = Entry { number, part, until: now + EXPECTED_FOR, bytes, change: Arc::clone(change) };
        let added = state.place(namespace).add(entry, now, room);
        state.held = state.held.plus(added);
        self.admissions.store(number, Ordering::Release);
        self.held.store(state.held.count, Ordering::Release);
        true
    }

    /// The changes that this shows, for [`Self::forget`] once the state that has them is published.
    pub fn shown(&self, shown: Shown<'_>) -> Vec<Number> {
        if self.held.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let state = self.lock();
        let Some((name, place)) = state.places.get_key_value(place::home(shown)) else { return Vec::new() };
        place.entries.iter().filter(|entry| entry.is(shown)).map(|entry| (name.clone(), entry.number)).collect()
    }

    /// Expects these no longer.
    pub fn forget(&self, numbers: &[Number]) {
        if numbers.is_empty() {
            return;
        }
        let mut state = self.lock();
        for (namespace, number) in numbers {
            if let Some(removed) = state.places.get_mut(namespace).map(|place| place.remove(*number)) {
                state.held = state.held.minus(removed);
            }
        }
        self.held.store(state.held.count, Ordering::Release);
        drop(state);
        self.moved.notify_waiters();
    }

    /// Waits until the look is not what it was any more, or has become too old to matter, at most until the deadline.
    pub async fn moved_since(&self, look: &Look, namespace: &str, part: Part, deadline: Instant) {
        loop {
            // Asked for before looking, so that nothing is missed in between.
            let moved = self.moved.notified();
            let now = self.look(namespace, part);
            let same = now.overflown == look.overflown
                && now.changes.len() == look.changes.len()
                && now.changes.iter().zip(&look.changes).all(|(a, b)| Arc::ptr_eq(a, b));
            if !same || timeout_at(deadline, moved).await.is_err() {
                return;
            }
        }
    }

    /// Changes that are expected, or were until a moment ago.
    pub fn len(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    /// Places whose changes matter in this one: for a namespace its own and that of the cluster, for the cluster all.
    fn near<'a>(&'a self, namespace: &'a str) -> Box<dyn Iterator<Item = &'a Place> + 'a> {
        if namespace == CLUSTER {
            return Box::new(self.places.values());
        }
        Box::new([CLUSTER, namespace].into_iter().filter_map(|name| self.places.get(name)))
    }

    fn place(&mut self, namespace: &str) -> &mut Place {
        if !self.places.contains_key(namespace) {
            self.places.insert(namespace.into(), Place::default());
        }
        self.places.entry(namespace.into()).or_default()
    }

    /// Clears away what has run out, now and then.
    fn clear(&mut self, now: Instant, admissions: u64) {
        let full = self.places.len() >= MOST_PLACES;
        if !full && self.cleared.is_some_and(|at| now < at + CLEARED_EVERY) {
            return;
        }
        self.cleared = Some(now);
        self.places.retain(|_, place| {
            place.clear(now);
            place.last.is_some_and(|at| now < at + REMEMBERED_FOR)
        });
        if self.places.len() >= MOST_PLACES {
            // More names than any cluster has come from a caller that makes them up. The changes of others stay.
            self.places.retain(|_, place| place.held() != Held::default());
            self.floor = admissions;
        }
        if self.places.len() >= MOST_PLACES {
            self.places.clear();
        }
        self.held = self.places.values().map(Place::held).fold(Held::default(), Held::plus);
    }
}
