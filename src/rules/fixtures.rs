//! Small policies in model terms, for what the literate specs cannot show: settings, sizes, unreadable objects.

use std::sync::Arc;

use crate::model::house::{Exempt, House, HouseRules, Level, PartialSettings, RuleId};
use crate::model::ipset::parse_cidr;
use crate::model::peer::AddressPeer;
use crate::model::policy::{Priority, Rule};
use crate::model::{
    Action, AddressScope, Change, FieldPath, Labels, NamespaceScope, Object, ObjectRef, Peer, PodSpec, Policy,
    PolicyObject, PortMatch, PortSet, Selector, Subject, Tier, Workload,
};
use crate::review::{User, Verdict, review};
use crate::snapshot::Snapshot;

/// Egress rule number `i` to these peers.
pub fn to(i: usize, peers: Vec<Peer>, ports: PortSet) -> Rule {
    let peers_at = if matches!(peers.as_slice(), [Peer::Any]) { "" } else { "to" };
    let at = FieldPath::new("spec.egress").index(i);
    Rule { action: Action::Allow, peers, ports: PortMatch::numbers(ports), at, peers_at, filtered_by: None }
}

/// A block with excepts.
pub fn block(cidr: &str, except: &[&str]) -> Peer {
    let net = |text: &str| parse_cidr(text).unwrap().0;
    let except = except.iter().map(|text| net(text)).collect();
    Peer::Addresses(AddressPeer::block(net(cidr), except, AddressScope::ByDialect))
}

/// A NetworkPolicy for egress of every pod of the namespace `shop`.
pub fn egress(name: &str, rules: Vec<Rule>) -> Object {
    let id = Arc::new(ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "shop", name));
    let policy = Policy {
        id: Arc::clone(&id),
        tier: Tier::network_policy(),
        priority: Priority::LAST,
        subject: Subject { namespaces: NamespaceScope::Named("shop".into()), pods: Selector::everything() },
        isolates_ingress: false,
        isolates_egress: true,
        ingress: Vec::new(),
        egress: rules,
    };
    Object::Policy(PolicyObject { id, policies: vec![Arc::new(policy)], unread: Vec::new(), implicit_types: false })
}

/// A running pod whose addresses are not known.
pub fn pod(namespace: &str, name: &str, labels: &[(&'static str, &'static str)]) -> Object {
    let labels = Labels::new(labels.iter().copied());
    Object::Workload(Workload {
        id: ObjectRef::namespaced("v1", "Pod", namespace, name),
        labels: labels.clone(),
        pod: Arc::new(PodSpec::with_labels(labels)),
        controller: None,
        addresses: Vec::new(),
        finished: false,
        leaving: false,
        template_at: "",
    })
}

/// A house in which this rule alone holds.
pub fn only(rule: RuleId) -> House {
    let levels = RuleId::ALL.iter().map(|id| (*id, if *id == rule { rule.default_level() } else { Level::Off }));
    let rules = HouseRules {
        name: "only".into(),
        namespaces: Selector::everything(),
        levels: levels.collect(),
        settings: PartialSettings::default(),
        exempt: Exempt::default(),
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
