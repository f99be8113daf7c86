//! Protocols and ports of a Calico rule → the model's port conditions (semantics 2.4.10, 2.4.15).

use super::super::json::Value;

use super::super::at::At;
use super::super::shorten;
use super::pair::Pair;
use super::reader::{Fields, Reader};
use crate::model::{IntervalSet, PortMatch, PortSet, Protocol, Str};

/// A protocol as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// One that has ports.
    Ports(Protocol),
    /// Any other, by name or number. The model holds all of them together.
    Other(String),
}

/// Protocols with their numbers. Calico compares names without regard to case.
const NAMES: [(&str, u64); 6] = [("TCP", 6), ("UDP", 17), ("SCTP", 132), ("ICMP", 1), ("ICMPv6", 58), ("UDPLite", 136)];

fn of_number(number: u64) -> Named {
    match number {
        6 => Named::Ports(Protocol::Tcp),
        17 => Named::Ports(Protocol::Udp),
        132 => Named::Ports(Protocol::Sctp),
        1 => Named::Other("ICMP".to_owned()),
        58 => Named::Other("ICMPv6".to_owned()),
        number => Named::Other(format!("protocol {number}")),
    }
}

fn protocol(reader: &mut Reader, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Option<Named> {
    let value = value?;
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            Some((_, number)) => Some(*number),
            None => text.parse().ok(),
        },
        _ => None,
    };
    if let Some(number) = number.filter(|n| (1..=255).contains(n)) {
        return Some(of_number(number));
    }
    let written = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let what = format!(
        "`{}` is no protocol; there are TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite and the numbers 1 to 255; {taken}",
        shorten(&written)
    );
    reader.note(at, what);
    None
}

/// Ports as a list has them.
#[derive(Clone, Debug, Default)]
struct Listed {
    numbers: IntervalSet<u16>,
    names: Vec<Str>,
    /// Whether there was a list.
    any: bool,
}

fn ports(reader: &mut Reader, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Listed {
    let list = reader.list(value, at, taken);
    let mut listed = Listed { any: !list.is_empty(), ..Listed::default() };
    let mut ranges = Vec::new();
    for (i, item) in list.iter().enumerate() {
        match port(item) {
            Ok(Port::Range(lo, hi)) => ranges.push((lo, hi)),
            Ok(Port::Name(name)) => listed.names.push(name.into()),
            Err(what) => reader.note(&at.index(i), format!("{what}; {taken}")),
        }
    }
    listed.numbers = IntervalSet::from_ranges(ranges);
    listed
}

enum Port<'v> {
    Range(u16, u16),
    Name(&'v str),
}

/// `80`, `"80"`, `"80:90"` or the name of a container port.
fn port<'v>(value: &'v Value<'v>) -> Result<Port<'v>, String> {
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| format!("`{}` is no port from 0 to 65535", shorten(text)));
    match value {
        Value::Number(n) => number(&n.to_string()).map(|port| Port::Range(port, port)),
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            number(text).map(|port| Port::Range(port, port))
        }
        Value::String(text) => match text.split_once(':') {
            Some((lo, hi)) => {
                let (lo, hi) = (number(lo)?, number(hi)?);
                if hi < lo {
                    Err(format!("the range {lo}:{hi} ends before it starts"))
                } else {
                    Ok(Port::Range(lo, hi))
                }
            }
            None if is_name(text) => Ok(Port::Name(text)),
            None => Err(format!("`{}` is neither a port, a range like 80:90 nor the name of a port", shorten(text))),
        },
        other => Err(format!("{} is no port", shorten(&other.to_string()))),
    }
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn without_ports() -> PortSet {
    Protocol::ALL.iter().fold(PortSet::full(), |set, p| set.difference(&PortSet::protocol(*p)))
}

fn all_ports() -> PortSet {
    PortSet::full().difference(&without_ports())
}

