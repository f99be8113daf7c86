//! The matrix as rows: sorted, the same bytes for the same connectivity, in the form that np-guard's netpol-analyzer made
//! known.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::Serialize;

pub use super::matrix_dot::to_dot;
use crate::model::{IpSet, PortSet, Protocol};
use crate::reach::{Bounds, Edge, End, Matrix, Node, has_ports};

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// `namespace/name[Kind]` or `first-last[External]`.
    pub src: Arc<str>,
    /// The same for the destination.
    pub dst: Arc<str>,
    /// What certainly passes.
    pub conn: Arc<str>,
    /// What passes only if something that the policies leave open turns out so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends: Option<Arc<str>>,
    /// What of it passes only under a further condition, such as an HTTP rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filtered: Option<Arc<str>>,
    /// What of an Ingress or HTTPRoute leads this way, and whether it gets through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Arc<str>>,
}

/// Ends of rows that are asked for.
#[derive(Clone, Debug)]
pub enum Pick {
    /// Workloads of a namespace.
    Namespace(String),
    /// A workload.
    Workload {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its kind, where it was said.
        kind: Option<String>,
    },
    /// Addresses outside the cluster.
    External(IpSet),
}

impl Pick {
    /// Whether the node is asked for.
    pub fn takes(&self, node: &Node) -> bool {
        match self {
            Self::Namespace(namespace) => *node.namespace == **namespace,
            Self::Workload { namespace, name, kind } => {
                let kind = kind.as_ref().is_none_or(|kind| node.owner.kind.eq_ignore_ascii_case(kind));
                *node.namespace == **namespace && *node.owner.name == **name && kind
            }
            Self::External(_) => false,
        }
    }
}

/// Which rows are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One end is in this namespace.
    pub namespace: Option<String>,
    /// The source.
    pub from: Option<Pick>,
    /// The destination.
    pub to: Option<Pick>,
    /// These ports, and rows on which none of them passes are left out.
    pub ports: Option<PortSet>,
    /// Also rows on which nothing passes.
    pub all: bool,
}

impl Filter {
    pub(super) fn keeps(&self, node: &Node) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *node.namespace == **namespace)
    }

    /// What of an end is asked for: a node wholly or not at all, addresses in part.
    fn cut<'a>(pick: Option<&Pick>, nodes: &[Node], end: End<'a>) -> Option<Cut<'a>> {
        match (end, pick) {
            (End::Node(i), None) => Some(Cut::Node(i)),
            (End::Node(i), Some(pick)) => nodes.get(i).is_some_and(|n| pick.takes(n)).then_some(Cut::Node(i)),
            (End::External(set), None) => Some(Cut::Whole(set)),
            (End::External(set), Some(Pick::External(wanted))) => {
                let part = set.intersection(wanted);
                (!part.is_empty()).then_some(Cut::Part(part))
            }
            (End::External(_), Some(_)) => None,
        }
    }
}

enum Cut<'a> {
    Node(usize),
    Whole(&'a IpSet),
    Part(IpSet),
}

/// The rows of a matrix, sorted.
pub fn rows(matrix: &Matrix, filter: &Filter) -> Vec<Row> {
    let nodes = matrix.nodes();
    let names: Vec<Arc<str>> = nodes.iter().map(|n| n.name.as_str().into()).collect();
    let kept: Vec<bool> = nodes.iter().map(|n| filter.keeps(n)).collect();
    let mut texts = Texts { known: HashMap::new(), ports: filter.ports.as_ref() };
    let mut rows = Vec::new();
    let mut ranges: HashMap<(usize, bool, Text), IpSet> = HashMap::new();
    matrix.edges(
        filter.all,
        |i| kept.get(i).copied().unwrap_or_default(),
        |edge: Edge<'_>| {
            let Text { conn, depends, filtered } = texts.of(edge.id, edge.bounds);
            if &*conn == NOTHING && depends.is_none() && !filter.all {
                return;
            }
            let src = Filter::cut(filter.from.as_ref(), nodes, edge.src);
            let dst = Filter::cut(filter.to.as_ref(), nodes, edge.dst);
            let (Some(src), Some(dst)) = (src, dst) else { return };
            let (node, outward, set) = match (src, dst) {
                (Cut::Node(i), Cut::Node(j)) => {
                    rows.push(Row {
                        src: Arc::clone(&names[i]),
                        dst: Arc::clone(&names[j]),
                        conn,
                        depends,
                        filtered,
                        entry: None,
                    });
                    return;
                }
                (Cut::Node(i), Cut::Whole(set)) => (i, true, set.clone()),
                (Cut::Node(i), Cut::Part(set)) => (i, true, set),
                (Cut::Whole(set), Cut::Node(j)) => (j, false, set.clone()),
                (Cut::Part(set), Cut::Node(j)) => (j, false, set),
                _ => return,
            };
            let known = ranges.entry((node, outward, Text { conn, depends, filtered })).or_default();
            *known = known.union(&set);
        },
    );
    rows.extend(ranges.into_iter().flat_map(|((node, outward, Text { conn, depends, filtered }), set)| {
        let name = Arc::clone(&names[node]);
        external(&set).into_iter().map(move |range| {
            let (name, range) = (Arc::clone(&name), Arc::from(range));
            let (src, dst) = if outward { (name, range) } else { (range, name) };
            Row { src, dst, conn: Arc::clone(&conn), depends: depends.clone(), filtered: filtered.clone(), entry: None }
        })
    }));
    rows.sort();
    rows
}

