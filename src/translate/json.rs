//! JSON values that borrow their texts from what was received: the kinds that are read field by field are read from these.
//!
//! They hold what `serde_json::Value` would (fields sorted, of equal ones the last), at a fraction of its cost: a text
//! is a slice of the input unless it has escapes, an object is one list, and what controllers keep in an object for
//! themselves (`status`, `managedFields`) is passed over.

use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

use serde::de::value::{BorrowedStrDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, Serializer};
use serde_json::{Error, Number};

use super::wire::Text;
use crate::model::meter::charge;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'v, str>),
    Array(Vec<Value<'v>>),
    Object(Map<'v>),
}

/// The fields of an object, sorted by name, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Map<'v>(Vec<(Cow<'v, str>, Value<'v>)>);

/// What stands for a field that is not there.
static NULL: Value<'static> = Value::Null;

impl<'v> Map<'v> {
    /// Fields in any order; of equal ones the last counts, as in `serde_json`.
    fn new(mut fields: Vec<(Cow<'v, str>, Value<'v>)>) -> Self {
        // API servers sort them already.
        if !fields.is_sorted_by(|a, b| a.0 < b.0) {
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            fields.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Self(fields)
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&Value<'v>> {
        /// Up to here, looking at each is faster: most names differ in length.
        const FEW: usize = 16;
        if self.0.len() <= FEW {
            return self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        }
        let found = self.0.binary_search_by(|(key, _)| (**key).cmp(name));
        found.ok().and_then(|i| self.0.get(i)).map(|(_, value)| value)
    }

    /// Whether the field is there, be it null.
    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names of all fields.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// All fields.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value<'v>)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The fields with this one put in, or changed.
    #[must_use]
    pub(super) fn with(mut self, name: &'v str, value: Value<'v>) -> Self {
        self.0.push((name.into(), value));
        Self::new(self.0)
    }

    /// The fields without this one.
    #[must_use]
    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(key, _)| key != name);
        self
    }
}

impl<'v> Value<'v> {
    /// Reads a whole Kubernetes object, but for what controllers keep in it.
    pub(super) fn of_object<'de: 'v, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Part::Root.deserialize(from)
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { number.as_u64() } else { None }
    }

    pub(super) const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(super) const fn as_object(&self) -> Option<&Map<'v>> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    /// A field of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.as_object()?.get(name)
    }

    /// What lies at the end of a chain of fields.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// What it is, for messages.
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "text",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'v> Index<&str> for Value<'v> {
    type Output = Value<'v>;

    /// The field, or null.
    fn index(&self, name: &str) -> &Self {
        self.get(name).unwrap_or(&NULL)
    }
}

/// Which part of an object is being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Root,
    Metadata,
    Any,
}

impl Part {
    /// What a field of this part is; `None` for one that nothing reads.
    fn inside(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::Root, "status") | (Self::Metadata, "managedFields") => None,
            (Self::Root, "metadata") => Some(Self::Metadata),
            _ => Some(Self::Any),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value<'de>, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de: 'v, 'v> Deserialize<'de> for Value<'v> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Part::Any.deserialize(from)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Self::Any)? {
            charge(1);
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::new();
        // Each name is charged as it is read.
        while let Some(Text(name)) = map.next_key()? {
            match self.inside(&name) {
                Some(part) => fields.push((name, map.next_value_seed(part)?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(Map::new(fields)))
    }
}

/// Typed parts, such as metadata, are read from values as they are read from text, with the same errors.
impl<'de> Deserializer<'de> for &'de Value<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => number.deserialize_any(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                let mut list = SeqDeserializer::new(items.iter());
                let value = visitor.visit_seq(&mut list)?;
                list.end().map_err(|_| too_many(items.len(), "fewer elements in array"))?;
                Ok(value)
            }
            Value::Object(fields) => {
                let each = fields.iter().map(|(name, value)| (BorrowedStrDeserializer::new(name), value));
                let mut map = MapDeserializer::new(each);
                let value = visitor.visit_map(&mut map)?;
                map.end().map_err(|_| too_many(fields.0.len(), "fewer elements in map"))?;
                Ok(value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// `serde_json`'s words for a value of which nothing reads the rest.
fn too_many(len: usize, expected: &'static str) -> Error {
    Error::invalid_length(len, &expected)
}

impl<'de> IntoDeserializer<'de, Error> for &'de Value<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(flag) => to.serialize_bool(*flag),
            Self::Number(number) => number.serialize(to),
            Self::String(text) => to.serialize_str(text),
            Self::Array(items) => to.collect_seq(items),
            Self::Object(fields) => to.collect_map(fields.iter()),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// JSON without white space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests;
