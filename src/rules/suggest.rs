//! Policies that mend: the smallest default deny and the smallest way to cluster DNS, as model policies.
//!
//! They are proposals. The review tries them on the engine before anyone sees them.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::fields;
use super::rule::Context;
use crate::model::house::Dialect;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::AddressPeer;
use crate::model::policy::{Priority, Rule};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, NamespaceScope, ObjectRef, Peer, PodPeer, Policy, PortMatch, PortSet,
    Selector, Subject, Tier,
};

/// One default deny for these directions. Where it cuts off egress a way to DNS comes first: allow before deny.
pub fn default_deny(cx: &Context<'_>, directions: &[Direction]) -> Vec<Policy> {
    let (ingress, egress) = (directions.contains(&Direction::Ingress), directions.contains(&Direction::Egress));
    let name = match (ingress, egress) {
        (true, false) => "default-deny-ingress",
        (false, true) => "default-deny-egress",
        _ => "default-deny-all",
    };
    let mut deny = empty_policy(cx, name);
    (deny.isolates_ingress, deny.isolates_egress) = (ingress, egress);
    if egress { vec![allow_dns(cx), deny] } else { vec![deny] }
}

/// Lets every pod of the namespace reach cluster DNS.
pub fn allow_dns(cx: &Context<'_>) -> Policy {
    allow_dns_for(cx, "allow-dns", Selector::everything())
}

/// Lets these pods reach cluster DNS. It isolates them as well, so they should be isolated already.
pub fn allow_dns_for(cx: &Context<'_>, name: &str, pods: Selector) -> Policy {
    let dns = &cx.settings.dns;
    let labels = dns.labels.iter().map(|(k, v)| Selector::equals(k.clone(), v.clone())).collect();
    let namespaces = NamespaceScope::Matching(Selector::equals(NAMESPACE_NAME_LABEL, dns.namespace.clone()));
    asking(cx, name, pods, vec![Peer::Pods(PodPeer { namespaces, pods: Selector::all(labels) })])
}

/// The same for DNS servers by their addresses.
pub fn allow_servers_for(cx: &Context<'_>, name: &str, pods: Selector, servers: &[IpAddr]) -> Policy {
    let scope = match kind_in_use(cx) {
        Written::Kubernetes => AddressScope::ByDialect,
        Written::Cilium => AddressScope::ExternalOnly,
        Written::Calico => AddressScope::PodsToo,
    };
    let block = |server: &IpAddr| Peer::Addresses(AddressPeer::block(IpNet::from(*server), Vec::new(), scope));
    asking(cx, name, pods, servers.iter().map(block).collect())
}

/// Lets these pods ask for names there.
fn asking(cx: &Context<'_>, name: &str, pods: Selector, peers: Vec<Peer>) -> Policy {
    let protocols = &cx.settings.dns.protocols;
    let mut policy = empty_policy(cx, name);
    policy.subject.pods = pods;
    policy.isolates_egress = true;
    let ports = protocols.iter().fold(PortSet::empty(), |all, p| all.union(&PortSet::port(*p, 53)));
    policy.egress.push(Rule {
        action: Action::Allow,
        peers,
        ports: PortMatch::numbers(ports),
        at: FieldPath::new("spec.egress[0]"),
        peers_at: "to",
        filtered_by: None,
    });
    policy
}

/// The kind that the namespace writes its policies in: that of all that it has, or had before this change. NetworkPolicies
/// where it has none, or several kinds.
fn kind_in_use(cx: &Context<'_>) -> Written {
    let changing = cx.changes_policy().then_some(&cx.change.id);
    let known = || cx.namespace.policies().map(|object| &*object.id).chain(changing);
    let read_by_cilium = matches!(cx.settings.dialect, Dialect::Upstream | Dialect::Cilium);
    if known().next().is_some() && known().all(|id| id.kind == "CiliumNetworkPolicy") {
        return if read_by_cilium { Written::Cilium } else { Written::Kubernetes };
    }
    let plain = || known().filter(|id| id.kind == "NetworkPolicy");
    let calico = plain().next().is_some() && plain().all(fields::is_calico);
    if calico { Written::Calico } else { Written::Kubernetes }
}

/// Kinds in which a cure can be written.
enum Written {
    Kubernetes,
    Cilium,
    Calico,
}

/// A policy for every pod of the namespace, of the kind that is used there, with a name that is not taken yet.
fn empty_policy(cx: &Context<'_>, name: &str) -> Policy {
    let namespace = cx.namespace;
    // The name of a policy that is about to go away is taken as well: the cure comes before the change.
    let changing = cx.changes_policy().then_some(&cx.change.id.name);
    let taken =
        |name: &str| changing.is_some_and(|n| **n == *name) || namespace.policies().any(|p| *p.id.name == *name);
    let mut free = name.to_owned();
    let mut n = 2;
    while taken(&free) {
        free = format!("{name}-{n}");
        n += 1;
    }
    let (api_version, kind, tier) = match kind_in_use(cx) {
        Written::Kubernetes => ("networking.k8s.io/v1", "NetworkPolicy", Tier::network_policy()),
        Written::Cilium => ("cilium.io/v2", "CiliumNetworkPolicy", Tier::cilium()),
        Written::Calico => ("projectcalico.org/v3", "NetworkPolicy", Tier::calico("")),
    };
    Policy {
        id: Arc::new(ObjectRef::namespaced(api_version, kind, namespace.name().clone(), free)),
        tier,
        priority: Priority::LAST,
        subject: Subject { namespaces: NamespaceScope::Named(namespace.name().clone()), pods: Selector::everything() },
        isolates_ingress: false,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// The same policy as one of Cilium's.
pub(super) fn as_cilium(policy: Policy) -> Policy {
    let (namespace, name) = (policy.id.namespace().to_owned(), policy.id.name.clone());
    let id = ObjectRef::namespaced("cilium.io/v2", "CiliumNetworkPolicy", namespace, name);
    Policy { id: Arc::new(id), tier: Tier::cilium(), ..policy }
}
