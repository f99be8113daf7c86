//! What becomes of Cilium's policies, piece by piece: the readings that verdicts rest on, and everything that is said.

mod mistakes;

use serde_json::{Value, json};

use crate::model::peer::Entity;
use crate::model::{Direction, NamespaceScope, Object, Peer, PolicyObject, PortSet, Protocol, Rule, Selector};
use crate::translate::{Defaults, Kind, from_value};

const DEFAULTS: Defaults<'_> = Defaults { namespace: "shop", name: "p" };

fn read(kind: Kind, value: &Value) -> PolicyObject {
    match from_value(kind, value, &DEFAULTS) {
        Object::Policy(policy) => policy,
        other => panic!("a policy, not {other:?}"),
    }
}

fn cnp(spec: &Value) -> PolicyObject {
    read(Kind::CiliumNetworkPolicy, &json!({"apiVersion": "cilium.io/v2", "spec": spec}))
}

fn ccnp(spec: &Value) -> PolicyObject {
    read(Kind::CiliumClusterwideNetworkPolicy, &json!({"apiVersion": "cilium.io/v2", "spec": spec}))
}

/// A policy for every pod of the namespace with this one section.
fn section(name: &str, rules: &Value) -> PolicyObject {
    cnp(&json!({"endpointSelector": {}, name: rules}))
}

fn said(policy: &PolicyObject) -> Vec<String> {
    policy.unread.iter().map(|u| format!("{}: {}", u.at, u.what)).collect()
}

#[track_caller]
fn clean(policy: PolicyObject) -> PolicyObject {
    assert_eq!(said(&policy), Vec::<String>::new());
    policy
}

#[track_caller]
fn egress(rules: &Value) -> Vec<Rule> {
    clean(section("egress", rules)).policies[0].egress.clone()
}

#[track_caller]
fn ingress(rules: &Value) -> Vec<Rule> {
    clean(section("ingress", rules)).policies[0].ingress.clone()
}

fn isolation(policy: &PolicyObject) -> Vec<(bool, bool)> {
    policy.policies.iter().map(|p| (p.isolates_ingress, p.isolates_egress)).collect()
}

#[test]
fn a_section_with_a_rule_denies_by_default() {
    // semantics 2.3.1: the presence of a rule, whatever it says, and the other direction is left alone.
    assert_eq!(isolation(&clean(section("ingress", &json!([{}])))), [(true, false)]);
    assert_eq!(isolation(&clean(section("egress", &json!([{}])))), [(false, true)]);
    let deny = json!([{"toEntities": ["world"]}]);
    assert_eq!(isolation(&clean(section("egressDeny", &deny))), [(false, true)]);
    let opted_out = cnp(&json!({
        "endpointSelector": {}, "enableDefaultDeny": {"ingress": false, "egress": false}, "ingress": [{}], "egress": [{}],
    }));
    assert_eq!(isolation(&clean(opted_out)), [(false, false)]);
    let asked = cnp(&json!({"endpointSelector": {}, "enableDefaultDeny": {"egress": true}, "ingress": [{}]}));
    assert_eq!(isolation(&clean(asked)), [(true, true)]);
}

#[test]
fn absent_and_empty_sections_do_nothing() {
    // semantics 2.3.2: the opposite of NetworkPolicy.
    for spec in [json!({"endpointSelector": {}}), json!({"endpointSelector": {}, "ingress": [], "egress": null})] {
        let policy = cnp(&spec);
        assert_eq!(isolation(&policy), [(false, false)]);
        assert!(said(&policy)[0].contains("a spec without any rule does nothing"), "{:?}", said(&policy));
    }
    // An empty rule isolates and allows nothing.
    let policy = clean(section("ingress", &json!([{}])));
    assert!(policy.policies[0].ingress.is_empty());
}

#[test]
fn a_default_deny_without_rules_counts_and_is_said_to_be_refused_by_newer_releases() {
    let policy = cnp(&json!({"endpointSelector": {}, "enableDefaultDeny": {"ingress": true, "egress": true}}));
    assert_eq!(isolation(&policy), [(true, true)]);
    assert!(said(&policy)[0].contains("Cilium 1.17 and later refuse"), "{:?}", said(&policy));
}

#[test]
fn nobody_everybody_and_no_condition_are_three_things() {
    // semantics 2.3.3
    let ports = json!([{"ports": [{"port": "80", "protocol": "TCP"}]}]);
    let open = ingress(&json!([{"toPorts": ports}]));
    assert_eq!(open[0].peers, [Peer::Any]);
    for empty in ["fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities"] {
        assert!(ingress(&json!([{empty: [], "toPorts": ports}])).is_empty(), "{empty}: []");
        assert!(ingress(&json!([{empty: []}])).is_empty(), "{empty}: [] alone");
        assert_eq!(ingress(&json!([{empty: null, "toPorts": ports}]))[0].peers, [Peer::Any], "null is absent");
    }
    // An empty list of ports is no condition.
    let all = ingress(&json!([{"fromEntities": ["cluster"], "toPorts": []}]));
    assert!(all[0].ports.is_any());
}

