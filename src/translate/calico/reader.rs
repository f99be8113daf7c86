//! Walks through an object piece by piece and notes what cannot be read, with the nearest name for a slip.

use super::super::json::{Map, Value};

use super::super::at::At;
use super::super::near::nearest;
use super::super::shorten;
use crate::model::Unread;

/// Reads fields, and remembers whether the piece that is being read is broken.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) unread: Vec<Unread>,
    broken: bool,
}

/// The fields of an object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'v>(Option<&'v Map<'v>>);

impl<'v> Fields<'v> {
    pub(super) const NONE: Self = Self(None);

    /// The value, unless it is absent or null.
    pub(super) fn get(self, name: &str) -> Option<&'v Value<'v>> {
        self.0?.get(name).filter(|value| !value.is_null())
    }
}

impl Reader {
    /// Notes something without which the piece means something else.
    pub(super) fn note(&mut self, at: &At<'_>, what: impl Into<String>) {
        self.broken = true;
        self.remark(at, what);
    }

    /// Notes something that changes nothing.
    pub(super) fn remark(&mut self, at: &At<'_>, what: impl Into<String>) {
        self.unread.push(Unread { at: at.path(), what: what.into() });
    }

    /// Reads a piece, and says whether all of it could be read.
    pub(super) fn whole<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> (T, bool) {
        let before = std::mem::replace(&mut self.broken, false);
        let value = read(self);
        let whole = !self.broken;
        self.broken = before;
        (value, whole)
    }

    /// The fields of an object that may have only these.
    pub(super) fn fields<'v>(
        &mut self,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        known: &[&str],
        taken: &str,
    ) -> Fields<'v> {
        let fields = match value {
            None | Some(Value::Null) => return Fields::NONE,
            Some(Value::Object(fields)) => fields,
            Some(other) => {
                self.wrong_type(other, at, "an object", taken);
                return Fields::NONE;
            }
        };
        for name in fields.keys().filter(|name| !known.contains(name)) {
            let (short, hint) = (shorten(name), suggestion(name, known));
            self.note(&at.field(&short), format!("there is no such field{hint}; {taken}"));
        }
        Fields(Some(fields))
    }

    fn wrong_type(&mut self, value: &Value<'_>, at: &At<'_>, expected: &str, taken: &str) {
        self.note(at, format!("{} where {expected} belongs; {taken}", value.type_name()));
    }

    /// A text; absent, null and empty are alike.
    pub(super) fn text<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> &'v str {
        match value {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text,
            Some(other) => {
                self.wrong_type(other, at, "text", taken);
                ""
            }
        }
    }

    pub(super) fn list<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> &'v [Value<'v>] {
        match value {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) => list,
            Some(other) => {
                self.wrong_type(other, at, "a list", taken);
                &[]
            }
        }
    }

    pub(super) fn texts<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> Vec<&'v str> {
        let list = self.list(value, at, taken);
        list.iter().enumerate().map(|(i, item)| self.text(Some(item), &at.index(i), taken)).collect()
    }

    pub(super) fn flag(&mut self, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.wrong_type(other, at, "true or false", taken);
                false
            }
        }
    }

    pub(super) fn number(&mut self, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Option<f64> {
        match value {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) => number.as_f64(),
            Some(other) => {
                self.wrong_type(other, at, "a number", taken);
                None
            }
        }
    }
}

/// "; did you mean …?" for the nearest name, if one is near enough to be a slip.
pub(super) fn suggestion(text: &str, names: &[&str]) -> String {
    match nearest(text, names) {
        Some((distance, name)) if distance <= (name.len() / 3).max(1) => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}
