//! The policies every namespace can start from.

use super::suggest;
use crate::model::house::Settings;
use crate::model::{Change, Direction, Namespace, Object, Policy};
use crate::rules::Context;
use crate::snapshot::Snapshot;

/// A way to cluster DNS, and a default deny for both directions: allow before deny.
pub fn baseline(namespace: &str, settings: &Settings) -> Vec<Policy> {
    let world = Snapshot::default();
    let change = Change::create(Object::Namespace(Namespace::named(namespace)));
    let namespace = world.namespace_or_empty(namespace);
    let (world, namespace) = (&world, &namespace);
    let (change, object, policies, standing) = (&change, None, [None; 2], false);
    let cx = Context {
        world,
        then: world,
        change,
        object,
        policies,
        settings,
        namespace,
        standing,
        touched: None,
        only_admits: false,
    };
    suggest::default_deny(&cx, &Direction::BOTH)
}

/// The same, written as Cilium's policies.
pub fn cilium_baseline(namespace: &str, settings: &Settings) -> Vec<Policy> {
    baseline(namespace, settings).into_iter().map(suggest::as_cilium).collect()
}
