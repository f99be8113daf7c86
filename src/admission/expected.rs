//! A verdict looked at again with the changes that were admitted and are not stored yet.

use std::time::Duration;

use crate::review::Verdict;
use crate::snapshot::Snapshot;
use crate::unseen::{EXPECTED_FOR, Look, worlds};

/// How long a review waits for a watch to show what stands in its way; never more than half of what is left to it.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Changes that a note names.
const NAMED: usize = 3;

/// What the verdict would be.
pub(super) enum Otherwise {
    /// The same in each of the states.
    Admitted,
    /// In one of them this denial.
    Denied(Box<Verdict>),
    /// There are too many of them.
    Unknown,
}

/// Judges in the states besides this one that the expected changes may lead to.
pub(super) fn otherwise(now: &Snapshot, look: &Look, judge: impl Fn(&Snapshot) -> Verdict) -> Otherwise {
    if look.overflown {
        return Otherwise::Unknown;
    }
    if look.changes.is_empty() {
        return Otherwise::Admitted;
    }
    let Some(worlds) = worlds(now, &look.changes) else { return Otherwise::Unknown };
    let denied = worlds.into_iter().find_map(|snapshot| {
        let verdict = judge(&snapshot);
        (!verdict.is_allowed()).then_some(verdict)
    });
    denied.map_or(Otherwise::Admitted, |verdict| Otherwise::Denied(Box::new(verdict)))
}

