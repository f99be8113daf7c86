//! What it costs when something changes to which policies refer: a group of addresses, or a tier.

use portcullis::model::{Change, Object};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_json};

use super::timed;

const NAMESPACES: usize = 25_000;
const REFERRING: usize = 2_500;

fn read(kind: Kind, text: &str) -> Object {
    from_json(kind, text.as_bytes(), &Defaults::default())
}

fn set(namespace: usize, cidr: &str) -> Object {
    let text = format!(
        r#"{{"metadata":{{"name":"partners","namespace":"ns{namespace}","labels":{{"role":"partners"}}}},"spec":{{"nets":["{cidr}"]}}}}"#
    );
    read(Kind::NetworkSet, &text)
}

fn tier(order: u32) -> Object {
    read(Kind::CalicoTier, &format!(r#"{{"metadata":{{"name":"security"}},"spec":{{"order":{order}}}}}"#))
}

/// Three NetworkPolicies in every namespace, and in every tenth one of Calico's with a tier and a group.
fn cluster() -> Snapshot {
    let mut world = Snapshot::default();
    for namespace in 0..NAMESPACES {
        for policy in 0..3 {
            let text = format!(
                r#"{{"metadata":{{"name":"np{policy}","namespace":"ns{namespace}"}},"spec":{{"podSelector":{{"matchLabels":{{"app":"a{policy}"}}}},"policyTypes":["Ingress"],"ingress":[{{"from":[{{"podSelector":{{}}}}]}}]}}}}"#
            );
            world.insert(&read(Kind::NetworkPolicy, &text));
        }
        if namespace % (NAMESPACES / REFERRING) == 0 {
            let text = format!(
                r#"{{"metadata":{{"name":"security.own","namespace":"ns{namespace}"}},"spec":{{"tier":"security","egress":[{{"action":"Allow","destination":{{"selector":"role == 'partners'"}}}}]}}}}"#
            );
            world.insert(&read(Kind::CalicoNetworkPolicy, &text));
            world.insert(&set(namespace, "198.51.100.0/24"));
        }
    }
    world.insert(&tier(10));
    world
}

/// One line for each change.
pub fn measure() {
    let world = cluster();
    let show = |what: &str, change: &Change| {
        let (took, after) = timed(|| world.overlay(change));
        let states: Vec<&Object> = change.before.iter().chain(&change.after).collect();
        println!("| {what} | {} | {:.2} ms |", after.referring(&states).len(), took.as_secs_f64() * 1000.0);
    };
    show("a NetworkSet of one namespace", &Change::update(set(0, "198.51.100.0/24"), set(0, "203.0.113.0/24")));
    show("a Tier", &Change::update(tier(10), tier(20)));
}
