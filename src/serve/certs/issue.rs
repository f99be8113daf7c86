//! Makes the ECDSA P-256 certificates of a self-managed server.
//!
//! P-256 because the API server never resumes a TLS session: every new connection pays a full handshake.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use super::holding::Ca;
use super::settings::SelfManaged;

/// A certificate and its key in PEM.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A new CA.
pub(super) fn ca(settings: &SelfManaged, now: Timestamp) -> Result<Issued, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // Two generations stand side by side in the bundle, so each carries its birth in its name.
    params.distinguished_name.push(DnType::CommonName, format!("portcullis CA {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, settings.backdate, settings.ca_lifetime);
    Ok(Issued { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// A new leaf for the names of the settings.
pub(super) fn leaf(settings: &SelfManaged, ca: &Ca, ca_key: &str, now: Timestamp) -> Result<Issued, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_der(&ca.der, KeyPair::from_pem(ca_key)?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(settings.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, settings.names.first().map_or("portcullis", String::as_str));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, settings.backdate, settings.leaf_lifetime());
    Ok(Issued { certificate: params.signed_by(&key, &issuer)?.pem(), key: key.serialize_pem() })
}

/// Backdated, because a verifier's clock may be behind; the lifetime runs from now.
fn set_validity(params: &mut CertificateParams, now: Timestamp, backdate: Duration, lifetime: Duration) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    params.not_before = epoch + now.saturating_sub(backdate);
    params.not_after = epoch + now.saturating_add(lifetime);
}