#[test]
fn an_endpoint_selector_stays_in_its_namespace() {
    // semantics 2.3.6
    let policy = cnp(&json!({
        "endpointSelector": {"matchLabels": {"k8s:app": "web", "k8s:io.kubernetes.pod.namespace": "other"}}, "ingress": [{}],
    }));
    let subject = &policy.policies[0].subject;
    assert_eq!(subject.namespaces, NamespaceScope::Named("shop".into()));
    assert_eq!(subject.pods, Selector::equals("app", "web"));
    assert!(said(&policy)[0].contains("only selects pods of its own namespace"), "{:?}", said(&policy));
    let own = cnp(&json!({
        "endpointSelector": {"matchLabels": {"io.kubernetes.pod.namespace": "shop"}}, "ingress": [{}],
    }));
    assert!(clean(own).policies[0].subject.pods.is_everything());
}

fn pods(rule: &Rule) -> (NamespaceScope, Selector) {
    match &rule.peers[0] {
        Peer::Pods(peer) => (peer.namespaces.clone(), peer.pods.clone()),
        other => panic!("pods, not {other:?}"),
    }
}

#[test]
fn peers_are_of_the_own_namespace_unless_they_name_one() {
    // semantics 2.3.7
    let of = |selector: Value| pods(&ingress(&json!([{"fromEndpoints": [selector]}]))[0]);
    assert_eq!(of(json!({})), (NamespaceScope::Named("shop".into()), Selector::everything()));
    let prod = NamespaceScope::Matching(Selector::equals("kubernetes.io/metadata.name", "prod"));
    for key in ["k8s:io.kubernetes.pod.namespace", "any:io.kubernetes.pod.namespace", "io.kubernetes.pod.namespace"] {
        let (namespaces, selector) = of(json!({"matchLabels": {key: "prod", "app": "web"}}));
        assert_eq!((namespaces, selector), (prod.clone(), Selector::equals("app", "web")), "{key}");
    }
    let by_label = of(json!({"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.team": "a"}}));
    assert_eq!(by_label, (NamespaceScope::Matching(Selector::equals("team", "a")), Selector::everything()));
}

