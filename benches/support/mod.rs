//! What the benchmarks measure with: reviews as an API server sends them, and a large cluster. All of it is made here,
//! the same on every run, so that figures of two versions can be compared.
#![allow(dead_code, reason = "each benchmark uses its own part")]

pub mod cluster;
pub mod hostile;
pub mod mixed;
pub mod reviews;

/// The allocator of the real binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
