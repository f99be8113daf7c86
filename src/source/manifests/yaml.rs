//! One YAML document to a value and the positions of all its nodes, in one parse.
//!
//! It walks the events of granit-parser, the parser below serde-saphyr and so below kube.
//! `serde_saphyr::Spanned` around a visitor of our own was measured first: the same positions, but three to four
//! times the time, and more than 30 KiB of stack for a level in a debug build, so that 64 levels overflowed a test
//! thread. Here the open collections are on the heap. A stream is cut at `---` and `...` first, so that an error
//! in one document does not hide the next one.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use super::error::Problem;
use super::position::{Children, Position, Spans, saturate};
use super::scalar;

/// Levels of nesting that are read: what `serde_json` reads, and far more than any Kubernetes schema has.
pub(super) const MAX_DEPTH: usize = 127;
/// What anchors and aliases of one document may add to it by copying, in bytes, roughly.
const MAX_COPIED: usize = 16 << 20;

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
            chunks.push(Chunk { text, lines_before: line });
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
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn has_content(line: &str) -> bool {
    let line = line.strip_prefix("---").unwrap_or(line).trim();
    !(line.is_empty() || line.starts_with('#') || line.starts_with('%'))
}

/// What is wrong with a document, and where in its text.
pub(super) type Failure = (Option<Position>, Problem);

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<(Value, Spans), Failure> {
    Builder::default().run(text).map_err(|failure| match first_template_action(text) {
        Some(position) => (Some(position), Problem::HelmTemplate),
        None => failure,
    })
}

/// Where a Go template action stands in the place of a YAML node. Inside a string (an alert's
/// annotation, a workflow's parameter) it is ordinary text and says nothing.
fn first_template_action(text: &str) -> Option<Position> {
    text.lines().enumerate().find_map(|(number, line)| {
        let at = line.find("{{")?;
        let before = line.get(..at)?;
        let node = before.trim_start_matches([' ', '-', '\t']);
        (node.is_empty() || node.ends_with(": "))
            .then(|| Position { line: saturate(number + 1), column: saturate(before.chars().count() + 1) })
    })
}

/// A finished node.
#[derive(Clone)]
struct Node {
    value: Value,
    spans: Spans,
    /// What copying it costs.
    weight: usize,
    /// Levels of collections in it.
    depth: usize,
}

/// A collection whose end has not been seen yet.
struct Open {
    start: Position,
    anchor: usize,
    weight: usize,
    depth: usize,
    content: Content,
}

enum Content {
    Items(Vec<Value>, Vec<Spans>),
    Fields(Fields),
}

#[derive(Default)]
struct Fields {
    values: Map<String, Value>,
    spans: Vec<(Box<str>, Spans)>,
    /// The key whose value comes next.
    key: Option<Key>,
    /// The value of the merge key; boxed because it is rare and collections are moved often.
    merge: Option<Box<(Position, Node)>>,
}

enum Key {
    Name(String),
    Merge,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    copied: usize,
    root: Option<Node>,
}

