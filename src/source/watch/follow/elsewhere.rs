//! Kinds that are served in one of two places, kinds that are nowhere, and those that nobody asks for.

use std::time::Duration;

use tokio::time::Instant;

use super::{Follower, RequestError, Update, WriterGone};

impl Follower {
    /// Whether the collection may be in another place, which is tried at once. An aggregated API server that is down, or
    /// one that this version has no permission for, must not hide what is stored elsewhere.
    pub(super) fn try_elsewhere(&mut self, error: &RequestError) -> bool {
        let not_here = matches!(
            error,
            RequestError::NotFound(_) | RequestError::Forbidden(_) | RequestError::Refused { code: 503, .. }
        );
        match self.resource.other_path() {
            Some(other) if not_here && self.path != other => {
                self.path = other;
                self.at = None;
                self.elsewhere = Some(error.clone());
                true
            }
            _ => false,
        }
    }

    /// The kind is not there, or it cannot be asked for; of two places the first says which.
    pub(super) async fn nowhere(&mut self, error: RequestError) -> Result<Duration, WriterGone> {
        let first = self.elsewhere.take();
        let missing = |error: &RequestError| matches!(error, RequestError::NotFound(_));
        if let (RequestError::Forbidden(_), Some(assumed)) = (&error, self.resource.if_forbidden()) {
            if !self.seen_absent {
                tracing::warn!(resource = %self.resource, %error, "{assumed}");
            }
            return self.absent().await;
        }
        if !missing(&error) || !self.resource.is_optional() {
            return Ok(self.failed(error));
        }
        self.path = self.resource.path();
        match first {
            Some(first) if !missing(&first) => Ok(self.failed(first)),
            _ => self.absent().await,
        }
    }

    /// Waits as long as nobody asks for the kind. It counts as one that is not there, and nothing waits for it.
    pub(super) async fn until_named(&mut self) -> Result<(), WriterGone> {
        let Some(mut named) = self.named.take() else { return Ok(()) };
        while !*named.borrow_and_update() {
            self.at = None;
            self.healthy();
            self.tell(Update::Absent(self.resource, Instant::now())).await?;
            // An error would mean that the sender is gone, which lives as long as this.
            let _ = tokio::time::timeout(self.timing.look_again, named.changed()).await;
        }
        self.named = Some(named);
        Ok(())
    }
}
