//! The engine and the naive evaluator answer the same on random clusters: matrix and single questions, both readings of
//! `ipBlock`, IPv4 and IPv6, named ports, and pods whose addresses are not known.

use std::net::IpAddr;

use portcullis::model::PortSet;
use portcullis::model::house::Dialect;
use portcullis::reach::{Ends, PodAt, Pods, Readings, explain};
use proptest::prelude::*;
use serde_json::Value;

use crate::clusters::{OUTSIDE, PORTS, PROTOCOLS, cases, cluster};
use crate::matrix_support::table;
use crate::naive::{Cluster, End, Packet};
use crate::world::{contains, evaluate, snapshot};

/// An end with the name that the matrix gives it.
fn ends(objects: &[Value]) -> Vec<(String, End<'_>)> {
    let pods = objects.iter().filter(|o| o["kind"] == "Pod").map(|pod| {
        let text = |field: &str| pod["metadata"][field].as_str().expect("text").to_owned();
        (format!("{}/{}[Pod]", text("namespace"), text("name")), End::Pod(pod))
    });
    let outside = OUTSIDE.iter().map(|a| ((*a).to_owned(), End::Address(a.parse().expect("an address"))));
    pods.chain(outside).collect()
}

fn packets<'a>(from: End<'a>, to: End<'a>) -> impl Iterator<Item = Packet<'a>> {
    PROTOCOLS
        .into_iter()
        .flat_map(move |protocol| PORTS.into_iter().map(move |port| Packet { from, to, protocol, port }))
}

fn is_host(end: End<'_>) -> bool {
    matches!(end, End::Pod(pod) if pod["spec"]["hostNetwork"] == true)
}

fn outside() -> Vec<IpAddr> {
    OUTSIDE.iter().map(|a| a.parse().expect("an address")).collect()
}

fn agree(objects: &[Value], dialect: Dialect) -> Result<(), TestCaseError> {
    let naive = Cluster { objects, blocks_match_pods: dialect.ip_blocks_match_pods() };
    let world = snapshot(objects);
    let table = table(&evaluate(&world, Some(dialect)), &outside());
    let ends = ends(objects);
    for (from, source) in &ends {
        for (to, destination) in &ends {
            if from == to || matches!((source, destination), (End::Address(_), End::Address(_))) {
                continue;
            }
            let bounds = &table[&(from.clone(), to.clone())];
            for packet in packets(*source, *destination) {
                let passes = naive.passes(packet);
                let (protocol, port) = (packet.protocol, packet.port);
                prop_assert_eq!(
                    contains(&bounds.certain, protocol, port),
                    passes,
                    "{} to {} on {} {}",
                    from,
                    to,
                    port,
                    protocol
                );
                // Where addresses are known only the node's own traffic is in doubt.
                let possible = passes || is_host(*source) || is_host(*destination);
                prop_assert_eq!(contains(&bounds.possible, protocol, port), possible);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn the_matrix_agrees_with_the_naive_evaluator(objects in cluster(true)) {
        agree(&objects, Dialect::Upstream)?;
        agree(&objects, Dialect::Cilium)?;
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// Whatever addresses the pods turn out to have, and whichever dialect is spoken, the truth lies between the bounds.
    #[test]
    fn bounds_hold_for_every_address_a_pod_may_get(objects in cluster(false), seed in any::<u64>()) {
        let table = table(&evaluate(&snapshot(&objects), None), &outside());
        for round in 0..4_u64 {
            let mut settled = objects.clone();
            for (i, pod) in settled.iter_mut().filter(|o| o["kind"] == "Pod").enumerate() {
                let n = (seed.rotate_left(u32::try_from(round * 16).unwrap()) >> (i * 4)) & 15;
                pod["status"] = serde_json::json!({"podIPs": [{"ip": format!("10.0.0.{n}")}]});
            }
            let naive = Cluster { objects: &settled, blocks_match_pods: round % 2 == 0 };
            let ends = ends(&settled);
            for (from, source) in &ends {
                for (to, destination) in &ends {
                    let Some(bounds) = table.get(&(from.clone(), to.clone())) else { continue };
                    for packet in packets(*source, *destination) {
                        let passes = naive.passes(packet);
                        let (protocol, port) = (packet.protocol, packet.port);
                        prop_assert!(passes || !contains(&bounds.certain, protocol, port), "{from} to {to} is not certain");
                        prop_assert!(!passes || contains(&bounds.possible, protocol, port), "{from} to {to} is possible");
                    }
                }
            }
        }
    }

    /// The same engine: a question gets the answer that the matrix shows, whether or not the dialect is settled.
    #[test]
    fn a_question_gets_the_answer_of_the_matrix(objects in cluster(true), settled in any::<bool>()) {
        let dialect = settled.then_some(Dialect::Calico);
        let world = snapshot(&objects);
        let matrix = evaluate(&world, dialect);
        let table = table(&matrix, &outside());
        let readings = Readings::of(dialect);
        let mut ends: Vec<(String, Ends<'_>)> = Vec::new();
        for namespace in world.namespaces() {
            for class in namespace.classes() {
                let at = PodAt { namespace, pod: class.pod(), addresses: class.addresses() };
                let name = format!("{}/{}[Pod]", namespace.name(), class.owner().name);
                ends.push((name, Ends::Pods(vec![Pods { at, name: "", count: 1 }])));
            }
        }
        for address in outside() {
            ends.push((address.to_string(), Ends::Addresses(portcullis::model::IpSet::single(address))));
        }
        for (from, source) in &ends {
            for (to, destination) in &ends {
                let Some(bounds) = table.get(&(from.clone(), to.clone())) else { continue };
                let answer = explain(&world, source, destination, None, &readings).expect("one end is a pod");
                prop_assert_eq!(&answer.bounds, bounds);
                let one = PortSet::port(portcullis::model::Protocol::Tcp, 80);
                let asked = explain(&world, source, destination, Some(&one), &readings).expect("one end is a pod");
                prop_assert_eq!(asked.verdict, bounds.verdict(Some(&one)));
            }
        }
    }
}
