//! Counts the bytes of request bodies that are in memory at once, so that many large reviews shed instead of exhausting it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;

/// The bytes that all bodies together may hold.
///
/// Bytes are charged as they arrive and not as `Content-Length` promises them: a caller who announces 32 MiB and
/// sends nothing costs nothing. A part is kept for small bodies alone, so that large ones never crowd them out.
#[derive(Debug)]
pub struct ByteBudget {
    limit: i64,
    kept_for_small: i64,
    small: i64,
    used: Gauge,
}

/// A body found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

/// The bytes that one body holds; giving them back is dropping it.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<ByteBudget>,
    bytes: i64,
}

impl ByteBudget {
    /// A budget of `limit` bytes that always admits one body of `largest`; a body up to `small` may use all of it.
    pub fn new(limit: usize, largest: usize, small: usize, used: Gauge) -> Arc<Self> {
        let kept_for_small = (limit / 4).min(limit.saturating_sub(largest));
        Arc::new(Self { limit: clamp(limit), kept_for_small: clamp(kept_for_small), small: clamp(small), used })
    }

    /// An empty charge, to grow as the body comes in.
    pub fn open(self: &Arc<Self>) -> Charge {
        Charge { budget: Arc::clone(self), bytes: 0 }
    }

    /// Bytes charged now.
    pub fn used(&self) -> i64 {
        self.used.get()
    }

    fn ceiling_for(&self, size: i64) -> i64 {
        if size <= self.small { self.limit } else { self.limit - self.kept_for_small }
    }
}

impl Charge {
    /// Whether a body of this announced size would find room now; nothing is charged.
    pub fn would_fit(&self, announced: usize) -> Result<(), Exhausted> {
        let size = clamp(announced);
        let room = self.budget.ceiling_for(size) - self.budget.used();
        if size <= room { Ok(()) } else { Err(Exhausted) }
    }

    /// Charges the next `bytes` of this body.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = clamp(bytes);
        let ceiling = self.budget.ceiling_for(self.bytes.saturating_add(more));
        self.budget
            .used
            .inner()
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|sum| *sum <= ceiling)
            })
            .map_err(|_| Exhausted)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.dec_by(self.bytes);
    }
}

fn clamp(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<ByteBudget> {
        ByteBudget::new(100, 60, 10, Gauge::default())
    }

    #[test]
    fn small_bodies_pass_when_large_ones_have_filled_their_part() {
        let budget = budget();
        let mut large = budget.open();
        assert_eq!(large.grow(60), Ok(()));
        let mut second = budget.open();
        assert_eq!(second.would_fit(60), Err(Exhausted));
        assert_eq!(second.grow(15), Ok(()));
        assert_eq!(second.grow(1), Err(Exhausted), "the last quarter is for small bodies");
        let mut small = budget.open();
        assert_eq!(small.grow(10), Ok(()));
        assert_eq!(budget.used(), 85);
    }

    #[test]
    fn a_failed_growth_charges_nothing_and_a_drop_gives_all_back() {
        let budget = budget();
        let mut charge = budget.open();
        assert_eq!(charge.grow(50), Ok(()));
        assert_eq!(charge.grow(50), Err(Exhausted));
        assert_eq!(budget.used(), 50);
        drop(charge);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_largest_body_always_fits_an_empty_budget() {
        let tight = ByteBudget::new(64, 64, 10, Gauge::default());
        assert_eq!(tight.open().grow(64), Ok(()));
        assert_eq!(tight.open().grow(usize::MAX), Err(Exhausted));
    }
}
