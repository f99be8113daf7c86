//! The writer by itself: what the house is made of, and when exceptions end.

use serde_json::value::to_raw_value;

use super::*;
use crate::model::house::Level;
use crate::source::watch::Resource;
use crate::source::watch::desk::Desk;
use crate::source::watch::follow::Update;
use crate::source::watch::item::Item;
use crate::source::watch::writer::Writer;
use tokio::time::Instant;

fn item(resource: Resource, value: &Value) -> Item {
    Item::read(resource, &to_raw_value(value).unwrap()).unwrap()
}

fn exception(namespace: &str, name: &str, expires: &str) -> Item {
    let value = json!({
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "rules": ["blocked-dns"], "targets": { "namespaces": ["legacy"] }, "reason": "moving", "expires": expires,
        },
    });
    item(Resource::RuleExceptions, &value)
}

fn in_force(writer: &mut Writer, now: i64) -> Option<Vec<String>> {
    let world = writer.publish(now, Level::Warn, Level::Audit).world?;
    assert_eq!((world.house.cap, world.house.from_controllers), (Level::Warn, Level::Audit));
    Some(world.house.exceptions.iter().map(|exception| exception.name.to_string()).collect())
}

#[tokio::test]
async fn exceptions_count_in_one_namespace_and_until_they_end() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let resource = Resource::RuleExceptions;
    let items = vec![
        exception("portcullis", "short", "1970-01-01T00:01:00Z"),
        exception("portcullis", "long", "1970-01-01T01:00:00Z"),
        exception("elsewhere", "smuggled", "1970-01-01T01:00:00Z"),
    ];
    writer.take(Update::ListBegun(resource));
    writer.take(Update::Page(resource, items));
    writer.take(Update::ListEnded(resource, Instant::now()));
    assert_eq!(in_force(&mut writer, 0).unwrap(), ["portcullis/long", "portcullis/short"]);
    assert_eq!(writer.desk().next_end(), Some(60));
    assert_eq!(in_force(&mut writer, 59), None, "nothing has changed");
    assert_eq!(in_force(&mut writer, 60).unwrap(), ["portcullis/long"]);
    assert_eq!(writer.desk().next_end(), Some(3600));
    writer.take(Update::Absent(resource, Instant::now()));
    assert!(in_force(&mut writer, 61).unwrap().is_empty());
}

#[tokio::test]
async fn a_list_that_was_given_up_leaves_nothing_behind() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    let pods = Resource::Pods;
    writer.take(Update::ListBegun(pods));
    writer.take(Update::Page(pods, vec![item(pods, &pod("a", "ghost", "1", "ghost"))]));
    writer.take(Update::ListBegun(pods));
    writer.take(Update::Page(pods, vec![item(pods, &pod("a", "p", "1", "web"))]));
    let published = writer.publish(0, Level::Enforce, Level::Warn);
    assert!(published.synced.is_empty() && published.world.unwrap().snapshot.namespace("a").is_none());
    writer.take(Update::ListEnded(pods, Instant::now()));
    let published = writer.publish(0, Level::Enforce, Level::Warn);
    assert_eq!(published.synced, [(pods, false)]);
    let world = published.world.unwrap();
    let classes = world.snapshot.namespace("a").unwrap().classes();
    assert_eq!(classes.iter().map(|class| class.count()).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn pods_of_one_owner_share_what_they_have_in_common() {
    let mut writer = Writer::new(Desk::new("portcullis".into()), std::sync::Arc::default());
    for name in ["p1", "p2"] {
        let mut pod = pod("a", name, "1", "web");
        pod["metadata"]["ownerReferences"] = json!([{ "kind": "ReplicaSet", "name": "web-1", "controller": true }]);
        writer.take(Update::Changed(Resource::Pods, item(Resource::Pods, &pod), Instant::now()));
    }
    let world = writer.publish(0, Level::Enforce, Level::Warn).world.unwrap();
    let class = &world.snapshot.namespace("a").unwrap().classes()[0];
    assert_eq!(class.count(), 2);
    // The class here, the class's own and one for each pod in the writer's index.
    assert_eq!(std::sync::Arc::strong_count(class.pod()), 3);
}
