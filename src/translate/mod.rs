//! Kubernetes objects → model, and back for NetworkPolicy. Reading never fails: what cannot be used is handed on as
//! [`Unread`], with the field and how it was taken instead, and it always counts on the safe side. A piece of a rule
//! that cannot be read allows nothing, and a subject that cannot be read selects nothing.

mod assertion;
mod at;
pub mod calico;
pub mod ceiling;
mod cilium;
mod clusternetworkpolicy;
pub mod convert;
pub mod entrance;
mod hints;
pub mod houserules;
mod json;
mod kind;
mod lenient;
mod namespace;
pub mod narrow;
mod near;
mod networkpolicy;
mod policy_wire;
pub mod render;
mod render_cilium;
pub mod selector;
#[cfg(test)]
mod tests;
mod version;
mod walk;
mod wire;
mod workload;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _};

pub use cilium::enforcement::cilium_config;
pub use hints::note_hints;
pub use kind::{Family, Kind, unread_kind, unread_policy};
pub(crate) use wire::Text;

use crate::model::{FieldPath, Labels, Object, ObjectRef, Str, Unread};
use json::Value;
use wire::{Meta, Pairs, text};

/// What the surroundings know about an object that does not say it itself: the namespace of the request or of the
/// command line, and the name where it is still to be generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defaults<'a> {
    /// Namespace of an object without `metadata.namespace`.
    pub namespace: &'a str,
    /// Name of an object without `metadata.name`.
    pub name: &'a str,
}

/// Reads an object from JSON text.
pub fn from_json(kind: Kind, json: &[u8], defaults: &Defaults<'_>) -> Object {
    let reading = || match read(kind, defaults, &mut serde_json::Deserializer::from_slice(json)) {
        Ok(object) => object,
        // The rest of the object is still worth reading, and so is its name.
        Err(error) => match serde_json::from_slice::<Value<'_>>(json) {
            Ok(value) => second_reading(kind, &value, defaults, &error),
            Err(error) => unreadable(kind, &Meta::default(), defaults, &error),
        },
    };
    let read = ceiling::read(kind, reading).unwrap_or_else(|spent| {
        ceiling::too_large(kind, &mut serde_json::Deserializer::from_slice(json), defaults, spent)
    });
    ceiling::settled(read)
}

/// Reads an object from a JSON value.
pub fn from_value(kind: Kind, value: &serde_json::Value, defaults: &Defaults<'_>) -> Object {
    let reading = || {
        read(kind, defaults, value).unwrap_or_else(|error| {
            let value = Value::deserialize(value).unwrap_or(Value::Null);
            second_reading(kind, &value, defaults, &error)
        })
    };
    let read = ceiling::read(kind, reading);
    ceiling::settled(read.unwrap_or_else(|spent| ceiling::too_large(kind, value, defaults, spent)))
}

/// Reads an object from a JSON value of ours.
fn from_borrowed(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    read(kind, defaults, value).unwrap_or_else(|error| second_reading(kind, value, defaults, &error))
}

/// Reads an object where it stands in a larger text. One that is not as its kind defines it is an error, and is to be read
/// by [`from_json`].
#[derive(Clone, Copy, Debug)]
pub struct Reader<'d> {
    /// Its kind.
    pub kind: Kind,
    /// What its surroundings know about it.
    pub defaults: Defaults<'d>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Object;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object, D::Error> {
        let read = ceiling::read(self.kind, || read(self.kind, &self.defaults, deserializer));
        read.map_err(D::Error::custom)?.map(ceiling::settled)
    }
}

