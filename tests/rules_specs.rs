//! The literate specs of the house rules: prose, manifests and expected verdicts in `tests/rules/*.md`, run through the
//! same functions that the webhook and the command line use. `UPDATE=1 cargo test --test rules_specs` rewrites the verdicts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod rules_support;

use portcullis::model::house::RuleId;
use portcullis::rules::RULES;
use rules_support::spec::{self, Outcome};

fn specs() -> Vec<(RuleId, std::path::PathBuf)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    RuleId::ALL.iter().map(|id| (*id, folder.join(format!("{id}.md")))).collect()
}

#[test]
fn every_spec_holds() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (rule, path) in specs() {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let run = spec::run(rule, &text);
        if run.text == text {
            continue;
        }
        if update {
            std::fs::write(&path, run.text).unwrap();
        } else {
            wrong.push(format!("{}:\n{}", path.display(), difference(&text, &run.text)));
        }
    }
    assert!(wrong.is_empty(), "verdicts differ (UPDATE=1 accepts them):\n{}", wrong.join("\n"));
}

#[test]
fn messages_keep_the_convention() {
    let mut seen = 0;
    for (rule, path) in specs() {
        let outcomes = spec::run(rule, &std::fs::read_to_string(path).unwrap()).outcomes;
        assert!(outcomes.iter().any(Outcome::is_clean), "{rule}: the spec shows nothing that is accepted");
        assert!(!outcomes.iter().all(Outcome::is_clean), "{rule}: the spec shows nothing that is found");
        for judged in outcomes.iter().flat_map(|outcome| &outcome.verdict.findings) {
            let finding = &judged.finding;
            seen += 1;
            for text in [&finding.message].into_iter().chain(&finding.because).chain(&finding.help) {
                assert!(!text.ends_with(['.', '!']), "final stop: {text}");
                assert!(!text.contains("  ") && !text.contains('\n'), "stray space: {text}");
            }
            // A kind is spelled as it is.
            let by_kind = finding.message.starts_with(&format!("{} ", finding.object.kind));
            let lower = finding.message.starts_with(|c: char| !c.is_uppercase());
            assert!(lower || by_kind, "upper case: {}", finding.message);
            assert!(finding.message.chars().count() > 20, "too short to help: {}", finding.message);
        }
    }
    assert!(seen > 40, "only {seen} findings in all specs");
}

#[test]
fn the_registry_is_sorted_and_complete() {
    let ids: Vec<RuleId> = RULES.iter().map(|rule| rule.meta().id).collect();
    assert_eq!(ids, RuleId::ALL);
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    assert!(names.is_sorted());
}

#[test]
fn there_is_no_spec_without_a_rule() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "README" || RuleId::parse(name).is_some(), "{} belongs to no rule", path.display());
    }
}

/// The lines that differ, with their numbers.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(old.len() - same).min(new.len() - same);
    let removed = old[same..old.len() - tail].iter().map(|line| format!("-{line}"));
    let added = new[same..new.len() - tail].iter().map(|line| format!("+{line}"));
    let all: Vec<String> = removed.chain(added).collect();
    format!("from line {}:\n{}", same + 1, all.join("\n"))
}
