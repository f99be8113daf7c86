//! From a request to a change in model terms.

use super::envelope::{self, Incoming};
use super::wire::Given;
use crate::model::original::{Narrowing, Original, Rewritten};
use crate::model::{Change, Object, ObjectRef, Operation};
use crate::translate::narrow::Written;
use crate::translate::{Defaults, Kind, from_json, unread_policy};

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Asked {
    /// Judge it.
    Judge(Box<Change>),
    /// It is none of our business; a warning says so where it should not have come at all.
    Pass(Option<String>),
    /// It makes no sense.
    Refuse(String),
}

/// Takes the objects out of the request.
pub(super) fn asked(request: &mut Incoming<'_>) -> Asked {
    let Some(operation) = request.operation else { return Asked::Pass(None) };
    if !request.subresource.is_empty() {
        return Asked::Pass(None);
    }
    let Some(kind) = Kind::of(&request.group, &request.kind) else {
        if !Kind::is_policy_group(&request.group) {
            return Asked::Pass(Some(format!(
                "portcullis does not judge {}; narrow the rules of its webhook configuration",
                request.kind
            )));
        }
        return Asked::Judge(Box::new(unknown_policy(request, operation)));
    };
    let (object, old) = (std::mem::take(&mut request.object), std::mem::take(&mut request.old_object));
    let defaults = Defaults { namespace: &request.namespace, name: &request.name };
    let read = |given| match given {
        Given::Absent => None,
        Given::Read(object) => Some(*object),
        Given::Raw(raw) => Some(from_json(kind, raw.get().as_bytes(), &defaults)),
    };
    let missing = |field: &str| Asked::Refuse(format!("request.{field} is null in a {} request", operation.as_str()));
    let change = match operation {
        Operation::Create => match read(object) {
            Some(object) => Change::create(object),
            None => return missing("object"),
        },
        Operation::Update => match (read(old), read(object)) {
            (Some(old), Some(new)) => Change::update(old, new),
            (None, _) => return missing("oldObject"),
            (_, None) => return missing("object"),
        },
        Operation::Delete => match read(old) {
            Some(old) => Change::delete(old),
            None => return missing("oldObject"),
        },
    };
    Asked::Judge(Box::new(change))
}

/// The object of a request, which is looked for only when it is to be written again: one in a thousand requests asks for that.
pub(super) struct Sent<'a> {
    /// The body of the request.
    pub(super) body: &'a [u8],
    /// What it came to.
    pub(super) change: &'a Change,
}

impl Original for Sent<'_> {
    fn narrowed(&self, narrowing: &Narrowing) -> Option<Rewritten> {
        let value = envelope::object(self.body)?;
        Written::of(&self.change.id, &value)?.narrowed(narrowing)
    }
}

/// A policy kind that is not read: judged as an object of which nothing is known.
fn unknown_policy(request: &Incoming<'_>, operation: Operation) -> Change {
    let api_version = format!("{}/{}", request.group, request.version);
    let id = ObjectRef {
        api_version: api_version.clone().into(),
        kind: request.kind.to_string().into(),
        namespace: (!request.namespace.is_empty()).then(|| request.namespace.as_ref().into()),
        name: request.name.as_ref().into(),
    };
    let unread = unread_policy(&request.kind, &api_version);
    let object = Object::Unreadable(id, vec![unread]);
    match operation {
        Operation::Create => Change::create(object),
        Operation::Update => Change::update(object.clone(), object),
        Operation::Delete => Change::delete(object),
    }
}
