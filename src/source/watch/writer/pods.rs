//! Pods, and objects with templates, in and out of their classes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Key, Pod, Resource, Seen, Writer, key_of, mark};
use crate::model::{Object, ObjectRef, Workload};
use crate::snapshot::Owner;
use crate::translate::Kind;

impl Writer {
    pub(super) fn put_workload(&mut self, workload: Workload) {
        let Some(resource) = Resource::of_workload(&workload.id) else { return };
        let key = key_of(&workload.id);
        if !workload.takes_part() {
            self.remove_workload(resource, &key);
            return;
        }
        let list = self.list_of(resource);
        if let Some(old) = self.workloads_mut(resource).get_mut(&key)
            && is_same(&old.thing, &workload)
        {
            old.list = list;
            return;
        }
        self.remove_workload(resource, &key);
        let workload = self.shared(workload);
        let namespace = workload.id.namespace.clone().unwrap_or_default();
        let pod = Pod {
            spec: Arc::clone(&workload.pod),
            controller: workload.controller.clone(),
            addresses: workload.addresses.clone().into(),
        };
        self.workloads_mut(resource).insert((namespace, workload.id.name.clone()), Seen { thing: pod, list });
        self.work.insert(&Object::Workload(workload));
        self.changed = true;
    }

    /// The same pod, sharing with its class what it has in common with others of its owner.
    fn shared(&self, mut workload: Workload) -> Workload {
        let Some(state) = workload.id.namespace.as_deref().and_then(|name| self.work.namespace(name)) else {
            return workload;
        };
        workload.id.namespace = Some(state.name().clone());
        let owner = Owner::of(&workload);
        let found =
            state.classes().binary_search_by(|class| (class.owner(), &**class.pod()).cmp(&(&owner, &workload.pod)));
        if let Some(class) = found.ok().and_then(|i| state.classes().get(i)) {
            workload.pod = Arc::clone(class.pod());
            if let Some(controller) = &mut workload.controller {
                controller.kind = class.owner().kind.clone();
                controller.name = class.owner().name.clone();
            }
        }
        workload
    }

    pub(super) fn remove_workload(&mut self, resource: Resource, key: &Key) {
        let Some(Seen { thing: pod, .. }) = self.workloads_mut(resource).remove(key) else { return };
        let kind = if let Resource::Templates(kind) = resource { kind } else { Kind::Pod };
        self.work.remove(&Object::Workload(Workload {
            id: ObjectRef::namespaced(kind.api_version(), kind.kind(), key.0.clone(), key.1.clone()),
            labels: pod.spec.labels.clone(),
            pod: pod.spec,
            controller: pod.controller,
            addresses: pod.addresses.into(),
            finished: false,
            leaving: false,
            template_at: "",
        }));
        self.changed = true;
    }

    /// An object that cannot be read is there, and what it was before is the best that is known of it.
    pub(super) fn mark_unreadable(&mut self, id: &ObjectRef) {
        let key = key_of(id);
        if let Some(resource) = Resource::of_workload(id) {
            let list = self.list_of(resource);
            mark(self.workloads_mut(resource), &key, list);
        } else {
            let list = self.list_of(Resource::Namespaces);
            mark(&mut self.namespaces, &key, list);
        }
    }

    /// Those of this kind that are part of the state.
    pub(super) fn workloads(&self, resource: Resource) -> Option<&BTreeMap<Key, Seen<Pod>>> {
        match resource {
            Resource::Templates(kind) => self.templates.get(&kind),
            _ => Some(&self.pods),
        }
    }

    pub(super) fn workloads_mut(&mut self, resource: Resource) -> &mut BTreeMap<Key, Seen<Pod>> {
        match resource {
            Resource::Templates(kind) => self.templates.entry(kind).or_default(),
            _ => &mut self.pods,
        }
    }
}

pub(super) fn is_same(pod: &Pod, workload: &Workload) -> bool {
    workload.takes_part()
        && pod.controller == workload.controller
        && *pod.addresses == *workload.addresses
        && *pod.spec == *workload.pod
}
