//! Whether a pod reaches cluster DNS, by the pods that answer or by an address that does, and if not, where it stops.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;

use super::decide::{Decision, Doubt, Endpoint, Side, decide};
use super::flow::{Flow, PodAt, flow_by};
use super::selection::{only_admit, selecting, selecting_of};
use crate::model::house::{Dialect, Dns, private_ranges};
use crate::model::{Action, Direction, DnsPolicy, IpSet, NamedPort, Peer, PodSpec, Policy, PortSet, Protocol, Str};
use crate::snapshot::{NamespaceState, Owner, PodClass, Snapshot};

/// The port on which DNS answers.
pub const DNS_PORT: u16 = 53;

/// Pods that answer and that policies cannot tell apart.
#[derive(Clone, Debug)]
pub struct DnsPod {
    /// Whose they are; `None` for a pod as it would be.
    pub owner: Option<Owner>,
    /// What they look like.
    pub pod: Arc<PodSpec>,
    /// Their addresses, as far as they are known.
    pub addresses: Vec<IpAddr>,
}

/// The pods that answer, as classes; where none is known, a pod as it would be.
#[derive(Clone, Debug)]
pub struct DnsPods {
    /// Their namespace.
    pub namespace: Arc<NamespaceState>,
    /// Each class of them.
    pub pods: Vec<DnsPod>,
    /// Whether they have been seen.
    pub seen: bool,
}

impl DnsPods {
    /// Looks for them.
    pub fn find(world: &Snapshot, dns: &Dns) -> Self {
        let namespace = world.namespace_or_empty(&dns.namespace);
        let answers = |class: &&Arc<PodClass>| dns.labels.iter().all(|(k, v)| class.pod().labels.get(k) == Some(v));
        let classes = namespace.classes().iter().filter(answers);
        let of = |class: &Arc<PodClass>| DnsPod {
            owner: Some(class.owner().clone()),
            pod: Arc::clone(class.pod()),
            addresses: class.addresses().to_vec(),
        };
        let mut pods: Vec<DnsPod> = classes.map(of).collect();
        let seen = !pods.is_empty();
        if !seen {
            let named = |name: &str, protocol| NamedPort { name: name.into(), protocol, port: DNS_PORT };
            let mut pod = PodSpec::with_labels(dns.labels.clone());
            pod.ports = vec![named("dns", Protocol::Udp), named("dns-tcp", Protocol::Tcp)];
            pods.push(DnsPod { owner: None, pod: Arc::new(pod), addresses: Vec::new() });
        }
        Self { namespace, pods, seen }
    }

    /// Whether one of them has this address.
    pub fn have(&self, address: IpAddr) -> bool {
        self.pods.iter().any(|pod| pod.addresses.contains(&address))
    }
}

/// A pod that does not reach its DNS.
#[derive(Clone, Debug)]
pub struct BlockedDns {
    /// Protocols that do not get through.
    pub missing: Vec<Protocol>,
    /// The resolvers the pod names itself; empty for cluster DNS.
    pub servers: Vec<IpAddr>,
    /// The DNS pods that it does not reach; what both sides say is about the first of them.
    pub pods: Vec<DnsPod>,
    /// What the pod's own policies say.
    pub egress: Decision,
    /// What the policies of the DNS pods say; open for plain addresses.
    pub ingress: Decision,
    /// Whether it might get through if addresses that are not known were known.
    pub in_doubt: bool,
}

impl BlockedDns {
    /// Whether the pod's own side lets everything through, so that no egress policy helps.
    pub fn is_refused_by_dns(&self) -> bool {
        self.stopped_by(Direction::Egress).is_empty()
    }

    /// The protocols that one side does not let through. Plain addresses have no other side.
    pub fn stopped_by(&self, direction: Direction) -> Vec<Protocol> {
        let decision = match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress if self.pods.is_empty() => return Vec::new(),
            Direction::Ingress => &self.ingress,
        };
        self.missing.iter().copied().filter(|p| !decision.allowed.contains(*p, DNS_PORT)).collect()
    }
}

