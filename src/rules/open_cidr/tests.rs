//! How exact the rule is on many blocks, and that its settings move the limits.

use super::*;
use crate::model::Object;
use crate::model::house::{House, PartialSettings};
use crate::model::{Change, PortSet};
use crate::review::{User, review};
use crate::rules::fixtures::{block, egress, judge, only, said, to};
use crate::snapshot::Snapshot;

#[test]
fn a_thousand_blocks_with_excepts_are_judged_exactly() {
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let mut peers: Vec<Peer> = (0..1000)
        .map(|i| {
            block(&format!("{}.{}.0.0/16", 11 + i / 250, i % 250), &[&format!("{}.{}.7.0/24", 11 + i / 250, i % 250)])
        })
        .collect();
    peers.push(block("0.0.0.0/0", &private));
    let fine = egress("many", vec![to(0, peers.clone(), PortSet::full())]);
    assert!(said(&judge(RuleId::OpenCidr, &[], &Change::create(fine))).is_empty());
    peers.push(block("0.0.0.0/0", &private[..2]));
    let open = egress("many", vec![to(0, peers, PortSet::full())]);
    let started = std::time::Instant::now();
    let verdict = judge(RuleId::OpenCidr, &[], &Change::create(open));
    println!("1,002 blocks with excepts, with the fix and its proof: {:?}", started.elapsed());
    assert_eq!(
        said(&verdict),
        [
            "enforce: egress of many opens private addresses 192.168.0.0/16 beside public ones on every port; except them"
        ]
    );
    assert_eq!(verdict.findings[0].finding.path.as_str(), "spec.egress[0].to[1001].ipBlock.cidr");
    let Some(Fix::Narrow(narrowing)) = &verdict.findings[0].finding.fix else { panic!("{verdict:?}") };
    assert_eq!(narrowing.rules.iter().map(FieldPath::as_str).collect::<Vec<_>>(), ["spec.egress[0]"]);
}

fn with(settings: OpenCidr, object: &Object) -> Vec<String> {
    let mut house: House = only(RuleId::OpenCidr);
    house.rules[0].settings = PartialSettings { open_cidr: Some(settings), ..PartialSettings::default() };
    said(&review(&Snapshot::default(), &house, &Change::create(object.clone()), &User::default()))
}

#[test]
fn settings_move_the_limits() {
    let plain = egress("plain", vec![to(0, vec![block("0.0.0.0/0", &[])], PortSet::full())]);
    let settings = OpenCidr::default;
    assert_eq!(with(settings(), &plain).len(), 1);
    assert!(with(OpenCidr { directions: vec![Direction::Ingress], ..settings() }, &plain).is_empty());
    assert!(with(OpenCidr { widest_v4: 0, ..settings() }, &plain).is_empty(), "nothing is wider than everything");
    assert!(with(OpenCidr { private: IpSet::empty(), ..settings() }, &plain).is_empty());
    let nearly = egress("nearly", vec![to(0, vec![block("10.0.0.0/7", &[])], PortSet::full())]);
    assert!(with(settings(), &nearly).is_empty(), "a /8 of public addresses is not wider than a /8");
    assert_eq!(with(OpenCidr { widest_v4: 9, ..settings() }, &nearly).len(), 1);
}
