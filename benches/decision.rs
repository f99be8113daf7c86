//! The decision alone, with a large cluster loaded: translation and review, and the whole way from bytes to bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot be set up has nothing to say")]

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::admission::{Cluster, ConfirmError, Gate, Reply};
use portcullis::model::house::House;
use portcullis::model::ipset::parse_cidr;
use portcullis::model::peer::AddressPeer;
use portcullis::model::{AddressScope, Change, IpSet, Workload};
use portcullis::review::{User, World, review};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json, from_value};
use portcullis::unseen::Unseen;
use serde_json::{Value, json};
use support::cluster::{self, HOME};
use support::reviews;
use tokio::time::Instant;

type Bench = Criterion<CpuTime>;

/// Time that the thread was running: what else the machine does is not counted.
struct CpuTime(WallTime);

impl Measurement for CpuTime {
    type Intermediate = ThreadTime;
    type Value = Duration;

    fn start(&self) -> ThreadTime {
        ThreadTime::now()
    }

    fn end(&self, start: ThreadTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// A world that is always current.
#[derive(Debug)]
struct Fixed(Arc<World>);

impl Cluster for Fixed {
    fn current(&self) -> Arc<World> {
        Arc::clone(&self.0)
    }

    async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        Ok(self.current())
    }

    fn may_be_behind(&self, _namespace: &str) -> bool {
        false
    }

    fn unseen(&self) -> Option<&Unseen> {
        None
    }

    async fn pod(&self, _namespace: &str, _name: &str, _deadline: Instant) -> Result<Option<Workload>, ConfirmError> {
        Ok(None)
    }

    async fn may_edit_house_rules(&self, _user: &User) -> Result<bool, ConfirmError> {
        Ok(true)
    }
}

fn world() -> World {
    let mut snapshot = Snapshot::default();
    for (kind, value) in cluster::namespaces().chain(cluster::policies()).chain(cluster::neighbours()) {
        snapshot.insert(&cluster::object(kind, &value));
    }
    World { snapshot, house: House::default() }
}

fn decisions(c: &mut Bench) {
    let world = Arc::new(world());
    let user = User {
        name: "admin".into(),
        groups: vec!["system:masters".into(), "system:authenticated".into()],
        ..User::default()
    };
    let reviews = reviews::all();

    let mut group = c.benchmark_group("translate_and_review");
    for case in &reviews {
        let kind = Kind::ALL.iter().copied().find(|kind| kind.kind() == case.name).unwrap();
        let defaults = Defaults { namespace: HOME, name: "" };
        let decide = || {
            let change = Change::create(from_json(kind, case.object.as_bytes(), &defaults));
            review(&world.snapshot, &world.house, &change, &user)
        };
        let verdict = decide();
        assert!(verdict.is_allowed(), "{verdict:#?}");
        group.bench_function(case.name, |b| b.iter(decide));
    }
    group.finish();

    let mut group = c.benchmark_group("bytes_to_bytes");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gate = Gate::new(Arc::new(Fixed(Arc::clone(&world))));
    let deadline = Instant::now() + Duration::from_hours(24);
    for (name, case) in reviews.iter().map(|case| (case.name, case)).chain([("denied Deployment", &reviews::denied())])
    {
        let answer = || runtime.block_on(gate.answer(case.body.as_bytes(), deadline, |_| {}));
        let Reply::Review(bytes) = answer() else { panic!("{name} was not reviewed") };
        let answered: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(answered["response"]["allowed"], json!(!name.starts_with("denied")), "{answered:#}");
        group.throughput(Throughput::Bytes(case.body.len() as u64));
        group.bench_function(format!("{name} {} B", case.body.len()), |b| b.iter(answer));
    }
    group.finish();
}

/// Blocks with two excepts each: the worst that a policy of a thousand entries can ask of the set algebra.
fn blocks() -> Vec<(String, [String; 2])> {
    let block = |i: usize| {
        let (a, b) = (11 + i % 200, i / 200 * 32);
        (format!("{a}.{b}.0.0/12"), [format!("{a}.{b}.1.0/24"), format!("{a}.{b}.64.0/20")])
    };
    (0..1000).map(block).collect()
}

fn sets(c: &mut Bench) {
    let world = world();
    let peers: Vec<Value> =
        blocks().iter().map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": except}})).collect();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "partners", "namespace": HOME},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": peers, "ports": [{"protocol": "TCP", "port": 443}]}],
        },
    });
    let object = from_value(Kind::NetworkPolicy, &policy, &Defaults::default());
    let user = User::default();
    let change = Change::create(object);
    c.bench_function("review of 1,000 CIDRs with excepts", |b| {
        b.iter(|| review(&world.snapshot, &world.house, black_box(&change), &user));
    });

    let parsed: Vec<AddressPeer> = blocks()
        .iter()
        .map(|(cidr, except)| {
            let except = except.iter().map(|e| parse_cidr(e).unwrap().0).collect();
            AddressPeer::block(parse_cidr(cidr).unwrap().0, except, AddressScope::ByDialect)
        })
        .collect();
    let all = IpSet::union_all(parsed.iter().map(|peer| &peer.set));
    let half = IpSet::union_all(parsed.iter().step_by(2).map(|peer| &peer.set));
    let mut group = c.benchmark_group("sets of 1,000 CIDRs");
    group.bench_function("union", |b| b.iter(|| IpSet::union_all(parsed.iter().map(|peer| black_box(&peer.set)))));
    group.bench_function("difference", |b| b.iter(|| black_box(&all).difference(&half)));
    group.bench_function("intersection", |b| b.iter(|| black_box(&all).intersection(&half)));
    group.bench_function("complement", |b| b.iter(|| black_box(&all).complement()));
    group.bench_function("to CIDRs", |b| b.iter(|| black_box(&all).to_cidrs()));
    group.finish();
}

