//! The second guide: three tiers, isolation of a namespace, monitoring, external ranges, probes, and its table of troubles,
//! each row as a state that shows the trouble and the change that ends it.

use portcullis::model::ObjectRef;
use portcullis::model::ipset::parse_cidr;
use portcullis::model::{Change, IpSet, Labels, Namespace, Object, PodSpec, PortSet, Protocol, Workload};
use portcullis::reach::{Answer, Ends, Governed, PodAt, Pods, Readings, Verdict, explain};
use portcullis::snapshot::Snapshot;
use std::sync::Arc;

use crate::guides::{ask, cure, guide, tcp};

pub(crate) fn with_pod(world: &mut Snapshot, namespace: &str, name: &str, labels: Labels) {
    world.insert(&Object::Workload(Workload {
        id: ObjectRef::namespaced("v1", "Pod", namespace.to_owned(), name.to_owned()),
        labels: labels.clone(),
        pod: Arc::new(PodSpec::with_labels(labels)),
        controller: None,
        addresses: Vec::new(),
        finished: false,
        leaving: false,
        template_at: "",
    }));
}

pub(crate) fn with_dns(world: &mut Snapshot) {
    with_pod(world, "kube-system", "coredns", Labels::new([("k8s-app", "kube-dns")]));
}

fn dns() -> PortSet {
    PortSet::port(Protocol::Udp, 53).union(&PortSet::port(Protocol::Tcp, 53))
}

/// A question between a workload and addresses.
pub(crate) fn outside(world: &Snapshot, workload: &str, cidr: &str, inward: bool, ports: &PortSet) -> Answer {
    let (namespace, class) = crate::guides::find(world, workload);
    let at = PodAt { namespace, pod: class.pod(), addresses: class.addresses() };
    let pods = Ends::Pods(vec![Pods { at, name: "", count: 1 }]);
    let addresses = Ends::Addresses(IpSet::from(parse_cidr(cidr).unwrap().0));
    let (from, to) = if inward { (addresses, pods) } else { (pods, addresses) };
    explain(world, &from, &to, Some(ports), &Readings::of(None)).unwrap()
}

#[test]
fn three_tiers_talk_down_the_line_only() {
    let world = guide("second", &["workloads.yaml", "complete-app-policies.yaml"]);
    for (from, to, port, expected) in [
        ("ingress-nginx-controller", "frontend", 80, Verdict::Allow),
        ("frontend", "backend", 8080, Verdict::Allow),
        ("backend", "database", 5432, Verdict::Allow),
        ("frontend", "database", 5432, Verdict::Deny),
        ("backend", "frontend", 80, Verdict::Deny),
        ("ingress-nginx-controller", "backend", 8080, Verdict::Deny),
        ("frontend", "backend", 8081, Verdict::Deny),
        ("prometheus", "backend", 8080, Verdict::Deny),
    ] {
        assert_eq!(ask(&world, from, to, &tcp(port)).verdict, expected, "{from} to {to} {port}");
    }
}

#[test]
fn isolation_keeps_other_namespaces_out() {
    let world = guide("second", &["workloads.yaml", "namespace-isolation.yaml"]);
    assert_eq!(ask(&world, "frontend", "backend", &tcp(8080)).verdict, Verdict::Allow);
    assert_eq!(ask(&world, "prometheus", "backend", &tcp(8080)).verdict, Verdict::Deny);
}

#[test]
fn monitoring_scrapes_annotated_pods_and_no_others() {
    let mut world = guide("second", &["workloads.yaml", "default-deny-all.yaml", "allow-monitoring-scrape.yaml"]);
    with_pod(&mut world, "production", "scraped", Labels::new([("prometheus.io/scrape", "true")]));
    assert_eq!(ask(&world, "prometheus", "scraped", &tcp(9090)).verdict, Verdict::Allow);
    assert_eq!(ask(&world, "prometheus", "backend", &tcp(9090)).verdict, Verdict::Deny);
    assert_eq!(ask(&world, "mysql", "scraped", &tcp(9090)).verdict, Verdict::Deny);
}

#[test]
fn external_ranges_are_exact() {
    let mut world = guide("second", &["workloads.yaml", "restrict-external-egress.yaml", "api-egress.yaml"]);
    with_pod(&mut world, "production", "payment", Labels::new([("app", "payment-service")]));
    let https = tcp(443);
    assert_eq!(outside(&world, "payment", "203.0.113.0/24", false, &https).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "payment", "203.0.112.0/24", false, &https).verdict, Verdict::Deny);
    let mixed = outside(&world, "payment", "203.0.112.0/23", false, &https);
    assert_eq!((mixed.verdict, mixed.parts.len()), (Verdict::Depends, 2));
    assert_eq!(outside(&world, "api-backend", "10.0.0.0/8", false, &https).verdict, Verdict::Deny);
    assert_eq!(outside(&world, "api-backend", "8.8.8.0/24", false, &https).verdict, Verdict::Allow);
}

