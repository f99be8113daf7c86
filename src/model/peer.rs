//! The other end of a flow, as rules name it.

use ipnet::IpNet;

use super::Str;
use super::group::GroupPeer;
use super::ipset::IpSet;
use super::meter::charge;
use super::reference::ServicePeer;
use super::selector::Selector;

/// Which namespaces a selector of pods reaches into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceScope {
    /// One namespace by name.
    Named(Str),
    /// Namespaces whose labels match; `Selector::everything()` is all of them.
    Matching(Selector),
}

impl NamespaceScope {
    /// Every namespace.
    pub const fn all() -> Self {
        Self::Matching(Selector::everything())
    }
}

/// Pods by namespace and labels; both must match (semantics 2.1.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodPeer {
    /// Where the pods are.
    pub namespaces: NamespaceScope,
    /// Which pods there.
    pub pods: Selector,
}

/// What an address block means for addresses of pods (semantics 2.1.14, 2.2.8, 2.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressScope {
    /// NetworkPolicy `ipBlock`: upstream and Calico match pods, Cilium does not. A dialect decides.
    ByDialect,
    /// Matches pods as well as external addresses, by specification.
    PodsToo,
    /// Never matches pods or nodes.
    ExternalOnly,
}

/// Addresses: blocks with excepts, kept as written and as the exact set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressPeer {
    /// `(cidr, excepts)` as written, masked. An except limits only its own block (semantics 2.1.15).
    pub blocks: Vec<(IpNet, Vec<IpNet>)>,
    /// The union of the blocks less their excepts.
    pub set: IpSet,
    /// Whether pods' addresses count.
    pub scope: AddressScope,
}

impl AddressPeer {
    /// One block with its excepts.
    pub fn block(cidr: IpNet, except: Vec<IpNet>, scope: AddressScope) -> Self {
        let mut set = IpSet::from(cidr);
        if !except.is_empty() {
            set = set.difference(&IpSet::from_nets(&except));
        }
        Self { blocks: vec![(cidr, except)], set, scope }
    }

    /// The union of several blocks.
    pub fn blocks(nets: impl IntoIterator<Item = IpNet>, scope: AddressScope) -> Self {
        let blocks: Vec<(IpNet, Vec<IpNet>)> = nets.into_iter().map(|net| (net, Vec::new())).collect();
        let set = IpSet::from_nets(blocks.iter().map(|(net, _)| net));
        Self { blocks, set, scope }
    }
}

/// A group of endpoints that is no pod and no address (Cilium entities; semantics 2.3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// Everything outside the cluster.
    World,
    /// Everything inside the cluster, nodes included.
    Cluster,
    /// The node the pod runs on.
    Host,
    /// Other nodes.
    RemoteNode,
    /// The API server.
    KubeApiserver,
    /// The CNI's own ingress proxy.
    Ingress,
    /// Endpoints without an identity of their own: health checks, pods being started, unmanaged pods.
    Special,
}

/// The other end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Everyone: every pod, node and address.
    Any,
    /// Pods.
    Pods(PodPeer),
    /// Addresses.
    Addresses(AddressPeer),
    /// A group that is neither.
    Entity(Entity),
    /// Nodes by label.
    Nodes(Selector),
    /// Names that DNS resolves to external addresses at run time.
    Domains(Vec<Str>),
    /// Address groups that are objects of their own. The snapshot puts their addresses in its place.
    Groups(GroupPeer),
    /// Endpoints of Services. The snapshot puts pods in its place.
    Services(ServicePeer),
    /// Whoever all of these name; an empty list names everyone.
    AllOf(Vec<Peer>),
    /// Whoever the inner one does not name: of pods, nodes and addresses alike.
    Not(Box<Peer>),
    /// Whoever it is, if something holds that the cluster state does not say; the text says what. Stands beside others in
    /// [`Peer::AllOf`].
    Unsettled(Str),
    /// Somebody, and nothing says who: for rules that deny and could not be read. It may match anyone.
    Unreadable,
    /// Nobody: a peer that cannot match, or could not be read where reading too much would be unsafe.
    Nobody,
}

impl Peer {
    /// The addresses that this peer may name: those of blocks, and every one for everyone and for the world. Of nodes and
    /// of names that DNS resolves, which could be any, none is counted.
    pub fn addresses(&self) -> IpSet {
        // A set is copied.
        charge(4);
        match self {
            Self::Any | Self::Entity(Entity::World) | Self::Unsettled(_) => IpSet::full(),
            Self::Addresses(peer) => peer.set.clone(),
            Self::AllOf(parts) => parts.iter().fold(IpSet::full(), |all, part| all.intersection(&part.addresses())),
            Self::Not(inner) => inner.addresses().complement(),
            _ => IpSet::empty(),
        }
    }

    /// The pods that it names at most, if labels decide.
    pub fn pods(&self) -> Option<&PodPeer> {
        match self {
            Self::Pods(pods) => Some(pods),
            Self::AllOf(parts) => parts.iter().find_map(Self::pods),
            _ => None,
        }
    }

    /// Calls for this peer and everything inside it.
    pub fn visit<'a>(&'a self, f: &mut impl FnMut(&'a Self)) {
        f(self);
        match self {
            Self::AllOf(parts) => parts.iter().for_each(|part| part.visit(f)),
            Self::Not(inner) => inner.visit(f),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;

    fn block(text: &str) -> Peer {
        Peer::Addresses(AddressPeer::block(parse_cidr(text).unwrap().0, Vec::new(), AddressScope::ByDialect))
    }

    fn not(peer: Peer) -> Peer {
        Peer::Not(Box::new(peer))
    }

    #[test]
    fn addresses_of_compound_peers_are_exact_where_everything_is_known() {
        let both = Peer::AllOf(vec![block("10.0.0.0/8"), not(block("10.1.0.0/16"))]);
        let set = both.addresses();
        assert!(set.contains("10.0.0.1".parse().unwrap()) && !set.contains("10.1.0.1".parse().unwrap()));
        assert_eq!(not(not(block("10.0.0.0/8"))).addresses(), block("10.0.0.0/8").addresses());
        assert!(
            not(Peer::Pods(PodPeer { namespaces: NamespaceScope::all(), pods: Selector::everything() }))
                .addresses()
                .is_full()
        );
    }

    #[test]
    fn addresses_that_are_not_known_are_not_counted_and_not_taken_away() {
        let nodes = Peer::Nodes(Selector::everything());
        assert!(nodes.addresses().is_empty());
        assert!(not(nodes.clone()).addresses().is_full(), "no address is certainly that of a node");
        assert!(not(not(nodes)).addresses().is_empty());
        assert!(Peer::AllOf(Vec::new()).addresses().is_full());
    }
}
