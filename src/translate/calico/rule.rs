//! One Calico rule → model rules: what is certain first, and after it what may be meant beyond that.

use super::super::json::Value;

use super::super::at::At;
use super::super::shorten;
use super::entity::Entity;
use super::pair::Pair;
use super::ports;
use super::reader::{Reader, suggestion};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, IntervalSet, IpSet, Peer, PortMatch, PortSet, Rule, Selector, Str,
    peer::AddressPeer,
};

/// A rule, and which of the policy's pods it is for.
#[derive(Clone, Debug)]
pub(super) struct ForPods {
    pub(super) pods: Selector,
    pub(super) rule: Rule,
}

const FIELDS: [&str; 10] =
    ["action", "metadata", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "http"];

/// What becomes of a rule of which a part cannot be read, as the end of the sentence that complains about the part.
const fn taken(action: Option<Action>) -> &'static str {
    match action {
        Some(Action::Allow) => "the rule is taken as allowing nothing",
        Some(Action::Deny) => "the rule is taken as denying whatever it may mean",
        Some(Action::Pass) => "the rule is taken as one that may pass whatever it may mean",
        None => "the rule is taken as one that may deny whatever it may mean",
    }
}

/// What a rule does; `None` goes on to the next rule.
enum Does {
    Decides(Action),
    Logs,
    Unknown,
}

fn action(reader: &mut Reader, value: Option<&Value<'_>>, at: &At<'_>) -> Does {
    const NAMES: [&str; 4] = ["Allow", "Deny", "Pass", "Log"];
    match value.and_then(Value::as_str) {
        Some("Allow") => Does::Decides(Action::Allow),
        Some("Deny") => Does::Decides(Action::Deny),
        Some("Pass") => Does::Decides(Action::Pass),
        Some("Log") => Does::Logs,
        other => {
            let what = match (other, value) {
                (Some(text), _) => {
                    let text = shorten(text);
                    format!("`{text}` is no action; there are Allow, Deny, Pass and Log{}", suggestion(&text, &NAMES))
                }
                (None, Some(_)) => "an action is one of the texts Allow, Deny, Pass and Log".to_owned(),
                (None, None) => "a rule needs an action: Allow, Deny, Pass or Log".to_owned(),
            };
            reader.note(at, format!("{what}; {}", taken(None)));
            Does::Unknown
        }
    }
}

/// Everything that a rule asks for.
struct Conditions {
    pods: Pair<Selector>,
    peers: Pair<Vec<Peer>>,
    ports: Pair<PortMatch>,
    /// What the model cannot hold, in words.
    residual: Vec<String>,
    /// A filter on what is inside the connection, which leaves open whether there is one.
    http: Option<String>,
}

/// Reads a rule. It comes to nothing if it only logs.
pub(super) fn rules(
    reader: &mut Reader,
    value: &Value<'_>,
    direction: Direction,
    own: Option<&str>,
    at: &At<'_>,
) -> Vec<ForPods> {
    let action = match action(reader, value.get("action"), &at.field("action")) {
        Does::Decides(action) => Some(action),
        Does::Logs => {
            let _ = reader.fields(Some(value), at, &FIELDS, "it only logs and decides nothing");
            return Vec::new();
        }
        Does::Unknown => None,
    };
    let (conditions, whole) =
        reader.whole(|reader| conditions(reader, value, direction, own, at, action, taken(action)));
    let other = match direction {
        Direction::Ingress => "source",
        Direction::Egress => "destination",
    };
    let peers_at = if value.get(other).is_some_and(|v| !v.is_null()) { other } else { "" };
    let rule = |pods: Selector, peers: Vec<Peer>, ports: PortMatch, filter: Option<String>| ForPods {
        pods,
        rule: Rule {
            action: action.unwrap_or(Action::Deny),
            peers,
            ports,
            at: at.path(),
            peers_at,
            filtered_by: filter.map(Str::from),
        },
    };
    let Conditions { pods, peers, ports, residual, http } = conditions;
    let whole = whole && action.is_some();
    if !whole && action == Some(Action::Allow) {
        return vec![rule(pods.into_wide(), vec![Peer::Nobody], PortMatch::numbers(PortSet::empty()), None)];
    }
    let mut list = Vec::new();
    let exact = pods.is_exact() && peers.is_exact() && ports.is_exact();
    if whole {
        let empty = *pods.narrow() == Selector::nothing() || peers.narrow().is_empty() || is_empty(ports.narrow());
        if exact || !empty {
            // A rule that can match nobody stays, so that it can be shown.
            let shown = |peers: Vec<Peer>| if peers.is_empty() { vec![Peer::Nobody] } else { peers };
            if exact {
                return vec![rule(pods.into_narrow(), shown(peers.into_narrow()), ports.into_narrow(), http)];
            }
            list.push(rule(pods.narrow().clone(), shown(peers.narrow().clone()), ports.narrow().clone(), http.clone()));
        }
    }
    let doubt: Vec<String> = residual.into_iter().chain(http).collect();
    let doubt = if whole { doubt.join(", ") } else { "a part that could not be read".to_owned() };
    let peers = peers.into_wide().into_iter().map(|peer| unsettled(peer, &doubt)).collect();
    list.push(rule(pods.into_wide(), peers, ports.into_wide(), Some(doubt)));
    list
}

