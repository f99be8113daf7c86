//! The status of assertions: what each comes to in the state that is followed, a moment after it has changed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::lease::Candidate;
use super::status::write;
use super::watch::{Configured, Desk, Key, Watched};
use crate::api::{ClusterConnectivityAssertion, ConnectivityAssertion};
use crate::model::Assertion;
use crate::review::{Assessed, Matched, Phase, World, assess};
use crate::translate::houserules::Judged;

/// Changes that come together are looked at together.
const LEAST: Duration = Duration::from_secs(1);
/// A look takes at most one part in this many of the time.
const SHARE: u32 = 20;
/// Longest time of writing before the Lease must be seen to again.
const BUDGET: Duration = Duration::from_secs(3);

/// What the status of an assertion should be.
fn status(assertion: &Configured<Assertion>, assessed: &Assessed, now: Timestamp) -> Value {
    let previous = assertion.conditions();
    let judged = Judged { generation: assertion.generation, now, previous: &previous };
    let holds =
        judged.condition("Holds", assessed.phase == Phase::Holds, assessed.phase.as_str(), assessed.message.clone());
    let matched = match assessed.matched {
        Matched::Pods => judged.condition("Matched", true, "Pods", "there are pods at both ends".to_owned()),
        Matched::NoPodsYet => judged.condition("Matched", false, "NoPodsYet", assessed.missing.clone()),
        Matched::Nobody => judged.condition("Matched", false, "Nobody", assessed.missing.clone()),
    };
    let phase = assessed.phase.as_str();
    let since = match assertion.status.get("since") {
        Some(since) if assertion.status.get("phase").and_then(Value::as_str) == Some(phase) => since.clone(),
        _ => json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    let policies: Vec<String> = assessed
        .policies
        .iter()
        .map(|id| if id.namespace.is_some() { format!("{}/{}", id.namespace(), id.name) } else { id.name.to_string() })
        .collect();
    let mut status = json!({
        "observedGeneration": assertion.generation,
        "phase": phase,
        "since": since,
        "message": assessed.message,
        "conditions": [holds, matched],
    });
    if !policies.is_empty() {
        status["policies"] = json!(policies);
    }
    if let Some(claim) = &assertion.read.claim {
        status["from"] = json!(claim.from.to_string());
        status["to"] = json!(claim.to.to_string());
        status["ports"] = json!(claim.ports.as_ref().map_or_else(|| "every port".to_owned(), ToString::to_string));
    }
    status
}

/// Every status that is not as it should be.
fn outdated(desk: &Desk, world: &World, now: Timestamp) -> Vec<(Key, Value)> {
    let all = desk.assertions().iter().filter_map(|(key, assertion)| {
        let wanted = status(assertion, &assess(world, &assertion.read), now);
        (wanted != assertion.status).then(|| (key.clone(), wanted))
    });
    all.collect()
}

/// Looks when there is something new to see.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    seen: Option<(u64, Arc<Desk>)>,
    next: Option<Instant>,
}

impl Assertions {
    /// Writes what has changed, if it is time.
    pub(super) async fn round(
        &mut self,
        client: &Client,
        watched: &Watched,
        candidate: &Candidate,
    ) -> Result<(), Error> {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return Ok(());
        }
        let (desk, world) = (Arc::clone(&watched.desk().borrow()), watched.current());
        let version = world.snapshot.version();
        if self.seen.as_ref().is_some_and(|(seen, old)| *seen == version && Arc::ptr_eq(old, &desk)) {
            return Ok(());
        }
        let begun = Instant::now();
        self.next = Some(begun + LEAST);
        if desk.assertions().is_empty() {
            self.seen = Some((version, desk));
            return Ok(());
        }
        let for_look = Arc::clone(&desk);
        let look = tokio::task::spawn_blocking(move || outdated(&for_look, &world, Timestamp::now())).await;
        let Ok(statuses) = look else { return Ok(()) };
        self.next = Some(Instant::now() + LEAST.max(begun.elapsed() * SHARE));
        let kinds =
            [ApiResource::erase::<ConnectivityAssertion>(&()), ApiResource::erase::<ClusterConnectivityAssertion>(&())];
        for ((namespace, name), status) in statuses {
            if !candidate.holds() || begun.elapsed() > BUDGET {
                // The rest is found outdated the next time.
                self.seen = None;
                return Ok(());
            }
            let api: Api<DynamicObject> = if namespace.is_empty() {
                Api::all_with(client.clone(), &kinds[1])
            } else {
                Api::namespaced_with(client.clone(), &namespace, &kinds[0])
            };
            write(&api, &name, status).await?;
        }
        self.seen = Some((version, desk));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Namespace, Object, ObjectRef, PodSpec, Workload};
    use crate::snapshot::Snapshot;
    use crate::translate::{Defaults, Kind, from_value};

    fn pod(name: &str, app: &str) -> Object {
        Object::Workload(Workload {
            id: ObjectRef::namespaced("v1", "Pod", "shop", name),
            labels: Labels::default(),
            pod: Arc::new(PodSpec::with_labels(Labels::new([("app", app)]))),
            controller: None,
            addresses: Vec::new(),
            finished: false,
            leaving: false,
            template_at: "",
        })
    }

    #[test]
    fn a_status_says_what_is_so_and_is_not_written_again() {
        let value = json!({"metadata": {"name": "row", "namespace": "shop"}, "spec": {
            "from": {"podSelector": {"matchLabels": {"app": "web"}}},
            "to": {"podSelector": {"matchLabels": {"app": "api"}}},
            "ports": [{"port": 80}], "expect": "Allow"}});
        let Object::Assertion(read) = from_value(Kind::ConnectivityAssertion, &value, &Defaults::default()) else {
            panic!("an assertion")
        };
        let shop = Object::Namespace(Namespace::named("shop"));
        let mut world = World { snapshot: Snapshot::of([&shop, &pod("web", "web")]), ..World::default() };
        let mut row = Configured { read, unread: Vec::new(), generation: Some(1), status: Value::Null };

        let first = status(&row, &assess(&world, &row.read), Timestamp::UNIX_EPOCH);
        assert_eq!(
            (&first["phase"], &first["from"], &first["ports"]),
            (&json!("Holds"), &json!("shop/app=web"), &json!("TCP 80"))
        );
        assert_eq!(first["conditions"][1]["reason"], "NoPodsYet");
        row.status = first.clone();
        let later = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(status(&row, &assess(&world, &row.read), later), first, "time alone changes nothing");

        let deny = json!({"metadata": {"name": "deny", "namespace": "shop"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}});
        world.snapshot.insert(&from_value(Kind::NetworkPolicy, &deny, &Defaults::default()));
        let broken = status(&row, &assess(&world, &row.read), later);
        assert_eq!((&broken["phase"], &broken["policies"]), (&json!("Broken"), &json!(["shop/deny"])));
        assert_eq!(broken["since"], "1970-01-12T13:46:40Z");
        assert_eq!(broken["conditions"][0]["status"], "False");
        assert!(
            broken["message"].as_str().unwrap().contains("a pod with app=api that may come to shop refuses"),
            "{broken}"
        );
    }
}
