//! The policies of the same cluster in several kinds: half of the namespaces keep NetworkPolicy, a quarter use Cilium's
//! kind and a quarter Calico's, for the same traffic; and fifty of administrators are over all of them.

use portcullis::translate::Kind;
use serde_json::{Value, json};

use super::cluster;

/// ClusterNetworkPolicies.
const ADMINISTRATORS: usize = 50;

/// Every policy.
pub fn policies() -> impl Iterator<Item = (Kind, Value)> {
    let teams = cluster::policies().enumerate().map(|(i, (kind, policy))| match i / cluster::POLICIES % 4 {
        _ if policy["metadata"]["namespace"] == cluster::HOME => (kind, policy),
        2 => (Kind::CiliumNetworkPolicy, cilium(&policy)),
        3 => (Kind::CalicoNetworkPolicy, calico(&policy)),
        _ => (kind, policy),
    });
    (0..ADMINISTRATORS).map(|i| (Kind::ClusterNetworkPolicy, administrators(i))).chain(teams)
}

fn object(api_version: &str, kind: &str, like: &Value, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": like["metadata"], "spec": spec})
}

/// The pods and the namespace of the one peer that each of the policies with rules has.
fn peer(policy: &Value) -> Option<(&'static str, &Value, &Value)> {
    let spec = &policy["spec"];
    [("ingress", "from"), ("egress", "to")].into_iter().find_map(|(direction, peers)| {
        let peer = spec[direction].get(0)?[peers].get(0)?;
        let labels = |selector: &str| &peer[selector]["matchLabels"];
        Some((direction, labels("podSelector"), &labels("namespaceSelector")["kubernetes.io/metadata.name"]))
    })
}

fn cilium(policy: &Value) -> Value {
    let mut spec = json!({"endpointSelector": policy["spec"]["podSelector"]});
    match peer(policy) {
        None => (spec["ingress"], spec["egress"]) = (json!([{}]), json!([{}])),
        Some((direction, pods, namespace)) => {
            let mut labels = pods.clone();
            labels["k8s:io.kubernetes.pod.namespace"] = namespace.clone();
            let ports: Vec<Value> = ports(policy, direction)
                .map(|port| json!({"port": port["port"].to_string(), "protocol": port["protocol"]}))
                .collect();
            let peers = if direction == "ingress" { "fromEndpoints" } else { "toEndpoints" };
            spec[direction] = json!([{peers: [{"matchLabels": labels}], "toPorts": [{"ports": ports}]}]);
        }
    }
    object("cilium.io/v2", "CiliumNetworkPolicy", policy, &spec)
}

fn calico(policy: &Value) -> Value {
    let mut spec = json!({
        "selector": selector(&policy["spec"]["podSelector"]["matchLabels"]),
        "types": policy["spec"]["policyTypes"],
    });
    if let Some((direction, pods, namespace)) = peer(policy) {
        let end = if direction == "ingress" { "source" } else { "destination" };
        let name = namespace.as_str().unwrap_or_default();
        let rules: Vec<Value> = ports(policy, direction)
            .map(|port| {
                let mut rule = json!({"action": "Allow", "protocol": port["protocol"]});
                rule[end]["selector"] = selector(pods).into();
                rule[end]["namespaceSelector"] = format!("projectcalico.org/name == '{name}'").into();
                rule["destination"]["ports"] = json!([port["port"]]);
                rule
            })
            .collect();
        spec[direction] = rules.into();
    }
    object("projectcalico.org/v3", "NetworkPolicy", policy, &spec)
}

fn ports<'v>(policy: &'v Value, direction: &str) -> impl Iterator<Item = &'v Value> {
    policy["spec"][direction][0]["ports"].as_array().into_iter().flatten()
}

fn selector(labels: &Value) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    let tests: Vec<String> =
        pairs.map(|(key, value)| format!("{key} == '{}'", value.as_str().unwrap_or_default())).collect();
    if tests.is_empty() { "all()".to_owned() } else { tests.join(" && ") }
}

/// Keeps the pods of one unit from the metadata service of the cloud, and lets monitoring in.
fn administrators(i: usize) -> Value {
    json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": format!("guard-{i:02}")},
        "spec": {
            "tier": "Admin",
            "priority": 10 + i,
            "subject": {"namespaces": {"matchLabels": {"store.example/unit": format!("unit-{:02}", i % 40)}}},
            "ingress": [{
                "action": "Accept",
                "from": [{"namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
                "protocols": [{"tcp": {"destinationPort": {"number": 9090 + i}}}],
            }],
            "egress": [{"action": "Deny", "to": [{"networks": ["169.254.169.254/32"]}]}],
        },
    })
}
