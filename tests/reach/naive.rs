//! A second evaluator, as plain as the API documentation: one packet, one pair, JSON as it is written. It shares nothing with
//! the engine, not even the reading of addresses, so that a mistake would have to be made twice.

use std::net::IpAddr;

use serde_json::Value;

/// One end of a packet.
#[derive(Clone, Copy)]
pub(crate) enum End<'a> {
    Pod(&'a Value),
    Address(IpAddr),
}

/// One packet.
#[derive(Clone, Copy)]
pub(crate) struct Packet<'a> {
    pub(crate) from: End<'a>,
    pub(crate) to: End<'a>,
    pub(crate) protocol: &'a str,
    pub(crate) port: u64,
}

/// A cluster as a list of objects, and how its network reads `ipBlock`.
pub(crate) struct Cluster<'a> {
    pub(crate) objects: &'a [Value],
    pub(crate) blocks_match_pods: bool,
}

impl Cluster<'_> {
    /// Whether the packet passes: egress of the source and ingress of the destination.
    pub(crate) fn passes(&self, packet: Packet<'_>) -> bool {
        let egress = match packet.from {
            End::Pod(pod) => self.side(pod, packet.to, "egress", packet),
            End::Address(_) => true,
        };
        let ingress = match packet.to {
            End::Pod(pod) => self.side(pod, packet.from, "ingress", packet),
            End::Address(_) => true,
        };
        egress && ingress
    }

    fn side(&self, pod: &Value, other: End<'_>, direction: &str, packet: Packet<'_>) -> bool {
        let (isolated, allowed) = self.sides(pod, other, direction, packet);
        allowed || !isolated
    }

    /// Whether a policy isolates the pod, and whether one that does admits the packet.
    pub(crate) fn sides(&self, pod: &Value, other: End<'_>, direction: &str, packet: Packet<'_>) -> (bool, bool) {
        if host_network(pod) {
            return (false, false);
        }
        let mut isolated = false;
        for policy in self.objects.iter().filter(|o| o["kind"] == "NetworkPolicy") {
            let same_namespace = policy["metadata"]["namespace"] == pod["metadata"]["namespace"];
            if !same_namespace || !selects(&policy["spec"]["podSelector"], &pod["metadata"]["labels"]) {
                continue;
            }
            if !governs(policy, direction) {
                continue;
            }
            isolated = true;
            for rule in items(&policy["spec"][direction]) {
                if self.admits(policy, rule, other, direction, packet) {
                    return (true, true);
                }
            }
        }
        (isolated, false)
    }

    /// Whether one rule of the policy admits the packet.
    pub(crate) fn admits(
        &self,
        policy: &Value,
        rule: &Value,
        other: End<'_>,
        direction: &str,
        packet: Packet<'_>,
    ) -> bool {
        let peers = items(&rule[if direction == "ingress" { "from" } else { "to" }]);
        let ports = items(&rule["ports"]);
        let peer = peers.is_empty() || peers.iter().any(|peer| self.is_peer(policy, peer, other));
        let port = ports.is_empty() || ports.iter().any(|port| is_port(port, packet));
        peer && port
    }

    fn is_peer(&self, policy: &Value, peer: &Value, other: End<'_>) -> bool {
        if let Some(block) = peer.get("ipBlock") {
            return match other {
                End::Address(address) => in_block(block, address),
                End::Pod(pod) => self.blocks_match_pods && addresses(pod).into_iter().any(|a| in_block(block, a)),
            };
        }
        let End::Pod(pod) = other else { return false };
        if host_network(pod) {
            return false;
        }
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => {
                let name = &pod["metadata"]["namespace"];
                let object = self.objects.iter().find(|o| o["kind"] == "Namespace" && o["metadata"]["name"] == *name);
                let mut labels = object.map_or(Value::Null, |o| o["metadata"]["labels"].clone());
                if labels.is_null() {
                    labels = serde_json::json!({});
                }
                labels["kubernetes.io/metadata.name"] = name.clone();
                selects(selector, &labels)
            }
            None => policy["metadata"]["namespace"] == pod["metadata"]["namespace"],
        };
        let labels = &pod["metadata"]["labels"];
        namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, labels))
    }
}

pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn host_network(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

/// The addresses that a pod's status names.
pub(crate) fn addresses(pod: &Value) -> Vec<IpAddr> {
    items(&pod["status"]["podIPs"]).iter().filter_map(|a| a["ip"].as_str()?.parse().ok()).collect()
}

fn governs(policy: &Value, direction: &str) -> bool {
    let types = items(&policy["spec"]["policyTypes"]);
    if types.is_empty() {
        return direction == "ingress" || !items(&policy["spec"]["egress"]).is_empty();
    }
    types.iter().any(|t| t.as_str().is_some_and(|t| t.eq_ignore_ascii_case(direction)))
}

pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().is_none_or(|all| all.iter().all(|(k, v)| labels.get(k) == Some(v)));
    let holds = |e: &Value| {
        let value = labels.get(e["key"].as_str().unwrap_or_default());
        let named = value.is_some_and(|v| items(&e["values"]).contains(v));
        match e["operator"].as_str() {
            Some("In") => named,
            Some("NotIn") => !named,
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            other => panic!("operator {other:?}"),
        }
    };
    equal && items(&selector["matchExpressions"]).iter().all(holds)
}

fn in_block(block: &Value, address: IpAddr) -> bool {
    let inside = |cidr: &Value| in_cidr(cidr.as_str().expect("a CIDR"), address);
    inside(&block["cidr"]) && !items(&block["except"]).iter().any(inside)
}

pub(crate) fn in_cidr(cidr: &str, address: IpAddr) -> bool {
    let (base, prefix) = cidr.split_once('/').expect("a prefix");
    let prefix: u32 = prefix.parse().expect("a number");
    let (base, address, width) = match (base.parse().expect("an address"), address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => (u128::from(base.to_bits()), u128::from(address.to_bits()), 32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    prefix == 0 || (base ^ address) >> (width - prefix) == 0
}

pub(crate) fn is_port(port: &Value, packet: Packet<'_>) -> bool {
    let protocol = port["protocol"].as_str().unwrap_or("TCP");
    if protocol != packet.protocol {
        return false;
    }
    match &port["port"] {
        Value::Null => true,
        Value::Number(number) => {
            let first = number.as_u64().expect("a port");
            (first..=port["endPort"].as_u64().unwrap_or(first)).contains(&packet.port)
        }
        name => {
            let End::Pod(pod) = packet.to else { return false };
            let sidecars = items(&pod["spec"]["initContainers"]).iter().filter(|c| c["restartPolicy"] == "Always");
            let ports = items(&pod["spec"]["containers"]).iter().chain(sidecars).flat_map(|c| items(&c["ports"]));
            ports.into_iter().any(|p| {
                p["name"] == *name
                    && p["protocol"].as_str().unwrap_or("TCP") == protocol
                    && p["containerPort"].as_u64() == Some(packet.port)
            })
        }
    }
}
