//! What cannot be read is said, with its place and the nearest name, and counts on the safe side: an allow allows nothing, a
//! deny denies as broadly as it could, a subject isolates nobody.

use portcullis::model::house::Dialect;
use portcullis::model::{Direction, Object};
use portcullis::reach::{DefaultDeny, Verdict, default_deny};

use crate::world::{Cluster, global, objects, policy, tier};

use Verdict::{Allow, Deny, Depends};

fn said(text: &str) -> Vec<String> {
    let list = objects(text);
    list.iter().flat_map(Object::unread).map(|unread| format!("{}: {}", unread.at, unread.what)).collect()
}

fn in_rule(rule: &str) -> Vec<String> {
    said(&global("p", &format!("ingress:\n- {{{rule}}}")))
}

#[test]
fn every_slip_is_told_with_its_place() {
    let rule = "the rule is taken as allowing nothing";
    for (rule_text, expected) in [
        ("action: Alow", "spec.ingress[0].action: `Alow` is no action; there are Allow, Deny, Pass and Log; did you mean `Allow`?; the rule is taken as one that may deny whatever it may mean".to_owned()),
        ("protocol: TCP", "spec.ingress[0].action: a rule needs an action: Allow, Deny, Pass or Log; the rule is taken as one that may deny whatever it may mean".to_owned()),
        ("action: Allow, source: {selector: \"role = 'db'\"}", format!("spec.ingress[0].source.selector: `role = 'db'` is no selector: column 6: expected `==`, found `=`; {rule}")),
        ("action: Allow, source: {selector: global()}", format!("spec.ingress[0].source.selector: global() belongs into a namespaceSelector of a rule only; {rule}")),
        ("action: Allow, source: {nets: [10.0.0.0/33]}", format!("spec.ingress[0].source.nets[0]: `10.0.0.0/33` is not a CIDR block: the prefix is longer than the address; {rule}")),
        ("action: Allow, destination: {ports: [80]}", format!("spec.ingress[0].destination.ports: ports need protocol TCP, UDP or SCTP; {rule}")),
        ("action: Allow, protocol: ICMP, destination: {ports: [80]}", format!("spec.ingress[0].destination.ports: ports need protocol TCP, UDP or SCTP; {rule}")),
        ("action: Allow, protocol: TCP, destination: {ports: ['90:80']}", format!("spec.ingress[0].destination.ports[0]: the range 90:80 ends before it starts; {rule}")),
        ("action: Allow, protocol: TCP, destination: {ports: [70000]}", format!("spec.ingress[0].destination.ports[0]: `70000` is no port from 0 to 65535; {rule}")),
        ("action: Allow, protocol: TPC", format!("spec.ingress[0].protocol: `TPC` is no protocol; there are TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite and the numbers 1 to 255; {rule}")),
        ("action: Allow, protocol: 256", format!("spec.ingress[0].protocol: `256` is no protocol; there are TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite and the numbers 1 to 255; {rule}")),
        ("action: Allow, source: {services: {name: a, namespace: b}, selector: all()}", format!("spec.ingress[0].source.selector: selector and services exclude each other; {rule}")),
        ("action: Allow, protocol: TCP, destination: {services: {name: a, namespace: b}, ports: [80]}", format!("spec.ingress[0].destination.ports: ports and services exclude each other; {rule}")),
        ("action: Allow, source: {services: {name: a}}", format!("spec.ingress[0].source.services: a policy without a namespace needs that of the Service; {rule}")),
        ("action: Allow, source: {selectors: all()}", format!("spec.ingress[0].source.selectors: there is no such field; did you mean `selector`?; {rule}")),
        ("action: Allow, sources: {}", format!("spec.ingress[0].sources: there is no such field; did you mean `source`?; {rule}")),
        ("action: Allow, icmp: {type: 8}", format!("spec.ingress[0].icmp: it needs protocol ICMP or ICMPv6; {rule}")),
        ("action: Allow, protocol: ICMP, icmp: {code: 8}", format!("spec.ingress[0].icmp.code: a code needs a type; {rule}")),
        ("action: Allow, ipVersion: 5", format!("spec.ingress[0].ipVersion: an IP version is 4 or 6; {rule}")),
        ("action: Allow, http: {paths: [{}]}", format!("spec.ingress[0].http.paths[0]: a path is either exact or a prefix; {rule}")),
        ("action: Deny, http: {}", "spec.ingress[0].http: http is for rules that allow; the rule is taken as denying whatever it may mean".to_owned()),
        ("action: Allow, source: 7", format!("spec.ingress[0].source: a number where an object belongs; {rule}")),
    ] {
        assert_eq!(in_rule(rule_text), [expected], "{rule_text}");
    }
    let subject = "the policy is taken as isolating no pod and allowing nothing";
    for (spec, expected) in [
        ("selector: has(", format!("spec.selector: `has(` is no selector: column 5: expected the name of a label, found the end; {subject}")),
        ("order: first", "spec.order: text where a number belongs; its place is unknown: it allows nothing, and what it denies may come first".to_owned()),
        ("types: [Ingres]", "spec.types[0]: `Ingres` is no type; there are Ingress and Egress; did you mean `Ingress`?; ignored".to_owned()),
        ("selektor: all()", format!("spec.selektor: there is no such field; did you mean `selector`?; {subject}")),
        ("namespaceSelector: global()", format!("spec.namespaceSelector: global() belongs into a namespaceSelector of a rule only; {subject}")),
        ("doNotTrack: true", "spec.applyOnForward: preDNAT and doNotTrack need applyOnForward: true; the policy is for no pod".to_owned()),
    ] {
        assert_eq!(said(&global("p", spec)), [expected], "{spec}");
    }
    let sets = "---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\nmetadata: {name: s}\nspec: {nets: [10.0.0.0/8, nonsense]}\n";
    assert_eq!(said(sets), ["spec.nets[1]: `nonsense` is not a CIDR block: no /prefix; it is not in the set"]);
    assert_eq!(
        said(&tier("t", 1.0, "Allow")),
        ["spec.defaultAction: `Allow` is no default action; there are Deny and Pass; taken as Deny"]
    );
}

