//! Where the state that is judged comes from.

mod assertion_status;
pub mod exceptions;
pub mod files;
pub mod lease;
pub mod manifests;
pub mod status;
pub mod watch;
