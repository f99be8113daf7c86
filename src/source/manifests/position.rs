//! Positions of every node of a document, kept beside the value so that a finding about a field can
//! name the line it stands on.

use std::fmt;
use std::str::Chars;

/// A place in a file; both numbers start at 1 and columns count characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The position of byte `offset` in `text`.
    pub(super) fn of_byte(text: &[u8], offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let line = before.split(|b| *b == b'\n').count();
        let column = before.iter().skip(line_start).filter(|b| starts_char(**b)).count() + 1;
        Self { line: saturate(line), column: saturate(column) }
    }

    /// The same place when the text it was counted in starts `lines` lines into the file.
    pub(super) fn down(self, lines: u32) -> Self {
        Self { line: self.line.saturating_add(lines), ..self }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Whether a byte of valid UTF-8 begins a character.
pub(super) fn starts_char(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// Narrows a count to the width positions have.
pub(super) fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The positions of a value and of everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    position: Position,
    children: Children,
}

/// What stands below a node, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Children {
    /// A scalar.
    None,
    /// The values of a mapping.
    Fields(Vec<(Box<str>, Spans)>),
    /// The items of a sequence.
    Items(Vec<Spans>),
}

impl Spans {
    pub(super) fn new(position: Position, children: Children) -> Self {
        Self { position, children }
    }

    /// Of an object that stands in no text.
    pub const fn none() -> Self {
        Self { position: Position::START, children: Children::None }
    }

    /// Where the document starts.
    pub fn start(&self) -> Position {
        self.position
    }

    /// The position of the value at this path, or of the nearest parent that exists.
    ///
    /// A path is written `spec.egress[0].to[1].ipBlock.cidr`; a key that holds a dot, a slash or a
    /// bracket is written `matchLabels["app.kubernetes.io/name"]`, with `\"` and `\\` inside the quotes.
    pub fn locate(&self, path: &str) -> Position {
        let mut node = self;
        let mut rest = path.chars();
        while let Some(segment) = next_segment(&mut rest) {
            let Some(child) = node.child(&segment) else {
                break;
            };
            node = child;
        }
        node.position
    }

    /// Moves every position down by `lines`.
    pub(super) fn down(&mut self, lines: u32) {
        if lines == 0 {
            return;
        }
        self.position = self.position.down(lines);
        match &mut self.children {
            Children::None => {}
            Children::Fields(fields) => fields.iter_mut().for_each(|(_, node)| node.down(lines)),
            Children::Items(items) => items.iter_mut().for_each(|node| node.down(lines)),
        }
    }

    /// The same node used in another place, as an alias does: what is below it stays where it is written.
    pub(super) fn moved_to(self, position: Position) -> Self {
        Self { position, ..self }
    }

    /// The fields of a mapping.
    pub(super) fn into_fields(self) -> Vec<(Box<str>, Self)> {
        if let Children::Fields(fields) = self.children { fields } else { Vec::new() }
    }

    /// The items of a sequence.
    pub(super) fn into_items(self) -> Vec<Self> {
        if let Children::Items(items) = self.children { items } else { Vec::new() }
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (segment, &self.children) {
            (Segment::Key(key), Children::Fields(fields)) => {
                fields.iter().find(|(name, _)| **name == **key).map(|(_, node)| node)
            }
            (Segment::Index(index), Children::Items(items)) => items.get(*index),
            _ => None,
        }
    }
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Key(String),
    Index(usize),
}

/// Reads one step; `None` at the end and at the first step that is not well formed.
fn next_segment(rest: &mut Chars<'_>) -> Option<Segment> {
    let mut first = rest.next()?;
    if first == '.' {
        first = rest.next()?;
    }
    if first != '[' {
        let mut key = String::from(first);
        let tail = rest.as_str();
        let end = tail.find(['.', '[']).unwrap_or(tail.len());
        let (name, after) = tail.split_at(end);
        key.push_str(name);
        *rest = after.chars();
        return Some(Segment::Key(key));
    }
    if let Some(quoted) = rest.as_str().strip_prefix('"') {
        *rest = quoted.chars();
        let mut key = String::new();
        loop {
            match rest.next()? {
                '"' => break,
                '\\' => key.push(rest.next()?),
                other => key.push(other),
            }
        }
        return (rest.next()? == ']').then_some(Segment::Key(key));
    }
    let (digits, after) = rest.as_str().split_once(']')?;
    let index = digits.parse().ok()?;
    *rest = after.chars();
    Some(Segment::Index(index))
}

#[cfg(test)]
mod tests {
    use super::{Position, Segment, next_segment};

    fn segments(path: &str) -> Vec<Segment> {
        let mut rest = path.chars();
        std::iter::from_fn(|| next_segment(&mut rest)).collect()
    }

    fn key(name: &str) -> Segment {
        Segment::Key(name.to_owned())
    }

    #[test]
    fn paths_are_split_into_steps() {
        assert_eq!(
            segments("spec.egress[0].to[12].ipBlock.cidr"),
            [key("spec"), key("egress"), Segment::Index(0), key("to"), Segment::Index(12), key("ipBlock"), key("cidr")]
        );
        assert_eq!(
            segments(r#"matchLabels["app.kubernetes.io/name"].x"#),
            [key("matchLabels"), key("app.kubernetes.io/name"), key("x")]
        );
        assert_eq!(segments(r#"["a\"b\\c"]"#), [key(r#"a"b\c"#)]);
        assert_eq!(segments("k8s-app"), [key("k8s-app")]);
        assert_eq!(segments(""), []);
    }

    #[test]
    fn a_path_that_is_not_well_formed_ends_early() {
        assert_eq!(segments("spec[x].y"), [key("spec")]);
        assert_eq!(segments("spec[1"), [key("spec")]);
        assert_eq!(segments(r#"spec["a"#), [key("spec")]);
        assert_eq!(segments(r#"spec["a"x"#), [key("spec")]);
        assert_eq!(segments("spec."), [key("spec")]);
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a\näö: x".as_bytes();
        assert_eq!(Position::of_byte(text, 0), Position::START);
        assert_eq!(Position::of_byte(text, 2), Position { line: 2, column: 1 });
        assert_eq!(Position::of_byte(text, 8), Position { line: 2, column: 5 });
        assert_eq!(Position::of_byte(text, 999).line, 2);
    }
}
