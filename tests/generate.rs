//! `portcullis generate` as people run it: what it writes does what was asked for, or it says why it cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command_support;
#[path = "command_support/guides.rs"]
mod guides;

use std::path::Path;

use command_support::{Ran, ok, portcullis, write};
use guides::{FIRST, SECOND};

fn rows(paths: &[&str]) -> String {
    ok(&[&["matrix", "-o", "json"], paths].concat())
}

#[test]
fn policies_for_the_guides_yield_their_matrices() {
    let folder = tempfile::tempdir().unwrap();
    for guide in [&FIRST[..], &SECOND] {
        let policies = ok(&[&["generate", "policies"], guide].concat());
        let file = write(folder.path(), "policies.yaml", &policies);
        assert_eq!(rows(&[guide[0], &file]), rows(guide));
        assert_eq!(policies.matches("name: default-deny-all").count(), policies.matches("name: allow-dns").count());
        // Made again from what they yield they are the same: the least there is.
        assert_eq!(ok(&["generate", "policies", guide[0], &file]), policies);
    }
}

fn shop(pods: &[(&str, &str)]) -> String {
    let pod = |(name, labels): &(&str, &str)| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec: {{containers: [{{name: main}}]}}\n---\n"
        )
    };
    pods.iter().map(pod).collect()
}

fn row(src: &str, dst: &str, conn: &str) -> String {
    format!("{{\"src\": \"{src}\", \"dst\": \"{dst}\", \"conn\": \"{conn}\"}}")
}

fn made(folder: &Path, pods: &[(&str, &str)], rows: &[String]) -> Ran {
    let pods = write(folder, "pods.yaml", &shop(pods));
    let matrix = write(folder, "wanted.json", &format!("[{}]", rows.join(",")));
    portcullis(&["generate", "policies", &pods, "--matrix", &matrix])
}

#[test]
fn a_matrix_that_was_edited_is_made_true() {
    let folder = tempfile::tempdir().unwrap();
    let pods = [("web", "app: web, tier: front"), ("admin", "app: web, tier: back"), ("db", "")];
    let wanted = [
        row("shop/web[Pod]", "shop/db[Pod]", "TCP 5432,8000-8010,UDP 53"),
        row("shop/web[Pod]", "0.0.0.0-9.255.255.255[External]", "TCP 443"),
        row("shop/web[Pod]", "11.0.0.0-255.255.255.255[External]", "TCP 443"),
        row("shop/db[Pod]", "shop/db[Pod]", "All Connections"),
    ];
    let ran = made(folder.path(), &pods, &wanted);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("proved: with these 4 policies the matrix has exactly the 4 rows"), "{}", ran.err);
    assert!(ran.out.contains("cidr: 0.0.0.0/0\n        except:\n        - 10.0.0.0/8"), "{}", ran.out);
    let file = write(folder.path(), "made.yaml", &ran.out);
    let shown =
        ok(&["matrix", &format!("{}/pods.yaml", folder.path().display()), &file, "-o", "csv", "--dialect", "cilium"]);
    assert!(shown.contains("shop/web[Pod],shop/db[Pod],\"TCP 5432,8000-8010,UDP 53\""), "{shown}");
    assert!(!shown.contains("shop/admin[Pod],"), "it has the same app label, and nothing was asked for it: {shown}");
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let twins = [("a", "app: web"), ("b", "app: web"), ("c", "app: c")];
    for (rows, why) in [
        (vec![row("shop/a[Pod]", "shop/c[Pod]", "TCP 80")], "Pod shop/a and Pod b cannot be told apart"),
        (vec![row("shop/z[Pod]", "shop/c[Pod]", "TCP 80")], "Pod shop/z is in the matrix but not among the workloads"),
        (vec![row("shop/c", "shop/a[Pod]", "TCP 80")], "row 1: `shop/c` is no end of a row"),
        (vec![row("shop/c[Pod]", "shop/a[Pod]", "80")], "row 1: `80` is no connections"),
        (
            vec![row("shop/c[Pod]", "shop/a[Pod]", "No Connections").replace('}', ", \"depends\": \"TCP 1\"}")],
            "no NetworkPolicies of this form yield the matrix",
        ),
    ] {
        let ran = made(folder.path(), &twins, &rows);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{why}");
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
    }
}

#[test]
fn other_namespaces_keep_their_policies_and_can_be_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let pods = shop(&[("web", "app: web")]) + &shop(&[("db", "app: db")]).replace("namespace: shop", "namespace: data");
    let closed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: data}\nspec: {podSelector: {}, policyTypes: [Ingress]}\n";
    let all = write(folder.path(), "all.yaml", &(pods + closed));
    let matrix =
        write(folder.path(), "wanted.json", &format!("[{}]", row("shop/web[Pod]", "data/db[Pod]", "TCP 5432")));
    let ran = portcullis(&["generate", "policies", &all, "--matrix", &matrix, "--namespace", "shop"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("- shop/web[Pod]   data/db[Pod]   TCP 5432"), "{}", ran.err);
    let both = ok(&["generate", "policies", &all, "--matrix", &matrix]);
    assert!(both.contains("name: allow-db\n") && both.contains("name: allow-web\n"), "{both}");
}

