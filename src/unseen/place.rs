//! The expected changes of one namespace, or of what belongs to none.

use std::sync::Arc;

use tokio::time::Instant;

use super::{CLUSTER, DOUBTED_FOR, EXPECTED_FOR, MOST_BYTES_IN_A_PLACE, MOST_IN_A_PLACE, Part, Shown};
use crate::model::{Change, Object, ObjectRef};
use crate::translate::Kind;

/// One expected change.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its number among all admissions.
    pub(super) number: u64,
    pub(super) part: Part,
    pub(super) until: Instant,
    /// Bytes of the request that brought it.
    pub(super) bytes: usize,
    pub(super) change: Arc<Change>,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Changes, and marks of an overflow.
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl Held {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self { count: self.count.saturating_sub(other.count), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) entries: Vec<Entry>,
    /// Until when changes of a part are expected that could not be held.
    overflown: [Option<Instant>; Part::ALL.len()],
    /// The latest admission of each part, held or not.
    latest: [u64; Part::ALL.len()],
    /// When the latest of them was.
    pub(super) last: Option<Instant>,
}

impl Place {
    pub(super) fn overflows(&self, part: Part) -> Option<Instant> {
        self.overflown[part.index()]
    }

    /// Whether a change that matters to this part was admitted after that admission.
    pub(super) fn has_later(&self, part: Part, admission: u64) -> bool {
        Part::ALL.iter().any(|other| other.matters_to(part) && self.latest[other.index()] > admission)
    }

    /// Adds a change, if there is room for it and for so many bytes; says how much more is held.
    pub(super) fn add(&mut self, entry: Entry, now: Instant, room: usize) -> Held {
        self.latest[entry.part.index()] = entry.number;
        self.last = Some(now);
        let own = MOST_BYTES_IN_A_PLACE.saturating_sub(self.entries.iter().map(|e| e.bytes).sum());
        if self.entries.len() < MOST_IN_A_PLACE && entry.bytes <= own.min(room) {
            let held = Held { count: 1, bytes: entry.bytes };
            self.entries.push(entry);
            return held;
        }
        let new = self.overflown[entry.part.index()].replace(now + EXPECTED_FOR).is_none();
        Held { count: usize::from(new), bytes: 0 }
    }

    /// Takes out a change; says how much less is held.
    pub(super) fn remove(&mut self, number: u64) -> Held {
        let Some(at) = self.entries.iter().position(|entry| entry.number == number) else { return Held::default() };
        Held { count: 1, bytes: self.entries.remove(at).bytes }
    }

    /// Takes out what has run out.
    pub(super) fn clear(&mut self, now: Instant) {
        self.entries.retain(|entry| entry.until > now || entry.is_doubtful(now));
        for overflown in &mut self.overflown {
            *overflown = overflown.filter(|until| *until > now);
        }
    }

    pub(super) fn held(&self) -> Held {
        let overflown = self.overflown.iter().flatten().count();
        Held { count: self.entries.len() + overflown, bytes: self.entries.iter().map(|entry| entry.bytes).sum() }
    }
}

impl Entry {
    /// Whether it was expected in vain a moment ago. Pods are not read afresh.
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        self.part != Part::Protected && self.until <= now && now < self.until + DOUBTED_FOR
    }

    /// Whether the change is what a watch shows.
    pub(super) fn is(&self, shown: Shown<'_>) -> bool {
        match (shown, &self.change.after) {
            (Shown::Gone(id), None) => is_named(id, &self.change.id),
            (Shown::Is(object), Some(after)) => is_named(&object.id(), &self.change.id) && is_like(object, after),
            _ => false,
        }
    }
}

fn is_named(a: &ObjectRef, b: &ObjectRef) -> bool {
    a.name == b.name && a.namespace == b.namespace && Kind::of(a.group(), &a.kind) == Kind::of(b.group(), &b.kind)
}

/// Whether both say the same, as far as it matters to reviews. What of an object could not be read may be anything.
fn is_like(shown: &Object, admitted: &Object) -> bool {
    match (shown, admitted) {
        (Object::Workload(a), Object::Workload(b)) => a.pod == b.pod && a.controller == b.controller,
        (Object::Policy(a), Object::Policy(b)) => {
            (&a.policies, &a.unread, a.implicit_types) == (&b.policies, &b.unread, b.implicit_types)
        }
        (_, Object::Unreadable(..)) => true,
        (a, b) => a == b,
    }
}

/// The namespace whose changes a watch shows by this.
pub(super) fn home(shown: Shown<'_>) -> &str {
    match shown {
        Shown::Is(Object::Namespace(namespace)) => &namespace.name,
        Shown::Is(Object::Workload(workload)) => workload.id.namespace(),
        Shown::Is(Object::Policy(policy)) => policy.id.namespace(),
        Shown::Is(Object::AddressGroup(group)) => group.id.namespace(),
        Shown::Is(Object::Assertion(assertion)) => assertion.id.namespace(),
        Shown::Is(Object::Unreadable(id, _)) | Shown::Gone(id) => id.namespace(),
        Shown::Is(Object::Tier(_)) => CLUSTER,
    }
}

/// Whether an object that cannot be read is a policy, or what policies refer to.
pub(super) fn is_policy(id: &ObjectRef) -> bool {
    match Kind::of(id.group(), &id.kind) {
        Some(kind) => kind.is_policy() || kind.is_address_group() || kind == Kind::CalicoTier,
        None => true,
    }
}
