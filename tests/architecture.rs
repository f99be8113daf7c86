//! The rooms of the crate and who may enter which: one crate has no compiler between its modules, so this test is it.
//!
//! `ROOMS` lists the modules from the ground up. Each may use only what stands in its row, a row names only rooms above it in
//! the list, and so there are no cycles. Unit tests inside `src` are left out: they may look at the whole house.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "architecture/source.rs"]
mod source;

use source::{File, firsts, shipped, sources};

/// A module directly under `src` and what it may use.
struct Room {
    name: &'static str,
    /// Other rooms.
    uses: &'static [&'static str],
    /// Crates besides std; `None` where any dependency will do.
    crates: Option<&'static [&'static str]>,
}

const fn pure(name: &'static str, uses: &'static [&'static str], crates: &'static [&'static str]) -> Room {
    Room { name, uses, crates: Some(crates) }
}

const fn outer(name: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, uses, crates: None }
}

const ROOMS: &[Room] = &[
    // The pure rooms: values in, values out. Without a clock, files, sockets or threads the same input has the same verdict.
    pure("model", &[], &["ipnet", "smallvec", "thiserror"]),
    pure("snapshot", &["model"], &[]),
    pure("reach", &["model", "snapshot"], &["ipnet", "thiserror"]),
    pure("rules", &["model", "snapshot", "reach"], &["ipnet", "strsim"]),
    pure("review", &["model", "snapshot", "reach", "rules"], &[]),
    // The schemas of our objects have one property per rule, made from the list of rules in `model`.
    outer("api", &["model"]),
    outer("translate", &["model", "api"]),
    // The cure in a denial is written as a policy, by `translate`; the rule's page is in its metadata, in `rules`.
    outer("report", &["model", "snapshot", "reach", "rules", "review", "translate"]),
    // What was admitted and not stored yet: `source` says what has come of it, `admission` judges with it.
    outer("unseen", &["model", "snapshot", "translate"]),
    // What a source yields is the `World` that `review` judges.
    outer("source", &["model", "api", "translate", "snapshot", "review", "unseen"]),
    outer("admission", &["model", "translate", "snapshot", "review", "report", "unseen"]),
    outer("audit", &["model", "api", "translate", "snapshot", "review", "report", "source"]),
    outer("serve", &["model", "snapshot", "review", "report", "source", "admission", "audit", "unseen"]),
    outer(
        "cli",
        &[
            "model",
            "snapshot",
            "reach",
            "rules",
            "review",
            "api",
            "translate",
            "report",
            "unseen",
            "source",
            "admission",
            "audit",
            "serve",
        ],
    ),
    // The binary, which sees the library from outside.
    outer("main", &["cli"]),
];

/// What makes a verdict depend on more than its input.
const IMPURE_STD: &[&str] = &["env", "fs", "io", "os", "path", "process", "thread", "time"];
/// The same, where the module itself is harmless: addresses are values, sockets are not.
const IMPURE_NAMES: &[&str] =
    &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "ToSocketAddrs", "SystemTime", "Instant"];

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|r| r.name == name)
}

/// What one file does that its room may not.
fn trespasses(file: &File, dependencies: &[String]) -> Vec<String> {
    let Some(room) = room(&file.room) else {
        return vec![format!("{}: src/{} has no row in ROOMS (tests/architecture.rs)", file.path, file.room)];
    };
    let code = shipped(&file.text);
    let own = if room.name == "main" { "portcullis" } else { "crate" };
    let mut found: Vec<String> = firsts(&code, own)
        .into_iter()
        .chain(source::upwards(&code, &file.module))
        .filter(|used| *used != room.name && !room.uses.contains(&used.as_str()))
        .map(|used| format!("{}: {} must not use {used}; it may use {}", file.path, room.name, room.uses.join(", ")))
        .collect();
    let Some(allowed) = room.crates else { return found };
    let outside =
        dependencies.iter().filter(|name| !allowed.contains(&name.as_str()) && !firsts(&code, name).is_empty());
    found.extend(outside.map(|name| format!("{}: {} is pure and must not use the crate {name}", file.path, room.name)));
    let std = ["std", "core", "alloc"].iter().flat_map(|root| firsts(&code, root));
    let std = std.filter(|name| IMPURE_STD.contains(&name.as_str()));
    found.extend(std.map(|name| format!("{}: {} is pure and must not use std::{name}", file.path, room.name)));
    let named = IMPURE_NAMES.iter().filter(|name| source::mentions(&code, name));
    found.extend(named.map(|name| format!("{}: {} is pure and must not use {name}", file.path, room.name)));
    found
}

