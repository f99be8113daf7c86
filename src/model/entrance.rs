//! The ways into a cluster, as far as it takes to say which pods they expose: Services, and the Ingresses and HTTPRoutes
//! that lead to them.

use std::collections::BTreeMap;

use super::Str;
use super::labels::Labels;
use super::origin::{FieldPath, ObjectRef};
use super::ports::Protocol;
use super::selector::Selector;

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(Str),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name; empty where there is only one.
    pub name: Str,
    /// Its protocol.
    pub protocol: Protocol,
    /// The port of the Service.
    pub port: u16,
    /// The port of the pods.
    pub target: PortRef,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its own labels.
    pub labels: Labels,
    /// Labels of its pods; `None` where its endpoints are set by hand or by a name.
    pub selector: Option<Labels>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A Service that a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Namespace of the Service.
    pub namespace: Str,
    /// The Service.
    pub service: Str,
    /// Its port, where one is named.
    pub port: Option<PortRef>,
    /// Where the route says so.
    pub at: FieldPath,
}

/// Who takes a route's traffic in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doorway {
    /// The controller of an IngressClass; without a name the default one.
    Class(Option<Str>),
    /// Gateways by namespace and name.
    Gateways(Vec<(Str, Str)>),
}

/// An Ingress or an HTTPRoute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The object.
    pub id: ObjectRef,
    /// Who takes its traffic in.
    pub doorway: Doorway,
    /// Where it leads, in the order in which it says so.
    pub backends: Vec<Backend>,
    /// What of it leads elsewhere, or could not be read.
    pub beyond: Vec<String>,
}

/// An IngressClass or a GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The controller it names, such as `traefik.io/ingress-controller`.
    pub controller: Str,
    /// Whether Ingresses without a class get it.
    pub is_default: bool,
}

/// Namespaces whose routes a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admits {
    /// All.
    All,
    /// That of the Gateway.
    Same,
    /// Those with these labels.
    Matching(Selector),
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its GatewayClass.
    pub class: Str,
    /// For each listener, whose routes it takes.
    pub admits: Vec<Admits>,
}

/// A ReferenceGrant: HTTPRoutes of some namespaces may lead to Services here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where the Services are.
    pub namespace: Str,
    /// Namespaces of the HTTPRoutes.
    pub from: Vec<Str>,
    /// Names of the Services; `None` is all of them.
    pub to: Vec<Option<Str>>,
}

/// All ways into a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entrances {
    /// Services by namespace and name.
    pub services: BTreeMap<(Str, Str), Service>,
    /// Ingresses and HTTPRoutes by namespace and name, each kind by itself.
    pub routes: BTreeMap<ObjectRef, Route>,
    /// IngressClasses by name.
    pub ingress_classes: BTreeMap<Str, Class>,
    /// GatewayClasses by name.
    pub gateway_classes: BTreeMap<Str, Class>,
    /// Gateways by namespace and name.
    pub gateways: BTreeMap<(Str, Str), Gateway>,
    /// ReferenceGrants by namespace and name.
    pub grants: BTreeMap<(Str, Str), Grant>,
}

impl Entrances {
    /// These with others put over them.
    #[must_use]
    pub fn overlaid_with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.services.extend(other.services.clone());
        all.routes.extend(other.routes.clone());
        all.ingress_classes.extend(other.ingress_classes.clone());
        all.gateway_classes.extend(other.gateway_classes.clone());
        all.gateways.extend(other.gateways.clone());
        all.grants.extend(other.grants.clone());
        all
    }

    /// The class that Ingresses without one get: the one that is marked, if it is the only one.
    pub fn default_class(&self) -> Option<&Str> {
        let mut marked = self.ingress_classes.iter().filter(|(_, class)| class.is_default);
        let (name, _) = marked.next()?;
        marked.next().is_none().then_some(name)
    }

    /// Whether an HTTPRoute of one namespace may lead to a Service of another.
    pub fn grants(&self, from: &str, namespace: &str, service: &str) -> bool {
        from == namespace
            || self.grants.values().any(|grant| {
                *grant.namespace == *namespace
                    && grant.from.iter().any(|name| **name == *from)
                    && grant.to.iter().any(|name| name.as_ref().is_none_or(|name| **name == *service))
            })
    }
}
