//! Every answer that the webhook port can give, with its words, so that a person who reads one in an event knows what to do.

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::metrics::{Outcome, Shed};
use super::router::REVIEW_PATH;

/// One answer before it becomes HTTP.
pub(super) struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    json: bool,
    close: bool,
    /// For the metrics.
    pub(super) outcome: Outcome,
    /// For the metrics, when it was turned away.
    pub(super) shed: Option<Shed>,
}

impl Reply {
    pub(super) fn reviewed(json: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body: json, json: true, close: false, outcome: Outcome::Reviewed, shed: None }
    }

    /// 503 that the API server repeats, on a new connection and so perhaps on another replica.
    pub(super) fn shed(reason: Shed, why: &str) -> Self {
        let text = format!("portcullis cannot answer this review now: {why}; try again\n");
        Self { shed: Some(reason), ..Self::refused(StatusCode::SERVICE_UNAVAILABLE, Outcome::Shed, text) }
    }

    pub(super) fn bad_request(why: String) -> Self {
        Self { close: false, ..Self::refused(StatusCode::BAD_REQUEST, Outcome::BadRequest, why) }
    }

    pub(super) fn broken_body(why: &str) -> Self {
        let text = format!("the request body could not be read to its end: {why}\n");
        Self::refused(StatusCode::BAD_REQUEST, Outcome::BadRequest, text)
    }

    pub(super) fn slow_body() -> Self {
        let text = "the request body did not arrive in time\n".to_owned();
        Self::refused(StatusCode::REQUEST_TIMEOUT, Outcome::SlowBody, text)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let text = format!(
            "the review is larger than the {limit} bytes that portcullis reads; \
             raise --body-limit (and --max-inflight-bytes with it) if the object is legitimate\n"
        );
        Self::refused(StatusCode::PAYLOAD_TOO_LARGE, Outcome::TooLarge, text)
    }

    pub(super) fn wrong_content_type(said: Option<&str>) -> Self {
        let said = said.map_or_else(|| "no content type".to_owned(), |said| format!("content type {said:?}"));
        let text = format!("expected an AdmissionReview as application/json, got {said}\n");
        Self::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::UnsupportedMedia, text)
    }

    pub(super) fn encoded(encoding: &str) -> Self {
        let text = format!("expected an AdmissionReview without content encoding, got {encoding:?}\n");
        Self::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::UnsupportedMedia, text)
    }

    /// No `Retry-After`: the same review would most likely end the same way.
    pub(super) fn panicked() -> Self {
        let text = "portcullis failed inside while answering this review, which is a defect; nothing was allowed. \
                    Its log has the panic message and the place\n";
        let reply = Self::refused(StatusCode::INTERNAL_SERVER_ERROR, Outcome::Panicked, text.to_owned());
        Self { close: false, ..reply }
    }

    pub(super) fn wrong_path() -> Self {
        let text = format!("nothing here: reviews go to POST {REVIEW_PATH}, health and metrics to the admin port\n");
        Self::refused(StatusCode::NOT_FOUND, Outcome::NotFound, text)
    }

    pub(super) fn wrong_method() -> Self {
        let text = format!("reviews go to POST {REVIEW_PATH}\n");
        Self::refused(StatusCode::METHOD_NOT_ALLOWED, Outcome::MethodNotAllowed, text)
    }

    /// A refusal closes its connection unless it says otherwise: the body may be unread, and what follows it is unknown.
    fn refused(status: StatusCode, outcome: Outcome, text: String) -> Self {
        Self { status, body: text.into_bytes(), json: false, close: true, outcome, shed: None }
    }

    pub(super) fn into_response(self, draining: bool) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let kind = if self.json { "application/json" } else { "text/plain; charset=utf-8" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if self.shed.is_some() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.close || draining {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}