/// The rows of the guides, a shop of some size, and how often each is stated.
#[test]
fn assertions_state_what_is_so_and_all_of_them_hold() {
    let folder = tempfile::tempdir().unwrap();
    let shop = ["examples/shop"];
    for (state, namespace) in
        [(&FIRST[..], "myapp-staging"), (&SECOND, "production"), (&shop, "payments"), (&shop, "shop")]
    {
        let args = [&["generate", "assertions", "--namespace", namespace], state].concat();
        let ran = portcullis(&args);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(ok(&args), ran.out, "the same bytes");
        let count = ran.out.matches("kind: ConnectivityAssertion").count();
        assert!(ran.err.contains(&format!("{count} assertions about {namespace}, all of which hold")), "{}", ran.err);
        let file = write(folder.path(), "assertions.yaml", &ran.out);
        let report = portcullis(&[&["check", "-o", "json", &file], state].concat());
        assert!(!report.out.contains("broken-assertion"), "{}", report.out);
    }
}

#[test]
fn assertions_of_the_first_guide_hold_its_matrix() {
    let text =
        ok(&[&["generate", "assertions", "--namespace", "myapp-staging", "--dialect", "cilium"], &FIRST[..]].concat());
    let object = |name: &str| {
        let found = text.split("---\n").find(|document| document.contains(&format!("name: {name}\n")));
        found.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
    };
    let allowed = object("myapp-api-reaches-postgresql.data-layer");
    assert!(allowed.contains("expect: Allow") && allowed.contains("port: 5432"), "{allowed}");
    assert!(object("myapp-api-reaches-nothing-else-of-postgresql.data-layer").contains("expect: Deny"));
    assert!(object("my-web-client-never-reaches-postgresql.data-layer").contains("expect: Deny"));
    assert!(object("my-web-client-never-reaches-myapp-api").contains("expect: Deny"));
    assert!(object("myapp-workers-never-reaches-world").contains("expect: Deny"));
    let others = object("other-namespaces-never-reaches-myapp-api");
    assert!(others.contains("operator: NotIn") && others.contains("- traefik-system"), "{others}");
}

#[test]
fn a_change_that_breaks_a_row_is_found_by_the_assertions() {
    let folder = tempfile::tempdir().unwrap();
    let base: Vec<&str> = FIRST.to_vec();
    let text = ok(&[&["generate", "assertions", "--namespace", "myapp-staging"], &base[..]].concat());
    let file = write(folder.path(), "assertions.yaml", &text);
    let policy = std::fs::read_to_string(FIRST[2]).unwrap();
    assert!(policy.contains("5432"));
    let changed = write(folder.path(), "changed.yaml", &policy.replace("5432", "5433"));
    let after: Vec<&str> = base.iter().map(|path| if *path == FIRST[2] { changed.as_str() } else { path }).collect();
    let report = portcullis(&[&["check", "-o", "json", &file], &after[..]].concat());
    assert!(
        report.out.contains("broken-assertion") && report.out.contains("myapp-api-reaches-postgresql"),
        "{}",
        report.out
    );
}

#[test]
fn policies_for_assertions_keep_all_of_them_or_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let row = |name: &str, from: &str, to: &str, rest: &str| {
        format!(
            "apiVersion: portcullis.dev/v1alpha1\nkind: ConnectivityAssertion\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{from: {{{from}}}, to: {{{to}}}, {rest}}}\n---\n"
        )
    };
    let pods = write(folder.path(), "pods.yaml", &shop(&[("web", "app: web"), ("api", "app: api"), ("db", "app: db")]));
    let web = "podSelector: {matchLabels: {app: web}}";
    let api = "workload: {kind: Pod, name: api}";
    let wanted = row("a", web, api, "ports: [{port: 8080}], expect: Allow")
        + &row("b", web, "podSelector: {matchLabels: {app: db}}", "expect: Deny")
        + &row("c", api, "cidr: 203.0.113.0/24, except: [203.0.113.8/29]", "ports: [{port: 443}], expect: Allow");
    let file = write(folder.path(), "wanted.yaml", &wanted);
    let ran = portcullis(&["generate", "policies", &pods, "--assertions", &file]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("proved: with these 4 policies all 3 assertions hold"), "{}", ran.err);
    let made = write(folder.path(), "made.yaml", &ran.out);
    let shown = ok(&["matrix", &pods, &made, "-o", "csv", "--dialect", "cilium"]);
    assert_eq!(
        shown,
        "src,dst,conn,depends,filtered,entry\n\
         shop/api[Pod],203.0.113.0-203.0.113.7[External],TCP 443,,,\n\
         shop/api[Pod],203.0.113.16-203.0.113.255[External],TCP 443,,,\n\
         shop/web[Pod],shop/api[Pod],TCP 8080,,,\n"
    );
    let against = wanted + &row("d", web, "podSelector: {}", "ports: [{port: 8080}], expect: Deny");
    let file = write(folder.path(), "wanted.yaml", &against);
    let ran = portcullis(&["generate", "policies", &pods, "--assertions", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("ConnectivityAssertion shop/d would be broken"), "{}", ran.err);
}

#[test]
fn a_baseline_is_written_once_for_each_namespace_and_never_cuts_off_dns() {
    let once = ok(&["generate", "baseline", "shop", "payments"]);
    assert_eq!(ok(&["generate", "baseline", "shop", "payments", "shop"]), once);
    for kind in ["networkpolicy", "cilium"] {
        let ran = portcullis(&["generate", "baseline", "shop", "kube-system", "--kind", kind]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
        assert!(ran.err.starts_with("error: kube-system is where cluster DNS is: "), "{}", ran.err);
    }
}
