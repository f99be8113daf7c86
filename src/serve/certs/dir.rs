//! Reads `tls.crt` and `tls.key` from a mounted Secret again and again, and serves each new pair that belongs together.
//!
//! Polling and not file events: a kubelet renews a mount by swapping the `..data` symlink, which events on the two
//! paths do not see, and a missed event would last until the pod restarts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{CertError, Identity, Served};

/// The two files as they were read.
#[derive(PartialEq, Eq)]
struct Pair {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// What one look at the directory found.
#[derive(PartialEq, Eq)]
enum Seen {
    Pair(Pair),
    /// A file cannot be read, in words.
    Unreadable(String),
}

/// Follows a directory into what is served; ends only when dropped.
pub(in crate::serve) async fn watch_directory(path: PathBuf, poll: Duration, served: Arc<Served>) {
    let mut last: Option<Seen> = None;
    loop {
        let seen = look(&path).await;
        // The same bytes give the same result: no reload, and no second line in the log for a lasting fault.
        if last.as_ref() != Some(&seen) {
            if let Err(why) = take(&seen, &served) {
                served.count_failure();
                let kept = served.identity().map(|identity| identity.not_after.to_string());
                tracing::warn!(
                    directory = %path.display(), kept_until = kept.as_deref().unwrap_or("none is loaded"),
                    "certificate not loaded: {why}; the one before is kept. It is tried again when tls.crt or tls.key changes"
                );
            }
            last = Some(seen);
        }
        tokio::time::sleep(poll).await;
    }
}

fn take(seen: &Seen, served: &Served) -> Result<(), String> {
    match seen {
        Seen::Unreadable(why) => Err(why.clone()),
        Seen::Pair(pair) => {
            let identity = Identity::from_pem(&pair.chain, &pair.key).map_err(|error| in_words(&error))?;
            served.swap(Arc::new(identity));
            Ok(())
        }
    }
}

fn in_words(error: &CertError) -> String {
    match error {
        CertError::Mismatch => error.to_string(),
        CertError::Key(_) => format!("tls.key: {error}"),
        CertError::NoCertificate | CertError::Certificate(_) => format!("tls.crt: {error}"),
    }
}

async fn look(path: &Path) -> Seen {
    // Both files through one resolved generation of the mount, so that a swap in between cannot mix two pairs.
    let generation = tokio::fs::canonicalize(path.join("..data")).await.unwrap_or_else(|_| path.to_owned());
    let read = async |name: &str| {
        tokio::fs::read(generation.join(name))
            .await
            .map_err(|error: io::Error| format!("{}: {error}", generation.join(name).display()))
    };
    match (read("tls.crt").await, read("tls.key").await) {
        (Ok(chain), Ok(key)) => Seen::Pair(Pair { chain, key }),
        (Err(why), _) | (_, Err(why)) => Seen::Unreadable(why),
    }
}
