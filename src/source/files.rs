//! A cluster's state from manifests: what `check` judges and what `serve --manifests` serves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use super::exceptions::{Exceptions, Slip};
use super::manifests::{Document, ManifestError, Manifests, Position, Spans};
use super::watch::{Omitted, OnceError, Wanted, read_once};
use crate::model::cni::Cni;
use crate::model::entrance::Entrances;
use crate::model::house::House;
use crate::model::original::{Narrowing, Original, Rewritten};
use crate::model::sighting::Hints;
use crate::model::{CiliumConfig, Enforcement, FieldPath, Labels, Object, ObjectRef, References, Str, Unread};
use crate::review::World;
use crate::snapshot::Snapshot;
use crate::translate::narrow::{Written, as_applied};
use crate::translate::{Defaults, Kind, cilium_config, entrance, from_value, houserules, note_hints, unread_kind};

/// Our own kinds that a cluster is asked for: group, version, kind, resource.
const OUR_KINDS: [(&str, &str, &str, &str); 2] = [
    ("portcullis.dev", "v1alpha1", "HouseRules", "houserules"),
    ("portcullis.dev", "v1alpha1", "RuleException", "ruleexceptions"),
];

/// Where RuleExceptions count unless something else is said: the namespace that Portcullis is installed in.
pub const CONFIG_NAMESPACE: &str = "portcullis";

/// The file of objects that were read from a cluster.
pub const CLUSTER: &str = "<cluster>";

/// An object and where it stands.
#[derive(Clone, Debug)]
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

    /// Whether it comes from a cluster and not from a text.
    pub fn is_live(&self) -> bool {
        self.file() == CLUSTER
    }

    /// The place of a field, or of its nearest parent that exists.
    pub fn locate(&self, path: &FieldPath) -> Position {
        if path.is_empty() { self.document.start() } else { self.document.spans.locate(path.as_str()) }
    }
}

impl Original for Located {
    fn narrowed(&self, narrowing: &Narrowing) -> Option<Rewritten> {
        Written::of(&self.object.id(), &self.document.value)?.narrowed(narrowing)
    }
}

/// Everything that was read from files.
#[derive(Debug, Default)]
pub struct Files {
    /// Objects that take part, each once, in the order of their names. Of the same object written twice the last counts.
    pub objects: Vec<Located>,
    /// House rules found among them.
    pub house: House,
    /// RuleExceptions found among them; those that count are in `house` once they are honoured.
    pub exceptions: Exceptions,
    /// What of house rules and exceptions could not be read.
    pub house_unread: Vec<Slip>,
    /// Ways into the cluster.
    pub entrances: Entrances,
    /// The labels of service accounts, by namespace and name.
    pub accounts: BTreeMap<(Str, Str), Labels>,
    /// What Cilium's configuration says, where it is known.
    pub cilium: Option<CiliumConfig>,
    /// What of it could not be read: object, place and reason.
    pub cilium_unread: Vec<(ObjectRef, Unread)>,
    /// Why a cluster's could not be.
    pub cilium_omitted: Option<String>,
    /// What tells of network plugins besides their agents.
    pub hints: Hints,
    /// What could not be read at all.
    pub errors: Vec<ManifestError>,
    /// Kinds of a cluster that could not be read.
    pub omitted: Vec<Omitted>,
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

    /// Reads a cluster, once.
    pub async fn of_cluster(client: &Client) -> Result<Self, OnceError> {
        let mut files = Self::default();
        let mut objects = BTreeMap::new();
        let more = [&OUR_KINDS[..], &entrance::KINDS].concat();
        let wanted = Wanted { more: &more, policy_groups: &Kind::POLICY_GROUPS };
        let once = read_once(client, &wanted, |page| {
            // A page at a time, so that the objects as they came are never all in memory.
            let mut read = BTreeMap::new();
            for value in page.into_iter().filter(counts_in_a_cluster) {
                files.take(Document { file: CLUSTER.into(), value, spans: Spans::none() }, "", &mut read);
            }
            for located in read.values_mut() {
                // Policies may be shown again, with a part of them changed.
                match located.object {
                    Object::Policy(_) => as_applied(&mut located.document.value),
                    _ => located.document.value = Value::Null,
                }
            }
            objects.append(&mut read);
        })
        .await?;
        for group in &once.groups {
            files.hints.note_group(group);
        }
        files.omitted = once.omitted;
        files.cilium_omitted = once.cilium_omitted;
        files.objects = objects.into_values().collect();
        Ok(files)
    }

    /// The same where Cilium lets policies decide when `mode` says, whatever its configuration does.
    #[must_use]
    pub fn enforced(mut self, mode: Option<Enforcement>) -> Self {
        if let Some(mode) = mode {
            let switches = self.cilium.take().map(|config| config.switches).unwrap_or_default();
            self.cilium = Some(CiliumConfig { switches, ..CiliumConfig::on_the_command_line(mode) });
        }
        self
    }

