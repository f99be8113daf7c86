//! Namespaces, pods, and objects that make pods.

use portcullis::model::{DnsPolicy, Labels, NamedPort, Object, Protocol, Workload};
use portcullis::translate::{Defaults, Family, Kind, from_json, from_value};
use serde_json::{Value, json};

use super::{DEFAULTS, workload};

fn pod(spec: &Value) -> Workload {
    workload(Kind::Pod, &json!({"metadata": {"name": "p", "labels": {"app": "web"}}, "spec": spec}))
}

fn namespace(object: &Value) -> portcullis::model::Namespace {
    match from_value(Kind::Namespace, object, &Defaults { namespace: "", name: "fallback" }) {
        Object::Namespace(namespace) => namespace,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_namespace_carries_its_name_as_a_label() {
    // semantics 2.1.12
    let with = namespace(&json!({"metadata": {"name": "edge", "labels": {"team": "a"}}}));
    assert_eq!(with.labels, Labels::new([("team", "a"), ("kubernetes.io/metadata.name", "edge")]));
    let forged = namespace(&json!({"metadata": {"name": "edge", "labels": {"kubernetes.io/metadata.name": "prod"}}}));
    assert_eq!(forged, namespace(&json!({"metadata": {"name": "edge", "labels": null}})));
    assert_eq!(&*namespace(&json!({})).name, "fallback");
    assert!(!with.terminating);
    for going in [
        json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        json!({"metadata": {"name": "a", "deletionTimestamp": null}, "status": {"phase": "Terminating"}}),
    ] {
        assert!(namespace(&going).terminating, "{going}");
    }
}

#[test]
fn named_ports_of_containers_and_sidecars_count() {
    // semantics 2.1.8, 2.1.9
    let pod = pod(&json!({
        "containers": [
            {"name": "a", "ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 9000}]},
            {"name": "b", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
            {"name": "c", "ports": null},
        ],
        "initContainers": [
            {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 4191, "protocol": "TCP"}]},
            {"name": "once", "ports": [{"name": "never", "containerPort": 1}]},
        ],
    }));
    let port = |name: &str, protocol, port| NamedPort { name: name.into(), protocol, port };
    let expected =
        [port("admin", Protocol::Tcp, 4191), port("dns", Protocol::Udp, 53), port("web", Protocol::Tcp, 8080)];
    assert_eq!(pod.pod.ports, expected);
}

#[test]
fn the_resolver_is_the_one_a_pod_really_gets() {
    let servers = |list: &[&str]| DnsPolicy::Servers(list.iter().map(|s| s.parse().unwrap()).collect());
    for (spec, expected) in [
        (json!({}), DnsPolicy::Cluster),
        (json!({"dnsPolicy": "ClusterFirst"}), DnsPolicy::Cluster),
        (json!({"dnsPolicy": "Default"}), DnsPolicy::Node),
        (json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true}), DnsPolicy::Node),
        (json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}), DnsPolicy::Cluster),
        (
            json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.2", "fd00::2"]}}),
            servers(&["10.0.0.2", "fd00::2"]),
        ),
        (json!({"dnsPolicy": "None"}), servers(&[])),
        // Further servers are asked only after those of the policy.
        (json!({"dnsConfig": {"nameservers": ["10.0.0.2"]}}), DnsPolicy::Cluster),
    ] {
        assert_eq!(pod(&spec).pod.dns, expected, "{spec}");
    }
}

#[test]
fn service_account_and_host_network_are_read() {
    // semantics 2.1.17
    let account = |spec| pod(&spec).pod.service_account.to_string();
    assert_eq!(account(json!({})), "default");
    assert_eq!(account(json!({"serviceAccountName": "api", "serviceAccount": "old"})), "api");
    assert_eq!(account(json!({"serviceAccountName": "", "serviceAccount": "old"})), "old");
    assert!(pod(&json!({"hostNetwork": true})).pod.host_network);
    assert!(!pod(&json!({"hostNetwork": null})).pod.host_network);
}

#[test]
fn finished_pods_and_jobs_are_finished() {
    // semantics 2.1.20
    for (phase, finished) in [("Succeeded", true), ("Failed", true), ("Running", false), ("Pending", false)] {
        let object = json!({"metadata": {"name": "p", "deletionTimestamp": "x"}, "status": {"phase": phase}});
        assert_eq!(workload(Kind::Pod, &object).finished, finished, "{phase}");
    }
    let job = |kind: &str, status: &str| {
        let conditions = json!([{"type": "Suspended", "status": "True"}, {"type": kind, "status": status}]);
        let object = json!({"spec": {"template": {}}, "status": {"conditions": conditions}});
        workload(Kind::Job, &object).finished
    };
    assert!(job("Complete", "True") && job("Failed", "True"));
    assert!(!job("Complete", "False") && !job("FailureTarget", "True"));
}

#[test]
fn every_kind_has_its_template_where_it_says() {
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"serviceAccountName": "api"}});
    for kind in Kind::ALL.iter().copied().filter(|k| k.family() == Family::Kubernetes) {
        if matches!(kind, Kind::Namespace | Kind::Pod | Kind::NetworkPolicy) {
            continue;
        }
        let (spec, at) = match kind {
            Kind::CronJob => {
                (json!({"jobTemplate": {"spec": {"template": template}}}), "spec.jobTemplate.spec.template")
            }
            _ => (json!({"template": template}), "spec.template"),
        };
        let object = json!({"metadata": {"name": "w", "labels": {"own": "1"}}, "spec": spec});
        let read = workload(kind, &object);
        assert_eq!(read.id.to_string(), format!("{} shop/w", kind.kind()));
        assert_eq!((&*read.id.api_version, read.template_at), (kind.api_version(), at));
        assert_eq!(read.labels, Labels::new([("own", "1")]));
        assert_eq!(read.pod.labels, Labels::new([("app", "web")]));
        assert_eq!(&*read.pod.service_account, "api");
        // Without a template nothing is known, and that is said.
        let Object::Unreadable(id, unread) = from_value(kind, &json!({"metadata": {"name": "w"}}), &DEFAULTS) else {
            panic!("{kind:?}")
        };
        assert_eq!((&*id.name, unread[0].at.as_str()), ("w", at));
    }
    assert_eq!(pod(&json!({})).template_at, "");
}

