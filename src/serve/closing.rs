//! Closes the webhook configuration: turns `failurePolicy` from Ignore to Fail once this replica can answer.
//!
//! The chart installs it open, so that nobody is refused before somebody can answer, and says in an annotation what is
//! wished. It is opened again only where that is the wish in words, as after a change of mode by a tool that leaves the field
//! alone: while replicas come and go, the last one that leaves must not leave a gap.
//! The field manager's entry is given up after each write, because a field that has an owner makes the next server-side
//! apply of Helm end in a conflict.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::json;
use tokio::time::Instant;

use super::Reviewer;
use super::readiness::Readiness;

/// By this annotation the chart says what is wished.
const WISH: &str = "portcullis.dev/failure-policy";
/// Name under which all writes of Portcullis to its configuration are recorded, the CA bundle's included.
const MANAGER: &str = "portcullis";
/// A look with its write must not hang on a silent API server.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// After a lost race or before this replica is ready, which costs no request.
const SOON: Duration = Duration::from_secs(1);
/// How long this replica must have been ready without a break. The API server comes through the Service, which knows of it
/// only after the kubelet's next probe (5 s in the chart), the endpoints' controller and every node's proxy; until then
/// a closed configuration refuses everything with "connection refused".
const SETTLED: Duration = Duration::from_secs(15);
/// Closing, giving up the fields and a look are three; more is a quarrel.
const MOST_IN_A_ROW: u32 = 6;

/// The webhook configuration that is to be closed.
#[derive(Clone)]
pub struct Closing {
    configurations: Api<ValidatingWebhookConfiguration>,
    name: String,
    poll: Duration,
}

impl std::fmt::Debug for Closing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Closing").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Closing {
    /// Closes the configuration of this name, looking at it every 10 s.
    pub fn new(client: Client, configuration: &str) -> Self {
        Self { configurations: Api::all(client), name: configuration.to_owned(), poll: Duration::from_secs(10) }
    }
}

/// What to do with the configuration as it was read.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Set this policy in the webhooks of these names.
    Set { policy: &'static str, version: String, webhooks: Vec<String> },
    /// Replace the recorded field owners by these.
    Disown { version: String, kept: Vec<ManagedFieldsEntry> },
    /// Fail is wished, but these would then refuse everything: webhook and reason.
    Hold { why: String },
    /// All is as it should be.
    Rest,
}

/// The next step. `obstacle` tells why a webhook could not be answered by this replica.
fn plan(found: &ValidatingWebhookConfiguration, obstacle: impl Fn(&ValidatingWebhook) -> Option<String>) -> Step {
    let version = found.metadata.resource_version.clone().unwrap_or_default();
    let wish = found.metadata.annotations.as_ref().and_then(|all| all.get(WISH)).map(String::as_str);
    let those = |policy| found.webhooks.iter().flatten().filter(move |w| w.failure_policy.as_deref() == Some(policy));
    let mut closable = Vec::new();
    let mut held = Vec::new();
    for webhook in those("Ignore").filter(|_| wish == Some("Fail")) {
        match obstacle(webhook) {
            None => closable.push(webhook.name.clone()),
            Some(why) => held.push(format!("webhook {}: {why}", webhook.name)),
        }
    }
    if !closable.is_empty() {
        return Step::Set { policy: "Fail", version, webhooks: closable };
    }
    let shut: Vec<String> = those("Fail").filter(|_| wish == Some("Ignore")).map(|w| w.name.clone()).collect();
    if !shut.is_empty() {
        return Step::Set { policy: "Ignore", version, webhooks: shut };
    }
    let owners = found.metadata.managed_fields.as_deref().unwrap_or_default();
    let ours = |entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(MANAGER) && entry.operation.as_deref() == Some("Update")
    };
    if owners.iter().any(ours) {
        let mut kept: Vec<_> = owners.iter().filter(|entry| !ours(entry)).cloned().collect();
        // The API server takes an empty list for no wish at all; one empty entry clears it.
        if kept.is_empty() {
            kept.push(ManagedFieldsEntry::default());
        }
        return Step::Disown { version, kept };
    }
    if held.is_empty() { Step::Rest } else { Step::Hold { why: held.join("; ") } }
}

/// The name by which the API server verifies whoever answers a webhook.
fn server_name(webhook: &ValidatingWebhook) -> Option<String> {
    let config = &webhook.client_config;
    if let Some(service) = &config.service {
        return Some(format!("{}.{}.svc", service.name, service.namespace));
    }
    let url: axum::http::Uri = config.url.as_deref()?.parse().ok()?;
    url.host().map(|host| host.trim_matches(['[', ']']).to_owned())
}

