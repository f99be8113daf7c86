//! Calico's selector language: text to expression and back, exactly as Calico reads it, with the place of every mistake.
//!
//! The text comes from whoever may write a policy, so its length and its depth are bounded, and nothing here recurses
//! deeper than that bound. Texts are borrowed: the language has no escapes, so a parse allocates only the tree.

mod lower;
mod parse;
mod token;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::model::selector::Lookup;

pub use lower::{Keys, Lowered, and, not, or};
pub use parse::{SelectorError, parse};

/// Bytes that a selector may have. Published definitions allow 1,024 characters; older ones have no limit.
pub const MAX_BYTES: usize = 64 * 1024;
/// Parentheses inside parentheses.
pub const MAX_DEPTH: usize = 64;

/// A test of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// `has(k)`.
    Has,
    /// `k == "v"`.
    Eq(&'a str),
    /// `k != "v"`: also where the label is absent (semantics 2.4.9).
    Ne(&'a str),
    /// `k in {"v", …}`. The values are sorted and each is there once.
    In(Vec<&'a str>),
    /// `k not in {"v", …}`: also where the label is absent.
    NotIn(Vec<&'a str>),
    /// `k contains "v"`.
    Contains(&'a str),
    /// `k starts with "v"`.
    StartsWith(&'a str),
    /// `k ends with "v"`.
    EndsWith(&'a str),
}

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr<'a> {
    /// `all()`, and the empty text.
    All,
    /// `global()`: what is in no namespace.
    Global,
    /// A test of one label.
    Label(&'a str, Op<'a>),
    /// `!x`.
    Not(Box<Expr<'a>>),
    /// `x && y`: two or more.
    And(Vec<Expr<'a>>),
    /// `x || y`: two or more.
    Or(Vec<Expr<'a>>),
}

impl Op<'_> {
    fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return matches!(self, Self::Ne(_) | Self::NotIn(_)) };
        match self {
            Self::Has => true,
            Self::Eq(text) => value == *text,
            Self::Ne(text) => value != *text,
            Self::In(list) => list.binary_search(&value).is_ok(),
            Self::NotIn(list) => list.binary_search(&value).is_err(),
            Self::Contains(text) => value.contains(text),
            Self::StartsWith(text) => value.starts_with(text),
            Self::EndsWith(text) => value.ends_with(text),
        }
    }
}

impl Expr<'_> {
    /// Whether labels match, taken as they are: no key has a special meaning, and `global()` is everything as in Calico.
    pub fn matches(&self, labels: &(impl Lookup + ?Sized)) -> bool {
        match self {
            Self::All | Self::Global => true,
            Self::Label(key, op) => op.holds(labels.value(key)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(parts) => parts.iter().all(|part| part.matches(labels)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(labels)),
        }
    }

    /// Whether `global()` is anywhere in it.
    pub fn mentions_global(&self) -> bool {
        match self {
            Self::Global => true,
            Self::All | Self::Label(..) => false,
            Self::Not(inner) => inner.mentions_global(),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::mentions_global),
        }
    }
}

/// A value in the quotes that it does not hold itself. No value holds both: the language could not say it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('"') { '\'' } else { '"' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

fn set(f: &mut fmt::Formatter<'_>, key: &str, word: &str, values: &[&str]) -> fmt::Result {
    write!(f, "{key} {word} {{")?;
    for (i, value) in values.iter().enumerate() {
        write!(f, "{}{}", if i > 0 { ", " } else { "" }, Quoted(value))?;
    }
    f.write_str("}")
}

impl fmt::Display for Expr<'_> {
    /// Calico's own notation. Parsing it again gives the same expression.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], between: &str| {
            for (i, part) in parts.iter().enumerate() {
                f.write_str(if i > 0 { between } else { "" })?;
                if matches!(part, Self::And(_) | Self::Or(_)) { write!(f, "({part})")? } else { write!(f, "{part}")? }
            }
            Ok(())
        };
        match self {
            Self::All => f.write_str("all()"),
            Self::Global => f.write_str("global()"),
            Self::Label(key, op) => match op {
                Op::Has => write!(f, "has({key})"),
                Op::Eq(value) => write!(f, "{key} == {}", Quoted(value)),
                Op::Ne(value) => write!(f, "{key} != {}", Quoted(value)),
                Op::In(values) => set(f, key, "in", values),
                Op::NotIn(values) => set(f, key, "not in", values),
                Op::Contains(value) => write!(f, "{key} contains {}", Quoted(value)),
                Op::StartsWith(value) => write!(f, "{key} starts with {}", Quoted(value)),
                Op::EndsWith(value) => write!(f, "{key} ends with {}", Quoted(value)),
            },
            Self::Not(inner) => match &**inner {
                Self::And(_) | Self::Or(_) | Self::Not(_) => write!(f, "!({inner})"),
                _ => write!(f, "!{inner}"),
            },
            Self::And(parts) => join(f, parts, " && "),
            Self::Or(parts) => join(f, parts, " || "),
        }
    }
}
