//! The yardstick: a webhook on the same stack, with the same limits, that reads nothing but the uid and allows.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use portcullis::admission::Caps;
use portcullis::serve::certs::{MemoryStore, SelfManaged};
use portcullis::serve::{self, Answer, Certificates, Options, Reviewer, Shutdown};
use serde::Deserialize;
use tokio::time::Instant;

struct Null;

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
}

impl Reviewer for Null {
    async fn review(&self, body: Bytes, _deadline: Instant, _caps: Option<Caps>) -> Answer {
        match serde_json::from_slice::<Review<'_>>(&body) {
            Ok(review) => Answer::Review(
                format!(
                    r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{}","allowed":true}}}}"#,
                    review.request.uid
                )
                .into_bytes(),
            ),
            Err(error) => Answer::BadRequest(error.to_string()),
        }
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// Serves until killed: `null LISTEN ADMIN-LISTEN CA-FILE`.
pub fn serve(args: &[String]) -> anyhow::Result<()> {
    let [listen, admin, ca_file] = args else { anyhow::bail!("null LISTEN ADMIN-LISTEN CA-FILE") };
    let settings = SelfManaged::for_service("portcullis", "portcullis", "portcullis-tls", "portcullis");
    let store = Arc::new(MemoryStore::new(Some(PathBuf::from(ca_file))));
    let mut options = Options::new(Certificates::SelfManaged { settings, store });
    options.listen = listen.parse()?;
    options.admin_listen = admin.parse()?;
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime
        .block_on(serve::run(options, Arc::new(Null), Shutdown::new(), serve::new_registry()))
        .context("the null webhook")
}
