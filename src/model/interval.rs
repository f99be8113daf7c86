//! Canonical sets of integers as sorted, non-touching closed intervals.
//!
//! One representation serves ports, IPv4 and IPv6 addresses. Because the form is canonical, `==` is set equality.

use std::fmt::Debug;

use smallvec::{SmallVec, smallvec};

use super::meter::charge;

/// An integer that can bound an interval.
pub trait Bound: Copy + Ord + Debug {
    /// Smallest value of the universe.
    const MIN: Self;
    /// Largest value of the universe.
    const MAX: Self;
    /// The next value, or `None` at the end of the universe.
    fn succ(self) -> Option<Self>;
    /// The previous value, or `None` at the start of the universe.
    fn pred(self) -> Option<Self>;
    /// Number of values in `lo..=hi`, saturating at `u128::MAX`.
    fn span(lo: Self, hi: Self) -> u128;
}

macro_rules! bound {
    ($t:ty, $min:expr) => {
        impl Bound for $t {
            const MIN: Self = $min;
            const MAX: Self = <$t>::MAX;
            fn succ(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn pred(self) -> Option<Self> {
                if self <= Self::MIN { None } else { self.checked_sub(1) }
            }
            fn span(lo: Self, hi: Self) -> u128 {
                (u128::from(hi) - u128::from(lo)).saturating_add(1)
            }
        }
    };
}
// Port 0 is not a port that a policy can name (API validation: 1-65535).
bound!(u16, 1);
bound!(u32, 0);
bound!(u128, 0);

/// Most sets that policies make are one interval: a port, a block, everything. Those need no memory of their own.
type Spans<T> = SmallVec<[(T, T); 1]>;

/// A set of integers. Sorted, non-empty, non-touching closed intervals.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntervalSet<T> {
    spans: Spans<T>,
}

impl<T: Copy> Clone for IntervalSet<T> {
    fn clone(&self) -> Self {
        // In one piece; a derived clone goes interval by interval.
        Self { spans: SmallVec::from_slice(&self.spans) }
    }
}

impl<T> Default for IntervalSet<T> {
    fn default() -> Self {
        Self { spans: Spans::new_const() }
    }
}

impl<T: Bound> IntervalSet<T> {
    /// The empty set.
    pub const fn empty() -> Self {
        Self { spans: Spans::new_const() }
    }

    /// Charges for an operation on two sets. Sets of a few intervals are charged for by the loops that hold them.
    #[inline]
    fn charge_with(&self, other: &Self) {
        let spans = self.spans.len() + other.spans.len();
        if spans > 4 {
            charge(spans);
        }
    }

    /// Every value of the universe.
    pub fn full() -> Self {
        Self { spans: smallvec![(T::MIN, T::MAX)] }
    }

    /// `lo..=hi`, empty when `hi < lo`.
    pub fn range(lo: T, hi: T) -> Self {
        let lo = lo.max(T::MIN);
        Self { spans: if lo <= hi { smallvec![(lo, hi)] } else { Spans::new_const() } }
    }

