//! Policies made to measure: for every workload one that admits exactly the connections that are wanted, each by a rule
//! of its own on either side. Whether they do is for the caller to prove; what no selector can say is an error.

mod asserted;
mod blocks;
mod singling;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bounds::{Bounds, Readings};
use super::explain::bounds_between;
use super::flow::PodAt;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::AddressPeer;
use crate::model::policy::Priority;
use crate::model::{
    Action, AddressScope, Direction, FieldPath, IpSet, NamespaceScope, ObjectRef, Peer, PodPeer, Policy, PortMatch,
    PortSet, Rule, Selector, Str, Subject, Tier,
};
use crate::snapshot::{Owner, Snapshot};
pub use asserted::wanted_by;
pub use blocks::blocks;
pub use singling::CannotTailor;
use singling::{is_unseen, matching, single_out};

/// One end of a connection that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantedEnd {
    /// Pods of a workload.
    Pods {
        /// Its namespace.
        namespace: Str,
        /// The workload.
        owner: Owner,
        /// What sets these pods apart from others of it, as a node says it; empty for all of them.
        variant: String,
    },
    /// Addresses outside the cluster.
    Addresses(IpSet),
}

impl std::fmt::Display for WantedEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pods { namespace, owner, variant } if variant.is_empty() => {
                write!(f, "{} {namespace}/{}", owner.kind, owner.name)
            }
            Self::Pods { namespace, owner, variant } => {
                write!(f, "{} {namespace}/{} ({variant})", owner.kind, owner.name)
            }
            Self::Addresses(set) => write!(f, "{}", set.summary(2)),
        }
    }
}

/// A connection that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedEdge {
    /// Where it starts.
    pub from: WantedEnd,
    /// Where it ends.
    pub to: WantedEnd,
    /// On which ports.
    pub ports: PortSet,
}

/// The workload that a policy is for, and the connections of one direction: other end and ports.
type Wishes<'a> = BTreeMap<(&'a WantedEnd, Direction), Vec<(&'a WantedEnd, &'a PortSet)>>;

/// A policy for every workload in the namespaces that `covered` names, with a rule for every connection.
pub fn tailor(
    world: &Snapshot,
    edges: &[WantedEdge],
    covered: impl Fn(&str) -> bool,
) -> Result<Vec<Policy>, CannotTailor> {
    let mut wishes: Wishes<'_> = BTreeMap::new();
    // No policy is for pods on their nodes' network or can name them; what passes there passes without one.
    for edge in edges.iter().filter(|edge| ![&edge.from, &edge.to].iter().any(|end| is_unseen(world, end))) {
        for (own, direction, other) in
            [(&edge.from, Direction::Egress, &edge.to), (&edge.to, Direction::Ingress, &edge.from)]
        {
            if let WantedEnd::Pods { namespace, .. } = own
                && covered(namespace)
            {
                wishes.entry((own, direction)).or_default().push((other, &edge.ports));
            }
        }
    }
    let mut policies: BTreeMap<&WantedEnd, Policy> = BTreeMap::new();
    for ((own, direction), others) in wishes {
        let WantedEnd::Pods { namespace, .. } = own else { continue };
        let rules = rules(world, namespace, direction, others)?;
        let policy = match policies.entry(own) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => free.insert(empty(namespace, single_out(world, own)?)),
        };
        match direction {
            Direction::Ingress => (policy.isolates_ingress, policy.ingress) = (true, rules),
            Direction::Egress => (policy.isolates_egress, policy.egress) = (true, rules),
        }
    }
    Ok(named(policies))
}

