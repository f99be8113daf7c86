//! Reads one request body within its size, the byte budget and its time.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::budget::Charge;

/// Why a body was not read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than the limit, as announced or as it came.
    TooLarge,
    /// The byte budget is used up.
    NoRoom,
    /// Not there in time.
    Slow,
    /// The connection or the chunking broke.
    Broken(String),
}

/// The whole body; its bytes stay charged as long as the charge lives.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    limit: usize,
    charge: &mut Charge,
    read_by: Instant,
) -> Result<Bytes, BodyError> {
    let announced = announced(headers);
    if let Some(length) = announced {
        if length > limit {
            return Err(BodyError::TooLarge);
        }
        charge.would_fit(length).map_err(|_| BodyError::NoRoom)?;
    }
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    let mut total = 0_usize;
    while let Some(frame) = timeout_at(read_by, body.frame()).await.map_err(|_| BodyError::Slow)? {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        // Trailers are dropped: nothing in a review is said in them.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total = total.saturating_add(data.len());
        if total > limit {
            return Err(BodyError::TooLarge);
        }
        charge.grow(data.len()).map_err(|_| BodyError::NoRoom)?;
        // Most reviews come in one piece, which is then passed on without a copy.
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            if joined.is_empty() {
                joined.reserve(announced.unwrap_or(0).max(total));
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // hyper has refused everything that is no number; one too large for us is too large in any case.
    Some(text.parse().unwrap_or(usize::MAX))
}
