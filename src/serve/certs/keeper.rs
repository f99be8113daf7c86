//! Keeps self-made certificates.

use std::sync::Arc;

use super::{Served, Store};

/// Names and lifetimes of self-made certificates.
#[derive(Debug, Clone)]
pub struct SelfManaged {
    /// DNS names of the leaf; the first is the one that the API server asks for.
    pub names: Vec<String>,
}

pub(in crate::serve) async fn keep(
    _settings: SelfManaged,
    _store: Arc<dyn Store>,
    _served: Arc<Served>,
) {
    std::future::pending::<()>().await;
}
