//! A second evaluator for Cilium's policies, as plain as their documentation: one packet, one pair, JSON as it is written
//! (semantics 2.3). It shares nothing with the engine. NetworkPolicies in the same cluster are left to the other one.

use serde_json::{Map, Value, json};

use crate::naive::{Cluster, End, Packet, in_cidr, is_port, items};

/// Whether the packet passes both sides: a deny beats every allow, and isolation by any kind is enough. `nodes`: addresses
/// are those of nodes as far as the entity `cluster` goes.
pub(crate) fn passes(objects: &[Value], packet: Packet<'_>, nodes: bool) -> bool {
    let side = |pod: End<'_>, other, direction| match pod {
        End::Pod(pod) => side(objects, pod, other, direction, packet, nodes),
        End::Address(_) => true,
    };
    side(packet.from, packet.to, "egress") && side(packet.to, packet.from, "ingress")
}

fn side(objects: &[Value], pod: &Value, other: End<'_>, direction: &str, packet: Packet<'_>, nodes: bool) -> bool {
    let network_policies = Cluster { objects, blocks_match_pods: false };
    let (mut isolated, mut allowed) = network_policies.sides(pod, other, direction, packet);
    for policy in objects.iter().filter(|o| o["kind"].as_str().is_some_and(|k| k.starts_with("Cilium"))) {
        let own = policy["metadata"]["namespace"].as_str();
        for spec in policy.get("spec").into_iter().chain(items(&policy["specs"])) {
            if !selects_subject(objects, own, &spec["endpointSelector"], pod) {
                continue;
            }
            let (allow, deny) = (items(&spec[direction]), items(&spec[format!("{direction}Deny")]));
            let default = !allow.is_empty() || !deny.is_empty();
            isolated |= spec["enableDefaultDeny"][direction].as_bool().unwrap_or(default);
            let matches = |rule: &Value| is_about(objects, own, rule, other, direction, packet, nodes);
            if deny.iter().any(matches) {
                return false;
            }
            allowed |= allow.iter().any(matches);
        }
    }
    allowed || !isolated
}

/// The labels of an endpoint, with their sources.
fn labels(objects: &[Value], end: End<'_>) -> Map<String, Value> {
    let End::Pod(pod) = end else { return Map::from_iter([("reserved:world".to_owned(), json!(""))]) };
    let namespace = &pod["metadata"]["namespace"];
    let mut labels = Map::new();
    for (key, value) in pod["metadata"]["labels"].as_object().into_iter().flatten() {
        labels.insert(format!("k8s:{key}"), value.clone());
    }
    labels.insert("k8s:io.kubernetes.pod.namespace".into(), namespace.clone());
    let object = objects.iter().find(|o| o["kind"] == "Namespace" && o["metadata"]["name"] == *namespace);
    for (key, value) in object.and_then(|o| o["metadata"]["labels"].as_object()).into_iter().flatten() {
        labels.insert(format!("k8s:io.cilium.k8s.namespace.labels.{key}"), value.clone());
    }
    labels
}

/// A label by key; one without a source is of any.
fn label<'l>(labels: &'l Map<String, Value>, key: &str) -> Option<&'l Value> {
    match key.split_once(':') {
        Some(("any", name)) => label(labels, name),
        Some(_) => labels.get(key),
        None => {
            labels.iter().find(|(known, _)| known.split_once(':').is_some_and(|(_, name)| name == key)).map(|(_, v)| v)
        }
    }
}

fn tests(selector: &Value) -> Vec<(String, String, Vec<Value>)> {
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let mut all: Vec<_> = pairs.map(|(key, value)| (key.clone(), "In".to_owned(), vec![value.clone()])).collect();
    for one in items(&selector["matchExpressions"]) {
        let text = |field: &str| one[field].as_str().expect("text").to_owned();
        all.push((text("key"), text("operator"), items(&one["values"]).to_vec()));
    }
    all
}

