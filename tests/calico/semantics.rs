//! Semantics 2.4, line by line: tiers, order, defaults, and what a rule names.

use portcullis::model::house::Dialect;
use portcullis::model::{Direction, PortSet, Protocol};
use portcullis::reach::{DefaultDeny, Verdict, default_deny};

use crate::world::{Cluster, global, objects, policy, tier};

use Verdict::{Allow, Deny, Depends};

fn denies_by_default(cluster: &Cluster, namespace: &str, direction: Direction) -> bool {
    let state = cluster.0.namespace_or_empty(namespace);
    matches!(default_deny(&cluster.0, &state, direction), DefaultDeny::Present(_))
}

#[test]
fn tiers_decide_in_order_and_the_first_rule_that_matches_wins() {
    // semantics 2.4.1
    let text = [
        tier("security", 10.0, "Deny"),
        tier("platform", 20.0, "Deny"),
        global(
            "security.log-then-pass",
            "tier: security\norder: 1\nselector: app == 'web'\ningress:\n- {action: Log}\n- {action: Deny, protocol: TCP, destination: {ports: [22]}}\n- {action: Pass, protocol: TCP, destination: {ports: [80, 443]}}",
        ),
        global(
            "security.never-reached",
            "tier: security\norder: 2\nselector: app == 'web'\ningress:\n- {action: Allow, protocol: TCP, destination: {ports: [22, 9090]}}",
        ),
        global(
            "platform.web",
            "tier: platform\nselector: app == 'web'\ningress:\n- {action: Allow, protocol: TCP, destination: {ports: [80, 8080]}}",
        ),
    ];
    let cluster = Cluster::with(&text.concat());
    assert_eq!(cluster.tcp("stranger", "web", 22), Deny, "the first match, and Log decides nothing");
    assert_eq!(cluster.tcp("stranger", "web", 9090), Allow, "the second policy of the tier");
    assert_eq!(cluster.tcp("stranger", "web", 80), Allow, "passed to the next tier and allowed there");
    assert_eq!(cluster.tcp("stranger", "web", 443), Deny, "passed, and the default action of the next tier");
    assert_eq!(cluster.tcp("stranger", "web", 8080), Deny, "the default action of the first tier that governs");
    assert_eq!(cluster.tcp("stranger", "db", 22), Allow, "no tier governs this pod");
    assert_eq!(cluster.tcp("web", "db", 22), Allow, "the policies govern ingress alone");
}

#[test]
fn a_tier_that_passes_by_default_hands_on_what_it_does_not_match() {
    // semantics 2.4.1
    let text = [
        tier("security", 10.0, "Pass"),
        global(
            "security.no-ssh",
            "tier: security\nselector: all()\ntypes: [Ingress, Egress]\ningress:\n- {action: Deny, protocol: TCP, destination: {ports: [22]}}",
        ),
    ];
    let cluster = Cluster::with(&text.concat());
    assert_eq!(cluster.tcp("stranger", "web", 22), Deny);
    assert_eq!(cluster.tcp("stranger", "web", 80), Allow);
    assert!(!denies_by_default(&cluster, "shop", Direction::Ingress));
}