fn empty(namespace: &Str, pods: Selector) -> Policy {
    Policy {
        id: Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", namespace.clone(), "")),
        tier: Tier::network_policy(),
        priority: Priority::LAST,
        subject: Subject { namespaces: NamespaceScope::Named(namespace.clone()), pods },
        isolates_ingress: false,
        isolates_egress: false,
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// One rule for every other workload, and one for all addresses with the same ports.
fn rules(
    world: &Snapshot,
    namespace: &Str,
    direction: Direction,
    others: Vec<(&WantedEnd, &PortSet)>,
) -> Result<Vec<Rule>, CannotTailor> {
    let mut pods: BTreeMap<&WantedEnd, PortSet> = BTreeMap::new();
    let mut addresses: BTreeMap<PortSet, IpSet> = BTreeMap::new();
    for (other, ports) in others {
        match other {
            WantedEnd::Pods { .. } => {
                let all = pods.entry(other).or_default();
                *all = all.union(ports);
            }
            WantedEnd::Addresses(set) => {
                let all = addresses.entry(ports.clone()).or_default();
                *all = all.union(set);
            }
        }
    }
    let mut wanted: Vec<(Vec<Peer>, PortSet)> = Vec::new();
    for (other, ports) in pods {
        let WantedEnd::Pods { namespace: theirs, .. } = other else { continue };
        let namespaces = if theirs == namespace {
            NamespaceScope::Named(namespace.clone())
        } else {
            NamespaceScope::Matching(Selector::equals(NAMESPACE_NAME_LABEL, theirs.clone()))
        };
        wanted.push((vec![Peer::Pods(PodPeer { namespaces, pods: single_out(world, other)? })], ports));
    }
    for (ports, set) in addresses {
        let block = |(cidr, except)| Peer::Addresses(AddressPeer::block(cidr, except, AddressScope::ByDialect));
        wanted.push((blocks(&set).into_iter().map(block).collect(), ports));
    }
    let peers_at = match direction {
        Direction::Egress => "to",
        Direction::Ingress => "from",
    };
    let rule = |(i, (peers, ports)): (usize, (Vec<Peer>, PortSet))| Rule {
        action: Action::Allow,
        peers,
        ports: if ports.is_full() { PortMatch::any() } else { PortMatch::numbers(ports) },
        at: FieldPath::new("spec").field(direction.field()).index(i),
        peers_at,
        filtered_by: None,
    };
    Ok(wanted.into_iter().enumerate().map(rule).collect())
}

/// Gives every policy the name of its workload: `allow-web`, with the kind where workloads share a name.
fn named(policies: BTreeMap<&WantedEnd, Policy>) -> Vec<Policy> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let clean = |text: &str| {
        let plain: String =
            text.to_ascii_lowercase().bytes().map(|b| if fits(b) { char::from(b) } else { '-' }).take(180).collect();
        format!("allow-{}", plain.trim_matches(['-', '.']))
    };
    let mut taken = std::collections::BTreeSet::new();
    let mut list = Vec::new();
    for (end, mut policy) in policies {
        let WantedEnd::Pods { namespace, owner, variant } = end else { continue };
        let short =
            clean(&if variant.is_empty() { owner.name.to_string() } else { format!("{}-{variant}", owner.name) });
        let long = clean(&format!("{}-{}-{variant}", owner.name, owner.kind));
        let numbered = (2_u32..).map(|n| format!("{long}-{n}"));
        let name = [short, long.clone()]
            .into_iter()
            .chain(numbered)
            .find(|name| taken.insert((namespace.clone(), name.clone())));
        let name = name.unwrap_or(long);
        policy.id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", namespace.clone(), name));
        list.push(policy);
    }
    list.sort_by(|a, b| (a.id.namespace(), &a.id.name).cmp(&(b.id.namespace(), &b.id.name)));
    list
}

/// What passes among pods of one workload, which a matrix does not show.
pub fn among_themselves(world: &Snapshot, end: &WantedEnd, readings: &Readings) -> Bounds {
    let WantedEnd::Pods { namespace, .. } = end else { return Bounds::default() };
    let (state, (own, _)) = (world.namespace_or_empty(namespace), matching(world, end));
    let own: Vec<PodAt<'_>> =
        own.iter().map(|class| PodAt { namespace: &state, pod: class.pod(), addresses: class.addresses() }).collect();
    let pairs = own.iter().flat_map(|a| own.iter().map(move |b| (*a, *b)));
    let mut all = pairs.map(|(a, b)| bounds_between(world, a, b, readings));
    let first = all.next().unwrap_or_default();
    all.fold(first, |sum, next| sum.either(&next))
}
