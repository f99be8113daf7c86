//! The whole way of one review: judged from the cache, confirmed where the cache could be behind, answered and recorded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::caps::{Caps, capped};
use super::change::{Asked, Binding, Sent, asked};
use super::decided::{Decided, Outcome};
use super::envelope::{self, Incoming};
use super::expected::{Otherwise, PATIENCE, note, otherwise};
use super::record::Record;
use super::response::Response;
use super::{Cluster, ConfirmError};
use crate::model::house::{House, Level};
use crate::model::{Change, Labels, Object};
use crate::review::{Scope, User, Verdict, World, home_of, lowers_level, review_written, without_own_labels};
use crate::snapshot::Snapshot;
use crate::unseen::{EXPECTED_FOR, Part};

/// Answers reviews against a cluster.
#[derive(Debug)]
pub struct Gate<C> {
    cluster: Arc<C>,
}

/// A verdict, and what besides it decides the answer.
struct Judged {
    verdict: Verdict,
    /// Whether it rests on a consistent read.
    confirmed: bool,
    refusal: Option<Refusal>,
    /// A warning.
    note: Option<String>,
    world: Arc<World>,
}

/// Why a change is refused that no house rule refuses.
enum Refusal {
    /// It lowers the level of a namespace.
    Lowers(String),
    /// Too much is changed at the same time.
    Busy(String),
}

impl Refusal {
    fn busy(home: &str) -> Self {
        let home = if home.is_empty() { "the whole cluster".to_owned() } else { format!("namespace {home}") };
        Self::Busy(format!(
            "too many changes in {home} were admitted within the last {} s and are not stored yet; send the request again in {} s",
            EXPECTED_FOR.as_secs(),
            EXPECTED_FOR.as_secs()
        ))
    }

    fn message(&self) -> &str {
        let (Self::Lowers(message) | Self::Busy(message)) = self;
        message
    }
}

/// What goes back to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An AdmissionReview.
    Review(Vec<u8>),
    /// The body was no review and had no uid.
    BadRequest(String),
    /// Another replica should be asked.
    Unavailable(String),
}

impl<C: Cluster> Gate<C> {
    /// A gate in front of this cluster.
    pub const fn new(cluster: Arc<C>) -> Self {
        Self { cluster }
    }

