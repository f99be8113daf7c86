//! Semantics 2.4.7 to 2.4.12: whom a rule names, and on which ports.

use portcullis::reach::Verdict;

use crate::world::{Cluster, global, policy};

use Verdict::{Allow, Deny, Depends};

#[test]
fn selectors_of_a_rule_stay_in_the_namespace_and_a_rule_without_any_names_everyone() {
    // semantics 2.4.7
    let rule = |source: &str| {
        let spec = format!("selector: app == 'db'\ningress:\n- {{action: Allow, source: {source}}}");
        let cluster = Cluster::with(&policy("p", &spec));
        ["web", "devweb", "stranger", "198.51.100.7"].map(|from| cluster.tcp(from, "db", 5432) == Allow)
    };
    assert_eq!(rule("{}"), [true, true, true, true]);
    assert_eq!(rule("{selector: app == 'web'}"), [true, false, false, false]);
    assert_eq!(rule("{selector: app == 'web', namespaceSelector: all()}"), [true, true, false, false]);
    assert_eq!(rule("{selector: app == 'web', namespaceSelector: env == 'dev'}"), [false, true, false, false]);
    assert_eq!(rule("{namespaceSelector: projectcalico.org/name == 'far'}"), [false, false, true, false]);
    assert_eq!(rule("{namespaceSelector: global()}"), [false, false, false, false]);
    assert_eq!(rule("{serviceAccounts: {names: [web-robot]}}"), [true, false, false, false]);
    assert_eq!(rule("{serviceAccounts: {names: [default]}, namespaceSelector: all()}"), [false, true, true, false]);
    assert_eq!(
        rule("{selector: has(projectcalico.org/namespace), namespaceSelector: all()}"),
        [true, true, true, false]
    );
    let spec = "selector: app == 'db'\ningress:\n- {action: Allow, source: {selector: app == 'web'}}";
    let cluster = Cluster::with(&global("p", spec));
    assert_eq!(["web", "devweb", "stranger"].map(|from| cluster.tcp(from, "db", 1)), [Allow, Allow, Deny]);
}

#[test]
fn not_selector_takes_away_and_leaves_the_outside_world() {
    // semantics 2.4.8: in a global policy; in a namespaced one it stays in the namespace (2.4.7).
    let spec = |source: &str| format!("selector: app == 'db'\ningress:\n- {{action: Allow, source: {{{source}}}}}");
    let from =
        |cluster: &Cluster| ["web", "devweb", "stranger", "198.51.100.7"].map(|f| cluster.tcp(f, "db", 1) == Allow);
    let outer = Cluster::with(&global("p", &spec("notSelector: app == 'web'")));
    assert_eq!(from(&outer), [false, false, true, true]);
    let inner = Cluster::with(&global("p", &spec("selector: \"!has(app) || app != 'web'\"")));
    assert_eq!(from(&inner), [false, false, true, false], "a selector names endpoints only");
    let own = Cluster::with(&policy("p", &spec("notSelector: app == 'web'")));
    assert_eq!(from(&own), [false, false, false, false]);
}

#[test]
fn selectors_see_the_labels_that_calico_adds() {
    // semantics 2.4.9
    let spec = "selector: pcns.env == 'prod' && app starts with 'd'\ningress:\n- {action: Allow, source: {selector: \"pcns.env in {'dev', 'x'} || projectcalico.org/serviceaccount == 'web-robot'\", namespaceSelector: all()}}";
    let cluster = Cluster::with(&global("p", spec));
    assert_eq!(["web", "devweb", "stranger"].map(|from| cluster.tcp(from, "db", 1)), [Allow, Allow, Deny]);
    assert_eq!(cluster.tcp("stranger", "web", 1), Allow, "not selected");
}

#[test]
fn everything_in_a_rule_must_hold() {
    // semantics 2.4.10
    let rule = |rule: &str| {
        Cluster::with(&global("p", &format!("selector: app == 'db'\ningress:\n- {{action: Allow, {rule}}}")))
    };
    let nets =
        rule("source: {nets: [10.0.0.0/16, 198.51.100.0/24], notNets: [10.0.1.0/24], notSelector: app == 'other'}");
    assert_eq!(
        ["web", "devweb", "stranger"].map(|from| nets.tcp(from, "db", 1)),
        [Allow, Deny, Deny],
        "nets match pods"
    );
    assert_eq!((nets.tcp("198.51.100.7", "db", 1), nets.tcp("203.0.113.1", "db", 1)), (Allow, Deny));
    let both = rule("source: {selector: app == 'web', nets: [10.0.1.0/24]}");
    assert_eq!(["web", "devweb"].map(|from| both.tcp(from, "db", 1)), [Deny, Allow]);
    let ports = rule("protocol: TCP, destination: {ports: [80, '90:95', sql, metrics], notPorts: [92]}");
    let open = [79, 80, 90, 91, 92, 95, 96].map(|port| ports.tcp("web", "db", port) == Allow);
    assert_eq!(open, [false, true, true, true, false, true, false]);
    assert_eq!(ports.tcp("web", "db", 5432), Depends, "a name may stand for a port that is excluded");
    let named = rule("protocol: TCP, destination: {ports: [sql, metrics]}");
    assert_eq!([5432, 9187, 80].map(|port| named.tcp("web", "db", port)), [Allow, Allow, Deny], "init containers too");
    assert_eq!(named.udp("web", "db", 5432), Deny);
    let not_tcp = rule("notProtocol: TCP");
    assert_eq!((not_tcp.tcp("web", "db", 53), not_tcp.udp("web", "db", 53)), (Deny, Allow));
    let not_ports = rule("protocol: 6, destination: {notPorts: ['1:1023']}");
    assert_eq!(
        (not_ports.tcp("web", "db", 1023), not_ports.tcp("web", "db", 1024), not_ports.udp("web", "db", 1024)),
        (Deny, Allow, Deny)
    );
}

