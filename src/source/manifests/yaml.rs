//! One YAML document to a value and the positions of all its nodes, in one parse.
//!
//! `serde_saphyr::Spanned` around a visitor of our own was tried against walking parser events by hand:
//! it gives the same positions (those of an alias are where it is used), and anchors, merge keys,
//! budgets and the YAML 1.1 scalars that Kubernetes accepts (`on`, `0644`) come with it; nothing that is
//! read here can therefore disagree with what kube reads. A stream is cut at `---` and `...` first,
//! so that an error in one document does not hide the next one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, Options, Spanned};

use super::error::Problem;
use super::position::{Children, Position, Spans, saturate};

/// Levels of nesting that are read: what `serde_json` reads, and far more than any Kubernetes schema has.
pub(super) const MAX_DEPTH: usize = 127;
/// Nodes that aliases of one document may add in all.
const MAX_REPLAYED: usize = 100_000;

/// One document of a stream.
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    /// Lines of the file before `text`.
    pub(super) lines_before: u32,
}

/// Cuts a stream into its documents and leaves out those that hold nothing but comments.
pub(super) fn documents(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    let mut close = |from: usize, to: usize, line: u32| {
        if let Some(text) = text.get(from..to)
            && text.lines().any(has_content)
        {
            chunks.push(Chunk {
                text,
                lines_before: line,
            });
        }
    };
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let next = offset + line.len();
        if is_marker(line, "---") {
            close(start, offset, start_line);
            (start, start_line) = (offset, saturate(number));
        } else if is_marker(line, "...") {
            close(start, offset, start_line);
            (start, start_line) = (next, saturate(number + 1));
        }
        offset = next;
    }
    close(start, text.len(), start_line);
    chunks
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn has_content(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
}

/// Reads one document; the error comes with its place in `text`.
pub(super) fn parse(text: &str) -> Result<(Value, Spans), (Option<Position>, Problem)> {
    match serde_saphyr::from_str_with_options::<Node>(text, options()) {
        Ok(Node { value, spans }) => Ok((value, spans)),
        Err(error) => Err(explain(text, &error)),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            // A whole cluster as one `kubectl get -o yaml` list is one document, so only what costs
            // more than its own text is limited.
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH + 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
        },
        // As in the YAML that the API server and kubectl read.
        legacy_octal_numbers: true,
        emit_comments: false,
        with_snippet: false,
    }
}

fn explain(text: &str, error: &Error) -> (Option<Position>, Problem) {
    let position = error
        .location()
        .filter(|at| at.line() > 0)
        .map(|at| Position {
            line: u32::try_from(at.line()).unwrap_or(u32::MAX),
            column: u32::try_from(at.column()).unwrap_or(u32::MAX),
        });
    if let Some(position) = first_template_action(text) {
        return (Some(position), Problem::HelmTemplate);
    }
    (position, problem(error))
}

fn problem(error: &Error) -> Problem {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => problem(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => Problem::DuplicateKey(key.clone()),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => Problem::TooDeep(MAX_DEPTH),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => Problem::AliasBomb(sentence(error)),
        _ => {
            let message = sentence(error);
            if message.contains("recursion limit") || message.contains("nesting") {
                Problem::TooDeep(MAX_DEPTH)
            } else {
                Problem::Yaml(message)
            }
        }
    }
}

/// The message without the place, which is shown in front of it.
fn sentence(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    text.trim_start_matches("error: ").trim().to_owned()
}

/// Where a Go template action stands in the place of a YAML node. Inside a string (an alert's
/// annotation, a workflow's parameter) it is ordinary text and says nothing.
fn first_template_action(text: &str) -> Option<Position> {
    text.lines().enumerate().find_map(|(number, line)| {
        let at = line.find("{{")?;
        let before = line.get(..at)?;
        let node = before.trim_start_matches([' ', '-', '\t']);
        (node.is_empty() || node.ends_with(": ")).then(|| Position {
            line: saturate(number + 1),
            column: saturate(before.chars().count() + 1),
        })
    })
}

/// A value together with the positions of its nodes.
struct Node {
    value: Value,
    spans: Spans,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned {
            value: Bare(value, children),
            referenced,
            ..
        } = Spanned::deserialize(deserializer)?;
        let position = Position {
            line: u32::try_from(referenced.line()).unwrap_or(u32::MAX),
            column: u32::try_from(referenced.column()).unwrap_or(u32::MAX),
        };
        Ok(Self {
            value,
            spans: Spans::new(position, children),
        })
    }
}

/// A value and what stands below it, before its own position is known.
struct Bare(Value, Children);

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare(Value::Null, Children::None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare(Value::Bool(value), Children::None))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare(Value::Number(value.into()), Children::None))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bare, E> {
        Ok(Bare(Value::Number(value.into()), Children::None))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Bare, E> {
        let number = Number::from_f64(value)
            .ok_or_else(|| E::custom("found a number that JSON cannot hold"))?;
        Ok(Bare(Value::Number(number), Children::None))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Bare, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E>(self, value: String) -> Result<Bare, E> {
        Ok(Bare(Value::String(value), Children::None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bare, A::Error> {
        let (mut values, mut spans) = (Vec::new(), Vec::new());
        while let Some(node) = seq.next_element::<Node>()? {
            values.push(node.value);
            spans.push(node.spans);
        }
        Ok(Bare(Value::Array(values), Children::Items(spans)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bare, A::Error> {
        let (mut values, mut spans) = (Map::new(), Vec::new());
        while let Some((key, node)) = map.next_entry::<String, Node>()? {
            spans.push((key.as_str().into(), node.spans));
            if values.insert(key, node.value).is_some() {
                return Err(A::Error::custom("found the same key twice in one mapping"));
            }
        }
        Ok(Bare(Value::Object(values), Children::Fields(spans)))
    }
}
