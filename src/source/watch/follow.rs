//! Follows one kind: list, watch from there, watch on; list again when the thread is lost. What comes is handed to the
//! writer in order. Nothing here ever moves the state into the past: lists are consistent reads, and a stream whose
//! versions run backwards is given up.

mod elsewhere;
mod timing;

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::client::{self, Lines, ListQuery, RequestError};
use super::item::{Item, Key};
use super::progress::Progress;
use super::resource::Resource;
use super::wire::{Head, Line, Page, Status};
use crate::model::sighting::Hints;
pub use timing::Timing;

/// Refusals in a row after which a new list is taken instead of the same watch once more.
const PATIENCE: u32 = 4;

/// How long the first watch after a failure lasts. Its end in good order tells that nothing has happened, which the end
/// of a long one would tell half a minute later.
const FIRST_WATCH: Duration = Duration::from_secs(3);

/// What the writer is told.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time goes through a channel and is taken apart")]
pub(super) enum Update {
    /// A new list begins; what came of an unfinished one is void.
    ListBegun(Resource),
    /// A part of it.
    Page(Resource, Vec<Item>),
    /// It is complete, and at least as new as this moment.
    ListEnded(Resource, Instant),
    /// An object has come or changed.
    Changed(Resource, Item, Instant),
    /// An object is gone.
    Deleted(Resource, Key, Instant),
    /// Nothing more has happened up to this moment.
    Complete(Resource, Instant),
    /// The kind does not exist.
    Absent(Resource, Instant),
    /// What tells of the network besides its agents.
    Hints(Hints),
}

/// The writer is gone; so is the process, soon.
#[derive(Debug)]
pub(super) struct WriterGone;

enum Trouble {
    /// The thread is lost: list again.
    Lost(String),
    /// A request failed.
    Failed(RequestError),
    Gone(WriterGone),
}

impl From<RequestError> for Trouble {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Gone(message) => Self::Lost(format!("version no longer kept: {message}")),
            error => Self::Failed(error),
        }
    }
}

impl From<WriterGone> for Trouble {
    fn from(gone: WriterGone) -> Self {
        Self::Gone(gone)
    }
}

/// Follows one kind.
pub(super) struct Follower {
    pub(super) resource: Resource,
    pub(super) client: Client,
    pub(super) writer: mpsc::Sender<Update>,
    pub(super) progress: Arc<Progress>,
    pub(super) timing: Timing,
    /// Where the collection is, as far as is known.
    path: &'static str,
    /// What the first of two places answered, while the second is tried.
    elsewhere: Option<RequestError>,
    /// The version up to which everything has been handed over; `None` calls for a list.
    at: Option<String>,
    failures: u32,
    troubled_since: Option<Instant>,
    /// Whether the last failure was that the API server was not there, and not that it refused.
    gone_away: bool,
    coming_back: watch::Receiver<u64>,
    seen_absent: bool,
    in_one: bool,
    /// Whether anybody asks for it, where it is not followed for its own sake.
    pub(super) named: Option<watch::Receiver<bool>>,
}

impl Follower {
    pub(super) fn new(
        resource: Resource,
        client: Client,
        writer: mpsc::Sender<Update>,
        progress: Arc<Progress>,
        timing: Timing,
    ) -> Self {
        let coming_back = progress.coming_back();
        Self {
            resource,
            client,
            writer,
            progress,
            timing,
            path: resource.path(),
            elsewhere: None,
            at: None,
            failures: 0,
            troubled_since: None,
            gone_away: false,
            coming_back,
            seen_absent: false,
            in_one: false,
            named: None,
        }
    }

    /// Follows until the writer is gone.
    pub(super) async fn run(mut self) -> WriterGone {
        loop {
            // What other kinds find out from now on is news to this one.
            self.coming_back.mark_unchanged();
            if let Err(gone) = self.until_named().await {
                return gone;
            }
            let step = match self.at.clone() {
                None => self.list().await,
                Some(version) => self.watch(version).await,
            };
            let pause = match step {
                Ok(()) => continue,
                Err(Trouble::Gone(gone)) => return gone,
                Err(Trouble::Failed(error)) if self.try_elsewhere(&error) => continue,
                Err(Trouble::Failed(error)) => match self.nowhere(error).await {
                    Ok(pause) => pause,
                    Err(gone) => return gone,
                },
                Err(Trouble::Lost(why)) => {
                    tracing::info!(resource = %self.resource, why, "listing again");
                    self.at = None;
                    self.pause(None)
                }
            };
            self.sit_out(pause).await;
        }
    }

