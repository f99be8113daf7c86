//! Who may call the webhook port: callers with a certificate of one CA, and of these the ones with a listed name.
//!
//! The check is part of the handshake, so that a caller without a good certificate sends no request at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use super::certs::{Served, caller_names, certificates};
use super::options::TlsVersions;
use super::{ServeError, tls};

/// Whose certificates are accepted.
#[derive(Debug, Clone)]
pub struct Callers {
    /// File with the CA certificates, PEM; read again and again.
    pub ca: PathBuf,
    /// Names of which a caller's certificate must have one: the subject's common name or an alternative name. None: any
    /// certificate of the CA is good.
    pub names: Vec<String>,
    /// How often the file is read.
    pub poll: Duration,
}

impl Callers {
    /// Callers with a certificate of the CA in this file, which is read every 10 s.
    pub fn new(ca: impl Into<PathBuf>, names: Vec<String>) -> Self {
        Self { ca: ca.into(), names, poll: Duration::from_secs(10) }
    }
}

/// The TLS configuration of the webhook port, made anew when the CA file changes.
pub(super) struct Handshakes {
    versions: TlsVersions,
    served: Arc<Served>,
    callers: Option<Callers>,
    current: Arc<ArcSwap<ServerConfig>>,
    /// The CA file as it is in use.
    pem: Vec<u8>,
}

impl Handshakes {
    /// Reads the CA file, if there is one; a server that should authenticate callers does not start without.
    pub(super) async fn new(
        versions: TlsVersions,
        served: Arc<Served>,
        callers: Option<Callers>,
    ) -> Result<Self, ServeError> {
        let mut pem = Vec::new();
        let mut verifier = None;
        if let Some(callers) = &callers {
            let refuse = |why| ServeError::ClientCa { file: callers.ca.clone(), why };
            pem = read(&callers.ca).await.map_err(refuse)?;
            verifier = Some(verifier_of(&pem, &callers.names).map_err(refuse)?);
        }
        let config = tls::server_config(versions, Arc::clone(&served) as _, verifier)?;
        Ok(Self { versions, served, callers, current: Arc::new(ArcSwap::new(config)), pem })
    }

    /// What new handshakes use.
    pub(super) fn current(&self) -> Arc<ArcSwap<ServerConfig>> {
        Arc::clone(&self.current)
    }

    /// Follows the CA file; ends only when dropped.
    pub(super) async fn keep(mut self) {
        let Some(callers) = self.callers.clone() else { return std::future::pending().await };
        let mut last_fault = None;
        loop {
            tokio::time::sleep(callers.poll).await;
            let fault = self.look(&callers).await.err();
            if let Some(why) = fault.as_ref().filter(|why| last_fault.as_ref() != Some(*why)) {
                self.served.count_failure();
                tracing::warn!(file = %callers.ca.display(), "client CA not loaded: {why}; the one before is kept");
            }
            last_fault = fault;
        }
    }

    async fn look(&mut self, callers: &Callers) -> Result<(), String> {
        let pem = read(&callers.ca).await?;
        if pem == self.pem {
            return Ok(());
        }
        let verifier = verifier_of(&pem, &callers.names)?;
        let config = tls::server_config(self.versions, Arc::clone(&self.served) as _, Some(verifier))
            .map_err(|error| error.to_string())?;
        self.current.store(config);
        self.pem = pem;
        tracing::info!(file = %callers.ca.display(), "client CA loaded");
        Ok(())
    }
}

async fn read(file: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(file).await.map_err(|error| error.to_string())
}

fn verifier_of(pem: &[u8], names: &[String]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(if names.is_empty() { chain } else { Arc::new(Named { chain, names: names.to_vec() }) })
}

/// Accepts certificates that another verifier accepts, if they have one of these names.
#[derive(Debug)]
struct Named {
    chain: Arc<dyn ClientCertVerifier>,
    names: Vec<String>,
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        let names = caller_names(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if names.iter().any(|name| self.names.contains(name)) {
            return Ok(verified);
        }
        tracing::debug!(names = names.join(","), "a caller's certificate has none of the allowed names");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
