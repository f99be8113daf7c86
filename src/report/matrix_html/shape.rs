//! The shape of what the page knows; its script reads these names.

use serde::Serialize;

use super::super::matrix::Row;

#[derive(Serialize)]
pub(super) struct Data {
    pub(super) version: &'static str,
    pub(super) paths: Vec<String>,
    pub(super) dialect: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) port: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) outside: Vec<Outside>,
    pub(super) entrances: Vec<Row>,
    pub(super) after: World,
    pub(super) before: Option<World>,
    /// Connections of the old state and of the new one, by their numbers, with what the change adds and removes.
    pub(super) changes: Vec<(usize, usize, String, String)>,
}

#[derive(Serialize)]
pub(super) struct Outside {
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) open: bool,
    pub(super) src: bool,
    pub(super) dst: bool,
}

#[derive(Serialize)]
pub(super) struct World {
    pub(super) nodes: Vec<JsonNode>,
    pub(super) lists: Vec<JsonList>,
    pub(super) sides: Vec<JsonSide>,
    pub(super) steps: Vec<JsonStep>,
    pub(super) policies: Vec<JsonPolicy>,
    /// Outcome of egress, outcome of ingress, manner (0 pods, 1 a pod on its node's network, 2 addresses), connection.
    pub(super) meets: Vec<(u32, u32, u8, usize)>,
    pub(super) connections: Vec<Connection>,
    pub(super) opened: Vec<JsonOpened>,
    pub(super) yaml: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct JsonNode {
    pub(super) id: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) variant: String,
    pub(super) pods: u32,
    pub(super) host: bool,
    /// Ingress, egress.
    pub(super) isolated: [bool; 2],
    /// Number among kinds of pods.
    pub(super) k: usize,
    /// Lists that decide on egress and on ingress.
    pub(super) out: usize,
    pub(super) into: usize,
    pub(super) src: bool,
    pub(super) dst: bool,
}

#[derive(Serialize)]
pub(super) struct JsonList {
    /// The side for kinds that are not named.
    pub(super) rest: u32,
    /// Kind, side, kind, side…
    pub(super) kinds: Vec<u32>,
    /// For each class of addresses.
    pub(super) outside: Vec<u32>,
}

#[derive(Serialize)]
pub(super) struct JsonSide {
    pub(super) verdict: &'static str,
    pub(super) certain: String,
    pub(super) doubt: String,
    pub(super) governed: &'static str,
    pub(super) outcome: u32,
    pub(super) steps: Vec<usize>,
}

#[derive(Serialize)]
pub(super) struct JsonStep {
    pub(super) policy: usize,
    pub(super) at: String,
    pub(super) action: &'static str,
    pub(super) ports: String,
    pub(super) certain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct JsonPolicy {
    pub(super) tier: String,
    pub(super) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Connection {
    pub(super) verdict: &'static str,
    pub(super) certain: String,
    pub(super) doubt: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) points: Vec<&'static str>,
}

#[derive(Serialize)]
pub(super) struct JsonOpened {
    pub(super) src: usize,
    pub(super) dst: usize,
    pub(super) ports: String,
    /// The side, and the number of the text.
    pub(super) policies: Vec<(&'static str, usize)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) instead: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) careful: Vec<String>,
}
