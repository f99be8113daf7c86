//! Pods folded into kinds: same policies, same peers, same named ports, same place among address blocks.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::super::flow::PodAt;
use super::super::selection::selecting;
use crate::model::peer::AddressPeer;
use crate::model::pod::PodLookup;
use crate::model::{Direction, NamedPort, NamespaceScope, Peer, PodPeer, PodSpec, Policy};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// Pods that are evaluated as one: a class of a namespace, or one that was invented.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) at: PodAt<'a>,
    pub(super) owner: &'a Owner,
    pub(super) template: bool,
    pub(super) count: u32,
    pub(super) kind: usize,
    /// Equal for members that differ in nothing but their addresses.
    pub(super) look: usize,
}

/// A pod that does not exist, for questions about pods to come.
#[derive(Debug)]
pub(super) struct Invented {
    pub(super) namespace: Arc<NamespaceState>,
    pub(super) owner: Owner,
    pub(super) pod: PodSpec,
}

/// What policies see of a pod, its address aside.
#[derive(PartialEq, Eq, Hash)]
struct Look<'a> {
    egress: usize,
    ingress: usize,
    peers: Vec<u32>,
    ports: &'a [NamedPort],
    host_network: bool,
}

/// All kinds, and what policies see of them.
#[derive(Debug)]
pub(super) struct Kinds<'a> {
    pub(super) members: Vec<Member<'a>>,
    /// The first member of each kind.
    first: Vec<usize>,
    /// Distinct lists of policies; each pod has one for each direction.
    pub(super) lists: Vec<Vec<&'a Arc<Policy>>>,
    egress: Vec<usize>,
    ingress: Vec<usize>,
    peers: HashMap<&'a PodPeer, u32>,
    /// Kinds that each pod peer matches, ascending.
    matched: Vec<Vec<u32>>,
    /// For each kind a number that is equal for kinds with equal named ports.
    pub(super) ports: Vec<u32>,
    /// For each kind a number that is equal for kinds in equal places among address blocks.
    pub(super) places: Vec<u32>,
}

impl<'a> Kinds<'a> {
    pub(super) fn of(world: &'a Snapshot, invented: &'a [Invented]) -> Self {
        let mut namespaces: Vec<&'a Arc<NamespaceState>> = world.namespaces().collect();
        namespaces.sort_by_key(|n| n.name());
        let (mut members, mut ranges) = (Vec::new(), HashMap::new());
        let mut by_namespace: HashMap<&str, Vec<&'a Invented>> = HashMap::new();
        for one in invented {
            by_namespace.entry(one.namespace.name()).or_default().push(one);
        }
        for namespace in &namespaces {
            let start = members.len();
            members.extend(namespace.classes().iter().map(|class| Member {
                at: PodAt { namespace, pod: class.pod(), addresses: class.addresses() },
                owner: class.owner(),
                template: class.is_template(),
                count: class.count(),
                kind: 0,
                look: 0,
            }));
            members.extend(by_namespace.get(&**namespace.name()).into_iter().flatten().map(|one| Member {
                at: PodAt::new(namespace, &one.pod),
                owner: &one.owner,
                template: true,
                count: 0,
                kind: 0,
                look: 0,
            }));
            ranges.insert(&**namespace.name(), start..members.len());
        }
        let mut lists = Lists::default();
        let listed: Vec<(usize, usize)> = members.iter().map(|m| lists.of(world, m.at)).collect();
        let peers = intern_peers(&lists.lists);
        let matching = match_peers(&peers, &namespaces, &ranges, &members);
        let mut peers_of: Vec<Vec<u32>> = vec![Vec::new(); members.len()];
        for (peer, pods) in matching.iter().enumerate() {
            for pod in pods {
                peers_of[*pod].push(u32::try_from(peer).unwrap_or(u32::MAX));
            }
        }
        let cuts = Cuts::of(&lists.lists);
        let names = uses_names(&lists.lists);
        let (mut looks, mut known, mut first) = (HashMap::new(), HashMap::new(), Vec::new());
        for (i, (member, peers)) in members.iter_mut().zip(peers_of).enumerate() {
            let look = Look {
                egress: listed[i].0,
                ingress: listed[i].1,
                peers,
                ports: if names { &member.at.pod.ports } else { &[] },
                host_network: member.at.pod.host_network,
            };
            let next = looks.len();
            member.look = *looks.entry(look).or_insert(next);
            // Pods of one kind look alike and lie in the same stretches between the edges of address blocks.
            member.kind = *known.entry((member.look, cuts.place(member.at.addresses))).or_insert_with(|| {
                first.push(i);
                first.len() - 1
            });
        }
        let matched = matching.into_iter().map(|pods| {
            let kinds: BTreeSet<u32> =
                pods.into_iter().map(|pod| u32::try_from(members[pod].kind).unwrap_or(u32::MAX)).collect();
            kinds.into_iter().collect()
        });
        let matched = matched.collect();
        let ports = number(first.iter().map(|&i| if names { &members[i].at.pod.ports[..] } else { &[] }));
        let places = number(first.iter().map(|&i| cuts.place(members[i].at.addresses)));
        let egress = first.iter().map(|&i| listed[i].0).collect();
        let ingress = first.iter().map(|&i| listed[i].1).collect();
        Self { members, first, lists: lists.lists, egress, ingress, peers, matched, ports, places }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// A pod of the kind.
    pub(super) fn pod(&self, kind: usize) -> PodAt<'a> {
        self.members[self.first[kind]].at
    }

