//! Judges, as the API server would, whether a CA bundle vouches for the leaf that is served.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::identity::{Identity, certificates};
use crate::serve::tls;

/// Why callers who trust this bundle (PEM) would refuse the identity, if they would.
pub(super) fn why_refused(identity: &Identity, bundle: &[u8], name: &str, now: Timestamp) -> Option<String> {
    match certificates(bundle) {
        Ok(roots) => why_refused_by(identity, &roots, name, now),
        Err(error) => Some(format!("the bundle is unusable: {error}")),
    }
}

/// The same with the roots already read.
pub(super) fn why_refused_by(
    identity: &Identity,
    roots: &[CertificateDer<'static>],
    name: &str,
    now: Timestamp,
) -> Option<String> {
    verify(identity, roots, name, now).err()
}

fn verify(identity: &Identity, roots: &[CertificateDer<'static>], name: &str, now: Timestamp) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), tls::provider())
        .build()
        .map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let seconds = u64::try_from(now.as_second()).map_err(|error| error.to_string())?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let (leaf, intermediates) = identity.key.cert.split_first().ok_or("no certificate is served")?;
    verifier.verify_server_cert(leaf, intermediates, &name, &[], now).map(|_| ()).map_err(|error| error.to_string())
}
