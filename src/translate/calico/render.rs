//! Model → Calico's NetworkPolicy, for cures in namespaces that use it and for conversion. What it cannot say is refused.

use serde_json::{Map, Value, json};

use super::super::Kind;
use super::super::render::{Obstacle, obstacle, unfiltered};
use super::selector::{Expr, Op};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::selector::{NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, Test};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, NamespaceScope, Peer, Policy, PortMatch, Protocol, Rule, Selector, Tier,
};

/// The policy as an object of Calico.
pub(in super::super) fn network_policy(policy: &Policy) -> Result<Value, Obstacle> {
    let at = FieldPath::new("spec");
    match &policy.subject.namespaces {
        NamespaceScope::Named(name) if **name == *policy.id.namespace() => {}
        _ => return obstacle(&at, "it applies to other namespaces than its own"),
    }
    let mut spec = Map::new();
    if *policy.tier.name != *Tier::calico("").name {
        spec.insert("tier".into(), (*policy.tier.name).into());
    }
    if let Some(order) = policy.priority.number() {
        spec.insert("order".into(), number(order));
    }
    spec.insert("selector".into(), selector(&policy.subject.pods, false, &at.field("selector"))?.into());
    let mut types = Vec::new();
    for direction in Direction::BOTH {
        let rules = policy.rules(direction);
        if policy.isolates(direction) {
            types.push(direction.as_str());
        } else if !rules.is_empty() {
            return obstacle(&at.field(direction.field()), "it has rules for a direction that it does not govern");
        }
        let mut list = Vec::new();
        for one in rules {
            rule(policy, direction, one, &mut list)?;
        }
        if !list.is_empty() {
            spec.insert(direction.field().into(), list.into());
        }
    }
    if types.is_empty() {
        return obstacle(&at.field("types"), "it governs no direction");
    }
    spec.insert("types".into(), types.into());
    let kind = Kind::CalicoNetworkPolicy;
    Ok(json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind(),
        "metadata": {"name": &*policy.id.name, "namespace": policy.id.namespace()},
        "spec": spec,
    }))
}

/// Whole numbers without a fraction, as people write them.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "whole and small, as just checked")]
    let whole = (value.fract() == 0.0 && value.abs() < 1e15).then_some(value as i64);
    whole.map_or_else(|| json!(value), |whole| json!(whole))
}

/// A rule of the model has lists of peers and of protocols; one of Calico has one of each, so that it becomes several.
fn rule(policy: &Policy, direction: Direction, rule: &Rule, into: &mut Vec<Value>) -> Result<(), Obstacle> {
    unfiltered(rule)?;
    let action = match rule.action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
        Action::Pass => "Pass",
    };
    let ports = ports(&rule.ports, &rule.at)?;
    let field = match direction {
        Direction::Ingress => "source",
        Direction::Egress => "destination",
    };
    for (i, peer) in rule.peers.iter().enumerate() {
        for other in entities(policy, peer, &rule.peer_path(i))? {
            for (protocol, list) in &ports {
                let mut fields = Map::new();
                fields.insert("action".into(), action.into());
                if let Some(protocol) = protocol {
                    fields.insert("protocol".into(), protocol.as_str().into());
                }
                let mut other = other.clone();
                let mut own = Map::new();
                // Ports are always those of the destination.
                let destination = if direction == Direction::Egress { &mut other } else { &mut own };
                if !list.is_empty() {
                    destination.insert("ports".into(), list.clone().into());
                }
                if !other.is_empty() {
                    fields.insert(field.into(), other.into());
                }
                if !own.is_empty() {
                    fields.insert("destination".into(), own.into());
                }
                into.push(fields.into());
            }
        }
    }
    Ok(())
}

/// The other end, as alternatives. None at all is nobody.
fn entities(policy: &Policy, peer: &Peer, at: &FieldPath) -> Result<Vec<Map<String, Value>>, Obstacle> {
    let mut fields = Map::new();
    match peer {
        Peer::Any => {}
        Peer::Nobody => return Ok(Vec::new()),
        Peer::Pods(pods) => {
            let mut own = false;
            match &pods.namespaces {
                NamespaceScope::Named(name) if **name == *policy.id.namespace() => own = true,
                NamespaceScope::Named(name) => {
                    let named = Selector::equals(NAMESPACE_NAME_LABEL, name.clone());
                    fields.insert("namespaceSelector".into(), selector(&named, true, at)?.into());
                }
                NamespaceScope::Matching(namespaces) => {
                    fields.insert("namespaceSelector".into(), selector(namespaces, true, at)?.into());
                }
            }
            if own || !pods.pods.is_everything() {
                fields.insert("selector".into(), selector(&pods.pods, false, at)?.into());
            }
        }
        Peer::Addresses(block) if block.scope != AddressScope::ExternalOnly => {
            let one = |(cidr, except): &(ipnet::IpNet, Vec<ipnet::IpNet>)| {
                let mut fields = Map::new();
                fields.insert("nets".into(), vec![cidr.to_string()].into());
                if !except.is_empty() {
                    let except: Vec<String> = except.iter().map(ToString::to_string).collect();
                    fields.insert("notNets".into(), except.into());
                }
                fields
            };
            return Ok(block.blocks.iter().map(one).collect());
        }
        _ => return obstacle(at, "it names peers other than pods and addresses"),
    }
    Ok(vec![fields])
}

