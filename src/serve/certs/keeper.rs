//! The loop that carries out the plan: look, serve what is there, do one thing, look again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::holding::{BUNDLE, CA_KEY, Ca, Holding, LEAF, LEAF_KEY};
use super::issue::{self, Issued};
use super::plan::{Action, Seen, bundle_of, observe, plan};
use super::store::{Published, SecretState, Store, StoreError};
use super::{Identity, SelfManaged, Served, bundle};

/// One look with all its writes must not hang on a silent API server.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// After a failure or a lost race; short, because a replica that starts is waited for.
const RETRY: Duration = Duration::from_secs(1);
/// Mint, publish and a look are three; more is a quarrel.
const MOST_IN_A_ROW: u32 = 6;

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Again,
    Rest,
}

/// Keeps one process's served certificate in step with the Secret, and the Secret and the bundle in order.
pub(super) struct Keeper {
    settings: SelfManaged,
    store: Arc<dyn Store>,
    served: Arc<Served>,
    seen: Option<Seen>,
}

/// Runs a keeper; ends only when dropped.
pub(in crate::serve) async fn keep(settings: SelfManaged, store: Arc<dyn Store>, served: Arc<Served>) {
    let poll = settings.poll;
    let mut keeper = Keeper::new(settings, store, served);
    let mut last_failure = None;
    let mut in_a_row = 0_u32;
    loop {
        let step = tokio::time::timeout(STEP_TIMEOUT, keeper.step())
            .await
            .unwrap_or_else(|_| Err(StoreError::Failed("the API server does not answer".to_owned())));
        let pause = match step {
            Ok(next) => {
                last_failure = None;
                in_a_row = if next == Next::Again { in_a_row.saturating_add(1) } else { 0 };
                // Someone who undoes every write must not turn this into a busy loop.
                if (1..MOST_IN_A_ROW).contains(&in_a_row) { Duration::ZERO } else { poll }
            }
            Err(StoreError::Conflict) => RETRY.min(poll) / 10,
            Err(StoreError::Failed(why)) => {
                keeper.served.count_failure();
                // A lasting fault is said once; the counter shows that it lasts.
                if last_failure.as_ref() != Some(&why) {
                    tracing::warn!("certificates could not be looked after: {why}. Trying again");
                }
                last_failure = Some(why);
                RETRY.min(poll)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Keeper {
    pub(super) fn new(settings: SelfManaged, store: Arc<dyn Store>, served: Arc<Served>) -> Self {
        Self { settings, store, served, seen: None }
    }

    /// One look and at most one write.
    pub(super) async fn step(&mut self) -> Result<Next, StoreError> {
        let now = self.store.now().await?;
        self.served.set_skew(now.as_second() - Timestamp::now().as_second());
        // In this order: a bundle is written under the version read before the Secret, so that an older Secret's bundle
        // can never replace a newer one's.
        let published = self.store.read_published().await?;
        let secret = self.store.read_secret().await?;
        let holding = secret.as_ref().map(|secret| Holding::read(&secret.data)).unwrap_or_default();
        if let Some(leaf) = &holding.leaf {
            self.serve(leaf);
        }
        self.served.set_problem(self.problem(now, published.as_ref()));
        self.seen = observe(self.seen.take(), now, &holding, published.as_ref());

        match plan(&self.settings, now, &holding, published.as_ref(), self.seen.as_ref()) {
            Action::Rest => return Ok(Next::Rest),
            Action::Publish { bundle } => {
                tracing::info!(configuration = %self.settings.webhook_configuration, "publishing the CA bundle");
                self.store.publish(published.unwrap_or_default(), bundle).await?;
            }
            Action::Mint { keep, with_leaf, why } => {
                tracing::info!(secret = %self.settings.secret, with_leaf, "making a new CA: {why}");
                let ca = issue::ca(&self.settings, now).map_err(|error| cannot_make(&error))?;
                self.write(secret, now, Some((ca, keep)), with_leaf).await?;
            }
            Action::IssueLeaf { why } => {
                tracing::info!(secret = %self.settings.secret, "making a new leaf: {why}");
                self.write(secret, now, None, true).await?;
            }
        }
        Ok(Next::Again)
    }

    fn serve(&self, leaf: &Arc<Identity>) {
        let same = self.served.identity().is_some_and(|served| served.leaf() == leaf.leaf());
        if !same {
            self.served.swap(Arc::clone(leaf));
        }
    }

    /// Why the API server would not accept what is served, although it is valid.
    fn problem(&self, now: Timestamp, published: Option<&Published>) -> Option<String> {
        let name = &self.settings.webhook_configuration;
        let Some(published) = published else {
            return Some(format!(
                "ValidatingWebhookConfiguration {name} does not exist, so nothing is reviewed; install it (helm upgrade)"
            ));
        };
        let identity = self.served.identity()?;
        let (webhook, why) = published.webhooks.iter().find_map(|(webhook, bundle)| {
            bundle::why_refused(&identity, bundle, self.settings.server_name(), now).map(|why| (webhook, why))
        })?;
        let claim = published.other_injector.as_ref().map_or_else(String::new, |annotation| {
            format!(
                "; its annotation {annotation} gives the caBundle to another controller: remove it, or use --cert-dir"
            )
        });
        Some(format!(
            "the caBundle of webhook {webhook} in ValidatingWebhookConfiguration {name} does not verify the serving \
             certificate ({why}){claim}"
        ))
    }

    /// Writes a new CA, a new leaf or both in one go, keeping whatever else is in the Secret.
    async fn write(
        &self,
        secret: Option<SecretState>,
        now: Timestamp,
        new_ca: Option<(Issued, Vec<Ca>)>,
        with_leaf: bool,
    ) -> Result<(), StoreError> {
        let (version, mut data) =
            secret.map_or((None, std::collections::BTreeMap::new()), |secret| (Some(secret.version), secret.data));
        if let Some((ca, keep)) = new_ca {
            data.insert(BUNDLE.to_owned(), format!("{}{}", ca.certificate, bundle_of(&keep)).into_bytes());
            data.insert(CA_KEY.to_owned(), ca.key.into_bytes());
        }
        if with_leaf {
            let holding = Holding::read(&data);
            let (Some(ca), Some(key)) = (holding.cas.first(), &holding.ca_key) else {
                return Err(StoreError::Failed(format!("no CA to sign with: {}", holding.faults.join("; "))));
            };
            let leaf = issue::leaf(&self.settings, ca, key, now).map_err(|error| cannot_make(&error))?;
            data.insert(LEAF.to_owned(), leaf.certificate.into_bytes());
            data.insert(LEAF_KEY.to_owned(), leaf.key.into_bytes());
        }
        self.store.write_secret(version, data).await
    }
}

fn cannot_make(error: &rcgen::Error) -> StoreError {
    StoreError::Failed(format!("a certificate could not be made: {error}"))
}
