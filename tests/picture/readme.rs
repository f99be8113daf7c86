//! The pictures in the README, taken from the first guide's application: `UPDATE=1` takes them again.

use std::path::Path;

use super::browser::{Browser, Pixels};
use super::{FIRST, portcullis};

#[test]
fn pictures_of_the_readme_are_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
    for scheme in ["light", "dark"] {
        let path = folder.join(format!("first-guide-{scheme}.png"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, take(scheme)).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; make picture UPDATE=1", path.display()));
        assert!(bytes.len() < 300 << 10, "{} bytes", bytes.len());
        let image = Pixels::decode(&bytes);
        let dark = image.at(4.0, 4.0).iter().all(|v| *v < 80);
        assert_eq!(dark, scheme == "dark");
    }
}

/// The page with one explanation open.
fn take(scheme: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("picture.html");
    std::fs::write(&page, portcullis(&["matrix", FIRST, "--dialect", "cilium", "-o", "html"])).unwrap();
    let browser = Browser::start(1440, 880);
    browser.open(&page);
    browser.medium("screen", scheme);
    // Without a pointer on the page, which would light up what it rests on.
    let label = "myapp-staging/myapp-api → data-layer/postgresql";
    browser.run(&format!(
        "document.querySelector('.edge[aria-label^=\"{label}\"]').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"
    ));
    browser.run("document.activeElement.blur()");
    browser.screenshot()
}
