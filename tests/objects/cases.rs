//! Objects that the API server must take, and objects that it must refuse with a message of ours.

use serde_json::{Value, json};

#[path = "assertion_cases.rs"]
mod assertions;

/// An object that is refused, and what the refusal says.
pub struct Refused {
    pub object: Value,
    pub says: &'static str,
}

fn rules(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "portcullis.dev/v1alpha1", "kind": "HouseRules", "metadata": {"name": name}, "spec": spec})
}

/// A RuleException with everything in it.
pub fn exception() -> Value {
    json!({
        "apiVersion": "portcullis.dev/v1alpha1",
        "kind": "RuleException",
        "metadata": {"name": "migration", "namespace": "portcullis"},
        "spec": {
            "rules": ["missing-default-deny", "open-cidr"],
            "targets": {"namespaces": ["shop"], "selector": {"matchLabels": {"app": "legacy"}}},
            "reason": "moves behind the gateway in January, see OPS-1234",
            "expires": "2027-01-31T18:00:00Z",
        },
    })
}

/// Objects that are taken, and read without complaint.
pub fn accepted() -> Vec<Value> {
    let full = json!({
        "namespaceSelector": {
            "matchLabels": {"env": "prod"},
            "matchExpressions": [
                {"key": "team", "operator": "Exists"},
                {"key": "tier", "operator": "NotIn", "values": ["lab"]},
            ],
        },
        "rules": {
            "missing-default-deny": {"level": "enforce", "directions": ["Ingress"]},
            "open-cidr": {
                "level": "warn",
                "directions": ["Egress", "Ingress"],
                "privateRanges": ["10.0.0.0/8", "fc00::/7"],
                "alsoPrivate": ["LinkLocal", "SharedAddressSpace"],
                "widest": {"ipv4": 10},
                "reopen": {"ipv4": 24, "ipv6": 56},
            },
            "host-network": {"level": "off"},
            "severed-pods": {"level": "audit"},
        },
        "exempt": {
            "namespaces": ["kube-system", "monitoring"],
            "serviceAccounts": ["argocd/argocd-application-controller"],
            "users": ["alice@example.com"],
            "groups": ["oncall", "system:masters"],
            "workloadSelector": {"matchLabels": {"portcullis.dev/exempt": "true"}},
        },
        "dialect": "cilium",
        "dns": {
            "namespace": "dns",
            "labels": {"app": "coredns"},
            "addresses": ["169.254.20.10", "fd00::a"],
            "protocols": ["UDP"],
        },
    });
    let mut whole_namespace = exception();
    whole_namespace["spec"]["targets"] = json!({"namespaces": ["shop", "shop-2"]});
    let mut all = vec![
        rules("full", full),
        rules("empty", json!({})),
        rules(
            "dns-by-rule",
            json!({"rules": {"blocked-dns": {"protocols": ["UDP", "TCP"]}}, "dns": {"addresses": []}}),
        ),
        rules(
            "selected-exemption",
            json!({"exempt": {"workloadSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}}),
        ),
        exception(),
        whole_namespace,
        rules("on-create", json!({"rules": {"broken-assertion": {"level": "enforce", "onCreate": "enforce"}}})),
    ];
    all.extend(assertions::accepted());
    all
}

fn refuse(name: &str, spec: Value, says: &'static str) -> Refused {
    Refused { object: rules(name, spec), says }
}

fn refuse_exception(pointer: &str, broken: Value, says: &'static str) -> Refused {
    let mut object = exception();
    *object.pointer_mut(pointer).expect("a field of the example") = broken;
    Refused { object, says }
}

/// Objects that are refused.
pub fn refused() -> Vec<Refused> {
    let exempt = |field: &str, value: Value, says| refuse("exempt", json!({"exempt": {field: value}}), says);
    let rule = |id: &str, value: Value, says| refuse("rule", json!({"rules": {id: value}}), says);
    let dns = |field: &str, value: Value, says| refuse("dns", json!({"dns": {field: value}}), says);
    let expression = |value: Value| json!({"namespaceSelector": {"matchExpressions": [value]}});
    let needs_values = "In and NotIn need values, Exists and DoesNotExist take none";
    let empty_selector = "workloadSelector must name at least one label: an empty one would exempt every workload";
    let everybody = "system:authenticated and system:unauthenticated hold everybody, which would switch the rules off";
    let account = "serviceAccounts have the form namespace/name, such as argocd/argocd-application-controller";
    let mut all = vec![
        // Validations of ours.
        refuse("values", expression(json!({"key": "a", "operator": "In"})), needs_values),
        refuse("values", expression(json!({"key": "a", "operator": "Exists", "values": ["b"]})), needs_values),
        refuse(
            "twice",
            json!({"rules": {"blocked-dns": {"protocols": ["UDP"]}}, "dns": {"protocols": ["TCP"]}}),
            "give the DNS protocols once: in dns.protocols or in rules.blocked-dns.protocols",
        ),
        rule(
            "open-cidr",
            json!({"privateRanges": ["10.0.0.0/33"]}),
            "privateRanges are CIDR blocks such as 10.0.0.0/8 or fc00::/7",
        ),
        exempt("namespaces", json!(["kube-*"]), "namespaces are exact names; wildcards are not supported"),
        exempt("serviceAccounts", json!(["robot"]), account),
        exempt("serviceAccounts", json!(["*/robot"]), account),
        exempt("users", json!(["system:*"]), "users are exact names; wildcards are not supported"),
        exempt("groups", json!(["*"]), "groups are exact names; wildcards are not supported"),
        exempt("groups", json!(["system:authenticated"]), everybody),
        exempt("groups", json!(["oncall", "system:unauthenticated"]), everybody),
        exempt("workloadSelector", json!({}), empty_selector),
        exempt("workloadSelector", json!({"matchLabels": {}}), empty_selector),
        dns("namespace", json!("kube system"), "dns.namespace is the name of one namespace"),
        dns("addresses", json!(["10.0.0.0/8"]), "dns.addresses are single IP addresses such as 169.254.20.10"),
        refuse_exception("/spec/reason", json!(" "), "reason must say why the rules are lifted"),
        refuse_exception(
            "/spec/targets/namespaces",
            json!(["*"]),
            "targets.namespaces are exact names; wildcards are not supported",
        ),
        // What the plain schema refuses, in the words of the API server.
        rule("open-cidr", json!({"level": "block"}), "supported values: \"off\", \"audit\", \"warn\", \"enforce\""),
        rule("open-cidr", json!({"level": false}), "must be of type string"),
        rule("open-cidr", json!({"widest": {"ipv4": 33}}), "should be less than or equal to 32"),
        rule("open-cidr", json!({"reopen": {"ipv6": 0}}), "should be greater than or equal to 1"),
        rule("open-cidr", json!({"directions": []}), "should have at least 1 items"),
        rule(
            "open-cidr",
            json!({"alsoPrivate": ["Loopback"]}),
            "supported values: \"LinkLocal\", \"SharedAddressSpace\"",
        ),
        rule("open-cird", json!({"level": "off"}), "unknown field \"spec.rules.open-cird\""),
        rule("open-cidr", json!({"level": "warn", "wides": {}}), "unknown field \"spec.rules.open-cidr.wides\""),
        dns("labels", json!({}), "should have at least 1 properties"),
        dns("protocols", json!(["SCTP"]), "supported values: \"UDP\", \"TCP\""),
        refuse("dialect", json!({"dialect": "callico"}), "supported values: \"auto\", \"upstream\""),
        refuse_exception("/spec/rules", json!([]), "should have at least 1 items"),
        refuse_exception("/spec/rules", json!(["open-cird"]), "supported values: \"allow-all-peers\""),
        refuse_exception("/spec/targets/namespaces", json!([]), "should have at least 1 items"),
        refuse_exception("/spec/expires", json!("next week"), "must be of type date-time"),
        rule("broken-assertion", json!({"onCreate": "audit"}), "supported values: \"warn\", \"enforce\""),
    ];
    all.extend(assertions::refused());
    all
}
