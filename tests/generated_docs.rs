//! The pages of the rules are their doc comments. `UPDATE=1 cargo test --test generated_docs` writes them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use portcullis::rules::RULES;

const HEADINGS: [&str; 6] = ["What it checks", "Why", "Refused", "Accepted", "Exceptions", "References"];

fn index() -> String {
    let mut out = String::from("# House rules\n\n| rule | default level | what it finds |\n| --- | --- | --- |\n");
    for meta in RULES.iter().map(|rule| rule.meta()) {
        let _ = writeln!(out, "| [`{0}`]({0}.md) | {1} | {2} |", meta.id, meta.id.default_level(), meta.summary());
    }
    out
}

fn hold(path: &Path, wanted: &str) -> Option<String> {
    let there = std::fs::read_to_string(path).unwrap_or_default();
    if there == wanted {
        return None;
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, wanted).unwrap();
        return None;
    }
    Some(path.display().to_string())
}

#[test]
fn pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules");
    let mut stale: Vec<String> = hold(&folder.join("README.md"), &index()).into_iter().collect();
    for meta in RULES.iter().map(|rule| rule.meta()) {
        stale.extend(hold(&folder.join(format!("{}.md", meta.id)), &meta.page()));
    }
    assert!(stale.is_empty(), "run `UPDATE=1 cargo test --test generated_docs`; stale: {stale:?}");
    let known = |name: &str| name == "README" || RULES.iter().any(|rule| rule.meta().id.as_str() == name);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(known(path.file_stem().unwrap().to_str().unwrap()), "{} belongs to no rule", path.display());
    }
}

#[test]
fn pages_have_their_headings_in_order() {
    for meta in RULES.iter().map(|rule| rule.meta()) {
        let page = meta.page();
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{}", meta.id);
        assert!(!meta.summary().is_empty());
        assert_eq!(page.matches("```").count() % 2, 0, "{}: an open code block", meta.id);
    }
}
