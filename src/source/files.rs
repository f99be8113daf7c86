//! A cluster's state from manifests: what `check` judges and what `serve --manifests` serves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::manifests::{Document, ManifestError, Manifests, Position};
use crate::model::house::House;
use crate::model::{FieldPath, Object, ObjectRef, Unread};
use crate::review::World;
use crate::snapshot::Snapshot;
use crate::translate::{Defaults, Kind, from_value, houserules, unread_policy};

/// An object and where it stands.
#[derive(Debug)]
pub struct Located {
    /// The object.
    pub object: Object,
    document: Document,
}

impl Located {
    /// Its file.
    pub fn file(&self) -> &str {
        &self.document.file
    }

    /// The place of a field, or of its nearest parent that exists.
    pub fn locate(&self, path: &FieldPath) -> Position {
        if path.is_empty() { self.document.start() } else { self.document.spans.locate(path.as_str()) }
    }
}

/// Everything that was read from files.
#[derive(Debug, Default)]
pub struct Files {
    /// Objects that take part, each once, in the order of their names. Of the same object written twice the last counts.
    pub objects: Vec<Located>,
    /// House rules found among them.
    pub house: House,
    /// House rules that could not be read in full: object, place and reason.
    pub house_unread: Vec<(ObjectRef, Unread)>,
    /// What could not be read at all.
    pub errors: Vec<ManifestError>,
    /// Documents that have nothing to do with networks, and files that are no manifests.
    pub skipped: usize,
}

impl Files {
    /// Reads files and folders; `-` is standard input. Objects without a namespace belong to `namespace`.
    pub fn read(paths: &[PathBuf], namespace: &str) -> Self {
        let read = Manifests::read(paths);
        let mut files = Self { errors: read.errors, skipped: read.skipped.len(), ..Self::default() };
        let mut objects = BTreeMap::new();
        for document in read.documents {
            files.take(document, namespace, &mut objects);
        }
        files.objects = objects.into_values().collect();
        files
    }

    fn take(&mut self, document: Document, namespace: &str, objects: &mut BTreeMap<ObjectRef, Located>) {
        let (api_version, kind) = (document.api_version().unwrap_or_default(), document.kind().unwrap_or_default());
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let defaults = Defaults { namespace, name: "" };
        if let Some(kind) = Kind::of(group, kind) {
            let object = from_value(kind, &document.value, &defaults);
            objects.insert(object.id(), Located { object, document });
            return;
        }
        if group == "portcullis.dev" && kind == "HouseRules" {
            let (rules, unread) = houserules::house_rules(&document.value);
            let id = ObjectRef::cluster("portcullis.dev/v1alpha1", "HouseRules", rules.name.clone());
            self.house_unread.extend(unread.into_iter().map(|u| (id.clone(), u)));
            self.house.rules.push(rules);
            return;
        }
        if Kind::is_policy_group(group) {
            let id = ObjectRef {
                api_version: api_version.to_owned().into(),
                kind: kind.to_owned().into(),
                namespace: document.namespace().map(Into::into),
                name: document.name().unwrap_or_default().into(),
            };
            let object = Object::Unreadable(id.clone(), vec![unread_policy(kind, api_version)]);
            objects.insert(id, Located { object, document });
            return;
        }
        self.skipped += 1;
    }

    /// The state that these files describe.
    pub fn world(&self) -> World {
        let mut house = self.house.clone();
        house.rules.sort_by(|a, b| a.name.cmp(&b.name));
        World { snapshot: Snapshot::of(self.objects.iter().map(|located| &located.object)), house }
    }
}
