//! What tells of the network besides the pods of its agents: the groups that are served and what a few nodes report. Asked
//! for now and then, never waited for, and never a reason not to answer.

use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::client::{self, ListQuery, RequestError};
use super::follow::{Timing, Update, WriterGone};
use super::wire::Page;
use crate::model::sighting::Hints;
use crate::translate::note_hints;

/// Nodes that are asked. All of a cluster have the same network, and 5,000 of them would be a hundred megabytes.
const NODES: u32 = 20;

#[derive(Debug, Deserialize)]
struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: String,
}

/// The first few nodes, each with its `kind`.
pub(super) async fn nodes(client: &Client, within: Duration) -> Result<Vec<Value>, RequestError> {
    let path = client::list_path("/api/v1/nodes", &ListQuery { limit: NODES, more: None });
    let bytes = client::get(client, &path, within).await?;
    let nonsense = |error: serde_json::Error| RequestError::Nonsense(format!("nodes: {error}"));
    let page: Page<'_> = serde_json::from_slice(&bytes).map_err(nonsense)?;
    page.items.iter().flatten().map(|raw| serde_json::from_str(raw.get()).map_err(nonsense)).collect()
}

/// Looks, and looks again, until the writer is gone. What could not be asked for is as it was.
pub(super) async fn keep_looking(client: Client, writer: Sender<Update>, timing: Timing) -> WriterGone {
    let (mut groups, mut nodes, mut said) = (Hints::default(), Hints::default(), false);
    loop {
        let (served, reported) =
            futures::future::join(served(&client, timing.list), reported(&client, timing.list)).await;
        for error in [served.as_ref().err(), reported.as_ref().err()].into_iter().flatten() {
            if said {
                tracing::debug!(%error, "the network's plugin is known by its agents only");
            } else {
                said = true;
                tracing::info!(%error, "the network's plugin is known by its agents only; to know more, list nodes and /apis are needed");
            }
        }
        groups = served.unwrap_or(groups);
        nodes = reported.unwrap_or(nodes);
        if writer.send(Update::Hints(nodes.clone().and(&groups))).await.is_err() {
            return WriterGone;
        }
        tokio::time::sleep(timing.scout).await;
    }
}

async fn served(client: &Client, within: Duration) -> Result<Hints, RequestError> {
    let bytes = client::get(client, "/apis", within).await?;
    let groups: Groups =
        serde_json::from_slice(&bytes).map_err(|error| RequestError::Nonsense(format!("/apis: {error}")))?;
    let mut hints = Hints::default();
    for group in groups.groups {
        hints.note_group(&group.name);
    }
    Ok(hints)
}

async fn reported(client: &Client, within: Duration) -> Result<Hints, RequestError> {
    let mut hints = Hints::default();
    for node in nodes(client, within).await? {
        note_hints("", "Node", &node, &mut hints);
    }
    Ok(hints)
}
