//! Assertions that the API server must take, and assertions that it must refuse with a message of ours.

use serde_json::{Value, json};

use super::Refused;

fn pods(app: &str) -> Value {
    json!({"podSelector": {"matchLabels": {"app": app}}})
}

fn namespaced(spec: Value) -> Value {
    json!({
        "apiVersion": "portcullis.dev/v1alpha1",
        "kind": "ConnectivityAssertion",
        "metadata": {"name": "row", "namespace": "portcullis"},
        "spec": spec,
    })
}

fn cluster(spec: Value) -> Value {
    json!({
        "apiVersion": "portcullis.dev/v1alpha1",
        "kind": "ClusterConnectivityAssertion",
        "metadata": {"name": "row"},
        "spec": spec,
    })
}

/// Assertions that are taken, and read without complaint.
pub fn accepted() -> Vec<Value> {
    let elsewhere = json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}, "podSelector": {}});
    let ports = json!([
        {"port": 8080},
        {"port": "http", "protocol": "TCP"},
        {"port": 30000, "endPort": 32767, "protocol": "UDP"},
    ]);
    let db = json!({"workload": {"kind": "StatefulSet", "name": "db", "namespace": "data"}});
    vec![
        namespaced(json!({"from": pods("web"), "to": pods("api"), "ports": ports, "expect": "Allow", "for": "any"})),
        namespaced(json!({"from": pods("web"), "to": db, "expect": "Deny", "description": "the ledger"})),
        namespaced(
            json!({"from": {"workload": {"kind": "Deployment", "name": "web"}}, "to": {"world": true}, "ports": [{"port": 443}], "expect": "Deny"}),
        ),
        namespaced(json!({"from": elsewhere, "to": pods("api"), "expect": "Deny", "for": "all"})),
        cluster(
            json!({"from": pods("web"), "to": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, "expect": "Deny"}),
        ),
        cluster(json!({"from": elsewhere, "to": db, "ports": [{"port": 5432}], "expect": "Allow"})),
    ]
}

/// Assertions that are refused.
pub fn refused() -> Vec<Refused> {
    let both = |object: fn(Value) -> Value, from: Value, to: Value, says| Refused {
        object: object(json!({"from": from, "to": to, "expect": "Deny"})),
        says,
    };
    let port = |port: Value, says| Refused {
        object: namespaced(json!({"from": pods("web"), "to": pods("api"), "ports": [port], "expect": "Allow"})),
        says,
    };
    let spec = |spec: Value, says| Refused { object: namespaced(spec), says };
    let one_form = "give exactly one of podSelector and namespaceSelector, workload, cidr, or world";
    let no_pods = "one end must be pods: policies say nothing about traffic that no pod takes part in";
    let elsewhere = json!({"namespaceSelector": {}});
    let end_port = "endPort needs a numeric port to start from and must not be below it";
    let number = "port is a number from 1 to 65535 or the name of a container port";
    vec![
        both(namespaced, json!({}), pods("api"), one_form),
        both(namespaced, json!({"podSelector": {}, "cidr": "10.0.0.0/8"}), pods("api"), one_form),
        both(cluster, json!({"world": true, "workload": {"kind": "Pod", "name": "x"}}), pods("api"), one_form),
        both(namespaced, pods("web"), json!({"podSelector": {}, "except": ["10.0.0.0/8"]}), "except belongs to a cidr"),
        both(namespaced, pods("web"), json!({"cidr": "10.0.0.0/33"}), "cidr is a block such as 10.0.0.0/8 or fc00::/7"),
        both(
            namespaced,
            pods("web"),
            json!({"cidr": "10.0.0.0/8", "except": ["ten"]}),
            "except holds blocks such as 10.0.0.0/8 or fc00::/7",
        ),
        both(namespaced, pods("web"), json!({"world": false}), "world can only be true"),
        both(namespaced, json!({"world": true}), json!({"cidr": "10.0.0.0/8"}), no_pods),
        both(cluster, json!({"world": true}), json!({"cidr": "10.0.0.0/8"}), no_pods),
        both(
            namespaced,
            elsewhere.clone(),
            elsewhere,
            "one end must be in the namespace of the assertion: a podSelector without namespaceSelector, or a workload; use a ClusterConnectivityAssertion otherwise",
        ),
        both(
            cluster,
            pods("web"),
            json!({"workload": {"kind": "Deployment", "name": "api"}}),
            "a workload needs its namespace here",
        ),
        port(json!({"port": 80, "endPort": 79}), end_port),
        port(json!({"port": "http", "endPort": 80}), end_port),
        port(json!({"port": 0}), number),
        Refused {
            object: namespaced(
                json!({"from": pods("web"), "to": {"world": true}, "ports": [{"port": "https"}], "expect": "Deny"}),
            ),
            says: "addresses have no port names; give the number of the port",
        },
        // What the plain schema refuses, in the words of the API server.
        port(json!({"port": "8080"}), "spec.ports[0].port in body should match"),
        port(json!({"port": 80, "protocol": "ICMP"}), "supported values: \"TCP\", \"UDP\", \"SCTP\""),
        spec(json!({"from": pods("web"), "to": pods("api")}), "spec.expect: Required value"),
        spec(json!({"from": pods("web"), "expect": "Deny"}), "spec.to: Required value"),
        spec(
            json!({"from": pods("web"), "to": pods("api"), "expect": "Drop"}),
            "supported values: \"Allow\", \"Deny\"",
        ),
        spec(
            json!({"from": pods("web"), "to": pods("api"), "expect": "Deny", "for": "some"}),
            "supported values: \"all\", \"any\"",
        ),
        spec(
            json!({"from": pods("web"), "to": pods("api"), "expect": "Deny", "port": 80}),
            "unknown field \"spec.port\"",
        ),
        spec(
            json!({"from": {"podSelectors": {}}, "to": pods("api"), "expect": "Deny"}),
            "unknown field \"spec.from.podSelectors\"",
        ),
    ]
}
