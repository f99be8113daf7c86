//! The content of the shared Secret, understood: what in it is usable, and what is not and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::identity::{Identity, validity};

/// Data keys of the Secret.
pub(super) const LEAF: &str = "tls.crt";
pub(super) const LEAF_KEY: &str = "tls.key";
pub(super) const BUNDLE: &str = "ca.crt";
pub(super) const CA_KEY: &str = "ca.key";

/// One CA of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ca {
    pub(super) pem: String,
    pub(super) der: CertificateDer<'static>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// What the Secret holds.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// The bundle, newest first.
    pub(super) cas: Vec<Ca>,
    /// Key of the newest CA, if it is readable and belongs to it.
    pub(super) ca_key: Option<String>,
    /// The leaf with its key, if they are a pair.
    pub(super) leaf: Option<Arc<Identity>>,
    /// What could not be used, in words.
    pub(super) faults: Vec<String>,
}

impl Ca {
    pub(super) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn read(pem: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
        let (not_before, not_after) = validity(&der).map_err(|error| error.to_string())?;
        Ok(Self { pem: pem.to_owned(), der, not_before, not_after })
    }
}

impl Holding {
    /// Reads the data of the Secret; never fails, because whatever is missing can be made anew.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut holding = Self::default();
        let text = |key: &str| data.get(key).map(Vec::as_slice).filter(|bytes| !bytes.is_empty());
        if let Some(bundle) = text(BUNDLE) {
            for block in blocks(&String::from_utf8_lossy(bundle)) {
                match Ca::read(block) {
                    Ok(ca) => holding.cas.push(ca),
                    Err(why) => holding.faults.push(format!("{BUNDLE}: {why}")),
                }
            }
        }
        match text(CA_KEY).map(|key| usable_ca_key(key, holding.cas.first())) {
            Some(Ok(key)) => holding.ca_key = Some(key),
            Some(Err(why)) => holding.faults.push(format!("{CA_KEY}: {why}")),
            None => holding.faults.push(format!("{CA_KEY} is missing")),
        }
        match (text(LEAF), text(LEAF_KEY)) {
            (Some(chain), Some(key)) => match Identity::from_pem(chain, key) {
                Ok(leaf) => holding.leaf = Some(Arc::new(leaf)),
                Err(why) => holding.faults.push(format!("{LEAF} and {LEAF_KEY}: {why}")),
            },
            _ => holding.faults.push(format!("{LEAF} or {LEAF_KEY} is missing")),
        }
        holding
    }
}

/// The PEM text of each certificate, so that it can be written back as it was.
fn blocks(pem: &str) -> Vec<&str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    let mut rest = pem;
    while let Some((_, from)) = rest.find(BEGIN).map(|at| rest.split_at(at)) {
        let Some(end) = from.find(END) else { break };
        let (block, after) = from.split_at(end + END.len());
        found.push(block);
        rest = after;
    }
    found
}

fn usable_ca_key(key: &[u8], newest: Option<&Ca>) -> Result<String, String> {
    let newest = newest.ok_or("there is no CA certificate for it")?;
    let key = std::str::from_utf8(key).map_err(|error| error.to_string())?;
    let pair = KeyPair::from_pem(key).map_err(|error| error.to_string())?;
    let (_, certificate) = X509Certificate::from_der(&newest.der).map_err(|error| error.to_string())?;
    if certificate.public_key().raw == pair.subject_public_key_info() {
        Ok(key.to_owned())
    } else {
        Err("it does not belong to the first certificate of the bundle".to_owned())
    }
}
