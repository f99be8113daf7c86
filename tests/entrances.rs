//! What Ingresses and HTTPRoutes expose, and who gets in, as the matrix shows it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

struct Ran {
    rows: Vec<Value>,
    err: String,
}

/// The matrix of these manifests, and what is said beside it.
fn matrix(folder: &Path, yaml: &str, args: &[&str]) -> Ran {
    let file = folder.join("all.yaml");
    std::fs::write(&file, yaml).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["matrix", file.to_str().unwrap(), "-o", "json"])
        .args(args)
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    Ran { rows: serde_json::from_slice(&output.stdout).unwrap(), err }
}

impl Ran {
    /// `src -> dst: conn | depends | entry` of all rows with an entry.
    fn entries(&self) -> Vec<String> {
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
        let shown = |row: &Value| {
            format!(
                "{} -> {}: {} | {} | {}",
                text(row, "src"),
                text(row, "dst"),
                text(row, "conn"),
                text(row, "depends"),
                text(row, "entry")
            )
        };
        self.rows.iter().filter(|row| !row["entry"].is_null()).map(shown).collect()
    }
}

/// A shop whose web pods listen on a named port, closed to all but what `from` says.
fn shop(from: &str) -> String {
    format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, ports: [{{name: http, containerPort: 8080}}, {{name: metrics, containerPort: 9090}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec:
  selector: {{app: web}}
  ports: [{{name: http, port: 80, targetPort: http}}, {{name: metrics, port: 9090}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: web, namespace: shop}}
spec: {{podSelector: {{matchLabels: {{app: web}}}}, ingress: [{{from: [{from}], ports: [{{port: http}}]}}]}}
---
"
    )
}

const TRAEFIK: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: traefik, namespace: edge}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: traefik}}
  template: {metadata: {labels: {app.kubernetes.io/name: traefik}}, spec: {containers: [{name: traefik}]}}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: outside, annotations: {ingressclass.kubernetes.io/is-default-class: \"true\"}}
spec: {controller: traefik.io/ingress-controller}
---
";

const FROM_EDGE: &str = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}";

fn ingress(class: &str, backend: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: front, namespace: shop}}
spec:
  {class}
  rules: [{{host: shop.example, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {backend}}}}}]}}}}]
---
"
    )
}

#[test]
fn an_ingress_leads_over_the_service_to_named_ports() {
    let folder = tempfile::tempdir().unwrap();
    for backend in ["{name: web, port: {name: http}}", "{name: web, port: {number: 80}}"] {
        for class in ["ingressClassName: outside", ""] {
            let ran = matrix(folder.path(), &(shop(FROM_EDGE) + TRAEFIK + &ingress(class, backend)), &[]);
            let expected =
                "edge/traefik[Deployment] -> shop/web[Deployment]: TCP 8080 | - | Ingress shop/front to TCP 8080";
            assert_eq!(ran.entries(), [expected], "{class} {backend}");
        }
    }
}

#[test]
fn what_is_exposed_and_refused_is_shown_though_nothing_passes() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = "{podSelector: {matchLabels: {app: other}}}";
    let yaml = shop(elsewhere) + TRAEFIK + &ingress("", "{name: web, port: {number: 9090}}");
    let refused = "edge/traefik[Deployment] -> shop/web[Deployment]: No Connections | - | Ingress shop/front to TCP 9090: refused";
    assert_eq!(matrix(folder.path(), &yaml, &[]).entries(), [refused]);
    assert_eq!(matrix(folder.path(), &yaml, &["--port", "8080"]).entries().len(), 0, "another port was asked for");
    assert_eq!(matrix(folder.path(), &yaml, &["--from", "edge/traefik"]).entries(), [refused]);
    assert_eq!(matrix(folder.path(), &yaml, &["--from", "world"]).entries().len(), 0);
}

