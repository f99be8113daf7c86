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
use super::readiness::Readiness;

/// What the admin routes look at.
pub(super) struct Admin<R> {
    readiness: Arc<Readiness<R>>,
    registry: Registry,
}

impl<R: Reviewer> Admin<R> {
    pub(super) fn new(readiness: Arc<Readiness<R>>, registry: Registry) -> Self {
        Self { readiness, registry }
    }

    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz::<R>))
            .route("/metrics", get(metrics::<R>))
            .with_state(Arc::new(self))
    }
}

async fn readyz<R: Reviewer>(State(admin): State<Arc<Admin<R>>>) -> Response {
    match admin.readiness.not_ready() {
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
