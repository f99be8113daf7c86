//! What the watches show of changes that were admitted here.

use super::{Item, Key, Resource, Writer};
use crate::model::{Object, ObjectRef};
use crate::translate::Kind;
use crate::unseen::Shown;

impl Writer {
    pub(super) fn note_shown(&mut self, item: &Item) {
        match item {
            Item::Object(object) => self.note(Shown::Is(object)),
            Item::Assertion(_, assertion) if !self.unseen.is_empty() => {
                let object = Object::Assertion(assertion.read.clone());
                self.note(Shown::Is(&object));
            }
            Item::Assertion(..) | Item::Rules(..) | Item::Exception(..) | Item::Service(..) | Item::Cilium(..) => {}
        }
    }

    pub(super) fn note_gone(&mut self, resource: Resource, key: &Key) {
        let kind = match resource {
            Resource::NetworkPolicies => Kind::NetworkPolicy,
            Resource::Foreign(kind) => kind,
            // Only deletions of policies, and of what they refer to, are reviewed.
            _ => return,
        };
        if self.unseen.is_empty() {
            return;
        }
        let id = if kind.is_namespaced() {
            ObjectRef::namespaced(kind.api_version(), kind.kind(), key.0.clone(), key.1.clone())
        } else {
            ObjectRef::cluster(kind.api_version(), kind.kind(), key.1.clone())
        };
        self.note(Shown::Gone(&id));
    }

    fn note(&mut self, shown: Shown<'_>) {
        self.shown.extend(self.unseen.shown(shown));
    }
}
