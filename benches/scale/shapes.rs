//! Objects of the clusters that are measured, as JSON text.

use std::fmt::Write as _;

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