/// Says that the denial rests on changes that are not stored yet.
pub(super) fn note(look: &Look) -> String {
    let named = look.changes.iter().take(NAMED).map(|change| format!("{} of {}", change.operation.as_str(), change.id));
    let mut named: Vec<String> = named.collect();
    if look.changes.len() > NAMED {
        named.push(format!("{} more", look.changes.len() - NAMED));
    }
    format!(
        "portcullis decided this with changes that were admitted within the last {} s and are not stored yet: {}",
        EXPECTED_FOR.as_secs(),
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::*;
    use crate::admission::{Cluster, ConfirmError, Gate, Reply};
    use crate::model::house::RuleId;
    use crate::model::{Change, Object, Workload};
    use crate::review::{User, World};
    use crate::rules::fixtures;
    use crate::translate::{Defaults, Kind, from_json};
    use crate::unseen::{Shown, Unseen};

    /// A cluster that stores nothing until it is told to.
    #[derive(Default)]
    struct Slow {
        world: Mutex<World>,
        unseen: Unseen,
    }

    impl Slow {
        fn holding(objects: &[Object]) -> Arc<Self> {
            let slow = Self::default();
            let house = fixtures::only(RuleId::MissingDefaultDeny);
            *slow.world.lock().unwrap() = World { snapshot: Snapshot::of(objects), house };
            Arc::new(slow)
        }

        fn store(&self, change: &Change) {
            self.world.lock().unwrap().snapshot.apply(change);
            let shown = match &change.after {
                Some(object) => self.unseen.shown(Shown::Is(object)),
                None => self.unseen.shown(Shown::Gone(&change.id)),
            };
            self.unseen.forget(&shown);
        }
    }

    impl Cluster for Slow {
        fn current(&self) -> Arc<World> {
            Arc::new(self.world.lock().unwrap().clone())
        }

        async fn confirm(&self, _namespace: &str, _deadline: Instant) -> Result<Arc<World>, ConfirmError> {
            Ok(self.current())
        }

        fn may_be_behind(&self, _namespace: &str) -> bool {
            false
        }

        fn unseen(&self) -> Option<&Unseen> {
            Some(&self.unseen)
        }

        async fn pod(&self, namespace: &str, name: &str, _: Instant) -> Result<Option<Workload>, ConfirmError> {
            let pod = json!({"metadata": {"name": name, "namespace": namespace, "labels": {"app": "web"}}});
            match read(Kind::Pod, &pod) {
                Object::Workload(pod) => Ok(Some(pod)),
                other => panic!("{other:?}"),
            }
        }

        async fn may_edit_house_rules(&self, _user: &User) -> Result<bool, ConfirmError> {
            Ok(true)
        }
    }

    fn read(kind: Kind, value: &Value) -> Object {
        from_json(kind, value.to_string().as_bytes(), &Defaults::default())
    }

    fn deny(name: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        })
    }

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}}, "spec": {"containers": []}})
    }

    fn deletes(name: &str) -> Change {
        Change::delete(read(Kind::NetworkPolicy, &deny(name)))
    }

    async fn send(slow: &Arc<Slow>, operation: &str, kind: Kind, object: &Value, dry_run: bool) -> Value {
        let field = if operation == "DELETE" { "oldObject" } else { "object" };
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "kind": {"group": kind.group(), "version": kind.version(), "kind": kind.kind()},
                "namespace": "shop", "name": object["metadata"]["name"], "operation": operation,
                "userInfo": {"username": "ann"}, "dryRun": dry_run, field: object,
            },
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        match Gate::new(Arc::clone(slow)).answer(review.to_string().as_bytes(), deadline, |_| {}).await {
            Reply::Review(bytes) => serde_json::from_slice::<Value>(&bytes).unwrap()["response"].take(),
            other => panic!("{other:?}"),
        }
    }

    async fn delete(slow: &Arc<Slow>, name: &str) -> Value {
        send(slow, "DELETE", Kind::NetworkPolicy, &deny(name), false).await
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_default_denies_only_one_is_deleted() {
        let policies = ["one", "two"].map(|name| read(Kind::NetworkPolicy, &deny(name)));
        let slow = Slow::holding(&[policies[0].clone(), policies[1].clone(), read(Kind::Pod, &pod("web"))]);
        let dry = send(&slow, "DELETE", Kind::NetworkPolicy, &deny("one"), true).await;
        assert_eq!(dry["allowed"], true);
        assert_eq!(delete(&slow, "two").await["allowed"], true, "nothing comes of a dry run");
        let start = Instant::now();
        let refused = delete(&slow, "one").await;
        assert_eq!(refused["allowed"], false, "{refused}");
        assert!(refused["status"]["message"].as_str().unwrap().contains("no default deny"), "{refused}");
        let warnings = refused["warnings"].to_string();
        assert!(warnings.contains("DELETE of NetworkPolicy shop/two"), "{warnings}");
        assert_eq!(start.elapsed(), PATIENCE, "it waits for what decides it, and not for ever");
        // It was refused elsewhere, which shows only by its not coming.
        tokio::time::advance(EXPECTED_FOR).await;
        assert_eq!(delete(&slow, "one").await["allowed"], true);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_and_the_end_of_its_default_deny_are_not_both_admitted() {
        let slow = Slow::holding(&[read(Kind::NetworkPolicy, &deny("one"))]);
        assert_eq!(send(&slow, "CREATE", Kind::Pod, &pod("web"), false).await["allowed"], true);
        assert_eq!(delete(&slow, "one").await["allowed"], false);

        let slow = Slow::holding(&[read(Kind::NetworkPolicy, &deny("one"))]);
        assert_eq!(delete(&slow, "one").await["allowed"], true);
        assert_eq!(send(&slow, "CREATE", Kind::Pod, &pod("web"), false).await["allowed"], false);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_watch_shows_meanwhile_decides() {
        let policies = ["one", "two", "three"].map(|name| read(Kind::NetworkPolicy, &deny(name)));
        let slow = Slow::holding(&[policies[0].clone(), policies[1].clone(), read(Kind::Pod, &pod("web"))]);
        assert_eq!(delete(&slow, "one").await["allowed"], true);
        let other = Arc::clone(&slow);
        let three = Change::create(policies[2].clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            other.store(&three);
            other.store(&deletes("one"));
        });
        let start = Instant::now();
        assert_eq!(delete(&slow, "two").await["allowed"], true, "the third has come");
        assert_eq!(start.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_can_be_weighed_is_refused_and_never_left_unanswered() {
        let policies: Vec<Object> = (0..20).map(|i| read(Kind::NetworkPolicy, &deny(&format!("p{i}")))).collect();
        let slow = Slow::holding(&policies);
        let mut refused = None;
        for i in 0..20 {
            let answer = delete(&slow, &format!("p{i}")).await;
            if answer["allowed"] == false {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.unwrap();
        assert_eq!(refused["status"]["code"], 429);
        assert!(refused["status"]["message"].as_str().unwrap().contains("send the request again"), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn labels_that_a_binding_brings_are_those_of_the_pod() {
        let open = json!({
            "metadata": {"name": "open", "namespace": "shop"},
            "spec": {
                "podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]},
                "policyTypes": ["Ingress", "Egress"],
            },
        });
        let slow = Slow::holding(&[read(Kind::NetworkPolicy, &open)]);
        let bind = |labels: Value| {
            json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {
                    "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Binding"}, "subResource": "binding",
                    "resource": {"group": "", "version": "v1", "resource": "pods"},
                    "namespace": "shop", "name": "web", "operation": "CREATE", "userInfo": {"username": "ann"},
                    "object": {"metadata": {"name": "web", "labels": labels}, "target": {"kind": "Node", "name": "n1"}},
                },
            })
            .to_string()
        };
        let outcomes = Mutex::new(Vec::new());
        for labels in [json!(null), json!({"tier": "front"})] {
            let deadline = Instant::now() + Duration::from_secs(5);
            let record = |decided: &crate::admission::Decided<'_>| {
                let object = decided.verdict.map(|verdict| verdict.object.to_string());
                outcomes.lock().unwrap().push((decided.outcome.as_str(), object));
            };
            Gate::new(Arc::clone(&slow)).answer(bind(labels).as_bytes(), deadline, record).await;
        }
        let outcomes = outcomes.into_inner().unwrap();
        assert_eq!(outcomes[0], ("passed", None));
        assert_eq!(outcomes[1].1.as_deref(), Some("Pod shop/web"), "{outcomes:?}");
    }
}