/// A question about DNS in one world.
#[derive(Clone, Debug)]
pub struct DnsQuery<'a> {
    /// The world.
    world: &'a Snapshot,
    /// Where DNS is.
    dns: &'a Dns,
    /// The pods that answer.
    pods: &'a DnsPods,
    /// How the CNI reads what is left open.
    dialect: Dialect,
    /// The ports on which it must answer.
    asked: PortSet,
}

impl<'a> DnsQuery<'a> {
    /// About these pods.
    pub fn new(world: &'a Snapshot, dns: &'a Dns, pods: &'a DnsPods, dialect: Dialect) -> Self {
        let ports = dns.protocols.iter().map(|protocol| PortSet::port(*protocol, DNS_PORT));
        let asked = ports.reduce(|a, b| a.union(&b)).unwrap_or_default();
        Self { world, dns, pods, dialect, asked }
    }

    /// Where the pod is stopped on its way to DNS, if it is. A pod whose egress nobody restricts is not asked about, nor is
    /// one that uses the node's resolvers.
    pub fn blocked(&self, namespace: &NamespaceState, pod: &PodSpec) -> Option<BlockedDns> {
        if pod.host_network || pod.dns == DnsPolicy::Node || self.is_open_by_some(namespace, pod) {
            return None;
        }
        let policies = &selecting(self.world, namespace, pod);
        // Of a policy whose rules were not read it is not certain that it stops anything.
        if !policies.iter().any(|p| restricts(p)) || policies.iter().any(|p| p.is_not_read()) {
            return None;
        }
        let by_pods = self.blocked_towards_pods(PodAt::new(namespace, pod), policies);
        let servers = match &pod.dns {
            DnsPolicy::Servers(servers) => servers.as_slice(),
            _ => &[],
        };
        if servers.is_empty() {
            let assumed = self.dns.addresses_assumed;
            return by_pods.filter(|_| !self.dns.addresses.iter().any(|a| self.reaches(policies, pod, *a, assumed)));
        }
        let private = private_ranges();
        for server in servers {
            // A private address may be that of the DNS Service, behind which are the DNS pods.
            let behind = by_pods.is_none() && (private.contains(*server) || self.pods.have(*server));
            if behind || self.reaches(policies, pod, *server, false) {
                return None;
            }
        }
        let first = servers.first()?;
        let egress = self.towards(policies, pod, *first);
        let missing = self.lacking(&egress.allowed);
        let (servers, pods, ingress) = (servers.to_vec(), Vec::new(), Decision::default());
        Some(BlockedDns { missing, servers, pods, egress, ingress, in_doubt: false })
    }

    /// Whether the policies that are about these ports let the pod ask cluster DNS, and no other can take that away: known for
    /// most pods without asking every policy whom it selects.
    fn is_open_by_some(&self, namespace: &NamespaceState, pod: &PodSpec) -> bool {
        if matches!(pod.dns, DnsPolicy::Servers(_)) || !only_admit(self.world, namespace) {
            return false;
        }
        let admits = |policy: &Policy| {
            policy.isolates(Direction::Egress)
                && policy.rules(Direction::Egress).iter().any(|rule| rule.ports.numbers.intersects(&self.asked))
        };
        let some: Vec<&Arc<Policy>> = selecting_of(self.world, namespace, pod, admits).collect();
        !some.is_empty() && self.blocked_towards_pods(PodAt::new(namespace, pod), &some).is_none()
    }

    fn lacking(&self, allowed: &PortSet) -> Vec<Protocol> {
        self.dns.protocols.iter().copied().filter(|p| !allowed.contains(*p, DNS_PORT)).collect()
    }

    /// The Service spreads queries over all DNS pods, so every class of them must be reached.
    fn blocked_towards_pods(&self, from: PodAt<'_>, policies: &[&Arc<Policy>]) -> Option<BlockedDns> {
        let mut each = self.pods.pods.iter();
        let mut blocked = each.by_ref().find_map(|pod| self.blocked_towards(from, policies, pod))?;
        blocked.pods.extend(each.filter(|pod| self.blocked_towards(from, policies, pod).is_some()).cloned());
        Some(blocked)
    }

