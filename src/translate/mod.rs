//! Kubernetes objects → model, and back for NetworkPolicy. Reading never fails: what cannot be used is handed on as
//! [`Unread`], with the field and how it was taken instead, and it always counts on the safe side. A piece of a rule
//! that cannot be read allows nothing, and a subject that cannot be read selects nothing.

mod at;
pub mod calico;
pub mod houserules;
mod lenient;
mod namespace;
mod networkpolicy;
mod policy_wire;
pub mod render;
pub mod selector;
#[cfg(test)]
mod tests;
mod wire;
mod workload;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{FieldPath, Labels, Object, ObjectRef, Str, Unread};
use wire::{Meta, Pairs, text};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $group:literal, $version:literal, $api:literal, $plural:literal;)+) => {
        /// A kind that can be read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[doc = $doc])+ $variant,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// API group; empty for the core group.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$variant => $group,)+ }
            }

            /// The version whose fields are known.
            pub const fn version(self) -> &'static str {
                match self { $(Self::$variant => $version,)+ }
            }

            /// `group/version`, or the version alone for the core group.
            pub const fn api_version(self) -> &'static str {
                match self { $(Self::$variant => $api,)+ }
            }

            /// The kind as objects spell it.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)+ }
            }

            /// The resource as URLs and RBAC spell it.
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)+ }
            }
        }
    };
}

kinds! {
    /// Namespace.
    Namespace = "", "v1", "v1", "namespaces";
    /// Pod.
    Pod = "", "v1", "v1", "pods";
    /// Deployment.
    Deployment = "apps", "v1", "apps/v1", "deployments";
    /// StatefulSet.
    StatefulSet = "apps", "v1", "apps/v1", "statefulsets";
    /// DaemonSet.
    DaemonSet = "apps", "v1", "apps/v1", "daemonsets";
    /// ReplicaSet.
    ReplicaSet = "apps", "v1", "apps/v1", "replicasets";
    /// ReplicationController.
    ReplicationController = "", "v1", "v1", "replicationcontrollers";
    /// Job.
    Job = "batch", "v1", "batch/v1", "jobs";
    /// CronJob.
    CronJob = "batch", "v1", "batch/v1", "cronjobs";
    /// NetworkPolicy.
    NetworkPolicy = "networking.k8s.io", "v1", "networking.k8s.io/v1", "networkpolicies";
}

impl Kind {
    /// The kind with this group and name, in whatever version.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.kind() == kind && k.group() == group)
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace)
    }
}

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
    match read(kind, defaults, &mut serde_json::Deserializer::from_slice(json)) {
        Ok(object) => object,
        // The rest of the object is still worth reading, and so is its name.
        Err(error) => match serde_json::from_slice::<Value>(json) {
            Ok(value) => second_reading(kind, &value, defaults, &error),
            Err(error) => unreadable(kind, &Meta::default(), defaults, &error),
        },
    }
}

/// Reads an object from a JSON value.
pub fn from_value(kind: Kind, value: &Value, defaults: &Defaults<'_>) -> Object {
    read(kind, defaults, value).unwrap_or_else(|error| second_reading(kind, value, defaults, &error))
}

/// The reading that nearly every object takes.
fn read<'de, D: serde::Deserializer<'de>>(kind: Kind, defaults: &Defaults<'_>, from: D) -> Result<Object, D::Error> {
    Ok(match kind {
        Kind::Namespace => namespace::namespace(wire::Namespace::deserialize(from)?, defaults),
        Kind::Pod => workload::pod(wire::Pod::deserialize(from)?, defaults),
        Kind::Job => workload::job(wire::Job::deserialize(from)?, defaults),
        Kind::CronJob => workload::cron_job(wire::CronJob::deserialize(from)?, defaults),
        Kind::NetworkPolicy => {
            networkpolicy::network_policy(&policy_wire::NetworkPolicy::deserialize(from)?, defaults, Vec::new())
        }
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::ReplicationController => {
            workload::templated(kind, wire::Templated::deserialize(from)?, defaults)
        }
    })
}

/// Reads what the first reading gave up on: policies piece by piece, of others only the name.
fn second_reading(kind: Kind, value: &Value, defaults: &Defaults<'_>, error: &dyn std::fmt::Display) -> Object {
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
    const MOST: usize = 64;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
