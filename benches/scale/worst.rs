//! The worst shape: one namespace in which every policy selects every pod.

use portcullis::model::Object;
use portcullis::reach::{Matrix, Options, Readings};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json};

use super::{seconds, timed};

const PODS: usize = 10_000;
const POLICIES: usize = 10_000;

/// Pods of this many workloads.
pub fn measure(workloads: usize) {
    let pods: Vec<String> = (0..PODS)
        .map(|i| {
            let app = i % workloads;
            format!(
                r#"{{"metadata":{{"name":"p{i}","namespace":"one","labels":{{"app":"a{app}"}},"ownerReferences":[{{"kind":"StatefulSet","name":"a{app}","controller":true}}]}},"spec":{{"containers":[{{"name":"c"}}]}},"status":{{"podIPs":[{{"ip":"10.0.{}.{}"}}]}}}}"#,
                i >> 8,
                i & 255
            )
        })
        .collect();
    let policies: Vec<String> = (0..POLICIES)
        .map(|i| {
            format!(
                r#"{{"metadata":{{"name":"np{i}","namespace":"one"}},"spec":{{"podSelector":{{}},"policyTypes":["Ingress"],"ingress":[{{"from":[{{"podSelector":{{"matchLabels":{{"app":"a{i}"}}}}}}],"ports":[{{"port":{}}}]}}]}}}}"#,
                1 + i % 60_000
            )
        })
        .collect();
    let (built, world) = timed(|| {
        let mut world = Snapshot::default();
        for (kind, texts) in [(Kind::NetworkPolicy, &policies), (Kind::Pod, &pods)] {
            for text in texts {
                let object: Object = from_json(kind, text.as_bytes(), &Defaults::default());
                world.insert(&object);
            }
        }
        world
    });
    let (evaluated, edges) = timed(|| {
        let options = Options { readings: Readings::of(None), representatives: false };
        let matrix = Matrix::of(&world, &options);
        let mut edges = 0_u64;
        matrix.edges(false, |_| true, |_| edges += 1);
        edges
    });
    let shown = if workloads == PODS { "all different".to_owned() } else { format!("of {workloads} workloads") };
    println!("| {shown} | {} | {} | {edges} | {} |", seconds(built), seconds(evaluated), seconds(built + evaluated));
}
