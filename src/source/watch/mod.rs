//! The state of a cluster, followed by watches: one follower per kind hands what comes to one writer, which publishes
//! whole versions. Reviews hold one version from start to end and never wait for a writer.

mod access;
mod client;
mod confirm;
mod desk;
mod follow;
mod item;
mod once;
mod progress;
mod resource;
mod scout;
#[cfg(test)]
mod script;
mod tasks;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub use access::AccessError;
pub use confirm::{ConfirmError, ConfirmNumbers};
pub use desk::Desk;
pub use follow::Timing;
pub use item::{Configured, Key};
pub use once::{Omitted, OnceError, Wanted, read_once};
pub use progress::KindNumbers;
pub use resource::Resource;

use crate::model::house::Level;
use crate::model::{Str, Workload};
use crate::review::{User, World};
use crate::unseen::Unseen;
use client::RequestError;
use confirm::{CLUSTER, FromApi, Reader};
use progress::Progress;

/// Pages and events that wait for the writer, before the followers wait for it.
const QUEUE: usize = 64;

/// How a cluster is followed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace whose RuleExceptions count.
    pub config_namespace: Str,
    /// No finding goes above this level.
    pub cap: Level,
    /// Level at which findings about pods that a controller makes are capped.
    pub from_controllers: Level,
    /// Without a word from the API server for longer than this, nothing is answered.
    pub give_up_after: Duration,
    /// An approval needs policies and namespaces to be known this freshly; otherwise the namespace is read again. API
    /// servers send a word every 30 seconds or so.
    pub fresh_for: Duration,
    /// Times of lists and watches.
    pub timing: Timing,
}

impl Settings {
    /// The defaults, with exceptions from this namespace.
    pub fn new(config_namespace: impl Into<Str>) -> Self {
        Self {
            config_namespace: config_namespace.into(),
            cap: Level::Enforce,
            from_controllers: Level::Warn,
            give_up_after: Duration::from_mins(2),
            fresh_for: Duration::from_mins(1),
            timing: Timing::default(),
        }
    }
}

/// Settings of the client that following needs: the followers do their own waiting and trying, and know how long a
/// healthy silence is; a connection that does not come about should fail while there is time for another.
#[must_use]
pub fn client_config(mut config: kube::Config) -> kube::Config {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config
}

/// What is shared by those who follow and those who ask.
#[derive(Debug)]
struct Shared {
    world: ArcSwap<World>,
    desk: watch::Sender<Arc<Desk>>,
    progress: Arc<Progress>,
    /// Changes that were admitted here and not seen yet.
    unseen: Arc<Unseen>,
    /// Whether a policy names Services, which are followed only then.
    services_named: watch::Sender<bool>,
}

/// A cluster that is followed. Following ends when this is dropped.
pub struct Watched {
    shared: Arc<Shared>,
    settings: Settings,
    client: Client,
    reader: Reader<FromApi>,
    _tasks: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("shared", &self.shared)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Numbers for metrics.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Per kind.
    pub kinds: Vec<KindNumbers>,
    /// Version of the published state.
    pub version: u64,
    /// Consistent reads.
    pub confirm: ConfirmNumbers,
}

impl Watched {
    /// Starts to follow. Must be called within a tokio runtime; make the client with [`client_config`].
    pub fn start(client: Client, settings: Settings) -> Self {
        let desk = Desk::new(settings.config_namespace.clone());
        let shared = Arc::new(Shared {
            world: ArcSwap::default(),
            desk: watch::Sender::new(Arc::new(desk.clone())),
            progress: Arc::new(Progress::new()),
            unseen: Arc::default(),
            services_named: watch::Sender::new(false),
        });
        let (updates, inbox) = mpsc::channel(QUEUE);
        let tasks = tasks::run(client.clone(), desk, Arc::clone(&shared), settings.clone(), (updates, inbox));
        let from_api =
            FromApi { client: client.clone(), progress: Arc::clone(&shared.progress), within: settings.timing.list };
        Self {
            shared,
            reader: Reader::new(from_api),
            settings,
            client,
            _tasks: AbortOnDropHandle::new(tokio::spawn(tasks)),
        }
    }

    /// The latest published state.
    pub fn current(&self) -> Arc<World> {
        self.shared.world.load_full()
    }

    /// Why reviews cannot be answered from it; `None` when they can.
    pub fn not_ready(&self) -> Option<String> {
        self.shared.progress.not_ready(self.settings.give_up_after)
    }

    /// Waits until the state is not followed any more, which only a defect can cause, and tells why.
    pub async fn broken(&self) -> String {
        self.shared.progress.broken().await
    }

    /// The latest state, with the policies and labels of this namespace, and the policies of the whole cluster, as the API
    /// server has them now: of every kind that there is, with their tiers and groups. For a change of the whole cluster the
    /// namespace is empty, and only those are read.
    pub async fn confirm(&self, namespace: &str, deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        let here = async {
            if namespace == CLUSTER { Ok(None) } else { self.reader.read(namespace, deadline).await.map(Some) }
        };
        let (everywhere, here) = futures::future::try_join(self.reader.read(CLUSTER, deadline), here).await?;
        let current = self.current();
        let mut snapshot = current.snapshot.clone();
        everywhere.overlay(CLUSTER, &mut snapshot);
        if let Some(here) = here {
            here.overlay(namespace, &mut snapshot);
        }
        Ok(Arc::new(World { snapshot, house: current.house.clone() }))
    }

    /// Whether an approval from the cache could be wrong for this namespace: the namespace itself has not been seen, or the
    /// watches have been silent for too long.
    pub fn may_be_behind(&self, namespace: &str) -> bool {
        let needed = Resource::ALL.into_iter().filter(|resource| resource.decides());
        !self.shared.progress.is_fresh(needed, self.settings.fresh_for)
            || (namespace != CLUSTER
                && !self.shared.world.load().snapshot.namespace(namespace).is_some_and(|state| state.is_known()))
    }

    /// Changes that were admitted here and that the watches have not shown yet.
    pub fn unseen(&self) -> &Unseen {
        &self.shared.unseen
    }

    /// A pod as the API server has it now; `None` where there is none.
    pub async fn pod(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Option<Workload>, ConfirmError> {
        let what = || format!("Pod {namespace}/{name}");
        let within = deadline.saturating_duration_since(Instant::now()).min(self.settings.timing.list);
        match confirm::pod(&self.client, namespace, name, within).await {
            Err(RequestError::Silent(_)) => Err(ConfirmError::Late { what: what() }),
            Err(error) => Err(ConfirmError::Failed { what: what(), why: error.to_string() }),
            Ok(pod) => Ok(pod),
        }
    }

    /// Whether the user may update HouseRules.
    pub async fn may_edit_house_rules(&self, user: &User) -> Result<bool, AccessError> {
        access::may_edit_house_rules(&self.client, user).await
    }

    /// Our own objects, and a signal when they change.
    pub fn desk(&self) -> watch::Receiver<Arc<Desk>> {
        self.shared.desk.subscribe()
    }

    /// Numbers for metrics.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            kinds: self.shared.progress.numbers(),
            version: self.shared.world.load().snapshot.version(),
            confirm: self.reader.numbers(),
        }
    }
}
