//! Writes what Portcullis made of its own objects into their status. One replica does it, never in the way of a review,
//! and a failure is only logged: a status informs, nothing rests on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::assertion_status::Assertions;
use super::lease::{Candidate, RENEW};
use super::watch::{Configured, Desk, Key, Watched};
use crate::api::{HouseRules, RuleException};
use crate::model::Str;
use crate::model::house::{self, Exception, dialect_of};
use crate::snapshot::{NamespaceState, Snapshot};
use crate::translate::houserules::{Judged, conditions, conflicts, exception_conditions};

/// Findings at warn or above by namespace, as the last background audit left them; nothing before the first is through.
pub type Violations = Arc<ArcSwapOption<BTreeMap<Str, usize>>>;

/// How often to look whether there is anything to do.
const LOOK: Duration = Duration::from_secs(1);
/// Between two rounds at least, however often namespaces come and go.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(10);

/// What the status of a HouseRules object should be. Fields of a later version are left as they are.
fn rules_status(
    rules: &Configured<house::HouseRules>,
    snapshot: &Snapshot,
    conflicts: &[String],
    violations: Option<&BTreeMap<Str, usize>>,
    now: Timestamp,
) -> Value {
    let governs = |state: &&Arc<NamespaceState>| state.is_known() && rules.read.namespaces.matches(state.labels());
    let (mut governed, mut violated) = (0, 0);
    for state in snapshot.namespaces().filter(governs) {
        governed += 1;
        violated += violations.and_then(|all| all.get(state.name())).copied().unwrap_or_default();
    }
    let previous = rules.conditions();
    let judged = Judged { generation: rules.generation, now, previous: &previous };
    let mut status = rules.status.as_object().cloned().unwrap_or_default();
    status.insert("observedGeneration".into(), json!(rules.generation));
    status.insert("namespaces".into(), json!(governed));
    if violations.is_some() {
        status.insert("violations".into(), json!(violated));
    }
    let seen = || dialect_of(snapshot.plugins()).unwrap_or_default();
    status.insert("network".into(), json!(snapshot.network()));
    status.insert("dialect".into(), json!(rules.read.settings.dialect.unwrap_or_else(seen).as_str()));
    status.insert("conditions".into(), json!(conditions(&rules.unread, conflicts, judged)));
    Value::Object(status)
}

/// What the status of a RuleException should be.
fn exception_status(exception: &Configured<Option<Exception>>, honoured: bool, now: Timestamp) -> Value {
    let previous = exception.conditions();
    let judged = Judged { generation: exception.generation, now, previous: &previous };
    let ends = exception.read.as_ref().map(|read| read.expires_at);
    let mut status = exception.status.as_object().cloned().unwrap_or_default();
    status.insert("observedGeneration".into(), json!(exception.generation));
    status.insert("conditions".into(), json!(exception_conditions(&exception.unread, ends, honoured, judged)));
    Value::Object(status)
}

type Statuses = Vec<(Key, Value)>;

/// Every status that is not as it should be, of HouseRules and of RuleExceptions.
fn outdated(
    desk: &Desk,
    snapshot: &Snapshot,
    violations: Option<&BTreeMap<Str, usize>>,
    now: Timestamp,
) -> [Statuses; 2] {
    let all: Vec<house::HouseRules> = desk.rules().values().map(|rules| rules.read.clone()).collect();
    let mut rivals: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (name, text) in conflicts(&all) {
        rivals.entry(name).or_default().push(text);
    }
    let rules = desk.rules().iter().filter_map(|(key, rules)| {
        let conflicts = rivals.get(&key.1).map_or(&[][..], Vec::as_slice);
        let wanted = rules_status(rules, snapshot, conflicts, violations, now);
        (wanted != rules.status).then(|| (key.clone(), wanted))
    });
    let exceptions = desk.exceptions().iter().filter_map(|(key, exception)| {
        let wanted = exception_status(exception, desk.honours(&key.0), now);
        (wanted != exception.status).then(|| (key.clone(), wanted))
    });
    [rules.collect(), exceptions.collect()]
}

