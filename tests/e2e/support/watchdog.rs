//! Ends the whole run when it hangs, so that nothing is left behind: whatever was started ends with this process.

use std::time::Duration;

/// Much longer than a healthy run on two busy cores.
const LONGEST: Duration = Duration::from_mins(25);

#[allow(clippy::exit, reason = "a hanging thread cannot be ended in any other way")]
pub fn start() {
    std::thread::spawn(|| {
        std::thread::sleep(LONGEST);
        eprintln!("e2e: not done after {LONGEST:?}; giving up");
        std::process::exit(101);
    });
}
