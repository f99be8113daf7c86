//! Model → CiliumNetworkPolicy: for cures in namespaces that use Cilium's policies, and for translating between kinds.
//! What it cannot say is refused.

use serde_json::{Map, Value, json};

use super::Kind;
use super::render::{Obstacle, obstacle, selector, unfiltered};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::peer::{AddressPeer, Entity};
use crate::model::selector::{NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY};
use crate::model::{
    Action, AddressScope, Direction, FieldPath, GroupChoice, GroupKind, NamespaceScope, Peer, PodPeer, Policy,
    PortMatch, Protocol, Rule, Selector, TierSemantics,
};

/// More ports in one item are refused.
const MOST_PORTS: usize = 40;

/// The policy as a CiliumNetworkPolicy object. Reading it again gives the same verdicts on a network of Cilium's.
pub(super) fn cilium_network_policy(policy: &Policy) -> Result<Value, Obstacle> {
    Writing { policy }.object()
}

struct Writing<'a> {
    policy: &'a Policy,
}

impl Writing<'_> {
    fn object(&self) -> Result<Value, Obstacle> {
        let (policy, at) = (self.policy, FieldPath::new("spec"));
        if policy.tier.semantics != TierSemantics::Union {
            return obstacle(&FieldPath::default(), "its tier is decided by the first match");
        }
        match &policy.subject.namespaces {
            NamespaceScope::Named(name) if **name == *policy.id.namespace() => {}
            _ => return obstacle(&at, "it applies to other namespaces than its own"),
        }
        let mut spec = Map::new();
        let subject = selector(&cilium_keys(&policy.subject.pods), &at.field("podSelector"))?;
        spec.insert("endpointSelector".into(), subject);
        let mut default_deny = Map::new();
        for direction in Direction::BOTH {
            let (mut allow, mut deny) = (Vec::new(), Vec::new());
            for rule in policy.rules(direction) {
                match rule.action {
                    Action::Allow => self.rule(direction, rule, &mut allow)?,
                    Action::Deny => self.rule(direction, rule, &mut deny)?,
                    Action::Pass => return obstacle(&rule.at, "it leaves the decision to the next tier"),
                }
            }
            let isolates = policy.isolates(direction);
            if isolates && allow.is_empty() && deny.is_empty() {
                // An empty rule is what denies by default; an empty list would do nothing (semantics 2.3.2).
                allow.push(json!({}));
            }
            let any = !allow.is_empty() || !deny.is_empty();
            if any && !isolates {
                default_deny.insert(direction.field().into(), false.into());
            }
            for (rules, suffix) in [(allow, ""), (deny, "Deny")] {
                if !rules.is_empty() {
                    spec.insert(format!("{}{suffix}", direction.field()), rules.into());
                }
            }
        }
        if spec.len() == 1 {
            return obstacle(&at, "it isolates in no direction");
        }
        if !default_deny.is_empty() {
            spec.insert("enableDefaultDeny".into(), default_deny.into());
        }
        let kind = Kind::CiliumNetworkPolicy;
        Ok(json!({
            "apiVersion": kind.api_version(),
            "kind": kind.kind(),
            "metadata": {"name": &*policy.id.name, "namespace": policy.id.namespace()},
            "spec": spec,
        }))
    }

    /// One rule for each kind of peer, because a rule takes one kind only (semantics 2.3.10).
    fn rule(&self, direction: Direction, rule: &Rule, into: &mut Vec<Value>) -> Result<(), Obstacle> {
        unfiltered(rule)?;
        let ports = if rule.ports.is_any() { None } else { Some(ports(&rule.ports, &rule.at)?) };
        let to = direction == Direction::Egress;
        let mut lists: Vec<(&'static str, Vec<Value>)> = Vec::new();
        if rule.peers.contains(&Peer::Any) {
            // With ports and no peers everyone is meant; without ports it has to be said.
            if ports.is_none() {
                lists.push((if to { "toEntities" } else { "fromEntities" }, vec!["all".into()]));
            }
        } else {
            for (i, peer) in rule.peers.iter().enumerate() {
                let (field, values) = self.peer(to, peer, &rule.peer_path(i))?;
                match lists.iter_mut().find(|(known, _)| *known == field) {
                    Some((_, list)) => list.extend(values),
                    None => lists.push((field, values)),
                }
            }
            if lists.is_empty() {
                return obstacle(&rule.at, "it names nobody");
            }
        }
        let mut written: Vec<Map<String, Value>> =
            lists.into_iter().map(|(field, list)| Map::from_iter([(field.to_owned(), list.into())])).collect();
        if written.is_empty() {
            written.push(Map::new());
        }
        for mut fields in written {
            if let Some(ports) = &ports {
                fields.insert("toPorts".into(), ports.clone().into());
            }
            into.push(fields.into());
        }
        Ok(())
    }

    fn peer(&self, to: bool, peer: &Peer, at: &FieldPath) -> Result<(&'static str, Vec<Value>), Obstacle> {
        let field = |egress, ingress| if to { egress } else { ingress };
        match peer {
            Peer::Pods(pods) => {
                let labels = selector(&self.endpoints(pods), at)?;
                Ok((field("toEndpoints", "fromEndpoints"), vec![labels]))
            }
            Peer::Addresses(AddressPeer { blocks, scope, .. }) => {
                if *scope == AddressScope::PodsToo {
                    return obstacle(at, "its blocks mean pods as well, and those of Cilium never do");
                }
                let block = |(cidr, except): &(ipnet::IpNet, Vec<ipnet::IpNet>)| {
                    let mut fields = json!({"cidr": cidr.to_string()});
                    if !except.is_empty() {
                        fields["except"] = except.iter().map(ToString::to_string).collect();
                    }
                    fields
                };
                Ok((field("toCIDRSet", "fromCIDRSet"), blocks.iter().map(block).collect()))
            }
            Peer::Groups(group) if group.kind == GroupKind::Cidrs => {
                let mut fields = match &group.groups {
                    GroupChoice::Named(name) => json!({"cidrGroupRef": &**name}),
                    GroupChoice::Matching(labels) => json!({"cidrGroupSelector": selector(labels, at)?}),
                };
                if !group.except.is_empty() {
                    fields["except"] = group.except.iter().map(ToString::to_string).collect();
                }
                Ok((field("toCIDRSet", "fromCIDRSet"), vec![fields]))
            }
            Peer::Entity(entity) => {
                let names: &[&str] = match entity {
                    Entity::World => &["world"],
                    Entity::Cluster => &["cluster"],
                    Entity::Host => &["host"],
                    Entity::RemoteNode => &["remote-node"],
                    Entity::KubeApiserver => &["kube-apiserver"],
                    Entity::Ingress => &["ingress"],
                    Entity::Special => &["health", "init", "unmanaged"],
                };
                Ok((field("toEntities", "fromEntities"), names.iter().map(|name| (*name).into()).collect()))
            }
            Peer::Domains(names) if to => {
                let name = |name: &crate::model::Str| json!({(if name.contains('*') { "matchPattern" } else { "matchName" }): &**name});
                Ok(("toFQDNs", names.iter().map(name).collect()))
            }
            Peer::Nobody => obstacle(at, "it holds a peer that is nobody"),
            Peer::Any
            | Peer::Nodes(_)
            | Peer::Domains(_)
            | Peer::Groups(_)
            | Peer::Services(_)
            | Peer::AllOf(_)
            | Peer::Not(_)
            | Peer::Unsettled(_)
            | Peer::Unreadable => obstacle(at, "it names peers in a way that Cilium has no field for"),
        }
    }

    /// Pods as Cilium selects them: namespaces are labels, and without one it is the own namespace (semantics 2.3.7).
    fn endpoints(&self, peer: &PodPeer) -> Selector {
        let own = self.policy.id.namespace();
        let mut parts = Vec::new();
        match &peer.namespaces {
            NamespaceScope::Named(name) if **name == *own => {}
            NamespaceScope::Named(name) => parts.push(Selector::equals(NAMESPACE, name.clone())),
            NamespaceScope::Matching(namespaces) => {
                let namespaces = flat(cilium_namespace_keys(namespaces));
                // A selector that only rules out would let in endpoints that are no pods.
                if !namespaces.iter().any(|part| matches!(part, Selector::Key(..))) {
                    parts.push(Selector::exists(NAMESPACE));
                }
                parts.extend(namespaces);
            }
        }
        parts.extend(flat(cilium_keys(&peer.pods)));
        parts.sort_by_key(|part| match part {
            Selector::Key(key, _) => key.to_string(),
            _ => "~".to_owned(),
        });
        Selector::all(parts)
    }
}

