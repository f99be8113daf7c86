//! Assertions on random clusters: for pods that are there the naive evaluator, asked packet by packet, comes to the same.
//! And on a change that is looked at in part, what a look at everything shows.

use portcullis::model::house::Dialect;
use portcullis::model::{Assertion, Change, Object, Protocol};
use portcullis::reach::{Doubt, Focus, Outcome, Pair, Party, PodAt, Readings, State, evaluate, flow_between};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_value};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::clusters::{OUTSIDE, cases, cluster, policy};
use crate::naive::{Cluster, End, Packet};
use crate::world::snapshot;

fn read(kind: Kind, value: &Value) -> Object {
    from_value(kind, value, &Defaults::default())
}

fn assertion(spec: &Value) -> Assertion {
    let value = json!({"metadata": {"name": "row"}, "spec": spec});
    let Object::Assertion(read) = read(Kind::ClusterConnectivityAssertion, &value) else { panic!("an assertion") };
    assert_eq!(read.unread, []);
    read
}

fn judged(world: &Snapshot, spec: &Value, dialect: Dialect) -> Outcome {
    let claim = assertion(spec).claim.expect("it was read");
    evaluate(world, &claim, &Readings::of(Some(dialect)), &Focus::Everything).expect("everything is in focus")
}

/// A pod as a workload end; its name tells it apart, so nobody else is there.
fn workload(pod: &Value) -> Value {
    json!({"workload": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}})
}

