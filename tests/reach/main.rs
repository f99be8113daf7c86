//! Reachability held against a second evaluator, against its own laws, and against two guides that people follow.

mod clusters;
mod guides;
mod laws;
mod naive;
mod oracle;
mod second_guide;
mod world;
