//! Text that is safe to print and short enough to read: names and values of objects are written by whoever sends them.

use std::borrow::Cow;

/// Bytes of a whole answer: message, warnings, causes and annotations together stay below this.
pub const MOST_BYTES: usize = 32 << 10;

/// Bytes of one sentence. The longest that rules write by themselves is a tenth of it.
pub const MOST_OF_A_SENTENCE: usize = 1 << 10;

/// Whether a character would act on the terminal, the log or the reading direction instead of being shown.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn escaped(text: &str, may_stay: fn(char) -> bool) -> Cow<'_, str> {
    let bad = |c: char| acts(c) && !may_stay(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// The text on one line, with escapes in place of characters that would act on a terminal or begin a line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Text of several lines, with escapes in place of other characters that would act on a terminal.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

/// A place at the start of a line. CI systems take a line that starts with `::` or `##[` for a command.
pub fn place(text: &str) -> Cow<'_, str> {
    let text = one_line(text);
    if text.starts_with("::") || text.starts_with("##") { format!("./{text}").into() } else { text }
}

/// The text, cut to this many bytes and a word that it was cut.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} more bytes)", text.get(..end).unwrap_or_default(), text.len() - end).into()
}

/// A sentence about an object: on one line, and not longer than anyone reads.
pub fn sentence(text: &str) -> Cow<'_, str> {
    match cut(text, MOST_OF_A_SENTENCE) {
        Cow::Borrowed(text) => one_line(text),
        Cow::Owned(text) => Cow::Owned(one_line(&text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_escaped_and_other_text_is_not_copied() {
        assert!(matches!(one_line("Ünïcode 名前 ✓"), Cow::Borrowed(_)));
        assert_eq!(one_line("a\x1b[31m\r\n::error::x\u{202e}"), "a\\u{1b}[31m\\r\\n::error::x\\u{202e}");
        assert_eq!(lines("a\n\x07b"), "a\n\\u{7}b");
        assert_eq!(place("::stop-commands::x.yaml"), "./::stop-commands::x.yaml");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä… (4 more bytes)");
        assert_eq!(cut("äöü", 6), "äöü");
        let long = sentence(&"\n".repeat(5_000)).len();
        assert!(long < 3 * MOST_OF_A_SENTENCE, "{long}");
    }
}
