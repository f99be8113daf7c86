//! The first guide over its own manifests: its policy test matrix, row by row.

use std::path::{Path, PathBuf};

use portcullis::model::house::Dialect;
use portcullis::model::{Direction, ObjectRef, PortSet, Protocol};
use portcullis::reach::{
    Answer, DefaultDeny, Ends, OpenEnd, PodAt, Pods, Readings, Remedy, Verdict, default_deny, explain, remedy,
};
use portcullis::report::yaml;
use portcullis::review::{Cure, Phase, Standing, assess};
use portcullis::snapshot::{NamespaceState, PodClass, Snapshot};
use portcullis::source::files::Files;

/// The state that files of a guide make.
pub(crate) fn guide(name: &str, files: &[&str]) -> Snapshot {
    let folder = Path::new("tests/guides").join(name);
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
    let files = Files::read(&paths, "default");
    assert!(files.errors.is_empty(), "{:?}", files.errors);
    files.world().snapshot
}

/// The class of a workload, wherever it is.
pub(crate) fn find<'a>(world: &'a Snapshot, name: &str) -> (&'a NamespaceState, &'a PodClass) {
    world
        .namespaces()
        .flat_map(|n| n.classes().iter().map(move |c| (&**n, &**c)))
        .find(|(_, class)| *class.owner().name == *name)
        .unwrap_or_else(|| panic!("there is no workload {name}"))
}

pub(crate) fn at<'a>((namespace, class): (&'a NamespaceState, &'a PodClass)) -> PodAt<'a> {
    PodAt { namespace, pod: class.pod(), addresses: class.addresses() }
}

pub(crate) fn ask(world: &Snapshot, from: &str, to: &str, ports: &PortSet) -> Answer {
    let end = |name: &'_ str| Ends::Pods(vec![Pods { at: at(find(world, name)), name: "", count: 1 }]);
    explain(world, &end(from), &end(to), Some(ports), &Readings::of(None)).expect("both ends are pods")
}

/// What opens a refused flow between two workloads.
pub(crate) fn cure(world: &Snapshot, from: &str, to: &str, ports: &PortSet) -> Option<Remedy> {
    let (from, to) = (find(world, from), find(world, to));
    let (a, b) = (OpenEnd::Pod(at(from), from.1.owner()), OpenEnd::Pod(at(to), to.1.owner()));
    remedy(world, a, b, ports, &Readings::of(None))
}

pub(crate) fn tcp(port: u16) -> PortSet {
    PortSet::port(Protocol::Tcp, port)
}

const FIRST: [&str; 7] = [
    "workloads.yaml",
    "default-deny-all.yaml",
    "myapp-api-network-policy.yaml",
    "myapp-workers-network-policy.yaml",
    "my-web-client-network-policy.yaml",
    "nats-network-policy.yaml",
    "postgresql-network-policy.yaml",
];

#[test]
fn six_rows_of_the_matrix_hold_and_one_does_not() {
    assert_eq!(broken_rows(&guide("first", &FIRST)), ["my-web-client,myapp-api,8080,Allow"]);
}

/// Rows of the guide's matrix that these files do not keep to.
fn broken_rows(world: &Snapshot) -> Vec<String> {
    let csv = std::fs::read_to_string("tests/guides/first/matrix.csv").unwrap();
    let holds = |row: &&str| {
        let fields: Vec<&str> = row.split(',').collect();
        ask(world, fields[0], fields[1], &tcp(fields[2].parse().unwrap())).verdict.as_str() == fields[3]
    };
    csv.lines().skip(1).filter(|row| !holds(row)).map(str::to_owned).collect()
}

#[test]
fn with_its_cilium_policy_and_only_with_it_every_row_holds() {
    let with = |more: &'static str| guide("first", &[&FIRST[..], &[more]].concat());
    let world = with("myapp-api-l7.yaml");
    assert!(broken_rows(&world).is_empty());
    let answer = ask(&world, "my-web-client", "myapp-api", &tcp(8080));
    assert_eq!(answer.verdict, Verdict::Allow);
    assert_eq!(answer.bounds.filtered, tcp(8080), "but only for the paths that it names");
    assert!(ask(&world, "traefik", "myapp-api", &tcp(8080)).bounds.filtered.is_empty());
    for other in ["allow-specific-dns.yaml", "audit-deny.yaml"] {
        assert_eq!(broken_rows(&with(other)), ["my-web-client,myapp-api,8080,Allow"], "{other}");
    }
}

#[test]
fn a_cilium_policy_without_rules_is_a_default_deny_by_itself() {
    let open = guide("first", &["workloads.yaml"]);
    let shut = guide("first", &["workloads.yaml", "audit-deny.yaml"]);
    assert_eq!(ask(&open, "my-web-client", "myapp-api", &tcp(8080)).verdict, Verdict::Allow);
    assert_eq!(ask(&shut, "my-web-client", "myapp-api", &tcp(8080)).verdict, Verdict::Deny);
    let namespace = shut.namespace("myapp-staging").unwrap();
    for direction in Direction::BOTH {
        assert!(
            matches!(default_deny(&shut, namespace, direction, Dialect::Cilium), DefaultDeny::Present(_)),
            "{direction}"
        );
    }
}

