//! Mistakes in policies of every other kind: each is said, and none is a pass. What should allow never allows for certain,
//! and what should deny is never passed over as if it were not there, unless no API server would store such an object.

use portcullis::model::house::{House, RuleId};
use portcullis::model::{Change, IpSet, Object, PortSet, Protocol};
use portcullis::reach::{Ends, Pods, Readings, Verdict, explain};
use portcullis::review::{User, review};
use portcullis::snapshot::Snapshot;
use portcullis::translate::{Defaults, Kind, from_value};
use serde_json::{Value, json};

use crate::guides::{at, find};

fn read(value: &Value) -> Object {
    let api_version = value["apiVersion"].as_str().expect("a version");
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = Kind::of(group, value["kind"].as_str().expect("a kind")).expect("a kind that is read");
    from_value(kind, value, &Defaults { namespace: "shop", name: "p" })
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": name, "labels": {"app": name}},
        "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 80}]}]}, "status": {"podIPs": [{"ip": "10.0.0.1"}]}})
}

fn deny_all() -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "shop", "name": "deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]}})
}

/// What is said about the policy, and whether the pod may reach the other one and somebody outside, on port 80.
fn judge(policy: &Value, others: &[Value]) -> (Vec<String>, [Verdict; 2]) {
    let mut all: Vec<Object> = [pod("web"), pod("db")].iter().chain(others).map(read).collect();
    let bad = read(policy);
    let verdict = review(&Snapshot::of(&all), &House::default(), &Change::create(bad.clone()), &User::default());
    let said = verdict.findings.iter().map(|judged| &judged.finding);
    let said = said.filter(|found| matches!(found.rule, RuleId::NotUnderstood | RuleId::DanglingReference));
    let said = said.map(|found| format!("{}: {}", found.path, found.because.join("; "))).collect();
    all.push(bad);
    let world = Snapshot::of(&all);
    let from = Ends::Pods(vec![Pods { at: at(find(&world, "web")), name: "", count: 1 }]);
    let db = Ends::Pods(vec![Pods { at: at(find(&world, "db")), name: "", count: 1 }]);
    let outside = Ends::Addresses(IpSet::single("198.51.100.7".parse().expect("an address")));
    let port = PortSet::port(Protocol::Tcp, 80);
    let readings = Readings::in_world(&world, None);
    let verdict = |to: &Ends<'_>| explain(&world, &from, to, Some(&port), &readings).expect("an answer").verdict;
    (said, [verdict(&db), verdict(&outside)])
}

/// Policies with one mistake each, for egress of every pod, and the field in which it is.
fn holds(cases: &[(Value, &str)], others: &[Value], never: Verdict, what: &str) {
    for (policy, field) in cases {
        let (said, verdicts) = judge(policy, others);
        assert!(said.iter().any(|text| text.starts_with(field)), "{policy}: nothing said at {field}, but {said:?}");
        for verdict in verdicts {
            assert_ne!(verdict, never, "{what}: {policy}: {said:?}");
        }
    }
}

/// As what should allow, beside a default deny.
fn allows_nothing(cases: &[(Value, &str)]) {
    holds(cases, &[deny_all()], Verdict::Allow, "an allow of which a part cannot be read");
}

/// As what should deny, where everything is open.
fn may_deny(cases: &[(Value, &str)]) {
    holds(cases, &[], Verdict::Allow, "a deny of which a part cannot be read");
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn cnp(rule: Value) -> Value {
    cnp_spec(json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [rule]}))
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn cnp_spec(spec: Value) -> Value {
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "p"}, "spec": spec})
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn old(kind: &str, name: &str, priority: Value, rule: Value) -> Value {
    let mut object = json!({"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": kind, "metadata": {"name": name},
        "spec": {"subject": {"namespaces": {}}, "egress": [rule]}});
    if !priority.is_null() {
        object["spec"]["priority"] = priority;
    }
    object
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).expect("a field") = value;
    object
}

const ALL: &str = "0.0.0.0/0";