#[test]
fn tiers_stand_by_order_then_name_and_three_are_fixed() {
    // semantics 2.4.2
    let text = [
        tier("b-same", 10.0, "Deny"),
        tier("a-same", 10.0, "Deny"),
        "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: unordered}\nspec: {}\n".to_owned(),
        global(
            "b-same.allow",
            "tier: b-same\nnamespaceSelector: env == 'prod'\nselector: app == 'web'\ningress:\n- {action: Allow}",
        ),
        global(
            "a-same.deny",
            "tier: a-same\nnamespaceSelector: env == 'prod'\nselector: app == 'web'\ningress:\n- {action: Deny}",
        ),
        global("unordered.deny", "tier: unordered\nselector: app == 'db'\ningress:\n- {action: Deny}"),
        global("first", "selector: app == 'db'\ningress:\n- {action: Allow}"),
        global(
            "kube-admin.deny",
            "tier: kube-admin\nselector: tier == 'front'\nnamespaceSelector: env == 'dev'\ningress:\n- {action: Deny, protocol: TCP, destination: {ports: [22]}}",
        ),
        global(
            "kube-baseline.deny",
            "tier: kube-baseline\nselector: app == 'other'\ningress:\n- {action: Deny, protocol: TCP, destination: {ports: [22]}}",
        ),
    ];
    let cluster = Cluster::with(&text.concat());
    assert_eq!(cluster.tcp("stranger", "web", 80), Deny, "equal orders go by name");
    assert_eq!(cluster.tcp("stranger", "db", 80), Allow, "a tier without an order is the last");
    assert_eq!(cluster.tcp("stranger", "devweb", 22), Deny);
    assert_eq!(cluster.tcp("stranger", "devweb", 80), Allow, "kube-admin passes by default");
    assert_eq!(cluster.tcp("web", "stranger", 22), Deny);
    assert_eq!(cluster.tcp("web", "stranger", 80), Allow, "kube-baseline passes by default");
}

#[test]
fn policies_stand_by_order_then_name_without_an_order_last() {
    // semantics 2.4.3
    let allow = "ingress:\n- {action: Allow}";
    let deny = "ingress:\n- {action: Deny}";
    let with = |a: &str, b: &str| Cluster::with(&[policy("a", a), policy("b", b)].concat()).tcp("stranger", "web", 80);
    assert_eq!(with(&format!("order: 2\n{allow}"), &format!("order: 1\n{deny}")), Deny);
    assert_eq!(with(&format!("order: -1.5\n{allow}"), &format!("order: 0.5\n{deny}")), Allow);
    assert_eq!(with(allow, &format!("order: 1000000\n{deny}")), Deny, "no order is the last");
    assert_eq!(with(allow, deny), Allow, "equal orders go by name");
}

const KUBERNETES: &str = "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-80, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: 80}]}]
";

#[test]
fn network_policies_stand_at_order_1000_of_the_default_tier() {
    // semantics 2.4.3
    let allow_81 = "ingress:\n- {action: Allow, protocol: TCP, destination: {ports: [81]}}";
    let deny = "ingress:\n- {action: Deny}";
    let after = Cluster::with(&[KUBERNETES.to_owned(), policy("after", &format!("order: 1001\n{allow_81}"))].concat());
    assert_eq!(after.tcp("stranger", "web", 80), Allow);
    assert_eq!(
        after.tcp("stranger", "web", 81),
        Allow,
        "isolation by a NetworkPolicy is the end of the tier, not of order 1000"
    );
    assert_eq!(after.tcp("stranger", "web", 82), Deny);
    let denied = |order: &str| {
        Cluster::with(&[KUBERNETES.to_owned(), policy("deny", &format!("order: {order}\n{deny}"))].concat())
    };
    assert_eq!(denied("999").tcp("stranger", "web", 80), Deny);
    assert_eq!(denied("1001").tcp("stranger", "web", 80), Allow);
}

#[test]
fn a_pod_that_nothing_governs_is_open_by_its_profile() {
    // semantics 2.4.4
    let last_passes = [
        tier("only", 10.0, "Deny"),
        global("only.pass", "tier: only\nselector: app == 'web'\ningress:\n- {action: Pass}"),
    ];
    let cluster = Cluster::with(&last_passes.concat());
    assert_eq!(cluster.tcp("stranger", "web", 80), Allow, "passed out of the last tier");
    assert_eq!(cluster.tcp("stranger", "db", 80), Allow, "no policy at all");
}

