//! Tokens → expression, and errors that show the place.

use super::token::{Slip, Token, Tokens};
use super::{Expr, MAX_BYTES, MAX_DEPTH, Op};

/// Why a text is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: expected {expected}, found {found}")]
pub struct SelectorError {
    /// The character at which it stops, counted from 1.
    pub column: usize,
    /// What would have been right there.
    pub expected: &'static str,
    /// What is there instead.
    pub found: String,
    excerpt: String,
    caret: usize,
}

/// Characters shown around the place of an error.
const AROUND: usize = 30;

impl SelectorError {
    fn new(text: &str, slip: &Slip) -> Self {
        let before = text.get(..slip.at).unwrap_or(text).chars().count();
        let from = before.saturating_sub(AROUND);
        let shown: String = text.chars().skip(from).take(2 * AROUND).collect();
        let (left, right) = (from > 0, text.chars().nth(from + 2 * AROUND).is_some());
        Self {
            column: before + 1,
            expected: slip.expected,
            found: found(text.get(slip.at..).unwrap_or_default()),
            // Control characters would break the line that the caret points into.
            excerpt: format!("{}{}{}", mark(left), shown.replace(char::is_control, " "), mark(right)),
            caret: before - from + usize::from(left),
        }
    }

    /// Two lines: the text around the place, and a caret under it.
    pub fn caret(&self) -> String {
        format!("{}\n{}^", self.excerpt, " ".repeat(self.caret))
    }
}

const fn mark(cut: bool) -> &'static str {
    if cut { "…" } else { "" }
}

/// What stands at the place of an error: the word or the character there.
fn found(rest: &str) -> String {
    const MOST: usize = 24;
    let Some(first) = rest.chars().next() else { return "the end".to_owned() };
    if first == '\n' || first == '\r' {
        return "a line break".to_owned();
    }
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
    if first.is_control() {
        return format!("`{}`", first.escape_default());
    }
    let text: String =
        if word(first) { rest.chars().take_while(|c| word(*c)).take(MOST).collect() } else { first.to_string() };
    format!("`{text}`")
}

/// Reads a selector. The empty text is `all()`.
pub fn parse(text: &str) -> Result<Expr<'_>, SelectorError> {
    if text.len() > MAX_BYTES {
        let expected = "at most 65,536 bytes in a selector";
        return Err(SelectorError {
            found: format!("{} bytes", text.len()),
            ..SelectorError::new("", &Slip { at: 0, expected })
        });
    }
    Parser::of(text).and_then(Parser::root).map_err(|slip| SelectorError::new(text, &slip))
}

/// One token ahead is all the language needs.
struct Parser<'a> {
    tokens: Tokens<'a>,
    at: usize,
    next: Token<'a>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn of(text: &'a str) -> Result<Self, Slip> {
        let mut tokens = Tokens::of(text);
        let (at, next) = tokens.next()?;
        Ok(Self { tokens, at, next, depth: 0 })
    }

    fn advance(&mut self) -> Result<Token<'a>, Slip> {
        let (at, next) = self.tokens.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.next, next))
    }

    const fn slip<T>(&self, expected: &'static str) -> Result<T, Slip> {
        Err(Slip { at: self.at, expected })
    }

    fn expect(&mut self, token: Token<'static>, expected: &'static str) -> Result<(), Slip> {
        if self.next == token { self.advance().map(drop) } else { self.slip(expected) }
    }

    fn root(mut self) -> Result<Expr<'a>, Slip> {
        if self.next == Token::End {
            return Ok(Expr::All);
        }
        let expr = self.or()?;
        if self.next == Token::End { Ok(expr) } else { self.slip("`&&`, `||` or the end") }
    }

    /// `||` binds weakest, then `&&`, then `!`.
    fn or(&mut self) -> Result<Expr<'a>, Slip> {
        let first = self.and()?;
        if self.next != Token::Or {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.next == Token::Or {
            self.advance()?;
            parts.push(self.and()?);
        }
        Ok(Expr::Or(parts))
    }

    fn and(&mut self) -> Result<Expr<'a>, Slip> {
        let first = self.operation()?;
        if self.next != Token::And {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.next == Token::And {
            self.advance()?;
            parts.push(self.operation()?);
        }
        Ok(Expr::And(parts))
    }

    fn operation(&mut self) -> Result<Expr<'a>, Slip> {
        // A loop and not a recursion, so that a line of exclamation marks is no depth.
        let mut negated = false;
        while self.next == Token::Not {
            negated = !negated;
            self.advance()?;
        }
        let expr = match self.next {
            Token::Has(key) => self.advance().map(|_| Expr::Label(key, Op::Has))?,
            Token::All => self.advance().map(|_| Expr::All)?,
            Token::Global => self.advance().map(|_| Expr::Global)?,
            Token::Label(key) => {
                self.advance()?;
                Expr::Label(key, self.test()?)
            }
            Token::Open => self.parenthesis()?,
            _ => return self.slip("a label, has(), all(), `!` or `(`"),
        };
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn parenthesis(&mut self) -> Result<Expr<'a>, Slip> {
        if self.depth == MAX_DEPTH {
            return self.slip("at most 64 parentheses inside each other");
        }
        self.depth += 1;
        self.advance()?;
        let inner = self.or()?;
        self.expect(Token::Close, "`&&`, `||` or `)`")?;
        self.depth -= 1;
        Ok(inner)
    }

    fn test(&mut self) -> Result<Op<'a>, Slip> {
        let token = self.next;
        let of_value: fn(&'a str) -> Op<'a> = match token {
            Token::Eq => Op::Eq,
            Token::Ne => Op::Ne,
            Token::Contains => Op::Contains,
            Token::StartsWith => Op::StartsWith,
            Token::EndsWith => Op::EndsWith,
            Token::In | Token::NotIn => {
                self.advance()?;
                let values = self.values()?;
                return Ok(if token == Token::In { Op::In(values) } else { Op::NotIn(values) });
            }
            _ => return self.slip("an operator (==, !=, in, not in, contains, starts with, ends with)"),
        };
        self.advance()?;
        match self.next {
            Token::Text(value) => self.advance().map(|_| of_value(value)),
            _ => self.slip("a value in quotes"),
        }
    }

    /// A set may be empty, and may end with a comma.
    fn values(&mut self) -> Result<Vec<&'a str>, Slip> {
        self.expect(Token::OpenSet, "`{`")?;
        let mut values = Vec::new();
        while let Token::Text(value) = self.next {
            values.push(value);
            self.advance()?;
            if self.next != Token::Comma {
                break;
            }
            self.advance()?;
        }
        self.expect(Token::CloseSet, "a value in quotes or `}`")?;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }
}
