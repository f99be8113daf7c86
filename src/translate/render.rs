//! Model → NetworkPolicy, for the cures that denials carry. What NetworkPolicy cannot say is refused, never approximated:
//! a cure that means something else than what was proved would be worse than none.

use ipnet::IpNet;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::Kind;
use super::calico::render as calico;
use super::clusternetworkpolicy::render::cluster_network_policy;
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::AddressPeer;
use crate::model::selector::Test;
use crate::model::{
    Action, AddressScope, Direction, FieldPath, NamespaceScope, ObjectRef, Peer, Policy, PortMatch, Protocol, Rule,
    Selector, TierSemantics,
};

/// Why a policy cannot be written as an object of some kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{policy} cannot be written as a {kind}: {what}{}", place(at))]
pub struct CannotRender {
    policy: String,
    kind: &'static str,
    at: FieldPath,
    what: String,
}

fn place(at: &FieldPath) -> String {
    if at.is_empty() { String::new() } else { format!(" (at {at})") }
}

impl CannotRender {
    /// The field that is in the way; empty where it is the whole object.
    pub const fn at(&self) -> &FieldPath {
        &self.at
    }
}

/// What is in the way, before it is known of which policy.
pub(super) struct Obstacle(FieldPath, String);

impl Obstacle {
    /// Once it is known.
    pub(super) fn of(self, policy: &ObjectRef, kind: &'static str) -> CannotRender {
        CannotRender { policy: policy.to_string(), kind, at: self.0, what: self.1 }
    }
}

pub(super) fn obstacle<T>(at: &FieldPath, what: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle(at.clone(), what.into()))
}

/// What a rule looks at beyond addresses and ports is in the way of every kind but its own.
pub(super) fn unfiltered(rule: &Rule) -> Result<(), Obstacle> {
    match &rule.filtered_by {
        None => Ok(()),
        Some(filter) => obstacle(&rule.at, format!("it depends on more than addresses and ports: {filter}")),
    }
}

/// The policy as a NetworkPolicy object, of Kubernetes or of Calico as its name says. Reading it again gives the same policy.
pub fn network_policy(policy: &Policy) -> Result<Value, CannotRender> {
    let object = if policy.id.group() == Kind::CalicoNetworkPolicy.group() { calico::network_policy } else { object };
    object(policy).map_err(|why| why.of(&policy.id, "NetworkPolicy"))
}

/// The policy as an object of the kind that its id names: a cure is written in the kind that its namespace uses.
pub fn policy(policy: &Policy) -> Result<Value, CannotRender> {
    let kind = Kind::of(policy.id.group(), &policy.id.kind).unwrap_or(Kind::NetworkPolicy);
    object_of(policy).map_err(|why| why.of(&policy.id, kind.kind()))
}

/// The same, before it is known of which object what is in the way is said.
pub(super) fn object_of(policy: &Policy) -> Result<Value, Obstacle> {
    match Kind::of(policy.id.group(), &policy.id.kind) {
        Some(Kind::CiliumNetworkPolicy) => super::render_cilium::cilium_network_policy(policy),
        Some(Kind::ClusterNetworkPolicy) => cluster_network_policy(policy),
        Some(Kind::CalicoNetworkPolicy) => calico::network_policy(policy),
        _ => object(policy),
    }
}

fn object(policy: &Policy) -> Result<Value, Obstacle> {
    let at = FieldPath::new("spec");
    if policy.tier.semantics != TierSemantics::Union {
        return obstacle(&FieldPath::default(), "its tier is decided by the first match");
    }
    match &policy.subject.namespaces {
        NamespaceScope::Named(name) if **name == *policy.id.namespace() => {}
        _ => return obstacle(&at, "it applies to other namespaces than its own"),
    }
    let mut spec = Map::new();
    spec.insert("podSelector".into(), selector(&policy.subject.pods, &at.field("podSelector"))?);
    let mut types = Vec::new();
    for direction in Direction::BOTH {
        let rules = policy.rules(direction);
        if policy.isolates(direction) {
            types.push(direction.as_str());
        } else if !rules.is_empty() {
            return obstacle(&at.field(direction.field()), "it allows without isolating");
        }
        if !rules.is_empty() {
            let rules: Result<Vec<Value>, Obstacle> = rules.iter().map(|r| rule(policy, direction, r)).collect();
            spec.insert(direction.field().into(), rules?.into());
        }
    }
    if types.is_empty() {
        return obstacle(&at.field("policyTypes"), "it isolates in no direction");
    }
    spec.insert("policyTypes".into(), types.into());
    let kind = Kind::NetworkPolicy;
    Ok(json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind(),
        "metadata": {"name": &*policy.id.name, "namespace": policy.id.namespace()},
        "spec": spec,
    }))
}

