//! The page of `portcullis matrix -o html` in a real browser: what it shows, what it answers, how it is worked by keyboard,
//! and that it neither fetches nor breaks.
//!
//! `UPDATE=1 cargo test --test picture readme` takes the pictures of the README again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod browser;
mod large;
mod page;
mod readme;
mod reasons;

use std::path::{Path, PathBuf};
use std::process::Command;

use browser::Browser;

const FIRST: &str = "tests/guides/first";

/// What the command prints.
fn portcullis(args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A page, written and opened.
struct Opened {
    browser: Browser,
    folder: tempfile::TempDir,
}

impl Opened {
    /// The page of `portcullis matrix` with these arguments.
    fn of(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.html");
        std::fs::write(&path, portcullis(&[&["matrix", "-o", "html"], args].concat())).unwrap();
        let browser = Browser::start(1400, 900);
        browser.open(&path);
        Self { browser, folder }
    }

    fn size(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("picture.html")).unwrap().len()
    }

    fn matrix(&self) {
        self.browser.click("#tab-grid");
    }

    /// Clicks the cell or the line whose label starts with this text.
    fn ask(&self, label: &str) {
        self.browser.click(&format!("td[aria-label^=\"{label}\"], .edge[data-label^=\"{label}\"] .pill"));
    }

    fn panel(&self) -> String {
        self.browser.text("const p = document.getElementById('panel'); return p.hidden ? '' : p.innerText")
    }

    fn count(&self, selector: &str) -> u64 {
        self.browser.count(&format!("return document.querySelectorAll('{selector}').length"))
    }

    /// Types into a field, as a change by a person would arrive.
    fn fill(&self, id: &str, text: &str) {
        self.browser.run(&format!(
            "const e = document.getElementById('{id}'); e.value = '{text}'; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));"
        ));
        self.settled();
    }

    /// Fields are read on the next turn of the page's loop: waits until that is over.
    fn settled(&self) {
        self.browser
            .wait("return new Promise((done) => setTimeout(() => requestAnimationFrame(() => done(true)), 250))");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
