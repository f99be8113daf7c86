//! The page itself: it fetches nothing, trusts no name, and works by keyboard, in both schemes of colours and on paper.

use serde_json::json;

use super::browser::{ENTER, ESCAPE, Pixels, RIGHT, TAB};
use super::{FIRST, Opened, portcullis, write};

#[test]
fn one_file_that_fetches_nothing_and_is_the_same_every_time() {
    let bytes = portcullis(&["matrix", FIRST, "-o", "html"]);
    assert!(bytes == portcullis(&["matrix", FIRST, "-o", "html"]), "the same bytes for the same input");
    let html = String::from_utf8(bytes).unwrap();
    assert!(!html.contains("://"), "an address of the network");
    assert!(html.contains("default-src 'none'") && !html.contains("unsafe-"), "a strict Content-Security-Policy");
    assert!(html.len() < 400_000, "{} bytes", html.len());

    let page = Opened::of(&[FIRST]);
    assert_eq!(page.browser.console(), [""; 0]);
    let fetched = page.browser.count("return performance.getEntriesByType('resource').length");
    assert!(fetched == 0, "{fetched} resources");
    let refused = page
        .browser
        .run("try { document.body.insertAdjacentHTML('beforeend', '<b>x</b>'); return false } catch { return true }");
    assert_eq!(refused, true, "text cannot become HTML even by mistake");
}

#[test]
fn hostile_names_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let name = "</script><script>document.title='in'</script><img src=x onerror=document.title='in'><!--";
    let hostile = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"{name}\"\n  namespace: shop\n  labels: {{app: a}}\nspec:\n  containers: [{{name: c}}]\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n  namespace: shop\n  labels: {{app: \"{name}\"}}\nspec:\n  containers: [{{name: c}}]\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: \"policy{name}\"\n  namespace: shop\nspec:\n  podSelector: {{}}\n  policyTypes: [Ingress]\n"
    );
    let path = write(folder.path(), "hostile.yaml", &hostile);
    let html = String::from_utf8(portcullis(&["matrix", path.to_str().unwrap(), "-o", "html"])).unwrap();
    assert_eq!(html.matches("</script>").count(), 2, "the two that the page has itself");
    assert!(!html.contains("<img"));

    let page = Opened::of(&[path.to_str().unwrap()]);
    page.matrix();
    page.browser.click("td.shut[role=gridcell]");
    let panel = page.panel();
    assert!(panel.contains("policy</script><script>document.title='in'") && panel.contains("Deny"), "{panel}");
    assert_eq!(page.browser.text("return document.title"), "Who can talk to whom");
    assert_eq!((page.count("img"), page.count("script:not([type])")), (0, 1));
    assert_eq!(page.browser.console(), [""; 0]);
}

#[test]
fn the_keyboard_alone_gets_to_an_explanation_and_back() {
    let page = Opened::of(&[FIRST]);
    let focused = || {
        page.browser
            .text("const e = document.activeElement; return e.getAttribute('aria-label') || e.id || e.className")
    };
    for _ in 0..20 {
        page.browser.press(&[TAB]);
        if focused().starts_with("Namespace ") {
            break;
        }
    }
    assert!(focused().starts_with("Namespace traefik-system"), "the map is one stop of Tab: {}", focused());
    for _ in 0..3 {
        page.browser.press(&[RIGHT]);
    }
    let edge = focused();
    assert!(edge.starts_with("traefik-system/traefik → myapp-staging/"), "{edge}");
    page.browser.press(&[ENTER]);
    assert_eq!(focused(), "panel-title", "the explanation is where the reader is");
    assert!(page.panel().contains("Ingress of my") && page.panel().contains(".yaml:"), "{}", page.panel());
    page.browser.press(&[ESCAPE]);
    assert_eq!((page.panel().as_str(), focused()), ("", edge));

    // The matrix: its tab by arrow, a cell by arrows, Enter.
    page.browser.run("document.getElementById('tab-map').focus()");
    page.browser.press(&[RIGHT]);
    assert_eq!(focused(), "tab-grid");
    page.browser.run("document.querySelector('#grid td[tabindex=\"0\"]').focus()");
    page.browser.press(&[RIGHT, RIGHT, ENTER]);
    assert!(page.panel().starts_with('×') && page.panel().contains("ai/ollama → data-layer/nats"), "{}", page.panel());
}

#[test]
fn parts_have_roles_and_names() {
    let page = Opened::of(&[FIRST]);
    let unnamed = "[...document.querySelectorAll('button, input, select, [role=button], [role=tab], [role=gridcell]')].filter((e) => \
                   !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent.trim())).length";
    assert!(page.browser.count(&format!("return {unnamed}")) == 0);
    for selector in [
        "[role=tablist] [role=tab][aria-selected=true]",
        "[role=tabpanel]",
        "[role=search]",
        "[role=status]",
        "html[lang]",
        "main",
    ] {
        assert!(page.count(selector) >= 1, "{selector}");
    }
    assert!(page.count("#map [aria-expanded=true]") >= 4, "namespaces say whether they are open");
    page.matrix();
    assert!(page.count("[role=grid] [role=gridcell]") > 100 && page.count("th[scope=row]") > 9);
    assert!(page.browser.count(&format!("return {unnamed}")) == 0);
    let said = page.browser.text("return document.getElementById('status').textContent");
    assert!(said.contains("rows") && said.contains("columns"), "{said}");
}

