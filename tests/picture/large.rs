//! Five hundred workloads: collapsed by namespace, opened one by one, small enough to send and quick enough to use.

use std::fmt::Write as _;

use super::{Opened, write};

const NAMESPACES: usize = 50;
const EACH: usize = 10;

/// Fifty namespaces of ten: most deny by default and allow a few edges, every tenth has no policy at all.
fn cluster() -> String {
    let mut out = String::new();
    for n in 0..NAMESPACES {
        let _ = write!(
            out,
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: team-{n:02}, labels: {{kubernetes.io/metadata.name: team-{n:02}}}}}\n---\n"
        );
        for w in 0..EACH {
            let _ = write!(
                out,
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: app-{w}, namespace: team-{n:02}}}\nspec:\n  selector: {{matchLabels: {{app: app-{w}}}}}\n  template:\n    metadata: {{labels: {{app: app-{w}}}}}\n    spec: {{containers: [{{name: c, ports: [{{containerPort: {}}}]}}]}}\n---\n",
                8000 + w
            );
        }
        if n % 10 == 9 {
            continue;
        }
        let policy = |name: &str, spec: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: team-{n:02}}}\nspec: {spec}\n---\n"
            )
        };
        out += &policy("default-deny", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
        for w in 0..EACH {
            let near = format!("{{to: [{{podSelector: {{matchLabels: {{app: app-{}}}}}}}]}}", (w + 1) % EACH);
            let far = format!(
                "{{to: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: team-{:02}}}}}}}], ports: [{{port: 8001}}]}}",
                (n * 7 + 3) % NAMESPACES
            );
            let world = "{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: 443}]}";
            let egress =
                [near.as_str(), if w % 5 == 0 { &far } else { &near }, if w == 3 { world } else { &near }].join(", ");
            out += &policy(
                &format!("app-{w}"),
                &format!(
                    "{{podSelector: {{matchLabels: {{app: app-{w}}}}}, policyTypes: [Ingress, Egress], egress: [{egress}], ingress: [{{ports: [{{port: {}}}]}}]}}",
                    8000 + w
                ),
            );
        }
    }
    out
}

#[test]
fn five_hundred_workloads_are_legible_and_quick() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "cluster.yaml", &cluster());
    let page = Opened::of(&[path.to_str().unwrap(), "--dialect", "cilium"]);
    let facts = page.browser.text("return document.getElementById('facts').innerText");
    assert!(
        facts.contains("50 namespaces") && facts.contains("500 workloads") && facts.contains("50 unprotected"),
        "{facts}"
    );
    println!("page of 500 workloads: {} KB", page.size() / 1024);
    assert!(page.size() < 4 << 20, "{} bytes", page.size());
    assert_eq!((page.count(".head[aria-expanded=false]"), page.count(".card[aria-label^=\"Deployment\"]")), (50, 0));
    assert!(page.count("#map *") < 4000, "{} elements", page.count("#map *"));

    // A press of Enter on a namespace opens it and keeps the focus there.
    page.browser.run("const h = [...document.querySelectorAll('.head')].find((e) => e.getAttribute('aria-label').includes('team-04')); h.focus()");
    page.browser.press(&[super::browser::ENTER]);
    assert_eq!(page.count(".card[aria-label^=\"Deployment team-04/\"]"), 10);
    assert!(page.browser.text("return document.activeElement.getAttribute('aria-label')").contains("team-04"));
    let overlapping = page.browser.count(
        "const r = [...document.querySelectorAll('rect.back')].map((e) => e.getBoundingClientRect()); \
         return r.flatMap((a, i) => r.slice(i + 1).filter((b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length",
    );
    assert!(overlapping == 0, "{overlapping} boxes overlap");
    page.browser.press(&[super::browser::ENTER]);
    assert_eq!(page.count(".card[aria-label^=\"Deployment\"]"), 0);

    page.matrix();
    assert!(page.count("#grid tbody tr") < 60);
    page.browser
        .run("[...document.querySelectorAll('#grid th.row button')].find((b) => b.title === 'team-04').click()");
    page.ask("team-04/app-1 → team-04/app-5");
    assert!(
        page.panel().contains("Refused by egress of app-1") && page.panel().contains("cluster.yaml:"),
        "{}",
        page.panel()
    );
    page.browser.click("#expand");
    let cells = page.count("#grid td");
    assert!(cells < 15_000, "{cells} cells at once");
    assert!(page.browser.text("return document.querySelector('.more').textContent").contains("are shown"));
    assert_eq!(page.browser.console(), [""; 0]);
    page.browser.click("#collapse");
    let before = page.browser.busy();
    page.browser.click("#tab-map");
    page.browser.run("return document.body.offsetHeight");
    page.matrix();
    page.browser.run("return document.body.offsetHeight");
    let spent = page.browser.busy() - before;
    println!("drawing the map and the matrix of 500 workloads, collapsed: {spent:.2} s");
    assert!(spent < 2.0, "{spent} s");
}
