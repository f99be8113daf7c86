//! Waiting for a condition, in bounded time and with the reason why it did not come.

use std::time::{Duration, Instant};

/// Longest wait for one condition. Generous, because the machine may be busy with something else.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Probes until the probe succeeds, or panics with what it said last.
pub fn until<T>(what: &str, probe: impl FnMut() -> Result<T, String>) -> T {
    until_within(LIMIT, what, probe)
}

/// The same with a limit of its own, for what takes its time by design.
pub fn until_within<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(why) if start.elapsed() > limit => panic!("waited {limit:?} for: {what}. Last seen: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