/// The reading that nearly every object takes.
fn read<'de, D: Deserializer<'de>>(kind: Kind, defaults: &Defaults<'_>, from: D) -> Result<Object, D::Error> {
    Ok(match kind {
        Kind::Namespace => namespace::namespace(wire::Namespace::deserialize(from)?, defaults),
        Kind::Pod => workload::pod(wire::Pod::deserialize(from)?, defaults),
        Kind::Job => workload::job(wire::Job::deserialize(from)?, defaults),
        Kind::CronJob => workload::cron_job(wire::CronJob::deserialize(from)?, defaults),
        Kind::NetworkPolicy => {
            networkpolicy::network_policy(&policy_wire::NetworkPolicy::deserialize(from)?, defaults, Vec::new())
        }
        Kind::ConnectivityAssertion | Kind::ClusterConnectivityAssertion => {
            // By way of a value that is metered.
            let value = serde_json::to_value(Value::of_object(from)?).map_err(D::Error::custom)?;
            assertion::assertion(kind, &value, defaults)
        }
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::ReplicationController => {
            workload::templated(kind, wire::Templated::deserialize(from)?, defaults)
        }
        kind => foreign(kind, &Value::of_object(from)?, defaults),
    })
}

/// Reads an object of somebody else's policy kind. Those are read from a value in one reading that never fails.
fn foreign(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let object = match kind.family() {
        Family::ClusterNetworkPolicy => clusternetworkpolicy::read(kind, value, defaults),
        Family::Cilium => cilium::read(kind, value, defaults),
        Family::Calico => calico::read(kind, value, defaults),
        Family::Kubernetes | Family::Ours => not_read(kind, value, defaults),
    };
    version::settled(kind, value, object)
}

/// A policy kind that is known but not read yet: it is there, and what it says is not counted.
fn not_read(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let meta = wire::Headed::deserialize(value).ok().and_then(|headed| headed.metadata).unwrap_or_default();
    let id = id(kind, &meta, defaults);
    let unread = unread_policy(kind.kind(), kind.api_version());
    Object::Unreadable(id, vec![unread])
}

/// Reads what the first reading gave up on: policies piece by piece, of others only the name.
fn second_reading(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>, error: &dyn std::fmt::Display) -> Object {
    if kind == Kind::NetworkPolicy
        && let Value::Object(fields) = value
    {
        let mut unread = Vec::new();
        let policy = lenient::network_policy(fields, &mut unread);
        return networkpolicy::network_policy(&policy, defaults, unread);
    }
    let meta = wire::Headed::deserialize(value).ok().and_then(|headed| headed.metadata).unwrap_or_default();
    unreadable(kind, &meta, defaults, error)
}

fn unreadable(kind: Kind, meta: &Meta<'_>, defaults: &Defaults<'_>, error: &dyn std::fmt::Display) -> Object {
    let what = format!("not a {} as Kubernetes defines it: {error}; nothing of it is used", kind.kind());
    Object::Unreadable(id(kind, meta, defaults), vec![Unread { at: FieldPath::default(), what }])
}

/// The object's own name, or that of the surroundings.
fn name(meta: &Meta<'_>, defaults: &Defaults<'_>) -> Str {
    own_or(text(meta.name.as_ref()), defaults.name)
}

fn own_or(own: &str, other: &str) -> Str {
    if own.is_empty() { other.into() } else { own.into() }
}

/// What the object is called.
fn id(kind: Kind, meta: &Meta<'_>, defaults: &Defaults<'_>) -> ObjectRef {
    let name = name(meta, defaults);
    if kind.is_namespaced() {
        let namespace = own_or(text(meta.namespace.as_ref()), defaults.namespace);
        ObjectRef::namespaced(kind.api_version(), kind.kind(), namespace, name)
    } else {
        ObjectRef::cluster(kind.api_version(), kind.kind(), name)
    }
}

fn labels(pairs: Option<&Pairs<'_>>) -> Labels {
    Labels::new(pairs.iter().flat_map(|pairs| &pairs.0).map(|(k, v)| (&**k, &**v)))
}

/// A text from an object, short enough for a message.
fn shorten(text: &str) -> String {
    short(text).into_owned()
}

/// The same, borrowed where it is short enough.
fn short(text: &str) -> Cow<'_, str> {
    const MOST: usize = 64;
    // Bytes are at least as many as characters.
    let end = if text.len() > MOST { text.char_indices().nth(MOST) } else { None };
    end.map_or(Cow::Borrowed(text), |(end, _)| format!("{}…", &text[..end]).into())
}
