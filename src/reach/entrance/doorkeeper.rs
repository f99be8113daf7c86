//! The pods that take traffic in for a route: those of its Gateway, or of the controller that its class names.

use std::sync::Arc;

use super::Doorkeeper;
use crate::model::entrance::{Admits, Doorway, Entrances, Route};
use crate::snapshot::{NamespaceState, Snapshot};

/// The label that implementations put on the pods they make for a Gateway (GEP-1762).
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Controllers as classes name them, the names that classes usually have, and the labels that their usual installation
/// puts on the pods that take traffic in.
pub const KNOWN_CONTROLLERS: &[(&str, &str, &[(&str, &str)])] = &[
    ("k8s.io/ingress-nginx", "nginx", &[("app.kubernetes.io/name", "ingress-nginx")]),
    ("traefik.io/ingress-controller", "traefik", &[("app.kubernetes.io/name", "traefik")]),
    ("traefik.io/gateway-controller", "traefik", &[("app.kubernetes.io/name", "traefik")]),
    ("nginx.org/ingress-controller", "nginx", &[("app.kubernetes.io/name", "nginx-ingress")]),
    ("haproxy.org/ingress-controller", "haproxy", &[("app.kubernetes.io/name", "kubernetes-ingress")]),
    ("haproxy-ingress.github.io/controller", "haproxy", &[("app.kubernetes.io/name", "haproxy-ingress")]),
    ("ingress-controllers.konghq.com/kong", "kong", &[("app.kubernetes.io/name", "kong")]),
    ("konghq.com/kic-gateway-controller", "kong", &[("app.kubernetes.io/name", "kong")]),
    ("projectcontour.io/projectcontour/contour", "contour", &[("app", "envoy")]),
    ("projectcontour.io/gateway-controller", "contour", &[("app", "envoy")]),
    ("istio.io/ingress-controller", "istio", &[("istio", "ingressgateway")]),
    ("gateway.nginx.org/nginx-gateway-controller", "nginx", &[("app.kubernetes.io/name", "nginx-gateway-fabric")]),
];

/// The pods that take the route's traffic in; none where they are not known, and then that is said.
pub(super) fn of(world: &Snapshot, entrances: &Entrances, route: &Route, notes: &mut Vec<String>) -> Vec<Doorkeeper> {
    let found = match &route.doorway {
        Doorway::Class(name) => of_ingress_class(world, entrances, name.as_deref()),
        Doorway::Gateways(gateways) => {
            let mut all = Vec::new();
            let mut why = "it names no Gateway".to_owned();
            for (namespace, name) in gateways {
                match of_gateway(world, entrances, route, namespace, name) {
                    Ok(found) => all.extend(found),
                    Err(error) => why = error,
                }
            }
            if all.is_empty() { Err(why) } else { Ok(all) }
        }
    };
    found.unwrap_or_else(|why| {
        notes.push(format!(
            "{}: {why}; its traffic is taken to come from any pod of any other namespace ({{ingress-controller}}): name the pods with --ingress-controller",
            route.id
        ));
        Vec::new()
    })
}

fn of_ingress_class(world: &Snapshot, entrances: &Entrances, name: Option<&str>) -> Result<Vec<Doorkeeper>, String> {
    let Some(name) = name.or_else(|| entrances.default_class().map(|name| &**name)) else {
        return Err("it names no IngressClass, and none is the default".to_owned());
    };
    match entrances.ingress_classes.get(name) {
        Some(class) => of_controller(world, &format!("IngressClass {name}"), &class.controller),
        None => {
            let mut known = KNOWN_CONTROLLERS.iter().filter(|(_, usual, _)| *usual == name);
            known
                .find_map(|(_, _, labels)| Some(labelled(world, labels)).filter(|found| !found.is_empty()))
                .ok_or_else(|| format!("there is no IngressClass {name}, and no pods that look like its controller"))
        }
    }
}

fn of_controller(world: &Snapshot, class: &str, controller: &str) -> Result<Vec<Doorkeeper>, String> {
    let labels = KNOWN_CONTROLLERS.iter().find(|(known, ..)| {
        // Some controllers may be installed several times, with a suffix of one's own.
        controller == *known || controller.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'))
    });
    let Some((_, _, labels)) = labels else {
        return Err(format!("the pods of the controller of {class} ({controller}) are not known"));
    };
    let found = labelled(world, labels);
    if found.is_empty() {
        let (key, value) = labels.first().copied().unwrap_or_default();
        return Err(format!("{class} is of {controller}, but there are no pods with {key}={value}"));
    }
    Ok(found)
}

fn of_gateway(
    world: &Snapshot,
    entrances: &Entrances,
    route: &Route,
    namespace: &Arc<str>,
    name: &Arc<str>,
) -> Result<Vec<Doorkeeper>, String> {
    let known = entrances.gateways.get(&(namespace.clone(), name.clone()));
    if let Some(gateway) = known {
        let own = world.namespace_or_empty(route.id.namespace());
        let takes = |admits: &Admits| match admits {
            Admits::All => true,
            Admits::Same => **own.name() == **namespace,
            Admits::Matching(selector) => selector.matches(own.labels()),
        };
        if !gateway.admits.iter().any(takes) {
            return Err(format!("Gateway {namespace}/{name} takes no routes of namespace {}", own.name()));
        }
    }
    let of_its_own: Vec<Doorkeeper> = world
        .namespace_or_empty(namespace)
        .classes()
        .iter()
        .filter(|class| class.pod().labels.get(GATEWAY_NAME).is_some_and(|value| value == name))
        .map(|class| Doorkeeper::of(&world.namespace_or_empty(namespace), class))
        .collect();
    if !of_its_own.is_empty() {
        return Ok(of_its_own);
    }
    let class = known.ok_or_else(|| format!("there is no Gateway {namespace}/{name}"))?.class.clone();
    let controller =
        entrances.gateway_classes.get(&class).ok_or_else(|| format!("there is no GatewayClass {class}"))?;
    of_controller(world, &format!("GatewayClass {class}"), &controller.controller)
}

/// Pods with all of these labels, wherever they are.
fn labelled(world: &Snapshot, labels: &[(&str, &str)]) -> Vec<Doorkeeper> {
    let mut namespaces: Vec<&Arc<NamespaceState>> = world.namespaces().collect();
    namespaces.sort_by_key(|namespace| namespace.name());
    let has = |class: &crate::snapshot::PodClass| {
        labels.iter().all(|(key, value)| class.pod().labels.get(key).is_some_and(|own| **own == **value))
    };
    namespaces
        .into_iter()
        .flat_map(|n| n.classes().iter().filter(|class| has(class)).map(move |class| Doorkeeper::of(n, class)))
        .collect()
}