    /// The union of many ranges in any order, in one sort.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut spans: Spans<T> =
            ranges.into_iter().map(|(lo, hi)| (lo.max(T::MIN), hi)).filter(|(lo, hi)| lo <= hi).collect();
        let all = spans.len();
        if all > 4 {
            // They are sorted.
            charge(4 * all);
        }
        spans.sort_unstable();
        spans.dedup_by(|next, last| extend(last, *next));
        if spans.len() < all {
            spans.shrink_to_fit();
        }
        Self { spans }
    }

    /// Puts `lo..=hi` in.
    pub fn add(&mut self, lo: T, hi: T) {
        let lo = lo.max(T::MIN);
        if hi < lo {
            return;
        }
        // Ports are mostly written in ascending order, or there is only one.
        if self.spans.last().is_none_or(|last| last.0 <= lo) {
            join(&mut self.spans, (lo, hi));
        } else {
            *self = self.union(&Self::range(lo, hi));
        }
    }

    /// The intervals in ascending order.
    pub fn ranges(&self) -> &[(T, T)] {
        &self.spans
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Whether every value of the universe is in the set.
    pub fn is_full(&self) -> bool {
        *self.spans == [(T::MIN, T::MAX)]
    }

    /// Number of values, saturating.
    pub fn count(&self) -> u128 {
        self.spans.iter().fold(0, |n, &(lo, hi)| n.saturating_add(T::span(lo, hi)))
    }

    /// Whether the value is in the set.
    pub fn contains(&self, value: T) -> bool {
        let after = self.spans.partition_point(|&(lo, _)| lo <= value);
        after.checked_sub(1).and_then(|i| self.spans.get(i)).is_some_and(|&(_, hi)| value <= hi)
    }

    /// Values in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if self.is_empty() || other.is_full() {
            return other.clone();
        }
        if other.is_empty() || self.is_full() {
            return self.clone();
        }
        self.charge_with(other);
        let mut spans = Spans::new();
        let (mut left, mut right) = (self.spans.iter().peekable(), other.spans.iter().peekable());
        while let Some(&span) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a <= b => left.next(),
            (_, Some(_)) => right.next(),
            (_, None) => left.next(),
        } {
            join(&mut spans, span);
        }
        Self { spans }
    }

    /// Values in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        if self.is_full() || other.is_empty() {
            return other.clone();
        }
        if other.is_full() {
            return self.clone();
        }
        self.charge_with(other);
        let mut spans = Spans::new();
        let (mut left, mut right) = (self.spans.iter(), other.spans.iter());
        let (mut a, mut b) = (left.next(), right.next());
        while let (Some(&(alo, ahi)), Some(&(blo, bhi))) = (a, b) {
            let (lo, hi) = (alo.max(blo), ahi.min(bhi));
            if lo <= hi {
                spans.push((lo, hi));
            }
            if ahi < bhi {
                a = left.next();
            } else {
                b = right.next();
            }
        }
        Self { spans }
    }

    /// Values of the universe that are not in the set.
    #[must_use]
    pub fn complement(&self) -> Self {
        self.charge_with(self);
        let mut spans = Spans::with_capacity(self.spans.len() + 1);
        let mut from = Some(T::MIN);
        for &(lo, hi) in &self.spans {
            if let (Some(start), Some(end)) = (from, lo.pred())
                && start <= end
            {
                spans.push((start, end));
            }
            from = hi.succ();
        }
        if let Some(start) = from {
            spans.push((start, T::MAX));
        }
        Self { spans }
    }

    /// Values of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        if other.is_empty() || self.is_empty() {
            return self.clone();
        }
        self.charge_with(other);
        let mut spans = Spans::new();
        let mut taken = other.spans.as_slice();
        for &(lo, hi) in &self.spans {
            // What is taken away below this interval is below all that follow.
            while let [(_, end), rest @ ..] = taken
                && *end < lo
            {
                taken = rest;
            }
            let mut from = Some(lo);
            for &(start, end) in taken.iter().take_while(|(start, _)| *start <= hi) {
                if let (Some(from), Some(before)) = (from, start.pred())
                    && from <= before
                {
                    spans.push((from, before));
                }
                from = end.succ();
            }
            if let Some(from) = from
                && from <= hi
            {
                spans.push((from, hi));
            }
        }
        Self { spans }
    }

    /// Whether every value of this set is in the other.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.charge_with(self);
        self.spans.iter().all(|&(lo, hi)| {
            let after = other.spans.partition_point(|&(start, _)| start <= lo);
            after.checked_sub(1).and_then(|i| other.spans.get(i)).is_some_and(|&(_, end)| hi <= end)
        })
    }

    /// Whether the sets share a value.
    pub fn intersects(&self, other: &Self) -> bool {
        self.charge_with(other);
        let (mut left, mut right) = (self.spans.iter(), other.spans.iter());
        let (mut a, mut b) = (left.next(), right.next());
        while let (Some(&(alo, ahi)), Some(&(blo, bhi))) = (a, b) {
            if alo.max(blo) <= ahi.min(bhi) {
                return true;
            }
            if ahi < bhi {
                a = left.next();
            } else {
                b = right.next();
            }
        }
        false
    }
}