#[test]
fn an_allow_of_which_a_part_is_unread_allows_nothing() {
    for rule in [
        "action: Allow, source: {selector: \"app =\"}",
        "action: Allow, source: {nets: [10.0.0.0/8, x]}",
        "action: Allow, protocol: TCP, destination: {ports: [eighty?]}",
        "action: Allow, unknown: true",
    ] {
        let cluster = Cluster::with_bad(&policy("p", &format!("selector: app == 'db'\ningress:\n- {{{rule}}}")));
        assert_eq!(cluster.tcp("web", "db", 80), Deny, "{rule}");
    }
}

#[test]
fn a_deny_of_which_a_part_is_unread_may_deny_whatever_it_could_mean() {
    let verdicts = |rule: &str| {
        let cluster = Cluster::with_bad(&policy(
            "p",
            &format!("selector: app == 'db'\ningress:\n- {{{rule}}}\n- {{action: Allow}}"),
        ));
        (cluster.tcp("web", "db", 80), cluster.tcp("devweb", "db", 80), cluster.udp("web", "db", 80))
    };
    assert_eq!(verdicts("action: Deny, source: {selector: \"app =\"}"), (Depends, Depends, Depends));
    assert_eq!(verdicts("action: Deny, protocol: TCP, source: {selector: \"app =\"}"), (Depends, Depends, Allow));
    assert_eq!(
        verdicts("action: Deny, protocol: TCP, source: {nets: [10.0.0.0/24], selectr: x}"),
        (Depends, Allow, Allow)
    );
    assert_eq!(verdicts("action: Dney, protocol: UDP"), (Allow, Allow, Depends));
}

#[test]
fn a_pass_of_which_a_part_is_unread_settles_nothing() {
    let text = [
        tier("first", 1.0, "Deny"),
        global(
            "first.p",
            "tier: first\nselector: app == 'db'\ningress:\n- {action: Pass, protocol: TCP, source: {selector: \"app =\"}}\n- {action: Deny}",
        ),
        global("p", "selector: app == 'db'\ningress:\n- {action: Allow}"),
    ];
    let cluster = Cluster::with_bad(&text.concat());
    assert_eq!((cluster.tcp("web", "db", 80), cluster.udp("web", "db", 80)), (Depends, Deny));
}

#[test]
fn a_subject_that_cannot_be_read_isolates_nobody_and_allows_nothing() {
    let cluster = Cluster::with_bad(&global(
        "p",
        "selector: app =\ntypes: [Ingress]\ningress:\n- {action: Allow, protocol: TCP}\n- {action: Deny, protocol: UDP}",
    ));
    assert_eq!((cluster.tcp("web", "db", 80), cluster.udp("web", "db", 80)), (Allow, Depends));
    let shop = cluster.0.namespace_or_empty("shop");
    assert!(matches!(default_deny(&cluster.0, &shop, Direction::Ingress, Dialect::Calico), DefaultDeny::Missing(_)));
}

#[test]
fn a_policy_by_labels_of_service_accounts_is_no_proof() {
    let cluster = Cluster::with(&global(
        "p",
        "serviceAccountSelector: role == 'x'\ntypes: [Ingress]\ningress:\n- {action: Allow, protocol: TCP}",
    ));
    assert_eq!((cluster.tcp("web", "db", 80), cluster.udp("web", "db", 80)), (Depends, Depends));
    let shop = cluster.0.namespace_or_empty("shop");
    assert!(matches!(default_deny(&cluster.0, &shop, Direction::Ingress, Dialect::Calico), DefaultDeny::Missing(_)));
}

#[test]
fn a_place_that_cannot_be_read_may_be_the_first() {
    let text = [
        global("a", "order: 1\nselector: app == 'db'\ningress:\n- {action: Allow}"),
        global("b", "order: soon\nselector: app == 'db'\ningress:\n- {action: Deny, protocol: UDP}\n- {action: Allow}"),
    ];
    let cluster = Cluster::with_bad(&text.concat());
    assert_eq!(cluster.udp("web", "db", 80), Depends);
    assert_eq!(cluster.tcp("web", "stranger", 80), Allow);
}

#[test]
fn a_tier_that_does_not_exist_neither_allows_nor_denies() {
    let orphan =
        global("gone.p", "tier: gone\nnamespaceSelector: all()\ntypes: [Ingress, Egress]\ningress:\n- {action: Deny}");
    let cluster = Cluster::with(&orphan);
    assert_eq!(cluster.tcp("web", "db", 80), Allow);
    let shop = cluster.0.namespace_or_empty("shop");
    assert!(matches!(default_deny(&cluster.0, &shop, Direction::Ingress, Dialect::Calico), DefaultDeny::Missing(_)));
    let there = Cluster::with(&[orphan, tier("gone", 5.0, "Deny")].concat());
    assert_eq!(there.tcp("web", "db", 80), Deny);
}
