//! Calico's policies: every numbered fact of semantics 2.4 pinned, its tutorials with the verdicts that they promise, a second
//! evaluator on random policies, and conversion from NetworkPolicy and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad;
mod naive;
mod random;
mod semantics;
mod tutorials;
mod world;
