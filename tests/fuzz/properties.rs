//! What holds for every input of a parser, whoever sends it. The targets in `fuzz/` and the tests beside this file call the
//! same functions, so that nothing is checked by the one alone.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use portcullis::admission::{Fixed, Gate, Reply};
use portcullis::model::house::{Dialect, House};
use portcullis::model::ipset::parse_cidr;
use portcullis::model::meter::measured;
use portcullis::model::selector::{Escape, escaping};
use portcullis::model::{Change, IpSet, Object};
use portcullis::reach::{Ends, PodAt, Pods, Readings, explain};
use portcullis::review::{MOST_STEPS, User, World, review};
use portcullis::snapshot::Snapshot;
use portcullis::source::manifests;
use portcullis::translate::calico::selector::{Keys, parse};
use portcullis::translate::ceiling::MOST_GROUP_PARTS;
use portcullis::translate::{Defaults, Kind, from_json};
use serde_json::Value;
use tokio::time::Instant;

const DEFAULTS: Defaults<'_> = Defaults { namespace: "shop", name: "" };

/// Any text is a selector of Calico's language or is refused with a place; what is read prints as itself and can be solved.
pub fn calico_selector(text: &str) {
    match parse(text) {
        Ok(expr) => {
            let printed = expr.to_string();
            assert_eq!(parse(&printed).map(|again| again.to_string()), Ok(printed));
            let selector = expr.lower(Keys::Pods).possible;
            if let Escape::By(labels) = escaping(&[&selector]) {
                assert!(!selector.matches(&labels));
            }
        }
        Err(error) => {
            assert!(error.column <= text.chars().count() + 1);
            assert_eq!(error.caret().lines().count(), 2);
        }
    }
}

/// A text is a block, which prints as itself and is the set that it prints as, or it is refused with a reason.
pub fn cidr(text: &str) {
    match parse_cidr(text) {
        Ok((net, _)) => {
            assert_eq!(parse_cidr(&net.to_string()), Ok((net, true)));
            assert_eq!(IpSet::from(net).to_cidrs(), [net]);
            let rest = IpSet::from(net).complement();
            assert!(!rest.contains(net.addr()) && rest.complement().contains(net.addr()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Any text is manifests, errors that say where, or both.
pub fn manifests(text: &str) {
    let (documents, errors) = manifests::read_str("a.yaml", text);
    for document in &documents {
        let lines = text.lines().count() + 1;
        for path in ["spec", "metadata.name", "spec.ingress[0].from[1]"] {
            assert!(document.spans.locate(path).line as usize <= lines);
        }
    }
    for error in &errors {
        assert!(error.to_string().starts_with("a.yaml"), "{error}");
    }
}

/// Kinds of other people's policies, and what they refer to.
const CALICO: [Kind; 8] = [
    Kind::CalicoNetworkPolicy,
    Kind::GlobalNetworkPolicy,
    Kind::StagedNetworkPolicy,
    Kind::StagedGlobalNetworkPolicy,
    Kind::StagedKubernetesNetworkPolicy,
    Kind::CalicoTier,
    Kind::NetworkSet,
    Kind::GlobalNetworkSet,
];
const CILIUM: [Kind; 3] = [Kind::CiliumNetworkPolicy, Kind::CiliumClusterwideNetworkPolicy, Kind::CiliumCidrGroup];
const ADMINISTRATORS: [Kind; 4] =
    [Kind::ClusterNetworkPolicy, Kind::AdminNetworkPolicy, Kind::BaselineAdminNetworkPolicy, Kind::NetworkPolicy];

/// JSON as any of Calico's kinds.
pub fn calico_policy(json: &[u8]) {
    for kind in CALICO {
        policy(kind, json);
    }
}

/// JSON as any of Cilium's kinds.
pub fn cilium_policy(json: &[u8]) {
    for kind in CILIUM {
        policy(kind, json);
    }
}

/// JSON as a ClusterNetworkPolicy, one of the two kinds before it, or a NetworkPolicy.
pub fn cluster_network_policy(json: &[u8]) {
    for kind in ADMINISTRATORS {
        policy(kind, json);
    }
}

/// Two pods and a policy that isolates them.
fn cluster() -> Vec<Object> {
    let pod = |name: &str| {
        format!(
            r#"{{"metadata": {{"name": "{name}", "namespace": "shop", "labels": {{"app": "{name}"}}}},
            "spec": {{"containers": [{{"ports": [{{"name": "http", "containerPort": 80}}]}}]}}}}"#
        )
    };
    let deny = r#"{"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"policyTypes": ["Ingress", "Egress"]}}"#;
    let mut all: Vec<Object> =
        ["web", "db"].iter().map(|name| from_json(Kind::Pod, pod(name).as_bytes(), &DEFAULTS)).collect();
    all.push(from_json(Kind::NetworkPolicy, deny.as_bytes(), &DEFAULTS));
    all
}

/// Whatever it is, it is read the same way twice, each complaint says something, what passes for certain may pass, and it
/// goes as it came.
fn policy(kind: Kind, json: &[u8]) {
    let object = from_json(kind, json, &DEFAULTS);
    assert_eq!(object, from_json(kind, json, &DEFAULTS));
    assert!(object.unread().iter().all(|unread| !unread.what.is_empty()));
    let before = Snapshot::of(&cluster());
    let after = before.with(&object);
    let _ = passes(&after);
    // One that has replaced the policy that is there takes that with it.
    if &*object.id().name != "deny" {
        assert_eq!(passes(&after.without(&object)), passes(&before), "it leaves nothing behind");
    }
    let verdict = review(&before, &House::default(), &Change::create(object), &User::default());
    assert!(verdict.findings.iter().all(|judged| !judged.finding.message.is_empty()));
}

/// What passes for certain between the pods, and to and from outside.
fn passes(world: &Snapshot) -> Vec<String> {
    let namespace = world.namespace("shop").expect("a namespace");
    let at = |i: usize| {
        let class = &namespace.classes()[i];
        let at = PodAt { namespace, pod: class.pod(), addresses: class.addresses() };
        Ends::Pods(vec![Pods { at, name: "", count: 1 }])
    };
    let outside = Ends::Addresses(IpSet::full());
    let mut all = Vec::new();
    for dialect in [Dialect::Upstream, Dialect::Calico, Dialect::Cilium] {
        for (from, to) in [(at(0), at(1)), (at(0), outside.clone()), (outside.clone(), at(1))] {
            let answer = explain(world, &from, &to, None, &Readings::of(Some(dialect))).expect("an answer");
            assert!(answer.bounds.certain.is_subset(&answer.bounds.possible), "{:?}", answer.bounds);
            all.push(format!("{:?}", answer.bounds));
        }
    }
    all
}

/// An object of any kind, grown out of a small one.
pub struct Grown {
    /// Its kind.
    pub kind: Kind,
    /// Its JSON.
    pub text: String,
}

/// Bytes of a grown object.
const MOST_GROWN: usize = 512 << 10;

/// Grows an object: the first byte says of which kind it is, the second how often the elements of its lists and the keys of
/// its maps are repeated, and the rest is its JSON.
pub fn grown(data: &[u8]) -> Option<Grown> {
    let (&kind, rest) = data.split_first()?;
    let (&growth, json) = rest.split_first()?;
    let kind = Kind::ALL[usize::from(kind) % Kind::ALL.len()];
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let mut room = MOST_GROWN;
    grow(&mut value, usize::from(growth) + 1, &mut room);
    let fields = value.as_object_mut()?;
    fields.insert("apiVersion".to_owned(), kind.api_version().into());
    fields.insert("kind".to_owned(), kind.kind().into());
    Some(Grown { kind, text: value.to_string() })
}

fn grow(value: &mut Value, times: usize, room: &mut usize) {
    match value {
        Value::Array(items) => {
            for item in items.iter_mut() {
                grow(item, times, room);
            }
            let size = Value::Array(items.clone()).to_string().len();
            let copies = times.min(*room / size.max(1));
            *room -= copies * size;
            let own = items.clone();
            items.extend((0..copies).flat_map(|i| own.iter().map(move |item| numbered(item, i))));
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                grow(field, times, room);
            }
            let texts: Vec<(String, Value)> =
                fields.iter().filter(|(_, v)| v.is_string()).map(|(k, v)| (k.clone(), v.clone())).collect();
            // Maps of texts are labels; of other objects the fields that are not known are.
            if texts.len() == fields.len() && !texts.is_empty() {
                let copies = times.min(*room / 64);
                *room -= copies * 64;
                fields
                    .extend((0..copies).flat_map(|i| texts.iter().map(move |(k, v)| (format!("{k}-{i}"), v.clone()))));
            }
        }
        _ => {}
    }
}

/// The element with a number in its texts, so that copies are not equal.
fn numbered(value: &Value, i: usize) -> Value {
    match value {
        Value::String(text) if i % 3 == 1 => format!("{text}{i}").into(),
        Value::Array(items) => items.iter().map(|item| numbered(item, i)).collect(),
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), numbered(v, i))).collect(),
        other => other.clone(),
    }
}