fn is_empty(ports: &PortMatch) -> bool {
    ports.numbers.is_empty() && ports.names.is_empty()
}

/// Whoever the peer names, if something holds that is not known.
pub(super) fn unsettled(peer: Peer, what: &str) -> Peer {
    let doubt = Peer::Unsettled(what.into());
    match peer {
        Peer::AllOf(mut parts) => {
            parts.push(doubt);
            Peer::AllOf(parts)
        }
        peer => Peer::AllOf(vec![peer, doubt]),
    }
}

fn conditions(
    reader: &mut Reader,
    value: &Value<'_>,
    direction: Direction,
    own: Option<&str>,
    at: &At<'_>,
    action: Option<Action>,
    taken: &str,
) -> Conditions {
    let fields = reader.fields(Some(value), at, &FIELDS, taken);
    let mut residual = Vec::new();
    let ingress = direction == Direction::Ingress;
    let (source, source_fields) = Entity::read(reader, fields.get("source"), &at.field("source"), own, true, taken);
    let (destination, destination_fields) =
        Entity::read(reader, fields.get("destination"), &at.field("destination"), own, false, taken);
    let mut ports = ports::condition(reader, fields, destination_fields, at, taken, &mut residual);
    if ports::source(reader, source_fields, at, taken, &mut residual) {
        ports = ports.narrowed(|_| PortMatch::numbers(PortSet::empty()));
    }
    let (local, remote) = if ingress { (&destination, &source) } else { (&source, &destination) };
    let pods = if local.is_anyone() { Pair::exact(Selector::everything()) } else { local.local(&mut residual) };
    let peers = remote.peers(own, &mut residual);
    let peers = ip_version(reader, fields.get("ipVersion"), &at.field("ipVersion"), taken, peers, &mut residual);
    let http = http(reader, fields.get("http"), &at.field("http"), action, taken);
    Conditions { pods, peers, ports, residual, http }
}

/// Only one family: exact for addresses. Which families a pod has is not known.
fn ip_version(
    reader: &mut Reader,
    value: Option<&Value<'_>>,
    at: &At<'_>,
    taken: &str,
    peers: Pair<Vec<Peer>>,
    residual: &mut Vec<String>,
) -> Pair<Vec<Peer>> {
    let family = match value.map(Value::as_u64) {
        None => return peers,
        Some(Some(4)) => IpSet::from_families(IntervalSet::full(), IntervalSet::empty()),
        Some(Some(6)) => IpSet::from_families(IntervalSet::empty(), IntervalSet::full()),
        Some(_) => {
            reader.note(at, format!("an IP version is 4 or 6; {taken}"));
            return peers;
        }
    };
    residual.push(format!("IPv{} only", if family.v6().is_empty() { 4 } else { 6 }));
    let within = |list: Vec<Peer>, scope| -> Vec<Peer> {
        let family = Peer::Addresses(AddressPeer::blocks(family.to_cidrs(), scope));
        let add = |peer| match peer {
            Peer::Any => family.clone(),
            Peer::AllOf(mut parts) => {
                parts.push(family.clone());
                Peer::AllOf(parts)
            }
            peer => Peer::AllOf(vec![peer, family.clone()]),
        };
        list.into_iter().map(add).collect()
    };
    let narrow = within(peers.narrow().clone(), AddressScope::ExternalOnly);
    Pair::new(narrow, within(peers.into_wide(), AddressScope::PodsToo))
}

/// HTTP methods and paths, in words. They filter what an allowed connection may carry.
fn http(
    reader: &mut Reader,
    value: Option<&Value<'_>>,
    at: &At<'_>,
    action: Option<Action>,
    taken: &str,
) -> Option<String> {
    let fields = reader.fields(Some(value?), at, &["methods", "paths"], taken);
    if action.is_some_and(|action| action != Action::Allow) {
        reader.note(at, format!("http is for rules that allow; {taken}"));
    }
    let methods = reader.texts(fields.get("methods"), &at.field("methods"), taken);
    let mut words: Vec<String> = methods.iter().map(|m| shorten(m)).collect();
    let paths_at = at.field("paths");
    for (i, path) in reader.list(fields.get("paths"), &paths_at, taken).iter().enumerate() {
        let at = paths_at.index(i);
        let fields = reader.fields(Some(path), &at, &["exact", "prefix"], taken);
        let exact = reader.text(fields.get("exact"), &at.field("exact"), taken);
        let prefix = reader.text(fields.get("prefix"), &at.field("prefix"), taken);
        match (exact.is_empty(), prefix.is_empty()) {
            (false, true) => words.push(shorten(exact)),
            (true, false) => words.push(format!("{}*", shorten(prefix))),
            _ => reader.note(&at, format!("a path is either exact or a prefix; {taken}")),
        }
    }
    Some(format!("HTTP {}", words.join(" ")).trim_end().to_owned())
}

/// A rule that may deny everything else: what a policy comes to that may or may not govern a pod.
pub(super) fn may_deny_everything(at: &FieldPath, doubt: &str) -> Rule {
    Rule {
        action: Action::Deny,
        peers: vec![Peer::Unsettled(doubt.into())],
        ports: PortMatch::any(),
        at: at.clone(),
        peers_at: "",
        filtered_by: Some(doubt.into()),
    }
}