fn rule(policy: &Policy, direction: Direction, rule: &Rule) -> Result<Value, Obstacle> {
    if rule.action != Action::Allow {
        return obstacle(&rule.at, "it does something other than allow");
    }
    unfiltered(rule)?;
    let mut fields = Map::new();
    if !rule.peers.contains(&Peer::Any) {
        let mut list = Vec::new();
        for (i, peer) in rule.peers.iter().enumerate() {
            peers(policy, peer, &rule.peer_path(i), &mut list)?;
        }
        // An empty list would admit everyone.
        if list.is_empty() {
            return obstacle(&rule.at, "it names nobody");
        }
        let field = match direction {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        };
        fields.insert(field.into(), list.into());
    }
    if !rule.ports.is_any() {
        fields.insert("ports".into(), ports(&rule.ports, &rule.at)?.into());
    }
    Ok(fields.into())
}

fn peers(policy: &Policy, peer: &Peer, at: &FieldPath, into: &mut Vec<Value>) -> Result<(), Obstacle> {
    match peer {
        Peer::Pods(pods) => {
            let mut fields = Map::new();
            let own = match &pods.namespaces {
                NamespaceScope::Named(name) if **name == *policy.id.namespace() => true,
                NamespaceScope::Named(name) => {
                    let labels = json!({"matchLabels": {NAMESPACE_NAME_LABEL: &**name}});
                    fields.insert("namespaceSelector".into(), labels);
                    false
                }
                NamespaceScope::Matching(namespaces) => {
                    let namespaces = selector(namespaces, &at.field("namespaceSelector"))?;
                    fields.insert("namespaceSelector".into(), namespaces);
                    false
                }
            };
            if own || !pods.pods.is_everything() {
                fields.insert("podSelector".into(), selector(&pods.pods, &at.field("podSelector"))?);
            }
            into.push(fields.into());
            Ok(())
        }
        Peer::Addresses(AddressPeer { blocks, scope: AddressScope::ByDialect, .. }) => {
            into.extend(blocks.iter().map(|(cidr, except)| json!({"ipBlock": ip_block(cidr, except)})));
            Ok(())
        }
        Peer::Addresses(_) => obstacle(at, "its addresses mean something else than those of an ipBlock"),
        Peer::Nobody | Peer::Unreadable => obstacle(at, "it holds a peer that is nobody"),
        Peer::AllOf(_) | Peer::Not(_) => obstacle(at, "it names peers by several conditions at once"),
        Peer::Any
        | Peer::Entity(_)
        | Peer::Nodes(_)
        | Peer::Domains(_)
        | Peer::Groups(_)
        | Peer::Services(_)
        | Peer::Unsettled(_) => obstacle(at, "it names peers other than pods and addresses"),
    }
}

fn ip_block(cidr: &IpNet, except: &[IpNet]) -> Value {
    let cidr = cidr.to_string();
    if except.is_empty() {
        return json!({"cidr": cidr});
    }
    json!({"cidr": cidr, "except": except.iter().map(ToString::to_string).collect::<Vec<_>>()})
}

