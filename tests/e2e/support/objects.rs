//! Objects that cases send, as YAML that people would write.

/// Labels as a YAML flow mapping.
fn flow(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}: \"{value}\"")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The template of a workload whose pods have the label `app: NAME`.
fn template(name: &str) -> String {
    format!("{{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: main, image: \"main:1\"}}]}}}}")
}

/// A workload of one of the kinds with a selector.
pub fn workload(api_version: &str, kind: &str, namespace: &str, name: &str) -> String {
    let selector = match kind {
        "ReplicationController" => format!("selector: {{app: {name}}}"),
        "Job" => "backoffLimit: 1".to_owned(),
        _ => format!("selector: {{matchLabels: {{app: {name}}}}}"),
    };
    let template = match kind {
        "Job" => template(name).replace("spec: {", "spec: {restartPolicy: Never, "),
        _ => template(name),
    };
    format!(
        "---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  {selector}\n  template: {template}\n"
    )
}

/// A Deployment of one replica.
pub fn deployment(namespace: &str, name: &str) -> String {
    workload("apps/v1", "Deployment", namespace, name)
}

/// A CronJob that never runs.
pub fn cron_job(namespace: &str, name: &str) -> String {
    let template = template(name).replace("spec: {", "spec: {restartPolicy: Never, ");
    format!(
        "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  schedule: \"0 0 31 2 *\"\n  jobTemplate: {{spec: {{template: {template}}}}}\n"
    )
}

/// A bare Pod.
pub fn pod(namespace: &str, name: &str, labels: &[(&str, &str)]) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {}}}\nspec: {{containers: [{{name: main, image: \"main:1\"}}]}}\n",
        flow(labels)
    )
}

/// A NetworkPolicy with this spec in YAML flow form.
pub fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

/// Denies both directions to every pod.
pub fn default_deny(namespace: &str) -> String {
    policy(namespace, "default-deny", "podSelector: {}, policyTypes: [Ingress, Egress]")
}

/// Lets every pod ask cluster DNS.
pub fn allow_dns(namespace: &str) -> String {
    policy(
        namespace,
        "allow-dns",
        "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]",
    )
}

/// What a namespace needs before workloads may come.
pub fn baseline(namespace: &str) -> String {
    default_deny(namespace) + &allow_dns(namespace)
}

/// A namespace.
pub fn namespace(name: &str, labels: &[(&str, &str)]) -> String {
    format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {}}}\n", flow(labels))
}