#[test]
fn a_replica_set_stands_for_its_deployment() {
    let owned = |owners: Value, hash: &str| {
        let labels = json!({"pod-template-hash": hash});
        workload(Kind::Pod, &json!({"metadata": {"name": "p", "labels": labels, "ownerReferences": owners}}))
            .controller
            .map(|c| format!("{} {}", c.kind, c.name))
    };
    let controller = |kind: &str, name: &str| json!({"kind": kind, "name": name, "controller": true, "uid": "1"});
    let set = controller("ReplicaSet", "web-5d9c");
    assert_eq!(owned(json!([set]), "5d9c").as_deref(), Some("Deployment web"));
    assert_eq!(owned(json!([set]), "other").as_deref(), Some("ReplicaSet web-5d9c"));
    assert_eq!(owned(json!([controller("ReplicaSet", "-5d9c")]), "5d9c").as_deref(), Some("ReplicaSet -5d9c"));
    assert_eq!(owned(json!([set]), "").as_deref(), Some("ReplicaSet web-5d9c"));
    // Only the controller counts, not whoever else keeps the object from being collected.
    let other = json!({"kind": "Node", "name": "n"});
    assert_eq!(owned(json!([other, controller("Job", "j")]), "").as_deref(), Some("Job j"));
    assert_eq!(owned(json!([other]), ""), None);
    assert_eq!(owned(Value::Null, ""), None);
}

#[test]
fn what_is_no_pod_says_what_is_wrong_and_keeps_its_name() {
    let object = json!({"metadata": {"name": "w"}, "spec": {"template": {"metadata": {"labels": {"version": 1}}}}});
    let Object::Unreadable(id, unread) = from_value(Kind::Deployment, &object, &DEFAULTS) else { panic!() };
    assert_eq!(id.to_string(), "Deployment shop/w");
    assert!(unread[0].what.contains("the value of `version` must be text, in quotes"), "{unread:?}");
}

#[test]
fn what_belongs_in_a_field_is_said_in_terms_of_json() {
    for (kind, object) in [
        (Kind::Deployment, json!([])),
        (Kind::Deployment, json!({"spec": []})),
        (Kind::Deployment, json!({"spec": {"template": {"spec": "x"}}})),
        (Kind::CronJob, json!({"spec": {"jobTemplate": 1}})),
        (Kind::Pod, json!({"spec": []})),
        (Kind::Pod, json!({"spec": {"containers": [{"ports": ["http"]}]}})),
    ] {
        let Object::Unreadable(_, unread) = from_value(kind, &object, &DEFAULTS) else { panic!("{object}") };
        assert!(unread[0].what.contains("expected an object"), "{object}: {unread:?}");
    }
}

#[test]
fn kinds_are_found_by_group_and_name() {
    assert_eq!(Kind::of("", "Pod"), Some(Kind::Pod));
    assert_eq!(Kind::of("apps", "Deployment"), Some(Kind::Deployment));
    assert_eq!(Kind::of("networking.k8s.io", "NetworkPolicy"), Some(Kind::NetworkPolicy));
    // Calico has a kind of the same name, and extensions/v1beta1 is long gone.
    // semantics 2.4.16: one object, whichever of the two groups shows it.
    for group in ["projectcalico.org", "crd.projectcalico.org"] {
        assert_eq!(Kind::of(group, "NetworkPolicy"), Some(Kind::CalicoNetworkPolicy));
    }
    assert_eq!(Kind::of("extensions", "Deployment"), None);
    for kind in Kind::ALL {
        assert_eq!(Kind::of(kind.group(), kind.kind()), Some(*kind));
        assert_eq!(kind.plural(), format!("{}s", kind.kind().to_lowercase()).replace("policys", "policies"));
        let expected = if kind.group().is_empty() {
            kind.version().to_owned()
        } else {
            format!("{}/{}", kind.group(), kind.version())
        };
        assert_eq!(kind.api_version(), expected);
    }
}

#[test]
fn a_pod_as_the_api_server_sends_it_reads_from_text() {
    let text = include_bytes!("../data/translate/pod.json");
    let Object::Workload(read) = from_json(Kind::Pod, text, &DEFAULTS) else { panic!() };
    assert_eq!(read.id.to_string(), "Pod shop/checkout-7c9d8b6f4-abcde");
    assert_eq!(read.controller.map(|c| format!("{} {}", c.kind, c.name)).as_deref(), Some("Deployment checkout"));
    assert_eq!(read.pod.labels.get("app.kubernetes.io/name").map(|v| &**v), Some("checkout"));
    let ports: Vec<String> = read.pod.ports.iter().map(|p| format!("{} {} {}", p.name, p.protocol, p.port)).collect();
    assert_eq!(ports, ["http TCP 8080", "metrics TCP 9090", "proxy-admin TCP 4191"]);
    assert_eq!(&*read.pod.service_account, "checkout");
    assert!(!read.finished && !read.pod.host_network);
}