/// Puts a span that does not begin before the last one behind it, or into it where they touch.
fn join<T: Bound>(spans: &mut Spans<T>, span: (T, T)) {
    if !spans.last_mut().is_some_and(|last| extend(last, span)) {
        spans.push(span);
    }
}

/// Puts a span into one that does not begin after it, if they touch.
fn extend<T: Bound>(last: &mut (T, T), (lo, hi): (T, T)) -> bool {
    let touches = last.1.succ().is_none_or(|next| lo <= next);
    if touches {
        last.1 = last.1.max(hi);
    }
    touches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The oracle: a small universe member by member. Only values below 64 are generated.
    fn members(set: &IntervalSet<u32>) -> BTreeSet<u32> {
        (0..70).filter(|v| set.contains(*v)).collect()
    }

    fn sets() -> impl Strategy<Value = IntervalSet<u32>> {
        proptest::collection::vec((0u32..64, 0u32..64), 0..6).prop_map(IntervalSet::from_ranges)
    }

    fn is_canonical(set: &IntervalSet<u32>) -> bool {
        set.ranges().iter().all(|(lo, hi)| lo <= hi)
            && set.ranges().windows(2).all(|w| u64::from(w[0].1) + 1 < u64::from(w[1].0))
    }

    proptest! {
        #[test]
        fn operations_agree_with_brute_force(a in sets(), b in sets()) {
            let (ma, mb) = (members(&a), members(&b));
            prop_assert_eq!(members(&a.union(&b)), ma.union(&mb).copied().collect());
            prop_assert_eq!(members(&a.intersection(&b)), ma.intersection(&mb).copied().collect());
            prop_assert_eq!(members(&a.difference(&b)), ma.difference(&mb).copied().collect());
            prop_assert_eq!(a.is_subset(&b), ma.is_subset(&mb));
            prop_assert_eq!(a.intersects(&b), !ma.is_disjoint(&mb));
            prop_assert_eq!(a.count(), ma.len() as u128);
            prop_assert_eq!(a == b, ma == mb);
            for set in [a.union(&b), a.intersection(&b), a.difference(&b), a.complement()] {
                prop_assert!(is_canonical(&set));
            }
        }

        #[test]
        fn ranges_make_the_same_set_at_once_and_one_by_one(
            ranges in proptest::collection::vec((0u32..64, 0u32..64), 0..6),
        ) {
            let at_once = IntervalSet::from_ranges(ranges.iter().copied());
            let mut one_by_one = IntervalSet::empty();
            for &(lo, hi) in &ranges {
                one_by_one.add(lo, hi);
            }
            prop_assert_eq!(members(&at_once), ranges.iter().flat_map(|&(lo, hi)| lo..=hi).collect());
            prop_assert!(is_canonical(&at_once));
            prop_assert_eq!(one_by_one, at_once);
        }

        #[test]
        fn complement_obeys_its_laws(a in sets(), b in sets()) {
            prop_assert_eq!(a.complement().complement(), a.clone());
            prop_assert!(a.union(&a.complement()).is_full());
            prop_assert!(a.intersection(&a.complement()).is_empty());
            prop_assert_eq!(a.union(&b).complement(), a.complement().intersection(&b.complement()));
        }
    }

    #[test]
    fn touches_both_ends_of_the_universe() {
        let low = IntervalSet::range(0u128, 9);
        let high = IntervalSet::range(10, u128::MAX);
        assert!(low.union(&high).is_full());
        assert_eq!(high.complement(), low);
        assert_eq!(IntervalSet::<u128>::full().count(), u128::MAX);
        assert!(IntervalSet::<u16>::full().complement().is_empty());
        assert!(!IntervalSet::<u16>::full().contains(0), "port 0 is outside the universe");
    }
}
