//! A certificate chain with its private key, read from PEM and known to belong together.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A chain and its key.
#[derive(Debug)]
pub struct Identity {
    /// What rustls serves.
    pub key: Arc<CertifiedKey>,
    /// Start of the leaf's validity.
    pub not_before: Timestamp,
    /// End of the leaf's validity.
    pub not_after: Timestamp,
    /// Names and addresses of the leaf.
    pub names: Vec<String>,
}

/// Why a chain and a key cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// No certificate in the PEM text.
    #[error("no CERTIFICATE block in it")]
    NoCertificate,
    /// A block is not PEM, or its content is no certificate.
    #[error("the certificate is unreadable: {0}")]
    Certificate(String),
    /// No usable private key.
    #[error("the private key is unreadable: {0}")]
    Key(String),
    /// Both are fine, but not of each other.
    #[error("the private key does not belong to the certificate (a half-written pair, or two files of different age)")]
    Mismatch,
}

impl Identity {
    /// Reads a PEM chain (leaf first) and a PEM key, and checks that they are a pair.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertError> {
        let chain = certificates(chain)?;
        let leaf = chain.first().ok_or(CertError::NoCertificate)?;
        let (not_before, not_after) = validity(leaf)?;
        let names = names(leaf)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| CertError::Key(error.to_string()))?;
        let key =
            rustls::crypto::ring::sign::any_supported_type(&key).map_err(|error| CertError::Key(error.to_string()))?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertError::Mismatch,
            other => CertError::Certificate(other.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), not_before, not_after, names })
    }

    /// Whether the leaf is for this DNS name or address.
    pub fn is_for(&self, name: &str) -> bool {
        // An IPv6 address has more than one spelling.
        let canonical = name.parse::<IpAddr>().map(|address| address.to_string());
        self.names.iter().any(|own| *own == *canonical.as_deref().unwrap_or(name))
    }

    /// The leaf.
    pub fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.key.cert.first()
    }

    /// Why the leaf is not valid at this time, if so.
    pub fn why_not_valid_at(&self, now: Timestamp) -> Option<String> {
        if now > self.not_after {
            Some(format!("the serving certificate expired at {}", self.not_after))
        } else if now < self.not_before {
            Some(format!("the serving certificate is valid from {} only, and the clock says {now}", self.not_before))
        } else {
            None
        }
    }
}

/// All certificates of a PEM text; an empty text is an error.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertError::Certificate(error.to_string()))?;
    if chain.is_empty() { Err(CertError::NoCertificate) } else { Ok(chain) }
}

/// Start and end of a certificate's validity.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), CertError> {
    let parsed = parse(certificate)?;
    let at = |seconds| Timestamp::from_second(seconds).map_err(|error| CertError::Certificate(error.to_string()));
    let validity = parsed.validity();
    Ok((at(validity.not_before.timestamp())?, at(validity.not_after.timestamp())?))
}

/// DNS names and IP addresses that the certificate is for.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, CertError> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().map_err(|error| CertError::Certificate(error.to_string()))?;
    Ok(names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(dns) => Some((*dns).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect())
}

/// Common names of the subject, and the alternative names, of a caller's certificate.
pub fn caller_names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, CertError> {
    let mut all = names(certificate)?;
    let parsed = parse(certificate)?;
    all.extend(parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok().map(str::to_owned)));
    let others = parsed.subject_alternative_name().map_err(|error| CertError::Certificate(error.to_string()))?;
    all.extend(others.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::URI(text) | GeneralName::RFC822Name(text) => Some((*text).to_owned()),
        _ => None,
    }));
    Ok(all)
}

/// Four bytes are IPv4, sixteen are IPv6 (RFC 5280, 4.2.1.6).
fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertError> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| CertError::Certificate(error.to_string()))
}
