//! Calico's policies: every numbered fact of semantics 2.4 pinned, its tutorials with the verdicts that they promise, a second
//! evaluator on random policies, and conversion from NetworkPolicy and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad;
#[allow(dead_code, reason = "of the clusters of another test only what is needed")]
#[path = "../reach/clusters.rs"]
mod clusters;
mod conversion;
#[path = "../matrix_support/mod.rs"]
mod matrix_support;
mod naive;
mod peers;
mod random;
mod references;
mod semantics;
mod tutorials;
mod world;
