//! The work meter: counts the steps of a computation and ends it when its limit is reached.
//!
//! Every loop whose length depends on input calls [`charge`]. A computation that runs [`within`] a limit and reaches it
//! unwinds to that call, which returns [`Spent`]; nothing in between has to know what a half-finished answer means
//! (ADR 10). Steps are counted, not time, so the same input reaches the limit at the same place on every machine.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    /// Steps that the computation of this thread may still take. Outside of [`within`] there is no limit.
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// A computation reached its limit before it had an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} steps was reached")]
pub struct Spent {
    /// The limit, in steps.
    pub limit: u64,
}

/// The payload of the unwinding that ends a metered computation.
struct Exhausted;

/// Counts steps. One step is a comparison, a test of a label or an element of a list: some nanoseconds.
///
/// Inside [`within`] a charge beyond the limit unwinds and does not return. It is no panic: no message is printed.
#[inline]
pub fn charge(steps: usize) {
    LEFT.with(|left| {
        let before = left.get();
        let after = before.saturating_sub(steps as u64);
        left.set(after);
        if after == 0 && before != u64::MAX {
            exhausted();
        }
    });
}

#[cold]
fn exhausted() {
    // A destructor that charges while the thread unwinds must not unwind again, because that would abort the process.
    LEFT.with(|left| left.set(u64::MAX));
    resume_unwind(Box::new(Exhausted));
}

/// Steps that the surrounding limit leaves; `u64::MAX` where there is none.
pub fn left() -> u64 {
    LEFT.with(Cell::get)
}

/// Runs a computation that may take this many steps, and no more than the limit around it leaves. What it takes is charged
/// to that limit as well.
///
/// # Errors
///
/// [`Spent`] where the computation did not finish. A panic inside it passes through.
pub fn within<T>(limit: u64, computation: impl FnOnce() -> T) -> Result<T, Spent> {
    let outer = left();
    // Without a limit around it the marker for "no limit" must not be taken for one.
    let inner = limit.min(outer).clamp(1, u64::MAX - 1);
    LEFT.with(|left| left.set(inner));
    let result = catch_unwind(AssertUnwindSafe(computation));
    let exhausted = result.as_ref().is_err_and(|payload| payload.is::<Exhausted>());
    take(outer, if exhausted { inner } else { inner.saturating_sub(left()) });
    match result {
        Ok(value) => Ok(value),
        Err(_) if exhausted => Err(Spent { limit: inner }),
        Err(payload) => resume_unwind(payload),
    }
}

/// Runs a computation without a limit and returns its answer with the steps that it took.
pub fn measured<T>(computation: impl FnOnce() -> T) -> (T, u64) {
    let outer = left();
    let start = u64::MAX - 1;
    LEFT.with(|left| left.set(start));
    let value = computation();
    let used = start.saturating_sub(left());
    take(outer, used);
    (value, used)
}

/// Goes back to the limit around a computation, less what that took. One step stays, so that the next charge finds out that
/// none is left.
fn take(outer: u64, used: u64) {
    LEFT.with(|left| left.set(if outer == u64::MAX { outer } else { outer.saturating_sub(used).max(1) }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_below_the_limit_is_done_and_counted() {
        let (value, used) = measured(|| {
            charge(3);
            charge(4);
            "done"
        });
        assert_eq!((value, used), ("done", 7));
        assert_eq!(within(8, || measured(|| charge(7)).1), Ok(7));
        assert_eq!(left(), u64::MAX, "no limit is left behind");
    }

    #[test]
    fn endless_work_ends_at_the_limit() {
        let spent = within(1_000, || {
            loop {
                charge(1);
            }
        });
        assert_eq!(spent, Err::<(), _>(Spent { limit: 1_000 }));
        charge(10);
    }

    #[test]
    fn limits_nest_and_the_outer_one_counts_what_inner_ones_take() {
        let outer = within(100, || {
            assert!(within(60, || charge(59)).is_ok());
            let inner = within(60, || charge(50));
            assert_eq!(inner, Err(Spent { limit: 41 }), "only 41 were left");
            charge(1);
        });
        assert_eq!(outer, Err(Spent { limit: 100 }));
    }

    #[test]
    fn an_inner_limit_does_not_end_the_outer_computation() {
        let outer = within(100, || {
            assert_eq!(within(10, || charge(50)), Err(Spent { limit: 10 }));
            charge(50);
            left()
        });
        assert_eq!(outer, Ok(40));
    }

    #[test]
    fn a_panic_passes_through_and_leaves_no_limit_behind() {
        let panicked = catch_unwind(|| within(10, || panic!("of its own"))).unwrap_err();
        assert_eq!(panicked.downcast_ref(), Some(&"of its own"));
        assert_eq!(left(), u64::MAX);
    }
}