#[test]
fn cluster_network_policies() {
    // semantics 2.2.6, 2.2.7, 2.2.9, 2.2.13: unknown actions, empty peers, peers that exclude each other, ranges.
    let everyone = json!([{"namespaces": {}}, {"networks": [ALL]}]);
    let rule = |action: &str, to: Value| json!({"action": action, "to": to});
    let accept = cnp(rule("Accept", everyone.clone()));
    assert_eq!(judge(&accept, &[deny_all()]), (Vec::new(), [Verdict::Allow; 2]), "the same without a mistake");
    let peers = |action: &str| {
        vec![
            (cnp(rule(action, json!([{}]))), "spec.egress[0].to[0]"),
            (cnp(rule(action, json!([{"namespaces": {}, "networks": [ALL]}]))), "spec.egress[0].to[0]"),
            (cnp(rule(action, json!([{"sameLabels": ["team"]}]))), "spec.egress[0].to[0].sameLabels"),
            (cnp(rule(action, json!([{"networks": ["10.0.0.0/33"]}]))), "spec.egress[0].to[0].networks[0]"),
            (
                with(cnp(rule(action, everyone.clone())), "/apiVersion", json!("policy.networking.k8s.io/v9")),
                "apiVersion",
            ),
        ]
    };
    allows_nothing(&peers("Accept"));
    may_deny(&peers("Deny"));
    allows_nothing(&[
        (cnp(rule("Acept", everyone.clone())), "spec.egress[0].action"),
        (cnp(rule("Allow", everyone.clone())), "spec.egress[0].action"),
        (cnp(json!({"to": everyone})), "spec.egress[0].action"),
        (cnp(rule("Accept", json!([]))), "spec.egress[0].to"),
        (with(accept.clone(), "/spec/priority", json!(1001)), "spec.priority"),
        (with(accept.clone(), "/spec/priority", json!(-1)), "spec.priority"),
        (with(accept.clone(), "/spec/tier", json!("Middle")), "spec.tier"),
        (with(accept, "/spec/subject", json!({})), "spec.subject"),
    ]);
    may_deny(&[(cnp(rule("Dney", everyone)), "spec.egress[0].action")]);
}

#[test]
fn the_two_kinds_before_it() {
    // semantics 2.2.3, 2.2.6, 2.2.9, 2.2.11
    let everyone = json!([{"namespaces": {}}, {"networks": [ALL]}]);
    let rule = |action: &str, to: Value| json!({"action": action, "to": to});
    let anp = |priority: i64, rule: Value| old("AdminNetworkPolicy", "p", json!(priority), rule);
    let good = anp(1, rule("Allow", everyone.clone()));
    assert_eq!(judge(&good, &[deny_all()]), (Vec::new(), [Verdict::Allow; 2]), "the same without a mistake");
    allows_nothing(&[
        (anp(1, rule("Accept", everyone.clone())), "spec.egress[0].action"),
        (anp(1001, rule("Allow", everyone.clone())), "spec.priority"),
        (anp(1, rule("Allow", json!([{}]))), "spec.egress[0].to[0]"),
        (with(good, "/apiVersion", json!("policy.networking.k8s.io/v1alpha0")), "apiVersion"),
    ]);
    let banp = |name: &str, rule: Value| old("BaselineAdminNetworkPolicy", name, Value::Null, rule);
    let deny = rule("Deny", everyone.clone());
    assert_eq!(judge(&banp("default", deny.clone()), &[]), (Vec::new(), [Verdict::Deny; 2]));
    may_deny(&[
        (banp("default", rule("Pass", everyone)), "spec.egress[0].action"),
        (banp("default", rule("Deny", json!([{"pods": {}, "namespaces": {}}]))), "spec.egress[0].to[0]"),
        (with(banp("default", deny.clone()), "/apiVersion", json!("policy.networking.k8s.io/v1beta1")), "apiVersion"),
    ]);
    // There is one, and it is called default; another cannot be stored.
    assert!(judge(&banp("other", deny), &[]).0[0].starts_with("metadata.name"));
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn cilium(field: &str, rule: Value) -> Value {
    json!({"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"endpointSelector": {}, field: [rule]}})
}

#[test]
fn policies_of_cilium() {
    // semantics 2.3.4, 2.3.10, 2.3.12, 2.3.13, 2.3.15
    let good = cilium("egress", json!({"toEntities": ["all"]}));
    assert_eq!(judge(&good, &[deny_all()]), (Vec::new(), [Verdict::Allow; 2]), "the same without a mistake");
    let cases = |field: &str| {
        let at = |rest: &str| format!("spec.{field}[0]{rest}");
        [
            (json!({"toEntities": ["wrold"]}), at(".toEntities[0]")),
            (json!({"toEndpoints": [{}], "toEntities": ["all"]}), at("")),
            (json!({"toEndpoints": [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]}), at(".toEndpoints[0]")),
            (json!({"toCIDR": ["10.0.0.0/33"]}), at(".toCIDR[0]")),
            (json!({"toCIDRSet": [{"cidr": ALL, "cidrGroupRef": "g"}]}), at(".toCIDRSet[0]")),
            (json!({"toCIDRSet": [{}]}), at(".toCIDRSet[0]")),
            (json!({"toGroups": [{"aws": {}}], "toEntities": ["all"]}), at("")),
            (json!({"toServices": [{}]}), at(".toServices[0]")),
            (json!({"toEntities": ["all"], "toPort": []}), at(".toPort")),
            (json!({"toEntities": ["all"], "toPorts": [{"ports": [{"port": "70000"}]}]}), at(".toPorts[0]")),
            (
                json!({"toEntities": ["all"], "toPorts": [{"ports": [{"port": "80", "protocol": "TPC"}]}]}),
                at(".toPorts[0]"),
            ),
        ]
    };
    for (rule, at) in cases("egress") {
        allows_nothing(&[(cilium("egress", rule), &at)]);
    }
    for (rule, at) in cases("egressDeny") {
        may_deny(&[(cilium("egressDeny", rule), &at)]);
    }
    let version =
        |field: &str| with(cilium(field, json!({"toEntities": ["all"]})), "/apiVersion", json!("cilium.io/v3"));
    allows_nothing(&[(version("egress"), "apiVersion")]);
    may_deny(&[(version("egressDeny"), "apiVersion")]);
    let nowhere = cilium("egress", json!({"toCIDRSet": [{"cidrGroupRef": "gone"}]}));
    allows_nothing(&[(nowhere, "spec.egress[0].toCIDRSet[0].cidrGroupRef")]);
}

#[test]
fn spec_and_specs_are_both_evaluated_and_that_is_said() {
    // semantics 2.3.17
    let mut both = cilium("egress", json!({"toEntities": ["world"]}));
    both["specs"] = json!([{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["198.51.100.0/24"]}]}]);
    let (said, verdicts) = judge(&both, &[]);
    assert!(said[0].starts_with("specs"), "{said:?}");
    assert_eq!(verdicts, [Verdict::Deny; 2], "the one isolates, the other denies what the one allows");
}

#[allow(clippy::needless_pass_by_value, reason = "objects are written where they are used")]
fn calico(rule: Value) -> Value {
    json!({"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": "p"},
        "spec": {"order": 1, "types": ["Egress"], "egress": [rule]}})
}