#[test]
fn the_broken_row_says_which_side_refuses_and_what_would_open_it() {
    let world = guide("first", &FIRST);
    let answer = ask(&world, "my-web-client", "myapp-api", &tcp(8080));
    assert_eq!(answer.verdict, Verdict::Deny);
    let part = &answer.parts[0];
    assert_eq!((part.egress.verdict, part.ingress.verdict), (Verdict::Allow, Verdict::Deny));
    let allowed = &part.egress.decided_by[0];
    let rule = &allowed.policy.rules(Direction::Egress)[allowed.rule.unwrap()];
    assert_eq!((&*allowed.policy.id.name, rule.at.as_str()), ("my-web-client-allow", "spec.egress[0]"));
    let isolating: Vec<&str> = part.ingress.isolated_by.iter().map(|p| &*p.id.name).collect();
    assert_eq!(isolating, ["default-deny-all", "myapp-api-allow"]);

    let opening = cure(&world, "my-web-client", "myapp-api", &tcp(8080)).expect("a NetworkPolicy opens it");
    assert_eq!(opening.policies.len(), 1, "only the side that refuses needs a rule");
    assert!(opening.also_isolates.is_empty());
    let instead: Vec<(&ObjectRef, &str)> = opening.instead.iter().map(|(id, at)| (&**id, at.as_str())).collect();
    assert_eq!(instead.len(), 1);
    assert_eq!((&*instead[0].0.name, instead[0].1), ("myapp-api-allow", "spec.ingress[1]"));
    insta::assert_snapshot!(yaml(&opening.policies), @r"
    apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: allow-myapp-api-from-my-web-client
      namespace: myapp-staging
    spec:
      podSelector:
        matchLabels:
          app.kubernetes.io/name: myapp-api
      policyTypes:
      - Ingress
      ingress:
      - from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: my-web-client
        ports:
        - protocol: TCP
          port: 8080
    ");
}

#[test]
fn web_is_kept_from_the_database_by_its_own_egress() {
    let world = guide("first", &FIRST);
    let answer = ask(&world, "my-web-client", "postgresql", &tcp(5432));
    let part = &answer.parts[0];
    assert_eq!((part.egress.verdict, part.ingress.verdict), (Verdict::Deny, Verdict::Allow));
    let opening = cure(&world, "my-web-client", "postgresql", &tcp(5432)).expect("a NetworkPolicy opens it");
    assert!(opening.policies.iter().all(|p| p.isolates_egress && !p.isolates_ingress));
}

#[test]
fn a_block_against_pods_is_settled_by_the_dialect() {
    let files: Vec<&str> = FIRST.into_iter().chain(["allow-external-apis.yaml"]).collect();
    let world = guide("first", &files);
    let verdict = |dialect| {
        let ends = |name| Ends::Pods(vec![Pods { at: at(find(&world, name)), name: "", count: 1 }]);
        let (from, to) = (ends("myapp-workers"), ends("qdrant"));
        explain(&world, &from, &to, Some(&tcp(443)), &Readings::of(dialect)).unwrap()
    };
    let open = verdict(None);
    assert_eq!(open.verdict, Verdict::Depends);
    let points: Vec<&str> = open.points.iter().map(|p| p.as_str()).collect();
    assert_eq!(points, ["ipblock-against-pods", "pod-address"]);
    assert_eq!(verdict(Some(Dialect::Cilium)).verdict, Verdict::Deny);
    assert_eq!(verdict(Some(Dialect::Calico)).verdict, Verdict::Depends, "no address of the pod is known");
}

#[test]
fn the_matrix_as_assertions_says_the_same() {
    let folder = Path::new("tests/guides/first");
    let paths: Vec<PathBuf> = FIRST.iter().chain(&["assertions"]).map(|file| folder.join(file)).collect();
    let files = Files::read(&paths, "default");
    assert!(files.errors.is_empty(), "{:?}", files.errors);
    let world = files.world();
    let rows: Vec<_> = world.snapshot.assertions().map(|row| (row.id.name.to_string(), assess(&world, row))).collect();
    assert_eq!(rows.len(), 7);
    let broken: Vec<&str> = rows.iter().filter(|(_, a)| a.phase != Phase::Holds).map(|(name, _)| &**name).collect();
    assert_eq!(broken, ["web-reaches-the-api"]);

    let located = files.objects.iter().find(|l| &*l.object.id().name == "web-reaches-the-api").expect("the row");
    let verdict = Standing::new(&world).judge(&located.object, located);
    let judged = &verdict.findings[0];
    assert_eq!(
        judged.finding.message,
        "assertion myapp-staging/web-reaches-the-api expects Allow and does not hold: Deployment myapp-staging/my-web-client \
         cannot reach Deployment myapp-staging/myapp-api on TCP 8080: ingress of Deployment myapp-staging/myapp-api refuses"
    );
    assert_eq!(
        judged.finding.because,
        [
            "egress of Deployment myapp-staging/my-web-client: allowed by my-web-client-allow egress[0]",
            "ingress of Deployment myapp-staging/myapp-api: isolated by default-deny-all, myapp-api-allow, and no rule admits it",
            "a rule at myapp-api-allow ingress[1] would open it",
        ]
    );
    let Cure::First(policies) = &verdict.cure else { panic!("a cure that was tried: {:?}", verdict.cure) };
    assert_eq!(&*policies[0].id.name, "allow-myapp-api-from-my-web-client");
    assert_eq!(located.locate(&judged.finding.path).line, 46);
}
