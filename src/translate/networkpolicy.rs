//! NetworkPolicy → model. Absent, null and empty are told apart exactly as the API defines it, and every value that an
//! API server would refuse is noted and taken on the safe side.

use std::array;
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;

use super::at::At;
use super::policy_wire::{self as wire, PortValue};
use super::wire::{Text, text};
use super::{Defaults, Kind, id, selector, shorten};
use crate::model::ipset::parse_cidr;
use crate::model::peer::AddressPeer;
use crate::model::policy::Priority;
use crate::model::{
    Action, AddressScope, Direction, FieldPath, NamespaceScope, Object, ObjectRef, Peer, PodPeer, Policy, PolicyObject,
    PortMatch, PortSet, Protocol, READ_AS, Rule, Selector, Str, Subject, Tier, Unread,
};

/// What becomes of a piece that cannot be read, as the end of the sentence that complains about it.
pub(super) const NO_SUBJECT: &str = "the policy is taken as selecting no pod";
pub(super) const NO_PEER: &str = "this peer is taken as nobody";
pub(super) const NO_PORT: &str = "this entry is taken as no port";
pub(super) const NO_RULE: &str = "this rule is taken as allowing nothing";

/// Where the first rules of most policies stand, for ingress and for egress: texts that all of them share.
static FIRST_PLACES: LazyLock<[[FieldPath; 8]; 2]> = LazyLock::new(|| {
    ["ingress", "egress"].map(|list| array::from_fn(|i| At::root("spec").field(list).index(i).path()))
});

/// Everything the pieces of one policy share while they are read.
struct Reading<'a> {
    namespace: Str,
    unread: &'a mut Vec<Unread>,
}

/// Reads a policy. `unread` holds what was already found while its JSON was taken apart.
pub(super) fn network_policy(
    wire: &wire::NetworkPolicy<'_>,
    defaults: &Defaults<'_>,
    mut unread: Vec<Unread>,
) -> Object {
    let kind = Kind::NetworkPolicy;
    let id = match &wire.metadata {
        Some(meta) => id(kind, meta, defaults),
        None => id(kind, &super::Meta::default(), defaults),
    };
    check_version(text(wire.api_version.as_ref()), kind, &mut unread);
    // semantics 2.1.4: without a spec the policy is a default deny for ingress.
    let empty = wire::Spec::default();
    let (policy, implicit_types) = policy(wire.spec.as_ref().unwrap_or(&empty), Arc::new(id), &mut unread);
    Object::Policy(PolicyObject {
        id: Arc::clone(&policy.id),
        policies: vec![Arc::new(policy)],
        unread,
        implicit_types,
    })
}

pub(super) fn check_version(api_version: &str, kind: Kind, unread: &mut Vec<Unread>) {
    if !api_version.is_empty() && api_version != kind.api_version() {
        unread.push(Unread {
            at: FieldPath::new("apiVersion"),
            what: format!(
                "version `{}` is not known; the object {READ_AS} {}",
                shorten(api_version),
                kind.api_version()
            ),
        });
    }
}

fn policy(spec: &wire::Spec<'_>, id: Arc<ObjectRef>, unread: &mut Vec<Unread>) -> (Policy, bool) {
    let at = At::root("spec");
    let mut reading = Reading { namespace: id.namespace.clone().unwrap_or_default(), unread };
    let pods = match &spec.pod_selector {
        Some(wire) => selector::read(wire, &at.field("podSelector"), NO_SUBJECT, reading.unread),
        None => Some(Selector::everything()),
    };
    let (isolates_ingress, isolates_egress, implicit_types) = reading.types(spec, &at);
    let (mut ingress, mut egress) = (Vec::new(), Vec::new());
    // Rules of a direction that the policy does not govern have no effect, so their mistakes have none either.
    if isolates_ingress {
        ingress.reserve_exact(spec.ingress.as_ref().map_or(0, |rules| rules.len()));
        for (i, rule) in spec.ingress.iter().flatten().enumerate() {
            let (from, ports) = (rule.from.as_deref(), rule.ports.as_deref());
            ingress.push(reading.rule((Direction::Ingress, i), from, ports, rule.broken));
        }
    }
    if isolates_egress {
        egress.reserve_exact(spec.egress.as_ref().map_or(0, |rules| rules.len()));
        for (i, rule) in spec.egress.iter().flatten().enumerate() {
            let (to, ports) = (rule.to.as_deref(), rule.ports.as_deref());
            egress.push(reading.rule((Direction::Egress, i), to, ports, rule.broken));
        }
    }
    let subject =
        Subject { namespaces: NamespaceScope::Named(reading.namespace), pods: pods.unwrap_or(Selector::nothing()) };
    let (tier, priority) = (Tier::network_policy(), Priority::LAST);
    let policy = Policy { id, tier, priority, subject, isolates_ingress, isolates_egress, ingress, egress };
    (policy, implicit_types)
}

