//! AdmissionReviews of the sizes that clusters see, with everything that an API server fills in: defaults, uids and
//! `managedFields`, which are often half of the bytes.

use serde_json::{Map, Value, json};

use super::cluster::HOME;

/// One review.
pub struct Review {
    /// What it is about.
    pub name: &'static str,
    /// The object alone.
    pub object: String,
    /// The bytes that are sent.
    pub body: String,
}

/// A NetworkPolicy, a Deployment and a Pod; all of them pass.
pub fn all() -> [Review; 3] {
    [
        review("NetworkPolicy", ("networking.k8s.io", "v1", "networkpolicies"), &network_policy()),
        review("Deployment", ("apps", "v1", "deployments"), &deployment()),
        review("Pod", ("", "v1", "pods"), &pod()),
    ]
}

/// The Deployment in a namespace without any policy: denied, with a cure that has been tried.
pub fn denied() -> Review {
    let mut object = deployment();
    object["metadata"]["namespace"] = "bare".into();
    review("Deployment", ("apps", "v1", "deployments"), &object)
}

fn review(kind: &'static str, (group, version, resource): (&str, &str, &str), object: &Value) -> Review {
    let metadata = &object["metadata"];
    let kinds = json!({"group": group, "version": version, "kind": kind});
    let resources = json!({"group": group, "version": version, "resource": resource});
    let object_text = object.to_string();
    // In the order in which an API server writes them: the uid comes before the object.
    let body = format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":"0d5ff9a6-6f0b-4a51-9a0e-3c2f5fd0c7b1","kind":{kinds},"resource":{resources},"requestKind":{kinds},"requestResource":{resources},"name":{},"namespace":{},"operation":"CREATE","userInfo":{},"object":{object_text},"oldObject":null,"dryRun":false,"options":{}}}}}"#,
        metadata["name"],
        metadata["namespace"],
        json!({
            "username": "system:serviceaccount:delivery:rollout",
            "uid": "8f0a3c55-13c7-4d0b-a7a0-5b9f6f5f1e11",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:delivery", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=3d1b6c0e-6c7a-4e0e-8f0e-0f3f3c1f2a10"]},
        }),
        json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "rollout", "fieldValidation": "Strict"}),
    );
    Review { name: kind, object: object_text, body }
}

fn labels() -> Value {
    json!({"app.kubernetes.io/name": "orders", "app.kubernetes.io/component": "api", "app.kubernetes.io/part-of": "store"})
}

/// Puts the metadata on that the API server makes, once the rest is there.
fn stored(api_version: &str, kind: &str, name: &str, annotations: &Value, body: Value) -> Value {
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": HOME, "labels": labels(), "annotations": annotations},
    });
    if let (Some(object), Value::Object(body)) = (object.as_object_mut(), body) {
        object.extend(body);
    }
    let mut owned = json!({"metadata": {}, "spec": object["spec"]});
    for field in ["labels", "annotations"] {
        owned["metadata"][field] = object["metadata"][field].clone();
    }
    let fields = fields_of("", &owned);
    let metadata = &mut object["metadata"];
    metadata["uid"] = "b7d1c0a4-58f2-4f0c-9d55-d0f5a7c4e2b3".into();
    metadata["creationTimestamp"] = "2026-01-15T09:30:00Z".into();
    metadata["generation"] = 1.into();
    metadata["managedFields"] = json!([{
        "manager": "rollout",
        "operation": "Update",
        "apiVersion": api_version,
        "time": "2026-01-15T09:30:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }]);
    object
}

/// The ownership of every field, as server-side apply writes it: `f:` for fields, `k:` for items of keyed lists.
fn fields_of(field: &str, value: &Value) -> Value {
    const ATOMIC: [&str; 6] = ["ingress", "egress", "podSelector", "policyTypes", "selector", "labelSelector"];
    let keys: &[&str] = match field {
        "containers" | "initContainers" | "env" | "volumes" => &["name"],
        "ports" => &["containerPort", "protocol"],
        "volumeMounts" => &["mountPath"],
        "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
        _ => &[],
    };
    let mut owned = Map::new();
    match value {
        Value::Object(fields) if !ATOMIC.contains(&field) => {
            for (name, value) in fields {
                owned.insert(format!("f:{name}"), fields_of(name, value));
            }
        }
        Value::Array(items) if !keys.is_empty() => {
            owned.insert(".".to_owned(), json!({}));
            for item in items {
                let key: Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
                let Value::Object(mut inside) = fields_of("", item) else { continue };
                inside.insert(".".to_owned(), json!({}));
                owned.insert(format!("k:{}", Value::Object(key)), Value::Object(inside));
            }
        }
        _ => {}
    }
    Value::Object(owned)
}

fn network_policy() -> Value {
    let annotations = json!({"store.example/contact": "orders@store.example", "store.example/change": "CHG-20481"});
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    stored(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "orders-api",
        &annotations,
        json!({"spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "orders"}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [{
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-00007"}},
                    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "web"}},
                }],
                "ports": [{"protocol": "TCP", "port": 8443}],
            }],
            "egress": [
                {
                    "to": [{
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                    }],
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                },
                {
                    "to": [{"podSelector": {"matchExpressions": [
                        {"key": "app.kubernetes.io/name", "operator": "In", "values": ["database", "queue"]},
                    ]}}],
                    "ports": [{"protocol": "TCP", "port": 5432}, {"protocol": "TCP", "port": 4222}],
                },
                {
                    "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": private}}],
                    "ports": [{"protocol": "TCP", "port": 443}],
                },
            ],
        }}),
    )
}

