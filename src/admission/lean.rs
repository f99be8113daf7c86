//! What is read of a review: its text without what the API server keeps in `managedFields`, which is a third of many
//! objects and of use to nobody here. Looking for the end of a list costs a fraction of reading what is in it. Whether that is
//! JSON is then not looked at either, as no answer rests on it.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use memchr::{memchr, memchr_iter};

/// In JSON this is a key and the beginning of its list, and nothing else: inside a text its second quote would have a
/// backslash before it.
const LIST: &str = r#""managedFields":["#;

/// Where the first object begins: what is said before it, of the user above all, is not touched.
const OBJECT: &str = r#""object":"#;

/// Longer reviews, which are few, are read as they are: a copy of one should not count in memory.
const LONGEST: usize = 128 * 1024;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LIST));

/// The text with these lists empty, in `space` where it has any. One whose end is not plain stays, and all after it.
pub(super) fn lean<'t>(text: &'t str, space: &'t mut String) -> &'t str {
    if text.len() > LONGEST {
        return text;
    }
    let objects = memmem::find(text.as_bytes(), OBJECT.as_bytes()).unwrap_or(text.len());
    let (head, mut rest) = text.split_at_checked(objects).unwrap_or((text, ""));
    while let Some((before, list)) = FINDER.find(rest.as_bytes()).and_then(|at| rest.split_at_checked(at + LIST.len()))
    {
        let Some((_, after)) = length(list.as_bytes()).and_then(|length| list.split_at_checked(length)) else { break };
        if space.is_empty() {
            space.reserve(text.len());
            space.push_str(head);
        }
        space.push_str(before);
        rest = after;
    }
    if space.is_empty() {
        return text;
    }
    space.push_str(rest);
    space
}

/// How many bytes come before the bracket that closes a list, where that can be told at a glance, as it can of managed
/// fields: it is the first one, with no other list and only whole texts before it.
fn length(list: &[u8]) -> Option<usize> {
    let end = memchr(b']', list)?;
    let inside = list.get(..end)?;
    let mut quotes = memchr_iter(b'"', inside).count();
    for at in memchr_iter(b'\\', inside) {
        // Anything else that is escaped, such as another backslash, would take a closer look.
        inside.get(at + 1).filter(|next| **next == b'"')?;
        quotes = quotes.checked_sub(1)?;
    }
    (quotes.is_multiple_of(2) && memchr(b'[', inside).is_none()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// As an object.
    fn leaned(text: &str) -> String {
        let lean = lean(&format!("{OBJECT}{text}"), &mut String::new()).to_owned();
        lean.strip_prefix(OBJECT).unwrap().to_owned()
    }

    #[test]
    fn lists_of_managed_fields_become_empty_and_nothing_else_changes() {
        let two = r#"{"a":{"managedFields":[{"k:{\"a\":1}":{}},{"a":""}],"b":"]"},"c":{"managedFields":[7]},"d":[1]}"#;
        assert_eq!(leaned(two), r#"{"a":{"managedFields":[],"b":"]"},"c":{"managedFields":[]},"d":[1]}"#);
        for same in [
            // Not at a glance.
            r#"{"managedFields":[[1],2]}"#,
            r#"{"managedFields":["]"]}"#,
            r#"{"managedFields":["\\"]}"#,
            r#"{"managedFields":["\"\u005d]"]}"#,
            r#"{"managedFields":[]}"#,
            r#"{"managedFields":null,"a":"managedFields"}"#,
            r#"{"a":"{\"managedFields\":[1,2]}"}"#,
            // Damaged.
            r#"{"managedFields":[{"a":1}"#,
            r#"{"managedFields":["a]"#,
            r#"{"managedFields":["a\"#,
            "",
        ] {
            assert_eq!(leaned(same), same);
        }
        let before = r#"{"managedFields":[1],"old_object":{"managedFields":[2]}}"#;
        assert_eq!(lean(before, &mut String::new()), before);
        let too_long = format!(r#"{{"managedFields":[1],"a":"{}"}}"#, "a".repeat(LONGEST));
        assert_eq!(leaned(&too_long), too_long);
    }

    /// Any JSON, with the key in it now and then.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "[]\\[\"\\\\a:,é{}]{0,6}".prop_map(Value::from)];
        leaf.prop_recursive(5, 40, 5, |inner| {
            let key = prop_oneof![Just("managedFields".to_owned()), "[]\\[\"\\\\a:,]{0,4}(managedFields)?"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..5).prop_map(|map| json!(map)),
            ]
        })
    }

    /// The same with every list under a key that ends so empty: what has a quote before it looks like the key.
    fn emptied(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(emptied).collect(),
            Value::Object(fields) => {
                let each = fields.iter().map(|(key, value)| {
                    let managed = key == "managedFields" || key.ends_with("\"managedFields");
                    (key.clone(), if managed && value.is_array() { json!([]) } else { emptied(value) })
                });
                Value::Object(each.collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn what_was_json_still_is_and_holds_the_rest(value in values()) {
            let lean: Value = serde_json::from_str(&leaned(&value.to_string())).unwrap();
            prop_assert_eq!(emptied(&lean), emptied(&value));
        }

        #[test]
        fn any_text_is_taken(text in ".{0,64}") {
            let _ = (leaned(&text), leaned(&format!("{LIST}{text}")));
        }
    }
}
