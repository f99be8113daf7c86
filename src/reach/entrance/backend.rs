//! From a route over its Services to pods and their ports.

use std::sync::Arc;

use crate::model::entrance::{Backend, Entrances, PortRef, Route, Service, ServicePort};
use crate::model::{PodSpec, PortSet};
use crate::snapshot::{NamespaceState, PodClass, Snapshot};

/// Pods that a route leads to.
pub(super) struct Exposed {
    pub(super) namespace: Arc<NamespaceState>,
    pub(super) class: Arc<PodClass>,
    pub(super) ports: PortSet,
}

/// All pods that the route leads to. What leads nowhere is said.
pub(super) fn exposed(world: &Snapshot, entrances: &Entrances, route: &Route, notes: &mut Vec<String>) -> Vec<Exposed> {
    notes.extend(route.beyond.iter().map(|what| format!("{}: {what}, which is not followed", route.id)));
    let mut all: Vec<Exposed> = Vec::new();
    for backend in &route.backends {
        match follow(world, entrances, route, backend) {
            Ok(found) => {
                for one in found {
                    let same = |e: &&mut Exposed| {
                        Arc::ptr_eq(&e.class, &one.class) && Arc::ptr_eq(&e.namespace, &one.namespace)
                    };
                    match all.iter_mut().find(same) {
                        Some(known) => known.ports = known.ports.union(&one.ports),
                        None => all.push(one),
                    }
                }
            }
            Err(why) => notes.push(format!("{} at {} leads nowhere: {why}", route.id, backend.at)),
        }
    }
    all
}

fn follow(world: &Snapshot, entrances: &Entrances, route: &Route, backend: &Backend) -> Result<Vec<Exposed>, String> {
    let full = format!("{}/{}", backend.namespace, backend.service);
    if !entrances.grants(route.id.namespace(), &backend.namespace, &backend.service) {
        return Err(format!(
            "no ReferenceGrant in {} lets HTTPRoutes of {} lead to Service {full}",
            backend.namespace,
            route.id.namespace()
        ));
    }
    let key = (backend.namespace.clone(), backend.service.clone());
    let service = entrances.services.get(&key).ok_or_else(|| format!("there is no Service {full}"))?;
    let port = port_of(service, backend).ok_or_else(|| match &backend.port {
        Some(PortRef::Number(number)) => format!("Service {full} has no port {number}"),
        Some(PortRef::Name(name)) => format!("Service {full} has no port called {name}"),
        None => format!("it does not say which port of Service {full}"),
    })?;
    let Some(selector) = &service.selector else {
        return Err(format!("Service {full} has no selector; its endpoints are set by hand or are a name elsewhere"));
    };
    let namespace = world.namespace_or_empty(&backend.namespace);
    let selected: Vec<&Arc<PodClass>> = namespace
        .classes()
        .iter()
        .filter(|class| selector.iter().all(|(key, value)| class.pod().labels.get(key) == Some(value)))
        .collect();
    if selected.is_empty() {
        return Err(format!("Service {full} selects no pods ({selector})"));
    }
    let exposed: Vec<Exposed> = selected
        .into_iter()
        .filter_map(|class| {
            let number = target(port, class.pod())?;
            let ports = PortSet::port(port.protocol, number);
            Some(Exposed { namespace: Arc::clone(&namespace), class: Arc::clone(class), ports })
        })
        .collect();
    match (&port.target, exposed.is_empty()) {
        (PortRef::Name(name), true) => {
            Err(format!("no pod of Service {full} has a {} port called {name}", port.protocol))
        }
        _ => Ok(exposed),
    }
}

/// The port of the Service that the route means; the only one where it names none.
fn port_of<'a>(service: &'a Service, backend: &Backend) -> Option<&'a ServicePort> {
    match &backend.port {
        Some(PortRef::Number(number)) => service.ports.iter().find(|port| port.port == *number),
        Some(PortRef::Name(name)) => service.ports.iter().find(|port| port.name == *name),
        None => service.ports.first().filter(|_| service.ports.len() == 1),
    }
}

fn target(port: &ServicePort, pod: &PodSpec) -> Option<u16> {
    match &port.target {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => {
            pod.ports.iter().find(|own| own.name == *name && own.protocol == port.protocol).map(|own| own.port)
        }
    }
}