#[test]
fn policies_of_calico() {
    // semantics 2.4.9, 2.4.10, 2.4.11
    let good = calico(json!({"action": "Allow"}));
    assert_eq!(judge(&good, &[deny_all()]), (Vec::new(), [Verdict::Allow; 2]), "the same without a mistake");
    let cases = |action: &str| {
        let rule = |more: Value| {
            let mut rule = json!({"action": action});
            rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            calico(rule)
        };
        let to = |entity: Value| rule(json!({"destination": entity}));
        vec![
            (
                to(json!({"selector": "app = 'db'"})),
                "spec.egress[0].destination.selector: `app = 'db'` is no selector: column 5",
            ),
            (to(json!({"notSelector": "has(", "nets": [ALL]})), "spec.egress[0].destination.notSelector"),
            (
                to(json!({"services": {"name": "db", "namespace": "shop"}, "nets": [ALL]})),
                "spec.egress[0].destination.nets",
            ),
            (to(json!({"nets": [ALL, "x"]})), "spec.egress[0].destination.nets[1]"),
            (to(json!({"ports": [80]})), "spec.egress[0].destination.ports"),
            (rule(json!({"protocol": 256})), "spec.egress[0].protocol"),
            (rule(json!({"detination": {}})), "spec.egress[0].detination"),
            (with(rule(json!({})), "/apiVersion", json!("projectcalico.org/v4")), "apiVersion"),
            (with(rule(json!({})), "/spec/order", json!("first")), "spec.order"),
        ]
    };
    allows_nothing(&cases("Allow"));
    // Of a deny for two pods or blocks the one that can be read is not all that it may mean.
    for (policy, field) in cases("Deny") {
        let (said, verdicts) = judge(&policy, &[]);
        assert!(said.iter().any(|text| text.starts_with(field)), "{policy}: {said:?}");
        assert!(verdicts.iter().all(|verdict| *verdict != Verdict::Allow), "{policy}: {verdicts:?}");
    }
    allows_nothing(&[
        (calico(json!({"action": "Alow"})), "spec.egress[0].action"),
        (calico(json!({})), "spec.egress[0].action"),
        (
            with(
                good.clone(),
                "/spec",
                json!({"types": ["Egress"], "selector": "all(", "egress": [{"action": "Allow"}]}),
            ),
            "spec.selector",
        ),
        (
            with(good.clone(), "/spec", json!({"tier": "gone", "types": ["Egress"], "egress": [{"action": "Allow"}]})),
            "spec.tier",
        ),
        (
            calico(
                json!({"action": "Allow", "destination": {"selector": "role == 'x'", "namespaceSelector": "global()"}}),
            ),
            "spec.egress[0].destination.selector",
        ),
    ]);
}

#[test]
fn tiers_and_groups_of_a_version_that_is_not_known_are_said() {
    for object in [
        json!({"apiVersion": "projectcalico.org/v9", "kind": "Tier", "metadata": {"name": "t"}, "spec": {"order": 1}}),
        json!({"apiVersion": "crd.projectcalico.org/v2", "kind": "NetworkSet", "metadata": {"name": "s"}, "spec": {"nets": []}}),
        json!({"apiVersion": "cilium.io/v1", "kind": "CiliumCIDRGroup", "metadata": {"name": "g"}, "spec": {"externalCIDRs": []}}),
    ] {
        let read = read(&object);
        assert_eq!(read.unread().len(), 1, "{object}: {:?}", read.unread());
        assert_eq!(read.unread()[0].at.as_str(), "apiVersion");
    }
    for known in ["crd.projectcalico.org/v1", "projectcalico.org/v3"] {
        let tier = json!({"apiVersion": known, "kind": "Tier", "metadata": {"name": "t"}, "spec": {"order": 1}});
        assert_eq!(read(&tier).unread(), []);
    }
}
