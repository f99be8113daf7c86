//! The admin port in plain HTTP: is it alive, is it ready and if not why, and what has it counted.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

use super::Reviewer;
use super::certs::Served;
use super::drain::Shutdown;

/// What the admin routes look at.
pub(super) struct Admin<R> {
    reviewer: Arc<R>,
    certificate: Arc<Served>,
    shutdown: Shutdown,
    registry: Registry,
}

impl<R: Reviewer> Admin<R> {
    pub(super) fn new(reviewer: Arc<R>, certificate: Arc<Served>, shutdown: Shutdown, registry: Registry) -> Self {
        Self { reviewer, certificate, shutdown, registry }
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz::<R>))
            .route("/metrics", get(metrics::<R>))
            .with_state(Arc::new(self))
    }

    /// The first reason that stands in the way. Draining comes first, because it explains all others.
    fn not_ready(&self) -> Option<String> {
        if self.shutdown.is_draining() {
            return Some("draining: this replica is going away".to_owned());
        }
        self.certificate.not_ready().or_else(|| self.reviewer.not_ready())
    }
}

async fn readyz<R: Reviewer>(State(admin): State<Arc<Admin<R>>>) -> Response {
    match admin.not_ready() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn metrics<R: Reviewer>(State(admin): State<Arc<Admin<R>>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the metrics could not be written: {error}\n")).into_response()
        }
    }
}
