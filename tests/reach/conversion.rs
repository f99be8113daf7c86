//! NetworkPolicies of random clusters, written in every kind and back: verdicts are the same, save at the points that the
//! conversion names. The engine's own proof is held against evaluators that share nothing with it, on either side.

use std::sync::Arc;

use portcullis::model::house::Dialect;
use portcullis::model::{Departure, Object, PolicyObject, Touches};
use portcullis::reach::compare;
use portcullis::translate::convert::convert;
use portcullis::translate::{Defaults, Kind, from_value};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::clusters::{OUTSIDE, PORTS, PROTOCOLS, cases, cluster};
use crate::naive::{Cluster, End, Packet};
use crate::world::snapshot;
use crate::{cilium_naive, cluster_naive};

fn is_policy(value: &Value) -> bool {
    !matches!(value["kind"].as_str(), Some("Pod" | "Namespace"))
}

fn policies(objects: &[Value], kind: Kind) -> Vec<Arc<PolicyObject>> {
    let read = |value: &Value| match from_value(kind, value, &Defaults::default()) {
        Object::Policy(policy) if policy.unread.is_empty() => Arc::new(policy),
        other => panic!("{value}: {other:?}"),
    };
    let read: Vec<Arc<PolicyObject>> = objects.iter().filter(|o| is_policy(o)).map(read).collect();
    let state = snapshot(objects);
    // With groups filled in, as the product has them.
    read.iter().map(|policy| Arc::clone(state.policy(&policy.id).expect("it is there"))).collect()
}

/// The cluster with its policies in another kind, and where they depart.
fn converted(objects: &[Value], from: Kind, to: Kind) -> (Vec<Value>, Vec<Departure>) {
    let conversion = convert(&policies(objects, from), to);
    assert!(conversion.refused.is_empty(), "{:?}", conversion.refused);
    let mut all: Vec<Value> = objects.iter().filter(|o| !is_policy(o)).cloned().collect();
    all.extend(conversion.converted.into_iter().flat_map(|one| one.objects));
    (all, conversion.departures)
}

fn ends(objects: &[Value]) -> Vec<End<'_>> {
    let pods = objects.iter().filter(|o| o["kind"] == "Pod").map(End::Pod);
    pods.chain(OUTSIDE.iter().map(|a| End::Address(a.parse().expect("an address")))).collect()
}

fn packets(objects: &[Value]) -> impl Iterator<Item = Packet<'_>> {
    let ends = ends(objects);
    let pairs: Vec<(End<'_>, End<'_>)> = ends.iter().flat_map(|a| ends.iter().map(|b| (*a, *b))).collect();
    let asked = PROTOCOLS.into_iter().flat_map(|protocol| PORTS.into_iter().map(move |port| (protocol, port)));
    let asked: Vec<(&str, u64)> = asked.collect();
    pairs.into_iter().flat_map(move |(from, to)| {
        asked.clone().into_iter().map(move |(protocol, port)| Packet { from, to, protocol, port })
    })
}

fn shown(packet: Packet<'_>) -> String {
    let end = |end| match end {
        End::Pod(pod) => format!("{}/{}", pod["metadata"]["namespace"], pod["metadata"]["name"]),
        End::Address(address) => address.to_string(),
    };
    format!("{} to {} on {} {}", end(packet.from), end(packet.to), packet.protocol, packet.port)
}

/// NetworkPolicies on a network where blocks name pods, or not.
fn network_policies(objects: &[Value], packet: Packet<'_>, blocks_match_pods: bool) -> bool {
    Cluster { objects, blocks_match_pods }.passes(packet)
}

/// Pods on their nodes' network are what the other evaluators say nothing about.
fn all_on_the_pod_network(mut objects: Vec<Value>) -> Vec<Value> {
    for pod in objects.iter_mut().filter(|o| o["kind"] == "Pod") {
        pod["spec"]["hostNetwork"] = false.into();
    }
    objects
}

fn on_a_node(end: End<'_>) -> bool {
    matches!(end, End::Pod(pod) if pod["spec"]["hostNetwork"] == true)
}

const KINDS: [(Kind, Dialect); 3] = [
    (Kind::CiliumNetworkPolicy, Dialect::Cilium),
    (Kind::CalicoNetworkPolicy, Dialect::Calico),
    (Kind::ClusterNetworkPolicy, Dialect::Upstream),
];

