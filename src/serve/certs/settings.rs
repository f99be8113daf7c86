//! What a self-managed server must know to make its own certificates.

use std::time::Duration;

/// Names and lifetimes of self-made certificates.
#[derive(Debug, Clone)]
pub struct SelfManaged {
    /// Namespace of the Secret and the Service.
    pub namespace: String,
    /// Name of the Secret that all replicas share.
    pub secret: String,
    /// Name of the ValidatingWebhookConfiguration whose `caBundle` is kept.
    pub webhook_configuration: String,
    /// DNS names of the leaf; the first is the one that the API server asks for.
    pub names: Vec<String>,
    /// Life of a CA; a new one is made when a third is left.
    pub ca_lifetime: Duration,
    /// Life of a leaf; a new one is made when a third is left. Never more than a third of the CA's.
    pub wanted_leaf_lifetime: Duration,
    /// How far certificates reach back, for verifiers whose clock is behind.
    pub backdate: Duration,
    /// How long a new CA must have been seen in the webhook configuration before a leaf of it is served, so that every
    /// API server has it.
    pub settle: Duration,
    /// How often Secret and webhook configuration are looked at.
    pub poll: Duration,
}

impl SelfManaged {
    /// A CA of one year and leaves of thirty days for a Service.
    pub fn for_service(service: &str, namespace: &str, secret: &str, webhook_configuration: &str) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            webhook_configuration: webhook_configuration.to_owned(),
            names: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
                format!("{service}.{namespace}"),
            ],
            ca_lifetime: DAY * 365,
            wanted_leaf_lifetime: DAY * 30,
            backdate: DAY,
            settle: Duration::from_mins(1),
            poll: Duration::from_secs(10),
        }
    }

    /// A leaf never outlives its CA: the CA is replaced with a third of its life left.
    pub(super) fn leaf_lifetime(&self) -> Duration {
        self.wanted_leaf_lifetime.min(self.ca_lifetime / 3)
    }

    /// The name that the API server asks for.
    pub(super) fn server_name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}