    /// The list of policies that decide on this side of the kind.
    pub(super) fn list(&self, kind: usize, direction: Direction) -> usize {
        match direction {
            Direction::Ingress => self.ingress[kind],
            Direction::Egress => self.egress[kind],
        }
    }

    /// Kinds that the peer matches.
    pub(super) fn matched(&self, peer: &PodPeer) -> &[u32] {
        self.peers.get(peer).and_then(|id| self.matched.get(*id as usize)).map_or(&[], Vec::as_slice)
    }
}

/// Equal values get equal numbers, in the order in which they first come.
fn number<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> Vec<u32> {
    let mut known = HashMap::new();
    values
        .map(|value| {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            *known.entry(value).or_insert(next)
        })
        .collect()
}

/// Lists of policies, each distinct one once.
#[derive(Default)]
struct Lists<'a> {
    lists: Vec<Vec<&'a Arc<Policy>>>,
    known: HashMap<Vec<usize>, usize>,
}

impl<'a> Lists<'a> {
    /// The lists of a pod for egress and ingress. A policy that has no say in a direction is not in that list.
    fn of(&mut self, world: &'a Snapshot, at: PodAt<'a>) -> (usize, usize) {
        let all = selecting(world, at.namespace, at.pod);
        let mut list = |direction| {
            let concerned = |p: &&'a Arc<Policy>| p.isolates(direction) || !p.rules(direction).is_empty();
            let list: Vec<&'a Arc<Policy>> = all.iter().copied().filter(concerned).collect();
            let key = list.iter().map(|p| Arc::as_ptr(p) as usize).collect();
            *self.known.entry(key).or_insert_with(|| {
                self.lists.push(list);
                self.lists.len() - 1
            })
        };
        (list(Direction::Egress), list(Direction::Ingress))
    }
}

/// Every peer of the policies, and every part of those that have parts.
fn peers<'a>(lists: &[Vec<&'a Arc<Policy>>]) -> impl Iterator<Item = &'a Peer> {
    let mut seen = BTreeSet::new();
    let policies = lists.iter().flatten().copied().filter(move |p| seen.insert(Arc::as_ptr(p) as usize));
    policies.flat_map(|p| p.ingress.iter().chain(&p.egress)).flat_map(|r| &r.peers).flat_map(|peer| {
        let mut parts = Vec::with_capacity(1);
        peer.visit(&mut |part| parts.push(part));
        parts
    })
}

