//! Ends of flows as people write them on the command line, and what of a state they mean.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail, ensure};

use crate::model::house::{Dialect, HouseRules, dialect_of};
use crate::model::ipset::parse_cidr;
use crate::model::{IntervalSet, IpSet, Labels, PodSpec};
use crate::reach::{Doorkeeper, Ends, PodAt, Pods, Readings};
use crate::report::Pick;
use crate::snapshot::{NamespaceState, Owner, PodClass, Snapshot};

/// How an end is written; for help texts.
pub(super) const FORMS: &str = "\
An end is one of
  NAMESPACE/NAME              a workload or pod; NAMESPACE/KIND/NAME where names are shared
  NAMESPACE/key=value,…       any pod to come with these labels
  NAMESPACE/                  every workload of a namespace, and a pod to come without labels
  10.0.0.0/8, 10.0.0.1, 10.0.0.1-10.0.0.9, 2001:db8::/32; one that a pod has is that pod
  world                       every address outside the cluster";

/// An end as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Endpoint {
    Workload { namespace: String, kind: Option<String>, name: String },
    Labels { namespace: String, labels: Labels },
    Namespace(String),
    Addresses(IpSet),
}

impl Endpoint {
    /// Reads an end.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if text == "world" {
            return Ok(Self::Addresses(IpSet::full()));
        }
        if let Some(set) = addresses(text)? {
            return Ok(Self::Addresses(set));
        }
        let Some((namespace, rest)) = text.split_once('/') else {
            bail!("`{text}` is no end of a flow: name a workload as NAMESPACE/NAME, addresses as a CIDR, or `world`");
        };
        ensure!(!namespace.is_empty(), "`{text}` names no namespace before the slash");
        let namespace = namespace.to_owned();
        if rest.is_empty() || rest == "*" {
            return Ok(Self::Namespace(namespace));
        }
        if rest.contains('=') {
            let pairs: Option<Vec<(&str, &str)>> = rest.split(',').map(|pair| pair.split_once('=')).collect();
            let pairs = pairs.with_context(|| format!("`{rest}` is no list of labels: write key=value,key=value"))?;
            return Ok(Self::Labels { namespace, labels: Labels::new(pairs) });
        }
        // As the matrix prints it: name[Kind].
        if let Some((name, kind)) = rest.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            return Ok(Self::Workload { namespace, kind: Some(kind.to_owned()), name: name.to_owned() });
        }
        let (kind, name) = rest.split_once('/').map_or((None, rest), |(kind, name)| (Some(kind.to_owned()), name));
        Ok(Self::Workload { namespace, kind, name: name.to_owned() })
    }

    /// The rows of a matrix that it asks for.
    pub(super) fn pick(self, world: &Snapshot) -> anyhow::Result<Pick> {
        Ok(match self {
            Self::Addresses(set) => Pick::External(set),
            Self::Namespace(namespace) => {
                known_namespace(world, &namespace)?;
                Pick::Namespace(namespace)
            }
            Self::Workload { namespace, kind, name } => {
                let found = workload(world, &namespace, kind.as_deref(), &name)?;
                let (kind, name) = (found.owner().kind.to_string(), found.owner().name.to_string());
                Pick::Workload { namespace, kind: Some(kind), name }
            }
            Self::Labels { .. } => {
                bail!("pods to come have no row of their own here: ask `portcullis reach` about them")
            }
        })
    }

    /// What it means in this state.
    pub(super) fn resolve(&self, world: &Snapshot) -> anyhow::Result<Found> {
        let mut found = Found::default();
        match self {
            Self::Addresses(set) => {
                // A pod is judged by its labels, whether it is called by name or by its address.
                for (state, class, address) in of_address(world, set) {
                    found.add(state, class);
                    if let Some(pods) = found.pods.last_mut() {
                        (pods.addresses, pods.count) = (vec![address], 1);
                    }
                }
                found.by_address = !found.pods.is_empty();
                found.addresses = (!found.by_address).then(|| set.clone());
            }
            Self::Labels { namespace, labels } => {
                let state = known_namespace(world, namespace)?;
                found.add_invented(&state, labels.clone(), format!("pod {namespace}/{{{labels}}}"));
            }
            Self::Namespace(namespace) => {
                let state = known_namespace(world, namespace)?;
                for class in live(state.classes().iter()) {
                    found.add(&state, class);
                }
                found.add_invented(&state, Labels::default(), format!("any other pod of {namespace}"));
            }
            Self::Workload { namespace, kind, name } => {
                let owner = workload(world, namespace, kind.as_deref(), name)?.owner().clone();
                let state = world.namespace_or_empty(namespace);
                for class in live(state.classes().iter().filter(|c| *c.owner() == owner)) {
                    found.add(&state, class);
                }
            }
        }
        Ok(found)
    }
}

