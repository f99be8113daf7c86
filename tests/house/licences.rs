//! Licences and duplicates of the crates that are built in, held to `deny.toml` without cargo-deny.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::read;

/// Packages for the platforms that are shipped, as Cargo resolves them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]);
    let output = command.current_dir(super::root()).output().expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The platform that images are built for by default.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Quoted strings in the array `key = [ … ]` of deny.toml.
fn array(text: &str, key: &str) -> BTreeSet<String> {
    let start = text.find(&format!("\n{key} = [")).unwrap_or_else(|| panic!("deny.toml has no {key}"));
    let body = &text[start..];
    let body = &body[..body.find("\n]").expect("the closing bracket on a line of its own")];
    let lines = body.lines().skip(2).map(|line| line.trim().to_owned()).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split('"').nth(1)?.to_owned())).collect()
}

/// Whether an SPDX expression can be fulfilled with these licences; adds those that it takes.
fn allows(expression: &str, allowed: &BTreeSet<String>, used: &mut BTreeSet<String>) -> bool {
    let expression = expression.trim();
    let split = |word: &str| -> Option<(String, String)> {
        let mut depth = 0_i32;
        for (at, c) in expression.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 0 && expression[at..].starts_with(word) => {
                    return Some((expression[..at].to_owned(), expression[at + word.len()..].to_owned()));
                }
                _ => {}
            }
        }
        None
    };
    // OR binds weaker than AND; the slash is an old way to write OR.
    if let Some((left, right)) = split(" OR ").or_else(|| split("/")) {
        let (left, right) = (allows(&left, allowed, used), allows(&right, allowed, used));
        return left || right;
    }
    if let Some((left, right)) = split(" AND ") {
        let (left, right) = (allows(&left, allowed, used), allows(&right, allowed, used));
        return left && right;
    }
    if let Some(inner) = expression.strip_prefix('(').and_then(|e| e.strip_suffix(')')) {
        return allows(inner, allowed, used);
    }
    let allowed = allowed.contains(expression);
    if allowed {
        used.insert(expression.to_owned());
    }
    allowed
}

#[test]
fn every_licence_is_allowed_and_no_allowance_is_idle() {
    let allowed = array(&read("deny.toml"), "allow");
    let mut used = BTreeSet::new();
    let mut refused = Vec::new();
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none given");
        if !allows(licence, &allowed, &mut used) {
            refused.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(refused.is_empty(), "licences that deny.toml does not allow:\n{}\n", refused.join("\n"));
    let idle: Vec<&String> = allowed.difference(&used).collect();
    assert!(idle.is_empty(), "deny.toml allows licences that no crate has: {idle:?}");
}

#[test]
fn every_duplicate_crate_has_its_reason() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let duplicates: BTreeSet<String> =
        versions.into_iter().filter(|(_, v)| v.len() > 1).map(|(name, _)| name).collect();
    let skipped: BTreeSet<String> = array(&read("deny.toml"), "skip")
        .into_iter()
        .map(|s| s.split('@').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(duplicates, skipped, "crates in two versions (left), and those that deny.toml explains (right)");
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed: BTreeSet<String> = ["MIT", "ISC"].map(str::to_owned).into();
    let holds = |e: &str| allows(e, &allowed, &mut BTreeSet::new());
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "MIT AND ISC", "(GPL-3.0 OR MIT) AND ISC", "GPL-3.0 AND X OR MIT"]
    {
        assert!(holds(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none given", "(GPL-3.0 OR Apache-2.0) AND MIT", "MIT WITH an exception"]
    {
        assert!(!holds(bad), "{bad}");
    }
}
