//! The example of some size: its whole matrix as it was reviewed by hand, row by row against the second evaluator, and the
//! policies that are made from it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "reach/naive.rs"]
mod naive;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use naive::{Cluster, End, Packet};
use portcullis::model::Protocol;
use portcullis::reach::WantedEnd;
use portcullis::report::{read_connections, read_end};
use portcullis::source::manifests::read_paths;
use serde_json::{Value, json};

const SHOP: &str = "examples/shop";

fn ok(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_matrix_is_the_one_that_was_reviewed() {
    insta::assert_snapshot!("shop_matrix", ok(&["matrix", SHOP, "--dialect", "cilium"]));
}

#[test]
fn house_rules_hold() {
    ok(&["check", SHOP]);
}

/// The example as the second evaluator takes it: workloads as pods of their template.
fn objects() -> Vec<Value> {
    let (documents, errors) = read_paths(&[PathBuf::from(SHOP)]);
    assert!(errors.is_empty());
    let pod = |value: Value| {
        let template = ["/spec/template", "/spec/jobTemplate/spec/template"].iter().find_map(|at| value.pointer(at));
        let Some(template) = template else { return value };
        let mut metadata = template["metadata"].clone();
        metadata["name"] =
            format!("{}[{}]", value["metadata"]["name"].as_str().unwrap(), value["kind"].as_str().unwrap()).into();
        metadata["namespace"] = value["metadata"]["namespace"].clone();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    };
    documents.into_iter().map(|document| pod(document.value)).collect()
}

/// Ports that some policy names, and their neighbours.
const PORTS: [u64; 34] = [
    1, 52, 53, 54, 79, 80, 443, 444, 4368, 4369, 5432, 5672, 6379, 6999, 7000, 7002, 7003, 7100, 8079, 8080, 8085,
    8086, 8443, 9090, 9093, 9094, 9102, 9104, 9121, 9153, 15692, 35672, 35682, 50051,
];

#[test]
fn the_second_evaluator_agrees_on_every_pair() {
    let objects = objects();
    let pods: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "Pod").collect();
    assert!(pods.len() >= 17, "{}", pods.len());
    let name = |pod: &Value| {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
        format!("{}/{}", text("namespace"), text("name"))
    };
    let rows: Vec<Value> = serde_json::from_str(&ok(&["matrix", SHOP, "--dialect", "cilium", "-o", "json"])).unwrap();
    let rows: BTreeMap<(&str, &str), &str> = rows
        .iter()
        .map(|row| ((row["src"].as_str().unwrap(), row["dst"].as_str().unwrap()), row["conn"].as_str().unwrap()))
        .collect();
    let cluster = Cluster { objects: &objects, blocks_match_pods: false };
    let addresses =
        ["198.51.100.7", "198.51.100.200", "203.0.113.17", "35.191.3.4", "10.240.1.1", "8.8.8.8", "2001:db8:100::1"];
    let mut asked = 0;
    let mut ask = |from: End<'_>, to: End<'_>, conn: &str, what: &str| {
        let conn = read_connections(conn).unwrap();
        for protocol in ["TCP", "UDP"] {
            for port in PORTS {
                let passes = cluster.passes(Packet { from, to, protocol, port });
                let shown = conn.contains(Protocol::parse(protocol).unwrap(), u16::try_from(port).unwrap());
                assert_eq!(shown, passes, "{what} on {port}/{protocol}");
                asked += 1;
            }
        }
    };
    for a in &pods {
        for b in pods.iter().filter(|b| name(b) != name(a)) {
            let (from, to) = (name(a), name(b));
            let conn = rows.get(&(from.as_str(), to.as_str())).copied().unwrap_or("No Connections");
            ask(End::Pod(a), End::Pod(b), conn, &format!("{from} to {to}"));
        }
        for text in addresses {
            let address = text.parse().unwrap();
            let holds = |end: &str| matches!(read_end(end), Some(WantedEnd::Addresses(set)) if set.contains(address));
            let own = name(a);
            let out = rows
                .iter()
                .find(|((src, dst), _)| *src == own && holds(dst))
                .map_or("No Connections", |(_, conn)| conn);
            ask(End::Pod(a), End::Address(address), out, &format!("{own} to {text}"));
            let into = rows
                .iter()
                .find(|((src, dst), _)| *dst == own && holds(src))
                .map_or("No Connections", |(_, conn)| conn);
            ask(End::Address(address), End::Pod(a), into, &format!("{text} to {own}"));
        }
    }
    assert!(asked > 30_000, "{asked}");
}

#[test]
fn policies_made_from_it_yield_it() {
    let made = ok(&["generate", "policies", SHOP, "--dialect", "cilium"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.yaml");
    std::fs::write(&file, made).unwrap();
    let workloads =
        ["data", "edge", "monitoring", "payments", "shop", "kube-system"].map(|name| format!("{SHOP}/{name}.yaml"));
    let mut args = vec!["matrix", "--dialect", "cilium", file.to_str().unwrap()];
    args.extend(workloads.iter().map(String::as_str));
    assert_eq!(ok(&args), ok(&["matrix", SHOP, "--dialect", "cilium"]));
}
