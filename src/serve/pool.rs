//! The threads that judge reviews, with a bounded number of reviews queued for them; connections have threads of their own.
//!
//! Large reviews have a lane of their own: a review is computed in one piece, so that a core takes turns between a large
//! and a small one only when they are on different threads.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::options::Limits;
use super::threads::Threads;

/// For one place of a large review there are this many for others.
const PLACES_TO_A_LARGE_ONE: usize = 8;

/// Both lanes.
#[derive(Debug)]
pub(super) struct Pool {
    small: Lane,
    large: Lane,
    large_from: usize,
}

/// Threads and the places of reviews that are queued for them or under way.
#[derive(Debug)]
struct Lane {
    threads: Threads,
    places: Arc<Semaphore>,
}

/// A place in a lane; given back when dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    threads: &'a Threads,
    held: OwnedSemaphorePermit,
}

/// Why a review was not judged to its end.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// Its deadline passed while it was queued.
    Late,
    /// It panicked.
    Panicked,
    /// The threads are ending.
    Ending,
}

impl Pool {
    /// Starts the threads.
    pub(super) fn start(limits: &Limits) -> io::Result<Self> {
        let lane = |name: &str, threads: usize, places: usize| -> io::Result<Lane> {
            let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
            Ok(Lane { threads: Threads::for_work(name, threads)?, places })
        };
        Ok(Self {
            small: lane("review", limits.review_threads, limits.concurrency)?,
            large: lane("review-large", limits.review_threads / 2, limits.concurrency / PLACES_TO_A_LARGE_ONE)?,
            large_from: limits.large_body,
        })
    }

    /// A place for a review with a body of `bytes`, if one is free.
    pub(super) fn place(&self, bytes: usize) -> Option<Place<'_>> {
        let lane = if bytes < self.large_from { &self.small } else { &self.large };
        let held = Arc::clone(&lane.places).try_acquire_owned().ok()?;
        Some(Place { threads: &lane.threads, held })
    }
}

impl Place<'_> {
    /// Runs the review on the threads of the lane. It is dropped unjudged when `answer_by` passes before its turn, or when
    /// the caller stops waiting; the place is held until the computation has ended.
    pub(super) async fn judge<T: Send + 'static>(
        self,
        answer_by: Instant,
        review: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unfinished> {
        let Self { threads, held } = self;
        let judged = AbortOnDropHandle::new(threads.handle().spawn(async move {
            let _held = held;
            if Instant::now() >= answer_by {
                return None;
            }
            Some(review.await)
        }));
        match judged.await {
            Ok(answer) => answer.ok_or(Unfinished::Late),
            Err(error) => Err(unfinished(&error)),
        }
    }
}

fn unfinished(error: &JoinError) -> Unfinished {
    if error.is_panic() { Unfinished::Panicked } else { Unfinished::Ending }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn pool() -> Pool {
        Pool::start(&Limits { review_threads: 1, concurrency: 16, large_body: 100, ..Limits::default() }).unwrap()
    }

    /// Holds the only thread of a lane until the sender is dropped.
    fn occupy(pool: &Arc<Pool>, bytes: usize) -> (mpsc::Sender<()>, tokio::task::JoinHandle<bool>) {
        let (release, until) = mpsc::channel::<()>();
        let (started, running) = mpsc::channel();
        let pool = Arc::clone(pool);
        let task = tokio::spawn(async move {
            let work = async move {
                started.send(()).unwrap();
                until.recv().is_err()
            };
            pool.place(bytes).unwrap().judge(soon(), work).await.unwrap()
        });
        let task = tokio::task::block_in_place(|| {
            running.recv().unwrap();
            task
        });
        (release, task)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_reviews_do_not_hold_up_small_ones() {
        let pool = Arc::new(pool());
        let (release, task) = occupy(&pool, 100);
        assert_eq!(pool.place(99).unwrap().judge(soon(), async { 7 }).await.unwrap(), 7);
        drop(release);
        assert!(task.await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_review_whose_deadline_passes_in_the_queue_is_not_judged() {
        let pool = Arc::new(pool());
        let (release, task) = occupy(&pool, 1);
        let answer_by = Instant::now() + Duration::from_millis(20);
        let late = pool.place(1).unwrap().judge(answer_by, async { panic!("judged") });
        let released = async {
            tokio::time::sleep_until(answer_by).await;
            drop(release);
        };
        let (late, ()): (Result<(), _>, ()) = tokio::join!(late, released);
        assert!(matches!(late, Err(Unfinished::Late)), "{late:?}");
        assert!(task.await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_caller_who_leaves_the_queue_gives_its_place_back() {
        let pool = Arc::new(pool());
        let (release, task) = occupy(&pool, 1);
        let queued = pool.place(1).unwrap().judge(soon(), async { panic!("judged") });
        let left: Result<Result<(), _>, _> = tokio::time::timeout(Duration::from_millis(20), queued).await;
        assert!(left.is_err());
        drop(release);
        assert!(task.await.unwrap());
        while pool.small.places.available_permits() < 16 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn places_are_bounded_in_each_lane_and_a_panic_gives_its_own_back() {
        let pool = pool();
        let taken: Vec<_> = (0..16).map_while(|_| pool.place(1)).collect();
        assert_eq!((taken.len(), pool.place(1).is_some()), (16, false));
        let large: Vec<_> = (0..16).map_while(|_| pool.place(100)).collect();
        assert_eq!(large.len(), 2);
        drop(taken);
        let panicked: Result<(), _> = pool.place(1).unwrap().judge(soon(), async { panic!("scripted") }).await;
        assert!(matches!(panicked, Err(Unfinished::Panicked)), "{panicked:?}");
        assert_eq!(pool.place(1).unwrap().judge(soon(), async { 7 }).await.unwrap(), 7);
    }
}