/// Keeps the configuration closed while this replica is ready; ends only when dropped.
pub(super) async fn keep<R: Reviewer>(closing: Closing, readiness: Arc<Readiness<R>>) {
    let obstacle = |webhook: &ValidatingWebhook| {
        let Some(name) = server_name(webhook) else {
            return Some("it names neither a Service nor a usable URL".to_owned());
        };
        match &webhook.client_config.ca_bundle {
            None => Some("it has no caBundle yet".to_owned()),
            Some(bundle) => {
                let why = readiness.certificate().why_refused(&bundle.0, &name);
                why.map(|why| format!("its caBundle does not verify the serving certificate ({why})"))
            }
        }
    };
    closing.keep(|| readiness.not_ready(), obstacle).await;
}

/// What a step came to.
enum Done {
    Nothing,
    Wrote,
    /// Somebody else wrote since it was read.
    LostRace,
    Held(String),
}

impl Closing {
    async fn keep(
        &self,
        not_ready: impl Fn() -> Option<String>,
        obstacle: impl Fn(&ValidatingWebhook) -> Option<String>,
    ) {
        let mut said = None;
        let mut in_a_row = 0_u32;
        let mut ready_since = None;
        loop {
            let settled = if not_ready().is_some() {
                ready_since = None;
                false
            } else {
                ready_since.get_or_insert_with(Instant::now).elapsed() >= SETTLED
            };
            if !settled {
                tokio::time::sleep(SOON.min(self.poll)).await;
                continue;
            }
            let step = tokio::time::timeout(STEP_TIMEOUT, self.step(&obstacle)).await;
            let step = step.unwrap_or_else(|_| Err("the API server does not answer".to_owned()));
            let mut pause = self.poll;
            let trouble = match step {
                Ok(Done::Nothing) => None,
                Ok(Done::LostRace) => {
                    pause = SOON.min(self.poll);
                    None
                }
                Ok(Done::Wrote) => {
                    // Someone who undoes every write must not turn this into a busy loop.
                    if in_a_row < MOST_IN_A_ROW {
                        pause = Duration::ZERO;
                    }
                    None
                }
                Ok(Done::Held(why)) => Some(format!("the failure policy stays Ignore although Fail is wished: {why}")),
                Err(why) => Some(format!("the failure policy could not be looked after: {why}. Trying again")),
            };
            in_a_row = if pause.is_zero() { in_a_row.saturating_add(1) } else { 0 };
            // A lasting fault is said once.
            if let Some(why) = trouble.as_ref().filter(|_| trouble != said) {
                tracing::warn!(configuration = %self.name, "{why}");
            }
            said = trouble;
            tokio::time::sleep(pause).await;
        }
    }

    async fn step(&self, obstacle: impl Fn(&ValidatingWebhook) -> Option<String>) -> Result<Done, String> {
        // Deleting the configuration is the way to switch reviews off; it is not ours to bring it back.
        let Some(found) = self.configurations.get_opt(&self.name).await.map_err(|e| self.explain("get", &e))? else {
            return Ok(Done::Nothing);
        };
        // Every patch holds the version that was read, so that it fails when anything has changed since.
        match plan(&found, obstacle) {
            Step::Rest => Ok(Done::Nothing),
            Step::Hold { why } => Ok(Done::Held(why)),
            Step::Set { policy, version, webhooks } => {
                let entries: Vec<_> =
                    webhooks.iter().map(|name| json!({ "name": name, "failurePolicy": policy })).collect();
                let patch = json!({ "metadata": { "resourceVersion": version }, "webhooks": entries });
                // A strategic merge goes by the names of the webhooks and leaves all other fields as they are.
                let done = self.patch(&Patch::Strategic(patch)).await?;
                if matches!(done, Done::Wrote) {
                    tracing::info!(configuration = %self.name, webhooks = %webhooks.join(","), "failurePolicy set to {policy}, as {WISH} says");
                }
                Ok(done)
            }
            Step::Disown { version, kept } => {
                let patch = json!({ "metadata": { "resourceVersion": version, "managedFields": kept } });
                self.patch(&Patch::Merge(patch)).await
            }
        }
    }

    async fn patch(&self, patch: &Patch<serde_json::Value>) -> Result<Done, String> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match self.configurations.patch(&self.name, &params, patch).await {
            Ok(_) => Ok(Done::Wrote),
            Err(Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Done::LostRace),
            Err(error) => Err(self.explain("patch", &error)),
        }
    }

    fn explain(&self, verb: &str, error: &Error) -> String {
        let what = format!("ValidatingWebhookConfiguration {}", self.name);
        match error {
            Error::Api(status) if status.is_forbidden() => format!(
                "not allowed to {verb} {what}: {}; check with: kubectl auth can-i {verb} validatingwebhookconfigurations/{} \
                 --as=system:serviceaccount:NAMESPACE:NAME",
                status.message, self.name
            ),
            other => format!("cannot {verb} {what}: {other}"),
        }
    }
}