/// Keeps the statuses up to date while this replica holds the Lease. Runs until dropped.
pub async fn keep(client: Client, watched: Arc<Watched>, mut candidate: Candidate, violations: Violations) {
    let (mut last_round, mut renewed): (Option<Instant>, Option<Instant>) = (None, None);
    let mut assertions = Assertions::default();
    let mut failing = false;
    loop {
        let mut result = Ok(candidate.holds());
        if renewed.is_none_or(|at| at.elapsed() >= RENEW) {
            renewed = Some(Instant::now());
            result = candidate.renew().await;
        }
        if let Ok(true) = result
            && watched.not_ready().is_none()
        {
            if last_round.is_none_or(|at| at.elapsed() >= BETWEEN_ROUNDS) {
                last_round = Some(Instant::now());
                let found = violations.load();
                result = round(&client, &watched, &candidate, found.as_deref()).await.map(|()| true);
            }
            if result.is_ok() {
                result = assertions.round(&client, &watched, &candidate).await.map(|()| true);
            }
        }
        match (&result, failing) {
            (Err(error), false) => tracing::warn!(%error, "the statuses of our own objects are not written"),
            (Ok(_), true) => tracing::info!("the statuses of our own objects are written again"),
            _ => {}
        }
        failing = result.is_err();
        tokio::time::sleep(LOOK).await;
    }
}

async fn round(
    client: &Client,
    watched: &Watched,
    candidate: &Candidate,
    violations: Option<&BTreeMap<Str, usize>>,
) -> Result<(), Error> {
    let desk = Arc::clone(&watched.desk().borrow());
    let statuses = outdated(&desk, &watched.current().snapshot, violations, Timestamp::now());
    let resources = [ApiResource::erase::<HouseRules>(&()), ApiResource::erase::<RuleException>(&())];
    for (resource, all) in resources.iter().zip(statuses) {
        for ((namespace, name), status) in all {
            if !candidate.holds() {
                return Ok(());
            }
            let api: Api<DynamicObject> = if namespace.is_empty() {
                Api::all_with(client.clone(), resource)
            } else {
                Api::namespaced_with(client.clone(), &namespace, resource)
            };
            write(&api, &name, status).await?;
        }
    }
    Ok(())
}

/// Writes a status, unless the object has gone or changed since: then the watch brings it, and the next round is right.
pub(super) async fn write(api: &Api<DynamicObject>, name: &str, status: Value) -> Result<(), Error> {
    let Some(mut object) = api.get_opt(name).await? else { return Ok(()) };
    if json!(object.metadata.generation) != status["observedGeneration"] {
        return Ok(());
    }
    object.data["status"] = status;
    match api.replace_status(name, &PostParams::default(), &object).await {
        Err(Error::Api(refused)) if refused.is_conflict() || refused.is_not_found() => Ok(()),
        written => written.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Namespace, Object};
    use crate::translate::houserules::house_rules;

    #[test]
    fn a_status_that_is_right_is_not_written_again() {
        let value = json!({
            "metadata": { "name": "prod" },
            "spec": { "namespaceSelector": { "matchLabels": { "env": "prod" } }, "rules": { "typo": {} } },
        });
        let (read, unread) = house_rules(&value);
        let mut rules = Configured { read, unread, generation: Some(4), status: json!({ "violations": 7 }) };
        let prod = Namespace::new("a", &Labels::new([("env", "prod")]));
        let snapshot = Snapshot::of([&Object::Namespace(prod), &Object::Namespace(Namespace::named("b"))]);

        let first = rules_status(&rules, &snapshot, &[], None, Timestamp::UNIX_EPOCH);
        assert_eq!(first["namespaces"], 1);
        assert_eq!((&first["network"], &first["dialect"]), (&json!("no plugin is known"), &json!("upstream")));
        assert_eq!(first["violations"], 7, "before the first audit the last figure stays");
        let found = BTreeMap::from([("a".into(), 2), ("b".into(), 5)]);
        let audited = rules_status(&rules, &snapshot, &[], Some(&found), Timestamp::UNIX_EPOCH);
        assert_eq!(audited["violations"], 2, "only in the namespaces that it governs");
        assert_eq!(first["conditions"][0]["type"], "Accepted");
        assert_eq!(first["conditions"][0]["status"], "False");
        rules.status = first.clone();
        let later = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(rules_status(&rules, &snapshot, &[], None, later), first, "time alone changes nothing");
    }
}