/// The pods that take traffic in, as the command line names them.
pub(super) fn doorkeepers(text: &str, world: &Snapshot) -> anyhow::Result<Vec<Doorkeeper>> {
    let end = Endpoint::parse(text)?;
    let mut found = Found::default();
    // Labels that pods have already mean these pods.
    if let Endpoint::Labels { namespace, labels } = &end {
        let state = world.namespace_or_empty(namespace);
        let has = |class: &PodClass| labels.iter().all(|(key, value)| class.pod().labels.get(key) == Some(value));
        state.classes().iter().filter(|class| has(class)).for_each(|class| found.add(&state, class));
    }
    if found.pods.is_empty() {
        found = end.resolve(world)?;
    }
    ensure!(found.addresses.is_none(), "`{text}` names addresses, but an ingress controller is pods: NAMESPACE/NAME");
    let keeper = |pods: &FoundPods| Doorkeeper {
        namespace: Arc::clone(&pods.namespace),
        pod: Arc::clone(&pods.pod),
        addresses: pods.addresses.clone(),
        owner: (pods.count > 0).then(|| pods.owner.clone()),
    };
    Ok(found.pods.iter().map(keeper).collect())
}

/// What an end means: pods, or addresses.
#[derive(Debug, Default)]
pub(super) struct Found {
    pods: Vec<FoundPods>,
    addresses: Option<IpSet>,
    by_address: bool,
}

/// Pods that are the same to whoever asks.
#[derive(Debug)]
pub(super) struct FoundPods {
    namespace: Arc<NamespaceState>,
    pod: Arc<PodSpec>,
    addresses: Vec<IpAddr>,
    name: String,
    count: u32,
    pub(super) owner: Owner,
}

impl FoundPods {
    pub(super) fn at(&self) -> PodAt<'_> {
        PodAt { namespace: &self.namespace, pod: &self.pod, addresses: &self.addresses }
    }
}

impl Found {
    fn add(&mut self, namespace: &Arc<NamespaceState>, class: &PodClass) {
        self.pods.push(FoundPods {
            namespace: Arc::clone(namespace),
            pod: Arc::clone(class.pod()),
            addresses: class.addresses().to_vec(),
            name: format!("{} {}/{}", class.owner().kind, namespace.name(), class.owner().name),
            count: class.count(),
            owner: class.owner().clone(),
        });
    }

    fn add_invented(&mut self, namespace: &Arc<NamespaceState>, labels: Labels, name: String) {
        let short = labels.iter().map(|(_, value)| value).next().map_or("pods", |value| &**value);
        let owner = Owner { kind: "Pod".into(), name: short.into() };
        let pod = Arc::new(PodSpec::with_labels(labels));
        let namespace = Arc::clone(namespace);
        self.pods.push(FoundPods { namespace, pod, addresses: Vec::new(), name, count: 0, owner });
    }

