//! The keeper's store in a real cluster. Every call is get, create or update of one named object, so that RBAC can be tight.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::{Client, Error};

use super::settings::SelfManaged;
use super::store::{Published, SecretState, Store, StoreError};

/// Annotations by which other controllers fill in `caBundle`.
const INJECTORS: [&str; 4] = [
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "cert-manager.io/inject-apiserver-ca",
    "service.beta.openshift.io/inject-cabundle",
];

/// Secret and webhook configuration by a kube client.
#[derive(Clone)]
pub struct KubeStore {
    client: Client,
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    namespace: String,
    secret: String,
    configuration: String,
}

impl std::fmt::Debug for KubeStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeStore")
            .field("namespace", &self.namespace)
            .field("secret", &self.secret)
            .field("configuration", &self.configuration)
            .finish_non_exhaustive()
    }
}

impl KubeStore {
    /// The objects that the settings name.
    pub fn new(client: Client, settings: &SelfManaged) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), &settings.namespace),
            configurations: Api::all(client.clone()),
            client,
            namespace: settings.namespace.clone(),
            secret: settings.secret.clone(),
            configuration: settings.webhook_configuration.clone(),
        }
    }

    async fn server_time(&self) -> Result<Timestamp, Error> {
        let request = http_get("/version")?;
        let response = self.client.send(request).await?;
        let date = response.headers().get(axum::http::header::DATE).and_then(|value| value.to_str().ok());
        Ok(date.and_then(read_http_date).unwrap_or_else(Timestamp::now))
    }

    async fn replace_secret(&self, version: &str, data: BTreeMap<String, Vec<u8>>) -> Result<(), StoreError> {
        // The whole object is read and written back, since an update would drop labels that others put on it.
        let mut secret = self.secrets.get(&self.secret).await.map_err(|error| self.about_secret("get", &error))?;
        if secret.metadata.resource_version.as_deref() != Some(version) {
            return Err(StoreError::Conflict);
        }
        secret.data = Some(encode(data));
        self.secrets
            .replace(&self.secret, &PostParams::default(), &secret)
            .await
            .map(|_| ())
            .map_err(|error| self.about_secret("update", &error))
    }

    async fn create_secret(&self, data: BTreeMap<String, Vec<u8>>) -> Result<(), StoreError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.clone()),
                labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "portcullis".to_owned())])),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(encode(data)),
            ..Secret::default()
        };
        self.secrets
            .create(&PostParams::default(), &secret)
            .await
            .map(|_| ())
            .map_err(|error| self.about_secret("create", &error))
    }

    async fn patch_bundles(&self, read: Published, bundle: String) -> Result<(), StoreError> {
        // A strategic merge goes by the names of the webhooks and leaves all other fields as they are; the version
        // makes it fail when anything has changed since.
        let bundle = ByteString(bundle.into_bytes());
        let webhooks: Vec<_> = read
            .webhooks
            .iter()
            .map(|(name, _)| serde_json::json!({ "name": name, "clientConfig": { "caBundle": bundle } }))
            .collect();
        let patch = serde_json::json!({
            "metadata": { "resourceVersion": read.version },
            "webhooks": webhooks,
        });
        let params = PatchParams { field_manager: Some("portcullis".to_owned()), ..PatchParams::default() };
        self.configurations
            .patch(&self.configuration, &params, &Patch::Strategic(patch))
            .await
            .map(|_| ())
            .map_err(|error| self.about_configuration("patch", &error))
    }

    fn about_secret(&self, verb: &str, error: &Error) -> StoreError {
        let what = format!("Secret {}/{}", self.namespace, self.secret);
        explain(verb, &what, &format!("secrets -n {}", self.namespace), error)
    }

    fn about_configuration(&self, verb: &str, error: &Error) -> StoreError {
        let what = format!("ValidatingWebhookConfiguration {}", self.configuration);
        explain(verb, &what, "validatingwebhookconfigurations", error)
    }
}

impl Store for KubeStore {
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, StoreError>> {
        async {
            self.server_time()
                .await
                .map_err(|error| StoreError::Failed(format!("the API server does not tell the time: {error}")))
        }
        .boxed()
    }

    fn read_secret(&self) -> BoxFuture<'_, Result<Option<SecretState>, StoreError>> {
        async {
            let secret = self.secrets.get_opt(&self.secret).await.map_err(|error| self.about_secret("get", &error))?;
            Ok(secret.map(|secret| SecretState {
                version: secret.metadata.resource_version.unwrap_or_default(),
                data: secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect(),
            }))
        }
        .boxed()
    }

    fn write_secret(
        &self,
        version: Option<String>,
        data: BTreeMap<String, Vec<u8>>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            match version {
                Some(version) => self.replace_secret(&version, data).await,
                None => self.create_secret(data).await,
            }
        }
        .boxed()
    }

    fn read_published(&self) -> BoxFuture<'_, Result<Option<Published>, StoreError>> {
        async {
            let found = self
                .configurations
                .get_opt(&self.configuration)
                .await
                .map_err(|error| self.about_configuration("get", &error))?;
            Ok(found.map(published))
        }
        .boxed()
    }

    fn publish(&self, read: Published, bundle: String) -> BoxFuture<'_, Result<(), StoreError>> {
        self.patch_bundles(read, bundle).boxed()
    }
}

fn published(configuration: ValidatingWebhookConfiguration) -> Published {
    let annotations = configuration.metadata.annotations.unwrap_or_default();
    Published {
        version: configuration.metadata.resource_version.unwrap_or_default(),
        other_injector: INJECTORS.iter().find(|name| annotations.contains_key(**name)).map(|name| (*name).to_owned()),
        webhooks: configuration
            .webhooks
            .unwrap_or_default()
            .into_iter()
            .map(|webhook| (webhook.name, webhook.client_config.ca_bundle.map(|bundle| bundle.0).unwrap_or_default()))
            .collect(),
    }
}

fn encode(data: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, ByteString> {
    data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()
}

fn http_get(path: &str) -> Result<axum::http::Request<Body>, Error> {
    axum::http::Request::get(path).body(Body::empty()).map_err(Error::HttpError)
}

/// `Sat, 21 Nov 2026 14:00:00 GMT`
fn read_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

fn explain(verb: &str, what: &str, resource: &str, error: &Error) -> StoreError {
    match error {
        Error::Api(status) if status.is_conflict() || status.is_already_exists() => StoreError::Conflict,
        // Deleted since it was read; on create it is the namespace that is missing, and that does not pass by itself.
        Error::Api(status) if status.is_not_found() && verb != "create" => StoreError::Conflict,
        Error::Api(status) if status.is_forbidden() => StoreError::Failed(format!(
            "not allowed to {verb} {what}: {}; check with: kubectl auth can-i {verb} {resource} --as=system:serviceaccount:NAMESPACE:NAME",
            status.message
        )),
        other => StoreError::Failed(format!("cannot {verb} {what}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_http_answer_is_read() {
        let read = read_http_date("Sat, 21 Nov 2026 14:00:00 GMT").unwrap();
        assert_eq!(read.to_string(), "2026-11-21T14:00:00Z");
        assert_eq!(read_http_date("yesterday"), None);
    }
}
