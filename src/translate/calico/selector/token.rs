//! Text of a selector → tokens, one at a time. What a word is depends on what came before it, as in Calico: after the
//! name of a label only an operator can follow.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Label(&'a str),
    Text(&'a str),
    /// `has(k)` is one token, because Calico allows no space between `has` and its parenthesis.
    Has(&'a str),
    All,
    Global,
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Eq,
    Ne,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    Not,
    And,
    Or,
    End,
}

/// What is wrong with the text, and where: byte offsets, and what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// Reads tokens from a text.
#[derive(Clone, Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    after_label: bool,
}

const OPERATOR: &str = "an operator (==, !=, in, not in, contains, starts with, ends with)";

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

impl<'a> Tokens<'a> {
    pub(super) const fn of(text: &'a str) -> Self {
        Self { text, at: 0, after_label: false }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn slip<T>(at: usize, expected: &'static str) -> Result<T, Slip> {
        Err(Slip { at, expected })
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), Slip> {
        self.skip_blanks();
        let (at, after_label) = (self.at, self.after_label);
        let token = self.token(at, after_label)?;
        self.after_label = matches!(token, Token::Label(_));
        Ok((at, token))
    }

    fn token(&mut self, at: usize, after_label: bool) -> Result<Token<'a>, Slip> {
        let Some(&first) = self.rest().as_bytes().first() else { return Ok(Token::End) };
        let single = match first {
            b'(' => Some(Token::Open),
            b')' => Some(Token::Close),
            b'{' => Some(Token::OpenSet),
            b'}' => Some(Token::CloseSet),
            b',' => Some(Token::Comma),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Ok(token);
        }
        match first {
            b'"' | b'\'' => self.quoted(at, char::from(first)),
            b'=' if self.eat("==") => Ok(Token::Eq),
            b'=' => Self::slip(at, "`==`"),
            b'!' if self.eat("!=") => Ok(Token::Ne),
            b'!' => {
                self.at += 1;
                Ok(Token::Not)
            }
            b'&' if self.eat("&&") => Ok(Token::And),
            b'&' => Self::slip(at, "`&&`"),
            b'|' if self.eat("||") => Ok(Token::Or),
            b'|' => Self::slip(at, "`||`"),
            _ if after_label => self.operator(at),
            _ => self.word(at),
        }
    }

    fn quoted(&mut self, at: usize, quote: char) -> Result<Token<'a>, Slip> {
        self.at += 1;
        let rest = self.rest();
        let Some(end) = rest.find(quote) else {
            return Self::slip(at, if quote == '"' { "a closing `\"`" } else { "a closing `'`" });
        };
        self.at += end + 1;
        Ok(Token::Text(rest.get(..end).unwrap_or_default()))
    }

    fn operator(&mut self, at: usize) -> Result<Token<'a>, Slip> {
        if self.eat("contains") {
            return Ok(Token::Contains);
        }
        for (first, second, token) in
            [("starts", "with", Token::StartsWith), ("ends", "with", Token::EndsWith), ("not", "in", Token::NotIn)]
        {
            if self.eat(first) {
                self.skip_blanks();
                return if self.eat(second) { Ok(token) } else { Self::slip(at, OPERATOR) };
            }
        }
        if self.eat("in") { Ok(Token::In) } else { Self::slip(at, OPERATOR) }
    }

    fn key(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.bytes().position(|b| !is_key(b)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn word(&mut self, at: usize) -> Result<Token<'a>, Slip> {
        if self.eat("has(") {
            self.skip_blanks();
            let key_at = self.at;
            let key = self.key();
            if key.is_empty() {
                return Self::slip(key_at, "the name of a label");
            }
            self.skip_blanks();
            return if self.eat(")") { Ok(Token::Has(key)) } else { Self::slip(self.at, "`)`") };
        }
        for (word, token) in [("all(", Token::All), ("global(", Token::Global)] {
            if self.eat(word) {
                self.skip_blanks();
                return if self.eat(")") { Ok(token) } else { Self::slip(self.at, "`)`") };
            }
        }
        let key = self.key();
        if key.is_empty() { Self::slip(at, "a label, has(), all(), `!` or `(`") } else { Ok(Token::Label(key)) }
    }
}