fn ports(ports: &PortMatch, at: &FieldPath) -> Result<Vec<Value>, Obstacle> {
    if ports.numbers.has_other() {
        return obstacle(at, "it allows traffic without ports but not all ports");
    }
    let mut list = Vec::new();
    for protocol in Protocol::ALL {
        let set = ports.numbers.ports(protocol);
        if set.is_full() {
            list.push(json!({"protocol": protocol.as_str()}));
            continue;
        }
        for &(lo, hi) in set.ranges() {
            // Port 0 cannot be written, and nothing can be sent to it.
            let lo = lo.max(1);
            if lo == hi {
                list.push(json!({"protocol": protocol.as_str(), "port": lo}));
            } else if lo < hi {
                list.push(json!({"protocol": protocol.as_str(), "port": lo, "endPort": hi}));
            }
        }
    }
    for (protocol, name) in &ports.names {
        let protocols = protocol.as_ref().map_or(&Protocol::ALL[..], std::slice::from_ref);
        list.extend(protocols.iter().map(|p| json!({"protocol": p.as_str(), "port": &**name})));
    }
    // An empty list would allow every port.
    if list.is_empty() { obstacle(at, "it allows no port") } else { Ok(list) }
}

/// The selector as the API writes it. Leading equalities become `matchLabels` as long as their keys ascend; everything
/// else keeps its place in `matchExpressions`, so that reading gives the same selector.
pub(super) fn selector(selector: &Selector, at: &FieldPath) -> Result<Value, Obstacle> {
    let parts = match selector {
        Selector::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    let mut last = "";
    for part in parts {
        match part {
            Selector::Key(key, Test::In(values))
                if expressions.is_empty() && values.len() == 1 && &**key > last && !key.starts_with('@') =>
            {
                labels.extend(values.iter().map(|value| (key.to_string(), Value::from(&**value))));
                last = key;
            }
            other => expressions.push(expression(other, at)?),
        }
    }
    let mut fields = Map::new();
    if !labels.is_empty() {
        fields.insert("matchLabels".into(), labels.into());
    }
    if !expressions.is_empty() {
        fields.insert("matchExpressions".into(), expressions.into());
    }
    Ok(fields.into())
}

fn expression(part: &Selector, at: &FieldPath) -> Result<Value, Obstacle> {
    let (key, test, negated) = match part {
        Selector::Key(key, test) => (key, test, false),
        Selector::Not(inner) => match &**inner {
            Selector::Key(key, test) => (key, test, true),
            _ => return obstacle(at, "its selector negates more than one test"),
        },
        Selector::And(_) => return obstacle(at, "its selector is nested"),
        Selector::Or(_) => return obstacle(at, "its selector has alternatives"),
    };
    if key.starts_with('@') {
        return obstacle(at, "its selector of pods looks at their namespace or service account");
    }
    match test {
        Test::Exists => Ok(json!({"key": &**key, "operator": if negated { "DoesNotExist" } else { "Exists" }})),
        Test::In(values) if !values.is_empty() => {
            let values: Vec<&str> = values.iter().map(|v| &**v).collect();
            Ok(json!({"key": &**key, "operator": if negated { "NotIn" } else { "In" }, "values": values}))
        }
        _ => obstacle(at, "its selector looks at parts of values"),
    }
}

/// The object as YAML in the block style in which people write manifests.
pub fn to_yaml(value: &Value) -> String {
    // JSON is YAML as well, so even the impossible failure gives something that kubectl takes.
    serde_saphyr::to_string(&Ordered(value)).unwrap_or_else(|_| value.to_string())
}

/// The order in which people write fields; what is not here follows, sorted.
const ORDER: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "spec",
    "tier",
    "order",
    "priority",
    "subject",
    "namespaceSelector",
    "podSelector",
    "endpointSelector",
    "selector",
    "policyTypes",
    "types",
    "ingress",
    "egress",
    "action",
    "from",
    "to",
    "namespaces",
    "pods",
    "networks",
    "protocol",
    "source",
    "destination",
    "port",
    "start",
    "matchLabels",
    "key",
    "operator",
];

/// A value whose objects are written in the usual order, whatever order the map keeps.
struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
                let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
                sorted.sort_by_key(|(key, _)| (rank(key), *key));
                let mut map = serializer.serialize_map(Some(sorted.len()))?;
                for (key, value) in sorted {
                    map.serialize_entry(key, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            other => other.serialize(serializer),
        }
    }
}