    /// As the engine takes it.
    pub(super) fn ends(&self) -> Ends<'_> {
        match &self.addresses {
            Some(set) => Ends::Addresses(set.clone()),
            None => Ends::Pods(self.pods.iter().map(|p| Pods { at: p.at(), name: &p.name, count: p.count }).collect()),
        }
    }

    pub(super) fn pods(&self) -> &[FoundPods] {
        &self.pods
    }

    pub(super) const fn addresses(&self) -> Option<&IpSet> {
        self.addresses.as_ref()
    }

    /// Whether it was written as an address that pods turned out to have.
    pub(super) const fn by_address(&self) -> bool {
        self.by_address
    }

    /// How the answer calls it.
    pub(super) fn name(&self, written: &str) -> String {
        let mut names: Vec<&str> = self.pods.iter().map(|p| p.name.as_str()).collect();
        names.dedup();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            _ => written.to_owned(),
        }
    }
}

/// Addresses in any form in which they are written; `None` if the text is something else.
fn addresses(text: &str) -> anyhow::Result<Option<IpSet>> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Some(IpSet::single(ip)));
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>())
    {
        let set = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                IpSet::from_families(IntervalSet::range(a.to_bits(), b.to_bits()), IntervalSet::empty())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                IpSet::from_families(IntervalSet::empty(), IntervalSet::range(a.to_bits(), b.to_bits()))
            }
            _ => bail!("`{text}` mixes IPv4 and IPv6"),
        };
        ensure!(!set.is_empty(), "`{text}` ends before it starts");
        return Ok(Some(set));
    }
    match parse_cidr(text) {
        Ok((net, _)) => Ok(Some(net.into())),
        // Namespaces hold neither dots nor colons, so this was meant as a block.
        Err(error) if text.split('/').next().is_some_and(|first| first.contains(['.', ':'])) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The pods that have this one address for themselves. That of a node may be anything's on it.
fn of_address<'a>(
    world: &'a Snapshot,
    set: &'a IpSet,
) -> impl Iterator<Item = (&'a Arc<NamespaceState>, &'a Arc<PodClass>, IpAddr)> {
    let all = world.namespaces().flat_map(|state| state.classes().iter().map(move |class| (state, class)));
    all.filter(|(_, class)| !class.pod().host_network).filter_map(move |(state, class)| {
        let address = class.addresses().iter().find(|address| *set == IpSet::single(**address))?;
        Some((state, class, *address))
    })
}

/// Classes without the templates whose pods are there as well.
fn live<'a>(classes: impl Iterator<Item = &'a Arc<PodClass>> + Clone) -> impl Iterator<Item = &'a Arc<PodClass>> {
    let all = classes.clone();
    let covered = move |template: &Arc<PodClass>| {
        template.is_template()
            && all.clone().any(|pods| {
                let labels = &pods.pod().labels;
                !pods.is_template()
                    && pods.owner() == template.owner()
                    && pods.pod().ports == template.pod().ports
                    && template.pod().labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            })
    };
    classes.filter(move |class| !covered(class))
}

fn known_namespace(world: &Snapshot, name: &str) -> anyhow::Result<Arc<NamespaceState>> {
    world.namespace(name).cloned().ok_or_else(|| {
        let names: Vec<String> = world.namespaces().map(|n| n.name().to_string()).collect();
        anyhow!("there is no namespace {name}{}", nearest(name, names))
    })
}

/// A class of the workload.
fn workload(world: &Snapshot, namespace: &str, kind: Option<&str>, name: &str) -> anyhow::Result<Arc<PodClass>> {
    let of_name = |class: &&Arc<PodClass>| {
        let owner = class.owner();
        let named = *owner.name == *name || class.samples().iter().any(|pod| **pod == *name);
        named && kind.is_none_or(|kind| owner.kind.eq_ignore_ascii_case(kind))
    };
    let Some(state) = world.namespace(namespace) else {
        let elsewhere = workload_names(world).into_iter().filter(|full| full.ends_with(&format!("/{name}")));
        let elsewhere: Vec<String> = elsewhere.collect();
        if elsewhere.is_empty() {
            known_namespace(world, namespace)?;
        }
        bail!("there is no namespace {namespace}; did you mean {}?", elsewhere.join(" or "));
    };
    let mut found: Vec<&Arc<PodClass>> = state.classes().iter().filter(of_name).collect();
    found.dedup_by_key(|class| class.owner());
    match found.as_slice() {
        [one] => Ok(Arc::clone(one)),
        [] => {
            let (kind, full) = (kind.unwrap_or("workload"), format!("{namespace}/{name}"));
            bail!("there is no {kind} {full}{}", nearest(&full, workload_names(world)))
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|c| format!("{namespace}/{}/{}", c.owner().kind, c.owner().name)).collect();
            bail!("{namespace}/{name} is the name of several workloads: write {}", names.join(" or "))
        }
    }
}

