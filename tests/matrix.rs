//! `portcullis matrix` and `portcullis reach` as people and scripts run them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command_support;

use command_support::{ok, portcullis, write};
use serde_json::Value;

const FIRST: &str = "tests/guides/first";

fn pod(namespace: &str, name: &str, labels: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: {{{labels}}}\n{more}spec:\n  containers:\n  - name: main\n---\n"
    )
}

fn owned(kind: &str, name: &str) -> String {
    format!("  ownerReferences:\n  - {{apiVersion: apps/v1, kind: {kind}, name: {name}, uid: u, controller: true}}\n")
}

fn allow(name: &str, subject: &str, peer: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  podSelector: {{matchLabels: {{{subject}}}}}\n  ingress:\n  - from:\n    - podSelector: {{matchLabels: {{{peer}}}}}\n---\n"
    )
}

#[test]
fn rows_are_those_of_the_guide_and_always_the_same_bytes() {
    let args = ["matrix", FIRST, "-o", "json", "--dialect", "cilium", "--namespace", "myapp-staging", "--port", "8080"];
    let text = ok(&args);
    assert_eq!(text, ok(&args));
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let shown: Vec<String> = rows
        .iter()
        .map(|r| {
            format!("{} {} {}", r["src"].as_str().unwrap(), r["dst"].as_str().unwrap(), r["conn"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        shown,
        [
            // The guide's Cilium policy opens these two, for the paths that it names.
            "myapp-staging/my-web-client[Deployment] myapp-staging/myapp-api[Deployment] TCP 8080",
            "myapp-staging/my-web-client[Deployment] myapp-staging/test-client[Pod] TCP 8080",
            "traefik-system/traefik[Deployment] myapp-staging/my-web-client[Deployment] TCP 8080",
            "traefik-system/traefik[Deployment] myapp-staging/myapp-api[Deployment] TCP 8080",
            "traefik-system/traefik[Deployment] myapp-staging/test-client[Pod] TCP 8080",
        ]
    );
    assert!(text.starts_with("[\n  {\"src\":\"myapp-staging/"), "one row on a line: {text}");
    let filtered: Vec<bool> = rows.iter().map(|r| r["filtered"] == "TCP 8080").collect();
    assert_eq!(filtered, [true, true, false, false, false]);
    let csv = ok(&["matrix", FIRST, "-o", "csv", "--from", "myapp-staging/my-web-client", "--port", "8080"]);
    assert!(csv.starts_with("src,dst,conn,depends,filtered,entry\n"), "{csv}");
    assert!(csv.contains("myapp-staging/myapp-api[Deployment],TCP 8080,,TCP 8080,\n"), "{csv}");
    let table = ok(&["matrix", FIRST, "--from", "myapp-staging/my-web-client", "--port", "8080"]);
    assert!(table.contains("TCP 8080   filtered: TCP 8080"), "{table}");
}

#[test]
fn address_ranges_are_cut_where_policies_cut_them() {
    let text = ok(&[
        "matrix",
        FIRST,
        "-o",
        "csv",
        "--from",
        "myapp-staging/myapp-workers",
        "--to",
        "world",
        "--dialect",
        "calico",
    ]);
    assert_eq!(
        text,
        "src,dst,conn,depends,filtered,entry\n\
         myapp-staging/myapp-workers[Deployment],0.0.0.0-9.255.255.255[External],TCP 443,,,\n\
         myapp-staging/myapp-workers[Deployment],11.0.0.0-172.15.255.255[External],TCP 443,,,\n\
         myapp-staging/myapp-workers[Deployment],172.32.0.0-192.167.255.255[External],TCP 443,,,\n\
         myapp-staging/myapp-workers[Deployment],192.169.0.0-255.255.255.255[External],TCP 443,,,\n"
    );
    let part = ok(&[
        "matrix",
        FIRST,
        "-o",
        "csv",
        "--from",
        "myapp-staging/myapp-workers",
        "--to",
        "8.0.0.0/5",
        "--dialect",
        "calico",
    ]);
    let ranges: Vec<&str> = part.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(ranges, ["11.0.0.0-15.255.255.255[External]", "8.0.0.0-9.255.255.255[External]"]);
}

#[test]
fn pods_are_named_by_their_owner_and_told_apart_only_where_policies_do() {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = String::new();
    for (name, track) in [("web-1", "stable"), ("web-2", "stable"), ("web-3", "canary")] {
        let labels = format!("app: web, track: {track}, pod-template-hash: abc");
        objects += &pod("shop", name, &labels, &owned("ReplicaSet", "web-abc"));
    }
    objects += &pod("shop", "alone", "app: alone", "");
    let alike = write(folder.path(), "alike.yaml", &(objects.clone() + &allow("web", "app: web", "app: alone")));
    let rows = ok(&["matrix", &alike, "-o", "csv", "--from", "shop/alone"]);
    assert!(rows.contains("shop/alone[Pod],shop/web[Deployment],All Connections,,,\n"), "{rows}");

    let apart = write(folder.path(), "apart.yaml", &(objects + &allow("canary", "track: canary", "app: nobody")));
    let ran = portcullis(&["matrix", &apart, "-o", "csv", "--from", "shop/alone", "--all"]);
    assert!(ran.out.contains("shop/alone[Pod],shop/web (track=canary)[Deployment],No Connections,,,\n"), "{}", ran.out);
    assert!(
        ran.out.contains("shop/alone[Pod],shop/web (track=stable)[Deployment],All Connections,,,\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.err.contains("Deployment shop/web is shown as 2 rows: policies tell its pods apart by track"),
        "{}",
        ran.err
    );
}

#[test]
fn pods_to_come_have_rows_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let objects = pod("shop", "api", "app: api", "") + &allow("api", "app: api", "app: not-yet");
    let path = write(folder.path(), "all.yaml", &objects);
    let rows = ok(&["matrix", &path, "-o", "csv", "--to", "shop/api", "--representative", "--all"]);
    assert!(rows.contains("shop/{app=not-yet}[Representative],shop/api[Pod],All Connections,,,\n"), "{rows}");
    assert!(rows.contains("shop/any-other-pod[Representative],shop/api[Pod],No Connections,,,\n"), "{rows}");
}

#[test]
fn a_change_shows_what_it_adds_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let pods = ["a", "b", "c"].map(|name| pod("shop", name, &format!("app: {name}"), "")).concat();
    let old = write(folder.path(), "old.yaml", &(pods.clone() + &allow("in", "app: a", "app: b")));
    let new = write(folder.path(), "new.yaml", &(pods + &allow("in", "app: a", "app: c")));
    let args = ["matrix", &new, "--against", &old, "--to", "shop/a"];
    assert_eq!(
        ok(&[&args[..], &["-o", "csv"]].concat()),
        "change,src,dst,conn,depends,filtered,entry\n-,shop/b[Pod],shop/a[Pod],All Connections,,,\n+,shop/c[Pod],shop/a[Pod],All Connections,,,\n"
    );
    let json: Value = serde_json::from_str(&ok(&[&args[..], &["-o", "json"]].concat())).unwrap();
    assert_eq!(json["added"][0]["src"], "shop/c[Pod]");
    assert_eq!(json["removed"][0]["src"], "shop/b[Pod]");
    let table = ok(&args);
    assert!(table.contains("+ shop/c[Pod]") && table.contains("- shop/b[Pod]"), "{table}");
    assert_eq!(ok(&["matrix", &new, "--against", &new]), "no connection is added or removed\n");
}

#[test]
fn the_graph_is_one_that_graphviz_reads() {
    let dot = ok(&["matrix", FIRST, "-o", "dot", "--namespace", "myapp-staging"]);
    assert!(dot.starts_with("digraph matrix {") && dot.ends_with("}\n"));
    assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    assert!(dot.contains(
        "\"myapp-staging/myapp-api[Deployment]\" -> \"data-layer/postgresql[StatefulSet]\" [label=\"TCP 5432\"];"
    ));
}

/// The first guide without its Cilium policies, which open what its NetworkPolicies keep shut.
const BY_NETWORK_POLICY: [&str; 5] = [
    "tests/guides/first/workloads.yaml",
    "tests/guides/first/default-deny-all.yaml",
    "tests/guides/first/default-deny-ingress.yaml",
    "tests/guides/first/myapp-api-network-policy.yaml",
    "tests/guides/first/my-web-client-network-policy.yaml",
];

fn web_to_api<'a>(files: &[&'a str], more: &[&'a str]) -> String {
    let asked = ["--from", "myapp-staging/my-web-client", "--to", "myapp-staging/myapp-api", "--port", "8080/TCP"];
    ok(&[&["reach"], files, &asked, more].concat())
}

#[test]
fn reach_names_the_rules_with_their_lines() {
    let text = web_to_api(&BY_NETWORK_POLICY, &["-o", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["verdict"], "Deny");
    assert_eq!(json["connections"], "No Connections");
    assert_eq!((&json["egress"]["verdict"], &json["ingress"]["verdict"]), (&"Allow".into(), &"Deny".into()));
    let step = &json["egress"]["decidedBy"][0];
    assert_eq!(step["policy"]["name"], "my-web-client-allow");
    assert_eq!(step["path"], "spec.egress[0]");
    assert_eq!(step["file"], "tests/guides/first/my-web-client-network-policy.yaml");
    assert_eq!(step["line"], 25);
    assert!(json["ingress"]["decidedBy"].as_array().unwrap().iter().all(|s| s["action"] == "Isolate"));
    assert!(json["fix"]["policies"].as_str().unwrap().contains("app.kubernetes.io/name: my-web-client"));
}

#[test]
fn what_layer_7_rules_let_through_is_shown_as_filtered() {
    let l7 = "tests/guides/first/myapp-api-l7.yaml";
    let files = [&BY_NETWORK_POLICY[..], &[l7]].concat();
    let json: Value = serde_json::from_str(&web_to_api(&files, &["-o", "json"])).unwrap();
    assert_eq!((&json["verdict"], &json["filtered"]), (&"Allow".into(), &"TCP 8080".into()));
    let step = &json["ingress"]["decidedBy"][0];
    assert_eq!(step["policy"]["kind"], "CiliumNetworkPolicy");
    assert_eq!((&step["path"], &step["file"]), (&"spec.ingress[0]".into(), &l7.into()));
    assert_eq!(step["filtered"], "HTTP GET /api/documents.*, POST /api/documents, GET /health.*");
    let text = web_to_api(&files, &[]);
    assert!(text.starts_with("Allow, filtered: Deployment myapp-staging/my-web-client to "), "{text}");
    assert!(text.contains("CiliumNetworkPolicy myapp-staging/myapp-api-l7 ingress[0] allows TCP 8080"), "{text}");
    assert!(text.contains("filtered by HTTP GET /api/documents.*"), "{text}");
}

#[test]
fn kinds_that_are_not_read_are_never_passed_over_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let other = "apiVersion: cilium.io/v2\nkind: CiliumEgressGatewayPolicy\nmetadata:\n  name: gateway\n";
    let path = write(folder.path(), "other.yaml", other);
    let files = [&BY_NETWORK_POLICY[..], &[&path]].concat();
    let text = web_to_api(&files, &[]);
    assert!(text.contains("CiliumEgressGatewayPolicy of cilium.io/v2 is a policy kind that is not read"), "{text}");
}

#[test]
fn a_pod_on_the_host_network_is_said_to_be_beyond_policies() {
    let folder = tempfile::tempdir().unwrap();
    let host = pod("shop", "exporter", "app: exporter", "").replace("spec:\n", "spec:\n  hostNetwork: true\n");
    let objects = host + &pod("shop", "api", "app: api", "") + &allow("api", "app: api", "app: nobody");
    let path = write(folder.path(), "all.yaml", &objects);
    let out = ok(&["reach", &path, "--from", "shop/exporter", "--to", "shop/api", "--port", "80"]);
    assert!(out.starts_with("Depends: "), "{out}");
    assert!(out.contains("one end is on its node's network") && out.contains("policies do not apply"), "{out}");
}

#[test]
fn the_address_of_a_pod_is_that_pod() {
    let folder = tempfile::tempdir().unwrap();
    let addressed = |name: &str, address: &str| {
        pod("shop", name, &format!("app: {name}"), "").replace(
            "---\n",
            &format!("status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}\n---\n"),
        )
    };
    let objects =
        addressed("web", "10.1.0.2") + &addressed("api", "10.1.0.3") + &allow("api", "app: api", "app: nobody");
    let path = write(folder.path(), "all.yaml", &objects);
    let verdict = |from: &str, to: &str| {
        let out = ok(&["reach", &path, "--from", from, "--to", to, "--port", "80"]);
        (out.split(':').next().unwrap().to_owned(), out)
    };
    for (from, to) in [("shop/web", "shop/api"), ("shop/web", "10.1.0.3"), ("10.1.0.2/32", "10.1.0.3")] {
        let (verdict, out) = verdict(from, to);
        assert_eq!(verdict, "Deny", "{out}");
        assert_eq!(out.contains(&format!("{to} is the address of Pod shop/api")), to != "shop/api", "{out}");
    }
    let (verdict, out) = verdict("shop/web", "10.1.0.4");
    assert_eq!(verdict, "Allow", "{out}");
    assert!(!out.contains("is the address of"), "{out}");
}

#[test]
fn mistakes_are_answered_with_what_was_meant() {
    for (args, why) in [
        (vec!["--from", "myapp-staging/myapp-ap", "--to", "world"], "did you mean myapp-staging/myapp-api?"),
        (vec!["--from", "myapp/myapp-api", "--to", "world"], "did you mean myapp-staging/myapp-api?"),
        (vec!["--from", "postgresql", "--to", "world"], "NAMESPACE/NAME"),
        (vec!["--from", "10.0.0.0/33", "--to", "world"], "longer than the address"),
        (vec!["--from", "1.2.3.4", "--to", "world"], "neither end is a pod"),
        (vec!["--from", "ai/ollama", "--to", "world", "--port", "http"], "write 5432/TCP"),
        (vec!["--from", "ai/ollama", "--to", "world", "--dialect", "weave"], "there are upstream, calico"),
    ] {
        let ran = portcullis(&[&["reach", FIRST], args.as_slice()].concat());
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
}
