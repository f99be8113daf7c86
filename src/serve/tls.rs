//! The rustls configuration of the webhook port.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::version::{TLS12, TLS13};

use super::ServeError;
use super::options::TlsVersions;

/// The one cryptographic provider, named explicitly so that nothing depends on a process-wide default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// HTTP/1.1 only, no resumption: the API server keeps no session cache, so a ticket would be work for nothing. Without a
/// verifier of callers, none is asked for a certificate.
pub(super) fn server_config(
    versions: TlsVersions,
    certificate: Arc<dyn ResolvesServerCert>,
    callers: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, ServeError> {
    let versions: &[_] = match versions {
        TlsVersions::Tls13 => &[&TLS13],
        TlsVersions::Tls12AndTls13 => &[&TLS13, &TLS12],
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(ServeError::Tls)?
        .with_client_cert_verifier(callers.unwrap_or_else(|| Arc::new(NoClientAuth)))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}
