//! An object of any kind, grown out of what the fuzzer makes: processor time and memory in proportion to its bytes, up to
//! what a review may take. What holds for steps and answers is in `tests/fuzz/properties.rs`.
//!
//! The bounds are for a build with coverage and without a sanitizer (`cargo +nightly fuzz run -s none cost`).
#![no_main]

#[allow(dead_code, reason = "each target has one property")]
#[path = "../../tests/fuzz/properties.rs"]
mod properties;

use std::fs;
use std::time::Duration;

use cpu_time::ThreadTime;

/// A millisecond for each KiB up to what a review may take, beside what the smallest takes.
fn allowed_time(bytes: usize) -> Duration {
    Duration::from_millis(20 + (bytes as u64 >> 10)).min(Duration::from_millis(500))
}

/// 64 KiB for each KiB up to 96 MiB, beside what the smallest takes; in KiB.
fn allowed_memory(bytes: usize) -> usize {
    (8 << 10) + (64 * (bytes >> 10)).min(96 << 10)
}

/// A figure of this process in KiB.
fn status(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(grown) = properties::grown(data) else { return };
    // Highest from here on.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (before, start) = (status("VmRSS"), ThreadTime::now());
    properties::cost(&grown);
    let (took, memory) = (start.elapsed(), status("VmHWM").saturating_sub(before));
    let bytes = grown.text.len();
    assert!(took <= allowed_time(bytes), "{took:?} for {bytes} bytes of {:?}", grown.kind);
    assert!(memory <= allowed_memory(bytes), "{memory} KiB for {bytes} bytes of {:?}", grown.kind);
});
