//! Reads single fields and keeps what could not be read: the same words for the same slip, everywhere.

use serde_json::{Map, Value};

use super::super::near::nearest;
use crate::model::{FieldPath, Selector, Str, Unread};

/// Collects what could not be read.
#[derive(Default)]
pub(in crate::translate) struct Reader {
    unread: Vec<Unread>,
}

impl Reader {
    /// Notes a field: what is wrong with it, and how it was taken instead.
    pub(in crate::translate) fn unread(&mut self, at: &FieldPath, what: String) {
        self.unread.push(Unread { at: at.clone(), what });
    }

    /// Everything noted, in the order of the paths.
    pub(in crate::translate) fn finish(mut self) -> Vec<Unread> {
        self.unread.sort();
        self.unread.dedup();
        self.unread
    }

    /// `metadata.name`.
    pub(in crate::translate) fn name(&mut self, object: &Value) -> Str {
        match object.pointer("/metadata/name").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => name.into(),
            _ => {
                self.unread(&FieldPath::new("metadata.name"), "is missing".into());
                Str::default()
            }
        }
    }

    /// A field that must be an object.
    pub(in crate::translate) fn object<'a>(
        &mut self,
        value: &'a Value,
        at: &FieldPath,
        instead: &str,
    ) -> Option<&'a Map<String, Value>> {
        let found = value.as_object();
        if found.is_none() {
            self.unread(at, format!("is {}, not an object; {instead}", kind(value)));
        }
        found
    }

    /// The same for a field that may be missing; missing is worth a note all the same where it is the whole content.
    pub(in crate::translate) fn optional_object<'a>(
        &mut self,
        value: Option<&'a Value>,
        at: &FieldPath,
        instead: &str,
    ) -> Option<&'a Map<String, Value>> {
        if value.is_none() {
            self.unread(at, format!("is missing; {instead}"));
        }
        self.object(value?, at, instead)
    }

    /// Notes fields that nothing reads, with the nearest name that something would.
    pub(in crate::translate) fn known(&mut self, fields: &Map<String, Value>, at: &FieldPath, names: &[&str]) {
        for field in fields.keys().filter(|field| !names.contains(&field.as_str())) {
            self.unread(&at.field(field), format!("is not known and was not used{}", suggestion(field, names)));
        }
    }

    /// One name of several.
    pub(in crate::translate) fn one_of<'a>(
        &mut self,
        value: &'a Value,
        at: &FieldPath,
        names: &[&str],
        instead: &str,
    ) -> Option<&'a str> {
        let text = value.as_str();
        let found = text.filter(|text| names.contains(text));
        if found.is_none() {
            let hint = text.map(|text| suggestion(text, names)).unwrap_or_default();
            self.unread(at, format!("is {}, not one of {}{hint}; {instead}", shown(value), names.join(", ")));
        }
        found
    }

    /// A list of names. `None` if any of them could not be read, so that the caller takes all.
    pub(in crate::translate) fn names<'a>(
        &mut self,
        value: &'a Value,
        at: &FieldPath,
        names: &[&str],
        instead: &str,
    ) -> Option<Vec<&'a str>> {
        let list = self.list(value, at, instead)?;
        let found: Vec<Option<&str>> =
            list.iter().enumerate().map(|(i, item)| self.one_of(item, &at.index(i), names, instead)).collect();
        found.into_iter().collect()
    }

    /// A list of texts of which each is read on its own, and whether all could be.
    pub(in crate::translate) fn each<T>(
        &mut self,
        value: &Value,
        at: &FieldPath,
        what: &str,
        instead: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> (Vec<T>, bool) {
        let Some(list) = self.list(value, at, instead) else { return (Vec::new(), false) };
        let mut found = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            match item.as_str().and_then(&parse) {
                Some(parsed) => found.push(parsed),
                None => self.unread(&at.index(i), format!("is {}, not {what}; {instead}", shown(item))),
            }
        }
        let complete = found.len() == list.len();
        (found, complete)
    }

    /// A list with something in it.
    fn list<'a>(&mut self, value: &'a Value, at: &FieldPath, instead: &str) -> Option<&'a Vec<Value>> {
        match value.as_array() {
            Some(list) if list.is_empty() => {
                self.unread(at, format!("is an empty list; {instead}"));
                None
            }
            Some(list) => Some(list),
            None => {
                self.unread(at, format!("is {}, not a list; {instead}", kind(value)));
                None
            }
        }
    }

    /// A map of labels; `None` if any part could not be read.
    pub(in crate::translate) fn labels(
        &mut self,
        value: &Value,
        at: &FieldPath,
        instead: &str,
    ) -> Option<Vec<(Str, Str)>> {
        let map = self.object(value, at, instead)?;
        let mut pairs = Vec::with_capacity(map.len());
        for (key, value) in map {
            match value.as_str() {
                Some(text) => pairs.push((Str::from(key.as_str()), Str::from(text))),
                None => self.unread(&at.field(key), format!("is {}, not text; {instead}", shown(value))),
            }
        }
        (pairs.len() == map.len()).then_some(pairs)
    }

    /// A label selector; `None` if any part could not be read, because half a selector means something else.
    pub(in crate::translate) fn selector(&mut self, value: &Value, at: &FieldPath, instead: &str) -> Option<Selector> {
        let before = self.unread.len();
        let fields = self.object(value, at, instead)?;
        for field in fields.keys().filter(|f| !["matchLabels", "matchExpressions"].contains(&f.as_str())) {
            let hint = suggestion(field, &["matchLabels", "matchExpressions"]);
            self.unread(&at.field(field), format!("is not part of a label selector{hint}; {instead}"));
        }
        let mut parts = Vec::new();
        if let Some(labels) = fields.get("matchLabels") {
            let pairs = self.labels(labels, &at.field("matchLabels"), instead).unwrap_or_default();
            parts.extend(pairs.into_iter().map(|(key, value)| Selector::equals(key, value)));
        }
        if let Some(expressions) = fields.get("matchExpressions") {
            let at = at.field("matchExpressions");
            match expressions.as_array() {
                Some(list) => {
                    for (i, item) in list.iter().enumerate() {
                        parts.extend(self.requirement(item, &at.index(i), instead));
                    }
                }
                None => self.unread(&at, format!("is {}, not a list; {instead}", kind(expressions))),
            }
        }
        (self.unread.len() == before).then(|| Selector::all(parts))
    }

    fn requirement(&mut self, value: &Value, at: &FieldPath, instead: &str) -> Option<Selector> {
        let fields = self.object(value, at, instead)?;
        self.known(fields, at, &["key", "operator", "values"]);
        let key = fields.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
        let Some(key) = key else {
            self.unread(&at.field("key"), format!("is not the key of a label; {instead}"));
            return None;
        };
        let operator = fields.get("operator").unwrap_or(&Value::Null);
        let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
        let operator = self.one_of(operator, &at.field("operator"), &operators, instead)?;
        let at = at.field("values");
        let values = match fields.get("values") {
            None => &[][..],
            Some(Value::Array(list)) => list.as_slice(),
            Some(other) => {
                self.unread(&at, format!("is {}, not a list; {instead}", kind(other)));
                return None;
            }
        };
        let wants_values = matches!(operator, "In" | "NotIn");
        if wants_values == values.is_empty() {
            let rule = if wants_values { "needs values" } else { "takes no values" };
            self.unread(&at, format!("does not fit: {operator} {rule}; {instead}"));
            return None;
        }
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        let Some(texts) = texts else {
            self.unread(&at, format!("holds something that is not text; {instead}"));
            return None;
        };
        Some(match operator {
            "In" => Selector::is_in(key, texts),
            "NotIn" => Selector::is_in(key, texts).negate(),
            "Exists" => Selector::exists(key),
            _ => Selector::exists(key).negate(),
        })
    }
}

/// Whether the text is a name as namespaces have it (RFC 1123 label).
pub(in crate::translate) fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// "; did you mean …?" for the nearest name, if one is near enough to be a slip.
fn suggestion(text: &str, names: &[&str]) -> String {
    match nearest(text, names) {
        Some((distance, name)) if distance <= name.len() / 3 => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The value itself where it is short, else what kind it is.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() <= 80 => format!("{text:?}"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        other => kind(other).to_owned(),
    }
}
