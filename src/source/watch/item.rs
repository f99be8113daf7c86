//! One object of a watched kind, in the terms in which it is kept.

use serde_json::Value;
use serde_json::value::RawValue;

use super::resource::Resource;
use super::wire::{Head, Owned};
use crate::api::Condition;
use crate::model::entrance::Service;
use crate::model::house::{Exception, HouseRules};
use crate::model::{Assertion, CiliumConfig, Object, PolicyObject, Str, Unread};
use crate::translate::{Defaults, Kind, cilium_config, entrance, from_json, from_value, houserules};

/// Namespace (empty for cluster-scoped objects) and name.
pub type Key = (Str, Str);

/// One of our own objects: what it says and what its status said so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Configured<T> {
    /// What was read.
    pub read: T,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `status` as it is in the cluster.
    pub status: Value,
}

impl<T> Configured<T> {
    fn new(value: &Value, (read, unread): (T, Vec<Unread>)) -> Self {
        Self {
            read,
            unread,
            generation: value.pointer("/metadata/generation").and_then(Value::as_i64),
            status: value.get("status").cloned().unwrap_or_default(),
        }
    }

    /// The conditions in its status.
    pub fn conditions(&self) -> Vec<Condition> {
        let conditions = self.status.get("conditions").cloned().unwrap_or_default();
        serde_json::from_value(conditions).unwrap_or_default()
    }
}

/// One object.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time goes through a channel and is taken apart")]
pub(super) enum Item {
    /// A namespace, pod or policy.
    Object(Object),
    /// HouseRules.
    Rules(Key, Box<Configured<HouseRules>>),
    /// A RuleException; `None` where it cannot count.
    Exception(Key, Box<Configured<Option<Exception>>>),
    /// An assertion of either kind.
    Assertion(Key, Box<Configured<Assertion>>),
    /// A Service, as far as policies that name it go.
    Service(Key, Box<Service>),
    /// Cilium's configuration, and what of it cannot be read.
    Cilium(Box<(CiliumConfig, Vec<Unread>)>),
}

impl Item {
    /// Reads an object of this kind. The error says why nothing is known of it, not even its name.
    pub(super) fn read(resource: Resource, raw: &RawValue) -> Result<Self, String> {
        let kind = match resource {
            Resource::Namespaces => Kind::Namespace,
            Resource::Pods => Kind::Pod,
            Resource::NetworkPolicies => Kind::NetworkPolicy,
            Resource::Templates(kind) => return Self::read_template(kind, raw),
            Resource::Foreign(kind) => kind,
            Resource::HouseRules | Resource::RuleExceptions => return Self::read_ours(resource, raw),
            Resource::Assertions => return Self::read_assertion(Kind::ConnectivityAssertion, raw),
            Resource::ClusterAssertions => return Self::read_assertion(Kind::ClusterConnectivityAssertion, raw),
            Resource::CiliumConfig => return Self::read_cilium(raw),
            Resource::Services => return Self::read_service(raw),
        };
        let object = match from_json(kind, raw.get().as_bytes(), &Defaults::default()) {
            // A policy that is there must show, even where nothing of it can be used.
            Object::Unreadable(id, unread) if kind.is_policy() => {
                Object::Policy(PolicyObject { id: id.into(), policies: Vec::new(), unread, implicit_types: false })
            }
            object => object,
        };
        if object.id().name.is_empty() {
            return Err("it has no metadata.name".to_owned());
        }
        Ok(Self::Object(object))
    }

    /// Reads an object with a template. One that a built-in controller has made from another such object has the template of
    /// that object, and makes no more pods once that object is gone.
    fn read_template(kind: Kind, raw: &RawValue) -> Result<Self, String> {
        let mut object = from_json(kind, raw.get().as_bytes(), &Defaults::default());
        if object.id().name.is_empty() {
            return Err("it has no metadata.name".to_owned());
        }
        if let Object::Workload(workload) = &mut object
            && workload.controller.is_some()
        {
            workload.finished |= Owned::of(raw).by_built_in();
        }
        Ok(Self::Object(object))
    }

    fn read_ours(resource: Resource, raw: &RawValue) -> Result<Self, String> {
        let key = Head::of(raw).key().ok_or("it has no metadata.name")?;
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        Ok(if resource == Resource::HouseRules {
            Self::Rules(key, Box::new(Configured::new(&value, houserules::house_rules(&value))))
        } else {
            Self::Exception(key, Box::new(Configured::new(&value, houserules::rule_exception(&value))))
        })
    }

    fn read_assertion(kind: Kind, raw: &RawValue) -> Result<Self, String> {
        let key = Head::of(raw).key().ok_or("it has no metadata.name")?;
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        match from_value(kind, &value, &Defaults::default()) {
            Object::Assertion(read) => {
                let unread = read.unread.clone();
                Ok(Self::Assertion(key, Box::new(Configured::new(&value, (read, unread)))))
            }
            other => Ok(Self::Object(other)),
        }
    }

    fn read_service(raw: &RawValue) -> Result<Self, String> {
        let key = Head::of(raw).key().ok_or("it has no metadata.name")?;
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        Ok(Self::Service(key, Box::new(entrance::service(&value))))
    }

    fn read_cilium(raw: &RawValue) -> Result<Self, String> {
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        let read = cilium_config("", "ConfigMap", &value).ok_or("it is not the one that was asked for")?;
        Ok(Self::Cilium(Box::new(read)))
    }

    /// How messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Object(object) => object.id().to_string(),
            Self::Rules(key, _) => format!("HouseRules {}", key.1),
            Self::Exception(key, _) => format!("RuleException {}/{}", key.0, key.1),
            Self::Assertion(_, assertion) => assertion.read.id.to_string(),
            Self::Service(key, _) => format!("Service {}/{}", key.0, key.1),
            Self::Cilium(read) => read.0.said_by.to_string(),
        }
    }

    /// What could not be read of a policy, or of an object as a whole.
    pub(super) fn unread(&self) -> &[Unread] {
        match self {
            Self::Object(object) => object.unread(),
            Self::Rules(_, rules) => &rules.unread,
            Self::Exception(_, exception) => &exception.unread,
            Self::Assertion(_, assertion) => &assertion.unread,
            Self::Service(..) => &[],
            Self::Cilium(read) => &read.1,
        }
    }
}