impl Builder {
    fn run(mut self, text: &str) -> Result<(Value, Spans), Failure> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str_with_options(text, options);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| scan_failure(&error))?;
            self.event(event, &span)?;
        }
        let node = self.root.unwrap_or_else(|| leaf(Value::Null, Position::START));
        Ok((node.value, node.spans))
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Failure> {
        let at = Position { line: saturate(span.start.line()), column: saturate(span.start.col() + 1) };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if plain && tag.is_none() && text == "<<" && self.expects_key() {
                    return self.merge_key(at);
                }
                let value = scalar::resolve(text, plain, tag.as_deref())
                    .map_err(|message| (Some(at), Problem::Yaml(message)))?;
                self.finish(leaf(value, at), anchor, at)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(at, anchor, Content::Items(Vec::new(), Vec::new())),
            Event::MappingStart(_, anchor, _) => self.begin(at, anchor, Content::Fields(Fields::default())),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { start, anchor, weight, depth, content }) = self.open.pop() else {
                    return Ok(());
                };
                let (value, children) = match content {
                    Content::Items(values, spans) => (Value::Array(values), Children::Items(spans)),
                    Content::Fields(fields) => fields.close()?,
                };
                self.finish(Node { value, spans: Spans::new(start, children), weight, depth }, anchor, start)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err((Some(at), Problem::Yaml("an alias to something that contains it".to_owned())));
                };
                if self.open.len() + node.depth > MAX_DEPTH {
                    return Err((Some(at), Problem::TooDeep(MAX_DEPTH)));
                }
                let weight = node.weight;
                let node = node.clone();
                self.copy(weight, at)?;
                self.finish(Node { spans: node.spans.moved_to(at), ..node }, 0, at)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, start: Position, anchor: usize, content: Content) -> Result<(), Failure> {
        if self.open.len() >= MAX_DEPTH {
            return Err((Some(start), Problem::TooDeep(MAX_DEPTH)));
        }
        if self.expects_key() {
            return Err((Some(start), Problem::Yaml("a list or mapping as a key; keys are strings".to_owned())));
        }
        self.open.push(Open { start, anchor, weight: NODE_WEIGHT, depth: 1, content });
        Ok(())
    }

    /// Counts a copy before it is made into something larger, so that a bomb is found while it is small.
    fn copy(&mut self, weight: usize, at: Position) -> Result<(), Failure> {
        self.copied = self.copied.saturating_add(weight);
        if self.copied > MAX_COPIED {
            let found = format!("more than {} MiB in copies", MAX_COPIED >> 20);
            return Err((Some(at), Problem::AliasBomb(found)));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Fields(Fields { key: None, .. }), .. }))
    }

    fn merge_key(&mut self, at: Position) -> Result<(), Failure> {
        if let Some(Open { content: Content::Fields(fields), .. }) = self.open.last_mut() {
            if fields.merge.is_some() {
                return Err((Some(at), Problem::DuplicateKey("<<".to_owned())));
            }
            fields.key = Some(Key::Merge);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into the innermost open collection, or at the root.
    fn finish(&mut self, node: Node, anchor: usize, at: Position) -> Result<(), Failure> {
        if anchor != 0 {
            self.copy(node.weight, at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.weight = parent.weight.saturating_add(node.weight);
        parent.depth = parent.depth.max(node.depth + 1);
        match &mut parent.content {
            Content::Items(values, spans) => {
                values.push(node.value);
                spans.push(node.spans);
                Ok(())
            }
            Content::Fields(fields) => fields.take(node, at),
        }
    }
}

/// What a node costs beside its text.
const NODE_WEIGHT: usize = 16;

fn leaf(value: Value, at: Position) -> Node {
    let weight = NODE_WEIGHT + value.as_str().map_or(0, str::len);
    Node { value, spans: Spans::new(at, Children::None), weight, depth: 0 }
}

fn scan_failure(error: &ScanError) -> Failure {
    let marker = error.marker();
    let position = Position { line: saturate(marker.line().max(1)), column: saturate(marker.col() + 1) };
    let problem = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Problem::TooDeep(MAX_DEPTH),
        _ => Problem::Yaml(error.info()),
    };
    (Some(position), problem)
}

impl Fields {
    /// Takes the next node: a key, the value of the key before it, or what to merge.
    fn take(&mut self, node: Node, at: Position) -> Result<(), Failure> {
        match self.key.take() {
            None => {
                let name = match node.value {
                    Value::String(text) => text,
                    Value::Bool(flag) => flag.to_string(),
                    Value::Number(number) => number.to_string(),
                    _ => {
                        return Err((Some(at), Problem::Yaml("a key that is not a string".to_owned())));
                    }
                };
                if self.values.contains_key(&name) {
                    return Err((Some(at), Problem::DuplicateKey(name)));
                }
                self.key = Some(Key::Name(name));
            }
            Some(Key::Name(name)) => {
                self.spans.push((name.as_str().into(), node.spans));
                self.values.insert(name, node.value);
            }
            Some(Key::Merge) => self.merge = Some(Box::new((at, node))),
        }
        Ok(())
    }

    /// Ends the mapping. What is merged in gives way to what is written, and of several mappings the
    /// first one counts.
    fn close(mut self) -> Result<(Value, Children), Failure> {
        if let Some(merge) = self.merge.take() {
            let (at, node) = *merge;
            let sources = match node.value {
                value @ Value::Object(_) => vec![(value, node.spans)],
                Value::Array(items) => items.into_iter().zip(node.spans.into_items()).collect(),
                _ => Vec::new(),
            };
            if sources.is_empty() || sources.iter().any(|(value, _)| !value.is_object()) {
                let found = "a merge key (`<<`) whose value is not a mapping or a list of mappings";
                return Err((Some(at), Problem::Yaml(found.to_owned())));
            }
            for (value, spans) in sources {
                let Value::Object(mut values) = value else {
                    continue;
                };
                for (name, spans) in spans.into_fields() {
                    if let Some(value) = values.remove(&*name)
                        && !self.values.contains_key(&*name)
                    {
                        self.values.insert(name.to_string(), value);
                        self.spans.push((name, spans));
                    }
                }
            }
        }
        Ok((Value::Object(self.values), Children::Fields(self.spans)))
    }
}
