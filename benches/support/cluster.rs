//! A cluster of 25,000 namespaces with three policies each, and 100,000 pods: far more than Kubernetes says it carries.

use portcullis::model::Object;
use portcullis::translate::{Defaults, Kind, from_value};
use serde_json::{Value, json};

/// Namespaces, besides kube-system and [`HOME`].
pub const NAMESPACES: usize = 25_000;

/// Policies of each of them.
pub const POLICIES: usize = 3;

/// Pods of each of them.
pub const PODS: usize = 4;

/// The namespace that the reviews are about.
pub const HOME: &str = "team-a";

/// Policies in it.
pub const HOME_POLICIES: usize = 20;

/// Pods in it: two replicas of each workload.
pub const HOME_PODS: usize = 20;

/// An object in model terms.
pub fn object(kind: Kind, value: &Value) -> Object {
    from_value(kind, value, &Defaults::default())
}

/// Every Namespace.
pub fn namespaces() -> impl Iterator<Item = (Kind, Value)> {
    let system = [("kube-system", "platform"), ("edge", "platform"), (HOME, "store"), ("bare", "store")]
        .map(|(name, unit)| namespace(name, unit));
    let teams = (0..NAMESPACES).map(|i| namespace(&team(i), &format!("unit-{:02}", i % 40)));
    system.into_iter().chain(teams).map(|value| (Kind::Namespace, value))
}

/// Every NetworkPolicy: a default deny, a way to DNS and a way in for each namespace, and those of [`HOME`].
pub fn policies() -> impl Iterator<Item = (Kind, Value)> {
    let teams = (0..NAMESPACES).flat_map(|i| {
        let name = team(i);
        [default_deny(&name), allow_dns(&name), allow_web(&name, &team((i + 1) % NAMESPACES))]
    });
    teams.chain(home_policies()).map(|value| (Kind::NetworkPolicy, value))
}

/// Namespaces and policies of a cluster with so many teams, and the pods nearby.
pub fn with_teams(teams: usize) -> impl Iterator<Item = Value> {
    let policies = policies().take(POLICIES * teams).map(|(_, value)| value).chain(home_policies());
    let namespaces = namespaces().take(4 + teams).map(|(_, value)| value);
    namespaces.chain(policies).chain(neighbours().map(|(_, value)| value))
}

/// Every Pod: two pairs of replicas for each namespace.
pub fn pods() -> impl Iterator<Item = (Kind, Value)> {
    let teams = (0..NAMESPACES).flat_map(|i| {
        let name = team(i);
        (0..PODS).map(move |p| pod(&name, ["web", "worker"][p / 2], p, i))
    });
    neighbours().chain(teams.map(|value| (Kind::Pod, value)))
}

/// The pods that reviews of [`HOME`] look at: its own, the DNS server and the gateway in front of it.
pub fn neighbours() -> impl Iterator<Item = (Kind, Value)> {
    let dns = pod_with("kube-system", "coredns", 0, "10.96.0.2", &json!({"k8s-app": "kube-dns"}));
    let gateway = pod_with("edge", "gateway", 0, "10.63.1.1", &json!({"app.kubernetes.io/name": "gateway"}));
    let own = (0..HOME_PODS).map(|p| {
        let app = if p < 2 { "web".to_owned() } else { format!("part-{:02}", p / 2) };
        let labels = json!({"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": "shop", "team": "payments"});
        pod_with(HOME, &app, p, &format!("10.63.0.{p}"), &labels)
    });
    [dns, gateway].into_iter().chain(own).map(|value| (Kind::Pod, value))
}

fn team(i: usize) -> String {
    format!("team-{i:05}")
}

fn namespace(name: &str, unit: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, "store.example/unit": unit}},
        "status": {"phase": "Active"},
    })
}

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    })
}

fn default_deny(namespace: &str) -> Value {
    policy(namespace, "default-deny", &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
}

fn allow_dns(namespace: &str) -> Value {
    let to = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    });
    let ports = json!([{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]);
    policy(
        namespace,
        "allow-dns",
        &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [to], "ports": ports}]}),
    )
}

fn allow_web(namespace: &str, from: &str) -> Value {
    let from = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": from}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
    });
    policy(
        namespace,
        "allow-web",
        &json!({
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [from], "ports": [{"protocol": "TCP", "port": 8443}]}],
        }),
    )
}

fn home_policies() -> impl Iterator<Item = Value> {
    let tiers = (0..HOME_POLICIES - 2).map(|i| {
        let peer = match i % 3 {
            0 => json!({"podSelector": {"matchExpressions": [
                {"key": "app.kubernetes.io/name", "operator": "In", "values": ["database", "queue"]},
            ]}}),
            1 => json!({"namespaceSelector": {"matchLabels": {"store.example/unit": format!("unit-{i:02}")}}}),
            _ => json!({"ipBlock": {"cidr": format!("203.0.113.{}/28", i * 8 / 16 * 16)}}),
        };
        let (direction, types, peers) =
            if i % 2 == 0 { ("egress", "Egress", "to") } else { ("ingress", "Ingress", "from") };
        policy(
            HOME,
            &format!("tier-{i:02}"),
            &json!({
                "podSelector": {"matchExpressions": [
                    {"key": "app.kubernetes.io/component", "operator": "NotIn", "values": [format!("tier-{i:02}")]},
                    {"key": "app.kubernetes.io/name", "operator": "In", "values": ["web", format!("part-{i:02}")]},
                ]},
                "policyTypes": [types],
                direction: [{peers: [peer], "ports": [{"protocol": "TCP", "port": 8000 + i}]}],
            }),
        )
    });
    [default_deny(HOME), allow_dns(HOME)].into_iter().chain(tiers)
}

fn pod(namespace: &str, app: &str, p: usize, i: usize) -> Value {
    let address = format!("10.{}.{}.{}", 64 + i / 16_384, i / 64 % 256, i % 64 * PODS + p);
    pod_with(
        namespace,
        app,
        p,
        &address,
        &json!({
            "app.kubernetes.io/name": app,
            "app.kubernetes.io/part-of": format!("unit-{:02}", i % 40),
            "pod-template-hash": "6c8d9fb7f4",
        }),
    )
}

fn pod_with(namespace: &str, app: &str, p: usize, address: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{app}-6c8d9fb7f4-{p:05}"),
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6c8d9fb7f4"), "controller": true},
            ],
        },
        "spec": {
            "serviceAccountName": app,
            "containers": [{"name": app, "ports": [{"name": "https", "containerPort": 8443, "protocol": "TCP"}]}],
        },
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}
