//! `toPorts` and `icmps`: which ports a rule is about, and what Cilium's proxies look at beyond them.

use crate::translate::json::Value;

use super::filter;
use super::reading::{Fields, Piece, Reading, Taken};
use crate::model::{Action, Direction, PortMatch, PortSet, Protocol, Str};
use crate::translate::at::At;
use crate::translate::shorten;

/// More are refused.
const MOST_PORTS: usize = 40;

/// Ports with the condition that comes on top, if any.
pub(super) type Filtered = (PortMatch, Option<Str>);

/// What a `toPorts` item may hold. Deny rules know ports only.
const ALLOW_FIELDS: [&str; 7] =
    ["ports", "rules", "terminatingTLS", "originatingTLS", "serverNames", "listener", "description"];

/// No port at all.
fn none() -> PortMatch {
    PortMatch::numbers(PortSet::empty())
}

/// All ports of these protocols. Traffic without ports is not among them (semantics 2.3.15).
fn all_of(protocols: &[Protocol]) -> PortSet {
    protocols.iter().fold(PortSet::empty(), |all, protocol| all.union(&PortSet::protocol(*protocol)))
}

/// Traffic without ports.
fn without_ports() -> PortSet {
    PortSet::full().difference(&all_of(&Protocol::ALL))
}

