//! A second evaluator for ClusterNetworkPolicies of the tier Baseline, as plain as their documentation: one packet, one pair,
//! JSON as it is written (semantics 2.2.1, 2.2.3, 2.2.7 to 2.2.10). It shares nothing with the engine.

use serde_json::{Value, json};

use crate::naive::{End, Packet, addresses, in_cidr, is_port, items, selects};

/// Whether the packet passes both sides, where no other policy decides.
pub(crate) fn passes(objects: &[Value], packet: Packet<'_>) -> bool {
    side(objects, packet.from, packet.to, "egress", packet) && side(objects, packet.to, packet.from, "ingress", packet)
}

fn side(objects: &[Value], pod: End<'_>, other: End<'_>, direction: &str, packet: Packet<'_>) -> bool {
    let mut policies: Vec<&Value> = objects.iter().filter(|o| o["kind"] == "ClusterNetworkPolicy").collect();
    policies.sort_by_key(|policy| policy["spec"]["priority"].as_u64().expect("a priority"));
    for policy in policies {
        assert_eq!(policy["spec"]["tier"], "Baseline");
        if !is_pod(objects, &policy["spec"]["subject"], pod) {
            continue;
        }
        for rule in items(&policy["spec"][direction]) {
            let peers = items(&rule[if direction == "ingress" { "from" } else { "to" }]);
            let ports = items(&rule["protocols"]);
            let port = rule.get("protocols").is_none() || ports.iter().any(|port| is_condition(port, packet));
            if port && peers.iter().any(|peer| is_peer(objects, peer, other)) {
                return rule["action"] == "Accept";
            }
        }
    }
    true
}

fn is_pod(objects: &[Value], peer: &Value, end: End<'_>) -> bool {
    let End::Pod(pod) = end else { return false };
    if pod["spec"]["hostNetwork"] == true {
        return false;
    }
    let name = &pod["metadata"]["namespace"];
    let object = objects.iter().find(|o| o["kind"] == "Namespace" && o["metadata"]["name"] == *name);
    let mut labels = object.map_or(json!({}), |o| o["metadata"]["labels"].clone());
    labels["kubernetes.io/metadata.name"] = name.clone();
    if let Some(selector) = peer.get("namespaces") {
        return selects(selector, &labels);
    }
    let Some(pods) = peer.get("pods") else { return false };
    let in_namespace = pods.get("namespaceSelector").is_none_or(|selector| selects(selector, &labels));
    in_namespace && selects(&pods["podSelector"], &pod["metadata"]["labels"])
}

fn is_peer(objects: &[Value], peer: &Value, other: End<'_>) -> bool {
    let inside = |address| items(&peer["networks"]).iter().any(|net| in_cidr(net.as_str().expect("a block"), address));
    is_pod(objects, peer, other)
        || match other {
            End::Pod(pod) => addresses(pod).into_iter().any(inside),
            End::Address(address) => inside(address),
        }
}

fn is_condition(port: &Value, packet: Packet<'_>) -> bool {
    if let Some(name) = port.get("destinationNamedPort") {
        return is_port(&json!({"port": name, "protocol": packet.protocol}), packet);
    }
    let destination = &port[packet.protocol.to_ascii_lowercase()]["destinationPort"];
    let number = |value: &Value| value.as_u64();
    let (lo, hi) = match number(&destination["number"]) {
        Some(one) => (Some(one), Some(one)),
        None => (number(&destination["range"]["start"]), number(&destination["range"]["end"])),
    };
    lo.zip(hi).is_some_and(|(lo, hi)| (lo..=hi).contains(&packet.port))
}
