//! The objects that take the most memory for each byte of theirs, as AdmissionReviews.

use serde_json::{Value, json};

/// One object, made when it is wanted.
pub struct Shape {
    pub name: &'static str,
    kind: (&'static str, &'static str, &'static str),
    object: fn() -> Value,
}

/// Bytes of an object that an API server takes.
const LARGEST: usize = 3 << 20;

impl Shape {
    /// The review in which the object is created.
    pub fn body(&self) -> String {
        review(self.kind, &(self.object)())
    }
}

const POLICY: (&str, &str, &str) = ("networking.k8s.io", "v1", "NetworkPolicy");
const CILIUM: (&str, &str, &str) = ("cilium.io", "v2", "CiliumNetworkPolicy");
const CALICO: (&str, &str, &str) = ("crd.projectcalico.org", "v1", "NetworkPolicy");
const POD: (&str, &str, &str) = ("", "v1", "Pod");

/// A review that any server answers at once.
pub fn small() -> String {
    review(POLICY, &policy(json!({"podSelector": {}, "policyTypes": ["Ingress"]})))
}

/// All of them.
pub fn all() -> Vec<Shape> {
    vec![
        Shape { name: "100,000 empty egress rules (A3)", kind: POLICY, object: || empty_rules(100_000) },
        Shape { name: "1,000,000 empty egress rules", kind: POLICY, object: || empty_rules(1_000_000) },
        Shape {
            name: "100,000 empty peers",
            kind: POLICY,
            object: || egress(json!([{"to": vec![json!({}); 100_000]}])),
        },
        Shape {
            name: "empty ports to 3 MiB",
            kind: POLICY,
            object: || egress(json!([{"ports": vec![json!({}); LARGEST / 3]}])),
        },
        Shape { name: "20,000 unknown fields", kind: POLICY, object: || unknown(20_000) },
        Shape { name: "unknown fields to 3 MiB", kind: POLICY, object: || unknown(LARGEST / 13) },
        Shape { name: "20,000 excepts", kind: POLICY, object: || excepts(20_000) },
        Shape { name: "excepts to 3 MiB", kind: POLICY, object: || excepts(LARGEST / 19) },
        Shape { name: "20,000 blocks that open everything", kind: POLICY, object: || blocks(20_000) },
        Shape { name: "blocks to 3 MiB", kind: POLICY, object: || blocks(LARGEST / 40) },
        Shape { name: "10,000 rules with one open block each", kind: POLICY, object: || open_rules(10_000) },
        Shape { name: "5,000 selector keys (A1)", kind: POLICY, object: || keys(5_000) },
        Shape { name: "selector keys to 3 MiB", kind: POLICY, object: || keys(LARGEST / 50) },
        Shape {
            name: "nested brackets to 3 MiB",
            kind: POLICY,
            object: || policy(json!({"podSelector": {}, "x": nested(3)})),
        },
        Shape {
            name: "Cilium: empty rules to 3 MiB",
            kind: CILIUM,
            object: || cilium(json!({"endpointSelector": {}, "egress": vec![json!({}); LARGEST / 3]})),
        },
        Shape {
            name: "Cilium: 20,000 CIDRs",
            kind: CILIUM,
            object: || cilium(json!({"endpointSelector": {}, "egress": [{"toCIDR": cidrs(20_000)}]})),
        },
        Shape { name: "Cilium: empty specs to 3 MiB", kind: CILIUM, object: cilium_specs },
        Shape { name: "Calico: rules to 3 MiB", kind: CALICO, object: || calico(LARGEST / 19) },
        Shape { name: "Calico: 10,000 rules", kind: CALICO, object: || calico(10_000) },
        Shape {
            name: "Pod: labels to 3 MiB",
            kind: POD,
            object: || pod(&json!({"labels": labels(LARGEST / 20)}), vec![]),
        },
        Shape {
            name: "Pod: containers to 3 MiB",
            kind: POD,
            object: || pod(&json!({}), vec![json!({"name": "c", "image": "i"}); LARGEST / 26]),
        },
        Shape {
            name: "Pod: annotations of 3 MiB",
            kind: POD,
            object: || pod(&json!({"annotations": {"a": "<".repeat(LARGEST)}}), vec![]),
        },
    ]
}

fn review((group, version, kind): (&str, &str, &str), object: &Value) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": group, "version": version, "kind": kind}, "namespace": "open", "name": "x",
            "operation": "CREATE", "userInfo": {"username": "mallory"}, "object": object,
        },
    })
    .to_string()
}

fn policy(spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "open"}, "spec": spec})
}

fn egress(rules: Value) -> Value {
    policy(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}))
}

fn empty_rules(count: usize) -> Value {
    egress(Value::Array(vec![json!({}); count]))
}

fn unknown(count: usize) -> Value {
    let mut spec = json!({"podSelector": {}});
    for i in 0..count {
        spec[format!("f{i:06}")] = json!(1);
    }
    policy(spec)
}

fn excepts(count: usize) -> Value {
    let excepts: Vec<String> =
        (0..count).map(|i| format!("10.{}.{}.{}/32", i >> 16 & 255, i >> 8 & 255, i & 255)).collect();
    egress(json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": excepts}}]}]))
}

fn cidrs(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{}.{}.{}.0/25", 1 + i / 65_536, i >> 8 & 255, i & 255)).collect()
}

fn blocks(count: usize) -> Value {
    let blocks: Vec<Value> = cidrs(count).into_iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect();
    egress(json!([{"to": blocks}]))
}

fn open_rules(count: usize) -> Value {
    egress(Value::Array(vec![json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}); count]))
}

fn keys(count: usize) -> Value {
    let tests: Vec<Value> =
        (0..count).map(|i| json!({"key": format!("k{i}"), "operator": "In", "values": ["v"]})).collect();
    policy(json!({"podSelector": {"matchExpressions": tests}, "policyTypes": ["Ingress"]}))
}

fn nested(depth: usize) -> Value {
    let inner = Value::Array(vec![json!([]); LARGEST / 3]);
    (0..depth).fold(inner, |inner, _| json!([inner]))
}

fn cilium(spec: Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "x", "namespace": "open"}, "spec": spec})
}

fn cilium_specs() -> Value {
    let spec = json!({"endpointSelector": {}, "egress": [{}]});
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "x", "namespace": "open"}, "specs": vec![spec; LARGEST / 44]})
}

fn calico(count: usize) -> Value {
    let rules = vec![json!({"action": "Allow"}); count];
    json!({"apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "open"}, "spec": {"selector": "all()", "types": ["Egress"], "egress": rules}})
}

fn labels(count: usize) -> Value {
    (0..count).map(|i| (format!("l{i:07}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

fn pod(metadata: &Value, mut containers: Vec<Value>) -> Value {
    containers.push(json!({"name": "main", "image": "web"}));
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}});
    pod["metadata"]["name"] = json!("x");
    pod["metadata"]["namespace"] = json!("open");
    pod
}
