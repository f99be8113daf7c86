//! The second guide's testing script over its own test pods, test by test, and its common patterns: what each run of
//! `curl` would have met, and which policy says so.

use portcullis::model::{Labels, PortSet, Protocol};
use portcullis::reach::{Governed, Verdict};
use portcullis::snapshot::Snapshot;

use crate::guides::{ask, guide, tcp};
use crate::second_guide::{outside, with_dns, with_pod};

/// The namespace as the script finds it after steps 1 and 2: a default deny, DNS, and the test pods.
fn after_step_two(more: &[&str]) -> Snapshot {
    let files = [&["workloads.yaml", "default-deny-all.yaml", "allow-dns.yaml", "test-pods.yaml"], more].concat();
    let mut world = guide("second", &files);
    with_dns(&mut world);
    with_pod(&mut world, "kube-system", "metrics-server", Labels::new([("k8s-app", "metrics-server")]));
    world
}

/// "DNS Resolution: PASS"
#[test]
fn test_1_dns_resolves_over_both_protocols() {
    let world = after_step_two(&[]);
    let dns = PortSet::port(Protocol::Udp, 53).union(&tcp(53));
    let answer = ask(&world, "test-client", "coredns", &dns);
    assert_eq!(answer.verdict, Verdict::Allow);
    let opened: Vec<&str> = answer.parts[0].egress.decided_by.iter().map(|step| &*step.policy.id.name).collect();
    assert_eq!(opened, ["allow-dns"]);
    assert_eq!(answer.parts[0].ingress.governed, Governed::NotIsolated);
}

/// "Same Namespace (test-server)": blocked by the default deny on both sides; the guide's own web policy admits only the
/// ingress controller, and to port 8080, while its test server listens on 80.
#[test]
fn test_2_the_same_namespace_is_blocked_until_a_policy_names_it() {
    let world = after_step_two(&["web-app-ingress.yaml"]);
    let answer = ask(&world, "test-client", "test-server", &tcp(80));
    assert_eq!(answer.verdict, Verdict::Deny);
    let part = &answer.parts[0];
    assert_eq!((part.egress.verdict, part.ingress.verdict), (Verdict::Deny, Verdict::Deny));
    assert!(part.ingress.isolated_by.iter().any(|policy| *policy.id.name == *"allow-ingress-to-web"));
    let controller = ask(&world, "ingress-nginx-controller", "test-server", &tcp(80));
    assert_eq!(controller.verdict, Verdict::Deny, "the policy opens 8080, the pod listens on 80");
    // With nothing but the isolation of the namespace it is allowed, as the script says it may be.
    let mut isolated = guide("second", &["workloads.yaml", "namespace-isolation.yaml", "test-pods.yaml"]);
    with_dns(&mut isolated);
    assert_eq!(ask(&isolated, "test-client", "test-server", &tcp(80)).verdict, Verdict::Allow);
}

/// "Cross Namespace (kube-system): BLOCKED (expected)": by egress of the client; kube-system itself admits everyone.
#[test]
fn test_3_another_namespace_is_blocked_by_egress_alone() {
    let world = after_step_two(&[]);
    let answer = ask(&world, "test-client", "metrics-server", &tcp(80));
    let part = &answer.parts[0];
    assert_eq!((part.egress.verdict, part.ingress.verdict), (Verdict::Deny, Verdict::Allow));
    // Isolation of a namespace is about ingress: it would not block this one.
    let mut isolated = guide("second", &["workloads.yaml", "namespace-isolation.yaml", "test-pods.yaml"]);
    with_pod(&mut isolated, "kube-system", "metrics-server", Labels::new([("k8s-app", "metrics-server")]));
    assert_eq!(ask(&isolated, "test-client", "metrics-server", &tcp(80)).verdict, Verdict::Allow);
}

/// "External Internet", and the address of the API server that the guide says must time out.
#[test]
fn test_4_the_internet_is_blocked_and_so_is_the_service_network() {
    let world = after_step_two(&["api-egress.yaml"]);
    assert_eq!(outside(&world, "test-client", "0.0.0.0/0", false, &tcp(443)).verdict, Verdict::Deny);
    assert_eq!(outside(&world, "test-client", "10.96.0.1/32", false, &tcp(80)).verdict, Verdict::Deny);
    // The way out that the guide opens is for the API pods, and excepts the service network.
    assert_eq!(outside(&world, "api-backend", "142.250.0.0/15", false, &tcp(443)).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "api-backend", "10.96.0.1/32", false, &tcp(443)).verdict, Verdict::Deny);
}

/// "Allow DNS by IP": the address is the Service's, which CNIs translate before policies see the packet.
#[test]
fn pattern_dns_by_address_opens_the_address_and_no_pods() {
    let mut world = guide("second", &["workloads.yaml", "default-deny-egress.yaml", "allow-dns-by-ip.yaml"]);
    with_dns(&mut world);
    let dns = PortSet::port(Protocol::Udp, 53).union(&tcp(53));
    assert_eq!(outside(&world, "backend", "10.96.0.10/32", false, &dns).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "backend", "10.96.0.11/32", false, &dns).verdict, Verdict::Deny);
    // Whether the block covers the DNS pod hangs on an address that no manifest has.
    assert_eq!(ask(&world, "backend", "coredns", &dns).verdict, Verdict::Depends);
}

/// "Allow External Ingress via LoadBalancer" and "Allow Internal Load Balancer".
#[test]
fn pattern_load_balancers_are_let_in_by_their_ranges() {
    let files =
        ["workloads.yaml", "default-deny-all.yaml", "allow-external-ingress.yaml", "allow-from-internal-lb.yaml"];
    let mut world = guide("second", &files);
    with_pod(&mut world, "production", "shown", Labels::new([("app", "web-frontend"), ("expose", "external")]));
    with_pod(&mut world, "production", "hidden", Labels::new([("app", "web-frontend")]));
    with_pod(&mut world, "production", "internal", Labels::new([("app", "internal-api")]));
    assert_eq!(outside(&world, "shown", "0.0.0.0/0", true, &tcp(443)).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "shown", "::/0", true, &tcp(443)).verdict, Verdict::Deny, "a block of IPv4 only");
    assert_eq!(outside(&world, "hidden", "0.0.0.0/0", true, &tcp(443)).verdict, Verdict::Deny);
    assert_eq!(outside(&world, "internal", "10.0.0.0/8", true, &tcp(8080)).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "internal", "11.0.0.0/8", true, &tcp(8080)).verdict, Verdict::Deny);
}

/// "Allow Pod-to-Pod Same Label": ingress only, so that egress of a default deny still stands in the way.
#[test]
fn pattern_pods_of_one_label_reach_each_other_if_egress_lets_them() {
    let with = |deny: &str| {
        let mut world = guide("second", &["workloads.yaml", deny, "allow-same-app.yaml"]);
        with_pod(&mut world, "production", "one", Labels::new([("app", "microservice-a"), ("n", "1")]));
        with_pod(&mut world, "production", "two", Labels::new([("app", "microservice-a"), ("n", "2")]));
        world
    };
    assert_eq!(ask(&with("default-deny-ingress.yaml"), "one", "two", &tcp(80)).verdict, Verdict::Allow);
    assert_eq!(ask(&with("default-deny-ingress.yaml"), "backend", "two", &tcp(80)).verdict, Verdict::Deny);
    let closed = ask(&with("default-deny-all.yaml"), "one", "two", &tcp(80));
    assert_eq!((closed.verdict, closed.parts[0].ingress.verdict), (Verdict::Deny, Verdict::Allow));
}
