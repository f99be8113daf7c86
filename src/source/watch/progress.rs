//! How far each watch has come: whether it may be answered from what is published, and what to tell people if not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::client::RequestError;
use super::resource::Resource;

/// Progress of all kinds.
#[derive(Debug)]
pub(super) struct Progress {
    kinds: [KindProgress; Resource::ALL.len()],
    start: Instant,
    /// Counts how often a kind has found the API server answering again.
    came_back: watch::Sender<u64>,
    /// Why nothing will ever come again, which only a defect can cause.
    broken: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct KindProgress {
    synced: AtomicBool,
    absent: AtomicBool,
    /// Milliseconds since the start up to which the published state is known to be complete.
    complete_at: AtomicU64,
    objects: AtomicU64,
    relists: AtomicU64,
    unreadable: AtomicU64,
    trouble: Mutex<Option<RequestError>>,
}

/// Numbers of one kind, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindNumbers {
    /// The kind.
    pub resource: Resource,
    /// Objects known.
    pub objects: u64,
    /// Time since the published state was last known to be complete; `None` before the first list.
    pub age: Option<Duration>,
    /// Lists begun.
    pub relists: u64,
    /// Objects, lines and pages that could not be read.
    pub unreadable: u64,
    /// Whether the kind exists in the cluster.
    pub absent: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves plain values here, never half-made ones.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            kinds: std::array::from_fn(|_| KindProgress::default()),
            start: Instant::now(),
            came_back: watch::Sender::new(0),
            broken: watch::Sender::new(None),
        }
    }

    fn kind(&self, resource: Resource) -> &KindProgress {
        &self.kinds[resource.index()]
    }

    /// The published state holds everything up to this moment.
    pub(super) fn complete_at(&self, resource: Resource, at: Instant) {
        let millis = u64::try_from(at.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.kind(resource).complete_at.fetch_max(millis, Ordering::Relaxed);
    }

    /// A whole list has been published, or the kind is known not to exist.
    pub(super) fn synced(&self, resource: Resource, absent: bool) {
        self.kind(resource).absent.store(absent, Ordering::Relaxed);
        self.kind(resource).synced.store(true, Ordering::Release);
    }

    pub(super) fn list_begun(&self, resource: Resource) {
        self.kind(resource).relists.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_readable(&self, resource: Resource) {
        self.kind(resource).unreadable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_objects(&self, resource: Resource, objects: usize) {
        self.kind(resource).objects.store(u64::try_from(objects).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The last request failed like this, or went well.
    pub(super) fn set_trouble(&self, resource: Resource, trouble: Option<RequestError>) {
        *locked(&self.kind(resource).trouble) = trouble;
    }

    /// The API server answers one kind again after it did not: the others need not wait longer either.
    pub(super) fn came_back(&self) {
        self.came_back.send_modify(|times| *times += 1);
    }

    /// Tells when it came back.
    pub(super) fn coming_back(&self) -> watch::Receiver<u64> {
        self.came_back.subscribe()
    }

    /// A watch was opened: whatever else is wrong, it is not that it is forbidden.
    pub(super) fn allowed(&self, resource: Resource) {
        let mut trouble = locked(&self.kind(resource).trouble);
        if matches!(*trouble, Some(RequestError::Forbidden(_))) {
            *trouble = None;
        }
    }

    pub(super) fn set_broken(&self, why: String) {
        self.broken.send_replace(Some(why));
    }

    /// Waits until the state is not followed any more, and tells why.
    pub(super) async fn broken(&self) -> String {
        // It cannot be closed while `self` lives.
        self.broken.subscribe().wait_for(Option::is_some).await.ok().and_then(|why| why.clone()).unwrap_or_default()
    }

    pub(super) fn is_synced(&self, resource: Resource) -> bool {
        self.kind(resource).synced.load(Ordering::Acquire)
    }

    /// Time since the published state was last known to be complete.
    pub(super) fn age(&self, resource: Resource) -> Option<Duration> {
        let kind = self.kind(resource);
        let complete_at = Duration::from_millis(kind.complete_at.load(Ordering::Relaxed));
        self.is_synced(resource).then(|| self.start.elapsed().saturating_sub(complete_at))
    }

    /// Whether it has been listed, and the cluster has the kind.
    pub(super) fn is_present(&self, resource: Resource) -> bool {
        self.is_synced(resource) && !self.kind(resource).absent.load(Ordering::Relaxed)
    }

    /// Whether all these kinds are known to be complete up to at most this long ago.
    pub(super) fn is_fresh(&self, resources: impl IntoIterator<Item = Resource>, budget: Duration) -> bool {
        resources.into_iter().all(|resource| self.age(resource).is_some_and(|age| age <= budget))
    }

    /// Why nothing can be answered from this state; `None` if it can.
    pub(super) fn not_ready(&self, budget: Duration) -> Option<String> {
        if let Some(why) = &*self.broken.borrow() {
            return Some(why.clone());
        }
        let reasons: Vec<String> = Resource::ALL.iter().filter_map(|r| self.reason(*r, budget)).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn reason(&self, resource: Resource, budget: Duration) -> Option<String> {
        let trouble = locked(&self.kind(resource).trouble).clone();
        if let Some(RequestError::Forbidden(message)) = trouble {
            return Some(format!(
                "{resource}: forbidden: {message}; grant list and watch on {resource}, see the ClusterRole of Portcullis \
                 (check with: kubectl auth can-i watch {resource} --as=system:serviceaccount:NAMESPACE:NAME)"
            ));
        }
        let trouble = trouble.map(|error| format!(" ({error})")).unwrap_or_default();
        match self.age(resource) {
            None => Some(format!("{resource}: not listed yet{trouble}")),
            Some(age) if age > budget => {
                Some(format!("{resource}: nothing heard from the API server for {} s{trouble}", age.as_secs()))
            }
            Some(_) => None,
        }
    }

    pub(super) fn numbers(&self) -> Vec<KindNumbers> {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Resource::ALL
            .iter()
            .map(|&resource| {
                let kind = self.kind(resource);
                KindNumbers {
                    resource,
                    objects: count(&kind.objects),
                    age: self.age(resource),
                    relists: count(&kind.relists),
                    unreadable: count(&kind.unreadable),
                    absent: kind.absent.load(Ordering::Relaxed),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_mins(2);

    #[tokio::test]
    async fn whoever_waits_hears_that_nothing_is_followed_any_more() {
        let progress = Progress::new();
        let (why, ()) = tokio::join!(progress.broken(), async { progress.set_broken("the writer failed".to_owned()) });
        assert_eq!(
            (why.as_str(), progress.not_ready(BUDGET).as_deref()),
            ("the writer failed", Some("the writer failed"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_must_be_listed_allowed_and_alive() {
        let progress = Progress::new();
        let first = progress.not_ready(BUDGET).unwrap();
        assert!(Resource::ALL.iter().all(|r| first.contains(&format!("{r}: not listed yet"))), "{first}");

        for resource in Resource::ALL {
            progress.synced(resource, false);
            progress.complete_at(resource, Instant::now());
        }
        assert_eq!(progress.not_ready(BUDGET), None);

        progress.set_trouble(Resource::Pods, Some(RequestError::Forbidden("no".into())));
        assert!(progress.not_ready(BUDGET).unwrap().starts_with("pods: forbidden: no; grant list and watch on pods"));
        progress.set_trouble(Resource::Pods, None);

        tokio::time::advance(BUDGET + Duration::from_secs(1)).await;
        progress.set_trouble(Resource::Pods, Some(RequestError::Connection("refused".into())));
        let stale = progress.not_ready(BUDGET).unwrap();
        assert!(stale.contains("pods: nothing heard from the API server for 121 s (no connection"), "{stale}");

        for resource in Resource::ALL {
            progress.complete_at(resource, Instant::now());
        }
        assert_eq!(progress.not_ready(BUDGET), None, "it recovers by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_never_goes_back() {
        let progress = Progress::new();
        let before = Instant::now();
        progress.synced(Resource::Pods, false);
        tokio::time::advance(Duration::from_secs(10)).await;
        progress.complete_at(Resource::Pods, Instant::now());
        progress.complete_at(Resource::Pods, before);
        assert!(progress.is_fresh([Resource::Pods], Duration::ZERO));
        assert!(!progress.is_fresh([Resource::Pods, Resource::Namespaces], BUDGET), "not listed is not fresh");
    }
}
