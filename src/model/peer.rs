//! The other end of a flow, as rules name it.

use ipnet::IpNet;

use super::Str;
use super::ipset::IpSet;
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
        let set = IpSet::from(cidr).difference(&IpSet::from_nets(&except));
        Self { blocks: vec![(cidr, except)], set, scope }
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
    /// Nobody: a peer that cannot match, or could not be read where reading too much would be unsafe.
    Nobody,
}

impl Peer {
    /// The addresses this peer names outright; everyone is every address.
    pub fn addresses(&self) -> IpSet {
        match self {
            Self::Any => IpSet::full(),
            Self::Addresses(peer) => peer.set.clone(),
            _ => IpSet::empty(),
        }
    }
}
