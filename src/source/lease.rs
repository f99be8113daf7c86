//! One replica among several: a Lease that is held as long as it is renewed. Only for work that does no harm when two do
//! it for a moment, such as writing a status.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use tokio::time::Instant;

/// How long a Lease counts after it was last renewed.
const LASTS: Duration = Duration::from_secs(15);
/// Renewed this often.
pub const RENEW: Duration = Duration::from_secs(5);

/// What a replica knows of the Lease. Clocks of different nodes are never compared: what counts is how long ago *this*
/// replica saw the record change.
#[derive(Debug, Default)]
struct Observed {
    record: Option<(String, Option<MicroTime>)>,
    since: Option<Instant>,
}

impl Observed {
    /// Takes note of who holds the Lease. `true` if it can be taken: free, ours, or not renewed in its time.
    fn may_take(&mut self, spec: &LeaseSpec, identity: &str, now: Instant) -> bool {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let record = (holder, spec.renew_time.clone());
        if self.record.as_ref() != Some(&record) {
            self.record = Some(record);
            self.since = Some(now);
        }
        let holder = self.record.as_ref().map_or("", |(holder, _)| holder);
        let lasts = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map_or(LASTS, Duration::from_secs);
        holder.is_empty() || holder == identity || self.since.is_some_and(|since| now.duration_since(since) >= lasts)
    }
}

/// A candidate for a Lease.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    observed: Observed,
    held_at: Option<Instant>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("name", &self.name).field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Candidate {
    /// A candidate for this Lease; `identity` must be different in every replica, such as the pod's name.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            observed: Observed::default(),
            held_at: None,
        }
    }

    /// Whether the Lease is held now. It counts from before it was asked for, so that nobody else can hold it.
    pub fn holds(&self) -> bool {
        self.held_at.is_some_and(|at| at.elapsed() < LASTS)
    }

    /// Takes or renews the Lease, if that can be. Call it every [`RENEW`].
    pub async fn renew(&mut self) -> Result<bool, Error> {
        let asked = Instant::now();
        let taken = match self.leases.get_opt(&self.name).await? {
            None => self.create().await,
            Some(lease) => self.replace(lease, asked).await,
        };
        match taken {
            Ok(true) => self.held_at = Some(asked),
            Ok(false) => self.held_at = None,
            // Another replica was quicker.
            Err(Error::Api(status)) if status.is_conflict() || status.is_already_exists() => self.held_at = None,
            Err(error) => return Err(error),
        }
        Ok(self.holds())
    }

    async fn create(&self) -> Result<bool, Error> {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(self.spec(&LeaseSpec::default())) };
        self.leases.create(&PostParams::default(), &lease).await.map(|_| true)
    }

    async fn replace(&mut self, mut lease: Lease, now: Instant) -> Result<bool, Error> {
        let spec = lease.spec.take().unwrap_or_default();
        if !self.observed.may_take(&spec, &self.identity, now) {
            return Ok(false);
        }
        // The version that was read goes with it, so that of two who try only one succeeds.
        lease.spec = Some(self.spec(&spec));
        self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(|_| true)
    }

    fn spec(&self, old: &LeaseSpec) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let ours = old.holder_identity.as_deref() == Some(&*self.identity);
        let transitions = old.lease_transitions.unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            acquire_time: if ours { old.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_only_when_it_has_not_been_renewed_in_time() {
        let mut observed = Observed::default();
        let renewed = |second| LeaseSpec {
            holder_identity: Some("other".into()),
            lease_duration_seconds: Some(15),
            // Long past by our clock, which must not matter.
            renew_time: Some(MicroTime(Timestamp::from_second(second).unwrap())),
            ..LeaseSpec::default()
        };
        assert!(observed.may_take(&LeaseSpec::default(), "me", Instant::now()), "free");
        for second in 1..5 {
            assert!(!observed.may_take(&renewed(second), "me", Instant::now()), "alive");
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert!(observed.may_take(&renewed(9), "other", Instant::now()), "ours");
        tokio::time::advance(Duration::from_secs(15)).await;
        assert!(observed.may_take(&renewed(9), "me", Instant::now()), "not renewed");
    }
}
