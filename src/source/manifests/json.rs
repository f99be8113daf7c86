//! JSON to values and positions: `serde_json` reads and judges the text, a walk over the same, now known
//! to be valid, bytes notes where each node starts.
//!
//! YAML readers take most JSON, but not surrogate pairs in escapes, and their errors speak of YAML.

use serde_json::{Deserializer, Value};

use super::Nodes;
use super::error::Problem;
use super::position::{Children, Position, Spans, saturate, starts_char};
use super::yaml::MAX_DEPTH;

/// Reads every JSON value of the text, one after the other as `kubectl` does. An error ends the
/// reading, since nothing tells where the next value would start.
pub(super) fn parse_all(text: &str) -> (Nodes, Option<(Position, Problem)>) {
    let mut found = Vec::new();
    let values = Deserializer::from_str(text).into_iter::<Value>();
    let mut walk = Walk { text: text.as_bytes(), at: 0, here: Position::START };
    for value in values {
        let value = match value {
            Ok(value) => value,
            Err(error) => return (found, Some(explain(text, &error))),
        };
        match walk.value() {
            Ok(spans) => found.push((value, spans)),
            Err((position, key)) => return (found, Some((position, Problem::DuplicateKey(key)))),
        }
    }
    (found, None)
}

fn explain(text: &str, error: &serde_json::Error) -> (Position, Problem) {
    let line = error.line().max(1);
    let line_text = text.split('\n').nth(line - 1).unwrap_or_default();
    let bytes = line_text.as_bytes().iter().take(error.column().saturating_sub(1));
    let column = bytes.filter(|b| starts_char(**b)).count() + 1;
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let problem = if message.starts_with("recursion limit") {
        Problem::TooDeep(MAX_DEPTH)
    } else {
        Problem::Json(message.to_owned())
    };
    (Position { line: saturate(line), column: saturate(column) }, problem)
}

/// A walk over bytes that `serde_json` has accepted: what is not checked here cannot occur.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    here: Position,
}

/// A key that occurs twice, and where.
type Duplicate = (Position, String);

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) {
        match self.peek() {
            Some(b'\n') => self.here = Position { line: self.here.line.saturating_add(1), column: 1 },
            Some(byte) if starts_char(byte) => {
                self.here.column = self.here.column.saturating_add(1);
            }
            _ => {}
        }
        self.at += 1;
    }

    /// Moves on to the next byte that is not white space or one of `separators`.
    fn skip(&mut self, separators: &[u8]) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace() || separators.contains(&b)) {
            self.bump();
        }
    }

    fn value(&mut self) -> Result<Spans, Duplicate> {
        self.skip(b"");
        let position = self.here;
        let children = match self.peek() {
            Some(b'{') => self.object()?,
            Some(b'[') => self.array()?,
            Some(b'"') => {
                self.string();
                Children::None
            }
            _ => {
                while self.peek().is_some_and(|b| !b.is_ascii_whitespace() && !b",]}".contains(&b)) {
                    self.bump();
                }
                Children::None
            }
        };
        Ok(Spans::new(position, children))
    }

    fn object(&mut self) -> Result<Children, Duplicate> {
        let mut fields: Vec<(Box<str>, Spans)> = Vec::new();
        let mut keys = Vec::new();
        self.bump();
        loop {
            self.skip(b",");
            if self.peek().is_none_or(|b| b == b'}') {
                self.bump();
                break;
            }
            let position = self.here;
            let key = self.string();
            self.skip(b":");
            keys.push((key.clone(), position));
            fields.push((key.into(), self.value()?));
        }
        keys.sort();
        match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err((pair[1].1, pair[1].0.clone())),
            None => Ok(Children::Fields(fields)),
        }
    }

    fn array(&mut self) -> Result<Children, Duplicate> {
        let mut items = Vec::new();
        self.bump();
        loop {
            self.skip(b",");
            if self.peek().is_none_or(|b| b == b']') {
                self.bump();
                return Ok(Children::Items(items));
            }
            items.push(self.value()?);
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        self.bump();
        while let Some(byte) = self.peek() {
            self.bump();
            match byte {
                b'"' => break,
                b'\\' => self.bump(),
                _ => {}
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_slice(raw).unwrap_or_default()
    }
}