fn deployment() -> Value {
    let annotations = json!({"deployment.kubernetes.io/revision": "1"});
    stored(
        "apps/v1",
        "Deployment",
        "orders",
        &annotations,
        json!({
            "spec": {
                "replicas": 3,
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "selector": {"matchLabels": {"app.kubernetes.io/name": "orders"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "template": {
                    "metadata": {
                        "labels": labels(),
                        "annotations": {"store.example/config-hash": "5d41402abc4b2a76b9719d911017c592"},
                    },
                    "spec": pod_spec(&[container("api", 6)], json!({})),
                },
            },
            "status": {},
        }),
    )
}

fn pod() -> Value {
    let annotations = json!({"store.example/config-hash": "5d41402abc4b2a76b9719d911017c592"});
    let filled_in = json!({
        "priority": 0,
        "preemptionPolicy": "PreemptLowerPriority",
        "enableServiceLinks": true,
        "initContainers": [{
            "name": "migrate",
            "image": "images.store.example/orders-migrate:3.8.1",
            "command": ["/bin/migrate", "--wait"],
            "resources": {},
            "imagePullPolicy": "IfNotPresent",
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }],
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        ],
    });
    let containers = [container("api", 18), container("sidecar", 12)];
    stored(
        "v1",
        "Pod",
        "orders-6c8d9fb7f4-k2wqz",
        &annotations,
        json!({
            "spec": pod_spec(&containers, filled_in),
            "status": {"phase": "Pending", "qosClass": "Burstable"},
        }),
    )
}

fn pod_spec(containers: &[Value], more: Value) -> Value {
    let mut spec = json!({
        "containers": containers,
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccount": "orders",
        "serviceAccountName": "orders",
        "terminationGracePeriodSeconds": 30,
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "orders"}},
        }],
        "volumes": [
            {"name": "settings", "configMap": {"name": "orders", "defaultMode": 420}},
            {"name": "scratch", "emptyDir": {}},
        ],
    });
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    spec
}

fn container(name: &str, variables: usize) -> Value {
    let mut env: Vec<Value> = (0..variables)
        .map(|i| json!({"name": format!("ORDERS_OPTION_{i:02}"), "value": format!("option {i}")}))
        .collect();
    env.push(
        json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}),
    );
    env.push(json!({"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "orders-db", "key": "url"}}}));
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": "health", "scheme": "HTTP"},
            "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    json!({
        "name": name,
        "image": format!("images.store.example/orders-{name}:3.8.1"),
        "args": ["--settings=/etc/orders/settings.toml"],
        "env": env,
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"name": "https", "containerPort": 8443, "protocol": "TCP"},
            {"name": "health", "containerPort": 8081, "protocol": "TCP"},
        ],
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/orders", "readOnly": true},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    })
}
