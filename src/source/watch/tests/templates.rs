//! Objects with templates: what may yet make pods counts while no pod of it runs, and once only.

use serde_json::value::to_raw_value;
use tokio::time::Instant;

use super::*;
use crate::model::house::Level;
use crate::source::watch::Resource;
use crate::source::watch::desk::Desk;
use crate::source::watch::follow::Update;
use crate::source::watch::item::Item;
use crate::source::watch::writer::Writer;
use crate::translate::Kind;

const DEPLOYMENTS: Resource = Resource::Templates(Kind::Deployment);

fn template(name: &str, app: &str) -> Value {
    json!({
        "metadata": { "namespace": "a", "name": name },
        "spec": { "replicas": 0, "template": { "metadata": { "labels": { "app": app } }, "spec": { "containers": [] } } },
    })
}

fn owned(mut object: Value, api_version: &str, kind: &str, name: &str) -> Value {
    object["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": api_version, "kind": kind, "name": name, "controller": true }]);
    object
}

fn changed(writer: &mut Writer, resource: Resource, object: &Value) {
    let item = Item::read(resource, &to_raw_value(object).unwrap()).unwrap();
    writer.take(Update::Changed(resource, item, Instant::now()));
}

/// `Deployment web app=web`, with `template` where no pod has been seen.
fn seen(writer: &mut Writer) -> Vec<String> {
    let Some(world) = writer.publish(0, Level::Enforce, Level::Warn).world else { return Vec::new() };
    let state = world.snapshot.namespace_or_empty("a");
    let one = |class: &std::sync::Arc<crate::snapshot::PodClass>| {
        let suffix = if class.is_template() { " template" } else { "" };
        format!("{} {}{suffix}", class.owner(), class.pod().labels)
    };
    state.classes().iter().map(one).collect()
}

#[tokio::test]
async fn a_template_counts_while_no_pod_of_it_runs() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    changed(&mut writer, DEPLOYMENTS, &template("web", "web"));
    assert_eq!(seen(&mut writer), ["Deployment web app=web template"]);
    let mut running = owned(pod("a", "web-7-x", "1", "web"), "apps/v1", "ReplicaSet", "web-7");
    running["metadata"]["labels"]["pod-template-hash"] = json!("7");
    changed(&mut writer, Resource::Pods, &running);
    assert_eq!(seen(&mut writer), ["Deployment web app=web,pod-template-hash=7"]);
    let mut more = template("web", "web");
    more["spec"]["template"]["spec"]["serviceAccountName"] = json!("other");
    changed(&mut writer, DEPLOYMENTS, &more);
    assert_eq!(seen(&mut writer).len(), 2);
    running["metadata"]["labels"]["tier"] = json!("front");
    changed(&mut writer, DEPLOYMENTS, &template("web", "web"));
    changed(&mut writer, Resource::Pods, &running);
    assert_eq!(seen(&mut writer).len(), 2, "a label less is another template");
    running["metadata"]["labels"] = json!({"app": "web", "pod-template-hash": "7"});
    changed(&mut writer, Resource::Pods, &running);
    changed(&mut writer, DEPLOYMENTS, &template("web", "front"));
    let both = ["Deployment web app=front template", "Deployment web app=web,pod-template-hash=7"];
    assert_eq!(seen(&mut writer), both, "pods that are to come are not like those that run");
    writer.take(Update::Deleted(Resource::Pods, ("a".into(), "web-7-x".into()), Instant::now()));
    assert_eq!(seen(&mut writer), ["Deployment web app=front template"]);
    writer.take(Update::Deleted(DEPLOYMENTS, ("a".into(), "web".into()), Instant::now()));
    assert!(seen(&mut writer).is_empty());
}

#[tokio::test]
async fn what_a_built_in_controller_makes_of_a_template_is_that_template() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let sets = Resource::Templates(Kind::ReplicaSet);
    changed(&mut writer, sets, &owned(template("web-7", "web"), "apps/v1", "Deployment", "web"));
    assert!(seen(&mut writer).is_empty());
    // The garbage collector never deletes an object whose owner's kind does not exist.
    changed(&mut writer, sets, &owned(template("forged-7", "web"), "apps/v0", "Deployment", "web"));
    changed(&mut writer, sets, &template("lone", "lone"));
    assert_eq!(seen(&mut writer), ["Deployment web app=web template", "ReplicaSet lone app=lone template"]);
}

#[tokio::test]
async fn jobs_count_until_they_are_done_and_cron_jobs_until_they_are_gone() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let jobs = Resource::Templates(Kind::Job);
    let cron = json!({
        "metadata": { "namespace": "a", "name": "nightly" },
        "spec": { "jobTemplate": { "spec": { "template": { "metadata": { "labels": { "app": "cron" } } } } } },
    });
    changed(&mut writer, Resource::Templates(Kind::CronJob), &cron);
    let mut job = template("once", "once");
    job["spec"]["suspend"] = json!(true);
    changed(&mut writer, jobs, &job);
    changed(&mut writer, jobs, &owned(template("nightly-1", "cron"), "batch/v1", "CronJob", "nightly"));
    assert_eq!(seen(&mut writer), ["CronJob nightly app=cron template", "Job once app=once template"]);
    job["status"] = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    changed(&mut writer, jobs, &job);
    let mut leaving = cron.clone();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    changed(&mut writer, Resource::Templates(Kind::CronJob), &leaving);
    assert!(seen(&mut writer).is_empty());
}

#[tokio::test]
async fn a_list_without_a_template_takes_it_away() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    changed(&mut writer, DEPLOYMENTS, &template("web", "web"));
    changed(&mut writer, DEPLOYMENTS, &template("api", "api"));
    let item = Item::read(DEPLOYMENTS, &to_raw_value(&template("api", "api")).unwrap()).unwrap();
    writer.take(Update::ListBegun(DEPLOYMENTS));
    writer.take(Update::Page(DEPLOYMENTS, vec![item]));
    writer.take(Update::ListEnded(DEPLOYMENTS, Instant::now()));
    assert_eq!(seen(&mut writer), ["Deployment api app=api template"]);
    assert_eq!(writer.objects(DEPLOYMENTS), 1);
}

#[tokio::test]
async fn a_pod_that_is_being_deleted_counts_until_it_is_gone_or_done() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let mut going = pod("a", "p", "1", "web");
    going["metadata"]["deletionTimestamp"] = json!("2090-01-01T00:00:00Z");
    changed(&mut writer, Resource::Pods, &going);
    assert_eq!(seen(&mut writer), ["Pod p app=web"]);
    going["status"]["phase"] = json!("Succeeded");
    changed(&mut writer, Resource::Pods, &going);
    assert!(seen(&mut writer).is_empty());
}
