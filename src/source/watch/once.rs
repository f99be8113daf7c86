//! A cluster's objects, read once for the command line: every kind that counts, page by page. A kind that may not be
//! read is named and never taken for empty; without namespaces and policies there is no answer at all.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::{self, ListQuery, RequestError};
use super::resource::Resource;
use super::scout;
use super::wire::Page;
use crate::translate::Kind;

/// Objects asked for at once.
const PAGE: u32 = 500;
/// How long one answer may take.
const WITHIN: Duration = Duration::from_mins(1);
/// How often a server that is busy is asked again.
const PATIENCE: u32 = 3;

/// A kind that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} could not be read ({why}): the answer is without them; they need the verb list on {resource}")]
pub struct Omitted {
    /// The kind, as objects spell it.
    pub kind: String,
    /// The resource as RBAC spells it.
    pub resource: String,
    /// What the API server said.
    pub why: String,
}

/// Why a cluster could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnceError {
    /// Nobody answers.
    #[error("no answer from the API server: {0}; see whether `kubectl version` with the same context gets one")]
    Unreachable(String),
    /// It does not know who asks.
    #[error("the API server does not accept these credentials: {0}; log in again, or name another --context")]
    Unauthorized(String),
    /// A kind without which every answer would be wrong.
    #[error(
        "{0}; without {kind} no answer would be true. Ask for a ClusterRole with the verb list on {resource}, or see `kubectl auth can-i list {resource} -A`",
        kind = .0.kind, resource = .0.resource
    )]
    Needed(Omitted),
}

/// A collection that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Collection {
    group: String,
    version: String,
    plural: String,
    kind: String,
}

impl Collection {
    fn of(kind: Kind) -> Self {
        Self {
            group: kind.group().to_owned(),
            version: kind.version().to_owned(),
            plural: kind.plural().to_owned(),
            kind: kind.kind().to_owned(),
        }
    }

    fn path(&self) -> String {
        if self.group.is_empty() {
            return format!("/api/{}/{}", self.version, self.plural);
        }
        format!("/apis/{}/{}/{}", self.group, self.version, self.plural)
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn omitted(&self, why: impl Into<String>) -> Omitted {
        Omitted { kind: self.kind.clone(), resource: self.resource(), why: why.into() }
    }

    /// Without these there is no answer.
    fn is_needed(&self) -> bool {
        matches!(&*self.kind, "Namespace" | "NetworkPolicy") && matches!(&*self.group, "" | "networking.k8s.io")
    }
}

#[derive(Debug, Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Debug, Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Debug, Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<ResourceName>,
}

#[derive(Debug, Deserialize)]
struct ResourceName {
    name: String,
    kind: String,
}

/// What is wanted of groups that not every cluster has.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Kinds that are read besides those of [`Kind`], with their groups; all of them optional.
    pub more: &'a [(&'static str, &'static str, &'static str, &'static str)],
    /// Groups of policies: every kind of theirs counts, if only to say that it is not read.
    pub policy_groups: &'a [&'static str],
}

/// What a cluster that was read once says besides its objects.
#[derive(Clone, Debug, Default)]
pub struct Once {
    /// What could not be read.
    pub omitted: Vec<Omitted>,
    /// API groups that it serves.
    pub groups: Vec<String>,
    /// Why Cilium's configuration could not be read.
    pub cilium_omitted: Option<String>,
}

/// Hands every page of every kind to `take`, objects with their `apiVersion` and `kind`, and a few nodes.
pub async fn read_once(
    client: &Client,
    wanted: &Wanted<'_>,
    mut take: impl FnMut(Vec<Value>),
) -> Result<Once, OnceError> {
    let (collections, mut omitted, groups) = discover(client, wanted).await?;
    for collection in collections {
        match list(client, &collection, &mut take).await {
            Ok(()) => {}
            // A kind whose definition is not installed has no objects.
            Err(RequestError::NotFound(_)) if !collection.is_needed() => {}
            Err(error) => {
                let why = collection.omitted(error.to_string());
                match error {
                    RequestError::Refused { code: 401, message, .. } => return Err(OnceError::Unauthorized(message)),
                    RequestError::Connection(_) | RequestError::Silent(_) => {
                        return Err(OnceError::Unreachable(error.to_string()));
                    }
                    _ if collection.is_needed() => return Err(OnceError::Needed(why)),
                    _ => omitted.push(why),
                }
            }
        }
    }
    // Nodes only hint at what their network is; who may not see them goes without.
    let (config, nodes) = futures::future::join(cilium_config(client), scout::nodes(client, WITHIN)).await;
    let mut cilium_omitted = None;
    match config {
        Ok(found) => take(found),
        Err(error) => cilium_omitted = Some(error.to_string()),
    }
    take(nodes.unwrap_or_default().into_iter().map(|node| typed(node, "v1", "Node")).collect());
    Ok(Once { omitted, groups, cilium_omitted })
}

/// The one ConfigMap, if there is one.
async fn cilium_config(client: &Client) -> Result<Vec<Value>, RequestError> {
    let path = client::list_path(Resource::CiliumConfig.path(), &ListQuery { limit: 1, more: None });
    let bytes = patiently(client, &path).await?;
    let nonsense = |error: serde_json::Error| RequestError::Nonsense(format!("configmaps: {error}"));
    let page: Page<'_> = serde_json::from_slice(&bytes).map_err(nonsense)?;
    let read = |raw: &&RawValue| serde_json::from_str(raw.get()).map(|value| typed(value, "v1", "ConfigMap"));
    page.items.iter().flatten().map(read).collect::<Result<_, _>>().map_err(nonsense)
}

