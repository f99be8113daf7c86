//! Objects of the clusters that are measured, as JSON text.

use std::fmt::Write as _;

/// A namespace.
pub fn namespace(i: usize) -> String {
    format!(r#"{{"metadata":{{"name":"team-{i}","resourceVersion":"1","labels":{{"unit":"u{}"}}}}}}"#, i % 40)
}

/// Pod `i` of a cluster with this many namespaces: replicas of one Deployment in each.
pub fn pod(i: usize, namespaces: usize) -> String {
    let address = format!("10.{}.{}.{}", i >> 16, (i >> 8) & 255, i & 255);
    format!(
        r#"{{"metadata":{{"name":"web-5d8f9c7b6d-{i}","namespace":"team-{}","resourceVersion":"1","labels":{{"app":"web","pod-template-hash":"5d8f9c7b6d"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d8f9c7b6d","uid":"u","controller":true}}]}},"spec":{{"serviceAccountName":"web","containers":[{{"name":"web","image":"web:1","ports":[{{"name":"http","containerPort":8080}}]}}]}},"status":{{"phase":"Running","podIPs":[{{"ip":"{address}"}}]}}}}"#,
        i % namespaces
    )
}

/// Policy `i`: for every namespace a default deny, a way to DNS, and a way in from its neighbour.
pub fn policy(i: usize, namespaces: usize) -> String {
    let own = i % namespaces;
    let (name, spec) = match i / namespaces {
        0 => ("default-deny", r#""podSelector":{},"policyTypes":["Ingress","Egress"]"#.to_owned()),
        1 => (
            "allow-dns",
            r#""podSelector":{},"policyTypes":["Egress"],"egress":[{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"kube-system"}},"podSelector":{"matchLabels":{"k8s-app":"kube-dns"}}}],"ports":[{"protocol":"UDP","port":53},{"protocol":"TCP","port":53}]}]"#.to_owned(),
        ),
        _ => (
            "allow-web",
            format!(
                r#""podSelector":{{"matchLabels":{{"app":"web"}}}},"policyTypes":["Ingress"],"ingress":[{{"from":[{{"namespaceSelector":{{"matchLabels":{{"kubernetes.io/metadata.name":"team-{}"}}}},"podSelector":{{"matchLabels":{{"app":"web"}}}}}}],"ports":[{{"port":8080}}]}}]"#,
                (own + 1) % namespaces
            ),
        ),
    };
    format!(r#"{{"metadata":{{"name":"{name}","namespace":"team-{own}","resourceVersion":"1"}},"spec":{{{spec}}}}}"#)
}

/// A Deployment as people write it.
pub fn deployment(namespace: &str, name: &str) -> String {
    let mut yaml = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels:\n    app: {name}\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n        tier: t{}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      - name: main\n        image: registry.example/{name}:1.4.2\n        env:\n",
        name.len() % 4
    );
    for variable in ["LOG_LEVEL", "DATABASE_HOST", "CACHE_HOST", "FEATURES"] {
        let _ = write!(yaml, "        - name: {variable}\n          value: \"value of {variable}\"\n");
    }
    yaml + "        ports:\n        - name: http\n          containerPort: 8080\n        resources:\n          requests:\n            cpu: 100m\n            memory: 128Mi\n        readinessProbe:\n          httpGet:\n            path: /healthz\n            port: http\n"
}

/// A NetworkPolicy as people write it, with its spec indented by two.
pub fn written_policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n{spec}"
    )
}
