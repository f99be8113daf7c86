//! From JSON objects to what the engine says about them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis::model::house::Dialect;
use portcullis::model::{PortSet, Protocol};
use portcullis::reach::{Bounds, End, Matrix, Options, Readings};
use portcullis::report::{Filter, Row, matrix};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_value};
use serde_json::Value;

/// The state that these objects make.
pub(crate) fn snapshot(objects: &[Value]) -> Snapshot {
    let read: Vec<_> = objects
        .iter()
        .map(|value| {
            let kind = Kind::ALL.iter().find(|k| value["kind"] == k.kind()).expect("a kind that is read");
            let object = from_value(*kind, value, &Defaults { namespace: "default", name: "" });
            assert!(object.unread().is_empty(), "{value}: {:?}", object.unread());
            object
        })
        .collect();
    Snapshot::of(&read)
}

pub(crate) fn evaluate(world: &Snapshot, dialect: Option<Dialect>) -> Matrix {
    Matrix::of(world, &Options { readings: Readings::of(dialect), representatives: false })
}

/// All rows, also those on which nothing passes.
pub(crate) fn all_rows(objects: &[Value], dialect: Option<Dialect>) -> Vec<Row> {
    matrix::rows(&evaluate(&snapshot(objects), dialect), &Filter { all: true, ..Filter::default() })
}

/// Bounds by the names of both ends; addresses are answered for those that are asked about.
pub(crate) fn table(matrix: &Matrix, outside: &[IpAddr]) -> BTreeMap<(String, String), Bounds> {
    let mut table = BTreeMap::new();
    let names = |end: End<'_>| match end {
        End::Node(i) => vec![matrix.nodes()[i].name.clone()],
        End::External(set) => outside.iter().filter(|a| set.contains(**a)).map(ToString::to_string).collect(),
    };
    matrix.edges(
        true,
        |_| true,
        |edge| {
            for src in names(edge.src) {
                for dst in names(edge.dst) {
                    let twice = table.insert((src.clone(), dst), edge.bounds.clone());
                    assert!(twice.is_none(), "pieces of the address space are disjoint");
                }
            }
        },
    );
    table
}

pub(crate) fn contains(set: &PortSet, protocol: &str, port: u64) -> bool {
    set.contains(Protocol::parse(protocol).expect("a protocol"), u16::try_from(port).expect("a port"))
}