/// What somebody could send to keep the webhook busy.
fn abuse(c: &mut Bench) {
    let world = world();
    let user = User::default();
    let mut group = c.benchmark_group("abuse");
    group.sample_size(10);
    let policy = |egress: Value| {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "many", "namespace": HOME},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": egress},
        });
        Change::create(from_value(Kind::NetworkPolicy, &policy, &Defaults::default()))
    };

    let nowhere: Vec<Value> =
        (0..100).map(|i| json!({"namespaceSelector": {"matchLabels": {"team": format!("gone-{i:03}")}}})).collect();
    let change = policy(json!([{"to": nowhere}]));
    group.bench_function("100 peers that match no namespace", |b| {
        b.iter(|| review(&world.snapshot, &world.house, &change, &user));
    });

    let rules: Vec<Value> = (0..500)
        .map(|i| {
            json!({
                "to": [{"ipBlock": {"cidr": format!("{}.{}.0.0/16", 11 + i % 100, i / 100)}}],
                "ports": [{"protocol": "TCP", "port": 1000 + i, "endPort": 30_000 + i}],
            })
        })
        .collect();
    let change = policy(json!(rules));
    group.bench_function("500 rules with overlapping ports", |b| {
        b.iter(|| review(&world.snapshot, &world.house, &change, &user));
    });

    let mut crowded = world.snapshot.clone();
    for i in 0..1000 {
        let value = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": format!("one-of-many-{i:04}"), "namespace": HOME},
            "spec": {
                "podSelector": {"matchExpressions": [{"key": format!("k{}", i % 20), "operator": "NotIn", "values": [format!("v{i}")]}]},
                "policyTypes": ["Ingress", "Egress"],
                "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 1000 + i}]}],
            },
        });
        crowded.insert(&cluster::object(Kind::NetworkPolicy, &value));
    }
    let deployment = &reviews::all()[1];
    let change = Change::create(from_json(Kind::Deployment, deployment.object.as_bytes(), &Defaults::default()));
    group.bench_function("a Deployment beside 1,000 policies", |b| {
        b.iter(|| review(&crowded, &world.house, &change, &user));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime(WallTime)).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = decisions, sets, abuse
}
criterion_main!(benches);
