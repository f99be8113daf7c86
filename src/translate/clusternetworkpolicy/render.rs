//! Model → ClusterNetworkPolicy, as API servers take it: what the schema has no room for is refused here, and split by
//! whoever wants it written.

use serde_json::{Map, Value, json};

use super::super::Kind;
use super::super::render::{Obstacle, obstacle, selector, unfiltered};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::{
    Action, AddressScope, Direction, FieldPath, NamespaceScope, Peer, PodPeer, Policy, PortMatch, Protocol, Rule,
    Selector, Tier,
};

/// The most rules of a direction, peers and port conditions of a rule, and blocks of a peer.
pub(in super::super) const MOST: usize = 25;

/// The policy as a ClusterNetworkPolicy object.
pub(in super::super) fn cluster_network_policy(policy: &Policy) -> Result<Value, Obstacle> {
    let at = FieldPath::new("spec");
    let tier = match &policy.tier {
        tier if **tier == *Tier::admin() => "Admin",
        tier if **tier == *Tier::baseline() => "Baseline",
        _ => return obstacle(&FieldPath::default(), "its tier is neither Admin nor Baseline"),
    };
    let Some(priority) = policy.priority.number().filter(|number| (0.0..=1000.0).contains(number)) else {
        return obstacle(&at.field("priority"), "its priority is not between 0 and 1000");
    };
    if Direction::BOTH.into_iter().any(|direction| policy.isolates(direction)) {
        return obstacle(&at, "it isolates, and these policies do what their rules say and nothing else");
    }
    let mut spec = Map::new();
    spec.insert("tier".into(), tier.into());
    #[allow(clippy::cast_possible_truncation, reason = "between 0 and 1000, as just checked")]
    spec.insert("priority".into(), (priority as i64).into());
    spec.insert("subject".into(), pods(&policy.subject.namespaces, &policy.subject.pods, &at.field("subject"))?);
    for direction in Direction::BOTH {
        let rules = policy.rules(direction);
        if rules.len() > MOST {
            return obstacle(
                &at.field(direction.field()),
                format!("it has {} rules, and {MOST} is the most", rules.len()),
            );
        }
        if !rules.is_empty() {
            let rules: Result<Vec<Value>, Obstacle> = rules.iter().map(|one| rule(direction, one)).collect();
            spec.insert(direction.field().into(), rules?.into());
        }
    }
    let kind = Kind::ClusterNetworkPolicy;
    Ok(json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind(),
        "metadata": {"name": &*policy.id.name},
        "spec": spec,
    }))
}

/// `namespaces` where that says it all, else `pods`.
fn pods(namespaces: &NamespaceScope, pods: &Selector, at: &FieldPath) -> Result<Value, Obstacle> {
    let namespaces = match namespaces {
        NamespaceScope::Named(name) => Selector::equals(NAMESPACE_NAME_LABEL, name.clone()),
        NamespaceScope::Matching(selector) => selector.clone(),
    };
    if pods.is_everything() {
        return Ok(json!({"namespaces": selector(&namespaces, at)?}));
    }
    let mut fields = Map::new();
    if !namespaces.is_everything() {
        fields.insert("namespaceSelector".into(), selector(&namespaces, at)?);
    }
    fields.insert("podSelector".into(), selector(pods, at)?);
    Ok(json!({"pods": fields}))
}

fn rule(direction: Direction, rule: &Rule) -> Result<Value, Obstacle> {
    unfiltered(rule)?;
    let action = match rule.action {
        Action::Allow => "Accept",
        Action::Deny => "Deny",
        Action::Pass => "Pass",
    };
    let egress = direction == Direction::Egress;
    let mut peers = Vec::new();
    for (i, one) in rule.peers.iter().enumerate() {
        peers.push(peer(egress, one, &rule.peer_path(i))?);
    }
    if peers.is_empty() || peers.len() > MOST {
        return obstacle(
            &rule.at,
            format!("it names {} peers, and 1 to {MOST} is what there is room for", peers.len()),
        );
    }
    let mut fields = Map::new();
    fields.insert("action".into(), action.into());
    fields.insert(if egress { "to" } else { "from" }.into(), peers.into());
    if !rule.ports.is_any() {
        let by_address = rule.peers.iter().any(|peer| !matches!(peer, Peer::Pods(_)));
        if by_address && !rule.ports.names.is_empty() {
            return obstacle(&rule.at, "it names ports of something other than pods");
        }
        fields.insert("protocols".into(), ports(&rule.ports, &rule.at)?.into());
    }
    Ok(fields.into())
}

fn peer(egress: bool, peer: &Peer, at: &FieldPath) -> Result<Value, Obstacle> {
    match peer {
        Peer::Pods(PodPeer { namespaces, pods: labels }) => pods(namespaces, labels, at),
        Peer::Addresses(block) if egress && block.scope == AddressScope::PodsToo => {
            let nets: Vec<String> = block.blocks.iter().map(|(net, _)| net.to_string()).collect();
            if block.blocks.iter().any(|(_, except)| !except.is_empty()) || !(1..=MOST).contains(&nets.len()) {
                return obstacle(at, format!("its blocks have excepts, or are more than {MOST}"));
            }
            Ok(json!({"networks": nets}))
        }
        Peer::Nodes(labels) if egress => Ok(json!({"nodes": selector(labels, at)?})),
        Peer::Domains(names) if egress && (1..=MOST).contains(&names.len()) => {
            Ok(json!({"domainNames": names.iter().map(|name| &**name).collect::<Vec<_>>()}))
        }
        Peer::Addresses(_) if !egress => obstacle(at, "its rules for incoming traffic cannot name addresses"),
        _ => obstacle(at, "it names peers in a way that ClusterNetworkPolicy has no field for"),
    }
}

fn ports(ports: &PortMatch, at: &FieldPath) -> Result<Vec<Value>, Obstacle> {
    if ports.numbers.has_other() {
        return obstacle(at, "it is for traffic without ports but not for all ports");
    }
    let mut list = Vec::new();
    for protocol in Protocol::ALL {
        let field = protocol.as_str().to_ascii_lowercase();
        // Every port of a protocol is written from 1 to the last (semantics 2.2.10).
        for &(lo, hi) in ports.numbers.ports(protocol).ranges() {
            let lo = lo.max(1);
            if lo == hi {
                list.push(json!({(field.as_str()): {"destinationPort": {"number": lo}}}));
            } else if lo < hi {
                list.push(json!({(field.as_str()): {"destinationPort": {"range": {"start": lo, "end": hi}}}}));
            }
        }
    }
    for (protocol, name) in &ports.names {
        if protocol.is_some() {
            return obstacle(at, "it names ports together with a protocol");
        }
        list.push(json!({"destinationNamedPort": &**name}));
    }
    if (1..=MOST).contains(&list.len()) {
        return Ok(list);
    }
    obstacle(at, format!("it has {} port conditions, and 1 to {MOST} is what there is room for", list.len()))
}
