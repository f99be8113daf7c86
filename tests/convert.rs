//! `portcullis convert` as people run it: what it writes does what was there before, or it says where it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command_support;
#[path = "command_support/guides.rs"]
mod guides;

use std::path::Path;

use command_support::{Ran, ok, portcullis, write};
use guides::{FIRST, SECOND};

/// The kinds, and the network on which each is enforced.
const KINDS: [(&str, &str); 3] = [("cilium", "cilium"), ("calico", "calico"), ("clusternetworkpolicy", "upstream")];

fn convert(paths: &[&str], to: &str) -> Ran {
    portcullis(&[&["convert", "--to", to], paths].concat())
}

/// Rows between workloads, as a network reads them; of those from outside only what the kind can say.
fn rows(paths: &[&str], dialect: &str, from_outside: bool) -> Vec<String> {
    let text = ok(&[&["matrix", "-o", "csv", "--dialect", dialect], paths].concat());
    let outside = |row: &&str| row.split(',').next().is_some_and(|src| src.ends_with("[External]"));
    text.lines().filter(|row| from_outside || !outside(row)).map(str::to_owned).collect()
}

#[test]
fn the_guides_have_the_same_matrix_in_every_kind_and_back() {
    let folder = tempfile::tempdir().unwrap();
    for guide in [&FIRST[..], &SECOND] {
        for (kind, dialect) in KINDS {
            let exact = kind != "clusternetworkpolicy";
            let there = convert(guide, kind);
            assert_eq!(there.code, Some(i32::from(!exact)), "{kind}: {}", there.err);
            assert_eq!(there.err.contains("proved: verdicts are equal for "), exact, "{kind}: {}", there.err);
            let file = write(folder.path(), "there.yaml", &there.out);
            assert_eq!(rows(&[guide[0], &file], dialect, exact), rows(guide, dialect, exact), "{kind}");
            let back = convert(&[guide[0], &file], "networkpolicy");
            assert_eq!(back.code, there.code, "{kind}: {}", back.err);
            let file = write(folder.path(), "back.yaml", &back.out);
            assert_eq!(rows(&[guide[0], &file], dialect, true), rows(guide, dialect, true), "back from {kind}");
            assert_eq!(convert(guide, kind).out, there.out, "the same bytes");
        }
    }
}

#[test]
fn the_answer_names_every_point_with_its_field() {
    let ran = convert(&SECOND, "cilium");
    insta::assert_snapshot!("equal", ran.err);
    let ran = convert(&[SECOND[0], "tests/guides/second/allow-external-ingress.yaml"], "cnp");
    insta::assert_snapshot!("different", format!("{}\n{}", ran.err, ran.out));
}

/// Other networks read blocks otherwise; the one to move from can be named.
#[test]
fn moving_from_one_network_to_another_shows_what_changes() {
    let paths = [SECOND[0], "tests/guides/second/allow-external-ingress.yaml"];
    let same = convert(&paths, "cilium");
    assert_eq!(same.code, Some(0), "{}", same.err);
    let moving = portcullis(&[&["convert", "--to", "cilium", "--dialect", "calico"], &paths[..]].concat());
    assert_eq!((moving.code, &moving.out), (Some(1), &same.out));
    assert!(moving.err.contains("from a network of Calico to a network of Cilium"), "{}", moving.err);
    assert!(moving.err.contains("in Cilium it never does\n    tests/guides/second/allow-external-ingress.yaml:16:7"));
}

const CILIUM: &str = "apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
    toPorts: [{ports: [{port: '8080', protocol: TCP}]}]
  ingressDeny:
  - fromEndpoints: [{matchLabels: {app: rogue}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nothing-comes-in, namespace: shop}
spec:
  endpointSelector: {}
  ingress: [{}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: reads-only, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: l7}}
  ingress:
  - fromEndpoints: [{}]
    toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: nodes, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: l7}}
  ingress:
  - fromEntities: [cluster]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: everywhere}
