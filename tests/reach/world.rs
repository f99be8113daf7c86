//! From JSON objects to what the engine says about them.

use portcullis::model::entrance::Entrances;
use portcullis::model::house::Dialect;
use portcullis::model::{Object, PortSet, Protocol, References};
use portcullis::reach::{Matrix, Options, Readings};
use portcullis::report::{Filter, Row, matrix};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, entrance, from_value};
use serde_json::Value;

/// The state that these objects make, with the Services among them.
pub(crate) fn snapshot(objects: &[Value]) -> Snapshot {
    let mut entrances = Entrances::default();
    let take = |value: &&Value| entrance::take("", kind_of(value), value, "default", &mut entrances);
    let (_, others): (Vec<&Value>, Vec<&Value>) = objects.iter().partition(take);
    let known = References { services: entrances.services, ..References::default() };
    let others: Vec<Value> = others.into_iter().cloned().collect();
    Snapshot::knowing(known, &read(&others))
}

fn kind_of(value: &Value) -> &str {
    value["kind"].as_str().expect("a kind")
}

/// What these objects are, all of which must be understood.
pub(crate) fn read(objects: &[Value]) -> Vec<Object> {
    let read = objects.iter().map(|value| {
        // Two kinds are spelled alike, and most tests leave out the group.
        let of_group = |k: &&Kind| value["apiVersion"].as_str().is_some_and(|api| api == k.api_version());
        let mut alike = Kind::ALL.iter().filter(|k| value["kind"] == k.kind());
        let kind = alike.clone().find(of_group).or_else(|| alike.next()).expect("a kind that is read");
        let object = from_value(*kind, value, &Defaults { namespace: "default", name: "" });
        assert!(object.unread().is_empty(), "{value}: {:?}", object.unread());
        object
    });
    read.collect()
}

pub(crate) fn evaluate(world: &Snapshot, dialect: Option<Dialect>) -> Matrix {
    Matrix::of(world, &Options { readings: Readings::of(dialect), representatives: false })
}

/// All rows, also those on which nothing passes.
pub(crate) fn all_rows(objects: &[Value], dialect: Option<Dialect>) -> Vec<Row> {
    matrix::rows(&evaluate(&snapshot(objects), dialect), &Filter { all: true, ..Filter::default() })
}

pub(crate) fn contains(set: &PortSet, protocol: &str, port: u64) -> bool {
    set.contains(Protocol::parse(protocol).expect("a protocol"), u16::try_from(port).expect("a port"))
}