proptest! {
    #![proptest_config(cases(24))]

    /// The proof that `convert` prints: to Cilium and Calico without any difference, to ClusterNetworkPolicy with those that
    /// are named; and back to NetworkPolicy likewise.
    #[test]
    fn every_kind_is_proved(objects in cluster(true)) {
        for (to, dialect) in KINDS {
            let (written, departures) = converted(&objects, Kind::NetworkPolicy, to);
            let found = compare([&snapshot(&objects), &snapshot(&written)], [dialect; 2], &departures);
            prop_assert!(found.unexplained().next().is_none(), "{to:?} {:#?}\n{written:#?}", found.unexplained().next());
            prop_assert!(to == Kind::ClusterNetworkPolicy || found.differing.is_empty(), "{:#?}", found.differing);
            let (back, departures) = converted(&written, to, Kind::NetworkPolicy);
            let found = compare([&snapshot(&written), &snapshot(&back)], [dialect; 2], &departures);
            prop_assert!(found.unexplained().next().is_none(), "back from {to:?} {:#?}", found.unexplained().next());
            prop_assert!(to == Kind::ClusterNetworkPolicy || found.differing.is_empty(), "{:#?}", found.differing);
            if to != Kind::ClusterNetworkPolicy {
                let whole = compare([&snapshot(&objects), &snapshot(&back)], [Dialect::Upstream; 2], &[]);
                prop_assert!(whole.differing.is_empty(), "{:#?}", whole.differing);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(40))]

    /// What comes out of Cilium's kind by its documentation is what went in by that of NetworkPolicy.
    #[test]
    fn two_naive_evaluators_agree_on_cilium(objects in cluster(true)) {
        let objects = all_on_the_pod_network(objects);
        let (written, _) = converted(&objects, Kind::NetworkPolicy, Kind::CiliumNetworkPolicy);
        for packet in packets(&objects) {
            let before = network_policies(&objects, packet, false);
            prop_assert_eq!(cilium_naive::passes(&written, packet, false), before, "{}", shown(packet));
        }
    }

    /// The same for ClusterNetworkPolicy. From outside everything comes in, and blocks let no pod in: both are named.
    #[test]
    fn two_naive_evaluators_agree_on_cluster_network_policies(objects in cluster(true)) {
        let (written, departures) = converted(&objects, Kind::NetworkPolicy, Kind::ClusterNetworkPolicy);
        let by_address = departures.iter().any(|d| matches!(d.touches, Touches::PodsByAddress { to: None, .. }));
        let by_name = departures.iter().any(|d| matches!(d.touches, Touches::PortsNamed { .. }));
        let from_outside = departures.iter().any(|d| d.touches == Touches::Outside);
        for packet in packets(&objects) {
            let outside = matches!(packet.from, End::Address(_)) || on_a_node(packet.from);
            let between_pods = matches!((packet.from, packet.to), (End::Pod(_), End::Pod(_)));
            let (before, after) = (network_policies(&objects, packet, true), cluster_naive::passes(&written, packet));
            if outside {
                prop_assert!(after == before || (from_outside && after), "{}", shown(packet));
            } else if (by_address && between_pods) || by_name {
                // Fewer by address, more by name.
                prop_assert!(!after || before || by_name, "{}", shown(packet));
            } else {
                prop_assert_eq!(after, before, "{}", shown(packet));
            }
        }
    }

    /// There and back again, every packet does what it did, on either kind of network.
    #[test]
    fn back_again_every_packet_does_what_it_did(objects in cluster(true)) {
        for to in [Kind::CiliumNetworkPolicy, Kind::CalicoNetworkPolicy] {
            let (written, _) = converted(&objects, Kind::NetworkPolicy, to);
            let (back, _) = converted(&written, to, Kind::NetworkPolicy);
            for packet in packets(&objects) {
                for blocks_match_pods in [false, true] {
                    let [before, after] = [&objects, &back].map(|all| network_policies(all, packet, blocks_match_pods));
                    prop_assert_eq!(after, before, "{:?}: {}", to, shown(packet));
                }
            }
        }
    }
}

/// A proof that lets a wrong result through would be worth nothing.
#[test]
fn a_result_that_was_tampered_with_is_not_proved() {
    let policy = |name: &str, spec: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "n0"}, "spec": spec})
    };
    let web = json!([{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]}]);
    let out = json!([{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}]);
    let spec = json!({"podSelector": {"matchLabels": {"app": "api"}}, "policyTypes": ["Ingress", "Egress"], "ingress": web, "egress": out});
    let objects = vec![policy("api", spec)];
    let tampered = [
        ("8080", "8081"),
        ("\"web\"", "\"webs\""),
        ("203.0.113.0/24", "203.0.113.0/25"),
        ("443", "444"),
        ("\"priority\":1000", "\"priority\":899"),
        ("::/0", "::/1"),
        ("app == ", "app != "),
        ("[\"Ingress\",\"Egress\"]", "[\"Ingress\"]"),
    ];
    let mut tried = 0;
    for (to, dialect) in KINDS {
        let (written, departures) = converted(&objects, Kind::NetworkPolicy, to);
        let proved = |written: &[Value]| {
            let found = compare([&snapshot(&objects), &snapshot(written)], [dialect; 2], &departures);
            found.unexplained().next().is_none()
        };
        assert!(proved(&written), "{to:?}");
        let text = serde_json::to_string(&written).expect("JSON");
        for (from, into) in tampered.iter().filter(|(from, _)| text.contains(from)) {
            let other: Vec<Value> = serde_json::from_str(&text.replace(from, into)).expect("JSON");
            assert!(!proved(&other), "{to:?} with {into} for {from}");
            tried += 1;
        }
        for i in 0..written.len() {
            let mut fewer = written.clone();
            fewer.remove(i);
            assert!(!proved(&fewer), "{to:?} without {}", written[i]["metadata"]["name"]);
        }
    }
    assert!(tried >= 14, "{tried}");
}
