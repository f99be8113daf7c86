//! Values that stand for all values, for keys whose selectors look at parts of them.
//!
//! Any value passes the same tests as one made of the longest text that it starts with, the texts that it contains and the
//! longest text that it ends with, held apart by a letter that occurs in none of them. So these values are enough.

use super::Test;
use crate::model::Str;

/// Values made up for one key before the search gives up.
const MOST: usize = 512;

/// The values for a key with these tests; none if no test looks at parts of values, `None` if they would be too many.
pub(super) fn composed(tests: &[&Test]) -> Option<Vec<String>> {
    let pick = |f: fn(&Test) -> Option<&Str>| {
        let mut texts: Vec<&str> = tests.iter().filter_map(|t| f(t)).map(|t| &**t).filter(|t| !t.is_empty()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    };
    let starts = pick(|t| if let Test::StartsWith(text) = t { Some(text) } else { None });
    let ends = pick(|t| if let Test::EndsWith(text) = t { Some(text) } else { None });
    let inside = pick(|t| if let Test::Contains(text) = t { Some(text) } else { None });
    if starts.is_empty() && ends.is_empty() && inside.is_empty() {
        return Some(Vec::new());
    }
    let subsets = 1_usize.checked_shl(u32::try_from(inside.len()).ok()?).filter(|n| *n > 0 && *n <= MOST)?;
    if (starts.len() + 1).checked_mul(ends.len() + 1)?.checked_mul(subsets)? > MOST {
        return None;
    }
    let named = tests.iter().flat_map(|t| if let Test::In(values) = t { values.as_slice() } else { &[] });
    let texts: Vec<&str> =
        [&starts, &ends, &inside].into_iter().flatten().copied().chain(named.map(|v| &**v)).collect();
    let letters = ('a'..='z').rev().chain('0'..='9').chain('A'..='Z');
    let apart = letters.into_iter().find(|letter| texts.iter().all(|text| !text.contains(*letter)))?;
    let mut all = Vec::new();
    for start in [""].into_iter().chain(starts) {
        for end in [""].into_iter().chain(ends.iter().copied()) {
            for subset in 0..subsets {
                let mut value = format!("{start}{apart}");
                for (_, text) in inside.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1) {
                    value.push_str(text);
                    value.push(apart);
                }
                value.push_str(end);
                all.push(value);
            }
        }
    }
    Some(all)
}
