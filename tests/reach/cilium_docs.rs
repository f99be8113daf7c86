//! What Cilium's documentation shows: each kind of example in our own words, with the verdicts that its text gives.

use portcullis::model::house::Dialect;
use portcullis::model::ipset::parse_cidr;
use portcullis::model::{IpSet, PortSet, Protocol};
use portcullis::reach::{Answer, Ends, Pods, Readings, Verdict, explain};
use portcullis::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::guides::{at, find};
use crate::world::snapshot;

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
pub(crate) fn pod(namespace: &str, name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
    })
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
pub(crate) fn cnp(spec: Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "rule", "namespace": "default"}, "spec": spec})
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
pub(crate) fn ccnp(spec: Value) -> Value {
    let kind = "CiliumClusterwideNetworkPolicy";
    json!({"apiVersion": "cilium.io/v2", "kind": kind, "metadata": {"name": "everywhere"}, "spec": spec})
}

/// A small cluster with these policies.
fn cluster(policies: &[Value]) -> Snapshot {
    snapshot(&objects(policies))
}

pub(crate) fn objects(policies: &[Value]) -> Vec<Value> {
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "public", "labels": {"zone": "dmz"}}}),
        pod("default", "frontend", json!({"role": "frontend"})),
        pod("default", "backend", json!({"role": "backend"})),
        pod("default", "batch", json!({})),
        pod("public", "visitor", json!({"role": "frontend"})),
        pod("kube-system", "coredns", json!({"k8s-app": "kube-dns"})),
    ];
    objects.extend_from_slice(policies);
    objects
}

pub(crate) fn answer(world: &Snapshot, from: &str, to: &str, ports: &PortSet) -> Answer {
    let end = |name: &'_ str| match parse_cidr(name) {
        Ok((net, _)) => Ends::Addresses(IpSet::from(net)),
        Err(_) => Ends::Pods(vec![Pods { at: at(find(world, name)), name: "", count: 1 }]),
    };
    explain(world, &end(from), &end(to), Some(ports), &Readings::of(Some(Dialect::Cilium))).expect("an answer")
}

pub(crate) fn tcp(port: u16) -> PortSet {
    PortSet::port(Protocol::Tcp, port)
}

/// Rows of `from`, `to`, TCP port and verdict.
#[track_caller]
fn holds(policies: &[Value], rows: &[(&str, &str, u16, Verdict)]) {
    let world = cluster(policies);
    for (from, to, port, expected) in rows {
        assert_eq!(answer(&world, from, to, &tcp(*port)).verdict, *expected, "{from} to {to} on {port}");
    }
}

use Verdict::{Allow, Deny, Depends};

#[test]
fn by_labels_within_the_namespace() {
    // semantics 2.3.7: a pod of the same role elsewhere is somebody else.
    let rule = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "frontend"}}]}],
    }));
    holds(
        &[rule],
        &[
            ("frontend", "backend", 80, Allow),
            ("batch", "backend", 80, Deny),
            ("visitor", "backend", 80, Deny),
            ("192.0.2.0/24", "backend", 80, Deny),
            ("backend", "frontend", 80, Allow),
        ],
    );
}

#[test]
fn everyone_in_the_namespace_and_nobody_at_all() {
    // semantics 2.3.2 and 2.3.3
    let within =
        cnp(json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [{"fromEndpoints": [{}]}]}));
    holds(&[within], &[("batch", "backend", 80, Allow), ("visitor", "backend", 80, Deny)]);
    let shut = cnp(json!({"endpointSelector": {}, "ingress": [{}]}));
    holds(&[shut], &[("frontend", "backend", 80, Deny), ("backend", "visitor", 80, Allow)]);
    let egress = cnp(json!({"endpointSelector": {}, "egress": [{}]}));
    holds(
        &[egress],
        &[
            ("frontend", "visitor", 80, Deny),
            ("frontend", "192.0.2.0/24", 443, Deny),
            ("visitor", "frontend", 80, Allow),
        ],
    );
    let nothing = json!({"endpointSelector": {}, "ingress": [], "egress": [{"toEndpoints": [{}]}]});
    holds(&[cnp(nothing)], &[("visitor", "backend", 80, Allow), ("frontend", "visitor", 80, Deny)]);
}

#[test]
fn across_namespaces_and_by_labels_of_namespaces() {
    for key in ["k8s:io.kubernetes.pod.namespace", "io.kubernetes.pod.namespace"] {
        let rule = cnp(json!({
            "endpointSelector": {"matchLabels": {"role": "backend"}},
            "ingress": [{"fromEndpoints": [{"matchLabels": {key: "public", "role": "frontend"}}]}],
        }));
        holds(&[rule], &[("visitor", "backend", 80, Allow), ("frontend", "backend", 80, Deny)]);
    }
    let zone = cnp(json!({
        "endpointSelector": {}, "ingress": [{"fromEndpoints": [{"matchLabels": {"k8s:io.cilium.k8s.namespace.labels.zone": "dmz"}}]}],
    }));
    holds(&[zone], &[("visitor", "backend", 80, Allow), ("frontend", "backend", 80, Deny)]);
}