/// The protocol and port condition of a rule. What the model cannot hold is added to `residual` as text.
pub(super) fn condition(
    reader: &mut Reader,
    rule: Fields<'_>,
    destination: Fields<'_>,
    at: &At<'_>,
    taken: &str,
    residual: &mut Vec<String>,
) -> Pair<PortMatch> {
    let mut set = Pair::exact(PortSet::full());
    let named = protocol(reader, rule.get("protocol"), &at.field("protocol"), taken);
    match &named {
        Some(Named::Ports(protocol)) => set = Pair::exact(PortSet::protocol(*protocol)),
        Some(Named::Other(name)) => {
            set = Pair::new(PortSet::empty(), without_ports());
            residual.push(format!("{name} only"));
        }
        None => {}
    }
    match protocol(reader, rule.get("notProtocol"), &at.field("notProtocol"), taken) {
        Some(Named::Ports(protocol)) => {
            set = set.map(|set| set.difference(&PortSet::protocol(protocol)));
        }
        Some(Named::Other(name)) => {
            set = set.narrowed(|set| set.intersection(&all_ports()));
            residual.push(format!("not {name}"));
        }
        None => {}
    }
    let set = icmp(reader, rule, named.as_ref(), at, taken, set, residual);

    let at = at.field("destination");
    let (wanted, unwanted) = (
        ports(reader, destination.get("ports"), &at.field("ports"), taken),
        ports(reader, destination.get("notPorts"), &at.field("notPorts"), taken),
    );
    let protocol = if let Some(Named::Ports(protocol)) = &named {
        *protocol
    } else {
        for (listed, field) in [(&wanted, "ports"), (&unwanted, "notPorts")] {
            if listed.any {
                reader.note(&at.field(field), format!("ports need protocol TCP, UDP or SCTP; {taken}"));
            }
        }
        return set.map(PortMatch::numbers);
    };
    let mut set = set;
    if unwanted.any {
        let minus = PortSet::of(protocol, unwanted.numbers.clone());
        set = set.map(|set| set.difference(&minus));
        if !unwanted.names.is_empty() {
            set = set.narrowed(|_| PortSet::empty());
            residual.push(format!("not port {}", unwanted.names.join(", ")));
        }
    }
    if !wanted.any {
        return set.map(PortMatch::numbers);
    }
    let numbers = PortSet::of(protocol, wanted.numbers);
    let names: Vec<(Option<Protocol>, Str)> = wanted.names.into_iter().map(|name| (Some(protocol), name)).collect();
    // A name may stand for a port that is excluded by number.
    let sure = names.is_empty() || !unwanted.any;
    let set = set.map(|set| PortMatch { numbers: set.intersection(&numbers), names: names.clone() });
    if sure { set } else { set.narrowed(|set| PortMatch::numbers(set.numbers.clone())) }
}

/// Types and codes of ICMP are beyond the model; they only ever narrow traffic without ports.
fn icmp(
    reader: &mut Reader,
    rule: Fields<'_>,
    named: Option<&Named>,
    at: &At<'_>,
    taken: &str,
    mut set: Pair<PortSet>,
    residual: &mut Vec<String>,
) -> Pair<PortSet> {
    for (field, negated) in [("icmp", false), ("notICMP", true)] {
        let Some(value) = rule.get(field) else { continue };
        let at = at.field(field);
        let fields = reader.fields(Some(value), &at, &["type", "code"], taken);
        let mut part = |name: &str| {
            let value = fields.get(name)?;
            let number = value.as_u64().filter(|n| *n <= 255);
            if number.is_none() {
                reader.note(&at.field(name), format!("an ICMP {name} is a number from 0 to 255; {taken}"));
            }
            number
        };
        let (kind, code) = (part("type"), part("code"));
        if code.is_some() && kind.is_none() {
            reader.note(&at.field("code"), format!("a code needs a type; {taken}"));
        }
        if !matches!(named, Some(Named::Other(name)) if name.starts_with("ICMP")) && !negated {
            reader.note(&at, format!("it needs protocol ICMP or ICMPv6; {taken}"));
        }
        set = set.narrowed(|set| set.intersection(&all_ports()));
        let kind = kind.map(|n| format!(" type {n}")).unwrap_or_default();
        let code = code.map(|n| format!(" code {n}")).unwrap_or_default();
        residual.push(format!("{}ICMP{kind}{code}", if negated { "not " } else { "" }));
    }
    set
}

/// Whether a list of ports of the source is there. The model knows ports of the destination only.
pub(super) fn source(
    reader: &mut Reader,
    source: Fields<'_>,
    at: &At<'_>,
    taken: &str,
    residual: &mut Vec<String>,
) -> bool {
    let at = at.field("source");
    let mut found = false;
    for (field, word) in [("ports", "from"), ("notPorts", "not from")] {
        let listed = ports(reader, source.get(field), &at.field(field), taken);
        if listed.any {
            found = true;
            let numbers = listed
                .numbers
                .ranges()
                .iter()
                .map(|(lo, hi)| if lo == hi { lo.to_string() } else { format!("{lo}:{hi}") });
            let all: Vec<String> = numbers.chain(listed.names.iter().map(ToString::to_string)).collect();
            residual.push(format!("{word} source port {}", all.join(", ")));
        }
    }
    found
}
