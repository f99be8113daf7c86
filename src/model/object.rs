//! The objects a cluster state is made of, and a change to one of them.

use std::sync::Arc;

use super::Str;
use super::assertion::Assertion;
use super::group::{AddressGroup, TierObject};
use super::labels::Labels;
use super::origin::{FieldPath, ObjectRef};
use super::pod::Workload;
use super::policy::Policy;

/// A part of an object that could not be read. Never dropped in silence: it becomes a `not-understood` finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The field.
    pub at: FieldPath,
    /// What is wrong with it, and how it was taken instead.
    pub what: String,
}

/// What a text says of something that is not as it should be and has one meaning all the same.
pub const READ_AS: &str = "is read as";

/// What a text says of an object that is beyond its ceiling.
pub const TOO_LARGE: &str = "is too large to judge";

impl Unread {
    /// Whether the object was not read because of its size.
    pub fn is_too_large(&self) -> bool {
        self.what.contains(TOO_LARGE)
    }

    /// Whether it was read after all: then its text says as what.
    pub fn is_read(&self) -> bool {
        self.what.contains(READ_AS)
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: Str,
    /// Labels; the name label is always there (semantics 2.1.12).
    pub labels: Labels,
    /// Being deleted: deletes inside always pass.
    pub terminating: bool,
}

impl Namespace {
    /// A namespace of which only the name is known.
    pub fn named(name: impl Into<Str>) -> Self {
        Self::new(name, &Labels::default())
    }

    /// A namespace; the name label is added.
    pub fn new(name: impl Into<Str>, labels: &Labels) -> Self {
        let name = name.into();
        let labels = labels.with(super::labels::NAMESPACE_NAME_LABEL, name.clone());
        Self { name, labels, terminating: false }
    }
}

/// One policy object of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// The object.
    pub id: Arc<ObjectRef>,
    /// The policies it holds; several for Cilium's `specs`.
    pub policies: Vec<Arc<Policy>>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// Whether the directions were left to the default (semantics 2.1.2).
    pub implicit_types: bool,
}

/// An object in model terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A namespace.
    Namespace(Namespace),
    /// A policy of any kind.
    Policy(PolicyObject),
    /// A pod or an object with a pod template.
    Workload(Workload),
    /// A statement about the network.
    Assertion(Assertion),
    /// A group of addresses that policies refer to.
    AddressGroup(AddressGroup),
    /// A tier that policies name.
    Tier(TierObject),
    /// An object of which nothing could be used.
    Unreadable(ObjectRef, Vec<Unread>),
}

impl Object {
    /// What object this is.
    pub fn id(&self) -> ObjectRef {
        match self {
            Self::Namespace(n) => ObjectRef::cluster("v1", "Namespace", n.name.clone()),
            Self::Policy(p) => (*p.id).clone(),
            Self::Workload(w) => w.id.clone(),
            Self::Assertion(a) => (*a.id).clone(),
            Self::AddressGroup(group) => group.id.clone(),
            Self::Tier(tier) => tier.id.clone(),
            Self::Unreadable(id, _) => id.clone(),
        }
    }

    /// What of it could not be read.
    pub fn unread(&self) -> &[Unread] {
        match self {
            Self::Policy(p) => &p.unread,
            Self::Assertion(a) => &a.unread,
            Self::AddressGroup(group) => &group.unread,
            Self::Tier(tier) => &tier.unread,
            Self::Unreadable(_, unread) => unread,
            Self::Namespace(_) | Self::Workload(_) => &[],
        }
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A new object.
    Create,
    /// An existing one changes.
    Update,
    /// It goes away.
    Delete,
}

impl Operation {
    /// The name in admission reviews.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// One change to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is being done.
    pub operation: Operation,
    /// To which object.
    pub id: ObjectRef,
    /// The object as it was; absent on create.
    pub before: Option<Object>,
    /// The object as it would be; absent on delete.
    pub after: Option<Object>,
}

impl Change {
    /// An object appears.
    pub fn create(object: Object) -> Self {
        Self { operation: Operation::Create, id: object.id(), before: None, after: Some(object) }
    }

    /// An object changes.
    pub fn update(before: Object, after: Object) -> Self {
        Self { operation: Operation::Update, id: after.id(), before: Some(before), after: Some(after) }
    }

    /// An object goes away.
    pub fn delete(object: Object) -> Self {
        Self { operation: Operation::Delete, id: object.id(), before: Some(object), after: None }
    }

    /// The object as it would be, or as it was where it goes away.
    pub fn object(&self) -> Option<&Object> {
        self.after.as_ref().or(self.before.as_ref())
    }
}
