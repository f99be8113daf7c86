//! The matrix as one page: everything in one file, with nothing to fetch, and the reason of every cell in it.
//!
//! The page puts answers together from what the engine computed and evaluates no policy itself. Names come from manifests
//! and may be hostile: they enter as one island of JSON without a single `<`, and the script writes them as text only.

mod data;
mod outside;
mod shape;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::Place;
use super::matrix::{Pick, Row};
use crate::model::{FieldPath, ObjectRef};
use crate::reach::{Options, Reasons};
use crate::snapshot::Snapshot;

/// One state of a cluster, evaluated.
pub struct State<'a> {
    /// The state.
    pub world: &'a Snapshot,
    /// How it was evaluated.
    pub options: &'a Options,
    /// What came out.
    pub reasons: &'a Reasons,
    /// Where a field of an object is written.
    pub locate: &'a dyn Fn(&ObjectRef, &FieldPath) -> Option<Place>,
}

/// What the page is about.
pub struct Page<'a> {
    /// The state that is shown.
    pub after: State<'a>,
    /// The state that it is compared with.
    pub before: Option<State<'a>>,
    /// Files and folders as they were named, for commands that can be copied.
    pub paths: Vec<String>,
    /// The dialect that was settled.
    pub dialect: Option<String>,
    /// Which ends may be sources, and which destinations.
    pub ends: [Option<Pick>; 2],
    /// Rows that say by what a workload is exposed.
    pub entrances: Vec<Row>,
    /// What the filters are set to when the page opens: namespace and port.
    pub filters: [Option<String>; 2],
    /// What a reader should know.
    pub notes: Vec<String>,
}

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// In the order in which they build on each other.
const SCRIPTS: [&str; 8] = [
    include_str!("tools.js"),
    include_str!("model.js"),
    include_str!("panel.js"),
    include_str!("layout.js"),
    include_str!("routes.js"),
    include_str!("map.js"),
    include_str!("grid.js"),
    include_str!("main.js"),
];

impl Page<'_> {
    /// The page; the same bytes for the same input.
    pub fn to_html(&self) -> Result<String, serde_json::Error> {
        let script = format!("\"use strict\";\n(() => {{\n{}}})();\n", SCRIPTS.concat());
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash(STYLE),
            hash(&script)
        );
        let data = harmless(&serde_json::to_string(&data::of(self))?);
        // What is filled in last is never searched for placeholders.
        let mut page = String::with_capacity(data.len() + script.len() + STYLE.len() + TEMPLATE.len());
        let mut rest = TEMPLATE;
        for (mark, text) in
            [("{{policy}}", &*policy), ("{{style}}", STYLE), ("{{data}}", &data), ("{{script}}", &script)]
        {
            let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
            page.push_str(before);
            page.push_str(text);
            rest = after;
        }
        page.push_str(rest);
        Ok(page)
    }
}

/// The source expression that admits exactly this inline text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// JSON without any character that HTML gives a meaning to. They occur in strings only, where an escape means the same.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_means_anything_to_html() {
        let hostile = "</script><!-- <img src=x onerror='alert(1)'> &amp; \u{2028}";
        let json = harmless(&serde_json::to_string(hostile).unwrap());
        assert!(!json.contains(['<', '>', '&', '\'', '\u{2028}']), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }

    #[test]
    fn the_template_has_each_place_once_and_in_order() {
        let places: Vec<usize> = ["{{policy}}", "{{style}}", "{{data}}", "{{script}}"]
            .iter()
            .map(|mark| {
                assert_eq!(TEMPLATE.matches(mark).count(), 1, "{mark}");
                TEMPLATE.find(mark).unwrap()
            })
            .collect();
        assert!(places.is_sorted());
        for inline in SCRIPTS.iter().chain([&STYLE]) {
            assert!(!inline.contains("</") && !inline.contains("<!--"), "ends the element that it stands in");
            assert!(!inline.contains("innerHTML") && !inline.contains("://"), "text only, and nothing to fetch");
        }
    }
}