#[test]
fn types_that_are_absent_follow_the_rules_that_are_there() {
    // semantics 2.4.5
    let governed = |spec: &str| {
        let cluster = Cluster::with(&policy("p", spec));
        Direction::BOTH.map(|direction| denies_by_default(&cluster, "shop", direction))
    };
    assert_eq!(governed("selector: all()"), [true, false]);
    assert_eq!(governed("ingress: [{action: Deny}]"), [true, false]);
    assert_eq!(governed("egress: [{action: Deny}]"), [false, true], "Kubernetes would add Ingress");
    assert_eq!(governed("ingress: [{action: Deny}]\negress: [{action: Deny}]"), [true, true]);
    assert_eq!(governed("types: [Egress]\ningress: [{action: Deny}]"), [false, true]);
    assert_eq!(governed("types: [Ingress, Egress]"), [true, true]);
    let flagged = objects(&policy("p", "selector: all()\negress: []"));
    assert_eq!(flagged[0].unread()[0].at.as_str(), "spec.egress");
    assert!(flagged[0].unread()[0].what.contains("Write types"), "{:?}", flagged[0].unread());
}

#[test]
fn a_policy_is_for_its_own_namespace_and_a_global_one_for_all() {
    // semantics 2.4.6
    let own = Cluster::with(&policy("web", "selector: app == 'web'\ningress: [{action: Deny}]"));
    assert_eq!((own.tcp("db", "web", 80), own.tcp("db", "devweb", 80)), (Deny, Allow));
    let all = Cluster::with(&global("web", "selector: app == 'web'\ningress: [{action: Deny}]"));
    assert_eq!((all.tcp("db", "web", 80), all.tcp("db", "devweb", 80)), (Deny, Deny));
    let prod = Cluster::with(&global(
        "web",
        "namespaceSelector: env == 'prod'\nselector: app == 'web'\ningress: [{action: Deny}]",
    ));
    assert_eq!((prod.tcp("db", "web", 80), prod.tcp("db", "devweb", 80)), (Deny, Allow));
    let named =
        Cluster::with(&global("dev", "namespaceSelector: projectcalico.org/name == 'dev'\ningress: [{action: Deny}]"));
    assert_eq!((named.tcp("db", "web", 80), named.tcp("db", "devweb", 80)), (Allow, Deny));
    let everyone = Cluster::with(&global("pods", "namespaceSelector: all()\ntypes: [Ingress, Egress]"));
    for namespace in ["shop", "dev", "far", "not-there-yet"] {
        assert!(Direction::BOTH.iter().all(|d| denies_by_default(&everyone, namespace, *d)), "{namespace}");
    }
    let robot = Cluster::with(&global(
        "robot",
        "serviceAccountSelector: projectcalico.org/name == 'db-robot'\nselector: has(app)\ningress: [{action: Deny}]",
    ));
    assert_eq!((robot.tcp("stranger", "db", 80), robot.tcp("stranger", "web", 80)), (Deny, Allow));
}

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

#[test]
fn policies_for_host_endpoints_never_count_for_pods() {
    // semantics 2.4.13
    let deny = "selector: all()\ntypes: [Ingress]\napplyOnForward: true\n";
    for flag in ["doNotTrack: true", "preDNAT: true"] {
        let cluster = Cluster::with(&global("host", &format!("{deny}{flag}\ningress: [{{action: Deny}}]")));
        assert_eq!(cluster.tcp("stranger", "web", 80), Allow, "{flag}");
        assert!(!denies_by_default(&cluster, "shop", Direction::Ingress), "{flag}");
    }
    // A pod that the selector matches is not let off for certain either: Calico applies such a policy to both.
    let forward = Cluster::with(&global("host", &format!("{deny}ingress: [{{action: Deny, protocol: TCP}}]")));
    assert_eq!((forward.tcp("stranger", "web", 80), forward.udp("stranger", "web", 80)), (Depends, Allow));
    assert!(!denies_by_default(&forward, "shop", Direction::Ingress), "never a default deny");
    let nodes =
        Cluster::with(&global("host", "selector: has(node-role)\napplyOnForward: true\ningress: [{action: Deny}]"));
    assert_eq!(nodes.tcp("stranger", "web", 80), Allow);
}

