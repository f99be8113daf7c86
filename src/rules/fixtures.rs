//! Small worlds in model terms, for the value tests of rules.

use std::sync::Arc;

use crate::model::house::{House, HouseRules, Level, RuleId, Settings};
use crate::model::ipset::parse_cidr;
use crate::model::peer::AddressPeer;
use crate::model::pod::Controller;
use crate::model::policy::{Priority, Rule};
use crate::model::{
    Action, AddressScope, Change, Direction, FieldPath, Labels, Namespace, NamespaceScope, Object, ObjectRef, Peer,
    PodPeer, PodSpec, Policy, PolicyObject, PortMatch, PortSet, Selector, Subject, Tier, Workload,
};
use crate::review::{User, Verdict, review};
use crate::snapshot::Snapshot;

/// The namespace in which everything happens.
pub const SHOP: &str = "shop";

/// A namespace that is known.
pub fn namespace(name: &str) -> Object {
    Object::Namespace(Namespace::named(name))
}

/// A running pod with `app=APP`, owned by a Deployment of that name.
pub fn pod(namespace: &str, app: &str) -> Object {
    pod_with(namespace, PodSpec::with_labels(Labels::new([("app", app)])))
}

/// A running pod of a Deployment called after its first label.
pub fn pod_with(namespace: &str, spec: PodSpec) -> Object {
    let name = spec.labels.iter().next().map_or_else(|| "pod".into(), |(_, value)| value.clone());
    Object::Workload(Workload {
        id: ObjectRef::namespaced("v1", "Pod", namespace, format!("{name}-1")),
        labels: Labels::default(),
        pod: Arc::new(spec),
        controller: Some(Controller { kind: "Deployment".into(), name }),
        addresses: Vec::new(),
        finished: false,
        leaving: false,
        template_at: "",
    })
}

/// A rule that allows.
pub fn allow(at: &str, peers_at: &'static str, peers: Vec<Peer>, ports: PortMatch) -> Rule {
    Rule { action: Action::Allow, peers, ports, at: FieldPath::new(at), peers_at, filtered_by: None }
}

/// Egress rule number `i` to these peers.
pub fn to(i: usize, peers: Vec<Peer>, ports: PortSet) -> Rule {
    let at = if matches!(peers.as_slice(), [Peer::Any]) { "" } else { "to" };
    allow(&format!("spec.egress[{i}]"), at, peers, PortMatch::numbers(ports))
}

/// A block with excepts.
pub fn block(cidr: &str, except: &[&str]) -> Peer {
    let net = |text: &str| parse_cidr(text).unwrap().0;
    Peer::Addresses(AddressPeer::block(
        net(cidr),
        except.iter().map(|text| net(text)).collect(),
        AddressScope::ByDialect,
    ))
}

/// Pods of a namespace by name.
pub fn pods(namespace: &str, selector: Selector) -> Peer {
    let namespaces = NamespaceScope::Matching(Selector::equals(crate::model::labels::NAMESPACE_NAME_LABEL, namespace));
    Peer::Pods(PodPeer { namespaces, pods: selector })
}

/// A NetworkPolicy in the shop.
pub fn policy(name: &str, subject: Selector, types: &[Direction], egress: Vec<Rule>, ingress: Vec<Rule>) -> Object {
    let id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", SHOP, name));
    let policy = Policy {
        id: Arc::clone(&id),
        tier: Tier::network_policy(),
        priority: Priority::LAST,
        subject: Subject { namespaces: NamespaceScope::Named(SHOP.into()), pods: subject },
        isolates_ingress: types.contains(&Direction::Ingress),
        isolates_egress: types.contains(&Direction::Egress),
        ingress,
        egress,
    };
    Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread: Vec::new(), implicit_types: false })
}

/// A NetworkPolicy for every pod of the shop, for egress.
pub fn egress(name: &str, rules: Vec<Rule>) -> Object {
    policy(name, Selector::everything(), &[Direction::Egress], rules, Vec::new())
}

/// A house in which this rule alone holds.
pub fn only(rule: RuleId) -> House {
    let levels = RuleId::ALL.iter().map(|id| (*id, if *id == rule { rule.default_level() } else { Level::Off }));
    let rules = HouseRules {
        name: "only".into(),
        namespaces: Selector::everything(),
        levels: levels.collect(),
        settings: crate::model::house::PartialSettings::default(),
        exempt: crate::model::house::Exempt::default(),
    };
    House { rules: vec![rules], ..House::default() }
}

/// Judges a change by one rule.
pub fn judge(rule: RuleId, state: &[Object], change: &Change) -> Verdict {
    review(&Snapshot::of(state), &only(rule), change, &User::default())
}

/// The messages, each after its level.
pub fn said(verdict: &Verdict) -> Vec<String> {
    verdict.findings.iter().map(|j| format!("{}: {}", j.level, j.finding.message)).collect()
}

/// The settings that hold where nothing is set.
pub fn settings() -> Settings {
    Settings::default()
}