/// What no port is.
pub(super) const NOTHING: &str = "No Connections";

/// Bounds as a row shows them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Text {
    conn: Arc<str>,
    depends: Option<Arc<str>>,
    filtered: Option<Arc<str>>,
}

/// Texts of bounds, each made once.
struct Texts<'a> {
    known: HashMap<u32, Text>,
    ports: Option<&'a PortSet>,
}

impl Texts<'_> {
    fn of(&mut self, id: u32, bounds: &Bounds) -> Text {
        let ports = self.ports;
        let made = self.known.entry(id).or_insert_with(|| {
            let cut = |set: &PortSet| ports.map_or_else(|| set.clone(), |ports| set.intersection(ports));
            let doubtful = cut(&bounds.doubtful());
            let some = |set: &PortSet| has_ports(set).then(|| connections(set).into());
            let (depends, filtered) = (some(&doubtful), some(&cut(&bounds.filtered)));
            Text { conn: connections(&cut(&bounds.certain)).into(), depends, filtered }
        });
        made.clone()
    }
}

/// `All Connections`, `No Connections`, or `TCP 80,443,UDP 53`: protocols in the order of their names.
pub fn connections(set: &PortSet) -> String {
    if set.is_full() {
        return "All Connections".to_owned();
    }
    let mut parts = Vec::new();
    for protocol in [Protocol::Sctp, Protocol::Tcp, Protocol::Udp] {
        let ranges: Vec<String> = set
            .ports(protocol)
            .ranges()
            .iter()
            .map(|&(lo, hi)| if lo == hi { lo.to_string() } else { format!("{lo}-{hi}") })
            .collect();
        if !ranges.is_empty() {
            parts.push(format!("{protocol} {}", ranges.join(",")));
        }
    }
    if parts.is_empty() { NOTHING.to_owned() } else { parts.join(",") }
}

/// `first-last[External]` for every stretch of the set.
pub fn external(set: &IpSet) -> Vec<String> {
    let v4 = set
        .v4()
        .ranges()
        .iter()
        .map(|&(lo, hi)| format!("{}-{}[External]", Ipv4Addr::from_bits(lo), Ipv4Addr::from_bits(hi)));
    let v6 = set
        .v6()
        .ranges()
        .iter()
        .map(|&(lo, hi)| format!("{}-{}[External]", Ipv6Addr::from_bits(lo), Ipv6Addr::from_bits(hi)));
    v4.chain(v6).collect()
}

/// Rows as a JSON array, one row on a line.
pub fn to_json(rows: &[Row]) -> Result<String, serde_json::Error> {
    let mut out = Vec::with_capacity(rows.len() * 96 + 8);
    json_rows(rows, "", &mut out)?;
    out.push(b'\n');
    Ok(String::from_utf8_lossy(&out).into_owned())
}

pub(super) fn json_rows(rows: &[Row], indent: &str, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    out.push(b'[');
    for (i, row) in rows.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"\n" } else { b",\n" });
        out.extend_from_slice(indent.as_bytes());
        out.extend_from_slice(b"  ");
        serde_json::to_writer(&mut *out, row)?;
    }
    if !rows.is_empty() {
        out.push(b'\n');
        out.extend_from_slice(indent.as_bytes());
    }
    out.push(b']');
    Ok(())
}

/// Rows as CSV (RFC 4180, but with plain line ends).
pub fn to_csv(rows: &[Row]) -> String {
    let mut out = "src,dst,conn,depends,filtered,entry\n".to_owned();
    for row in rows {
        out.push_str(&csv_row(row));
    }
    out
}

pub(super) fn csv_row(row: &Row) -> String {
    let depends = row.depends.as_deref().unwrap_or_default();
    let filtered = row.filtered.as_deref().unwrap_or_default();
    let entry = row.entry.as_deref().unwrap_or_default();
    [&row.src, &row.dst, &row.conn, depends, filtered, entry].map(csv).join(",") + "\n"
}

fn csv(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Rows as columns for people; `marks` holds a sign for each row, or nothing.
pub fn to_table(rows: &[(&str, &Row)]) -> String {
    let width = |text: &str| text.chars().count();
    let src = rows.iter().map(|(_, r)| width(&r.src)).chain([6]).max().unwrap_or_default();
    let dst = rows.iter().map(|(_, r)| width(&r.dst)).chain([11]).max().unwrap_or_default();
    let mut out = String::new();
    let marked = rows.iter().any(|(mark, _)| !mark.is_empty());
    let lead = if marked { "  " } else { "" };
    let _ = writeln!(out, "{lead}{:src$}   {:dst$}   CONNECTIONS", "SOURCE", "DESTINATION");
    for (mark, row) in rows {
        let mut conn = match (&*row.conn, &row.depends) {
            (conn, None) => conn.to_owned(),
            (NOTHING, Some(depends)) => format!("depends: {depends}"),
            (conn, Some(depends)) => format!("{conn}   depends: {depends}"),
        };
        if let Some(filtered) = &row.filtered {
            let _ = write!(conn, "   filtered: {filtered}");
        }
        let entry = row.entry.as_ref().map(|entry| format!("   by {entry}")).unwrap_or_default();
        let lead = if marked { format!("{mark:1} ") } else { String::new() };
        let _ = writeln!(out, "{lead}{:src$}   {:dst$}   {conn}{entry}", row.src, row.dst);
    }
    out
}