#[test]
fn staged_policies_are_never_enforced() {
    // semantics 2.4.14
    for (kind, spec) in [
        ("StagedNetworkPolicy", "{types: [Ingress], ingress: [{action: Deny}]}"),
        ("StagedGlobalNetworkPolicy", "{namespaceSelector: all(), types: [Ingress], stagedAction: Set}"),
        ("StagedKubernetesNetworkPolicy", "{podSelector: {}, policyTypes: [Ingress], stagedAction: Set}"),
    ] {
        let text =
            format!("---\napiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: p}}\nspec: {spec}\n");
        let cluster = Cluster::with(&text);
        assert_eq!(cluster.tcp("stranger", "web", 80), Allow, "{kind}");
        assert!(!denies_by_default(&cluster, "shop", Direction::Ingress), "{kind}");
    }
    let text = [
        tier("only-staged", 1.0, "Deny"),
        global("only-staged.p", "tier: only-staged").replace("GlobalNetworkPolicy", "StagedGlobalNetworkPolicy"),
    ];
    assert_eq!(Cluster::with(&text.concat()).tcp("stranger", "web", 80), Allow, "its tier contributes nothing");
}

#[test]
fn what_addresses_and_ports_do_not_say_is_kept_as_a_condition() {
    // semantics 2.4.15
    let rule = |rule: &str| {
        Cluster::with(&global(
            "p",
            &format!("selector: app == 'db'\ningress:\n- {{{rule}}}\n- {{action: Allow, protocol: UDP}}"),
        ))
    };
    let http = rule(
        "action: Allow, protocol: TCP, http: {methods: [GET], paths: [{prefix: /v1}]}, destination: {ports: [80]}",
    );
    assert_eq!(http.tcp("web", "db", 80), Allow, "open, and filtered inside");
    let icmp = rule("action: Deny, protocol: ICMP, icmp: {type: 8}");
    assert_eq!((icmp.tcp("web", "db", 80), icmp.udp("web", "db", 80)), (Deny, Allow));
    let bounds = icmp.bounds("web", "db");
    assert!(!bounds.certain.has_other());
    let allow_icmp = rule("action: Allow, protocol: ICMP").bounds("web", "db");
    assert!(
        !allow_icmp.certain.has_other() && allow_icmp.possible.has_other(),
        "other protocols than ICMP stay closed"
    );
    assert!(!allow_icmp.possible.contains(Protocol::Tcp, 80));
    let number = rule("action: Allow, protocol: 17");
    assert_eq!(number.udp("web", "db", 53), Allow);
    let four = rule("action: Allow, ipVersion: 4, protocol: TCP");
    assert_eq!((four.tcp("198.51.100.7", "db", 80), four.tcp("2001:db8::1", "db", 80)), (Allow, Deny));
    assert_eq!(four.tcp("web", "db", 80), Depends, "which families pods have is not known");
}

#[test]
fn one_object_seen_through_both_groups_is_one_object() {
    // semantics 2.4.16
    let served = policy("web", "selector: app == 'web'\ningress: [{action: Deny}]");
    let stored =
        served.replace("projectcalico.org/v3", "crd.projectcalico.org/v1").replace("name: web", "name: default.web");
    let ids: Vec<String> = objects(&[served, stored].concat()).iter().map(|o| o.id().to_string()).collect();
    assert_eq!(ids[0], ids[1]);
    let kubernetes = &objects(KUBERNETES)[0];
    assert_ne!(kubernetes.id().to_string(), ids[0], "and never one with a NetworkPolicy of Kubernetes");
    assert!(Dialect::ALL.contains(&Dialect::Calico) && !PortSet::full().is_empty());
}
