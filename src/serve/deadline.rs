//! Says until when an answer is worth writing, from the `?timeout=` that the API server puts on every call.

use std::time::Duration;

use tokio::time::Instant;

/// The longest timeout that a webhook configuration may ask for; whatever claims more is a caller of another kind.
const LONGEST: Duration = Duration::from_secs(30);

/// How the instant for an answer is derived from what the caller said.
#[derive(Debug, Clone, Copy)]
pub struct DeadlinePolicy {
    /// Taken when the call names no timeout: the default that `admissionregistration.k8s.io/v1` gives.
    pub default_timeout: Duration,
    /// Kept back for writing the answer and for the way home, but never more than a quarter of the timeout.
    pub margin: Duration,
}

impl Default for DeadlinePolicy {
    fn default() -> Self {
        Self { default_timeout: Duration::from_secs(10), margin: Duration::from_millis(200) }
    }
}

/// The two instants of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// What the reviewer is told.
    pub answer_by: Instant,
    /// When the server stops waiting for a reviewer that overran, while the caller still listens.
    pub give_up: Instant,
}

impl DeadlinePolicy {
    /// The deadline of a call that arrived at `arrived` with this query string.
    pub fn of(&self, query: Option<&str>, arrived: Instant) -> Deadline {
        let timeout = timeout_in(query).unwrap_or(self.default_timeout).min(LONGEST);
        let margin = self.margin.min(timeout / 4);
        Deadline {
            answer_by: arrived + timeout.saturating_sub(margin),
            give_up: arrived + timeout.saturating_sub(margin / 2),
        }
    }
}

/// The `timeout` parameter; absent, unreadable and zero all mean "none given", because none of them is a reason to refuse a review.
fn timeout_in(query: Option<&str>) -> Option<Duration> {
    query?
        .split('&')
        .filter_map(|pair| pair.strip_prefix("timeout="))
        .find_map(parse_go_duration)
        .filter(|timeout| !timeout.is_zero())
}

/// Reads a duration as Go prints it: `10s`, `1m30s`, `1.5h`, `250ms`. Negative and unit-less values are refused.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0_f64;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_len);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_len);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_api_server_writes() {
        for (text, wanted) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1m0s", Some(60_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            ("1h2m3s", Some(3_723_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("10 s", None),
            ("1d", None),
            ("99999999999999999999999999999h", None),
        ] {
            assert_eq!(parse_go_duration(text), wanted.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn the_deadline_lies_before_the_callers_own() {
        let now = Instant::now();
        let policy = DeadlinePolicy::default();
        let ms = |deadline: Deadline| ((deadline.answer_by - now).as_millis(), (deadline.give_up - now).as_millis());
        assert_eq!(ms(policy.of(Some("timeout=5s"), now)), (4800, 4900));
        assert_eq!(ms(policy.of(Some("a=b&timeout=400ms"), now)), (300, 350), "a short one keeps three quarters");
        assert_eq!(ms(policy.of(None, now)), (9800, 9900));
        assert_eq!(ms(policy.of(Some("timeout=0s"), now)), (9800, 9900));
        assert_eq!(ms(policy.of(Some("timeout=soon"), now)), (9800, 9900));
        assert_eq!(ms(policy.of(Some("timeout=9h"), now)), (29_800, 29_900));
    }
}