/// What this cluster has of what is wanted, what cannot be known of that, and the groups that it serves.
async fn discover(
    client: &Client,
    wanted: &Wanted<'_>,
) -> Result<(Vec<Collection>, Vec<Omitted>, Vec<String>), OnceError> {
    let mut known: Vec<Collection> = Kind::ALL.iter().map(|kind| Collection::of(*kind)).collect();
    known.extend(wanted.more.iter().map(|(group, version, kind, plural)| Collection {
        group: (*group).to_owned(),
        version: (*version).to_owned(),
        plural: (*plural).to_owned(),
        kind: (*kind).to_owned(),
    }));
    let groups = match fetch::<Groups>(client, "/apis").await {
        Ok(groups) => groups.groups,
        Err(RequestError::Refused { code: 401, message, .. }) => return Err(OnceError::Unauthorized(message)),
        Err(error @ (RequestError::Connection(_) | RequestError::Silent(_))) => {
            return Err(OnceError::Unreachable(error.to_string()));
        }
        // Whoever may not ask what there is can still try what is usual.
        Err(error) => {
            let blind = Omitted {
                kind: "policies of other kinds than NetworkPolicy".to_owned(),
                resource: "API discovery (the ClusterRole system:discovery)".to_owned(),
                why: error.to_string(),
            };
            return Ok((known, vec![blind], Vec::new()));
        }
    };
    let groups: BTreeMap<&str, &Group> = groups.iter().map(|group| (&*group.name, group)).collect();
    known.retain(|c| c.group.is_empty() || groups.contains_key(&*c.group));
    for collection in &mut known {
        if let Some(group) = groups.get(&*collection.group)
            && group.versions.iter().all(|v| v.version != collection.version)
            && let Some(preferred) = &group.preferred_version
        {
            collection.version.clone_from(&preferred.version);
        }
    }
    let mut omitted = Vec::new();
    for name in wanted.policy_groups {
        let Some(version) = groups.get(name).and_then(|group| group.preferred_version.as_ref()) else { continue };
        match fetch::<Resources>(client, &format!("/apis/{name}/{}", version.version)).await {
            Ok(served) => {
                let served =
                    served.resources.into_iter().filter(|r| !r.name.contains('/') && r.kind.contains("Policy"));
                for resource in served {
                    if known.iter().all(|c| c.group != *name || c.plural != resource.name) {
                        known.push(Collection {
                            group: (*name).to_owned(),
                            version: version.version.clone(),
                            plural: resource.name,
                            kind: resource.kind,
                        });
                    }
                }
            }
            Err(error) => omitted.push(Omitted {
                kind: format!("policies of {name}"),
                resource: (*name).to_owned(),
                why: error.to_string(),
            }),
        }
    }
    Ok((known, omitted, groups.into_keys().map(str::to_owned).collect()))
}

async fn fetch<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<T, RequestError> {
    let bytes = patiently(client, path).await?;
    serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(format!("{path}: {error}")))
}

/// One answer; a server that says it is busy is asked again.
async fn patiently(client: &Client, path: &str) -> Result<bytes::Bytes, RequestError> {
    let mut tries = 0;
    loop {
        let error = match client::get(client, path, WITHIN).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        tries += 1;
        match &error {
            RequestError::Refused { code: 429 | 500 | 503 | 504, retry_after, .. } if tries < PATIENCE => {
                tokio::time::sleep(retry_after.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(10))).await;
            }
            _ => return Err(error),
        }
    }
}

/// All objects of a collection. A list that took longer than the server keeps its versions is begun again in one piece.
async fn list(client: &Client, collection: &Collection, take: &mut impl FnMut(Vec<Value>)) -> Result<(), RequestError> {
    let path = collection.path();
    let (mut more, mut limit): (Option<String>, u32) = (None, PAGE);
    loop {
        let query = ListQuery { limit, more: more.as_deref() };
        let bytes = match patiently(client, &client::list_path(&path, &query)).await {
            Err(RequestError::Gone(_)) if more.is_some() => {
                (more, limit) = (None, 0);
                continue;
            }
            got => got?,
        };
        let unreadable =
            |error: serde_json::Error| RequestError::Nonsense(format!("{}: {error}", collection.resource()));
        let page: Page<'_> = serde_json::from_slice(&bytes).map_err(unreadable)?;
        let objects: Result<Vec<Value>, serde_json::Error> =
            page.items.iter().flatten().map(|raw| object(raw, collection)).collect();
        take(objects.map_err(unreadable)?);
        more = page.metadata.more.filter(|token| !token.is_empty());
        if more.is_none() {
            return Ok(());
        }
    }
}

/// Items of a list do not say what they are; and what managers have set is most of them and says nothing here.
fn object(raw: &RawValue, collection: &Collection) -> Result<Value, serde_json::Error> {
    let value: Value = serde_json::from_str(raw.get())?;
    Ok(typed(value, &collection.api_version(), &collection.kind))
}

fn typed(mut value: Value, api_version: &str, kind: &str) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".to_owned(), api_version.into());
        fields.insert("kind".to_owned(), kind.into());
        if let Some(Value::Object(meta)) = fields.get_mut("metadata") {
            meta.remove("managedFields");
        }
    }
    value
}
