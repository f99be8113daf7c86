//! What the pieces of one object share while they are read: notes about what could not be, and whether Cilium itself
//! would refuse the object.
//!
//! Cilium's objects are read field by field from JSON. A field that nobody knows may be a misspelt condition, so the piece
//! that holds it counts as unreadable; what that means depends on whether the piece allows or denies.

use crate::translate::json::{Map, Value};

use crate::model::{Action, Str, Unread};
use crate::translate::at::At;
use crate::translate::shorten;

/// A piece that has been noted as unreadable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Broken;

/// A piece, or the fact that it cannot be read.
pub(super) type Piece<T> = Result<T, Broken>;

/// The fields of an object in which only known fields are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'v>(&'v Map<'v>);

impl<'v> Fields<'v> {
    /// The value of a field; null is absent, as the API server's decoder has it.
    pub(super) fn get(self, name: &str) -> Option<&'v Value<'v>> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

/// What becomes of a piece that cannot be read, as the end of the sentence that complains about it: what allows then
/// allows nobody, and what denies then denies everyone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Of a peer.
    pub(super) peer: &'static str,
    /// Of a port.
    pub(super) port: &'static str,
    /// Of a rule.
    pub(super) rule: &'static str,
}

impl Taken {
    /// For rules that do this.
    pub(super) const fn of(action: Action) -> Self {
        match action {
            Action::Deny => Self {
                peer: "this peer may be anyone",
                port: "this entry may be about any port",
                rule: "this rule may deny anything",
            },
            Action::Allow | Action::Pass => Self {
                peer: "this peer is taken as nobody",
                port: "this entry is taken as no port",
                rule: "this rule is taken as allowing nothing",
            },
        }
    }
}

/// How sentences end that are about something on which nothing depends.
pub(super) const IGNORED: &str = "ignored";
/// How sentences end about a subject.
pub(super) const NO_SUBJECT: &str = "the policy is taken as selecting no pod";

/// One object while it is read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The namespace of the object; `None` for clusterwide policies.
    pub(super) namespace: Option<Str>,
    /// What could not be read.
    pub(super) unread: Vec<Unread>,
    /// Whether Cilium would refuse the object, and with it every rule that it holds.
    pub(super) refused: bool,
    /// What it hangs on whether Cilium takes the object at all.
    pub(super) doubt: Option<&'static str>,
}

impl Reading {
    /// Notes something.
    pub(super) fn note(&mut self, at: &At<'_>, what: String) -> Broken {
        self.unread.push(Unread { at: at.path(), what });
        Broken
    }

    /// Notes something for which Cilium refuses the whole object.
    pub(super) fn refuse(&mut self, at: &At<'_>, what: &str) -> Broken {
        self.refused = true;
        self.note(at, format!("{what}; Cilium refuses such a policy, so it counts as isolating and allowing nothing"))
    }

    fn wrong_type(&mut self, value: &Value<'_>, at: &At<'_>, expected: &str, taken: &str) -> Broken {
        self.note(at, format!("{} where {expected} belongs; {taken}", value.type_name()))
    }

    /// The fields of an object that may hold only these.
    pub(super) fn fields<'v>(
        &mut self,
        value: &'v Value<'v>,
        at: &At<'_>,
        known: &[&str],
        taken: &str,
    ) -> Piece<Fields<'v>> {
        let (fields, unknown) = self.some_fields(value, at, known, taken)?;
        if unknown { Err(Broken) } else { Ok(fields) }
    }

    /// The fields of an object, and whether there are others than these.
    pub(super) fn some_fields<'v>(
        &mut self,
        value: &'v Value<'v>,
        at: &At<'_>,
        known: &[&str],
        taken: &str,
    ) -> Piece<(Fields<'v>, bool)> {
        let Value::Object(fields) = value else { return Err(self.wrong_type(value, at, "an object", taken)) };
        let mut unknown = false;
        for name in fields.keys().filter(|name| !known.contains(name)) {
            unknown = true;
            self.note(&at.field(&shorten(name)), format!("there is no such field; {taken}"));
        }
        Ok((Fields(fields), unknown))
    }

    /// The items of a list; `None` where there is none.
    pub(super) fn list<'v>(
        &mut self,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<Option<&'v [Value<'v>]>> {
        match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(self.wrong_type(other, at, "a list", taken)),
        }
    }

    /// A text, empty where there is none.
    pub(super) fn text<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> Piece<&'v str> {
        match value {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong_type(other, at, "text", taken)),
        }
    }

    /// Texts, none where there are none. All are looked at before giving up.
    pub(super) fn texts<'v>(&mut self, value: Option<&'v Value<'v>>, at: &At<'_>, taken: &str) -> Piece<Vec<&'v str>> {
        let items = self.list(value, at, taken)?.unwrap_or_default();
        let all: Vec<Piece<&str>> =
            items.iter().enumerate().map(|(i, item)| self.text(Some(item), &at.index(i), taken)).collect();
        all.into_iter().collect()
    }

    /// True or false.
    pub(super) fn flag(&mut self, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Piece<Option<bool>> {
        match value {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type(other, at, "true or false", taken)),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Piece<Option<i64>> {
        match value {
            None => Ok(None),
            // Beyond any range that is checked later, either way.
            Some(Value::Number(number)) if !number.is_f64() => Ok(Some(number.as_i64().unwrap_or(i64::MAX))),
            Some(other) => Err(self.wrong_type(other, at, "a whole number", taken)),
        }
    }
}
