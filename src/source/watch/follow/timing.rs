//! How patient following is.

use std::time::Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Objects per page of a list.
    pub page: u32,
    /// How long a page may take.
    pub list: Duration,
    /// How long one watch request lasts. API servers send a bookmark shortly before its end, so this is also the
    /// longest time without a word from a healthy one.
    pub watch: Duration,
    /// How long the end of a watch may be overdue before the connection counts as dead.
    pub grace: Duration,
    /// First pause after a failure; doubles up to `longest_pause`.
    pub first_pause: Duration,
    /// Longest pause after a failure.
    pub longest_pause: Duration,
    /// How often to look for a kind that does not exist.
    pub look_again: Duration,
    /// How often to look what nodes and definitions tell of the network.
    pub scout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            page: 500,
            list: Duration::from_secs(30),
            watch: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(15),
            look_again: Duration::from_secs(30),
            scout: Duration::from_mins(10),
        }
    }
}
