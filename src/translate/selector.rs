//! LabelSelector → `Selector`. What the API server would refuse is not guessed at: such a selector cannot be read.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::at::At;
use super::policy_wire::{LabelSelector, Requirement};
use super::wire::{Pairs, Text, text};
use crate::model::labels;
use crate::model::{Selector, Str, Unread};

/// Reads a selector of one of the typed objects. The field path is that of the selector itself.
///
/// A selector that cannot be read selects nothing, and says so.
pub fn label_selector(selector: &meta::LabelSelector, at: &str) -> (Selector, Vec<Unread>) {
    let borrow = |s: &'_ String| Text(Cow::Owned(s.clone()));
    let wire = LabelSelector {
        match_labels: selector
            .match_labels
            .as_ref()
            .map(|labels| Pairs(labels.iter().map(|(k, v)| (borrow(k), borrow(v))).collect())),
        match_expressions: selector.match_expressions.as_ref().map(|list| {
            list.iter()
                .map(|r| Requirement {
                    key: Some(borrow(&r.key)),
                    operator: Some(borrow(&r.operator)),
                    values: r.values.as_ref().map(|values| values.iter().map(borrow).collect()),
                })
                .collect()
        }),
        broken: false,
    };
    let mut unread = Vec::new();
    let selector = read(&wire, &At::root(at), "it is taken as selecting nothing", &mut unread);
    (selector.unwrap_or(Selector::nothing()), unread)
}

/// Reads a selector; `None` if it cannot be read. `taken` ends the sentence: what happens to whatever holds it.
///
/// `matchLabels` come first and sorted, so that equal selectors are equal in the model (semantics 2.1.11: all are ANDed).
pub(super) fn read(wire: &LabelSelector<'_>, at: &At<'_>, taken: &str, unread: &mut Vec<Unread>) -> Option<Selector> {
    if wire.broken {
        return None;
    }
    let pairs = wire.match_labels.as_ref().map_or(&[][..], |Pairs(pairs)| pairs);
    let expressions = wire.match_expressions.as_deref().unwrap_or_default();
    // Nearly every selector is this.
    if let ([(key, value)], []) = (pairs, expressions) {
        return Some(Selector::equals(labels::key(key), &**value));
    }
    let mut pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
    pairs.sort_by_key(|(k, _)| *k);
    let mut parts: Vec<Selector> = pairs.into_iter().map(|(k, v)| Selector::equals(labels::key(k), v)).collect();
    let mut readable = true;
    let list = at.field("matchExpressions");
    for (i, expression) in expressions.iter().enumerate() {
        match requirement(expression) {
            Ok(part) => parts.push(part),
            Err((field, what)) => {
                unread.push(Unread { at: list.index(i).field(field).path(), what: format!("{what}; {taken}") });
                readable = false;
            }
        }
    }
    readable.then(|| Selector::all(parts))
}

/// One expression, or the field that is wrong and why.
fn requirement(wire: &Requirement<'_>) -> Result<Selector, (&'static str, String)> {
    let key = text(wire.key.as_ref());
    if key.is_empty() {
        return Err(("key", "an expression needs a key".to_owned()));
    }
    let values = wire.values.as_deref().unwrap_or_default();
    let some = || {
        if values.is_empty() {
            return Err(("values", "In and NotIn need at least one value".to_owned()));
        }
        Ok(Selector::is_in(labels::key(key), values.iter().map(|v| Str::from(&**v))))
    };
    let none = || {
        if values.is_empty() {
            return Ok(Selector::exists(labels::key(key)));
        }
        Err(("values", "Exists and DoesNotExist take no values".to_owned()))
    };
    match text(wire.operator.as_ref()) {
        "In" => some(),
        "NotIn" => some().map(Selector::negate),
        "Exists" => none(),
        "DoesNotExist" => none().map(Selector::negate),
        "" => Err(("operator", "an expression needs an operator: In, NotIn, Exists or DoesNotExist".to_owned())),
        other => Err((
            "operator",
            format!("`{}` is no operator; there are In, NotIn, Exists and DoesNotExist", super::shorten(other)),
        )),
    }
}
