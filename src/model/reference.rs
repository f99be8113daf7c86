//! What policies refer to that is no policy: Services and service accounts, as far as they have been read from files or from
//! a cluster. What is not among them may still exist, so a policy that needs it has two readings.

use std::collections::BTreeMap;

use super::Str;
use super::entrance::{PortRef, Service};
use super::interval::IntervalSet;
use super::labels::{Labels, NAMESPACE_NAME_LABEL};
use super::peer::{Entity, NamespaceScope, Peer, PodPeer};
use super::ports::{PortMatch, PortSet, Protocol};
use super::selector::{
    ACCOUNT_KNOWN_KEY, ACCOUNT_LABEL_PREFIX, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, Selector, Test, and, or,
};

/// Services and service accounts that are known, by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Services.
    pub services: BTreeMap<(Str, Str), Service>,
    /// The labels of service accounts.
    pub accounts: BTreeMap<(Str, Str), Labels>,
}

/// Which Services a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceChoice {
    /// One by name.
    Named(Str),
    /// Those whose own labels match.
    Matching(Selector),
}

/// The endpoints of Services. The snapshot puts the pods in its place that the Services select.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePeer {
    /// Where the Services are; `None` is anywhere.
    pub namespace: Option<Str>,
    /// Which ones.
    pub services: ServiceChoice,
    /// Whether the rule is only about the ports to which the Services lead.
    pub their_ports: bool,
}

/// What a rule's Services come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoints {
    /// These pods, on these ports.
    Pods(PodPeer, PortMatch),
    /// Some pods or addresses; the text says what is not known.
    Unknown(Str),
}

impl ServicePeer {
    /// In words: `Service shop/db`.
    pub fn words(&self) -> String {
        match (&self.services, &self.namespace) {
            (ServiceChoice::Named(name), Some(namespace)) => format!("Service {namespace}/{name}"),
            (ServiceChoice::Named(name), None) => format!("Service {name} of any namespace"),
            (ServiceChoice::Matching(labels), Some(namespace)) => format!("Services {labels} of namespace {namespace}"),
            (ServiceChoice::Matching(labels), None) => format!("Services {labels}"),
        }
    }

    /// The Services among those that are known.
    pub fn found<'a>(&'a self, known: &'a References) -> impl Iterator<Item = (&'a (Str, Str), &'a Service)> {
        known.services.iter().filter(move |((namespace, name), service)| {
            self.namespace.as_ref().is_none_or(|own| own == namespace)
                && match &self.services {
                    ServiceChoice::Named(own) => own == name,
                    ServiceChoice::Matching(selector) => selector.matches(&service.labels),
                }
        })
    }

    /// Its endpoints, as far as is known.
    pub fn endpoints(&self, known: &References) -> Endpoints {
        let mut pods = Vec::new();
        let mut ports = PortMatch::numbers(PortSet::empty());
        for ((namespace, name), service) in self.found(known) {
            let Some(labels) = &service.selector else {
                let what = format!("the endpoints of Service {namespace}/{name}, which has no selector");
                return Endpoints::Unknown(what.into());
            };
            let labels = labels.iter().map(|(key, value)| Selector::equals(key.clone(), value.clone()));
            pods.push((namespace, and(labels)));
            add_ports(service, &mut ports);
        }
        let peer = match pods.as_slice() {
            [] => return Endpoints::Unknown(format!("the endpoints of {}, not known here", self.words()).into()),
            [(namespace, pods)] => {
                PodPeer { namespaces: NamespaceScope::Named(Str::clone(namespace)), pods: pods.clone() }
            }
            several => {
                let each = several.iter().map(|(namespace, pods)| and([in_namespace(namespace), pods.clone()]));
                PodPeer { namespaces: NamespaceScope::all(), pods: or(each) }
            }
        };
        Endpoints::Pods(peer, ports)
    }

    /// Whom it may name where its endpoints are not known: pods of its namespace, and what has an address and no labels.
    pub fn at_most(&self) -> [Peer; 3] {
        let namespaces = self.namespace.clone().map_or_else(NamespaceScope::all, NamespaceScope::Named);
        let pods = PodPeer { namespaces, pods: Selector::everything() };
        [Peer::Pods(pods), Peer::Entity(Entity::Special), Peer::Entity(Entity::KubeApiserver)]
    }
}

fn add_ports(service: &Service, ports: &mut PortMatch) {
    for port in &service.ports {
        match &port.target {
            PortRef::Number(number) => {
                ports.numbers = ports.numbers.union(&PortSet::port(port.protocol, *number));
            }
            PortRef::Name(name) => ports.names.push((Some(port.protocol), name.clone())),
        }
    }
    ports.names.sort();
    ports.names.dedup();
}

impl PortMatch {
    /// What of these ports is of the other's protocols and numbers. Names stay where all of their protocol is meant.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let all = IntervalSet::full();
        let whole = |protocol: Protocol| *other.numbers.ports(protocol) == all;
        let names = self.names.iter().filter(|(protocol, _)| protocol.is_some_and(whole));
        Self { numbers: self.numbers.intersection(&other.numbers), names: names.cloned().collect() }
    }
}

/// Pods of this namespace.
fn in_namespace(name: &Str) -> Selector {
    Selector::equals(format!("{NAMESPACE_LABEL_PREFIX}{NAMESPACE_NAME_LABEL}"), name.clone())
}

/// Whether a key is about the labels of service accounts.
pub fn is_of_account(key: &str) -> bool {
    key == ACCOUNT_KNOWN_KEY || key.starts_with(ACCOUNT_LABEL_PREFIX)
}

impl References {
    /// The selector with tests of service accounts' labels put in terms of their namespaces and names.
    #[must_use]
    pub fn settled(&self, selector: &Selector) -> Selector {
        selector.replaced(&|key: &Str, test: &Test| {
            if !is_of_account(key) {
                return None;
            }
            let label = key.strip_prefix(ACCOUNT_LABEL_PREFIX);
            let mut named: BTreeMap<&Str, Vec<Str>> = BTreeMap::new();
            for ((namespace, name), labels) in &self.accounts {
                if label.is_none_or(|label| test.holds(labels.get(label).map(|value| &**value))) {
                    named.entry(namespace).or_default().push(name.clone());
                }
            }
            let each = named.into_iter();
            Some(or(each
                .map(|(namespace, names)| and([in_namespace(namespace), Selector::is_in(SERVICE_ACCOUNT_KEY, names)]))))
        })
    }
}
