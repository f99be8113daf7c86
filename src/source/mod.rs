//! Where the state that is judged comes from.

pub mod files;
pub mod manifests;
pub mod watch;
