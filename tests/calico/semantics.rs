//! Semantics 2.4, line by line: tiers, order, defaults, and what is never enforced. Whom a rule names is in `peers`.

use portcullis::model::house::Dialect;
use portcullis::model::{Direction, PortSet, Protocol};
use portcullis::reach::{DefaultDeny, Verdict, default_deny};

use crate::world::{Cluster, global, objects, policy, tier};

use Verdict::{Allow, Deny, Depends};

fn denies_by_default(cluster: &Cluster, namespace: &str, direction: Direction) -> bool {
    let state = cluster.0.namespace_or_empty(namespace);
    matches!(default_deny(&cluster.0, &state, direction, Dialect::Calico), DefaultDeny::Present(_))
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
