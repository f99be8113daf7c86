//! Services, Ingresses and the Gateway API → model, as far as it takes to know which pods they expose. Read from files
//! and by the command line from a cluster; of a review only the Services matter that policies name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value};

use super::selector::label_selector;
use crate::model::entrance::{
    Admits, Backend, Class, Doorway, Entrances, Gateway, Grant, PortRef, Route, Service, ServicePort,
};
use crate::model::{FieldPath, Labels, ObjectRef, Protocol, Selector, Str};

const NETWORKING: &str = "networking.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// The kinds that are read here, and by [`account`]: group, version, kind, resource.
pub const KINDS: [(&str, &str, &str, &str); 8] = [
    ("", "v1", "Service", "services"),
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    (NETWORKING, "v1", "Ingress", "ingresses"),
    (NETWORKING, "v1", "IngressClass", "ingressclasses"),
    (GATEWAY, "v1", "Gateway", "gateways"),
    (GATEWAY, "v1", "GatewayClass", "gatewayclasses"),
    (GATEWAY, "v1", "HTTPRoute", "httproutes"),
    (GATEWAY, "v1beta1", "ReferenceGrant", "referencegrants"),
];

/// Takes an object in if it is of one of these kinds, and says whether it was.
pub fn take(group: &str, kind: &str, value: &Value, default_namespace: &str, into: &mut Entrances) -> bool {
    if kind == "ServiceAccount" || !KINDS.iter().any(|(g, _, k, _)| *g == group && *k == kind) {
        return false;
    }
    let name: Str = text(value, "/metadata/name").into();
    let namespace = text(value, "/metadata/namespace");
    let namespace: Str = if namespace.is_empty() { default_namespace } else { namespace }.into();
    match kind {
        "Service" => {
            into.services.insert((namespace, name), service(value));
        }
        "Ingress" => {
            let route = ingress(value, &namespace, name);
            into.routes.insert(route.id.clone(), route);
        }
        "HTTPRoute" => {
            let route = http_route(value, &namespace, name);
            into.routes.insert(route.id.clone(), route);
        }
        "IngressClass" => {
            let mark = "/metadata/annotations/ingressclass.kubernetes.io~1is-default-class";
            let class =
                Class { controller: text(value, "/spec/controller").into(), is_default: text(value, mark) == "true" };
            into.ingress_classes.insert(name, class);
        }
        "GatewayClass" => {
            let class = Class { controller: text(value, "/spec/controllerName").into(), is_default: false };
            into.gateway_classes.insert(name, class);
        }
        "Gateway" => {
            let class = text(value, "/spec/gatewayClassName").into();
            let admits = list(value, "/spec/listeners").iter().map(admits).collect();
            into.gateways.insert((namespace, name), Gateway { class, admits });
        }
        _ => {
            into.grants.insert((namespace.clone(), name), grant(value, namespace));
        }
    }
    true
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: Option<&Value>) -> Option<u16> {
    value?.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0)
}

fn labels(pairs: &Map<String, Value>) -> Labels {
    Labels::new(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())))
}

/// The labels of a service account, by namespace and name; `None` for other kinds.
pub fn account(group: &str, kind: &str, value: &Value, default_namespace: &str) -> Option<((Str, Str), Labels)> {
    if (group, kind) != ("", "ServiceAccount") {
        return None;
    }
    let namespace = match text(value, "/metadata/namespace") {
        "" => default_namespace,
        own => own,
    };
    let own = value.pointer("/metadata/labels").and_then(Value::as_object);
    Some(((namespace.into(), text(value, "/metadata/name").into()), own.map(labels).unwrap_or_default()))
}

/// What a Service is to policies that name it.
pub fn service(value: &Value) -> Service {
    let selector = value.pointer("/spec/selector").and_then(Value::as_object).filter(|labels| !labels.is_empty());
    // A name elsewhere has no pods, whatever its selector says.
    let selector = selector.filter(|_| text(value, "/spec/type") != "ExternalName");
    let ports = list(value, "/spec/ports").iter().filter_map(|port| {
        let own = number(port.get("port"))?;
        let target = match port.get("targetPort") {
            Some(Value::String(name)) => {
                name.parse().map_or_else(|_| PortRef::Name(name.as_str().into()), PortRef::Number)
            }
            other => PortRef::Number(number(other).unwrap_or(own)),
        };
        let protocol = match text(port, "/protocol") {
            "" => Protocol::Tcp,
            other => Protocol::parse(other)?,
        };
        Some(ServicePort { name: text(port, "/name").into(), protocol, port: own, target })
    });
    let own = value.pointer("/metadata/labels").and_then(Value::as_object);
    Service { labels: own.map(labels).unwrap_or_default(), selector: selector.map(labels), ports: ports.collect() }
}