const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";

fn flat(selector: Selector) -> Vec<Selector> {
    match selector {
        Selector::And(parts) => parts,
        one => vec![one],
    }
}

/// A selector with other keys.
fn with_keys(selector: &Selector, rename: &impl Fn(&str) -> String) -> Selector {
    match selector {
        Selector::Key(key, test) => Selector::Key(rename(key).into(), test.clone()),
        Selector::Not(inner) => Selector::Not(Box::new(with_keys(inner, rename))),
        Selector::And(parts) => Selector::And(parts.iter().map(|part| with_keys(part, rename)).collect()),
        Selector::Or(parts) => Selector::Or(parts.iter().map(|part| with_keys(part, rename)).collect()),
    }
}

fn namespace_key(label: &str) -> String {
    if label == NAMESPACE_NAME_LABEL {
        NAMESPACE.to_owned()
    } else {
        format!("k8s:io.cilium.k8s.namespace.labels.{label}")
    }
}

fn cilium_namespace_keys(selector: &Selector) -> Selector {
    with_keys(selector, &namespace_key)
}

fn cilium_keys(selector: &Selector) -> Selector {
    with_keys(selector, &|key| match key.strip_prefix(NAMESPACE_LABEL_PREFIX) {
        Some(label) => namespace_key(label),
        None if key == SERVICE_ACCOUNT_KEY => "k8s:io.cilium.k8s.policy.serviceaccount".to_owned(),
        None => key.to_owned(),
    })
}

fn ports(ports: &PortMatch, at: &FieldPath) -> Result<Vec<Value>, Obstacle> {
    if ports.numbers.has_other() {
        return obstacle(at, "it allows traffic without ports but not all ports");
    }
    let mut list = Vec::new();
    for protocol in Protocol::ALL {
        let set = ports.numbers.ports(protocol);
        if set.is_full() {
            list.push(json!({"port": "0", "protocol": protocol.as_str()}));
            continue;
        }
        for &(lo, hi) in set.ranges() {
            // Port 0 would be every port, and nothing can be sent to it.
            let lo = lo.max(1);
            if lo > hi {
                continue;
            }
            let mut port = json!({"port": lo.to_string(), "protocol": protocol.as_str()});
            if lo != hi {
                port["endPort"] = hi.into();
            }
            list.push(port);
        }
    }
    for (protocol, name) in &ports.names {
        let protocol = protocol.map_or("ANY", Protocol::as_str);
        list.push(json!({"port": &**name, "protocol": protocol}));
    }
    if list.is_empty() {
        return obstacle(at, "it allows no port");
    }
    Ok(list.chunks(MOST_PORTS).map(|some| json!({"ports": some})).collect())
}
