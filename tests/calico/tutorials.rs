//! What Calico's tutorials and both guides build with its policies, written anew, with the verdicts that they promise.

use portcullis::model::Direction;
use portcullis::model::house::Dialect;
use portcullis::reach::{DefaultDeny, Verdict, default_deny};

use crate::world::{Cluster, global, policy, tier};

use Verdict::{Allow, Deny};

const DNS: &str = "
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {containers: [{name: main, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}
status: {podIPs: [{ip: 10.0.9.9}]}
";

/// One policy denies everything in every namespace but those of the system, and lets every pod ask DNS.
fn default_deny_with_dns() -> String {
    let spec = "namespaceSelector: projectcalico.org/name not in {'kube-system', 'calico-system', 'tigera-operator'}
types: [Ingress, Egress]
egress:
- {action: Allow, protocol: UDP, destination: {selector: k8s-app == 'kube-dns', ports: [53]}}
- {action: Allow, protocol: TCP, destination: {selector: k8s-app == 'kube-dns', ports: [53]}}";
    format!("{DNS}{}", global("deny-app-policy", spec))
}

#[test]
fn a_global_default_deny_with_an_exception_for_dns() {
    let cluster = Cluster::with(&default_deny_with_dns());
    assert_eq!(cluster.tcp("web", "db", 5432), Deny);
    assert_eq!(cluster.tcp("web", "198.51.100.7", 443), Deny);
    assert_eq!((cluster.udp("web", "dns", 53), cluster.tcp("devweb", "dns", 53)), (Allow, Allow));
    assert_eq!(cluster.tcp("web", "dns", 80), Deny);
    assert_eq!(cluster.tcp("dns", "198.51.100.7", 443), Allow, "the system is left alone");
    for (namespace, expected) in [("shop", true), ("dev", true), ("new", true), ("kube-system", false)] {
        let state = cluster.0.namespace_or_empty(namespace);
        for direction in Direction::BOTH {
            let found = matches!(default_deny(&cluster.0, &state, direction, Dialect::Calico), DefaultDeny::Present(_));
            assert_eq!(found, expected, "{namespace} {direction}");
        }
    }
}

#[test]
fn an_application_opens_what_it_needs_beside_the_global_default_deny() {
    let web_to_db = policy(
        "db",
        "order: 10\nselector: app == 'db'\ntypes: [Ingress]\ningress:\n- {action: Allow, protocol: TCP, source: {selector: app == 'web'}, destination: {ports: [5432]}}",
    );
    let from_web = policy(
        "web",
        "order: 10\nselector: app == 'web'\ntypes: [Egress]\negress:\n- {action: Allow, protocol: TCP, destination: {selector: app == 'db', ports: [5432]}}",
    );
    let cluster = Cluster::with(&[default_deny_with_dns(), web_to_db, from_web].concat());
    assert_eq!(cluster.tcp("web", "db", 5432), Allow);
    assert_eq!(cluster.tcp("web", "db", 22), Deny);
    assert_eq!(cluster.tcp("devweb", "db", 5432), Deny, "the same labels in another namespace");
    assert_eq!(cluster.udp("web", "dns", 53), Allow, "the global policy still lets it ask DNS");
}

#[test]
fn security_platform_and_application_teams_have_a_tier_each() {
    let blocked = "
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: threats, labels: {feed: threats}}
spec: {nets: [203.0.113.0/24]}
";
    let text = [
        blocked.to_owned(),
        tier("security", 100.0, "Pass"),
        tier("platform", 200.0, "Pass"),
        global(
            "security.threats",
            "tier: security\nselector: all()\ntypes: [Ingress, Egress]\ningress:\n- {action: Deny, source: {selector: feed == 'threats'}}\negress:\n- {action: Deny, destination: {selector: feed == 'threats'}}",
        ),
        global(
            "platform.environments",
            "tier: platform\nnamespaceSelector: env == 'prod'\ntypes: [Ingress]\ningress:\n- {action: Deny, source: {namespaceSelector: env == 'dev'}}\n- {action: Pass}",
        ),
        policy(
            "db",
            "selector: app == 'db'\ntypes: [Ingress]\ningress:\n- {action: Allow, protocol: TCP, source: {namespaceSelector: all()}, destination: {ports: [5432]}}",
        ),
    ];
    let cluster = Cluster::with(&text.concat());
    assert_eq!(cluster.tcp("203.0.113.9", "web", 80), Deny, "security comes first");
    assert_eq!(cluster.tcp("web", "203.0.113.9", 443), Deny);
    assert_eq!(cluster.tcp("web", "198.51.100.7", 443), Allow);
    assert_eq!(
        cluster.tcp("devweb", "db", 5432),
        Deny,
        "the platform keeps environments apart, whatever the application allows"
    );
    assert_eq!(cluster.tcp("stranger", "db", 5432), Allow);
    assert_eq!(cluster.tcp("stranger", "db", 22), Deny);
    assert_eq!(cluster.tcp("stranger", "web", 22), Allow, "no application policy selects it");
}

#[test]
fn only_named_service_accounts_reach_the_database() {
    let text = policy(
        "db",
        "serviceAccountSelector: projectcalico.org/name == 'db-robot'\ntypes: [Ingress]\ningress:\n- {action: Allow, protocol: TCP, source: {serviceAccounts: {names: [web-robot, api-robot]}}, destination: {ports: [5432]}}",
    );
    let cluster = Cluster::with(&text);
    assert_eq!(cluster.tcp("web", "db", 5432), Allow);
    assert_eq!(cluster.tcp("devweb", "db", 5432), Deny);
    assert_eq!(cluster.tcp("stranger", "web", 80), Allow);
}

#[test]
fn pods_reach_a_partner_by_its_network_set_and_nothing_else_outside() {
    let text = [
        "---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: partner, namespace: shop, labels: {partner: payment}}
spec: {nets: [198.51.100.0/28, '2001:db8::/64']}
"
        .to_owned(),
        policy(
            "web",
            "selector: app == 'web'\ntypes: [Egress]\negress:\n- {action: Allow, protocol: TCP, destination: {selector: partner == 'payment', ports: [443]}}\n- {action: Allow, destination: {selector: has(app), namespaceSelector: all()}}",
        ),
    ];
    let cluster = Cluster::with(&text.concat());
    assert_eq!(cluster.tcp("web", "198.51.100.7", 443), Allow);
    assert_eq!(cluster.tcp("web", "2001:db8::7", 443), Allow);
    assert_eq!(cluster.tcp("web", "198.51.100.7", 80), Deny);
    assert_eq!(cluster.tcp("web", "198.51.100.17", 443), Deny);
    assert_eq!(cluster.tcp("web", "stranger", 80), Allow);
}

#[test]
fn egress_to_the_internet_without_private_addresses() {
    let text = policy(
        "web",
        "selector: app == 'web'\ntypes: [Egress]\negress:\n- {action: Allow, destination: {notNets: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 'fc00::/7']}}",
    );
    let cluster = Cluster::with(&text);
    assert_eq!(cluster.tcp("web", "198.51.100.7", 443), Allow);
    assert_eq!(cluster.tcp("web", "10.9.9.9", 443), Deny);
    assert_eq!(cluster.tcp("web", "db", 5432), Deny, "nets are about pods as well");
}
