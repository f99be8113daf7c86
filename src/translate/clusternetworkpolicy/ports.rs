//! The port conditions of a rule: `protocols` of the new API and `ports` of the old one (semantics 2.2.10, 2.2.11).

use super::super::json::Value;

use super::{FAILS_CLOSED, Reading};
use crate::model::{PortMatch, PortSet, Protocol, Str};
use crate::translate::at::At;
use crate::translate::shorten;
use crate::translate::wire::text;

/// Peers that have no ports with names.
const NAMELESS: [&str; 3] = ["networks", "nodes", "domainNames"];

impl Reading<'_> {
    /// The conditions, or `None` if one of them cannot be read. Absent is no condition: every port of every protocol.
    pub(super) fn ports(
        &mut self,
        value: Option<&Value<'_>>,
        at: &At<'_>,
        peers: Option<&Value<'_>>,
    ) -> Option<PortMatch> {
        let list = match value {
            None => return Some(PortMatch::any()),
            Some(Value::Array(list)) if !list.is_empty() => list,
            Some(Value::Array(_)) => {
                self.note(at, format!("an empty list is no condition; leave it out for every port; {FAILS_CLOSED}"));
                return None;
            }
            Some(other) => {
                self.walk.wrong_type(other, at, "a list", FAILS_CLOSED);
                return None;
            }
        };
        self.crowded(at, list.len(), "port conditions");
        let mut ports = PortMatch::numbers(PortSet::empty());
        let mut readable = true;
        for (i, item) in list.iter().enumerate() {
            let at = at.index(i);
            let read =
                if self.api.is_old() { self.old_port(item, &at, &mut ports) } else { self.port(item, &at, &mut ports) };
            readable &= read.is_some();
        }
        if !ports.names.is_empty()
            && let Some(name) = NAMELESS.into_iter().find(|name| has_peer(peers, name))
        {
            self.note(at, format!("{name} have no ports with names; {FAILS_CLOSED}"));
            readable = false;
        }
        readable.then_some(ports)
    }

    /// `{tcp|udp|sctp: {destinationPort: {number|range}}}` or `{destinationNamedPort}`.
    fn port(&mut self, value: &Value<'_>, at: &At<'_>, into: &mut PortMatch) -> Option<()> {
        const KINDS: [(&str, Protocol); 3] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];
        let field = self.walk.fields(value, at, &["tcp", "udp", "sctp", "destinationNamedPort"], FAILS_CLOSED).ok()?;
        let mut protocols = KINDS.into_iter().filter_map(|(name, protocol)| Some((name, protocol, field(name)?)));
        match (protocols.next(), protocols.next(), field("destinationNamedPort")) {
            (Some((name, protocol, value)), None, None) => {
                let at = at.field(name);
                let field = self.walk.fields(value, &at, &["destinationPort"], FAILS_CLOSED).ok()?;
                let Some(port) = field("destinationPort") else {
                    let what = format!(
                        "API servers do not take it without a destinationPort; it is read as every {protocol} port"
                    );
                    self.note(&at, what);
                    into.numbers = into.numbers.union(&PortSet::protocol(protocol));
                    return Some(());
                };
                self.destination(port, &at.field("destinationPort"), protocol, into)
            }
            (None, _, Some(name)) => self.named(Some(name), &at.field("destinationNamedPort"), into),
            _ => {
                self.note(
                    at,
                    format!("exactly one of tcp, udp, sctp and destinationNamedPort belongs here; {FAILS_CLOSED}"),
                );
                None
            }
        }
    }

    fn destination(&mut self, value: &Value<'_>, at: &At<'_>, protocol: Protocol, into: &mut PortMatch) -> Option<()> {
        let field = self.walk.fields(value, at, &["number", "range"], FAILS_CLOSED).ok()?;
        let (number, range) = (field("number"), field("range"));
        match (number, range) {
            (Some(_), None) => {
                let port = self.number(number, &at.field("number"))?;
                into.numbers = into.numbers.union(&PortSet::port(protocol, port));
                Some(())
            }
            (None, Some(range)) => self.range(range, &at.field("range"), protocol, &["start", "end"], into),
            _ => {
                self.note(at, format!("exactly one of number and range belongs here; {FAILS_CLOSED}"));
                None
            }
        }
    }

    /// `{portNumber|portRange|namedPort}` of v1alpha1.
    fn old_port(&mut self, value: &Value<'_>, at: &At<'_>, into: &mut PortMatch) -> Option<()> {
        let field = self.walk.fields(value, at, &["portNumber", "portRange", "namedPort"], FAILS_CLOSED).ok()?;
        match (field("portNumber"), field("portRange"), field("namedPort")) {
            (Some(value), None, None) => {
                let at = at.field("portNumber");
                let field = self.walk.fields(value, &at, &["protocol", "port"], FAILS_CLOSED).ok()?;
                let protocol = self.protocol(field("protocol"), &at.field("protocol"))?;
                let port = self.number(field("port"), &at.field("port"))?;
                into.numbers = into.numbers.union(&PortSet::port(protocol, port));
                Some(())
            }
            (None, Some(value), None) => {
                let at = at.field("portRange");
                let field = self.walk.fields(value, &at, &["protocol", "start", "end"], FAILS_CLOSED).ok()?;
                let protocol = self.protocol(field("protocol"), &at.field("protocol"))?;
                self.range(value, &at, protocol, &["protocol", "start", "end"], into)
            }
            (None, None, name @ Some(_)) => self.named(name, &at.field("namedPort"), into),
            _ => {
                self.note(
                    at,
                    format!("exactly one of portNumber, portRange and namedPort belongs here; {FAILS_CLOSED}"),
                );
                None
            }
        }
    }

    fn range(
        &mut self,
        value: &Value<'_>,
        at: &At<'_>,
        protocol: Protocol,
        known: &[&str],
        into: &mut PortMatch,
    ) -> Option<()> {
        let field = self.walk.fields(value, at, known, FAILS_CLOSED).ok()?;
        let first = self.number(field("start"), &at.field("start"));
        let last = self.number(field("end"), &at.field("end"));
        let (first, last) = (first?, last?);
        if first >= last {
            self.note(
                at,
                format!("a range ends above where it starts, and {last} is not above {first}; {FAILS_CLOSED}"),
            );
            return None;
        }
        // 1-65535 is how every port of a protocol is written.
        let all = (first, last) == (1, u16::MAX);
        let ports = if all { PortSet::protocol(protocol) } else { PortSet::range(protocol, first, last) };
        into.numbers = into.numbers.union(&ports);
        Some(())
    }

    /// TCP where none is named (semantics 2.2.11).
    fn protocol(&mut self, value: Option<&Value<'_>>, at: &At<'_>) -> Option<Protocol> {
        let name = self.walk.text(value, at, FAILS_CLOSED).ok()?;
        let name = text(name.as_ref());
        let protocol = if name.is_empty() { Some(Protocol::Tcp) } else { Protocol::parse(name) };
        if protocol.is_none() {
            let what = format!("`{}` is no protocol; there are TCP, UDP and SCTP; {FAILS_CLOSED}", shorten(name));
            self.note(at, what);
        }
        protocol
    }

    fn number(&mut self, value: Option<&Value<'_>>, at: &At<'_>) -> Option<u16> {
        let Some(value) = value else {
            self.note(at, format!("a port from 1 to 65535 is needed; {FAILS_CLOSED}"));
            return None;
        };
        let number = self.walk.integer(value, at, "a number", FAILS_CLOSED).ok()?;
        let port = u16::try_from(number).ok().filter(|port| *port > 0);
        if port.is_none() {
            self.note(at, format!("ports go from 1 to 65535; {FAILS_CLOSED}"));
        }
        port
    }

    /// A name says nothing about the protocol: the container that has it does.
    fn named(&mut self, value: Option<&Value<'_>>, at: &At<'_>, into: &mut PortMatch) -> Option<()> {
        let name = self.walk.text(value, at, FAILS_CLOSED).ok()?;
        let name = text(name.as_ref());
        if name.is_empty() {
            self.note(at, format!("a port with a name needs the name; {FAILS_CLOSED}"));
            return None;
        }
        into.names.push((None, Str::from(name)));
        Some(())
    }
}

/// Whether one of the peers has this field.
fn has_peer(peers: Option<&Value<'_>>, name: &str) -> bool {
    let mut list = peers.and_then(Value::as_array).into_iter().flatten();
    list.any(|peer| peer.get(name).is_some_and(|value| !value.is_null()))
}
