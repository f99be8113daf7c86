//! Closes the webhook configuration: turns `failurePolicy` from Ignore to Fail once this replica can answer.
//!
//! The chart installs it open, so that nobody is refused before somebody can answer, and says in an annotation what is
//! wished. Nothing here opens it again: while replicas come and go, the last one that leaves must not leave a gap.
//! The field manager's entry is given up after each write, because a field that has an owner makes the next server-side
//! apply of Helm end in a conflict.

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
    /// Set Fail in the webhooks of these names.
    Close { version: String, webhooks: Vec<String> },
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
    let wished = found.metadata.annotations.as_ref().and_then(|all| all.get(WISH)).is_some_and(|wish| wish == "Fail");
    let mut closable = Vec::new();
    let mut held = Vec::new();
    if wished {
        for webhook in found.webhooks.iter().flatten().filter(|w| w.failure_policy.as_deref() == Some("Ignore")) {
            match obstacle(webhook) {
                None => closable.push(webhook.name.clone()),
                Some(why) => held.push(format!("webhook {}: {why}", webhook.name)),
            }
        }
    }
    if !closable.is_empty() {
        return Step::Close { version, webhooks: closable };
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
pub(super) async fn keep<R: Reviewer>(closing: Closing, readiness: std::sync::Arc<Readiness<R>>) {
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
    let mut said = None;
    let mut in_a_row = 0_u32;
    let mut ready_since = None;
    loop {
        let settled = match readiness.not_ready() {
            None => ready_since.get_or_insert_with(Instant::now).elapsed() >= SETTLED,
            Some(_) => {
                ready_since = None;
                false
            }
        };
        if !settled {
            tokio::time::sleep(SOON.min(closing.poll)).await;
            continue;
        }
        let step = tokio::time::timeout(STEP_TIMEOUT, closing.step(obstacle)).await;
        let step = step.unwrap_or_else(|_| Err("the API server does not answer".to_owned()));
        let mut pause = closing.poll;
        let trouble = match step {
            Ok(Done::Nothing) => None,
            Ok(Done::LostRace) => {
                pause = SOON.min(closing.poll);
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
            tracing::warn!(configuration = %closing.name, "{why}");
        }
        said = trouble;
        tokio::time::sleep(pause).await;
    }
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
    async fn step(&self, obstacle: impl Fn(&ValidatingWebhook) -> Option<String>) -> Result<Done, String> {
        // Deleting the configuration is the way to switch reviews off; it is not ours to bring it back.
        let Some(found) = self.configurations.get_opt(&self.name).await.map_err(|e| self.explain("get", &e))? else {
            return Ok(Done::Nothing);
        };
        // Every patch holds the version that was read, so that it fails when anything has changed since.
        match plan(&found, obstacle) {
            Step::Rest => Ok(Done::Nothing),
            Step::Hold { why } => Ok(Done::Held(why)),
            Step::Close { version, webhooks } => {
                let entries: Vec<_> =
                    webhooks.iter().map(|name| json!({ "name": name, "failurePolicy": "Fail" })).collect();
                let patch = json!({ "metadata": { "resourceVersion": version }, "webhooks": entries });
                // A strategic merge goes by the names of the webhooks and leaves all other fields as they are.
                let done = self.patch(&Patch::Strategic(patch)).await?;
                if matches!(done, Done::Wrote) {
                    tracing::info!(configuration = %self.name, webhooks = %webhooks.join(","), "ready: failurePolicy set to Fail");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(
        wish: Option<&str>,
        policies: [&str; 2],
        managers: &[(&str, &str)],
    ) -> ValidatingWebhookConfiguration {
        let webhook = |(name, policy): (&str, &str)| {
            json!({
                "name": name, "failurePolicy": policy, "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": { "service": { "name": "portcullis", "namespace": "gate" } },
            })
        };
        let entries: Vec<_> =
            managers.iter().map(|(manager, operation)| json!({ "manager": manager, "operation": operation })).collect();
        serde_json::from_value(json!({
            "metadata": {
                "name": "portcullis", "resourceVersion": "7", "managedFields": entries,
                "annotations": wish.map(|wish| json!({ WISH: wish })),
            },
            "webhooks": [webhook(("house", policies[0])), webhook(("namespaces", policies[1]))],
        }))
        .unwrap()
    }

    fn able(_: &ValidatingWebhook) -> Option<String> {
        None
    }

    fn close(webhooks: &[&str]) -> Step {
        Step::Close { version: "7".to_owned(), webhooks: webhooks.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn only_what_is_open_is_closed_and_only_when_that_is_the_wish() {
        let cases = [
            (Some("Fail"), ["Ignore", "Ignore"], close(&["house", "namespaces"])),
            (Some("Fail"), ["Fail", "Ignore"], close(&["namespaces"])),
            (Some("Fail"), ["Fail", "Fail"], Step::Rest),
            (Some("Ignore"), ["Ignore", "Ignore"], Step::Rest),
            // Whoever wishes Ignore renders it as well; nothing here ever opens.
            (Some("Ignore"), ["Fail", "Fail"], Step::Rest),
            (Some("fail"), ["Ignore", "Ignore"], Step::Rest),
            (None, ["Ignore", "Ignore"], Step::Rest),
        ];
        for (wish, policies, expected) in cases {
            assert_eq!(
                plan(&configuration(wish, policies, &[("helm", "Update")]), able),
                expected,
                "{wish:?} {policies:?}"
            );
        }
    }

    #[test]
    fn a_webhook_that_would_not_trust_this_replica_stays_open() {
        let untrusted = |webhook: &ValidatingWebhook| (webhook.name == "house").then(|| "no caBundle".to_owned());
        let open = configuration(Some("Fail"), ["Ignore", "Ignore"], &[]);
        assert_eq!(plan(&open, untrusted), close(&["namespaces"]));
        let rest = configuration(Some("Fail"), ["Ignore", "Fail"], &[]);
        assert_eq!(plan(&rest, untrusted), Step::Hold { why: "webhook house: no caBundle".to_owned() });
        let closed = configuration(Some("Fail"), ["Fail", "Fail"], &[]);
        assert_eq!(plan(&closed, untrusted), Step::Rest);
    }

    #[test]
    fn ownership_is_given_up_after_closing_and_whenever_it_is_there() {
        let kept = |step: Step| match step {
            Step::Disown { version, kept } => {
                assert_eq!(version, "7");
                kept.into_iter().map(|entry| entry.manager).collect::<Vec<_>>()
            }
            other => panic!("expected to give up ownership, not {other:?}"),
        };
        let both = [("helm", "Apply"), (MANAGER, "Update"), ("kubectl-edit", "Update")];
        for wish in [Some("Fail"), Some("Ignore"), None] {
            let found = configuration(wish, ["Fail", "Fail"], &both);
            let managers = [Some("helm".to_owned()), Some("kubectl-edit".to_owned())];
            assert_eq!(kept(plan(&found, able)), managers);
        }
        // The entry of a last owner is replaced by an empty one.
        assert_eq!(kept(plan(&configuration(None, ["Ignore", "Ignore"], &[(MANAGER, "Update")]), able)), [None]);
        // Closing comes first: it would bring the entry back.
        assert_eq!(plan(&configuration(Some("Fail"), ["Ignore", "Fail"], &both), able), close(&["house"]));
        // Somebody who applies under this name meant to own the fields.
        assert_eq!(plan(&configuration(None, ["Ignore", "Ignore"], &[(MANAGER, "Apply")]), able), Step::Rest);
    }

    #[test]
    fn the_name_to_verify_is_the_services_or_the_urls() {
        let mut webhook = configuration(None, ["Fail", "Fail"], &[]).webhooks.unwrap().remove(0);
        assert_eq!(server_name(&webhook).unwrap(), "portcullis.gate.svc");
        webhook.client_config.service = None;
        assert_eq!(server_name(&webhook), None);
        for (url, name) in
            [("https://127.0.0.1:9443/v1/review", "127.0.0.1"), ("https://[::1]:9443/", "::1"), ("https://a.b/", "a.b")]
        {
            webhook.client_config.url = Some(url.to_owned());
            assert_eq!(server_name(&webhook).unwrap(), name);
        }
    }
}