fn workload_names(world: &Snapshot) -> Vec<String> {
    let all = world.namespaces().flat_map(|n| n.classes().iter().map(move |c| (n.name(), c.owner())));
    let mut names: Vec<String> = all.map(|(namespace, owner)| format!("{namespace}/{}", owner.name)).collect();
    names.sort();
    names.dedup();
    names
}

/// The end of a sentence about a name that is not there: the names that are like it, or all if they are few.
fn nearest(wanted: &str, mut names: Vec<String>) -> String {
    if names.is_empty() {
        return ": the input holds none".to_owned();
    }
    let distance = |name: &String| strsim::osa_distance(wanted, name);
    names.sort_by_key(|name| (distance(name), name.clone()));
    let best = names.first().map_or(usize::MAX, distance);
    let near = |name: &&String| distance(name) <= best + 1 && distance(name) <= wanted.len() / 3 + 1;
    let close: Vec<String> = names.iter().filter(near).take(3).cloned().collect();
    if !close.is_empty() {
        return format!("; did you mean {}?", close.join(" or "));
    }
    let more = if names.len() > 10 { ", …" } else { "" };
    names.truncate(10);
    names.sort();
    format!("; there are {}{more}", names.join(", "))
}

/// The readings to consider: the flag's, else that of the house rules where they agree, else that of the plugins whose
/// agents are among the objects, else all.
pub(super) fn readings(flag: Option<&str>, rules: &[HouseRules], world: &Snapshot) -> anyhow::Result<Readings> {
    if let Some(name) = flag {
        let names = || Dialect::ALL.map(Dialect::as_str).join(", ");
        let dialect = Dialect::parse(name).with_context(|| format!("`{name}` is no dialect; there are {}", names()))?;
        return Ok(Readings::of(Some(dialect)));
    }
    let mut settled: Vec<Dialect> = rules.iter().filter_map(|rules| rules.settings.dialect).collect();
    settled.dedup();
    Ok(match settled[..] {
        [] => Readings::in_world(world, dialect_of(world.plugins())),
        [dialect] => Readings::of(Some(dialect)),
        _ => Readings::in_world(world, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_in_every_form() {
        let parse = |text| Endpoint::parse(text).unwrap();
        assert_eq!(parse("world"), Endpoint::Addresses(IpSet::full()));
        assert_eq!(parse("10.0.0.0-10.255.255.255"), parse("10.0.0.0/8"));
        assert_eq!(parse("fd00::1"), parse("fd00::1/128"));
        assert_eq!(parse("shop/"), Endpoint::Namespace("shop".into()));
        let api = |kind: Option<&str>| Endpoint::Workload {
            namespace: "shop".into(),
            kind: kind.map(str::to_owned),
            name: "api".into(),
        };
        assert_eq!(parse("shop/api"), api(None));
        assert_eq!(parse("shop/deployment/api"), api(Some("deployment")));
        assert_eq!(parse("shop/api[Deployment]"), api(Some("Deployment")));
        assert_eq!(
            parse("shop/app=api,tier=web"),
            Endpoint::Labels { namespace: "shop".into(), labels: Labels::new([("app", "api"), ("tier", "web")]) }
        );
        for (text, why) in [("api", "NAMESPACE/NAME"), ("10.0.0/8", "four parts"), ("/api", "no namespace")] {
            let error = format!("{:#}", Endpoint::parse(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
