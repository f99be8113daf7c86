//! A cluster built from nothing, once from lists and once from watch events, and what it costs afterwards.

use std::sync::Arc;
use std::time::Duration;

use portcullis::model::{Object, PortSet, Protocol};
use portcullis::reach::{Ends, PodAt, Pods, Readings, explain};
use portcullis::review::World;
use portcullis::snapshot::Snapshot;
use portcullis::source::watch::{Resource, Settings, Watched};
use portcullis::translate::{Defaults, Kind as ModelKind, from_json};
use tokio::runtime::{Builder, Runtime};

use super::{api, resident, seconds, shapes, timed};

/// Objects on a page, as the followers ask for them.
const PAGE: usize = 500;
/// Single changes that are timed together.
const ROUNDS: u32 = 2_000;

pub fn measure(pods: usize) {
    let namespaces = pods / 4;
    let all: [(&'static str, Vec<String>); 3] = [
        ("namespaces", (0..namespaces).map(shapes::namespace).collect()),
        ("pods", (0..pods).map(|i| shapes::pod(i, namespaces)).collect()),
        ("networkpolicies", (0..3 * namespaces).map(|i| shapes::policy(i, namespaces)).collect()),
    ];
    let listed: Vec<api::Kind> = all
        .iter()
        .map(|(name, objects)| api::Kind { name, pages: api::pages(objects, PAGE), events: Vec::new() })
        .collect();
    let told: Vec<api::Kind> = all
        .iter()
        .map(|(name, objects)| api::Kind { name, pages: api::pages(&[], PAGE), events: api::events(objects) })
        .collect();
    drop(all);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let before = resident();
    let (events, world) = build(&runtime, told, pods);
    drop(world);
    let (list, world) = build(&runtime, listed, pods);
    let state = resident().saturating_sub(before);
    let (known, question) = (known_class(&world.snapshot, namespaces, pods), question(&world.snapshot));
    println!(
        "| {pods} | {namespaces} | {} | {} | {} | {state} MiB | {:.1} µs | {:.1} µs |",
        3 * namespaces,
        seconds(list),
        seconds(events),
        known.as_secs_f64() * 1e6,
        question.as_secs_f64() * 1e6
    );
}

/// Follows the server until everything it has is part of the state.
fn build(runtime: &Runtime, kinds: Vec<api::Kind>, pods: usize) -> (Duration, Arc<World>) {
    timed(|| {
        runtime.block_on(async {
            let watched = Watched::start(api::client(kinds), Settings::new("portcullis"));
            let complete = |watched: &Watched| {
                let count = |wanted: Resource| {
                    watched
                        .numbers()
                        .kinds
                        .iter()
                        .find(|k| k.resource == wanted)
                        .map_or(0, |k| usize::try_from(k.objects).unwrap())
                };
                watched.not_ready().is_none()
                    && count(Resource::Pods) == pods
                    && count(Resource::Namespaces) == pods / 4
                    && count(Resource::NetworkPolicies) == pods / 4 * 3
            };
            while !complete(&watched) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            watched.current()
        })
    })
}

/// One more pod of a workload that is known, while readers hold the state as it was.
fn known_class(world: &Snapshot, namespaces: usize, pods: usize) -> Duration {
    let more: Vec<Object> = (0..ROUNDS as usize)
        .map(|i| {
            let text = shapes::pod(i * 7 % namespaces + pods, namespaces);
            from_json(ModelKind::Pod, text.as_bytes(), &Defaults::default())
        })
        .collect();
    let (spent, ()) = timed(|| {
        for pod in &more {
            let mut next = world.clone();
            next.insert(pod);
            std::hint::black_box(&next);
        }
    });
    spent / ROUNDS
}

/// May one workload reach its neighbour's?
fn question(world: &Snapshot) -> Duration {
    let (from, to) = (world.namespace("team-1").unwrap(), world.namespace("team-0").unwrap());
    let (a, b) = (&from.classes()[0], &to.classes()[0]);
    let port = PortSet::port(Protocol::Tcp, 8080);
    let readings = Readings::of(None);
    let (spent, ()) = timed(|| {
        for _ in 0..ROUNDS {
            let one = |at| Ends::Pods(vec![Pods { at, name: "", count: 1 }]);
            let source = one(PodAt { namespace: from, pod: a.pod(), addresses: a.addresses() });
            let target = one(PodAt { namespace: to, pod: b.pod(), addresses: b.addresses() });
            let answer = explain(world, &source, &target, Some(&port), &readings).unwrap();
            assert_eq!(answer.verdict.as_str(), "Allow");
        }
    });
    spent / ROUNDS
}
