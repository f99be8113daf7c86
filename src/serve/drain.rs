//! The two tokens that end a server: drain (answer what comes, invite nobody) and abort (leave now).

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Asks a server to end; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// A shutdown that nobody has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that follows the process's signals: the first SIGTERM or SIGINT drains, the second aborts.
    ///
    /// Must be called inside a tokio runtime.
    pub fn on_signals() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_draining() {
                    tracing::warn!("second signal: leaving at once, open reviews are cut");
                    asked.abort();
                    return;
                }
                tracing::info!("signal received: draining; a second signal leaves at once");
                asked.drain();
            }
        });
        Ok(shutdown)
    }

    /// Starts the drain. Doing it again changes nothing.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends the server without waiting for anything.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits for the drain to begin.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits for the abort.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}