spec:
  endpointSelector: {}
  ingress: [{}]
";

const CALICO: &str = "apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  order: 10
  selector: app == 'web'
  types: [Ingress, Egress]
  ingress:
  - {action: Allow, protocol: TCP, source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16]}}
  - {action: Deny}
  egress:
  - {action: Allow, destination: {selector: \"role in {'db'}\", namespaceSelector: \"team == 'x'\"}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec:
  selector: app == 'api'
  types: [Ingress]
  ingress:
  - {action: Deny, source: {selector: app == 'rogue'}}
  - {action: Allow}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: first, namespace: other}
spec:
  order: 1
  types: [Ingress]
  ingress: [{action: Deny}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: second, namespace: other}
spec:
  order: 2
  types: [Ingress]
  ingress: [{action: Allow, source: {selector: app == 'web'}}]
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: security.tier, namespace: other}
spec: {tier: security, types: [Ingress]}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
---
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: staged, namespace: shop}
spec: {selector: all(), types: [Ingress]}
";

const ADMIN: &str = "apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: monitoring}
spec:
  priority: 5
  subject: {namespaces: {}}
  ingress:
  - {action: Allow, from: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}], ports: [{portNumber: {port: 9090}}]}
  - {action: Pass, from: [{namespaces: {}}]}
---
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
";

fn from_text(folder: &Path, text: &str, to: &str) -> Ran {
    let file = write(folder, "in.yaml", text);
    let mut ran = convert(&[&file], to);
    ran.err = ran.err.replace(&file, "in.yaml");
    ran
}

#[test]
fn what_has_no_counterpart_is_refused_with_its_field_and_the_rest_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for (name, text) in [("Cilium", CILIUM), ("Calico", CALICO)] {
        let ran = from_text(folder.path(), text, "networkpolicy");
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        all += &["# ", name, "\n", &ran.err, "\n", &ran.out, "\n"].concat();
    }
    insta::assert_snapshot!("refused", all);
}

/// Denials of Cilium beat every allow: in kinds with an order they come first.
#[test]
fn denials_come_before_what_others_allow() {
    let folder = tempfile::tempdir().unwrap();
    let calico = from_text(folder.path(), CILIUM, "calico");
    assert!(calico.out.contains("name: api-deny\n  namespace: shop\nspec:\n  order: 900"), "{}", calico.out);
    assert!(calico.out.contains("name: api\n  namespace: shop\nspec:\n  order: 1000"), "{}", calico.out);
    let cluster = from_text(folder.path(), CILIUM, "clusternetworkpolicy");
    for (name, priority) in [("shop-api-deny", 800), ("shop-api", 900), ("shop-nothing-comes-in", 1000)] {
        let head = format!("name: {name}\nspec:\n  tier: Baseline\n  priority: {priority}\n");
        assert!(cluster.out.contains(&head), "{head} in {}", cluster.out);
    }
    assert!(!cluster.out.contains("shop-api-default-deny"), "the namespace is closed as a whole");
}

#[test]
fn the_older_api_of_the_same_project_becomes_the_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let ran = from_text(folder.path(), ADMIN, "cnp");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for part in ["tier: Admin\n  priority: 5\n", "tier: Baseline\n  priority: 1000\n", "action: Accept", "action: Pass"]
    {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    let rules = "  - {action: Allow, from: [{namespaces: {}}]}\n".repeat(26);
    let many = format!(
        "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: many}}\nspec:\n  priority: 1\n  subject: {{namespaces: {{}}}}\n  ingress:\n{rules}"
    );
    let ran = from_text(folder.path(), &many, "cnp");
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("it has 26 rules, and 25 is the most (at spec.ingress)"), "{}", ran.err);
}

