//! The house itself: files that are readable, documents that tell the truth, licences that are allowed, a test runner that
//! fails when something fails.
//!
//! `UPDATE=1 cargo test --test house` writes the generated definitions in the chart again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "house/citations.rs"]
mod citations;
#[path = "house/licences.rs"]
mod licences;
#[path = "house/rings.rs"]
mod rings;

const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Files of the repository by their path in it, without what is built.
fn files(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["target", ".git", "node_modules"].contains(&name) && !path.is_symlink() {
                    walk(&path, into);
                }
            } else {
                into.push(path);
            }
        }
    }
    let mut all = Vec::new();
    walk(root(), &mut all);
    let mut all: Vec<String> = all
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
        .filter(|path| wanted(path))
        .collect();
    all.sort();
    all
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    Path::new(path).extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
}

/// What is wrong with one Rust file.
fn slips(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//! ") {
        found.push(format!("{path}:1: begin with `//!` and a sentence that says what the file keeps and why"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!("{path}: {lines} lines; split it, {MOST_LINES} are the most"));
    }
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if line == concat!("#[", "ignore]") {
            found.push(format!("{path}:{number}: say why: #[{} = \"…\"]", "ignore"));
        }
        let words = line.split(|c: char| !c.is_alphanumeric());
        let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
        if words.clone().any(|word| notes.contains(&word)) {
            found.push(format!("{path}:{number}: an open end; finish it or open an issue"));
        }
    }
    found
}

#[test]
fn rust_files_have_a_head_a_length_and_no_open_ends() {
    let rust = files(|path| has_extension(path, &["rs"]));
    assert!(rust.len() > 80, "only {} Rust files found", rust.len());
    let found: Vec<String> = rust.iter().flat_map(|path| slips(path, &read(path))).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_check_of_rust_files_finds_slips() {
    let head = "//! What it keeps.\n";
    assert!(slips("a.rs", head).is_empty());
    assert_eq!(slips("a.rs", "use std::fs;\n").len(), 1, "no head");
    assert_eq!(slips("a.rs", &head.repeat(401)).len(), 1, "too long");
    assert_eq!(slips("a.rs", &format!("{head}#[{}]\nfn f() {{}}\n", "ignore")).len(), 1);
    assert!(slips("a.rs", &format!("{head}#[{} = \"needs a cluster\"]\n", "ignore")).is_empty());
    assert_eq!(slips("a.rs", &format!("{head}// {}: later\n", concat!("TO", "DO"))).len(), 1);
}

/// Targets of relative links in a Markdown text, code left out.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for prose in text.split("```").step_by(2) {
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target);
            }
        }
    }
    found
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for page in files(|path| has_extension(path, &["md"])) {
        let folder = root().join(&page).parent().unwrap().to_owned();
        let text = read(&page);
        broken.extend(links(&text).into_iter().filter(|t| !folder.join(t).exists()).map(|t| format!("{page}: {t}")));
    }
    assert!(broken.is_empty(), "links to files that do not exist:\n{}\n", broken.join("\n"));
    assert_eq!(links("[a](b.md#c) ```[x](y)``` [d](https://e) [f](#g) [h](i/j)"), ["b.md", "i/j"]);
}

/// `make TARGET` in a document, where it stands as code.
fn make_targets(text: &str) -> Vec<&str> {
    let commands = text.split('`').skip(1).step_by(2).chain(text.lines());
    let commands = commands.filter_map(|command| command.strip_prefix("make "));
    let words = commands.filter_map(|rest| rest.split_whitespace().next());
    words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')).collect()
}

#[test]
fn documents_name_make_targets_that_exist() {
    let makefile = read("Makefile");
    let exists = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    assert!(exists("help") && !exists("everything"));
    for page in files(|path| has_extension(path, &["md"]) && !path.starts_with("tests/guides")) {
        for target in make_targets(&read(&page)) {
            assert!(exists(target), "{page}: `make {target}` is no target of the Makefile");
        }
    }
    assert_eq!(make_targets("run `make check` first\nmake test\n"), ["check", "test"]);
}

#[test]
fn scripts_are_strict_executable_and_called_by_something() {
    use std::os::unix::fs::PermissionsExt;
    let text_files = files(|path| {
        ["Makefile", ".ci/", ".github/", "hack/", "tests/", "deploy/", "CONTRIBUTING.md"]
            .iter()
            .any(|p| path.starts_with(p))
    });
    let texts: Vec<(String, String)> = text_files
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?)))
        .collect();
    for (path, text) in texts.iter().filter(|(_, text)| text.starts_with("#!")) {
        let mode = fs::metadata(root().join(path)).unwrap().permissions().mode();
        assert!(mode & 0o111 != 0, "{path} is not executable (chmod +x)");
        let shell = text.lines().next().is_some_and(|first| first.ends_with("sh"));
        assert!(
            !shell || text.lines().any(|line| line.starts_with("set -")),
            "{path} does not say what happens on errors (set -eu)"
        );
        let name = path.rsplit('/').next().unwrap();
        let caller = texts.iter().find(|(other, text)| other != path && text.contains(name));
        assert!(caller.is_some(), "nothing in the repository calls {path}");
    }
}

#[test]
fn house_rules_in_documents_can_be_read() {
    use portcullis::translate::houserules::{house_rules, rule_exception};
    let mut seen = 0;
    for page in files(|path| has_extension(path, &["md"])) {
        for block in read(&page).split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("yaml\n")) {
            if !block.contains("portcullis.dev/v1alpha1") {
                continue;
            }
            let objects: Vec<serde_json::Value> =
                serde_saphyr::from_multiple(block).unwrap_or_else(|e| panic!("{page}: {e}\n{block}"));
            for object in objects {
                let unread = match object["kind"].as_str() {
                    Some("HouseRules") => house_rules(&object).1,
                    Some("RuleException") => rule_exception(&object).1,
                    _ => continue,
                };
                assert!(unread.is_empty(), "{page}: {unread:?}\n{block}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 2, "docs/operations.md shows one of each");
}

#[test]
fn definitions_in_the_chart_are_those_of_the_binary() {
    let wanted = portcullis::api::crds_yaml().unwrap();
    let path = "charts/portcullis/files/crds.yaml";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(path), &wanted).unwrap();
    }
    assert!(read(path) == wanted, "{path} is out of date: run `make docs`");
}

#[test]
fn one_version_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("charts/portcullis/Chart.yaml");
    let app = chart.lines().find_map(|line| line.strip_prefix("appVersion:")).unwrap().trim().trim_matches('"');
    assert_eq!(app, version, "appVersion of the chart and version of the crate");
    assert!(read("CHANGELOG.md").contains(&format!("## [{version}]")), "CHANGELOG.md has no section for {version}");
}

#[test]
fn workflows_have_few_rights_and_call_what_people_call() {
    let workflows = files(|path| path.starts_with(".github/workflows/"));
    assert!(!workflows.is_empty());
    for path in workflows {
        let text = read(&path);
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{path}: permissions: contents: read");
        assert!(text.contains(".ci/run") || text.contains("make "), "{path} has recipes of its own");
        for used in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            let version = used.split_once('@').map_or("", |(_, version)| version);
            let major =
                version.strip_prefix('v').is_some_and(|v| !v.is_empty() && v.chars().all(|c| c.is_ascii_digit()));
            assert!(major, "{path}: {used} is not pinned to a major version (@v4)");
        }
    }
}