    /// Waits, though not longer than until another kind finds the API server back. Never less than the first pause, so
    /// that kinds whose luck changes quickly do not spur each other on.
    async fn sit_out(&mut self, pause: Duration) {
        let least = pause.min(self.timing.first_pause);
        tokio::time::sleep(least).await;
        if self.gone_away {
            // An error would mean that the sender is gone, which lives as long as this.
            let _ = tokio::time::timeout(pause.saturating_sub(least), self.coming_back.changed()).await;
        } else {
            tokio::time::sleep(pause.saturating_sub(least)).await;
        }
    }

    /// The API server has answered.
    fn answered(&mut self) {
        if std::mem::take(&mut self.gone_away) {
            self.progress.came_back();
        }
    }

    /// One complete list. After it `at` is its version.
    async fn list(&mut self) -> Result<(), Trouble> {
        self.progress.list_begun(self.resource);
        let begun = Instant::now();
        self.tell(Update::ListBegun(self.resource)).await?;
        let mut more: Option<String> = None;
        let version = loop {
            let limit = if self.in_one { 0 } else { self.timing.page };
            let path = client::list_path(self.path, &ListQuery { limit, more: more.as_deref() });
            let got = client::get(&self.client, &path, self.timing.list).await;
            // The list was longer in coming than the server keeps its versions: the next one comes in one piece.
            self.in_one = more.is_some() && matches!(got, Err(RequestError::Gone(_)));
            let bytes = got?;
            self.answered();
            let page: Page<'_> = serde_json::from_slice(&bytes).map_err(|error| {
                self.progress.not_readable(self.resource);
                RequestError::Nonsense(format!("a list of {}: {error}", self.resource))
            })?;
            let items: Vec<Item> = page.items.iter().flatten().filter_map(|raw| self.read(raw)).collect();
            self.tell(Update::Page(self.resource, items)).await?;
            more = page.metadata.more.filter(|token| !token.is_empty());
            if more.is_none() {
                break page.metadata.resource_version.unwrap_or_default();
            }
        };
        self.tell(Update::ListEnded(self.resource, begun)).await?;
        self.seen_absent = false;
        self.elsewhere = None;
        self.at = Some(version);
        Ok(())
    }

    /// One watch request, to its end.
    async fn watch(&mut self, from: String) -> Result<(), Trouble> {
        let lasting = match self.troubled_since {
            Some(_) => self.timing.watch.min(FIRST_WATCH),
            None => self.timing.watch.mul_f64(0.9 + 0.2 * chance()),
        };
        let opened = Instant::now();
        let mut lines =
            client::watch(&self.client, self.path, &from, lasting, self.timing.grace).await.map_err(|error| {
                match error {
                    // The version makes no sense to this server; no retry would change that.
                    RequestError::Refused { code: 400, message, .. } => Trouble::Lost(message),
                    error => error.into(),
                }
            })?;
        self.progress.allowed(self.resource);
        self.answered();
        while self.line(&mut lines).await? {}
        // Servers end a watch at its time. One that ends them at once would otherwise be asked in a tight loop.
        if opened.elapsed() < Duration::from_secs(1) && self.failures > 0 {
            return Err(RequestError::Connection("the watch ended as soon as it began".to_owned()).into());
        }
        if opened.elapsed() < lasting.saturating_sub(Duration::from_secs(5)) {
            self.failures += 1;
            return Ok(());
        }
        self.healthy();
        // It had this long to say what has happened, and came to its end in good order.
        self.tell(Update::Complete(self.resource, Instant::now())).await?;
        Ok(())
    }

    /// One line of the stream; `false` at its end.
    async fn line(&mut self, lines: &mut Lines) -> Result<bool, Trouble> {
        let Some(bytes) = lines.next().await? else { return Ok(false) };
        let now = Instant::now();
        let line: Line<'_> = serde_json::from_slice(&bytes).map_err(|error| {
            // Which object it was about is not known, so neither is what has changed.
            self.progress.not_readable(self.resource);
            Trouble::Lost(format!("a line of the watch cannot be read: {error}"))
        })?;
        if line.kind == "ERROR" {
            let status: Status = serde_json::from_str(line.object.get()).unwrap_or_default();
            return Err(RequestError::from_status(status.code.unwrap_or(500), status.text(), None).into());
        }
        let head = Head::of(line.object);
        self.advance(head.metadata.resource_version.as_deref())?;
        match &*line.kind {
            "BOOKMARK" => self.tell(Update::Complete(self.resource, now)).await?,
            "DELETED" => match head.key() {
                Some(key) => self.tell(Update::Deleted(self.resource, key, now)).await?,
                None => return Err(Trouble::Lost("an object without a name was deleted".to_owned())),
            },
            "ADDED" | "MODIFIED" => {
                if let Some(item) = self.read(line.object) {
                    self.tell(Update::Changed(self.resource, item, now)).await?;
                }
            }
            other => return Err(Trouble::Lost(format!("the watch says {other:?}, which is no known event"))),
        }
        self.healthy();
        Ok(true)
    }

    /// Takes note of a version. One that is lower than the last comes from a server that is behind.
    fn advance(&mut self, version: Option<&str>) -> Result<(), Trouble> {
        let Some(version) = version.filter(|version| !version.is_empty()) else { return Ok(()) };
        let number = |text: &str| text.parse::<u128>().ok();
        if let Some(last) = self.at.as_deref()
            && let (Some(last), Some(new)) = (number(last), number(version))
            && new < last
        {
            return Err(Trouble::Lost(format!("the watch went back from version {last} to {new}")));
        }
        self.at = Some(version.to_owned());
        Ok(())
    }

    fn read(&self, raw: &serde_json::value::RawValue) -> Option<Item> {
        match Item::read(self.resource, raw) {
            Ok(item) => Some(item),
            Err(why) => {
                self.progress.not_readable(self.resource);
                tracing::warn!(resource = %self.resource, why, "an object without a name is left out");
                None
            }
        }
    }

    /// The kind is not there. Where it was there before, one answer is not believed: a starting API server can say so.
    async fn absent(&mut self) -> Result<Duration, WriterGone> {
        self.at = None;
        if !std::mem::replace(&mut self.seen_absent, true) && self.progress.is_synced(self.resource) {
            return Ok(self.pause(None));
        }
        self.healthy();
        self.tell(Update::Absent(self.resource, Instant::now())).await?;
        Ok(self.timing.look_again)
    }

    fn failed(&mut self, error: RequestError) -> Duration {
        let asked = match &error {
            RequestError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        self.gone_away = match &error {
            RequestError::Connection(_) | RequestError::Silent(_) => true,
            RequestError::Refused { code, .. } => *code >= 500 && asked.is_none(),
            _ => false,
        };
        if self.troubled_since.is_none() {
            self.troubled_since = Some(Instant::now());
            tracing::warn!(resource = %self.resource, %error, "cannot follow; trying on until it works");
        } else {
            tracing::debug!(resource = %self.resource, %error, failures = self.failures, "still cannot follow");
        }
        let list_again = match &error {
            // Nothing is wrong with the version, and a list would only add to what a returning API server has to bear.
            RequestError::Connection(_) => false,
            // Lists may still come through where watches are swallowed.
            RequestError::Silent(_) => self.failures > 0,
            _ => self.failures >= PATIENCE,
        };
        if list_again {
            self.at = None;
        }
        self.progress.set_trouble(self.resource, Some(error));
        self.pause(asked)
    }

    fn healthy(&mut self) {
        self.failures = 0;
        if let Some(since) = self.troubled_since.take() {
            self.progress.set_trouble(self.resource, None);
            tracing::info!(resource = %self.resource, after_seconds = since.elapsed().as_secs(), "following again");
        }
    }

    /// Doubles with every failure in a row, and is never the same in all replicas.
    fn pause(&mut self, at_least: Option<Duration>) -> Duration {
        let pause = self.timing.first_pause.saturating_mul(1 << self.failures.min(16)).min(self.timing.longest_pause);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + 0.5 * chance()).max(at_least.unwrap_or_default())
    }

    async fn tell(&self, update: Update) -> Result<(), WriterGone> {
        self.writer.send(update).await.map_err(|_| WriterGone)
    }
}

/// A number from 0 to 1 that need not be hard to guess: every hasher of the standard library starts with other keys.
fn chance() -> f64 {
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