impl Reading<'_> {
    fn note(&mut self, at: &At<'_>, what: String) {
        self.unread.push(Unread { at: at.path(), what });
    }

    /// Which directions are governed, and whether that was left to the default: always ingress, and egress if there is
    /// a rule for it (semantics 2.1.2). The API server takes an empty list as an absent one.
    fn types(&mut self, spec: &wire::Spec<'_>, at: &At<'_>) -> (bool, bool, bool) {
        let types = spec.policy_types.as_deref().unwrap_or_default();
        if types.is_empty() {
            return (true, spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()), true);
        }
        let (mut ingress, mut egress) = (false, false);
        let list = at.field("policyTypes");
        for (i, name) in types.iter().enumerate() {
            match &**name {
                "Ingress" => ingress = true,
                "Egress" => egress = true,
                other => {
                    let what = format!("`{}` is no policy type; there are Ingress and Egress; ignored", shorten(other));
                    self.note(&list.index(i), what);
                }
            }
        }
        (ingress, egress, false)
    }

    fn rule(
        &mut self,
        (direction, i): (Direction, usize),
        peers: Option<&[wire::Peer<'_>]>,
        ports: Option<&[wire::Port<'_>]>,
        broken: bool,
    ) -> Rule {
        let (list, field, first) = match direction {
            Direction::Ingress => ("ingress", "from", &FIRST_PLACES[0]),
            Direction::Egress => ("egress", "to", &FIRST_PLACES[1]),
        };
        let spec = At::root("spec");
        let list = spec.field(list);
        let at = list.index(i);
        let mut rule = Rule {
            action: Action::Allow,
            peers: Vec::new(),
            ports: PortMatch::numbers(PortSet::empty()),
            at: first.get(i).cloned().unwrap_or_else(|| at.path()),
            peers_at: "",
            filtered_by: None,
        };
        if broken {
            rule.peers = vec![Peer::Nobody];
            return rule;
        }
        // semantics 2.1.5: an absent or empty list is no condition.
        match peers.filter(|list| !list.is_empty()) {
            None => rule.peers = vec![Peer::Any],
            Some(list) => {
                let peers_at = at.field(field);
                rule.peers = list.iter().enumerate().map(|(i, peer)| self.peer(peer, &peers_at.index(i))).collect();
                rule.peers_at = field;
            }
        }
        match ports.filter(|list| !list.is_empty()) {
            None => rule.ports = PortMatch::any(),
            Some(list) => {
                let ports_at = at.field("ports");
                for (i, port) in list.iter().enumerate() {
                    self.port(port, &ports_at.index(i), &mut rule.ports);
                }
                rule.ports.fold_names();
            }
        }
        rule
    }

    fn peer(&mut self, wire: &wire::Peer<'_>, at: &At<'_>) -> Peer {
        if wire.broken {
            return Peer::Nobody;
        }
        let has_selector = wire.pod_selector.is_some() || wire.namespace_selector.is_some();
        match &wire.ip_block {
            Some(_) if has_selector => {
                self.note(at, format!("ipBlock and selectors exclude each other in one peer; {NO_PEER}"));
                Peer::Nobody
            }
            Some(block) => self.addresses(block, &at.field("ipBlock")).map_or(Peer::Nobody, Peer::Addresses),
            None if has_selector => self.pods(wire, at).map_or(Peer::Nobody, Peer::Pods),
            None => {
                self.note(at, format!("a peer needs podSelector, namespaceSelector or ipBlock; {NO_PEER}"));
                Peer::Nobody
            }
        }
    }

    /// Pods by label, in the policy's own namespace unless a namespaceSelector says otherwise (semantics 2.1.10).
    fn pods(&mut self, wire: &wire::Peer<'_>, at: &At<'_>) -> Option<PodPeer> {
        let mut read = |wire: &Option<wire::LabelSelector<'_>>, field| match wire {
            Some(wire) => selector::read(wire, &at.field(field), NO_PEER, self.unread).map(Some),
            None => Some(None),
        };
        // Both are read before giving up, so that one complaint does not hide the other.
        let (namespaces, pods) =
            (read(&wire.namespace_selector, "namespaceSelector"), read(&wire.pod_selector, "podSelector"));
        let own = || NamespaceScope::Named(Arc::clone(&self.namespace));
        Some(PodPeer {
            namespaces: namespaces?.map_or_else(own, NamespaceScope::Matching),
            pods: pods?.unwrap_or(Selector::everything()),
        })
    }

    /// A block less its excepts. A block that cannot be read names nobody, and so does one with an except that cannot be
    /// read: without the except it would name more than its author meant (semantics 2.1.13).
    fn addresses(&mut self, wire: &wire::IpBlock<'_>, at: &At<'_>) -> Option<AddressPeer> {
        let cidr_at = at.field("cidr");
        let Some(cidr) = &wire.cidr else {
            self.note(&cidr_at, format!("an ipBlock needs a cidr; {NO_PEER}"));
            return None;
        };
        let cidr = self.cidr(cidr, &cidr_at);
        let excepts = at.field("except");
        let mut readable = true;
        let mut list = Vec::new();
        for (i, except) in wire.except.iter().flatten().enumerate() {
            let except_at = excepts.index(i);
            let Some(net) = self.cidr(except, &except_at) else {
                readable = false;
                continue;
            };
            list.push(net);
            if let Some(cidr) = cidr
                && !(cidr.contains(&net) && cidr != net)
            {
                self.note(&except_at, outside(&cidr, &net));
            }
        }
        cidr.filter(|_| readable).map(|cidr| AddressPeer::block(cidr, list, AddressScope::ByDialect))
    }

    fn cidr(&mut self, wire: &Text<'_>, at: &At<'_>) -> Option<IpNet> {
        match parse_cidr(wire) {
            Ok((net, true)) => Some(net),
            Ok((net, false)) => {
                let written = shorten(wire);
                self.note(at, format!("`{written}` is not how current API servers want it; it {READ_AS} {net}"));
                Some(net)
            }
            Err(error) => {
                self.note(at, format!("{error}; {NO_PEER}"));
                None
            }
        }
    }

    fn port(&mut self, wire: &wire::Port<'_>, at: &At<'_>, into: &mut PortMatch) {
        if wire.broken {
            return;
        }
        // semantics 2.1.6: TCP where none is named.
        let name = text(wire.protocol.as_ref());
        let Some(protocol) = (if name.is_empty() { Some(Protocol::Tcp) } else { Protocol::parse(name) }) else {
            let what = format!("`{}` is no protocol; there are TCP, UDP and SCTP; {NO_PORT}", shorten(name));
            return self.note(&at.field("protocol"), what);
        };
        match (&wire.first, wire.last) {
            (None, None) => into.numbers.add(protocol, 1, u16::MAX),
            (None, Some(_)) => {
                self.note(&at.field("endPort"), format!("endPort needs a port to start from; {NO_PORT}"));
            }
            (Some(PortValue::Name(_)), Some(_)) => {
                let what = format!("endPort needs a numeric port to start from, not a name; {NO_PORT}");
                self.note(&at.field("endPort"), what);
            }
            (Some(PortValue::Name(name)), None) => {
                if let Some(wrong) = wrong_port_name(name) {
                    return self.note(&at.field("port"), format!("`{}` {wrong}; {NO_PORT}", shorten(name)));
                }
                into.names.push((Some(protocol), Str::from(&**name)));
            }
            (Some(PortValue::Number(first)), last) => {
                let last = last.unwrap_or(*first);
                let (Some(lo), Some(hi)) = (port_number(*first), port_number(last)) else {
                    let field = if port_number(*first).is_none() { "port" } else { "endPort" };
                    return self.note(&at.field(field), format!("ports go from 1 to 65535; {NO_PORT}"));
                };
                if hi < lo {
                    return self.note(&at.field("endPort"), format!("endPort {hi} is below port {lo}; {NO_PORT}"));
                }
                // semantics 2.1.7: inclusive.
                into.numbers.add(protocol, lo, hi);
            }
        }
    }
}

fn outside(cidr: &IpNet, except: &IpNet) -> String {
    if except.contains(cidr) {
        format!("{except} takes away all of {cidr}; the block is taken as nobody")
    } else {
        format!("{except} is not inside {cidr}; it excepts nothing")
    }
}

fn port_number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port > 0)
}

/// What keeps a text from being the name of a port. Quoted numbers are the usual mistake.
pub(super) fn wrong_port_name(name: &str) -> Option<&'static str> {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) {
        return Some("is text, which names a port; write the number without quotes");
    }
    let valid = (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.bytes().any(|b| b.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    (!valid).then_some("cannot be the name of a port (at most 15 of a-z, 0-9 and -)")
}
