//! Portcullis judges what a change to a Kubernetes cluster does to its network, and says why it refuses.

pub mod api;
pub mod model;
pub mod translate;