    /// Answers one review; `record` is told what it came to.
    pub async fn answer(&self, body: &[u8], deadline: Instant, record: impl Fn(&Decided<'_>) + Send + Sync) -> Reply {
        self.answer_capped(body, deadline, None, record, |_| {}).await
    }

    /// Answers one review under caps that take the place of the house's own; `later` takes what is to be recorded after the
    /// answer.
    pub async fn answer_capped(
        &self,
        body: &[u8],
        deadline: Instant,
        caps: Option<Caps>,
        record: impl Fn(&Decided<'_>) + Send + Sync,
        later: impl FnOnce(Record) + Send,
    ) -> Reply {
        let start = Instant::now();
        let mut decided = Decided {
            outcome: Outcome::Malformed,
            request: None,
            verdict: None,
            confirmed: false,
            took: Duration::ZERO,
            error: None,
        };
        let mut lean = String::new();
        let mut request = match envelope::open(body, &mut lean) {
            Ok(request) => request,
            Err(error) => {
                record(&Decided { took: start.elapsed(), error: Some(&error.message), ..decided });
                return match &error.uid {
                    Some(uid) => bad_request(uid, &error.message),
                    None => Reply::BadRequest(error.message),
                };
            }
        };
        let asked = asked(&mut request, body);
        decided.request = Some(&request);
        let asked = match asked {
            Asked::Bind(binding) => self.bound(&request, &binding, deadline).await,
            asked => Ok(asked),
        };
        let change = match asked {
            Ok(Asked::Judge(change)) => change,
            Ok(Asked::Pass(warning)) => {
                record(&Decided { outcome: Outcome::Passed, took: start.elapsed(), ..decided });
                let response = Response::allow(&request.uid);
                let response = if let Some(text) = warning { response.warn(text) } else { response };
                return Reply::Review(response.to_bytes());
            }
            Ok(Asked::Refuse(message)) => {
                record(&Decided { took: start.elapsed(), error: Some(&message), ..decided });
                return bad_request(&request.uid, &message);
            }
            // It has been looked up above.
            Ok(Asked::Bind(_)) => return Reply::Unavailable("a binding without its pod".to_owned()),
            Err(ConfirmError(error)) => {
                let outcome = Outcome::Unavailable;
                record(&Decided { outcome, took: start.elapsed(), error: Some(&error), ..decided });
                return Reply::Unavailable(error);
            }
        };
        let judged = match self.decide(&request, &change, &Sent { body, change: &change, caps }, deadline).await {
            Ok(judged) => judged,
            Err(ConfirmError(error)) => {
                let outcome = Outcome::Unavailable;
                record(&Decided { outcome, took: start.elapsed(), error: Some(&error), ..decided });
                return Reply::Unavailable(error);
            }
        };
        let Judged { verdict, confirmed, refusal, note, world } = &judged;
        let mut response = match refusal {
            Some(Refusal::Lowers(message)) => Response::refuse(&request.uid, 403, "Forbidden", message),
            Some(Refusal::Busy(message)) => Response::refuse(&request.uid, 429, "TooManyRequests", message),
            None => Response::of(&request.uid, verdict),
        };
        if let Some(note) = note {
            response = response.warn(note);
        }
        decided.outcome = if !verdict.is_allowed() || refusal.is_some() {
            Outcome::Denied
        } else if verdict.at(Level::Warn).next().is_some() {
            Outcome::Warned
        } else {
            Outcome::Allowed
        };
        let bytes = response.to_bytes();
        let (took, error) = (start.elapsed(), refusal.as_ref().map(Refusal::message));
        record(&Decided { verdict: Some(verdict), confirmed: *confirmed, took, error, ..decided });
        if decided.outcome != Outcome::Denied
            && let Some(waiting) = Record::of(&request, &change, world, body.len())
        {
            later(waiting);
        }
        Reply::Review(bytes)
    }

    /// Judges until the verdict holds with the changes that were admitted before it and without them. An admitted change is
    /// then one of those changes itself.
    async fn decide(
        &self,
        request: &Incoming<'_>,
        change: &Arc<Change>,
        sent: &Sent<'_>,
        deadline: Instant,
    ) -> Result<Judged, ConfirmError> {
        let home: &str =
            if matches!(change.object(), Some(Object::Namespace(_))) { &request.name } else { &request.namespace };
        let expected = self.cluster.unseen().zip(Part::of(change));
        let patience = Instant::now() + PATIENCE.min(deadline.saturating_duration_since(Instant::now()) / 2);
        loop {
            let look = expected.map(|(unseen, part)| unseen.look(home, part)).unwrap_or_default();
            let (world, verdict, confirmed) =
                self.judge((home, look.doubtful), request, change, sent, deadline).await?;
            let refusal = self.lowering(&request.user, change, sent.caps).await?.map(Refusal::Lowers);
            let judged = Judged { verdict, confirmed, refusal, note: None, world: Arc::clone(&world) };
            let Some((unseen, part)) = expected else { return Ok(judged) };
            if !judged.verdict.is_allowed() || judged.refusal.is_some() {
                return Ok(judged);
            }
            let again = |state: &Snapshot| judge(state, &world.house, request, change, sent, deadline);
            let denied = match otherwise(&world.snapshot, &look, again) {
                Otherwise::Admitted => {
                    if request.dry_run || unseen.admit(home, part, change, sent.body.len(), &look) {
                        return Ok(judged);
                    }
                    // Another change was admitted meanwhile.
                    if Instant::now() < patience {
                        continue;
                    }
                    Judged { refusal: Some(Refusal::busy(home)), ..judged }
                }
                Otherwise::Denied(verdict) => Judged { verdict: *verdict, note: Some(note(&look)), ..judged },
                Otherwise::Unknown => Judged { refusal: Some(Refusal::busy(home)), ..judged },
            };
            if Instant::now() >= patience {
                return Ok(denied);
            }
            unseen.moved_since(&look, home, part, patience).await;
        }
    }

    /// A binding with labels is a change of its pod.
    async fn bound(&self, request: &Incoming<'_>, binding: &Binding, deadline: Instant) -> Result<Asked, ConfirmError> {
        Ok(match self.cluster.pod(&request.namespace, &binding.pod, deadline).await? {
            Some(pod) => Asked::Judge(Arc::new(binding.change(pod))),
            // The API server finds out as well.
            None => Asked::Pass(None),
        })
    }

    /// Judges from the cache, and again from a consistent read where the cache could be the reason for the verdict.
    async fn judge(
        &self,
        (home, doubtful): (&str, bool),
        request: &Incoming<'_>,
        change: &Change,
        sent: &Sent<'_>,
        deadline: Instant,
    ) -> Result<(Arc<World>, Verdict, bool), ConfirmError> {
        // Asked before the world is taken: a state that catches up in between is not the one that is judged.
        let behind = doubtful || self.cluster.may_be_behind(home);
        let world = capped(self.cluster.current(), sent.caps);
        let verdict = judge(&world.snapshot, &world.house, request, change, sent, deadline);
        let stale = if verdict.is_allowed() { behind } else { verdict.rests_on_absence() };
        if !stale {
            return Ok((world, verdict, false));
        }
        let world = capped(self.cluster.confirm(home, deadline).await?, sent.caps);
        let verdict = judge(&world.snapshot, &world.house, request, change, sent, deadline);
        Ok((world, verdict, true))
    }

    /// Whether a namespace's labels are lowered by somebody who may not edit house rules.
    async fn lowering(&self, user: &User, change: &Change, caps: Option<Caps>) -> Result<Option<String>, ConfirmError> {
        let Some(Object::Namespace(new)) = &change.after else { return Ok(None) };
        let world = capped(self.cluster.current(), caps);
        let bare = || Object::Namespace(without_own_labels(new));
        let before = world.snapshot.with(&change.before.clone().unwrap_or_else(bare));
        let after = before.overlay(change);
        let (then, now) = (home_of(&before, &change.id), home_of(&after, &change.id));
        let Some(lowered) = lowers_level(&world.house, &then, &now) else { return Ok(None) };
        if self.cluster.may_edit_house_rules(user).await? {
            return Ok(None);
        }
        Ok(Some(format!(
            "the labels of Namespace {} lower its house rules ({lowered}), and {} may not update houserules.portcullis.dev\n\nAsk somebody who may, or leave out the change to the label {}",
            change.id.name,
            user.name,
            changed(then.labels(), now.labels()).join(" and ")
        )))
    }
}

fn judge(
    state: &Snapshot,
    house: &House,
    request: &Incoming<'_>,
    change: &Change,
    sent: &Sent<'_>,
    deadline: Instant,
) -> Verdict {
    let due_in = deadline.saturating_duration_since(Instant::now()).as_millis();
    let scope = Scope::of_answer(u64::try_from(due_in).unwrap_or(u64::MAX));
    review_written(state, house, change, &request.user, sent, scope)
}

/// Labels that are not the same in both.
fn changed<'a>(then: &'a Labels, now: &'a Labels) -> Vec<&'a str> {
    let beyond = |one: &'a Labels, other: &'a Labels| one.iter().filter(|(key, value)| other.get(key) != Some(value));
    let mut keys: Vec<&str> = beyond(then, now).chain(beyond(now, then)).map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn bad_request(uid: &str, message: &str) -> Reply {
    Reply::Review(Response::refuse(uid, 400, "BadRequest", message).to_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::model::Workload;
    use crate::unseen::Unseen;

    /// Behind until it is looked at: what it lacked arrives just then.
    #[derive(Default)]
    struct CatchingUp {
        caught_up: AtomicBool,
        confirmed: AtomicBool,
    }

    impl Cluster for CatchingUp {
        fn current(&self) -> Arc<World> {
            self.caught_up.store(true, Ordering::Relaxed);
            Arc::new(World { snapshot: Snapshot::default(), ..World::default() })
        }

        async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
            self.confirmed.store(true, Ordering::Relaxed);
            Ok(self.current())
        }

        fn may_be_behind(&self, _namespace: &str) -> bool {
            !self.caught_up.load(Ordering::Relaxed)
        }

        fn unseen(&self) -> Option<&Unseen> {
            None
        }

        async fn pod(&self, _: &str, _: &str, _: Instant) -> Result<Option<Workload>, ConfirmError> {
            Ok(None)
        }

        async fn may_edit_house_rules(&self, _user: &User) -> Result<bool, ConfirmError> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn an_approval_of_a_state_that_was_behind_is_confirmed_though_the_state_has_caught_up() {
        let cluster = Arc::new(CatchingUp::default());
        let policy = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"podSelector": {}}});
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
                "namespace": "n", "name": "p", "operation": "CREATE", "userInfo": {"username": "ann"}, "object": policy,
            },
        });
        let deadline = Instant::now() + Duration::from_secs(10);
        Gate::new(Arc::clone(&cluster)).answer(review.to_string().as_bytes(), deadline, |_| {}).await;
        assert!(cluster.confirmed.load(Ordering::Relaxed));
    }
}
