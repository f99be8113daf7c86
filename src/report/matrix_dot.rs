//! The matrix as a graph for Graphviz: namespaces as boxes, doubtful connections dashed, changes in colour.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::matrix::Row;

/// Rows with their signs as a `digraph`.
pub fn to_dot(rows: &[(&str, &Row)]) -> String {
    let mut namespaces: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in rows.iter().flat_map(|(_, row)| [&*row.src, &*row.dst]) {
        namespaces.entry(namespace(name)).or_default().insert(name);
    }
    let mut out = "digraph matrix {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n\
                   \x20 edge [fontname=\"sans-serif\", fontsize=10];\n"
        .to_owned();
    for (number, (namespace, names)) in namespaces.iter().enumerate() {
        let inside = !namespace.is_empty();
        if inside {
            let _ = writeln!(out, "  subgraph cluster_{number} {{\n    label={};", quote(namespace));
        }
        for name in names {
            let short = name.split_once('/').filter(|_| inside).map_or(*name, |(_, short)| short);
            let style = if inside { "" } else { ", style=dashed" };
            let _ = writeln!(out, "    {} [label={}{style}];", quote(name), quote(short));
        }
        if inside {
            out.push_str("  }\n");
        }
    }
    for (sign, row) in rows {
        let colour = match *sign {
            "+" => ", color=\"#1a7f37\", fontcolor=\"#1a7f37\"",
            "-" => ", color=\"#cf222e\", fontcolor=\"#cf222e\"",
            _ => "",
        };
        let mut edge = |text: &str, style: &str| {
            let label = if sign.is_empty() { text.to_owned() } else { format!("{sign} {text}") };
            let _ =
                writeln!(out, "  {} -> {} [label={}{style}{colour}];", quote(&row.src), quote(&row.dst), quote(&label));
        };
        if &*row.conn != "No Connections" {
            edge(&row.conn, "");
        }
        if let Some(entry) = &row.entry {
            edge(&format!("by {entry}"), ", style=bold");
        }
        if let Some(depends) = &row.depends {
            edge(&format!("depends: {depends}"), ", style=dashed");
        }
    }
    out.push_str("}\n");
    out
}

/// The namespace of a name; nothing for addresses.
fn namespace(name: &str) -> &str {
    if name.ends_with("[External]") { "" } else { name.split_once('/').map_or("", |(namespace, _)| namespace) }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
