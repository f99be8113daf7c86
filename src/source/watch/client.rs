//! The three requests that watching needs, over kube's client but with bodies left as they come, and with errors sorted
//! by what follows from them.

use std::time::Duration;

use axum::http::{HeaderMap, Request, Response, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::time::{Instant, timeout_at};

use super::wire::Status;

/// A line longer than this is no object that etcd could hold.
const LONGEST_LINE: usize = 64 << 20;
/// What is read of an error's body.
const LONGEST_ERROR: usize = 64 << 10;

/// Why a request gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// 410: the version asked for is no longer kept. Only a new list helps.
    #[error("the API server no longer keeps that version: {0}")]
    Gone(String),
    /// 403.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("not found: {0}")]
    NotFound(String),
    /// Any other refusal.
    #[error("the API server answered {code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// What it said.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// No connection, or it broke.
    #[error("no connection to the API server: {0}")]
    Connection(String),
    /// Nothing came in time.
    #[error("the API server was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came makes no sense.
    #[error("the API server's answer cannot be read: {0}")]
    Nonsense(String),
}

impl RequestError {
    /// What a status code means.
    pub(super) fn from_status(code: u16, message: String, retry_after: Option<Duration>) -> Self {
        match code {
            410 => Self::Gone(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            code => Self::Refused { code, message, retry_after },
        }
    }

    fn connection(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            cause = inner.source();
        }
        Self::Connection(text)
    }
}

/// What is asked of a list.
#[derive(Debug, Default)]
pub(super) struct ListQuery<'a> {
    pub(super) limit: u32,
    pub(super) more: Option<&'a str>,
}

/// The list's URL. No resourceVersion is given: the answer is then at least as new as the request, so that a new list
/// can never lead back into the past, whichever API server answers.
pub(super) fn list_path(path: &str, query: &ListQuery<'_>) -> String {
    let more = query.more.map(|token| format!("&continue={}", encode(token))).unwrap_or_default();
    format!("{path}{}limit={}{more}", next(path), query.limit)
}

/// What comes before one more parameter.
fn next(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}

/// Reads one answer as a whole.
pub(super) async fn get(client: &Client, path: &str, within: Duration) -> Result<Bytes, RequestError> {
    let deadline = Instant::now() + within;
    timeout_at(deadline, async {
        let response = open(client, path).await?;
        let body = response.into_body().collect().await.map_err(|error| RequestError::connection(&error))?;
        Ok(body.to_bytes())
    })
    .await
    .unwrap_or(Err(RequestError::Silent(within)))
}

/// Opens a watch from this version on.
pub(super) async fn watch(
    client: &Client,
    collection: &str,
    version: &str,
    lasting: Duration,
    grace: Duration,
) -> Result<Lines, RequestError> {
    let path = format!(
        "{collection}{}watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
        next(collection),
        encode(version),
        lasting.as_secs().max(1)
    );
    // The server ends the stream by itself; one that does not is gone, though the connection may not know it yet.
    let silent = lasting + grace;
    let deadline = Instant::now() + silent;
    let response = timeout_at(deadline, open(client, &path)).await.unwrap_or(Err(RequestError::Silent(silent)))?;
    Ok(Lines { body: response.into_body(), read: BytesMut::new(), searched: 0, deadline, silent })
}

async fn open(client: &Client, path: &str) -> Result<Response<Body>, RequestError> {
    let request = Request::get(path)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|error| RequestError::Nonsense(error.to_string()))?;
    let response = client.send(request).await.map_err(|error| RequestError::connection(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let body = http_body_util::Limited::new(response.into_body(), LONGEST_ERROR).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let message = serde_json::from_slice::<Status>(&bytes)
        .map_or_else(|_| String::from_utf8_lossy(&bytes).chars().take(200).collect(), |status| status.text());
    Err(RequestError::from_status(code, message, retry_after))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(120)))
}

/// Percent-encodes all but what is plain in every URL.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The lines of a watch stream.
#[derive(Debug)]
pub(super) struct Lines {
    body: Body,
    read: BytesMut,
    searched: usize,
    deadline: Instant,
    silent: Duration,
}

impl Lines {
    /// The next line; `None` when the server has ended the stream. Half a line at the end is an end as well: the
    /// watch is taken up again from the last whole one.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        loop {
            if let Some(found) = self.read.get(self.searched..).and_then(|new| new.iter().position(|b| *b == b'\n')) {
                let line = self.read.split_to(self.searched + found + 1).freeze();
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.read.len();
            if self.read.len() > LONGEST_LINE {
                return Err(RequestError::Nonsense(format!("a line of more than {LONGEST_LINE} bytes")));
            }
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            match frame.map_err(|_| RequestError::Silent(self.silent))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(RequestError::connection(&error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_encoded() {
        assert_eq!(encode("eyJ2Ijoi+/=="), "eyJ2Ijoi%2B%2F%3D%3D");
        assert_eq!(list_path("/x", &ListQuery { limit: 5, more: Some("a=") }), "/x?limit=5&continue=a%3D");
        assert_eq!(list_path("/x?a=b", &ListQuery { limit: 5, more: None }), "/x?a=b&limit=5");
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let service = tower::service_fn(|_: Request<Body>| async {
            let chunks = ["ab", "c\n\nd", "e\nhalf"].map(Ok::<_, std::io::Error>);
            let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
            Ok::<_, std::io::Error>(Response::new(body))
        });
        let client = Client::new(service, "default");
        let second = Duration::from_secs(1);
        let mut lines = watch(&client, "/api/v1/pods", "1", second, second).await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "abc\n");
        assert_eq!(lines.next().await.unwrap().unwrap(), "de\n");
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