type Ports = Vec<(Option<Protocol>, Vec<Value>)>;

/// One entry for each protocol, with its ports; no ports are all of them.
fn ports(ports: &PortMatch, at: &FieldPath) -> Result<Ports, Obstacle> {
    if ports.is_any() {
        return Ok(vec![(None, Vec::new())]);
    }
    if ports.numbers.has_other() {
        return obstacle(at, "it is for traffic without ports but not for all ports");
    }
    let mut all = Ports::new();
    for protocol in Protocol::ALL {
        let set = ports.numbers.ports(protocol);
        if set.is_full() {
            all.push((Some(protocol), Vec::new()));
            continue;
        }
        // Nothing can be sent to port 0.
        let range = |&(lo, hi): &(u16, u16)| match lo.max(1) {
            lo if lo > hi => None,
            lo if lo == hi => Some(json!(lo)),
            lo => Some(json!(format!("{lo}:{hi}"))),
        };
        let names = ports.names.iter().filter(|(p, _)| p.is_none_or(|p| p == protocol)).map(|(_, name)| json!(&**name));
        let list: Vec<Value> = set.ranges().iter().filter_map(range).chain(names).collect();
        if !list.is_empty() {
            all.push((Some(protocol), list));
        }
    }
    Ok(all)
}

/// The selector in Calico's language. In a namespaceSelector the name of a namespace has a key of its own.
fn selector(selector: &Selector, of_namespaces: bool, at: &FieldPath) -> Result<String, Obstacle> {
    let mut keys = Vec::new();
    for key in selector.keys() {
        let shown = match (of_namespaces, key.strip_prefix(NAMESPACE_LABEL_PREFIX)) {
            (true, _) if *key == *NAMESPACE_NAME_LABEL => "projectcalico.org/name".to_owned(),
            (false, Some(NAMESPACE_NAME_LABEL)) => "projectcalico.org/namespace".to_owned(),
            (false, Some(label)) => format!("pcns.{label}"),
            (false, None) if *key == *SERVICE_ACCOUNT_KEY => "projectcalico.org/serviceaccount".to_owned(),
            _ => key.to_string(),
        };
        keys.push((key, shown));
    }
    let Some(expr) = expression(selector, &keys) else {
        return obstacle(at, "its selector has a value with both kinds of quotes");
    };
    Ok(expr.to_string())
}

fn expression<'a>(selector: &'a Selector, keys: &'a [(crate::model::Str, String)]) -> Option<Expr<'a>> {
    let list = |parts: &'a [Selector]| parts.iter().map(|part| expression(part, keys)).collect::<Option<Vec<_>>>();
    Some(match selector {
        Selector::And(parts) if parts.is_empty() => Expr::All,
        Selector::Or(parts) if parts.is_empty() => Expr::Not(Box::new(Expr::All)),
        Selector::And(parts) | Selector::Or(parts) if parts.len() == 1 => expression(parts.first()?, keys)?,
        Selector::And(parts) => Expr::And(list(parts)?),
        Selector::Or(parts) => Expr::Or(list(parts)?),
        Selector::Not(inner) => match (&**inner, expression(inner, keys)?) {
            (Selector::Key(..), Expr::Label(key, Op::Eq(value))) => Expr::Label(key, Op::Ne(value)),
            (Selector::Key(..), Expr::Label(key, Op::In(values))) => Expr::Label(key, Op::NotIn(values)),
            (_, other) => Expr::Not(Box::new(other)),
        },
        Selector::Key(key, test) => {
            let shown = keys.iter().find(|(k, _)| k == key).map(|(_, shown)| shown.as_str())?;
            let quotable = |text: &str| !(text.contains('"') && text.contains('\''));
            let op = match test {
                Test::Exists => Op::Has,
                Test::In(values) if !values.iter().all(|v| quotable(v)) => return None,
                Test::In(values) => match values.as_slice() {
                    [one] => Op::Eq(one),
                    several => Op::In(several.iter().map(|v| &**v).collect()),
                },
                Test::Contains(text) | Test::StartsWith(text) | Test::EndsWith(text) if !quotable(text) => return None,
                Test::Contains(text) => Op::Contains(text),
                Test::StartsWith(text) => Op::StartsWith(text),
                Test::EndsWith(text) => Op::EndsWith(text),
            };
            Expr::Label(shown, op)
        }
    })
}
