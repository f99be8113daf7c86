//! What the page answers: the same as `portcullis reach`, for every pair, also for those on which nothing passes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{FIRST, Opened, portcullis, write};

#[test]
fn a_line_names_the_rule_that_opens_it() {
    let page = Opened::of(&[FIRST]);
    page.ask("myapp-staging/myapp-api → data-layer/postgresql");
    let panel = page.panel();
    for said in [
        "Allow",
        "TCP 5432",
        "Egress of myapp-api",
        "NetworkPolicy myapp-staging/myapp-api-allow",
        "tests/guides/first/myapp-api-network-policy.yaml:",
        "Ingress of postgresql",
        "tests/guides/first/postgresql-network-policy.yaml:",
    ] {
        assert!(panel.contains(said), "{said}: {panel}");
    }
    assert_eq!(page.browser.console(), [""; 0]);
}

#[test]
fn an_empty_cell_says_which_side_refuses_and_what_would_open_it() {
    // Without the guide's Cilium policies, one of which opens the first of these.
    let plain = ["workloads", "default-deny-all", "myapp-api-network-policy", "my-web-client-network-policy"];
    let plain = plain.map(|name| format!("{FIRST}/{name}.yaml"));
    let page = Opened::of(&plain.each_ref().map(String::as_str));
    page.matrix();
    page.ask("myapp-staging/my-web-client → myapp-staging/myapp-api");
    let panel = page.panel();
    for said in [
        "Deny",
        "Refused by ingress of myapp-api; egress of my-web-client lets TCP 8080 out.",
        "What would open it",
        "kind: NetworkPolicy",
        "checked by the engine",
    ] {
        assert!(panel.contains(said), "{said}: {panel}");
    }
    page.ask("myapp-staging/my-web-client → data-layer/postgresql");
    assert!(page.panel().contains("Refused by egress of my-web-client"), "{}", page.panel());
}

#[test]
fn open_addresses_and_unprotected_workloads_are_said_and_shown() {
    let page = Opened::of(&[FIRST]);
    page.ask("myapp-staging/myapp-workers → Internet");
    let panel = page.panel();
    assert!(panel.contains("Open to the world") && panel.contains("0.0.0.0/0 except 10.0.0.0/8"), "{panel}");
    assert!(page.count("#map .edge.open[role=button]") == 1 && page.count(".card.alarm .stripe") == 6);
    page.browser.click(".card[aria-label^=\"Deployment traefik-system/traefik\"] .name");
    assert!(page.panel().contains("unprotected: no policy isolates it for ingress and egress"), "{}", page.panel());
}

/// Verdict, connections, and where the rules are written.
type Said = (String, String, BTreeSet<String>);

/// What the command says about a pair.
fn reach(from: &str, to: &str) -> Said {
    let json: Value =
        serde_json::from_slice(&portcullis(&["reach", FIRST, "--from", from, "--to", to, "-o", "json"])).unwrap();
    let steps = ["egress", "ingress"].iter().flat_map(|side| json[side]["decidedBy"].as_array().unwrap());
    let places = steps.map(|step| format!("{}:{}", step["file"].as_str().unwrap(), step["line"])).collect();
    let mut connections = json["connections"].as_str().unwrap().to_owned();
    if let Some(depends) = json["depends"].as_str() {
        let certain = if connections == "No Connections" { String::new() } else { format!("{connections}; ") };
        connections = format!("{certain}{depends} (depends)");
    }
    (json["verdict"].as_str().unwrap().to_owned(), connections, places)
}

#[test]
fn every_cell_says_what_reach_says() {
    let page = Opened::of(&[FIRST]);
    page.matrix();
    let said = page.browser.run(
        "return [...document.querySelectorAll('td[role=gridcell]:not(.self)')].map((cell) => { cell.click(); const p = document.getElementById('panel'); \
         return [p.querySelector('h2').textContent, p.querySelector('.verdict').textContent, p.querySelector('.ports').textContent, \
                 [...p.querySelectorAll('.steps .file')].map((f) => f.textContent).filter((f) => f.includes('.yaml:'))]; })",
    );
    let mut cells: BTreeMap<(String, String), Said> = BTreeMap::new();
    for cell in said.as_array().unwrap() {
        let text = |i: usize| cell[i].as_str().unwrap().to_owned();
        let (from, to) = cell[0].as_str().unwrap().split_once(" → ").unwrap();
        let places = cell[3].as_array().unwrap().iter().map(|f| f.as_str().unwrap().to_owned()).collect();
        cells.insert((from.to_owned(), to.to_owned()), (text(1), text(2), places));
    }
    let inside = cells.into_iter().filter(|((from, to), _)| from.contains('/') && to.contains('/'));
    let mut asked = 0;
    for ((from, to), shown) in inside {
        assert_eq!(shown, reach(&from, &to), "{from} to {to}");
        asked += 1;
    }
    assert_eq!(asked, 110, "eleven workloads, each to ten others");
}

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n  labels: {{app: {name}}}\nspec:\n  containers: [{{name: c}}]\n---\n"
    )
}

fn allow(peer: &str, ports: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: to-a-from-{peer}\n  namespace: shop\nspec:\n  podSelector: {{matchLabels: {{app: a}}}}\n  ingress:\n  - from:\n    - podSelector: {{matchLabels: {{app: {peer}}}}}\n    ports: [{ports}]\n---\n"
    )
}

#[test]
fn a_change_is_marked_by_sign_and_explained_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let pods = ["a", "b", "c", "d"].map(pod).concat();
    let old = pods.clone() + &allow("b", "{port: 80}") + &allow("d", "{port: 80}");
    let new = pods + &allow("c", "{port: 80}") + &allow("d", "{port: 80}, {port: 81}");
    let (old, new) = (write(folder.path(), "old.yaml", &old), write(folder.path(), "new.yaml", &new));
    let page = Opened::of(&[new.to_str().unwrap(), "--against", old.to_str().unwrap()]);
    let edge = |label: &str, style: &str| page.count(&format!(".edge.{style}[role=button][aria-label^=\"{label}\"]"));
    assert!(edge("shop/b → shop/a: − 80", "removed") == 1);
    assert!(edge("shop/c → shop/a: + 80", "added") == 1);
    assert!(edge("shop/d → shop/a: ± +81", "changed") == 1);
    let dashes = |style: &str| {
        page.browser.text(&format!(
            "return getComputedStyle(document.querySelector('#map .edge.{style} .wire')).strokeDasharray"
        ))
    };
    assert_ne!(dashes("removed"), dashes("added"), "told apart by more than colour");
    page.ask("shop/b → shop/a");
    let panel = page.panel();
    for said in ["The change removes TCP 80", "After", "Deny", "Before", "Allow", "old.yaml:"] {
        assert!(panel.contains(said), "{said}: {panel}");
    }
    page.matrix();
    let rows = page.count("#grid tbody th.row:not(.space)");
    page.browser.click("#only-changed");
    page.settled();
    assert!(page.count("#grid tbody th.row:not(.space)") < rows);
    assert!(page.count("td.added") >= 1 && page.count("td.removed") == 1);
    assert_eq!(page.browser.console(), [""; 0]);
}