fn holds(tests: &[(String, String, Vec<Value>)], labels: &Map<String, Value>) -> bool {
    tests.iter().all(|(key, operator, values)| {
        let value = label(labels, key);
        match operator.as_str() {
            "In" => value.is_some_and(|v| values.contains(v)),
            "NotIn" => !value.is_some_and(|v| values.contains(v)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("operator {other}"),
        }
    })
}

const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";

fn is_namespace_key(key: &str) -> bool {
    key.rsplit_once(':').map_or(key, |(_, name)| name) == "io.kubernetes.pod.namespace"
}

/// semantics 2.3.6 and 2.3.8
fn selects_subject(objects: &[Value], own: Option<&str>, selector: &Value, pod: &Value) -> bool {
    let mut all = tests(selector);
    if let Some(own) = own {
        all.retain(|(key, operator, values)| !(is_namespace_key(key) && operator == "In" && values.len() == 1));
        all.push((NAMESPACE.into(), "In".into(), vec![own.into()]));
    }
    holds(&all, &labels(objects, End::Pod(pod)))
}

/// semantics 2.3.7, 2.3.8 and 2.3.9
fn selects_peer(objects: &[Value], own: Option<&str>, selector: &Value, other: End<'_>) -> bool {
    let mut all = tests(selector);
    let names_one = all.iter().any(|(key, _, _)| {
        is_namespace_key(key) || key.contains("io.cilium.k8s.namespace.labels.") || key.starts_with("reserved:")
    });
    match own {
        _ if names_one => {}
        Some(own) => all.push((NAMESPACE.into(), "In".into(), vec![own.into()])),
        None => all.push((NAMESPACE.into(), "Exists".into(), Vec::new())),
    }
    holds(&all, &labels(objects, other))
}

/// semantics 2.3.2, 2.3.3, 2.3.10, 2.3.11, 2.3.12 and 2.3.15
fn is_about(
    objects: &[Value],
    own: Option<&str>,
    rule: &Value,
    other: End<'_>,
    direction: &str,
    packet: Packet<'_>,
    nodes: bool,
) -> bool {
    let prefix = if direction == "ingress" { "from" } else { "to" };
    let list = |name: &str| rule.get(format!("{prefix}{name}")).map(items);
    let lists = [list("Endpoints"), list("Entities"), list("CIDR"), list("CIDRSet"), list("Services")];
    let ports: Vec<&Value> = items(&rule["toPorts"]).iter().flat_map(|item| items(&item["ports"])).collect();
    let peer = if lists.iter().all(Option::is_none) {
        !ports.is_empty()
    } else {
        let [endpoints, entities, blocks, sets, services] = lists.map(Option::unwrap_or_default);
        let address = |cidr: &Value| match other {
            End::Address(address) => in_cidr(cidr.as_str().expect("a CIDR"), address),
            End::Pod(_) => false,
        };
        endpoints.iter().any(|selector| selects_peer(objects, own, selector, other))
            || entities.iter().any(|name| match (name.as_str(), other) {
                (Some("all"), _) | (Some("world"), End::Address(_)) | (Some("cluster"), End::Pod(_)) => true,
                (Some("cluster"), End::Address(_)) => nodes,
                (Some("world"), _) => false,
                _ => panic!("entity {name}"),
            })
            || services.iter().any(|item| is_endpoint(objects, item, other))
            || blocks.iter().any(address)
            || sets.iter().any(|set| address(&set["cidr"]) && !items(&set["except"]).iter().any(address))
    };
    peer && (ports.is_empty() || ports.into_iter().any(|port| is_cilium_port(port, packet)))
}

/// semantics 2.3.13
fn is_endpoint(objects: &[Value], item: &Value, other: End<'_>) -> bool {
    let End::Pod(pod) = other else { return false };
    let has = |labels: &Value, wanted: &Value| {
        wanted.as_object().expect("labels").iter().all(|(key, value)| labels[key] == *value)
    };
    objects.iter().filter(|o| o["kind"] == "Service").any(|service| {
        let meta = &service["metadata"];
        let anywhere =
            |namespace: &Value| namespace.as_str().is_none_or(str::is_empty) || *namespace == meta["namespace"];
        let (by_name, by_label) = (&item["k8sService"], &item["k8sServiceSelector"]);
        let named = by_name["serviceName"] == meta["name"] && anywhere(&by_name["namespace"]);
        let labelled = by_label.is_object()
            && has(&meta["labels"], &by_label["selector"]["matchLabels"])
            && anywhere(&by_label["namespace"]);
        (named || labelled)
            && pod["metadata"]["namespace"] == meta["namespace"]
            && has(&pod["metadata"]["labels"], &service["spec"]["selector"])
    })
}

fn is_cilium_port(port: &Value, packet: Packet<'_>) -> bool {
    let protocol = port["protocol"].as_str().unwrap_or("ANY");
    if protocol != "ANY" && protocol != packet.protocol {
        return false;
    }
    let text = port["port"].as_str().expect("a text");
    match text.parse::<u64>() {
        Ok(0) => true,
        Ok(first) => (first..=port["endPort"].as_u64().unwrap_or(first)).contains(&packet.port),
        Err(_) => is_port(&json!({"port": text, "protocol": packet.protocol}), packet),
    }
}