/// More than the schema of a ClusterNetworkPolicy has room for, in every way.
#[test]
fn what_is_too_much_for_one_object_becomes_several() {
    let folder = tempfile::tempdir().unwrap();
    let thirty = |one: &dyn Fn(u32) -> String| (0..30).map(one).collect::<Vec<String>>();
    let ports = thirty(&|i| format!("{{port: {}}}", 1000 + 2 * i)).join(", ");
    let peers = thirty(&|i| format!("{{podSelector: {{matchLabels: {{app: a{i}}}}}}}")).join(", ");
    let wide = format!(
        "  - {{to: [{peers}, {{ipBlock: {{cidr: 0.0.0.0/0, except: [10.1.2.3/32, 172.16.5.0/24]}}}}], ports: [{ports}]}}\n"
    );
    let many = thirty(&|i| {
        format!("  - {{to: [{{podSelector: {{matchLabels: {{app: b{i}}}}}}}], ports: [{{port: {}}}]}}\n", 1 + i * 100)
    });
    let many = many.concat();
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: big, namespace: shop}}\nspec:\n  podSelector: {{}}\n  policyTypes: [Egress]\n  egress:\n{wide}{many}"
    );
    let ran = from_text(folder.path(), &text, "clusternetworkpolicy");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("proved: verdicts are equal for "), "{}", ran.err);
    assert!(ran.out.contains("name: shop-big-2\n"), "{}", ran.out);
    for document in ran.out.split("---\n") {
        assert!(document.matches("action: ").count() <= 25, "{document}");
    }
    let there = write(folder.path(), "there.yaml", &ran.out);
    let back = convert(&[&there], "networkpolicy");
    assert_eq!(back.code, Some(0), "{}", back.err);
}

#[test]
fn names_that_are_taken_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api, namespace: shop}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n---\n";
    let ran = from_text(folder.path(), &(policy.to_owned() + CILIUM), "cilium");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("name: api-2\n"), "{}", ran.out);
    assert!(ran.err.contains("; 5 are of that family already, and left as written"), "{}", ran.err);
}

/// Calico's notPorts leave port 0 in, which nothing can be sent to, and which to Cilium is every port.
#[test]
fn all_ports_but_some_are_written_in_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let not_mail = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: not-mail, namespace: shop}\nspec:\n  types: [Egress]\n  egress: [{action: Allow, protocol: TCP, destination: {notPorts: [25, '1000:65535']}}]\n";
    for (to, low, high) in [
        ("networkpolicy", "port: 1 endPort: 24", "port: 26 endPort: 999"),
        ("cilium", "port: \"1\" endPort: 24", "port: \"26\" endPort: 999"),
        ("clusternetworkpolicy", "start: 1 end: 24", "start: 26 end: 999"),
    ] {
        let there = from_text(folder.path(), not_mail, to);
        assert_eq!(there.code, Some(0), "{to}: {}", there.err);
        let flat = there.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(low) && flat.contains(high), "{to}: {}", there.out);
        let back = from_text(folder.path(), &there.out, "calico");
        if to != "clusternetworkpolicy" {
            assert_eq!(back.code, Some(0), "{to}: {}", back.err);
            assert!(back.out.contains("- \"1:24\"\n      - 26:999\n"), "{to}: {}", back.out);
        }
    }
}

/// What names resolve to is not known, so that only the patterns can be held against each other.
#[test]
fn names_of_the_dns_keep_their_meaning_or_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |pattern: &str| {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: out, namespace: shop}}\nspec:\n  endpointSelector: {{}}\n  egress: [{{toFQDNs: [{{matchName: pay.example.com}}, {{matchPattern: '{pattern}'}}]}}]\n"
        )
    };
    let there = from_text(folder.path(), &policy("**.example.org"), "cnp");
    assert_eq!(there.code, Some(0), "{}", there.err);
    assert!(there.err.contains("- Cilium lets names through once it has seen the answers"), "{}", there.err);
    assert!(there.out.contains("- \"*.example.org\"") && there.out.contains("- pay.example.com"), "{}", there.out);
    let back = from_text(folder.path(), &there.out, "cilium");
    assert!(back.out.contains("matchPattern: \"**.example.org\""), "{}{}", back.err, back.out);
    let refused = from_text(folder.path(), &policy("*.example.org"), "cnp");
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
    let why = "`*.example.org` stands for names that no pattern there stands for (at spec.egress[0].toFQDNs[1])";
    assert!(refused.err.contains(why), "{}", refused.err);
}

