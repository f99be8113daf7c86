//! Takes a JSON value apart piece by piece, so that one wrong type or unknown field costs that piece and not the object.
//!
//! A piece with a field that nobody knows counts as unreadable as a whole: the field may be a misspelt condition, and
//! without it the piece would mean more than its author wrote. Null is absent, as the API server's decoder has it.

use super::json::{Map, Value};
use serde::Deserialize;

use super::at::At;
use super::policy_wire::{LabelSelector, Requirement};
use super::wire::{List, Meta, Pairs, Text};
use super::{short, shorten};
use crate::model::{FieldPath, Unread};

pub(super) type Fields<'v> = Map<'v>;

/// What becomes of a field that nothing depends on.
pub(super) const IGNORED: &str = "ignored";

/// The value, unless it is null.
pub(super) fn present<'v>(value: Option<&'v Value<'v>>) -> Option<&'v Value<'v>> {
    value.filter(|value| !value.is_null())
}

/// Collects what could not be read.
pub(super) struct Walk<'u> {
    pub(super) unread: &'u mut Vec<Unread>,
}

/// A piece that has been noted as unreadable.
pub(super) struct Broken;

/// A piece, or that it could not be read.
pub(super) type Piece<T> = Result<T, Broken>;

impl Walk<'_> {
    pub(super) fn note(&mut self, at: &At<'_>, what: String) {
        self.unread.push(Unread { at: at.path(), what });
    }

    pub(super) fn wrong_type(&mut self, value: &Value<'_>, at: &At<'_>, expected: &str, taken: &str) -> Broken {
        self.note(at, format!("{} where {expected} belongs; {taken}", value.type_name()));
        Broken
    }

    /// Notes every field that is not known. Whether there was one.
    pub(super) fn unknown(&mut self, fields: &Fields<'_>, at: Option<&At<'_>>, known: &[&str], taken: &str) -> bool {
        let mut found = false;
        for name in fields.keys().filter(|name| !known.contains(name)) {
            found = true;
            let (short, what) = (shorten(name), format!("there is no such field; {taken}"));
            let path = at.map_or_else(|| FieldPath::default().field(&short), |at| at.field(&short).path());
            self.unread.push(Unread { at: path, what });
        }
        found
    }

    /// The fields of an object that may hold only these. Null is an object without fields.
    pub(super) fn fields<'v>(
        &mut self,
        value: &'v Value<'v>,
        at: &At<'_>,
        known: &[&str],
        taken: &str,
    ) -> Piece<impl Fn(&str) -> Option<&'v Value<'v>> + use<'v>> {
        let fields = match value {
            Value::Object(fields) => Some(fields),
            Value::Null => None,
            other => return Err(self.wrong_type(other, at, "an object", taken)),
        };
        if let Some(fields) = fields
            && self.unknown(fields, Some(at), known, taken)
        {
            return Err(Broken);
        }
        Ok(move |name: &str| present(fields.and_then(|fields| fields.get(name))))
    }

    pub(super) fn list<'v, T>(
        &mut self,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        taken: &str,
        mut item: impl FnMut(&mut Self, &'v Value<'v>, &At<'_>) -> Piece<T>,
    ) -> Piece<Option<Vec<T>>> {
        match present(value) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                // All are looked at before giving up, so that one complaint does not hide the next.
                let all: Vec<Piece<T>> = items.iter().enumerate().map(|(i, v)| item(self, v, &at.index(i))).collect();
                all.into_iter().collect::<Piece<Vec<T>>>().map(Some)
            }
            Some(other) => Err(self.wrong_type(other, at, "a list", taken)),
        }
    }

    pub(super) fn text<'v>(
        &mut self,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<Option<Text<'v>>> {
        match present(value) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Text((&**text).into()))),
            Some(other) => Err(self.wrong_type(other, at, "text", taken)),
        }
    }

    pub(super) fn texts<'v>(
        &mut self,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<Option<Vec<Text<'v>>>> {
        self.list(value, at, taken, |walk, value, at| Ok(walk.text(Some(value), at, taken)?.unwrap_or_default()))
    }

    /// Only name and namespace matter; labels that are wrong do not make a policy nameless.
    pub(super) fn metadata<'v>(&mut self, value: Option<&'v Value<'v>>) -> Option<Meta<'v>> {
        let at = At::root("metadata");
        let value = present(value)?;
        let Value::Object(fields) = value else {
            self.wrong_type(value, &at, "an object", IGNORED);
            return None;
        };
        if let Ok(meta) = Meta::deserialize(value) {
            return Some(meta);
        }
        let name = self.text(fields.get("name"), &at.field("name"), IGNORED).unwrap_or_default();
        let namespace = self.text(fields.get("namespace"), &at.field("namespace"), IGNORED).unwrap_or_default();
        if !["name", "namespace"].into_iter().any(|field| fields.get(field).is_some_and(|v| v.as_str().is_none())) {
            self.note(&at, "labels or owners are not as Kubernetes defines them; only the name is used".to_owned());
        }
        Some(Meta { name, namespace, ..Meta::default() })
    }

    pub(super) fn integer(&mut self, value: &Value<'_>, at: &At<'_>, expected: &str, taken: &str) -> Piece<i64> {
        match value {
            Value::Number(number) if number.is_f64() => {
                self.note(at, format!("a whole number belongs here; {taken}"));
                Err(Broken)
            }
            // Beyond the range of ports either way; the range is checked where the number is used.
            Value::Number(number) => Ok(number.as_i64().unwrap_or(i64::MAX)),
            other => Err(self.wrong_type(other, at, expected, taken)),
        }
    }

    pub(super) fn selector<'v>(&mut self, value: &'v Value<'v>, at: &At<'_>, taken: &str) -> LabelSelector<'v> {
        self.try_selector(value, at, taken).unwrap_or(LabelSelector { broken: true, ..LabelSelector::default() })
    }

    fn try_selector<'v>(&mut self, value: &'v Value<'v>, at: &At<'_>, taken: &str) -> Piece<LabelSelector<'v>> {
        let field = self.fields(value, at, &["matchLabels", "matchExpressions"], taken)?;
        let match_labels = self.pairs(field("matchLabels"), &at.field("matchLabels"), taken);
        let expressions = at.field("matchExpressions");
        let match_expressions = self.list(field("matchExpressions"), &expressions, taken, |walk, value, at| {
            let field = walk.fields(value, at, &["key", "operator", "values"], taken)?;
            let key = walk.text(field("key"), &at.field("key"), taken);
            let operator = walk.text(field("operator"), &at.field("operator"), taken);
            let values = walk.texts(field("values"), &at.field("values"), taken);
            Ok(Requirement { key: key?, operator: operator?, values: values?.map(List) })
        });
        Ok(LabelSelector {
            match_labels: match_labels?,
            match_expressions: match_expressions?.map(List),
            broken: false,
        })
    }

    fn pairs<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> Piece<Option<Pairs<'v>>> {
        let fields = match present(value) {
            None => return Ok(None),
            Some(Value::Object(fields)) => fields,
            Some(other) => return Err(self.wrong_type(other, at, "an object", taken)),
        };
        let all: Vec<Piece<_>> = fields
            .iter()
            .map(|(key, value)| {
                let value = self.text(Some(value), &at.field(&short(key)), taken)?.unwrap_or_default();
                Ok((Text(key.into()), value))
            })
            .collect();
        all.into_iter().collect::<Piece<Vec<_>>>().map(|pairs| Some(Pairs(pairs)))
    }
}
