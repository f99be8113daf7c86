//! A cluster whose consistent reads run on the threads that follow it, while a review waits for them on a thread for reviews.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::admission::{Cluster, ConfirmError};
use crate::model::Workload;
use crate::review::{User, World};
use crate::unseen::Unseen;

/// A connection that a read opens belongs to the threads of that read, and is then used by watches as well: on a thread
/// for reviews, computing a review would hold them up.
pub(super) struct Asking<C> {
    cluster: Arc<C>,
    /// Without threads of its own (in some tests) a read runs where it is called.
    threads: Option<Handle>,
}

impl<C: Cluster> Asking<C> {
    /// Reads run on the threads that call this.
    pub(super) fn here(cluster: Arc<C>) -> Self {
        Self { cluster, threads: Handle::try_current().ok() }
    }

    async fn run<T: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, ConfirmError>> + Send + 'static,
    ) -> Result<T, ConfirmError> {
        let Some(threads) = &self.threads else { return read.await };
        match AbortOnDropHandle::new(threads.spawn(read)).await {
            Ok(answer) => answer,
            Err(error) => Err(ConfirmError(format!("the read from the API server ended by itself: {error}"))),
        }
    }
}

impl<C: Cluster> Cluster for Asking<C> {
    fn current(&self) -> Arc<World> {
        self.cluster.current()
    }

    async fn confirm(&self, namespace: &str, deadline: Instant) -> Result<Arc<World>, ConfirmError> {
        let (cluster, namespace) = (Arc::clone(&self.cluster), namespace.to_owned());
        self.run(async move { cluster.confirm(&namespace, deadline).await }).await
    }

    fn may_be_behind(&self, namespace: &str) -> bool {
        self.cluster.may_be_behind(namespace)
    }

    fn unseen(&self) -> Option<&Unseen> {
        self.cluster.unseen()
    }

    async fn pod(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Option<Workload>, ConfirmError> {
        let (cluster, namespace, name) = (Arc::clone(&self.cluster), namespace.to_owned(), name.to_owned());
        self.run(async move { cluster.pod(&namespace, &name, deadline).await }).await
    }

    async fn may_edit_house_rules(&self, user: &User) -> Result<bool, ConfirmError> {
        let (cluster, user) = (Arc::clone(&self.cluster), user.clone());
        self.run(async move { cluster.may_edit_house_rules(&user).await }).await
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Noting;

    impl Cluster for Noting {
        fn current(&self) -> Arc<World> {
            Arc::default()
        }

        async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
            Err(ConfirmError(thread::current().name().unwrap_or_default().to_owned()))
        }

        fn may_be_behind(&self, _namespace: &str) -> bool {
            false
        }

        fn unseen(&self) -> Option<&Unseen> {
            None
        }

        async fn pod(&self, _: &str, _: &str, _: Instant) -> Result<Option<Workload>, ConfirmError> {
            Ok(None)
        }

        async fn may_edit_house_rules(&self, _user: &User) -> Result<bool, ConfirmError> {
            panic!("scripted")
        }
    }

    #[test]
    fn reads_run_on_the_threads_of_the_cluster_and_a_panic_there_is_an_error() {
        let threads = |name: &str| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name(name)
                .enable_all()
                .build()
                .unwrap()
        };
        let (home, reviews) = (threads("home"), threads("review"));
        let asking = home.block_on(async { Asking::here(Arc::new(Noting)) });
        let asked = reviews.spawn(async move {
            let seen = asking.confirm("shop", Instant::now()).await;
            (seen, asking.may_edit_house_rules(&User::default()).await)
        });
        let (seen, allowed) = reviews.block_on(asked).unwrap();
        assert_eq!(seen.unwrap_err().0, "home");
        assert!(allowed.unwrap_err().0.contains("ended by itself"));
    }
}
