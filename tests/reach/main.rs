//! Reachability held against a second evaluator, against its own laws, and against two guides that people follow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod clusters;
mod guides;
mod laws;
mod naive;
mod oracle;
mod second_guide;
mod tiers;
mod world;
