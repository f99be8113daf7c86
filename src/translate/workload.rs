//! Pods and objects with a pod template → model: labels, service account, named ports, host network and resolver.

use std::sync::Arc;

use super::wire::{self, Meta, text};
use super::{Defaults, Kind, id, labels};
use crate::model::pod::Controller;
use crate::model::{DnsPolicy, FieldPath, Labels, NamedPort, Object, PodSpec, Protocol, Unread, Workload};

/// Where a CronJob keeps its template; everywhere else it is `spec.template`.
const CRON_TEMPLATE: &str = "spec.jobTemplate.spec.template";
const TEMPLATE: &str = "spec.template";
/// The label by which a Deployment tells its ReplicaSets apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Reads a Pod.
pub(super) fn pod(wire: wire::Pod<'_>, defaults: &Defaults<'_>) -> Object {
    let meta = wire.metadata.unwrap_or_default();
    let phase = wire.status.as_ref().map_or("", |status| text(status.phase.as_ref()));
    // semantics 2.1.20: a finished pod has no endpoint. A pod that is being deleted still has one, for as long as its grace
    // period says, and the owner of the pod chooses that.
    let finished = matches!(phase, "Succeeded" | "Failed");
    let addresses = wire.status.iter().filter_map(|status| status.pod_ips.as_ref()).flatten();
    let addresses = addresses.filter_map(|address| text(address.ip.as_ref()).parse().ok()).collect();
    let labels = labels(meta.labels.as_ref());
    let spec = pod_spec(&labels, &wire.spec.unwrap_or_default());
    Object::Workload(Workload {
        id: id(Kind::Pod, &meta, defaults),
        leaving: false,
        controller: controller(&meta, &labels),
        labels,
        pod: Arc::new(spec),
        addresses,
        finished,
        template_at: "",
    })
}

/// Reads an object whose template is at `spec.template`.
pub(super) fn templated(kind: Kind, wire: wire::Templated<'_>, defaults: &Defaults<'_>) -> Object {
    let template = wire.spec.and_then(|spec| spec.template);
    workload(kind, &wire.metadata.unwrap_or_default(), template, false, TEMPLATE, defaults)
}

/// Reads a Job; one that is done makes no pods any more.
pub(super) fn job(wire: wire::Job<'_>, defaults: &Defaults<'_>) -> Object {
    let finished = wire.status.and_then(|status| status.conditions).is_some_and(|conditions| {
        conditions
            .iter()
            .any(|c| matches!(text(c.kind.as_ref()), "Complete" | "Failed") && text(c.status.as_ref()) == "True")
    });
    let template = wire.spec.and_then(|spec| spec.template);
    workload(Kind::Job, &wire.metadata.unwrap_or_default(), template, finished, TEMPLATE, defaults)
}

/// Reads a CronJob.
pub(super) fn cron_job(wire: wire::CronJob<'_>, defaults: &Defaults<'_>) -> Object {
    let job = wire.spec.and_then(|spec| spec.job_template);
    let template = job.and_then(|job| job.spec).and_then(|spec| spec.template);
    workload(Kind::CronJob, &wire.metadata.unwrap_or_default(), template, false, CRON_TEMPLATE, defaults)
}

fn workload(
    kind: Kind,
    meta: &Meta<'_>,
    template: Option<wire::Template<'_>>,
    finished: bool,
    template_at: &'static str,
    defaults: &Defaults<'_>,
) -> Object {
    let id = id(kind, meta, defaults);
    let Some(template) = template else {
        let what = format!("a {} needs a pod template here; nothing is known about its pods", kind.kind());
        return Object::Unreadable(id, vec![Unread { at: FieldPath::new(template_at), what }]);
    };
    let own = labels(meta.labels.as_ref());
    let pod_labels = labels(template.metadata.and_then(|m| m.labels).as_ref());
    let pod = pod_spec(&pod_labels, &template.spec.unwrap_or_default());
    Object::Workload(Workload {
        controller: controller(meta, &own),
        leaving: meta.deletion_timestamp.is_some(),
        id,
        labels: own,
        pod: Arc::new(pod),
        addresses: Vec::new(),
        finished,
        template_at,
    })
}

fn pod_spec(labels: &Labels, wire: &wire::PodSpec<'_>) -> PodSpec {
    let host_network = wire.host_network.unwrap_or(false);
    let account = [&wire.service_account_name, &wire.service_account]
        .into_iter()
        .map(|name| text(name.as_ref()))
        .find(|name| !name.is_empty())
        .unwrap_or("default");
    PodSpec {
        labels: labels.clone(),
        service_account: account.into(),
        ports: named_ports(wire),
        host_network,
        dns: dns(wire, host_network),
    }
}

/// Named ports, sorted. Sidecars (init containers that keep running) count (semantics 2.1.9); other init containers have
/// ended before anyone could connect.
fn named_ports(wire: &wire::PodSpec<'_>) -> Vec<NamedPort> {
    let sidecars = wire.init_containers.iter().flatten().filter(|c| text(c.restart_policy.as_ref()) == "Always");
    let mut ports: Vec<NamedPort> = wire
        .containers
        .iter()
        .flatten()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(named_port)
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

fn named_port(wire: &wire::ContainerPort<'_>) -> Option<NamedPort> {
    let name = wire.name.as_deref().filter(|name| !name.is_empty())?;
    let protocol = wire.protocol.as_deref().filter(|p| !p.is_empty()).map_or(Some(Protocol::Tcp), Protocol::parse)?;
    let port = u16::try_from(wire.number?).ok().filter(|port| *port > 0)?;
    Some(NamedPort { name: name.into(), protocol, port })
}

/// The resolver a pod really gets: on the node's network `ClusterFirst` is the node's own.
fn dns(wire: &wire::PodSpec<'_>, host_network: bool) -> DnsPolicy {
    match text(wire.dns_policy.as_ref()) {
        "Default" => DnsPolicy::Node,
        "None" => {
            let servers = wire.dns_config.iter().filter_map(|config| config.nameservers.as_ref()).flatten();
            // An API server takes three at most.
            DnsPolicy::Servers(servers.take(3).filter_map(|server| server.parse().ok()).collect())
        }
        "ClusterFirstWithHostNet" => DnsPolicy::Cluster,
        _ if host_network => DnsPolicy::Node,
        _ => DnsPolicy::Cluster,
    }
}

/// The owner that controls the object. A ReplicaSet named after the template hash stands for its Deployment.
fn controller(meta: &Meta<'_>, labels: &Labels) -> Option<Controller> {
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    let (kind, name) = (text(owner.kind.as_ref()), text(owner.name.as_ref()));
    if kind == "ReplicaSet"
        && let Some(hash) = labels.get(TEMPLATE_HASH)
        && let Some(deployment) = name.strip_suffix(&**hash).and_then(|rest| rest.strip_suffix('-'))
        && !deployment.is_empty()
    {
        return Some(Controller { kind: "Deployment".into(), name: deployment.into() });
    }
    Some(Controller { kind: kind.into(), name: name.into() })
}
