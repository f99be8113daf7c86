//! Namespace → model: its labels, and whether it is going away.

use super::wire::{self, text};
use super::{Defaults, labels, name};
use crate::model::{Namespace, Object};

/// Reads a namespace. The name label is there whatever the object says (semantics 2.1.12).
pub(super) fn namespace(wire: wire::Namespace<'_>, defaults: &Defaults<'_>) -> Object {
    let meta = wire.metadata.unwrap_or_default();
    let mut namespace = Namespace::new(name(&meta, defaults), &labels(meta.labels.as_ref()));
    namespace.terminating = meta.deletion_timestamp.is_some()
        || wire.status.is_some_and(|status| text(status.phase.as_ref()) == "Terminating");
    Object::Namespace(namespace)
}
