//! RuleExceptions among the objects that are read once: which of them count, and what of our own objects could not be
//! read, and where, so that a slip in a file is found as quickly as one in a cluster's status.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::files::CLUSTER;
use super::manifests::{Document, Position};
use crate::model::house::Exception;
use crate::model::{ObjectRef, Unread};
use crate::translate::houserules;

/// A part of one of our own objects that was not taken as it is written.
#[derive(Clone, Debug)]
pub struct Slip {
    /// File and place; `None` for an object that comes from a cluster.
    place: Option<(Arc<str>, Position)>,
    id: ObjectRef,
    unread: Unread,
}

impl Slip {
    /// That this part of the document could not be read.
    pub(super) fn new(document: &Document, id: &ObjectRef, unread: Unread) -> Self {
        let at = &unread.at;
        let position = if at.is_empty() { document.start() } else { document.spans.locate(at.as_str()) };
        let place = (&*document.file != CLUSTER).then(|| (Arc::clone(&document.file), position));
        Self { place, id: id.clone(), unread }
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, position)) = &self.place {
            write!(f, "{file}:{position}: ")?;
        }
        write!(f, "{} at {}: {}", self.id, self.unread.at, self.unread.what)
    }
}

/// An exception as it was read, and where it stands. `None` where it cannot count, which its slips say.
#[derive(Clone, Debug)]
struct Written {
    place: Option<(Arc<str>, Position)>,
    read: Option<Exception>,
}

/// RuleExceptions of all namespaces, each once. Of the same one written twice the last counts.
#[derive(Clone, Debug, Default)]
pub struct Exceptions(BTreeMap<ObjectRef, Written>);

impl Exceptions {
    /// Takes one in, and says what of it could not be read. Without a namespace of its own it belongs to `namespace`.
    pub(super) fn take(&mut self, document: &mut Document, namespace: &str) -> Vec<Slip> {
        if document.namespace().is_none_or(str::is_empty)
            && let Some(meta) = document.value.get_mut("metadata").and_then(|meta| meta.as_object_mut())
        {
            meta.insert("namespace".to_owned(), namespace.into());
        }
        let (read, unread) = houserules::rule_exception(&document.value);
        let own = document.namespace().unwrap_or(namespace);
        let name = document.name().unwrap_or_default();
        let id = ObjectRef::namespaced("portcullis.dev/v1alpha1", "RuleException", own, name);
        let place = (&*document.file != CLUSTER).then(|| (Arc::clone(&document.file), document.start()));
        let slips = unread.into_iter().map(|unread| Slip::new(document, &id, unread)).collect();
        self.0.insert(id, Written { place, read });
        slips
    }

    /// These with others put over them.
    #[must_use]
    pub(super) fn overlaid_with(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).map(|(id, written)| (id.clone(), written.clone())).collect())
    }

    /// What counts where exceptions of this namespace do, and of the files' why the others do not.
    pub(super) fn in_force(&self, namespace: &str, now: Timestamp) -> (Vec<Exception>, Vec<String>) {
        let (mut counting, mut others) = (Vec::new(), Vec::new());
        for (id, written) in &self.0 {
            let Some(exception) = &written.read else { continue };
            let why = if id.namespace.as_deref() != Some(namespace) {
                format!(
                    "exceptions count in the namespace {namespace} only; move it there, or name its own with --config-namespace"
                )
            } else if exception.expires_at <= now.as_second() {
                "its time is over; delete it or set a later spec.expires".to_owned()
            } else {
                counting.push(exception.clone());
                continue;
            };
            if let Some((file, position)) = &written.place {
                others.push(format!("{file}:{position}: {id} does not count: {why}"));
            }
        }
        (counting, others)
    }
}
