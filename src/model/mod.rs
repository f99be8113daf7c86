//! CNI-neutral terms in which every other room thinks: sets of addresses and ports, labels and selectors,
//! peers, policies in tiers, pods and the objects they came from. Pure values: no clock, no I/O, no Kubernetes types.

pub mod assertion;
pub mod cilium;
pub mod cni;
pub mod departure;
pub mod dns_names;
pub mod entrance;
pub mod group;
pub mod house;
pub mod interval;
pub mod ipset;
pub mod labels;
pub mod meter;
mod not_read;
pub mod object;
pub mod origin;
pub mod original;
pub mod peer;
pub mod pod;
pub mod policy;
pub mod ports;
pub mod reference;
pub mod selector;
pub mod sighting;

pub use assertion::Assertion;
pub use cilium::{CiliumConfig, Enforcement};
pub use departure::{Departure, Touches};
pub use group::{AddressGroup, GroupChoice, GroupKind, GroupPeer, TierObject};
pub use interval::IntervalSet;
pub use ipset::IpSet;
pub use labels::Labels;
pub use object::{Change, Namespace, Object, Operation, PolicyObject, READ_AS, TOO_LARGE, Unread};
pub use origin::{FieldPath, ObjectRef};
pub use peer::{AddressScope, NamespaceScope, Peer, PodPeer};
pub use pod::{DnsPolicy, NamedPort, PodSpec, Workload};
pub use policy::{
    Action, Direction, Enforcer, Policy, Priority, Rule, Standing, Subject, Tier, TierEnd, TierSemantics, Ties,
};
pub use ports::{PortMatch, PortSet, Protocol};
pub use reference::{Endpoints, References, ServiceChoice, ServicePeer};
pub use selector::Selector;

/// Shared immutable text: names and label values repeat across thousands of objects.
pub type Str = std::sync::Arc<str>;