#[test]
fn clusterwide_peers_are_pods_of_any_namespace_and_nothing_else() {
    // semantics 2.3.8
    let policy = clean(ccnp(&json!({"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]})));
    assert_eq!(policy.policies[0].subject.namespaces, NamespaceScope::all());
    assert_eq!(policy.policies[0].ingress[0].peers.len(), 1, "no entity besides pods");
    assert_eq!(pods(&policy.policies[0].ingress[0]), (NamespaceScope::all(), Selector::everything()));
}

#[test]
fn labels_have_sources() {
    // semantics 2.3.9
    let of = |selector: Value| ingress(&json!([{"fromEndpoints": [selector]}]));
    assert_eq!(of(json!({"matchLabels": {"reserved:host": ""}}))[0].peers, [Peer::Entity(Entity::Host)]);
    let account = of(json!({"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "builder"}}));
    assert_eq!(pods(&account[0]).1, Selector::equals("@serviceaccount", "builder"));
    let here = of(json!({"matchLabels": {"io.cilium.k8s.policy.cluster": "default", "app": "web"}}));
    assert_eq!(pods(&here[0]).1, Selector::equals("app", "web"));
    let elsewhere =
        section("ingress", &json!([{"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.cluster": "west"}}]}]));
    assert_eq!(elsewhere.policies[0].ingress[0].peers, [Peer::Nobody]);
    assert!(said(&elsewhere)[0].contains("mesh of clusters"), "{:?}", said(&elsewhere));
}

#[test]
fn a_selector_that_only_rules_out_lets_in_what_is_no_pod() {
    let rules = ingress(&json!([{"fromEndpoints": [
        {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "NotIn", "values": ["dev"]}]},
    ]}]));
    assert_eq!(rules.len(), 2, "pods of other namespaces, and endpoints without a namespace");
    assert!(
        rules[0].peers.contains(&Peer::Entity(Entity::World)) && rules[0].peers.contains(&Peer::Entity(Entity::Host))
    );
    let not_host = ingress(&json!([{"fromEndpoints": [
        {"matchExpressions": [{"key": "reserved:host", "operator": "DoesNotExist"}]},
    ]}]));
    assert!(!not_host[0].peers.contains(&Peer::Entity(Entity::Host)));
    assert_eq!(pods(&not_host[1]).0, NamespaceScope::all());
}

#[test]
fn entities_are_what_the_documentation_says() {
    // semantics 2.3.11
    for (name, peer) in [
        ("all", Peer::Any),
        ("world", Peer::Entity(Entity::World)),
        ("cluster", Peer::Entity(Entity::Cluster)),
        ("host", Peer::Entity(Entity::Host)),
        ("remote-node", Peer::Entity(Entity::RemoteNode)),
        ("kube-apiserver", Peer::Entity(Entity::KubeApiserver)),
        ("ingress", Peer::Entity(Entity::Ingress)),
        ("health", Peer::Entity(Entity::Special)),
        ("init", Peer::Entity(Entity::Special)),
        ("unmanaged", Peer::Entity(Entity::Special)),
        ("none", Peer::Nobody),
    ] {
        assert_eq!(egress(&json!([{"toEntities": [name]}]))[0].peers, [peer], "{name}");
    }
    let v4 = egress(&json!([{"toEntities": ["world-ipv4"]}]));
    assert!(v4[0].peers[0].addresses().v4().is_full() && v4[0].peers[0].addresses().v6().is_empty());
}

#[test]
fn excepts_hold_for_their_own_item() {
    // semantics 2.3.12
    let rules = egress(&json!([{"toCIDRSet": [
        {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidr": "10.1.2.0/24"},
    ]}]));
    let set = rules[0].peers.iter().fold(crate::model::IpSet::empty(), |all, p| all.union(&p.addresses()));
    assert!(set.contains("10.1.2.3".parse().unwrap()) && !set.contains("10.1.3.3".parse().unwrap()));
    assert_eq!(rules[0].peer_path(1).as_str(), "spec.egress[0].toCIDRSet[1]");
    let plain = egress(&json!([{"toCIDR": ["192.0.2.1"]}]));
    assert_eq!(plain[0].peers[0].addresses().v4().count(), 1);
}

fn ports(items: &Value) -> PortSet {
    egress(&json!([{"toPorts": [{"ports": items}]}]))
        .iter()
        .fold(PortSet::empty(), |all, r| all.union(&r.ports.numbers))
}

#[test]
fn ports_are_texts() {
    // semantics 2.3.15
    let all = |protocols: &[Protocol], lo, hi| {
        protocols.iter().fold(PortSet::empty(), |set, p| set.union(&PortSet::range(*p, lo, hi)))
    };
    let any = &Protocol::ALL[..];
    for (item, set) in [
        (json!({"port": "80", "protocol": "TCP"}), all(&[Protocol::Tcp], 80, 80)),
        (json!({"port": "80", "protocol": "tcp"}), all(&[Protocol::Tcp], 80, 80)),
        (json!({"port": "80"}), all(any, 80, 80)),
        (json!({"port": "80", "protocol": "ANY"}), all(any, 80, 80)),
        (json!({"port": "80", "endPort": 90, "protocol": "UDP"}), all(&[Protocol::Udp], 80, 90)),
        (json!({"port": "0", "protocol": "TCP"}), all(&[Protocol::Tcp], 1, 65535)),
        (json!({"port": "0"}), all(any, 1, 65535)),
    ] {
        assert_eq!(ports(&json!([item])), set, "{item}");
    }
    assert!(!ports(&json!([{"port": "0"}])).has_other(), "ports leave ICMP out");
    let named = egress(&json!([{"toPorts": [{"ports": [{"port": "HTTP", "endPort": 99, "protocol": "TCP"}]}]}]));
    assert_eq!(named[0].ports.names, [(Some(Protocol::Tcp), "http".into())], "without regard to case or endPort");
    assert!(named[0].ports.numbers.is_empty());
}

#[test]
fn icmp_is_traffic_without_ports() {
    let rules = ingress(
        &json!([{"fromEntities": ["all"], "icmps": [{"fields": [{"type": 8}, {"type": "EchoReply", "family": "IPv6"}]}]}]),
    );
    assert!(rules[0].ports.numbers.has_other() && !rules[0].ports.numbers.contains(Protocol::Tcp, 8));
    assert_eq!(rules[0].filtered_by.as_deref(), Some("ICMP IPv4 type 8, IPv6 EchoReply"));
}

#[test]
fn layer_7_is_a_condition_on_top() {
    // semantics 2.3.15
    for (item, filter) in [
        (
            json!({"rules": {"http": [{"method": "GET", "path": "/a"}, {"path": "/b", "host": "h"}]}}),
            "HTTP GET /a, /b host h",
        ),
        (json!({"rules": {"http": [{}]}}), "HTTP any request"),
        (
            json!({"rules": {"dns": [{"matchName": "A.example.com."}, {"matchPattern": "*"}]}}),
            "DNS names a.example.com, *",
        ),
        (json!({"rules": {"kafka": [{"role": "produce", "topic": "orders"}]}}), "Kafka produce topic orders"),
        (json!({"rules": {"l7proto": "r2d2", "l7": [{"cmd": "READ"}]}}), "rules of r2d2"),
        (json!({"serverNames": ["example.com"]}), "TLS server names example.com"),
        (json!({"listener": {"name": "mine", "envoyConfig": {"name": "c"}}}), "listener mine"),
    ] {
        let mut item = item;
        item["ports"] = json!([{"port": "80", "protocol": "TCP"}]);
        let rules = egress(&json!([{"toPorts": [item]}]));
        assert_eq!(rules[0].filtered_by.as_deref(), Some(filter));
    }
    // Items without a condition are a rule of their own, at the same place.
    let rules = ingress(&json!([{"toPorts": [
        {"ports": [{"port": "80"}], "rules": {"http": []}}, {"ports": [{"port": "81"}]}, {"ports": [{"port": "82"}]},
    ]}]));
    let filters: Vec<bool> = rules.iter().map(|r| r.filtered_by.is_some()).collect();
    assert_eq!(filters, [true, false]);
    assert!(rules[1].ports.numbers.contains(Protocol::Tcp, 81) && rules[1].ports.numbers.contains(Protocol::Tcp, 82));
    let authenticated = ingress(&json!([{"fromEndpoints": [{}], "authentication": {"mode": "required"}}]));
    assert_eq!(authenticated[0].filtered_by.as_deref(), Some("mutual authentication"));
}

#[test]
fn names_are_domains() {
    // semantics 2.3.14
    let rules = egress(&json!([{"toFQDNs": [{"matchName": "api.example.com"}, {"matchPattern": "*.example.com"}]}]));
    assert_eq!(
        rules[0].peers,
        [Peer::Domains(vec!["api.example.com".into()]), Peer::Domains(vec!["*.example.com".into()]),]
    );
}

#[test]
fn host_policies_say_nothing_about_pods() {
    // semantics 2.3.16
    let policy = clean(ccnp(&json!({"nodeSelector": {}, "ingress": [{}]})));
    assert!(policy.policies.is_empty());
    let of_hosts = clean(ccnp(&json!({"endpointSelector": {"matchLabels": {"reserved:init": ""}}, "ingress": [{}]})));
    assert!(of_hosts.policies.is_empty());
}

#[test]
fn spec_and_specs_are_both_evaluated() {
    // semantics 2.3.17
    let one = |name: &str| json!({"endpointSelector": {"matchLabels": {"app": name}}, "ingress": [{}]});
    let object = json!({"apiVersion": "cilium.io/v2", "spec": one("a"), "specs": [one("b"), one("c")]});
    let policy = read(Kind::CiliumNetworkPolicy, &object);
    assert_eq!(policy.policies.len(), 3);
    assert_eq!(said(&policy), ["specs: there is a spec as well as specs; both are evaluated, as Cilium does"]);
    let specs = json!({"apiVersion": "cilium.io/v2", "specs": [one("b")]});
    assert_eq!(clean(read(Kind::CiliumNetworkPolicy, &specs)).policies.len(), 1);
}

#[test]
fn groups_are_named_by_name_and_by_label() {
    let rules = egress(&json!([{"toCIDRSet": [
        {"cidrGroupRef": "partners", "except": ["10.0.0.0/8"]},
        {"cidrGroupSelector": {"matchLabels": {"role": "vpn"}}},
    ]}]));
    assert!(rules[0].peers.iter().all(|peer| matches!(peer, Peer::Groups(_))), "{:?}", rules[0].peers);
    let group = |version: &str, cidrs: Value| {
        let value = json!({
            "apiVersion": version, "metadata": {"name": "partners", "labels": {"role": "vpn"}}, "spec": {"externalCIDRs": cidrs},
        });
        match from_value(Kind::CiliumCidrGroup, &value, &DEFAULTS) {
            Object::AddressGroup(group) => group,
            other => panic!("a group, not {other:?}"),
        }
    };
    let older = group("cilium.io/v2alpha1", json!(["192.0.2.0/24", "bad"]));
    assert_eq!(older.nets.len(), 1);
    assert_eq!(older.unread[0].at.as_str(), "spec.externalCIDRs[1]");
    assert!(group("cilium.io/v2", json!(["192.0.2.0/24"])).unread.is_empty());
}

#[test]
fn both_directions_have_their_own_names_for_peers() {
    let policy = section("ingress", &json!([{"toEndpoints": [{}]}]));
    assert_eq!(policy.unread[0].at.as_str(), "spec.ingress[0].toEndpoints");
    assert!(policy.policies[0].rules(Direction::Ingress).is_empty());
}