    /// This state with the objects of another put over it, as `kubectl apply` would.
    #[must_use]
    pub fn overlaid_with(&self, other: &Self) -> Self {
        let mut objects: BTreeMap<ObjectRef, Located> =
            self.objects.iter().map(|l| (l.object.id(), l.clone())).collect();
        objects.extend(other.objects.iter().map(|l| (l.object.id(), l.clone())));
        let mut house = other.house.clone();
        let again = |name: &str| other.house.rules.iter().any(|rules| *rules.name == *name);
        house.rules.extend(self.house.rules.iter().filter(|rules| !again(&rules.name)).cloned());
        Self {
            objects: objects.into_values().collect(),
            house,
            exceptions: self.exceptions.overlaid_with(&other.exceptions),
            house_unread: other.house_unread.clone(),
            entrances: self.entrances.overlaid_with(&other.entrances),
            accounts: self.accounts.iter().chain(&other.accounts).map(|(k, v)| (k.clone(), v.clone())).collect(),
            cilium: other.cilium.clone().or_else(|| self.cilium.clone()),
            cilium_unread: self.cilium_unread.iter().chain(&other.cilium_unread).cloned().collect(),
            cilium_omitted: self.cilium_omitted.clone().filter(|_| other.cilium.is_none()),
            hints: self.hints.clone().and(&other.hints),
            errors: Vec::new(),
            omitted: self.omitted.clone(),
            skipped: other.skipped,
        }
    }

    fn take(&mut self, mut document: Document, namespace: &str, objects: &mut BTreeMap<ObjectRef, Located>) {
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
            self.house_unread.extend(unread.into_iter().map(|unread| Slip::new(&document, &id, unread)));
            self.house.rules.push(rules);
            return;
        }
        if group == "portcullis.dev" && kind == "RuleException" {
            self.house_unread.extend(self.exceptions.take(&mut document, namespace));
            return;
        }
        if entrance::take(group, kind, &document.value, namespace, &mut self.entrances) {
            return;
        }
        if let Some((config, unread)) = cilium_config(group, kind, &document.value) {
            self.cilium_unread.extend(unread.into_iter().map(|u| ((*config.said_by).clone(), u)));
            self.cilium = Some(config);
            return;
        }
        if note_hints(group, kind, &document.value, &mut self.hints) {
            return;
        }
        if let Some((name, labels)) = entrance::account(group, kind, &document.value, namespace) {
            self.accounts.insert(name, labels);
            return;
        }
        if let Some(unread) = unread_kind(group, kind, api_version) {
            let in_namespace = || (!Kind::is_policy_group(group)).then_some(namespace);
            let id = ObjectRef {
                api_version: api_version.to_owned().into(),
                kind: kind.to_owned().into(),
                namespace: document.namespace().or_else(in_namespace).map(Into::into),
                name: document.name().unwrap_or_default().into(),
            };
            let object = Object::Unreadable(id.clone(), vec![unread]);
            objects.insert(id, Located { object, document });
            return;
        }
        self.skipped += 1;
    }

    /// Lets the exceptions count that this namespace has and whose time is not over, as in a cluster. The answer says
    /// which exceptions of the files do not count, and why.
    pub fn honour(&mut self, namespace: &str) -> Vec<String> {
        let (counting, others) = self.exceptions.in_force(namespace, Timestamp::now());
        self.house.exceptions = counting;
        others
    }

    /// The state that these files describe.
    pub fn world(&self) -> World {
        let mut house = self.house.clone();
        house.rules.sort_by(|a, b| a.name.cmp(&b.name));
        let known = References { services: self.entrances.services.clone(), accounts: self.accounts.clone() };
        let mut snapshot = Snapshot::knowing(known, self.objects.iter().map(|located| &located.object));
        snapshot.set_hints(self.hints.clone());
        snapshot.set_cilium(self.cilium.clone());
        World { snapshot, house }
    }
}

/// ReplicaSets and Jobs that something else controls say nothing that their owners and pods do not say, and old ones
/// of a Deployment would say it as it was. The DaemonSet of a plugin's agents that no node is meant for is left over.
fn counts_in_a_cluster(value: &Value) -> bool {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled = || owners.is_some_and(|all| all.iter().any(|o| o.get("controller") == Some(&Value::Bool(true))));
    let of_nobody = || {
        let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        let wanted = value.pointer("/status/desiredNumberScheduled").and_then(Value::as_u64);
        Cni::NAMESPACES.contains(&namespace) && wanted == Some(0)
    };
    match kind {
        "ReplicaSet" | "Job" | "ReplicationController" => !controlled(),
        "DaemonSet" => !of_nobody(),
        _ => true,
    }
}