/// The answer to a request that creates the object; steps and bytes are in proportion to its size, and never more than a
/// review may take. Returns the steps.
pub fn cost(Grown { kind, text }: &Grown) -> u64 {
    let namespaced = kind.is_namespaced();
    let namespace = if namespaced { "shop" } else { "" };
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"1","kind":{{"group":"{}","version":"{}","kind":"{}"}},"name":"big","namespace":"{namespace}","operation":"CREATE","userInfo":{{"username":"ann"}},"object":{text},"oldObject":null}}}}"#,
        kind.group(),
        kind.version(),
        kind.kind()
    );
    let (answer, steps) = GATE.with_borrow(|(runtime, gate)| {
        let answer = async { gate.answer(body.as_bytes(), Instant::now() + Duration::from_mins(1), |_| {}).await };
        measured(|| runtime.block_on(answer))
    });
    let Reply::Review(answer) = answer else { panic!("{answer:?}") };
    assert!(answer.len() <= 64 << 10, "{} bytes answer {} of {kind:?}", answer.len(), body.len());
    let bound = (100_000 + 100 * text.len() as u64).min(2 * MOST_STEPS + 2 * MOST_GROUP_PARTS);
    assert!(steps <= bound, "{steps} steps for {} bytes of {kind:?}", text.len());
    steps
}

thread_local! {
    static GATE: RefCell<(tokio::runtime::Runtime, Gate<Fixed>)> = {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let world = World { snapshot: Snapshot::of(&cluster()), house: House::default() };
        RefCell::new((runtime, Gate::new(Arc::new(Fixed::for_tenants(world)))))
    };
}

/// Any body has an answer: a review with a uid and a decision, or a refusal that says why.
pub fn admission_review(body: &[u8]) {
    GATE.with_borrow(|(runtime, gate)| {
        let answer = async { gate.answer(body, Instant::now() + Duration::from_mins(1), |_| {}).await };
        match runtime.block_on(answer) {
            Reply::Review(bytes) => {
                let review: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
                assert!(review["response"]["uid"].as_str().is_some_and(|uid| !uid.is_empty()), "{review}");
                assert!(review["response"]["allowed"].is_boolean(), "{review}");
            }
            Reply::BadRequest(why) | Reply::Unavailable(why) => assert!(!why.is_empty()),
        }
    });
}
