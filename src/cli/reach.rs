//! `portcullis reach`: one flow, decided and explained.

use std::collections::BTreeMap;
use std::io::Write;

use clap::ValueEnum;

use super::Exit;
use super::cluster::{Input, network, omitted};
use super::endpoint::{self, Endpoint, Found};
use crate::model::{FieldPath, Object, ObjectRef, PortSet};
use crate::reach::{Answer, OpenEnd, Point, Readings, Remedy, Verdict, explain, lacking, remedy};
use crate::report::{Place, Reach};
use crate::snapshot::Snapshot;
use crate::source::files::{Files, Located};

/// Say whether traffic passes from one end to another, and which rules decide.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("{}

Examples:
  portcullis reach manifests/ --from shop/api --to data/postgresql --port 5432/TCP
  portcullis reach manifests/ --from shop/workers --to world --port 443/TCP
  portcullis reach manifests/ --from 10.0.0.0/8 --to shop/api -o json
  helm template shop ./chart | portcullis reach - --from shop/web --to shop/app=api
  portcullis reach --cluster --context staging --from shop/web --to shop/api --port 8080/TCP

A flow passes if egress of the source and ingress of the destination both allow it. The verdict is Allow, Deny, or
Depends where the policies leave it open; what it depends on is said. Exit code: 0 answered, 2 no answer.", endpoint::FORMS))]
pub struct Args {
    #[command(flatten)]
    input: Input,
    /// Where the traffic starts
    #[arg(long, value_name = "END")]
    from: String,
    /// Where it goes
    #[arg(long, value_name = "END")]
    to: String,
    /// Ports, such as 5432/TCP or 53/UDP,53/TCP; without it every connection is shown
    #[arg(long, value_name = "PORT/PROTOCOL")]
    port: Option<String>,
    /// How the CNI reads what Kubernetes leaves open: upstream, calico, cilium, antrea, ovn
    #[arg(long, value_name = "CNI")]
    dialect: Option<String>,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// For machines
    Json,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let (from, to) = (Endpoint::parse(&args.from)?, Endpoint::parse(&args.to)?);
    let ports = args.port.as_deref().map(super::ports::ports).transpose()?;
    let files = args.input.read(&args.namespace)?;
    if super::report_errors(&files.errors) {
        return Ok(Exit::Unusable);
    }
    let world = files.world().snapshot;
    let readings = endpoint::readings(args.dialect.as_deref(), &files.house.rules, &world)?;
    let (from, to) = (from.resolve(&world)?, to.resolve(&world)?);
    let answer = explain(&world, &from.ends(), &to.ends(), ports.as_ref(), &readings)?;
    let remedy = remedy_for(&world, &answer, &from, &to, ports.as_ref(), &readings);
    let mut notes = notes(&world, &answer, &from, &to, remedy.is_some());
    for (end, written) in [(&from, &args.from), (&to, &args.to)].into_iter().filter(|(end, _)| end.by_address()) {
        notes.push(format!(
            "{written} is the address of {}, and policies see that by its labels",
            end.name("several pods")
        ));
    }
    notes.extend(unread(&files));
    notes.extend(omitted(&files));
    notes.extend(network(&files, &world));
    let places: BTreeMap<ObjectRef, &Located> = files.objects.iter().map(|l| (l.object.id(), l)).collect();
    let locate = |id: &ObjectRef, path: &FieldPath| {
        let located = places.get(id).filter(|located| !located.is_live())?;
        let position = located.locate(path);
        Some(Place { file: located.file().to_owned(), line: position.line, column: position.column })
    };
    let reach =
        Reach { from: from.name(&args.from), to: to.name(&args.to), ports, answer, remedy, notes, locate: &locate };
    match args.output {
        Output::Text => out.write_all(reach.to_text().as_bytes())?,
        Output::Json => out.write_all(reach.to_json()?.as_bytes())?,
    }
    Ok(Exit::Clean)
}

/// The smallest change that opens the first part that is refused.
fn remedy_for(
    world: &Snapshot,
    answer: &Answer,
    from: &Found,
    to: &Found,
    asked: Option<&PortSet>,
    readings: &Readings,
) -> Option<Remedy> {
    let part = answer.parts.iter().find(|p| p.verdict == Verdict::Deny)?;
    let destination = to.pods().get(part.ends.1).map(|pods| pods.at().pod);
    let wanted = asked.cloned().unwrap_or_else(|| lacking(&part.egress.bounds, &part.ingress.bounds, destination));
    let (source, destination) = (from.pods().get(part.ends.0), to.pods().get(part.ends.1));
    let addresses = part.addresses.as_ref();
    match (source, destination, addresses) {
        (Some(a), Some(b), _) => {
            remedy(world, OpenEnd::Pod(a.at(), &a.owner), OpenEnd::Pod(b.at(), &b.owner), &wanted, readings)
        }
        (Some(a), None, Some(set)) => {
            remedy(world, OpenEnd::Pod(a.at(), &a.owner), OpenEnd::Addresses(set), &wanted, readings)
        }
        (None, Some(b), Some(set)) => {
            remedy(world, OpenEnd::Addresses(set), OpenEnd::Pod(b.at(), &b.owner), &wanted, readings)
        }
        _ => None,
    }
}

/// What the verdict does not say.
fn notes(world: &Snapshot, answer: &Answer, from: &Found, to: &Found, opened: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let same = |a: &endpoint::FoundPods, b: &endpoint::FoundPods| {
        a.owner == b.owner && a.at().namespace.name() == b.at().namespace.name()
    };
    if from.pods().iter().any(|a| to.pods().iter().any(|b| same(a, b))) {
        notes.push("a pod always reaches itself on its own address; the verdict is about two pods of it".to_owned());
    }
    if from.addresses().is_some() && answer.verdict != Verdict::Allow {
        notes.push(
            "the pod's own node always gets through, so that kubelet's probes work; on cilium unless allow-localhost=policy"
                .to_owned(),
        );
    }
    for set in [from.addresses(), to.addresses()].into_iter().flatten().filter(|set| !set.is_full()) {
        let inside = world.namespaces().flat_map(|n| n.classes().iter().map(move |c| (n, c)));
        let inside = inside.filter(|(_, class)| class.addresses().iter().any(|a| set.contains(*a)));
        for (namespace, class) in inside.take(3) {
            notes.push(format!(
                "the addresses hold pods of {} {}/{}: selectors see those by their labels, so ask about them by name",
                class.owner().kind,
                namespace.name(),
                class.owner().name
            ));
        }
    }
    if answer.parts.iter().any(|p| p.verdict == Verdict::Deny) && !opened {
        notes.push(if answer.points.contains(&Point::HostNetwork) {
            "no NetworkPolicy opens it: policies do not see pods on their nodes' network".to_owned()
        } else {
            "no NetworkPolicy that is added opens it: change the rules above that deny it".to_owned()
        });
    }
    notes
}

/// Policies that the verdict cannot count.
pub(super) fn unread(files: &Files) -> Vec<String> {
    let all = files.objects.iter().filter(|l| matches!(l.object, Object::Policy(_) | Object::Unreadable(..)));
    all.flat_map(|located| {
        let id = located.object.id();
        located.object.unread().iter().map(move |unread| {
            let at = if unread.at.is_empty() { String::new() } else { format!(" at {}", unread.at) };
            if located.is_live() {
                return format!("{id}{at}: {}", unread.what);
            }
            let place = located.locate(&unread.at);
            format!("{}:{}: {id}{at}: {}", located.file(), place.line, unread.what)
        })
    })
    .collect()
}
