//! Selectors as people write them.

use std::fmt;

use super::{Selector, Test};

impl fmt::Display for Selector {
    /// The `kubectl -l` notation where there is one: `app=web,tier in (a,b),!legacy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key, test) => match test {
                Test::Exists => write!(f, "{key}"),
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values.join(",")),
                Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
                Test::Contains(text) => write!(f, "{key} contains \"{text}\""),
                Test::StartsWith(text) => write!(f, "{key} starts with \"{text}\""),
                Test::EndsWith(text) => write!(f, "{key} ends with \"{text}\""),
            },
            Self::Not(inner) => match &**inner {
                Self::Key(key, Test::Exists) => write!(f, "!{key}"),
                Self::Key(key, Test::In(values)) if values.len() == 1 => write!(f, "{key}!={}", values.join(",")),
                Self::Key(key, Test::In(values)) => write!(f, "{key} notin ({})", values.join(",")),
                other => write!(f, "!({other})"),
            },
            Self::And(parts) if parts.is_empty() => f.write_str("everything"),
            Self::Or(parts) if parts.is_empty() => f.write_str("nothing"),
            Self::And(parts) => join(f, parts, ","),
            Self::Or(parts) => join(f, parts, " || "),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, parts: &[Selector], between: &str) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(between)?;
        }
        match part {
            Selector::And(inner) | Selector::Or(inner) if inner.len() > 1 => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}
