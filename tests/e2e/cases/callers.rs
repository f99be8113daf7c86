//! An API server that shows a certificate to the webhook, and a webhook port that lets in no other caller.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::support::plane::{ControlPlane, Coordinates};
use crate::support::{Gate, Settings, Suite, cases, objects, scratch, until};

cases![an_api_server_shows_a_certificate_and_others_are_refused];

/// Name in the API server's certificate.
const NAME: &str = "kube-apiserver-to-webhooks";

/// Writes `ca.crt`, `client.crt` and `client.key`.
fn write_certificates(dir: &Path) {
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut ca = named("callers of webhooks");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut client = named(NAME);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&key, &ca).unwrap();
    std::fs::write(dir.join("ca.crt"), ca.pem()).unwrap();
    std::fs::write(dir.join("client.crt"), client.pem()).unwrap();
    std::fs::write(dir.join("client.key"), key.serialize_pem()).unwrap();
}

/// What docs/operations.md says to give to the API server, for a webhook at this host and port.
fn write_admission_configuration(dir: &Path, host: &str) -> String {
    let users = json!({
        "apiVersion": "v1", "kind": "Config",
        "users": [{"name": host, "user": {
            "client-certificate": dir.join("client.crt"), "client-key": dir.join("client.key"),
        }}],
    });
    std::fs::write(dir.join("webhooks.yaml"), users.to_string()).unwrap();
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ValidatingAdmissionWebhook", "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": dir.join("webhooks.yaml"),
        }}],
    });
    let file = dir.join("admission.yaml");
    std::fs::write(&file, configuration.to_string()).unwrap();
    format!("--admission-control-config-file={}", file.display())
}

/// The cluster is one of its own, because how an API server authenticates is settled when it starts.
fn an_api_server_shows_a_certificate_and_others_are_refused(_: &Suite) {
    let dir = scratch("callers-files");
    write_certificates(&dir);
    let ca = dir.join("ca.crt").to_str().unwrap().to_owned();
    let arguments = vec!["--client-ca", ca.leak(), "--client-name", NAME];
    let settings = Settings { name: "callers", arguments, ..Settings::default() };
    let at = Coordinates::named("callers-cluster");
    let gate = Gate::prepare(&at, settings);
    let configuration = write_admission_configuration(&dir, &gate.listen.to_string());
    let plane = ControlPlane::start(at, &[configuration]);
    let gate = gate.installed();

    let kubectl = plane.at.kubectl();
    kubectl.namespace("guarded", &gate.labels());
    let web = objects::deployment("guarded", "web");
    kubectl.apply(&web).denied("missing-default-deny", "guarded");

    // For another host the API server has no certificate: it is a caller like any other.
    gate.apply_webhook(&format!("https://localhost:{}/v1/review", gate.listen.port()), None);
    let before = gate.decisions("");
    until("the API server calls without a certificate", || {
        let outcome = kubectl.apply(&web);
        assert!(!outcome.ok, "admitted: {outcome}");
        let refused =
            outcome.stderr.contains("failed calling webhook") && outcome.stderr.contains("certificate required");
        if refused { Ok(()) } else { Err(outcome.to_string()) }
    });
    let seen = gate.decisions("");
    let outcome = kubectl.apply(&web);
    assert!(!outcome.ok && outcome.stderr.contains("certificate required"), "{outcome}");
    assert!((gate.decisions("") - seen).abs() < f64::EPSILON && seen >= before, "a caller without one was answered");
}