/// A proof about no pod is none, and so that is said.
#[test]
fn a_policy_that_selects_nobody_is_not_called_proved() {
    let folder = tempfile::tempdir().unwrap();
    let never = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: never, namespace: shop}\nspec: {podSelector: {matchLabels: {a: x}, matchExpressions: [{key: a, operator: NotIn, values: [x]}]}, policyTypes: [Ingress]}\n";
    let ran = from_text(folder.path(), never, "cilium");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("warning: nothing is proved of NetworkPolicy shop/never: no pod was found"),
        "{}",
        ran.err
    );
}

#[test]
fn nothing_is_written_of_what_cannot_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let mixed = CILIUM.to_owned() + "---\n" + CALICO;
    let broken = CALICO.replace("app == 'web'", "app = 'web'");
    for (text, to, why) in [
        ("a: [", "cilium", "in.yaml"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n",
            "cilium",
            "there are no policies in what was read",
        ),
        (CILIUM, "cilium", "nothing is written: there is nothing to convert"),
        (ADMIN, "networkpolicy", "nothing is written: every policy was refused"),
        (
            &broken,
            "networkpolicy",
            "in.yaml:6:13: NetworkPolicy.projectcalico.org shop/web at spec.selector: `app = 'web'` is no selector",
        ),
        (&mixed, "networkpolicy", "which no network enforces together: convert them apart"),
        (CILIUM, "antrea", "possible values: networkpolicy, calico, cilium, clusternetworkpolicy"),
    ] {
        let ran = from_text(folder.path(), text, to);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{why}: {}", ran.err);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
    }
    let ran = convert(&["there-is-no-such-folder"], "cilium");
    assert_eq!(ran.code, Some(2));
    let file = write(folder.path(), "in.yaml", CILIUM);
    let ran = portcullis(&["convert", &file, "--to", "calico", "--dialect", "weave"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("`weave` is no dialect; there are upstream,"), "{}", ran.err);
}

#[test]
fn generated_policies_yield_the_same_matrix_in_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    for guide in [&FIRST[..], &SECOND] {
        for (kind, dialect) in KINDS {
            let exact = kind != "clusternetworkpolicy";
            let ran = portcullis(&[&["generate", "policies", "--kind", kind], guide].concat());
            assert_eq!(ran.code, Some(0), "{kind}: {}", ran.err);
            assert_eq!(ran.err.contains("those from outside of the cluster, which this kind cannot deny"), !exact);
            let file = write(folder.path(), "made.yaml", &ran.out);
            assert_eq!(rows(&[guide[0], &file], dialect, exact), rows(guide, dialect, exact), "{kind}");
        }
    }
    let ran = portcullis(&[&["generate", "policies", "--kind", "cilium", "--dialect", "ovn"], &SECOND[..]].concat());
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("CiliumNetworkPolicies are not enforced by the CNI that --dialect names"), "{}", ran.err);
}

/// The example on the page is what the command prints.
#[test]
fn the_page_shows_what_is_printed() {
    let page = std::fs::read_to_string("docs/convert.md").unwrap();
    let ran = convert(&["examples/shop/payments.yaml", "examples/shop/payments-policies.yaml"], "cilium");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(page.contains(&ran.err), "{}", ran.err);
    let written = ran.out.split("---\n").find(|document| document.contains("metadata:\n  name: fraud\n")).unwrap();
    assert!(page.contains(written.trim_end()), "{written}");
}