/// Names of `[dependencies]` as code spells them.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once(" = ")?.0.trim().replace('-', "_")))
        .filter(|name| !name.starts_with('#'))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_import_stays_within_its_row() {
    let dependencies = dependencies();
    assert!(dependencies.len() > 20 && dependencies.contains(&"k8s_openapi".to_owned()), "{dependencies:?}");
    let files = sources(root());
    assert!(files.len() > 50, "only {} files found under src", files.len());
    let found: Vec<String> = files.iter().flat_map(|file| trespasses(file, &dependencies)).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn rooms_are_listed_from_the_ground_up() {
    let mut below = BTreeSet::new();
    for room in ROOMS {
        for used in room.uses {
            assert!(
                below.contains(used),
                "{} uses {used}, which is not above it in ROOMS: a cycle could close",
                room.name
            );
        }
        assert!(below.insert(room.name), "{} is listed twice", room.name);
    }
}

/// Rows `| \`room\` | what it is | what it may use |` of the table in docs/architecture.md.
fn documented(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
        (cells[0].trim_matches('`').to_owned(), ticked(cells[2]))
    })
    .collect()
}

#[test]
fn the_documented_table_is_this_one() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let mut documented = documented(&page);
    for room in ROOMS {
        let row =
            documented.remove(room.name).unwrap_or_else(|| panic!("docs/architecture.md has no row for {}", room.name));
        let wanted: BTreeSet<String> = room.uses.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(
            row, wanted,
            "docs/architecture.md, row {}: what it may use (left) is not what is tested (right)",
            room.name
        );
    }
    assert!(documented.is_empty(), "docs/architecture.md has rows for rooms that do not exist: {documented:?}");
}

#[test]
fn every_file_is_compiled() {
    let lost = source::unreachable(root());
    assert!(lost.is_empty(), "no `mod` line leads to these files, so nothing compiles them: {lost:#?}");
}

// The checker itself, on what it must find and on what it must let pass.

fn found_in(path: &str, text: &str) -> Vec<String> {
    let dependencies: Vec<String> = ["tokio", "kube", "ipnet", "serde_json"].map(str::to_owned).to_vec();
    trespasses(&File::new(path, text), &dependencies)
}

#[test]
fn upward_imports_are_found_however_they_are_written() {
    for text in [
        "use crate::review::Verdict;",
        "use crate::{model::Str, review::{Verdict, World}};",
        "use crate::{\n    snapshot::{Snapshot, Change},\n    review,\n};",
        "pub(crate) use crate::review as r;",
        "fn f() -> crate::review::Verdict { todo() }",
        "use super::super::review::Verdict;",
        "use super::super::{model, review};",
        "macro_rules! m { () => { $crate::review::judge() } }",
        "use crate::*;",
        "use crate::{self as all};",
        "use crate :: review;",
        "#[cfg(test)]\nuse super::x;\nuse crate::review::Verdict;",
    ] {
        let found = found_in("src/reach/decide.rs", text);
        assert_eq!(found.len(), 1, "{text}\n{found:?}");
        assert!(found[0].starts_with("src/reach/decide.rs: reach must not use "), "{found:?}");
    }
}

#[test]
fn what_is_allowed_passes() {
    for text in [
        "use crate::model::Str;\nuse crate::{model::{self, Labels}, snapshot::Snapshot};",
        "use super::review_of_flows;\nuse super::super::reach::Flow;",
        "// use crate::review::Verdict;\n/* crate::cli */\n//! [`crate::serve`]",
        "const TEXT: &str = \"crate::review::Verdict\";\nconst RAW: &str = r#\"tokio::spawn \" crate::cli\"#;",
        "fn f<'a>(x: &'a str) -> char { '\"' } // \" crate::cli\nuse crate::model::Str;",
        "#[cfg(test)]\nmod tests {\n    use crate::review::review;\n    fn f() { if true { tokio::spawn(); } }\n}\n",
        "use std::net::{IpAddr, Ipv4Addr};\nuse std::collections::BTreeMap;",
        "use my::tokio::x;\nmod kube_like;\nuse self::kube_like::y;",
    ] {
        assert_eq!(found_in("src/reach/decide.rs", text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn impurity_is_found() {
    for (text, word) in [
        ("use std::{collections::BTreeMap, fs};", "std::fs"),
        ("let t = std::time::Instant::now();", "std::time"),
        ("let v = std::env::var(\"X\");", "std::env"),
        ("use std::net::{IpAddr, TcpStream};", "TcpStream"),
        ("use kube::Client;", "crate kube"),
        ("async fn f() { tokio::spawn(g()).await }", "crate tokio"),
        ("#[derive(serde_json::X)]\nstruct S;", "crate serde_json"),
    ] {
        let found = found_in("src/snapshot/mod.rs", text);
        assert!(found.iter().any(|f| f.contains(word)), "{text}: {found:?}");
    }
    assert!(found_in("src/model/ipset.rs", "use ipnet::IpNet;").is_empty(), "model may use ipnet");
    assert!(found_in("src/serve/mod.rs", "use tokio::net::TcpListener;\nuse std::fs;").is_empty());
}

#[test]
fn the_binary_enters_through_the_command_line_only() {
    assert!(found_in("src/main.rs", "fn main() { portcullis::cli::run() }").is_empty());
    assert_eq!(found_in("src/main.rs", "fn main() { portcullis::serve::run() }").len(), 1);
    assert_eq!(found_in("src/helpers.rs", "fn f() {}").len(), 1, "a room without a row");
}
