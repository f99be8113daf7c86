//! Threads with a scheduler of their own, so that one kind of work cannot hold up another.

use std::io;
use std::num::NonZero;

use tokio::runtime::{Builder, Handle, Runtime};

/// Stack of each thread, as large as the main thread's: the command line and the server then read the same input.
pub const STACK: usize = 8 << 20;

/// The most threads for connections: four encrypt more than any API server sends.
const MOST_FOR_CONNECTIONS: usize = 4;

/// Threads for connections on this machine.
pub(super) fn for_connections() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_FOR_CONNECTIONS)
}

/// Threads that run futures until they are dropped; dropping waits for nothing.
#[derive(Debug)]
pub(super) struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    /// Starts `count` threads that can wait for sockets and time.
    pub(super) fn with_io(name: &str, count: usize) -> io::Result<Self> {
        Self::build(Builder::new_multi_thread().enable_all(), name, count)
    }

    /// Starts `count` threads that compute; futures on them may wait for futures of other threads and for time.
    pub(super) fn for_work(name: &str, count: usize) -> io::Result<Self> {
        Self::build(Builder::new_multi_thread().enable_time(), name, count)
    }

    fn build(builder: &mut Builder, name: &str, count: usize) -> io::Result<Self> {
        let runtime = builder.worker_threads(count.max(1)).thread_name(name).thread_stack_size(STACK).build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where futures are handed over.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop waits for the threads, which async code must not do and a review in progress may draw out.
            runtime.shutdown_background();
        }
    }
}