fn is_host(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

const NUMBERS: [u64; 4] = [80, 81, 443, 8080];

/// Whether the packets pass, one for each port.
fn packets(naive: &Cluster<'_>, from: End<'_>, to: End<'_>, ports: &[u64]) -> Vec<bool> {
    ports.iter().map(|port| naive.passes(Packet { from, to, protocol: "TCP", port: *port })).collect()
}

fn agree(objects: &[Value], ports: &[u64], dialect: Dialect) -> Result<(), TestCaseError> {
    let naive = Cluster { objects, blocks_match_pods: dialect.ip_blocks_match_pods() };
    let world = snapshot(objects);
    let listed: Vec<Value> = ports.iter().map(|port| json!({"port": port})).collect();
    let pods: Vec<&Value> = objects.iter().filter(|o| o["kind"] == "Pod").collect();
    let outside = OUTSIDE.iter().map(|address| {
        let bits = if address.contains(':') { 128 } else { 32 };
        (json!({"cidr": format!("{address}/{bits}")}), End::Address(address.parse().unwrap()), false)
    });
    let inside = pods.iter().map(|pod| (workload(pod), End::Pod(pod), is_host(pod)));
    let ends: Vec<(Value, End<'_>, bool)> = inside.chain(outside).collect();
    for (from, source, host_from) in &ends {
        for (to, destination, host_to) in &ends {
            if matches!((source, destination), (End::Address(_), End::Address(_))) || from == to {
                continue;
            }
            let passing = packets(&naive, *source, *destination, ports);
            for (expect, so) in [("Allow", passing.iter().all(|p| *p)), ("Deny", passing.iter().all(|p| !*p))] {
                let spec = json!({"from": from, "to": to, "ports": listed, "expect": expect});
                let state = judged(&world, &spec, dialect).state;
                // What comes from or goes to a pod's own node is in doubt by its nature.
                let fits = match state {
                    State::Holds => so,
                    State::Broken(_) => !so,
                    State::Depends(_) => *host_from || *host_to,
                    State::Vacuous => false,
                };
                prop_assert!(fits, "{spec}: {state:?}, packets {passing:?}");
            }
        }
    }
    Ok(())
}

/// What a selector states of pods that are there, the naive evaluator finds pair by pair.
fn selectors_agree(objects: &[Value], keys: (&str, &str), dialect: Dialect) -> Result<(), TestCaseError> {
    let naive = Cluster { objects, blocks_match_pods: dialect.ip_blocks_match_pods() };
    let world = snapshot(objects);
    let end = |value: &str| json!({"podSelector": {"matchLabels": {"a": value}}});
    let meant = |value: &str| -> Vec<&Value> {
        let labelled = |o: &&Value| o["kind"] == "Pod" && o["metadata"]["labels"]["a"] == value && !is_host(o);
        objects.iter().filter(labelled).collect()
    };
    let (sources, destinations) = (meant(keys.0), meant(keys.1));
    let passes = |from: &Value, to: &Value| {
        naive.passes(Packet { from: End::Pod(from), to: End::Pod(to), protocol: "TCP", port: 80 })
    };
    let pairs = || sources.iter().flat_map(|from| destinations.iter().map(move |to| (*from, *to)));
    for expect in ["Allow", "Deny"] {
        let right = |(from, to): (&Value, &Value)| passes(from, to) == (expect == "Allow");
        let spec = |which: &str| json!({"from": end(keys.0), "to": end(keys.1), "ports": [{"port": 80}], "expect": expect, "for": which});
        let all = judged(&world, &spec("all"), dialect).state;
        // Pods that may come can only break it; those that are there, and wrong, must.
        if pairs().any(|pair| !right(pair)) {
            prop_assert!(matches!(all, State::Broken(_)), "{all:?}");
        }
        let any = judged(&world, &spec("any"), dialect).state;
        if pairs().any(right) {
            prop_assert!(matches!(any, State::Holds), "{any:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn one_row_is_what_its_packets_do(objects in cluster(true), ports in prop::sample::subsequence(NUMBERS.to_vec(), 1..=3)) {
        agree(&objects, &ports, Dialect::Upstream)?;
        agree(&objects, &ports, Dialect::Cilium)?;
    }

    #[test]
    fn selectors_speak_of_every_pod_that_is_there(objects in cluster(true), from in prop_oneof![Just("x"), Just("y")], to in prop_oneof![Just("x"), Just("y")]) {
        selectors_agree(&objects, (from, to), Dialect::Upstream)?;
    }

}

/// Whether pods like these two were let through, or stopped, against what is expected.
fn was_wrong(before: &Snapshot, pair: &Pair, expect: &str) -> bool {
    let (Party::Pod { namespace: from_there, pod: from, .. }, Party::Pod { namespace: to_there, pod: to, .. }) =
        (&pair.from, &pair.to)
    else {
        return false;
    };
    let [from_there, to_there] = [from_there, to_there].map(|there| before.namespace_or_empty(there.name()));
    let doubt = if expect == "Allow" { Doubt::Against } else { Doubt::InFavour };
    let ends = (PodAt::new(&from_there, from), PodAt::new(&to_there, to));
    let flow = flow_between(before, ends.0, ends.1, Dialect::Upstream, doubt);
    flow.allowed.contains(Protocol::Tcp, 80) != (expect == "Allow")
}

fn a_look_is_enough(objects: Vec<Value>, change: &Value) -> Result<(), TestCaseError> {
    // A namespace that comes is not what a policy does; here all are there before.
    let mut objects = objects;
    objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n2"}}));
    let before = snapshot(&objects);
    let policies = || objects.iter().filter(|o| o["kind"] == "NetworkPolicy");
    let old = policies().find(|o| o["metadata"] == change["metadata"]).map(|o| read(Kind::NetworkPolicy, o));
    let new = read(Kind::NetworkPolicy, change);
    let change = match old {
        Some(old) => Change::update(old, new),
        None => Change::create(new),
    };
    let after = before.overlay(&change);
    let readings = Readings::of(Some(Dialect::Upstream));
    let ends = [
        json!({"podSelector": {}}),
        json!({"podSelector": {"matchLabels": {"a": "x"}}}),
        json!({"namespaceSelector": {"matchLabels": {"a": "x"}}, "podSelector": {"matchLabels": {"b": "y"}}}),
        json!({"cidr": "10.0.0.0/28"}),
    ];
    for from in &ends {
        for to in &ends {
            if from.get("cidr").is_some() && to.get("cidr").is_some() {
                continue;
            }
            for expect in ["Allow", "Deny"] {
                let spec = json!({"from": from, "to": to, "ports": [{"port": 80}], "expect": expect});
                let claim = assertion(&spec).claim.expect("it was read");
                let whole =
                    |world: &Snapshot| evaluate(world, &claim, &readings, &Focus::Everything).expect("in focus").state;
                let part = evaluate(&after, &claim, &readings, &Focus::of(&change)).map(|outcome| outcome.state);
                let (then, now) = (whole(&before), whole(&after));
                if matches!(part, Some(State::Broken(_))) {
                    prop_assert!(matches!(now, State::Broken(_)), "{spec}: broken in part and not as a whole");
                }
                if let (State::Holds, State::Broken(pair)) = (&then, &now) {
                    // Of a pod that only the change has described nobody could know before that it was cut off.
                    let seen = matches!(part, Some(State::Broken(_)));
                    prop_assert!(seen || was_wrong(&before, pair, expect), "{spec}: a row broke unseen");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_pod_that_a_change_describes_and_another_policy_cuts_off_is_not_its_fault() {
    let ns = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}});
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n0", "labels": {}},
            "spec": {"containers": [{"name": "main", "ports": []}]}, "status": {"podIPs": [{"ip": "10.0.0.0"}]}})
    };
    let policy = |name: &str, namespace: &str, spec: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    };
    let objects = vec![
        ns("n0"),
        ns("n1"),
        pod("p0"),
        pod("p1"),
        policy("np0", "n0", json!({"egress": [{}], "podSelector": {}, "policyTypes": ["Egress"]})),
        policy("np1", "n1", json!({"podSelector": {"matchLabels": {"b": "y"}}, "policyTypes": ["Egress"]})),
        policy("np2", "n0", json!({"ingress": [{}], "podSelector": {}})),
    ];
    let change = policy(
        "np0",
        "n1",
        json!({
            "podSelector": {"matchLabels": {"b": "y"}}, "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"a": "x", "b": "y"}}},
                          {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "n1"}}}],
                 "ports": [{"port": 1, "endPort": 443, "protocol": "TCP"}]},
                {"from": [{"namespaceSelector": {"matchExpressions": [{"key": "b", "operator": "Exists"}]}},
                          {"ipBlock": {"cidr": "fd00::0/126"}}],
                 "ports": [{"port": 80}]},
            ],
        }),
    );
    a_look_is_enough(objects, &change).unwrap();
}

proptest! {
    // Each looks at every pair of ends, twice as a whole and once in part.
    #![proptest_config(cases(30))]

    /// A change breaks a row only where a look at what it concerns shows that, and the look finds nothing that is not so.
    #[test]
    fn a_look_at_what_a_change_concerns_is_enough(objects in cluster(true), change in policy("np0".to_owned())) {
        a_look_is_enough(objects, &change)?;
    }
}