/// What a protocol name stands for.
enum Named {
    Ports(&'static [Protocol]),
    WithoutPorts,
}

fn protocols(name: &str) -> Option<Named> {
    // Cilium takes lower case as well.
    let is = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
    if let Some(one) = Protocol::ALL.iter().find(|protocol| is(&[protocol.as_str()])) {
        return Some(Named::Ports(std::slice::from_ref(one)));
    }
    if is(&["", "ANY"]) {
        return Some(Named::Ports(&Protocol::ALL));
    }
    is(&["ICMP", "ICMPV6", "VRRP", "IGMP"]).then_some(Named::WithoutPorts)
}

impl Reading {
    /// The items of a rule's `toPorts`, those without a further condition as one, and whether one could not be read.
    pub(super) fn port_rules(
        &mut self,
        items: &[Value<'_>],
        direction: Direction,
        action: Action,
        at: &At<'_>,
    ) -> (Vec<Filtered>, bool) {
        let mut plain: Option<PortMatch> = None;
        let (mut all, mut broken) = (Vec::new(), false);
        for (i, item) in items.iter().enumerate() {
            match self.port_rule(item, direction, action, &at.index(i)) {
                Ok((ports, None)) => {
                    let known = plain.get_or_insert_with(none);
                    known.numbers = known.numbers.union(&ports.numbers);
                    known.names.extend(ports.names);
                }
                Ok(filtered) => all.push(filtered),
                Err(_) => broken = true,
            }
        }
        all.extend(plain.map(|ports| (ports, None)));
        (all, broken)
    }

    fn port_rule(&mut self, item: &Value<'_>, direction: Direction, action: Action, at: &At<'_>) -> Piece<Filtered> {
        let taken = Taken::of(action).port;
        let known = if action == Action::Deny { &ALLOW_FIELDS[..1] } else { &ALLOW_FIELDS };
        let fields = self.fields(item, at, known, taken)?;
        let filter = self.filter(fields, direction, at, taken);
        let ports_at = at.field("ports");
        let items = self.list(fields.get("ports"), &ports_at, taken)?.unwrap_or_default();
        if items.len() > MOST_PORTS {
            return Err(self.refuse(&ports_at, &format!("{} ports; {MOST_PORTS} is the most", items.len())));
        }
        if items.is_empty() {
            return Err(self.note(&ports_at, format!("there is no port in the list; {taken}")));
        }
        let mut ports = none();
        for (i, item) in items.iter().enumerate() {
            match self.port(item, action, &ports_at.index(i)) {
                Ok(one) => {
                    ports.numbers = ports.numbers.union(&one.numbers);
                    ports.names.extend(one.names);
                }
                // Of a deny nothing is left out without a word: the whole item may be about any port.
                Err(broken) if action == Action::Deny => return Err(broken),
                Err(_) => {}
            }
        }
        Ok((ports, filter?))
    }

    /// One port: a number, a range or a name, of one protocol or of any (semantics 2.3.15).
    fn port(&mut self, item: &Value<'_>, action: Action, at: &At<'_>) -> Piece<PortMatch> {
        let taken = Taken::of(action).port;
        let fields = self.fields(item, at, &["port", "endPort", "protocol"], taken)?;
        let (port_at, last_at, protocol_at) = (at.field("port"), at.field("endPort"), at.field("protocol"));
        if fields.get("port").is_some_and(|port| matches!(port, Value::Number(_))) {
            return Err(self.note(&port_at, format!("Cilium wants port numbers in quotes; {taken}")));
        }
        let port = self.text(fields.get("port"), &port_at, taken)?;
        let last = self.number(fields.get("endPort"), &last_at, taken)?.unwrap_or(0);
        let name = self.text(fields.get("protocol"), &protocol_at, taken)?;
        let Some(protocols) = protocols(name) else {
            let what =
                format!("`{}` is no protocol; there are TCP, UDP, SCTP and ANY, and some without ports", shorten(name));
            return Err(self.refuse(&protocol_at, &what));
        };
        let protocols = match protocols {
            Named::Ports(protocols) => protocols,
            Named::WithoutPorts if matches!(port, "" | "0") => return Ok(PortMatch::numbers(without_ports())),
            Named::WithoutPorts => {
                return Err(self.refuse(&port_at, &format!("{} has no ports", name.to_ascii_uppercase())));
            }
        };
        if port.is_empty() {
            return Err(self.refuse(&port_at, "a port is missing; \"0\" is every port"));
        }
        if !port.bytes().all(|b| b.is_ascii_digit()) {
            return self.named(port, protocols, &port_at);
        }
        let Ok(first) = port.parse::<u16>() else {
            return Err(self.refuse(&port_at, &format!("`{}` is no port; they go up to 65535", shorten(port))));
        };
        if first == 0 {
            return Ok(PortMatch::numbers(all_of(protocols)));
        }
        let last = match u16::try_from(last) {
            Ok(0) => first,
            Ok(last) if last >= first => last,
            Ok(last) => {
                return Err(self.note(&last_at, format!("endPort {last} is below port {first}; {taken}")));
            }
            Err(_) => return Err(self.refuse(&last_at, "ports go up to 65535")),
        };
        let range = |all: PortSet, protocol: &Protocol| all.union(&PortSet::range(*protocol, first, last));
        Ok(PortMatch::numbers(protocols.iter().fold(PortSet::empty(), range)))
    }

    /// A name, without regard to case; an `endPort` beside it has no meaning.
    fn named(&mut self, name: &str, protocols: &'static [Protocol], at: &At<'_>) -> Piece<PortMatch> {
        let fits = name.len() <= 15
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && name.bytes().any(|b| b.is_ascii_alphabetic())
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        if !fits {
            let what = format!("`{}` cannot be the name of a port (at most 15 letters, digits and -)", shorten(name));
            return Err(self.refuse(at, &what));
        }
        let name = Str::from(name.to_ascii_lowercase());
        let names = if protocols.len() == 1 {
            protocols.iter().map(|protocol| (Some(*protocol), name.clone())).collect()
        } else {
            vec![(None, name)]
        };
        Ok(PortMatch { numbers: PortSet::empty(), names })
    }

    /// ICMP has types and no ports: some of the traffic without ports.
    pub(super) fn icmps(&mut self, items: &[Value<'_>], action: Action, at: &At<'_>) -> Piece<Filtered> {
        let taken = Taken::of(action).port;
        let mut types = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let at = at.index(i);
            let fields = self.fields(item, &at, &["fields"], taken)?;
            let at = at.field("fields");
            let list = self.list(fields.get("fields"), &at, taken)?.unwrap_or_default();
            if list.len() > MOST_PORTS {
                return Err(self.refuse(&at, &format!("{} types; {MOST_PORTS} is the most", list.len())));
            }
            for (i, item) in list.iter().enumerate() {
                types.push(self.icmp(item, &at.index(i), taken)?);
            }
        }
        let filter = filter::few("ICMP", &types);
        // Of a deny all such traffic counts as denied: which types it spares cannot be told apart here.
        Ok((PortMatch::numbers(without_ports()), (action != Action::Deny).then(|| filter.into())))
    }

    fn icmp(&mut self, item: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<String> {
        let fields: Fields<'_> = self.fields(item, at, &["family", "type"], taken)?;
        let family = match self.text(fields.get("family"), &at.field("family"), taken)? {
            "" | "IPv4" => "IPv4",
            "IPv6" => "IPv6",
            other => {
                let what = format!("`{}` is no family; there are IPv4 and IPv6", shorten(other));
                return Err(self.refuse(&at.field("family"), &what));
            }
        };
        match fields.get("type") {
            Some(Value::Number(number)) if number.as_u64().is_some_and(|n| n <= 255) => {
                Ok(format!("{family} type {number}"))
            }
            Some(Value::String(name)) => Ok(format!("{family} {}", shorten(name))),
            _ => Err(self.refuse(&at.field("type"), "an ICMP type is a number up to 255 or a name")),
        }
    }
}
