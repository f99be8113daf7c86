//! `portcullis probe`: one harmless review to a running webhook, to see that TLS, routing and the gate work.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::{Api, Client, Config};

use super::Exit;

/// Ask a running webhook for an answer, to see that it works.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  portcullis probe https://portcullis.portcullis.svc:443/v1/review --ca-from-webhook portcullis")]
pub struct Args {
    /// URL of the review endpoint
    url: String,
    /// File with the CA that the webhook's certificate is verified with
    #[arg(long, value_name = "FILE", required_unless_present = "ca_from_webhook")]
    ca: Option<PathBuf>,
    /// Take the CA from the caBundle of this ValidatingWebhookConfiguration
    #[arg(long, value_name = "NAME", conflicts_with = "ca")]
    ca_from_webhook: Option<String>,
    /// File with a client certificate in PEM, for a webhook that asks callers for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// File with the key of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Seconds to wait for the answer
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

/// A kind that no rule judges: the answer shows that the gate works and changes nothing.
const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"portcullis-probe","kind":{"group":"","version":"v1","kind":"Event"},"name":"probe","namespace":"default","operation":"CREATE","userInfo":{"username":"portcullis-probe"},"object":{},"oldObject":null,"dryRun":true}}"#;

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let asked = tokio::time::timeout(Duration::from_secs(args.timeout), ask(args)).await;
        asked.with_context(|| format!("{} did not answer within {} s", args.url, args.timeout))?
    })?;
    ensure!(
        answer.contains("\"uid\":\"portcullis-probe\"") && answer.contains("\"allowed\":true"),
        "unexpected answer: {answer}"
    );
    writeln!(out, "{} answers", args.url)?;
    Ok(Exit::Clean)
}

async fn ask(args: &Args) -> anyhow::Result<String> {
    let pem = match (&args.ca, &args.ca_from_webhook) {
        (Some(file), _) => std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?,
        (None, Some(name)) => bundle_of(name).await?,
        (None, None) => bail!("name a CA: --ca FILE or --ca-from-webhook NAME"),
    };
    let certificates = crate::serve::certs::ca_certificates(&pem).context("the CA bundle holds no certificate")?;
    let url: axum::http::Uri = args.url.parse().with_context(|| format!("`{}` is no URL", args.url))?;
    let authority = url.authority().with_context(|| format!("`{}` names no host", args.url))?;
    let mut config = Config::new(format!("https://{authority}").parse()?);
    config.root_cert = Some(certificates);
    let text = |file: &PathBuf| file.to_str().map(str::to_owned);
    config.auth_info.client_certificate = args.client_cert.as_ref().and_then(text);
    config.auth_info.client_key = args.client_key.as_ref().and_then(text);
    let client = Client::try_from(config)?;
    let request = axum::http::Request::post(url.path())
        .header("content-type", "application/json")
        .body(REVIEW.as_bytes().to_vec())?;
    client.request_text(request).await.with_context(|| format!("cannot get an answer from {}", args.url))
}

async fn bundle_of(name: &str) -> anyhow::Result<Vec<u8>> {
    let client = Client::try_default().await.context("cannot find a cluster")?;
    let configuration = Api::<ValidatingWebhookConfiguration>::all(client)
        .get(name)
        .await
        .with_context(|| format!("cannot read ValidatingWebhookConfiguration {name}"))?;
    let bundle = configuration.webhooks.into_iter().flatten().find_map(|w| w.client_config.ca_bundle);
    Ok(bundle.with_context(|| format!("ValidatingWebhookConfiguration {name} has no caBundle yet"))?.0)
}