#[test]
fn a_rule_can_be_for_some_of_the_pods_of_its_policy() {
    // semantics 2.4.10: the end on the policy's own side counts as well, and first match goes through.
    let spec = "ingress:\n- {action: Deny, destination: {selector: app == 'db'}, protocol: TCP}\n- {action: Allow}\n- {action: Deny}";
    let cluster = Cluster::with(&policy("p", spec));
    assert_eq!((cluster.tcp("stranger", "db", 80), cluster.tcp("stranger", "web", 80)), (Deny, Allow));
    assert_eq!(cluster.udp("stranger", "db", 80), Allow);
}

#[test]
fn services_and_source_ports_leave_the_answer_open() {
    // semantics 2.4.11
    let rule = |action: &str, rule: &str| {
        Cluster::with(&policy(
            "p",
            &format!(
                "selector: app == 'web'\negress:\n- {{action: {action}, {rule}}}\n- {{action: Allow, destination: {{selector: app == 'web'}}}}"
            ),
        ))
    };
    let service = rule("Allow", "destination: {services: {name: db}}");
    assert_eq!(service.tcp("web", "db", 80), Depends);
    assert_eq!(service.tcp("web", "stranger", 80), Deny, "no pod of another namespace is its endpoint");
    let denied = rule("Deny", "destination: {services: {name: db, namespace: far}}");
    assert_eq!((denied.tcp("web", "stranger", 80), denied.tcp("web", "db", 80)), (Deny, Deny));
    let ports = rule("Allow", "protocol: TCP, source: {ports: ['1024:65535']}");
    assert_eq!((ports.tcp("web", "db", 80), ports.udp("web", "db", 80)), (Depends, Deny));
}

#[test]
fn network_sets_are_addresses_with_labels() {
    // semantics 2.4.12
    let sets = "---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: partners, labels: {role: partner}}
spec: {nets: [198.51.100.0/24, 10.0.2.0/24]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: shop, labels: {role: office}}
spec: {nets: [203.0.113.0/24]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: dev, labels: {role: office}}
spec: {nets: [192.0.2.1]}
";
    let from = |source: &str| {
        let spec = format!("selector: app == 'db'\ningress:\n- {{action: Allow, source: {{{source}}}}}");
        let cluster = Cluster::with(&[sets.to_owned(), policy("p", &spec)].concat());
        ["198.51.100.7", "203.0.113.7", "192.0.2.1", "stranger"].map(|from| cluster.tcp(from, "db", 1) == Allow)
    };
    assert_eq!(from("selector: role == 'partner'"), [false; 4], "a global set is in no namespace");
    assert_eq!(
        from("selector: role == 'partner', namespaceSelector: global()"),
        [true, false, false, true],
        "sets name pods by address as well"
    );
    assert_eq!(from("selector: role == 'office'"), [false, true, false, false]);
    assert_eq!(from("selector: role == 'office', namespaceSelector: all()"), [false, true, true, false]);
    assert_eq!(from("selector: role == 'office', namespaceSelector: env == 'dev'"), [false, false, true, false]);
    assert_eq!(from("selector: has(role), namespaceSelector: env != 'dev'"), [true, true, false, true]);
    let spec =
        "selector: app == 'db'\ningress:\n- {action: Deny, source: {selector: role == 'partner'}}\n- {action: Allow}";
    let cluster = Cluster::with(&[sets.to_owned(), global("p", spec)].concat());
    assert_eq!((cluster.tcp("198.51.100.7", "db", 1), cluster.tcp("203.0.113.7", "db", 1)), (Deny, Allow));
    let stored = "---
apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkSet
metadata: {name: stored, annotations: {projectcalico.org/metadata: '{\"labels\":{\"role\":\"kept\"}}'}}
spec: {nets: [198.51.100.0/24]}
";
    let spec = "selector: app == 'db'\ningress:\n- {action: Allow, source: {selector: role == 'kept'}}";
    let cluster = Cluster::with(&[stored.to_owned(), global("p", spec)].concat());
    assert_eq!(cluster.tcp("198.51.100.7", "db", 1), Allow, "labels of the stored form");
}
