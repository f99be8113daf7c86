//! Policies of kinds that a cluster may be without, and the tiers and groups that they refer to.

use super::{Key, Resource, Seen, Writer, key_of, mark};
use crate::model::{CiliumConfig, Object, ObjectRef};
use crate::translate::Kind;

impl Writer {
    /// Whether the object is there already just as it is.
    pub(super) fn has_foreign(&self, object: &Object) -> bool {
        match object {
            Object::Policy(policy) => self.work.written_policy(&policy.id).is_some_and(|old| **old == *policy),
            Object::AddressGroup(group) => self.work.address_group(&group.id) == Some(group),
            Object::Tier(tier) => self.work.tier(&tier.id.name) == Some(tier),
            Object::Namespace(_) | Object::Workload(_) | Object::Assertion(_) | Object::Unreadable(..) => false,
        }
    }

    /// Notes that the list which was begun last has it. Whether it was known.
    pub(super) fn mark_foreign(&mut self, kind: Kind, key: &Key) -> bool {
        let list = self.list_of(Resource::Foreign(kind));
        self.foreign.get_mut(&kind).is_some_and(|all| mark(all, key, list))
    }

    pub(super) fn put_foreign(&mut self, object: &Object) {
        let Some((kind, id)) = Resource::foreign(object) else { return };
        // A group or tier that cannot be read is what it was before: the best that is known of it.
        if matches!(object, Object::Unreadable(..)) {
            self.mark_foreign(kind, &key_of(id));
            return;
        }
        let list = self.list_of(Resource::Foreign(kind));
        self.foreign.entry(kind).or_default().insert(key_of(id), Seen { thing: (), list });
        if !self.has_foreign(object) {
            self.work.insert(object);
            self.changed = true;
        }
    }

    pub(super) fn delete_foreign(&mut self, kind: Kind, key: &Key) {
        if self.foreign.get_mut(&kind).and_then(|all| all.remove(key)).is_none() {
            return;
        }
        let id = if kind.is_namespaced() {
            ObjectRef::namespaced(kind.api_version(), kind.kind(), key.0.clone(), key.1.clone())
        } else {
            ObjectRef::cluster(kind.api_version(), kind.kind(), key.1.clone())
        };
        let known = match kind {
            Kind::CalicoTier => self.work.tier(&id.name).cloned().map(Object::Tier),
            Kind::NetworkSet | Kind::GlobalNetworkSet | Kind::CiliumCidrGroup => {
                self.work.address_group(&id).cloned().map(Object::AddressGroup)
            }
            _ => self.work.written_policy(&id).map(|policy| Object::Policy((**policy).clone())),
        };
        if let Some(known) = known {
            self.work.remove(&known);
            self.changed = true;
        }
    }

    /// The kind does not exist any more, and neither do its objects.
    pub(super) fn clear_foreign(&mut self, kind: Kind) {
        let keys: Vec<Key> = self.foreign.get(&kind).into_iter().flat_map(|all| all.keys().cloned()).collect();
        for key in keys {
            self.delete_foreign(kind, &key);
        }
    }

    pub(super) fn set_cilium(&mut self, config: Option<CiliumConfig>) {
        self.cilium = config.is_some();
        self.changed |= self.work.set_cilium(config);
    }
}
