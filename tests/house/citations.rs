//! Every numbered line of the semantics of other kinds than NetworkPolicy is cited by a test that pins it. The lines are
//! named by number: `semantics 2.3.4`, `2.3.1 to 2.3.4`.

use std::collections::{BTreeMap, BTreeSet};

use super::{files, has_extension, read};

/// The sections and their highest lines: ClusterNetworkPolicy and what came before it, Cilium, Calico.
const SECTIONS: [(&str, u32); 3] = [("2.2", 15), ("2.3", 17), ("2.4", 16)];

/// The part of a file that is test code: all of it under `tests`, what follows the first test module elsewhere.
fn test_code<'t>(path: &str, text: &'t str) -> &'t str {
    if path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs") {
        return text;
    }
    text.find("#[cfg(test)]\nmod tests {").map_or("", |at| &text[at..])
}

/// A line number, and what follows it.
fn line(text: &str) -> Option<(&'static str, u32, &str)> {
    SECTIONS.iter().find_map(|(section, _)| {
        let rest = text.strip_prefix(section)?.strip_prefix('.')?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        Some((*section, rest[..digits].parse().ok()?, &rest[digits..]))
    })
}

/// Every line that a text cites.
fn cited(text: &str) -> BTreeSet<(&'static str, u32)> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("2.") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.') {
            continue;
        }
        let Some((section, first, rest)) = line(&text[at..]) else { continue };
        let last = rest.strip_prefix(" to ").and_then(line).filter(|(other, ..)| *other == section);
        let last = last.map_or(first, |(_, last, _)| last);
        found.extend((first..=last).map(|number| (section, number)));
    }
    found
}

#[test]
fn every_line_of_the_semantics_of_other_kinds_is_cited_by_a_test() {
    let mut by: BTreeMap<(&str, u32), Vec<String>> = BTreeMap::new();
    for path in files(|path| has_extension(path, &["rs", "md"]) && !path.starts_with("tests/house")) {
        for line in cited(test_code(&path, &read(&path))) {
            by.entry(line).or_default().push(path.clone());
        }
    }
    for (section, highest) in SECTIONS {
        for number in 1..=highest {
            let cited = by.contains_key(&(section, number));
            assert!(cited, "no test cites semantics {section}.{number}; write one that pins it");
        }
        let beyond = by.keys().find(|(s, number)| *s == section && !(1..=highest).contains(number));
        assert_eq!(beyond, None, "there is no such line; cited by {:?}", beyond.map(|line| &by[line]));
    }
}

#[test]
fn citations_are_found_in_lists_and_ranges_and_nowhere_else() {
    let all = cited("semantics 2.3.1 to 2.3.3, 2.4.10 and (2.2.5); version 12.3.4 of 1.2.3.4, 2.30 and 2.3");
    let expected = [("2.2", 5), ("2.3", 1), ("2.3", 2), ("2.3", 3), ("2.4", 10)];
    assert_eq!(all, BTreeSet::from(expected));
    assert_eq!(test_code("src/a.rs", "code 2.2.1\n#[cfg(test)]\nmod tests {2.2.2"), "#[cfg(test)]\nmod tests {2.2.2");
}