    fn blocked_towards(&self, from: PodAt<'_>, policies: &[&Arc<Policy>], dns: &DnsPod) -> Option<BlockedDns> {
        let to = PodAt { namespace: &self.pods.namespace, pod: &dns.pod, addresses: &dns.addresses };
        let theirs = selecting(self.world, to.namespace, to.pod);
        let flow = |doubt| flow_by((from, policies), (to, &theirs), &self.asked, self.dialect, doubt);
        let Flow { allowed, egress, ingress } = flow(Doubt::Against);
        let missing = self.lacking(&allowed);
        if missing.is_empty() {
            return None;
        }
        let in_doubt = self.lacking(&flow(Doubt::InFavour).allowed).len() < missing.len();
        Some(BlockedDns { missing, servers: Vec::new(), pods: vec![dns.clone()], egress, ingress, in_doubt })
    }

    fn towards(&self, policies: &[&Arc<Policy>], pod: &PodSpec, address: IpAddr) -> Decision {
        let set = IpSet::single(address);
        let other = Endpoint::Addresses(&set);
        let (asked, dialect, doubt) = (&self.asked, self.dialect, Doubt::Against);
        decide(policies, &Side { direction: Direction::Egress, subject: pod, other, asked, dialect, doubt })
    }

    /// Whether an address is reached on all protocols; where it is only assumed, by blocks that are meant for it.
    fn reaches(&self, policies: &[&Arc<Policy>], pod: &PodSpec, address: IpAddr, assumed: bool) -> bool {
        let decision = self.towards(policies, pod, address);
        let meant = |protocol: Protocol| {
            decision.used.iter().any(|used| {
                let rule = used.rule.and_then(|i| used.policy.rules(Direction::Egress).get(i));
                used.action == Action::Allow
                    && used.ports.contains(protocol, DNS_PORT)
                    && rule.is_some_and(|rule| rule.peers.iter().any(|peer| is_meant_for(peer, address)))
            })
        };
        self.lacking(&decision.allowed).is_empty() && (!assumed || self.dns.protocols.iter().all(|p| meant(*p)))
    }
}

/// Whether a policy restricts what its pods may send.
fn restricts(policy: &Policy) -> bool {
    policy.isolates(Direction::Egress) || policy.rules(Direction::Egress).iter().any(|r| r.action == Action::Deny)
}

/// Whether a block lies within the link-local range of the address, where nothing but node-local services is.
fn is_meant_for(peer: &Peer, address: IpAddr) -> bool {
    let Peer::Addresses(peer) = peer else { return false };
    peer.set.contains(address)
        && peer.blocks.iter().any(|(cidr, _)| cidr.contains(&address) && LINK_LOCAL.iter().any(|l| l.contains(cidr)))
}

static LINK_LOCAL: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| ["169.254.0.0/16", "fe80::/10"].iter().filter_map(|text| text.parse().ok()).collect());

/// Single addresses that a policy opens for DNS although nothing that is known to answer has them: most likely the address of the
/// DNS Service, which never matches, because policies see the address of the pod behind it (semantics 2.1.16).
pub fn service_addresses(policy: &Policy, pods: &DnsPods, dns: &Dns) -> Vec<(Str, IpAddr)> {
    let mut found = Vec::new();
    for rule in policy.rules(Direction::Egress).iter().filter(|rule| rule.action == Action::Allow) {
        if !dns.protocols.iter().any(|p| rule.ports.numbers.contains(*p, DNS_PORT)) {
            continue;
        }
        for (i, peer) in rule.peers.iter().enumerate() {
            let Peer::Addresses(peer) = peer else { continue };
            for (cidr, _) in peer.blocks.iter().filter(|(cidr, _)| cidr.prefix_len() == cidr.max_prefix_len()) {
                let address = cidr.addr();
                if private_ranges().contains(address) && !pods.have(address) && !dns.addresses.contains(&address) {
                    found.push((rule.peer_path(i).short().into(), address));
                }
            }
        }
    }
    found
}
