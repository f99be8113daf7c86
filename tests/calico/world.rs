//! A small cluster in YAML, and what the engine says about one connection in it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis::model::entrance::Entrances;
use portcullis::model::house::Dialect;
use portcullis::model::{IpSet, Object, PortSet, Protocol, References};
use portcullis::reach::{Bounds, Ends, Matrix, Options, PodAt, Pods, Readings, Verdict, explain};
use portcullis::snapshot::Snapshot;
use portcullis::source::manifests;
use portcullis::translate::{Defaults, Kind, entrance, from_value};

use crate::matrix_support;

/// Reads every object; those that are not understood in full are for the caller to look at.
pub(crate) fn objects(yaml: &str) -> Vec<Object> {
    let (documents, errors) = manifests::read_str("test", yaml);
    assert!(errors.is_empty(), "{errors:?}\n{yaml}");
    let read = documents.iter().map(|document| {
        let api = document.api_version().unwrap_or_default();
        let group = api.split_once('/').map_or("", |(group, _)| group);
        let kind = document.kind().and_then(|kind| Kind::of(group, kind));
        let kind = kind.unwrap_or_else(|| panic!("{api} {:?} is no kind that is known", document.kind()));
        from_value(kind, &document.value, &Defaults { namespace: "shop", name: "" })
    });
    read.collect()
}

/// Services and service accounts.
pub(crate) fn known(yaml: &str) -> References {
    let (documents, errors) = manifests::read_str("test", yaml);
    assert!(errors.is_empty(), "{errors:?}\n{yaml}");
    let (mut entrances, mut accounts) = (Entrances::default(), BTreeMap::new());
    for document in documents {
        let kind = document.kind().expect("a kind");
        match entrance::account("", kind, &document.value, "shop") {
            Some((name, labels)) => drop(accounts.insert(name, labels)),
            None => assert!(entrance::take("", kind, &document.value, "shop", &mut entrances), "{kind}"),
        }
    }
    References { services: entrances.services, accounts }
}

/// A cluster of which everything is understood.
pub(crate) struct Cluster(pub(crate) Snapshot);

/// Three namespaces with the pods that the cases speak of. `shop` is a shop, `dev` another environment of it, `far` has no
/// labels at all.
pub(crate) const PODS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: dev, labels: {env: dev}}
---
apiVersion: v1
kind: Namespace
metadata: {name: far}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, tier: front}}
spec: {serviceAccountName: web-robot, containers: [{name: main, ports: [{name: http, containerPort: 8080}]}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, tier: back}}
spec:
  serviceAccountName: db-robot
  containers: [{name: main, ports: [{name: sql, containerPort: 5432}]}]
  initContainers: [{name: init, restartPolicy: Always, ports: [{name: metrics, containerPort: 9187}]}]
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: v1
kind: Pod
metadata: {name: devweb, namespace: dev, labels: {app: web, tier: front}}
spec: {containers: [{name: main}]}
status: {podIPs: [{ip: 10.0.1.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: far, labels: {app: other}}
spec: {containers: [{name: main}]}
status: {podIPs: [{ip: 10.0.2.1}]}
";

impl Cluster {
    /// The pods above and these policies.
    pub(crate) fn with(policies: &str) -> Self {
        let mut all = objects(PODS);
        for object in objects(policies) {
            assert!(object.unread().is_empty(), "{}: {:?}", object.id(), object.unread());
            all.push(object);
        }
        Self(Snapshot::of(&all))
    }

    /// The same, where these Services and service accounts are known.
    pub(crate) fn knowing(references: &str, policies: &str) -> Self {
        Self(Snapshot::knowing(known(references), &[objects(PODS), objects(policies)].concat()))
    }

    /// The same, with policies of which something is not understood.
    pub(crate) fn with_bad(policies: &str) -> Self {
        let all: Vec<Object> = objects(PODS).into_iter().chain(objects(policies)).collect();
        Self(Snapshot::of(&all))
    }

    /// What passes from one end to the other. An end is the name of a pod or an address.
    pub(crate) fn bounds(&self, from: &str, to: &str) -> Bounds {
        self.answer(from, to, None).0
    }

    fn answer(&self, from: &str, to: &str, asked: Option<&PortSet>) -> (Bounds, Verdict) {
        let end = |name: &str| match name.parse() {
            Ok(address) => Ends::Addresses(IpSet::single(address)),
            Err(_) => Ends::Pods(vec![Pods { at: self.pod(name), name: "", count: 1 }]),
        };
        let answer = explain(&self.0, &end(from), &end(to), asked, &Readings::of(Some(Dialect::Calico)));
        let answer = answer.expect("one end is a pod");
        (answer.bounds, answer.verdict)
    }

    fn pod(&self, name: &str) -> PodAt<'_> {
        let found = self.0.namespaces().find_map(|namespace| {
            let class = namespace.classes().iter().find(|class| *class.owner().name == *name)?;
            Some(PodAt { namespace, pod: class.pod(), addresses: class.addresses() })
        });
        found.unwrap_or_else(|| panic!("there is no pod {name}"))
    }

    /// The verdict on one TCP port.
    pub(crate) fn tcp(&self, from: &str, to: &str, port: u16) -> Verdict {
        self.answer(from, to, Some(&PortSet::port(Protocol::Tcp, port))).1
    }

    /// The verdict on one UDP port.
    pub(crate) fn udp(&self, from: &str, to: &str, port: u16) -> Verdict {
        self.answer(from, to, Some(&PortSet::port(Protocol::Udp, port))).1
    }
}

/// A Calico NetworkPolicy in namespace shop.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    let spec = format!("  {}\n", spec.replace('\n', "\n  "));
    format!(
        "---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n{spec}"
    )
}

/// A GlobalNetworkPolicy.
pub(crate) fn global(name: &str, spec: &str) -> String {
    let spec = format!("  {}\n", spec.replace('\n', "\n  "));
    format!(
        "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n{spec}"
    )
}

/// A tier.
pub(crate) fn tier(name: &str, order: f64, action: &str) -> String {
    format!(
        "---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {{name: {name}}}\nspec: {{order: {order}, defaultAction: {action}}}\n"
    )
}

/// Bounds by the names of both ends, as Calico enforces; addresses are answered for those that are asked about.
pub(crate) fn table(state: &Snapshot, outside: &[IpAddr]) -> BTreeMap<(String, String), Bounds> {
    let options = Options { readings: Readings::of(Some(Dialect::Calico)), representatives: false };
    matrix_support::table(&Matrix::of(state, &options), outside)
}