#[test]
fn entities() {
    // semantics 2.3.11
    let of = |entity: &str| {
        cnp(json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [{"fromEntities": [entity]}]}))
    };
    holds(&[of("world")], &[("192.0.2.0/24", "backend", 80, Allow), ("frontend", "backend", 80, Deny)]);
    holds(
        &[of("cluster")],
        &[
            ("frontend", "backend", 80, Allow),
            ("visitor", "backend", 80, Allow),
            ("192.0.2.1/32", "backend", 80, Depends),
        ],
    );
    holds(&[of("all")], &[("frontend", "backend", 80, Allow), ("192.0.2.0/24", "backend", 80, Allow)]);
    // Which address is a node's, only the cluster knows.
    holds(&[of("host")], &[("frontend", "backend", 80, Deny), ("192.0.2.1/32", "backend", 80, Depends)]);
}

#[test]
fn blocks_are_about_the_outside() {
    // semantics 2.3.12
    let rule = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "frontend"}},
        "egress": [{"toCIDR": ["198.51.100.7/32"]}, {"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["172.16.0.0/12"]}]}],
    }));
    holds(
        &[rule],
        &[
            ("frontend", "198.51.100.7/32", 443, Allow),
            ("frontend", "192.0.2.0/24", 443, Allow),
            ("frontend", "172.16.1.0/24", 443, Deny),
            ("frontend", "backend", 80, Deny),
            ("frontend", "2001:db8::/32", 443, Deny),
        ],
    );
}

#[test]
fn groups_of_blocks_by_name_and_by_label() {
    let group = |name: &str, cidr: &str| {
        json!({
            "apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": name, "labels": {"role": "partner"}},
            "spec": {"externalCIDRs": [cidr]},
        })
    };
    let of = |set: Value| cnp(json!({"endpointSelector": {}, "egress": [{"toCIDRSet": [set]}]}));
    let groups = [group("one", "192.0.2.0/24"), group("two", "198.51.100.0/24")];
    let with = |policy: Value| [&groups[..], &[policy]].concat();
    holds(
        &with(of(json!({"cidrGroupRef": "one", "except": ["192.0.2.128/25"]}))),
        &[
            ("frontend", "192.0.2.7/32", 443, Allow),
            ("frontend", "192.0.2.200/32", 443, Deny),
            ("frontend", "198.51.100.0/24", 443, Deny),
        ],
    );
    holds(
        &with(of(json!({"cidrGroupSelector": {"matchLabels": {"role": "partner"}}}))),
        &[("frontend", "192.0.2.0/24", 443, Allow), ("frontend", "198.51.100.0/24", 443, Allow)],
    );
    // A group that does not exist has no addresses, and nobody is let through.
    holds(&with(of(json!({"cidrGroupRef": "three"}))), &[("frontend", "192.0.2.7/32", 443, Deny)]);
}

#[test]
fn ports_ranges_and_names() {
    // semantics 2.3.15
    let of = |ports: Value| {
        cnp(
            json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [{"toPorts": [{"ports": ports}]}]}),
        )
    };
    holds(
        &[of(json!([{"port": "80", "protocol": "TCP"}]))],
        &[
            ("frontend", "backend", 80, Allow),
            ("192.0.2.0/24", "backend", 80, Allow),
            ("frontend", "backend", 81, Deny),
        ],
    );
    holds(
        &[of(json!([{"port": "80", "endPort": 443}]))],
        &[("frontend", "backend", 443, Allow), ("frontend", "backend", 444, Deny)],
    );
    holds(&[of(json!([{"port": "http"}]))], &[("frontend", "backend", 80, Allow), ("frontend", "backend", 81, Deny)]);
    holds(&[of(json!([{"port": "0", "protocol": "UDP"}]))], &[("frontend", "backend", 80, Deny)]);
    let both = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "frontend"}}], "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}],
    }));
    holds(
        &[both],
        &[("frontend", "backend", 80, Allow), ("batch", "backend", 80, Deny), ("frontend", "backend", 81, Deny)],
    );
}

#[test]
fn layer_7_lets_through_and_filters() {
    // semantics 2.3.15
    let rule = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}},
        "ingress": [{
            "fromEndpoints": [{"matchLabels": {"role": "frontend"}}],
            "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET", "path": "/public"}]}}],
        }],
    }));
    let world = cluster(std::slice::from_ref(&rule));
    let through = answer(&world, "frontend", "backend", &tcp(80));
    assert_eq!((through.verdict, through.bounds.filtered), (Allow, tcp(80)));
    assert_eq!(answer(&world, "batch", "backend", &tcp(80)).verdict, Deny);
    // A rule for the same port without a condition lets everything through.
    let mut plain =
        cnp(json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [{"fromEndpoints": [{}]}]}));
    plain["metadata"]["name"] = "plain".into();
    let both = cluster(&[rule.clone(), plain]);
    assert!(answer(&both, "frontend", "backend", &tcp(80)).bounds.filtered.is_empty());
    // Opting out of the default deny opens the other ports and does not soften the condition.
    let mut soft = rule;
    soft["spec"]["enableDefaultDeny"] = json!({"ingress": false});
    let soft = cluster(&[soft]);
    assert_eq!(answer(&soft, "batch", "backend", &tcp(81)).verdict, Allow);
    assert_eq!(answer(&soft, "frontend", "backend", &tcp(80)).bounds.filtered, tcp(80));
}