fn ingress(value: &Value, namespace: &Str, name: Str) -> Route {
    let (mut backends, mut beyond) = (Vec::new(), Vec::new());
    let spec = FieldPath::new("spec");
    let mut add = |backend: &Value, at: FieldPath| {
        let Some(service) = backend.get("service") else {
            beyond.push(format!("{at} leads to something other than a Service"));
            return;
        };
        let port = match (number(service.pointer("/port/number")), text(service, "/port/name")) {
            (Some(number), _) => Some(PortRef::Number(number)),
            (None, "") => None,
            (None, name) => Some(PortRef::Name(name.into())),
        };
        backends.push(Backend { namespace: namespace.clone(), service: text(service, "/name").into(), port, at });
    };
    if let Some(backend) = value.pointer("/spec/defaultBackend") {
        add(backend, spec.field("defaultBackend"));
    }
    for (i, rule) in list(value, "/spec/rules").iter().enumerate() {
        for (j, path) in list(rule, "/http/paths").iter().enumerate() {
            let at = spec.field("rules").index(i).field("http").field("paths").index(j).field("backend");
            add(path.get("backend").unwrap_or(&Value::Null), at);
        }
    }
    let old = text(value, "/metadata/annotations/kubernetes.io~1ingress.class");
    let class = [text(value, "/spec/ingressClassName"), old].into_iter().find(|name| !name.is_empty());
    Route {
        id: ObjectRef::namespaced("networking.k8s.io/v1", "Ingress", namespace.clone(), name),
        doorway: Doorway::Class(class.map(Into::into)),
        backends,
        beyond,
    }
}

fn http_route(value: &Value, namespace: &Str, name: Str) -> Route {
    let (mut backends, mut beyond) = (Vec::new(), Vec::new());
    let or_own = |reference: &Value| match text(reference, "/namespace") {
        "" => namespace.clone(),
        other => other.into(),
    };
    let gateways = list(value, "/spec/parentRefs")
        .iter()
        .filter(|parent| matches!(text(parent, "/kind"), "" | "Gateway"))
        .map(|parent| (or_own(parent), text(parent, "/name").into()))
        .collect();
    for (i, rule) in list(value, "/spec/rules").iter().enumerate() {
        for (j, backend) in list(rule, "/backendRefs").iter().enumerate() {
            let at = FieldPath::new("spec").field("rules").index(i).field("backendRefs").index(j);
            if !text(backend, "/group").is_empty() || !matches!(text(backend, "/kind"), "" | "Service") {
                beyond.push(format!("{at} leads to something other than a Service"));
                continue;
            }
            // Nothing is sent to a backend of no weight.
            if backend.get("weight").and_then(Value::as_u64) == Some(0) {
                continue;
            }
            let port = number(backend.get("port")).map(PortRef::Number);
            backends.push(Backend { namespace: or_own(backend), service: text(backend, "/name").into(), port, at });
        }
    }
    Route {
        id: ObjectRef::namespaced("gateway.networking.k8s.io/v1", "HTTPRoute", namespace.clone(), name),
        doorway: Doorway::Gateways(gateways),
        backends,
        beyond,
    }
}

fn admits(listener: &Value) -> Admits {
    match text(listener, "/allowedRoutes/namespaces/from") {
        "All" => Admits::All,
        "Selector" => {
            let wire = listener.pointer("/allowedRoutes/namespaces/selector").cloned().unwrap_or_default();
            let read = serde_json::from_value::<LabelSelector>(wire);
            Admits::Matching(read.map_or(Selector::nothing(), |selector| label_selector(&selector, "selector").0))
        }
        _ => Admits::Same,
    }
}

fn grant(value: &Value, namespace: Str) -> Grant {
    let from = list(value, "/spec/from")
        .iter()
        .filter(|from| text(from, "/group") == GATEWAY && text(from, "/kind") == "HTTPRoute")
        .map(|from| text(from, "/namespace").into());
    let to = list(value, "/spec/to")
        .iter()
        .filter(|to| text(to, "/group").is_empty() && text(to, "/kind") == "Service")
        .map(|to| Some(text(to, "/name")).filter(|name| !name.is_empty()).map(Into::into));
    Grant { from: from.collect(), to: to.collect(), namespace }
}
