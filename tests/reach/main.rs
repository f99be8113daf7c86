//! Reachability held against a second evaluator, against its own laws, and against two guides that people follow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod assertions;
mod bad_kinds;
mod cilium;
mod cilium_docs;
mod cilium_naive;
mod cilium_references;
mod cluster_naive;
mod clusternetworkpolicy;
mod clusters;
mod conversion;
mod guides;
mod laws;
#[path = "../matrix_support/mod.rs"]
mod matrix_support;
mod naive;
mod oracle;
mod second_guide;
mod second_guide_script;
mod tailored;
mod tiers;
mod world;