#[test]
fn health_checks_open_their_range_of_ports_to_ipv4() {
    let world = guide("second", &["workloads.yaml", "default-deny-all.yaml", "allow-health-checks.yaml"]);
    let ports = PortSet::range(Protocol::Tcp, 8080, 8081);
    assert_eq!(outside(&world, "backend", "0.0.0.0/0", true, &ports).verdict, Verdict::Allow);
    assert_eq!(outside(&world, "backend", "0.0.0.0/0", true, &tcp(8082)).verdict, Verdict::Deny);
    // semantics 2.1.22
    assert_eq!(outside(&world, "backend", "::/0", true, &ports).verdict, Verdict::Deny);
}

/// "All traffic blocked: default deny without allow rules."
#[test]
fn trouble_all_traffic_is_blocked() {
    let world = guide("second", &["workloads.yaml", "default-deny-all.yaml"]);
    let answer = ask(&world, "web-frontend", "api-backend", &tcp(3000));
    let part = &answer.parts[0];
    assert_eq!((part.egress.verdict, part.ingress.verdict), (Verdict::Deny, Verdict::Deny));
    for side in [&part.egress, &part.ingress] {
        let names: Vec<&str> = side.isolated_by.iter().map(|p| &*p.id.name).collect();
        assert_eq!(names, ["default-deny-all"]);
        assert!(side.decided_by.iter().all(|step| step.rule.is_none()), "isolation decides, no rule does");
    }
    let opening = cure(&world, "web-frontend", "api-backend", &tcp(3000)).expect("allow rules open it");
    assert_eq!(opening.policies.len(), 2, "one allow for each side");
}

/// "DNS not working: forgot DNS egress policy."
#[test]
fn trouble_dns_does_not_work() {
    let mut world = guide("second", &["workloads.yaml", "default-deny-egress.yaml"]);
    with_dns(&mut world);
    let answer = ask(&world, "backend", "coredns", &dns());
    assert_eq!((answer.verdict, answer.parts[0].egress.verdict), (Verdict::Deny, Verdict::Deny));
    assert_eq!(answer.parts[0].ingress.governed, Governed::NotIsolated);
    let mut mended = guide("second", &["workloads.yaml", "default-deny-egress.yaml", "allow-dns.yaml"]);
    with_dns(&mut mended);
    assert_eq!(ask(&mended, "backend", "coredns", &dns()).verdict, Verdict::Allow);
}

/// "Cross-namespace blocked: namespace labels missing." The name label cannot be missing; any other can.
#[test]
fn trouble_cross_namespace_is_blocked() {
    let world = guide("second", &["workloads.yaml", "api-to-database.yaml"]);
    assert_eq!(ask(&world, "api-backend", "mysql", &tcp(3306)).verdict, Verdict::Allow);
    assert_eq!(ask(&world, "web-frontend", "mysql", &tcp(3306)).verdict, Verdict::Deny);
    // The guide's advice, to add kubernetes.io/metadata.name, changes nothing: the API server has added it already.
    let bare = Object::Namespace(Namespace::named("production"));
    let relabelled = world.overlay(&Change::create(bare));
    assert_eq!(ask(&relabelled, "api-backend", "mysql", &tcp(3306)).verdict, Verdict::Allow);
}

/// "Ingress not working: wrong ingress namespace selector."
#[test]
fn trouble_ingress_does_not_work() {
    let world = guide("second", &["workloads.yaml", "default-deny-ingress.yaml", "web-app-ingress.yaml"]);
    assert_eq!(ask(&world, "ingress-nginx-controller", "web-frontend", &tcp(8080)).verdict, Verdict::Allow);
    let mut elsewhere = world.clone();
    with_pod(&mut elsewhere, "ingress", "moved", Labels::new([("app.kubernetes.io/name", "ingress-nginx")]));
    let answer = ask(&elsewhere, "moved", "web-frontend", &tcp(8080));
    assert_eq!((answer.parts[0].egress.verdict, answer.parts[0].ingress.verdict), (Verdict::Allow, Verdict::Deny));
    let opening =
        cure(&elsewhere, "moved", "web-frontend", &tcp(8080)).expect("a rule for the right namespace opens it");
    let text = portcullis::report::yaml(&opening.policies);
    assert!(text.contains("kubernetes.io/metadata.name: ingress\n"), "{text}");
}

/// "Pods can't reach external: egress to 0.0.0.0/0 missing."
#[test]
fn trouble_pods_cannot_reach_the_outside() {
    let world = guide("second", &["workloads.yaml", "default-deny-all.yaml"]);
    let answer = outside(&world, "api-backend", "0.0.0.0/0", false, &tcp(443));
    assert_eq!((answer.verdict, answer.parts[0].ingress.governed), (Verdict::Deny, Governed::Outside));
    let mended = guide("second", &["workloads.yaml", "default-deny-all.yaml", "api-egress.yaml"]);
    let answer = outside(&mended, "api-backend", "0.0.0.0/0", false, &tcp(443));
    assert_eq!(answer.verdict, Verdict::Depends, "the private ranges are excepted");
    let open = answer.parts.iter().find(|p| p.verdict == Verdict::Allow).unwrap();
    assert!(open.addresses.as_ref().unwrap().contains("1.1.1.1".parse().unwrap()));
}
