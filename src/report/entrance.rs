//! Entries into the cluster as rows of the matrix: with the real controller's row where there is one, else with a row of
//! `{ingress-controller}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::matrix::{Filter, NOTHING, Pick, Row, connections};
use crate::model::PortSet;
use crate::reach::{Entry, EntryEnd, Node, has_ports};

/// Who takes traffic in where nobody knows who does.
const ANYONE: &str = "{ingress-controller}";

/// Puts the entries that are asked for into sorted rows.
pub fn add_entries(rows: &mut Vec<Row>, entries: &[Entry], nodes: &[Node], filter: &Filter) {
    let mut found: BTreeMap<(Arc<str>, Arc<str>), Vec<Shown>> = BTreeMap::new();
    for entry in entries {
        let from = entry.from.as_ref().map(|place| node_of(nodes, place));
        let Some(to) = node_of(nodes, &entry.to) else { continue };
        // A controller that is a pod of the cluster has a node.
        let Some(from) = from.map_or(Some(None), |node| node.map(Some)) else { continue };
        if !asked_for(filter, from, to) {
            continue;
        }
        let src = from.map_or_else(|| ANYONE.into(), |node| node.name.as_str().into());
        let Some(shown) = Shown::of(entry, filter.ports.as_ref(), from.is_none()) else { continue };
        found.entry((src, to.name.as_str().into())).or_default().push(shown);
    }
    for ((src, dst), shown) in found {
        let mut texts: Vec<String> = shown.iter().map(|s| s.entry.clone()).collect();
        texts.sort();
        texts.dedup();
        let entry: Option<Arc<str>> = Some(texts.join("; ").into());
        if let Some(row) = rows.iter_mut().find(|row| row.src == src && row.dst == dst) {
            row.entry = entry;
            continue;
        }
        let Some(first) = shown.first() else { continue };
        rows.push(Row {
            src,
            dst,
            conn: first.conn.as_str().into(),
            depends: first.depends.clone().map(Into::into),
            filtered: None,
            entry,
        });
    }
    rows.sort();
}

struct Shown {
    conn: String,
    depends: Option<String>,
    entry: String,
}

impl Shown {
    /// `None` where none of the ports asked for is exposed.
    fn of(entry: &Entry, ports: Option<&PortSet>, alone: bool) -> Option<Self> {
        let cut = |set: &PortSet| ports.map_or_else(|| set.clone(), |ports| set.intersection(ports));
        let (exposed, certain) = (cut(&entry.exposed), cut(&entry.bounds.certain));
        let doubtful = cut(&entry.bounds.doubtful());
        let refused = exposed.difference(&certain).difference(&doubtful);
        if !has_ports(&exposed) {
            return None;
        }
        let by = entry.by.join(", ");
        let mut text = format!("{by} to {}", connections(&exposed));
        if has_ports(&refused) {
            text = if refused == exposed {
                format!("{text}: refused")
            } else {
                format!("{text}: {} refused", connections(&refused))
            };
        }
        Some(Self {
            // A row of the matrix says what passes; one of its own says it for what is exposed.
            conn: if alone { connections(&certain) } else { NOTHING.to_owned() },
            depends: has_ports(&doubtful).then(|| connections(&doubtful)),
            entry: text,
        })
    }
}

/// The node of a workload, by what sets it apart where there are several.
fn node_of<'a>(nodes: &'a [Node], place: &EntryEnd) -> Option<&'a Node> {
    let own = || nodes.iter().filter(|n| n.namespace == place.namespace && n.owner == place.owner);
    let fits = |node: &&Node| {
        !node.variant.is_empty()
            && node.variant.split(',').all(|part| match (part.strip_prefix('!'), part.split_once('=')) {
                (Some(key), _) => place.labels.get(key).is_none(),
                (None, Some((key, value))) => place.labels.get(key).is_some_and(|own| **own == *value),
                _ => false,
            })
    };
    own().find(fits).or_else(|| own().next())
}

fn asked_for(filter: &Filter, from: Option<&Node>, to: &Node) -> bool {
    let keeps = filter.keeps(to) || from.is_some_and(|from| filter.keeps(from));
    let source = filter.from.as_ref().is_none_or(|pick| from.is_some_and(|node| pick.takes(node)));
    keeps && source && filter.to.as_ref().is_none_or(|pick: &Pick| pick.takes(to))
}