#[test]
fn denies_beat_allows_of_every_kind() {
    // semantics 2.3.4 and 2.3.5
    let allow_all = cnp(json!({"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}]}));
    let mut deny = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}}, "ingressDeny": [{"fromEndpoints": [{"matchLabels": {"role": "frontend"}}]}],
    }));
    deny["metadata"]["name"] = "deny".into();
    let network_policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "open", "namespace": "default"},
        "spec": {"podSelector": {}, "ingress": [{}]},
    });
    let rows = [("frontend", "backend", 80, Deny), ("batch", "backend", 80, Allow), ("frontend", "batch", 80, Allow)];
    holds(&[allow_all, deny.clone()], &rows);
    holds(&[network_policy, deny.clone()], &rows);
    // A deny is a default deny as well, unless it opts out.
    holds(&[deny.clone()], &[("batch", "backend", 80, Deny)]);
    deny["spec"]["enableDefaultDeny"] = json!({"ingress": false});
    holds(&[deny], &[("batch", "backend", 80, Allow), ("frontend", "backend", 80, Deny)]);
    let everywhere = ccnp(json!({
        "endpointSelector": {}, "ingressDeny": [{"fromEntities": ["world"]}], "ingress": [{"fromEntities": ["all"]}],
    }));
    holds(&[everywhere], &[("192.0.2.0/24", "backend", 80, Deny), ("frontend", "visitor", 80, Allow)]);
}

#[test]
fn names_need_the_running_cluster() {
    // semantics 2.3.14: addresses of names are learned from DNS answers, and are never those of pods.
    let rule = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "frontend"}},
        "egress": [
            {"toFQDNs": [{"matchName": "api.example.com"}, {"matchPattern": "*.example.net"}]},
            {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}],
             "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}]},
        ],
    }));
    holds(
        &[rule],
        &[
            ("frontend", "192.0.2.7/32", 443, Depends),
            ("frontend", "backend", 80, Deny),
            ("frontend", "coredns", 53, Allow),
            ("frontend", "coredns", 80, Deny),
        ],
    );
}

#[test]
fn clusterwide_policies_reach_every_namespace() {
    // semantics 2.3.8 and 2.3.16
    let into = ccnp(json!({
        "endpointSelector": {"matchLabels": {"role": "frontend"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"role": "backend"}}]}],
    }));
    holds(
        &[into],
        &[
            ("backend", "visitor", 80, Allow),
            ("batch", "visitor", 80, Deny),
            ("batch", "frontend", 80, Deny),
            ("batch", "backend", 80, Allow),
        ],
    );
    let outside_system = ccnp(json!({
        "endpointSelector": {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "NotIn", "values": ["kube-system"]}]},
        "egress": [{"toEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}]}],
    }));
    holds(
        &[outside_system],
        &[("batch", "coredns", 53, Allow), ("batch", "backend", 80, Deny), ("coredns", "batch", 80, Allow)],
    );
    let of_nodes = ccnp(json!({"nodeSelector": {}, "ingress": [{}]}));
    holds(&[of_nodes], &[("batch", "backend", 80, Allow)]);
}

#[test]
fn service_accounts_are_labels() {
    let mut builder = pod("default", "builder", json!({}));
    builder["spec"]["serviceAccountName"] = "build".into();
    let rule = cnp(json!({
        "endpointSelector": {"matchLabels": {"role": "backend"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "build"}}]}],
    }));
    holds(&[builder, rule], &[("builder", "backend", 80, Allow), ("frontend", "backend", 80, Deny)]);
}

#[test]
fn icmp_is_not_among_ports() {
    // semantics 2.3.15
    let of = |rule: Value| {
        cluster(&[cnp(json!({"endpointSelector": {"matchLabels": {"role": "backend"}}, "ingress": [rule]}))])
    };
    let bounds = |world: &Snapshot| answer(world, "frontend", "backend", &tcp(80)).bounds;
    let by_port = bounds(&of(json!({"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "80"}]}]})));
    assert!(by_port.possible.contains(Protocol::Tcp, 80) && !by_port.possible.has_other());
    let by_type = bounds(&of(json!({"fromEndpoints": [{}], "icmps": [{"fields": [{"type": 8}]}]})));
    assert!(by_type.filtered.has_other() && !by_type.possible.contains(Protocol::Tcp, 80));
    assert!(bounds(&of(json!({"fromEndpoints": [{}]}))).certain.has_other(), "without ports everything is meant");
}
