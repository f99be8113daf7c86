//! Waiting for a condition, in bounded time and with the reason why it did not come.

use std::time::{Duration, Instant};

/// Longest wait for one condition. Generous, because the machine may be busy with something else.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Probes until the probe succeeds, or panics with what it said last.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(why) if start.elapsed() > LIMIT => panic!("waited {LIMIT:?} for: {what}. Last seen: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