#[test]
fn a_controller_that_is_not_known_is_any_pod_of_another_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let route = ingress("ingressClassName: ours", "{name: web, port: {name: http}}");
    let row = |conn: &str, entry: &str| format!("{{ingress-controller}} -> shop/web[Deployment]: {conn} | {entry}");
    for (from, expected) in [
        ("{namespaceSelector: {}}", row("TCP 8080", "- | Ingress shop/front to TCP 8080")),
        (FROM_EDGE, row("No Connections", "TCP 8080 | Ingress shop/front to TCP 8080")),
        ("{podSelector: {}}", row("No Connections", "- | Ingress shop/front to TCP 8080: refused")),
    ] {
        let ran = matrix(folder.path(), &(shop(from) + &route), &[]);
        assert_eq!(ran.entries(), [expected], "{from}");
        assert!(
            ran.err.contains("there is no IngressClass ours") && ran.err.contains("--ingress-controller"),
            "{}",
            ran.err
        );
    }
    let named = shop(FROM_EDGE) + TRAEFIK + &route;
    for end in ["edge/traefik", "edge/app.kubernetes.io/name=traefik"] {
        let ran = matrix(folder.path(), &named, &["--ingress-controller", end]);
        let expected =
            "edge/traefik[Deployment] -> shop/web[Deployment]: TCP 8080 | - | Ingress shop/front to TCP 8080";
        assert_eq!(ran.entries(), [expected], "{end}");
    }
}

#[test]
fn routes_that_lead_nowhere_are_said() {
    let folder = tempfile::tempdir().unwrap();
    for (backend, why) in [
        ("{name: wep, port: {number: 80}}", "there is no Service shop/wep"),
        ("{name: web, port: {number: 81}}", "Service shop/web has no port 81"),
        ("{name: web, port: {name: https}}", "Service shop/web has no port called https"),
    ] {
        let ran = matrix(folder.path(), &(shop(FROM_EDGE) + TRAEFIK + &ingress("", backend)), &[]);
        assert!(ran.entries().is_empty());
        let place = "Ingress shop/front at spec.rules[0].http.paths[0].backend leads nowhere";
        assert!(ran.err.contains(place) && ran.err.contains(why), "{}", ran.err);
    }
}

fn gateway(allowed: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: public, namespace: edge}}
spec: {{gatewayClassName: traefik, listeners: [{{name: http, port: 80, protocol: HTTP{allowed}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: traefik}}
spec: {{controllerName: traefik.io/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: front, namespace: routes}}
spec:
  parentRefs: [{{name: public, namespace: edge}}]
  rules: [{{backendRefs: [{{name: web, namespace: shop, port: 80}}]}}]
---
"
    )
}

const GRANT: &str = "apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: routes, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: routes}]
  to: [{group: \"\", kind: Service}]
---
";

#[test]
fn a_route_into_another_namespace_needs_a_grant_and_a_gateway_that_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let all = ", allowedRoutes: {namespaces: {from: All}}";
    let ran = matrix(folder.path(), &(shop(FROM_EDGE) + TRAEFIK + &gateway(all)), &[]);
    assert!(ran.entries().is_empty());
    assert!(
        ran.err.contains("no ReferenceGrant in shop lets HTTPRoutes of routes lead to Service shop/web"),
        "{}",
        ran.err
    );
    let ran = matrix(folder.path(), &(shop(FROM_EDGE) + TRAEFIK + &gateway(all) + GRANT), &[]);
    let expected =
        "edge/traefik[Deployment] -> shop/web[Deployment]: TCP 8080 | - | HTTPRoute routes/front to TCP 8080";
    assert_eq!(ran.entries(), [expected]);
    // Without allowedRoutes a Gateway takes routes of its own namespace only.
    let ran = matrix(folder.path(), &(shop(FROM_EDGE) + TRAEFIK + &gateway("") + GRANT), &[]);
    assert!(ran.err.contains("Gateway edge/public takes no routes of namespace routes"), "{}", ran.err);
    assert!(ran.entries().iter().all(|row| row.starts_with("{ingress-controller}")));
}

#[test]
fn the_first_guide_has_its_row_of_traefik() {
    let folder = tempfile::tempdir().unwrap();
    let mut yaml = String::new();
    for name in ["workloads", "default-deny-all", "my-web-client-network-policy", "myapp-api-network-policy"] {
        yaml += &std::fs::read_to_string(format!("tests/guides/first/{name}.yaml")).unwrap();
        yaml += "\n---\n";
    }
    yaml += "apiVersion: v1
kind: Service
metadata: {name: web, namespace: myapp-staging}
spec: {selector: {app.kubernetes.io/name: my-web-client}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: myapp-staging}
spec: {ingressClassName: traefik, defaultBackend: {service: {name: web, port: {number: 80}}}}
";
    let ran = matrix(folder.path(), &yaml, &[]);
    assert_eq!(
        ran.entries(),
        [
            "traefik-system/traefik[Deployment] -> myapp-staging/my-web-client[Deployment]: TCP 8080 | - | Ingress myapp-staging/web to TCP 8080"
        ]
    );
}
