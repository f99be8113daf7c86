//! What lists and watch streams look like around the objects. Objects stay raw text here, so that one odd object costs
//! itself and not its page or its stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::Key;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: PageMeta,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

/// Where a list stands.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageMeta {
    #[serde(default)]
    pub(super) resource_version: Option<String>,
    #[serde(default, rename = "continue")]
    pub(super) more: Option<String>,
}

/// A line of a watch stream.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// Whom an object says that it belongs to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Owned {
    #[serde(default)]
    metadata: OwnedMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnedMeta {
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnerReference {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    controller: Option<bool>,
}

impl Owned {
    /// Reads the owners of an object; an object whose owners cannot be read has none.
    pub(super) fn of(object: &RawValue) -> Self {
        serde_json::from_str(object.get()).unwrap_or_default()
    }

    /// Whether a controller of Kubernetes has made it from another watched template. The garbage collector deletes an object
    /// whose owner of such a kind does not exist; of kinds that it cannot look up it deletes nothing, so those do not count.
    pub(super) fn by_built_in(&self) -> bool {
        let controller = self.metadata.owner_references.iter().find(|owner| owner.controller == Some(true));
        controller.is_some_and(|owner| {
            matches!((&*owner.api_version, &*owner.kind), ("apps/v1", "Deployment") | ("batch/v1", "CronJob"))
        })
    }
}

/// What every object says about itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Head {
    #[serde(default)]
    pub(super) metadata: HeadMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeadMeta {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    pub(super) resource_version: Option<String>,
}

impl Head {
    /// Reads the head of an object; an object that has none gets an empty one.
    pub(super) fn of(object: &RawValue) -> Self {
        serde_json::from_str(object.get()).unwrap_or_default()
    }

    /// The object's name, if it has one.
    pub(super) fn key(&self) -> Option<Key> {
        let name = self.metadata.name.as_deref().filter(|name| !name.is_empty())?;
        Some((self.metadata.namespace.as_deref().unwrap_or_default().into(), name.into()))
    }
}

/// `metav1.Status`: how the API server says no.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) code: Option<u16>,
}

impl Status {
    /// The text for people.
    pub(super) fn text(&self) -> String {
        match (&self.message, &self.reason) {
            (Some(message), _) if !message.is_empty() => message.clone(),
            (_, Some(reason)) if !reason.is_empty() => reason.clone(),
            _ => "no message".to_owned(),
        }
    }
}
