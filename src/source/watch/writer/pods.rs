//! Pods in and out of their classes.

use std::sync::Arc;

use super::{Key, Pod, Resource, Seen, Writer, key_of};
use crate::model::{Object, ObjectRef, Workload};
use crate::snapshot::Owner;

impl Writer {
    pub(super) fn put_pod(&mut self, workload: Workload) {
        let key = key_of(&workload.id);
        if !workload.takes_part() {
            self.remove_pod(&key);
            return;
        }
        let list = self.list_of(Resource::Pods);
        if let Some(old) = self.pods.get_mut(&key)
            && is_same(&old.thing, &workload)
        {
            old.list = list;
            return;
        }
        self.remove_pod(&key);
        let workload = self.shared(workload);
        let namespace = workload.id.namespace.clone().unwrap_or_default();
        let pod = Pod {
            spec: Arc::clone(&workload.pod),
            controller: workload.controller.clone(),
            addresses: workload.addresses.clone().into(),
        };
        self.pods.insert((namespace, workload.id.name.clone()), Seen { thing: pod, list });
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

    pub(super) fn remove_pod(&mut self, key: &Key) {
        let Some(Seen { thing: pod, .. }) = self.pods.remove(key) else { return };
        self.work.remove(&Object::Workload(Workload {
            id: ObjectRef::namespaced("v1", "Pod", key.0.clone(), key.1.clone()),
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
}

pub(super) fn is_same(pod: &Pod, workload: &Workload) -> bool {
    workload.takes_part()
        && pod.controller == workload.controller
        && *pod.addresses == *workload.addresses
        && *pod.spec == *workload.pod
}
