//! The requests behind a consistent read: one for each kind that there is and that decides, all at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join};
use kube::Client;

use super::{CLUSTER, Fresh, ReadNamespace};
use crate::model::{Namespace, Object, Workload};
use crate::source::watch::client::{self, ListQuery, RequestError};
use crate::source::watch::item::Item;
use crate::source::watch::progress::Progress;
use crate::source::watch::resource::Resource;
use crate::source::watch::wire::Page;
use crate::translate::Kind;

/// Objects of a kind that are read. Of a kind with more what the watch has seen counts: the answer must come in time.
const MOST_OBJECTS: u32 = 1_000;

/// Reads from the API server.
#[derive(Clone)]
pub(in crate::source::watch) struct FromApi {
    pub(in crate::source::watch) client: Client,
    pub(in crate::source::watch) progress: Arc<Progress>,
    /// How long a read may take, whatever its askers' deadlines.
    pub(in crate::source::watch) within: Duration,
}

impl ReadNamespace for FromApi {
    async fn read(&self, namespace: &str) -> Result<Fresh, RequestError> {
        let there = Resource::ALL.into_iter().filter(|r| r.decides() && self.progress.is_present(*r));
        let kinds =
            there.filter_map(Resource::policy_kind).filter(|kind| kind.is_namespaced() == (namespace != CLUSTER));
        let (namespace, kinds) = try_join(self.namespace(namespace), async {
            let all = join_all(kinds.map(|kind| self.kind(kind, namespace))).await;
            all.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        Ok(Fresh { namespace, kinds })
    }
}

impl FromApi {
    async fn namespace(&self, name: &str) -> Result<Option<Namespace>, RequestError> {
        if name == CLUSTER {
            return Ok(None);
        }
        let path = format!("{}/{}", Resource::Namespaces.path(), client::encode(name));
        let bytes = match client::get(&self.client, &path, self.within).await {
            Err(RequestError::NotFound(_)) => return Ok(None),
            got => got?,
        };
        let raw = serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))?;
        match Item::read(Resource::Namespaces, raw) {
            Ok(Item::Object(Object::Namespace(namespace))) => Ok(Some(namespace)),
            Ok(_) => Err(RequestError::Nonsense(format!("namespace {name} cannot be read"))),
            Err(why) => Err(RequestError::Nonsense(why)),
        }
    }

    /// All objects of a kind; `None` where they are too many.
    async fn kind(&self, kind: Kind, namespace: &str) -> Result<Option<(Kind, Vec<Object>)>, RequestError> {
        let resource = if kind == Kind::NetworkPolicy { Resource::NetworkPolicies } else { Resource::Foreign(kind) };
        let bytes = match self.list(resource, namespace).await {
            // The definition has just been taken away, and its objects with it.
            Err(RequestError::NotFound(_)) if resource.is_optional() => return Ok(Some((kind, Vec::new()))),
            got => got?,
        };
        let page: Page<'_> =
            serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))?;
        if page.metadata.more.is_some_and(|token| !token.is_empty()) {
            tracing::debug!(%resource, namespace, most = MOST_OBJECTS, "too many to be read afresh; as the watch has them");
            return Ok(None);
        }
        let read = page.items.iter().flatten().map(|raw| match Item::read(resource, raw) {
            Ok(Item::Object(object)) => Ok(object),
            Ok(_) => Err(RequestError::Nonsense(format!("not one of {resource}"))),
            Err(why) => Err(RequestError::Nonsense(why)),
        });
        Ok(Some((kind, read.collect::<Result<_, _>>()?)))
    }

    /// The first page from where the kind is served. Of two places the second counts where the first cannot be asked.
    async fn list(&self, resource: Resource, namespace: &str) -> Result<Bytes, RequestError> {
        // In one piece where it is small: a namespace's NetworkPolicies are few.
        let limit = if resource.is_optional() { MOST_OBJECTS } else { 0 };
        let ask = |collection: &'static str| async move {
            let path = client::list_path(&within(collection, namespace), &ListQuery { limit, more: None });
            client::get(&self.client, &path, self.within).await
        };
        let first = ask(resource.path()).await;
        let Some(other) = resource.other_path() else { return first };
        match first {
            Err(
                error @ (RequestError::NotFound(_)
                | RequestError::Forbidden(_)
                | RequestError::Refused { code: 503, .. }),
            ) => ask(other).await.map_err(|second| match second {
                // That it is not in the second place either says nothing where the first did not answer.
                RequestError::NotFound(_) => error,
                second => second,
            }),
            got => got,
        }
    }
}

/// One pod as it is now.
pub(in crate::source::watch) async fn pod(
    client: &Client,
    namespace: &str,
    name: &str,
    in_time: Duration,
) -> Result<Option<Workload>, RequestError> {
    let path = format!("{}/{}", within(Resource::Pods.path(), namespace), client::encode(name));
    let bytes = match client::get(client, &path, in_time).await {
        Err(RequestError::NotFound(_)) => return Ok(None),
        got => got?,
    };
    let raw = serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(error.to_string()))?;
    match Item::read(Resource::Pods, raw) {
        Ok(Item::Object(Object::Workload(pod))) => Ok(Some(pod)),
        Ok(_) => Err(RequestError::Nonsense(format!("pod {namespace}/{name} cannot be read"))),
        Err(why) => Err(RequestError::Nonsense(why)),
    }
}

/// The part of a collection that is in a namespace.
fn within(collection: &str, namespace: &str) -> String {
    match collection.rsplit_once('/') {
        Some((group, plural)) if namespace != CLUSTER => {
            format!("{group}/namespaces/{}/{plural}", client::encode(namespace))
        }
        _ => collection.to_owned(),
    }
}