fn intern_peers<'a>(lists: &[Vec<&'a Arc<Policy>>]) -> HashMap<&'a PodPeer, u32> {
    let mut known = HashMap::new();
    for peer in peers(lists) {
        if let Peer::Pods(peer) = peer {
            let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
            known.entry(peer).or_insert(next);
        }
    }
    known
}

/// The pods that each peer matches, ascending.
fn match_peers<'a>(
    peers: &HashMap<&'a PodPeer, u32>,
    namespaces: &[&'a Arc<NamespaceState>],
    ranges: &HashMap<&str, Range<usize>>,
    members: &[Member<'a>],
) -> Vec<Vec<usize>> {
    let mut ordered: Vec<(&PodPeer, u32)> = Vec::with_capacity(peers.len());
    ordered.extend(peers.iter().map(|(peer, id)| (*peer, *id)));
    ordered.sort_by_key(|(_, id)| *id);
    let mut scopes: HashMap<&NamespaceScope, Vec<Range<usize>>> = HashMap::new();
    let mut matching = Vec::with_capacity(ordered.len());
    for (peer, _) in ordered {
        let scope = scopes.entry(&peer.namespaces).or_insert_with(|| match &peer.namespaces {
            NamespaceScope::Named(name) => ranges.get(&**name).cloned().into_iter().collect(),
            NamespaceScope::Matching(selector) => namespaces
                .iter()
                .filter(|n| selector.matches(n.labels()))
                .filter_map(|n| ranges.get(&**n.name()).cloned())
                .collect(),
        });
        let everything = peer.pods.is_everything();
        let hit = |i: &usize| {
            members.get(*i).is_some_and(|m| {
                let lookup = PodLookup { pod: m.at.pod, namespace: m.at.namespace.labels() };
                // Selectors do not see pods on the host's network (semantics 2.1.17).
                !m.at.pod.host_network && (everything || peer.pods.matches(&lookup))
            })
        };
        matching.push(scope.iter().flat_map(Clone::clone).filter(hit).collect());
    }
    matching
}

fn uses_names(lists: &[Vec<&Arc<Policy>>]) -> bool {
    let mut rules = lists.iter().flatten().flat_map(|p| p.ingress.iter().chain(&p.egress));
    rules.any(|rule| !rule.ports.names.is_empty())
}

/// The places where any address block begins or ends.
struct Cuts {
    v4: Vec<u32>,
    v6: Vec<u128>,
}

impl Cuts {
    fn of(lists: &[Vec<&Arc<Policy>>]) -> Self {
        let (mut v4, mut v6) = (BTreeSet::new(), BTreeSet::new());
        for peer in peers(lists) {
            let Peer::Addresses(AddressPeer { set, .. }) = peer else { continue };
            for (lo, hi) in set.v4().ranges() {
                v4.extend([Some(*lo), hi.checked_add(1)].into_iter().flatten());
            }
            for (lo, hi) in set.v6().ranges() {
                v6.extend([Some(*lo), hi.checked_add(1)].into_iter().flatten());
            }
        }
        Self { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
    }

    /// The stretches in which these addresses lie. No addresses and no cuts are different things: an unknown address
    /// may be anywhere.
    fn place(&self, addresses: &[IpAddr]) -> Vec<usize> {
        if self.v4.is_empty() && self.v6.is_empty() {
            return Vec::new();
        }
        let stretch = |address: &IpAddr| match address {
            IpAddr::V4(a) => 2 * self.v4.partition_point(|cut| *cut <= a.to_bits()),
            IpAddr::V6(a) => 2 * self.v6.partition_point(|cut| *cut <= a.to_bits()) + 1,
        };
        addresses.iter().map(stretch).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
