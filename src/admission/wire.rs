//! The AdmissionReview as JSON, taken apart in one pass: an API server says the kind first, so that the object can be
//! read where it stands. Scanning it as raw text and then once more was a quarter of a review.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::Object;
use crate::translate::{Defaults, Kind, Reader, Text};

/// The whole of it. `EAGER` reads objects in the same pass; one that is not as its kind defines it, or that stands
/// before what names it, is then an error of the whole, and the text is to be read again without.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<'a, const EAGER: bool> {
    #[serde(borrow, default)]
    pub(super) api_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    // Boxed, because it is large and handed up a few times.
    pub(super) request: Option<Box<Request<'a, EAGER>>>,
}

/// An object of a request.
#[derive(Debug, Default)]
pub enum Given<'a> {
    /// There is none.
    #[default]
    Absent,
    /// It has been read.
    Read(Box<Object>),
    /// Its text.
    Raw(&'a RawValue),
}

impl Given<'_> {
    /// Whether there is one.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The request in it; every field at most once.
#[derive(Default)]
pub(super) struct Request<'a, const EAGER: bool> {
    pub(super) uid: Option<Text<'a>>,
    pub(super) kind: Option<GroupKind<'a>>,
    pub(super) subresource: Option<Text<'a>>,
    pub(super) name: Option<Text<'a>>,
    pub(super) namespace: Option<Text<'a>>,
    pub(super) operation: Option<Text<'a>>,
    pub(super) user: Option<UserInfo<'a>>,
    pub(super) dry_run: Option<bool>,
    pub(super) object: Option<Given<'a>>,
    pub(super) old_object: Option<Given<'a>>,
}

#[derive(Deserialize)]
pub(super) struct GroupKind<'a> {
    #[serde(borrow, default)]
    pub(super) group: Text<'a>,
    #[serde(borrow, default)]
    pub(super) version: Text<'a>,
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct UserInfo<'a> {
    #[serde(borrow, default)]
    pub(super) username: Text<'a>,
    #[serde(borrow, default)]
    pub(super) groups: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    pub(super) uid: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) extra: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Uid,
    Kind,
    SubResource,
    Name,
    Namespace,
    Operation,
    UserInfo,
    DryRun,
    Object,
    OldObject,
    #[serde(other)]
    Other,
}

impl<'de: 'a, 'a, const EAGER: bool> Deserialize<'de> for Request<'a, EAGER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RequestVisitor<const EAGER: bool>;

        impl<'de, const EAGER: bool> Visitor<'de> for RequestVisitor<EAGER> {
            type Value = Request<'de, EAGER>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut request = Request::default();
                while let Some(field) = map.next_key()? {
                    request.take(&field, &mut map)?;
                }
                if request.kind.is_none() {
                    return Err(A::Error::missing_field("kind"));
                }
                if request.operation.is_none() {
                    return Err(A::Error::missing_field("operation"));
                }
                Ok(request)
            }
        }

        deserializer.deserialize_map(RequestVisitor::<EAGER>)
    }
}

impl<'de, const EAGER: bool> Request<'de, EAGER> {
    fn take<A: MapAccess<'de>>(&mut self, field: &Field, map: &mut A) -> Result<(), A::Error> {
        let read = |given: &Option<Given<'_>>| matches!(given, Some(Given::Read(_)));
        let names_it = matches!(field, Field::Kind | Field::SubResource | Field::Name | Field::Namespace);
        if names_it && (read(&self.object) || read(&self.old_object)) {
            return Err(A::Error::custom("the object came before what names it"));
        }
        match field {
            Field::Uid => once(&mut self.uid, "uid", map.next_value()?),
            Field::Kind => once(&mut self.kind, "kind", map.next_value()?),
            Field::SubResource => once(&mut self.subresource, "subResource", map.next_value()?),
            Field::Name => once(&mut self.name, "name", map.next_value()?),
            Field::Namespace => once(&mut self.namespace, "namespace", map.next_value()?),
            Field::Operation => once(&mut self.operation, "operation", map.next_value()?),
            Field::UserInfo => once(&mut self.user, "userInfo", map.next_value()?),
            Field::DryRun => {
                let value: Option<bool> = map.next_value()?;
                once(&mut self.dry_run, "dryRun", value.unwrap_or(false))
            }
            Field::Object => {
                let object = self.object(map)?;
                once(&mut self.object, "object", object)
            }
            Field::OldObject => {
                let object = self.object(map)?;
                once(&mut self.old_object, "oldObject", object)
            }
            Field::Other => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn object<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Given<'de>, A::Error> {
        let text = |text: &Option<Text<'de>>| text.clone().unwrap_or_default();
        let known = self.kind.as_ref().filter(|_| EAGER && text(&self.subresource).is_empty());
        if let Some(kind) = known.and_then(|kind| Kind::of(&kind.group, &kind.kind)) {
            let (namespace, name) = (text(&self.namespace), text(&self.name));
            let defaults = Defaults { namespace: &namespace, name: &name };
            return map.next_value_seed(Perhaps(Reader { kind, defaults }));
        }
        Ok(map.next_value::<Option<&'de RawValue>>()?.map_or(Given::Absent, Given::Raw))
    }
}

fn once<T, E: Error>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(E::duplicate_field(field)) } else { Ok(()) }
}

/// An object, or null.
struct Perhaps<'d>(Reader<'d>);

impl<'de> DeserializeSeed<'de> for Perhaps<'_> {
    type Value = Given<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Perhaps<'_> {
    type Value = Given<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Given::Absent)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Given::Absent)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok(Given::Read(Box::new(self.0.deserialize(deserializer)?)))
    }
}