#[test]
fn dark_and_light_follow_the_system_and_the_button() {
    let page = Opened::of(&[FIRST]);
    let paper = || page.browser.text("return getComputedStyle(document.body).backgroundColor");
    page.browser.medium("screen", "light");
    let light = paper();
    page.browser.medium("screen", "dark");
    let dark = paper();
    assert_ne!(light, dark);
    page.browser.click("#theme");
    assert_eq!(paper(), light, "the button overrides the system");
    page.browser.click("#theme");
    assert_eq!(paper(), dark);
    // Text on paper in both: WCAG asks for 4.5.
    for scheme in ["light", "dark"] {
        page.browser.run(&format!("document.documentElement.dataset.theme = '{scheme}'"));
        let contrast = page.browser.number(
            "const lum = (s) => { const [r, g, b] = s.match(/[0-9.]+/g).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
             const paper = lum(getComputedStyle(document.body).backgroundColor); \
             const inks = ['#facts li', '#facts .alarm', '.hint', 'h1', '#legend li'].map((q) => lum(getComputedStyle(document.querySelector(q)).color)); \
             return Math.min(...inks.map((ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)));",
        );
        assert!(contrast >= 4.5, "{scheme}: {contrast}");
    }
}

#[test]
fn on_paper_there_are_no_controls_and_it_is_light() {
    let page = Opened::of(&[FIRST]);
    page.browser.run("document.documentElement.dataset.theme = 'dark'");
    page.browser.medium("print", "dark");
    let shown = |selector: &str| {
        page.browser.text(&format!("return getComputedStyle(document.querySelector('{selector}')).display"))
    };
    assert_eq!((shown("#filters").as_str(), shown("#theme").as_str()), ("none", "none"));
    assert_ne!(shown("#map"), "none");
    assert_eq!(page.browser.text("return getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    let printed = page.browser.print();
    assert!(printed.starts_with(b"%PDF-"));
}

#[test]
fn filters_leave_what_is_asked_for() {
    let page = Opened::of(&[FIRST]);
    page.matrix();
    let rows = || page.count("#grid tbody tr td:nth-child(2)[role=gridcell]");
    let all = rows();
    page.fill("by-text", "postgres");
    let named = rows();
    assert!(named < all && named >= 3, "{named} of {all}");
    page.fill("by-text", "");
    page.fill("by-port", "8080/tcp");
    assert_eq!(rows(), 10, "traefik, the web client, five that nothing restricts, and three kinds of addresses");
    page.fill("by-port", "53/udp");
    page.fill("by-namespace", "myapp-staging");
    assert_eq!(rows(), 0, "no policy of the guide opens DNS");
    page.fill("by-port", "");
    page.fill("by-namespace", "");
    page.browser.click("#only-open");
    page.settled();
    assert!(rows() == all - 1, "test-client-denied reaches nothing: {} of {all}", rows());
}

#[test]
fn boxes_lie_apart_within_the_page_and_are_painted() {
    let page = Opened::of(&[FIRST]);
    let overlaps = page.browser.run(
        "const r = (q) => [...document.querySelectorAll(q)].map((e) => e.getBoundingClientRect()); \
         const hit = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1; \
         const pairs = (list) => list.flatMap((a, i) => list.slice(i + 1).filter((b) => hit(a, b))).length; \
         const cards = r('.card > rect.face'), pills = r('.edge .pill rect'), view = document.getElementById('view').getBoundingClientRect(); \
         return [pairs(r('rect.back')), pairs(cards), pairs([...pills, ...cards]), \
                 [...cards, ...pills].filter((a) => a.left < view.left || a.right > view.right || a.top < view.top || a.bottom > view.bottom).length, pills.length];",
    );
    assert_eq!(
        overlaps.as_array().unwrap()[..4],
        [json!(0), json!(0), json!(0), json!(0)],
        "boxes, cards, labels, outside"
    );
    assert!(overlaps[4].as_f64().unwrap() >= 14.0, "a label on every line");

    let image = Pixels::decode(&page.browser.screenshot());
    assert!(image.width >= 1390);
    let place = page.browser.run(
        "const b = document.querySelector('rect.back').getBoundingClientRect(), c = document.querySelector('.card > rect.face').getBoundingClientRect(), \
         s = document.querySelector('.stripe').getBoundingClientRect(); return [b.left, b.top, c.left, c.top, c.width, s.left, s.top, s.width, s.height]",
    );
    let n = |i: usize| place[i].as_f64().unwrap();
    let paper = image.at(n(0) - 6.0, n(1) - 6.0);
    let (inside, card) = (image.at(n(0) + 8.0, n(1) + n(8) / 2.0), image.at(n(2) + n(4) - 8.0, n(3) + 8.0));
    assert!(paper != inside && inside != card, "{paper:?} {inside:?} {card:?}");
    let stripe: std::collections::BTreeSet<[u8; 3]> =
        (0..30).map(|i| image.at(n(5) + n(7) / 2.0, n(6) + 2.0 + n(8) * 0.9 * f64::from(i) / 30.0)).collect();
    assert!(stripe.len() > 1, "stripes, and not one colour: unprotected workloads stand out by more than colour");
}
