//! Who is at an end of an assertion: pods that are there, and pods that may come.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::super::decide::Endpoint;
use super::super::selection::selecting;
use super::{At, Gap, Party, Selecting, Why};
use crate::model::assertion::{Claim, Who};
use crate::model::pod::PodLookup;
use crate::model::selector::Test;
use crate::model::{Direction, IpSet, Labels, NamespaceScope, Peer, PodPeer, PodSpec, Policy, Selector, Str};
use crate::snapshot::{NamespaceState, Owner, Snapshot};

/// One at an end: a class of pods, a pod that may come, or addresses.
pub(super) struct Candidate<'a> {
    /// The namespace; of addresses one that nothing is asked of.
    pub(super) namespace: &'a Arc<NamespaceState>,
    /// The pod; of addresses an empty one.
    pub(super) pod: Cow<'a, Arc<PodSpec>>,
    addresses: &'a [IpAddr],
    /// Whom it belongs to; `None` for one that may come.
    pub(super) owner: Option<&'a Owner>,
    /// The policies that select it.
    pub(super) policies: Selecting<'a>,
    /// The addresses, where it is not a pod.
    pub(super) external: Option<Cow<'a, IpSet>>,
}

impl Candidate<'_> {
    pub(super) fn endpoint(&self) -> Endpoint<'_> {
        Endpoint::Pod { namespace: self.namespace, pod: &self.pod, addresses: self.addresses }
    }

    pub(super) fn place(&self) -> Party {
        match &self.external {
            Some(set) => Party::Addresses(set.clone().into_owned()),
            None => Party::Pod {
                namespace: Arc::clone(self.namespace),
                pod: Arc::clone(&self.pod),
                addresses: self.addresses.to_vec(),
                owner: self.owner.cloned(),
            },
        }
    }
}

/// A stand-in for what the state does not know: the namespace that the end names, or none in particular.
pub(super) fn spare(world: &Snapshot, who: &Who) -> Option<Arc<NamespaceState>> {
    match who {
        Who::Pods(PodPeer { namespaces: NamespaceScope::Named(name), .. }) => {
            world.namespace(name).is_none().then(|| world.namespace_or_empty(name))
        }
        Who::Pods(_) | Who::Workload { .. } => None,
        Who::Addresses { .. } | Who::World => Some(Arc::new(NamespaceState::named(""))),
    }
}

/// One end of a claim in a world.
pub(super) struct Side<'a> {
    world: &'a Snapshot,
    who: &'a Who,
    other: &'a Who,
    at: At,
    spare: Option<&'a Arc<NamespaceState>>,
}

impl<'a> Side<'a> {
    pub(super) const fn new(
        world: &'a Snapshot,
        claim: &'a Claim,
        at: At,
        spare: Option<&'a Arc<NamespaceState>>,
    ) -> Self {
        let (who, other) = match at {
            At::From => (&claim.from, &claim.to),
            At::To => (&claim.to, &claim.from),
        };
        Self { world, who, other, at, spare }
    }

    /// The direction in which this end's own policies decide.
    const fn direction(&self) -> Direction {
        match self.at {
            At::From => Direction::Egress,
            At::To => Direction::Ingress,
        }
    }

    /// Everybody at this end, those that are there first; on request only those in some namespaces. Addresses are in none.
    pub(super) fn all(&self, within: Option<&[&str]>) -> Vec<Candidate<'a>> {
        let mut all = Vec::new();
        match self.who {
            Who::World | Who::Addresses { .. } if within.is_some() => {}
            Who::World => all.extend(self.outside(Cow::Owned(IpSet::full()))),
            Who::Addresses { set, .. } => all.extend(self.outside(Cow::Borrowed(set))),
            Who::Workload { namespace, kind, name } => {
                let here = within.is_none_or(|names| names.contains(&&**namespace));
                let state = self.world.namespace(namespace).filter(|_| here);
                let of_name = |owner: &Owner| *owner.kind == **kind && *owner.name == **name;
                all.extend(state.into_iter().flat_map(|state| {
                    let classes = state.classes().iter().filter(|class| of_name(class.owner()));
                    classes.map(|class| {
                        self.pod(state, Cow::Borrowed(class.pod()), class.addresses(), Some(class.owner()))
                    })
                }));
            }
            Who::Pods(PodPeer { pods, .. }) => {
                let namespaces = self.namespaces(within);
                if namespaces.is_empty() {
                    return all;
                }
                for &state in &namespaces {
                    let meant = |pod: &PodSpec| {
                        !pod.host_network && pods.matches(&PodLookup { pod, namespace: state.labels() })
                    };
                    let classes = state.classes().iter().filter(|class| meant(class.pod()));
                    all.extend(classes.map(|class| {
                        self.pod(state, Cow::Borrowed(class.pod()), class.addresses(), Some(class.owner()))
                    }));
                }
                let peers = self.peers_of_other();
                for state in namespaces {
                    for labels in self.to_come(state, pods, &peers) {
                        let pod = Arc::new(PodSpec::with_labels(labels));
                        all.push(self.pod(state, Cow::Owned(pod), &[], None));
                    }
                }
            }
        }
        all
    }

    /// What keeps this end from speaking of anybody, given everybody who is there.
    pub(super) fn gap(&self, all: &[Candidate<'_>]) -> Option<Gap> {
        let why = match self.who {
            Who::Workload { .. } if all.is_empty() => Why::NoWorkload,
            Who::Pods(_) if all.is_empty() && self.namespaces(None).is_empty() => Why::NoNamespace,
            Who::Pods(_) if all.is_empty() => Why::Impossible,
            Who::Pods(_) if all.iter().all(|c| c.owner.is_none()) => Why::NoPodsYet,
            _ => return None,
        };
        Some(Gap { at: self.at, why })
    }

    fn outside(&self, set: Cow<'a, IpSet>) -> Option<Candidate<'a>> {
        let namespace = self.spare?;
        let pod = Cow::Owned(Arc::default());
        Some(Candidate { namespace, pod, addresses: &[], owner: None, policies: Vec::new(), external: Some(set) })
    }

    fn pod(
        &self,
        namespace: &'a Arc<NamespaceState>,
        pod: Cow<'a, Arc<PodSpec>>,
        addresses: &'a [IpAddr],
        owner: Option<&'a Owner>,
    ) -> Candidate<'a> {
        let policies = selecting(self.world, namespace, &pod);
        Candidate { namespace, pod, addresses, owner, policies, external: None }
    }

    fn namespaces(&self, within: Option<&[&str]>) -> Vec<&'a Arc<NamespaceState>> {
        let Who::Pods(PodPeer { namespaces, .. }) = self.who else { return Vec::new() };
        let mut all: Vec<_> = match within {
            Some(names) => {
                let known = names.iter().filter_map(|name| self.world.namespace(name));
                let spare = self.spare.filter(|spare| names.contains(&&**spare.name()));
                known.filter(|state| state.is_in(namespaces)).chain(spare).collect()
            }
            None => self.world.in_scope(namespaces).chain(self.spare).collect(),
        };
        all.sort_by_key(|state| state.name());
        all
    }

    /// Selectors by which the policies of the other end tell pods of this end apart.
    fn peers_of_other(&self) -> Vec<&'a PodPeer> {
        let there: Vec<&Arc<NamespaceState>> = match self.other {
            Who::Pods(PodPeer { namespaces, .. }) => self.world.in_scope(namespaces).collect(),
            Who::Workload { namespace, .. } => self.world.namespace(namespace).into_iter().collect(),
            Who::Addresses { .. } | Who::World => Vec::new(),
        };
        let direction = match self.at {
            At::From => Direction::Ingress,
            At::To => Direction::Egress,
        };
        let rules = there.into_iter().flat_map(|state| self.world.policies_in(state)).flat_map(|p| p.rules(direction));
        let mut peers: Vec<&PodPeer> = rules
            .flat_map(|rule| &rule.peers)
            .filter_map(|peer| match peer {
                Peer::Pods(peer) if !peer.pods.is_everything() => Some(peer),
                _ => None,
            })
            .collect();
        peers.sort_by(|a, b| a.pods.cmp(&b.pods));
        peers.dedup();
        peers
    }

    /// Labels of pods that may come to this namespace: see the head of the parent module.
    fn to_come(&self, state: &NamespaceState, pods: &Selector, peers: &[&PodPeer]) -> Vec<Labels> {
        let decides = |p: &Policy| p.isolates(self.direction()) || !p.rules(self.direction()).is_empty();
        let subjects =
            self.world.policies_in(state).filter(|policy| decides(policy)).map(|policy| &policy.subject.pods);
        let named = peers.iter().filter(|peer| state.is_in(&peer.namespaces)).map(|peer| &peer.pods);
        let meant = |labels: &Labels| {
            let pod = PodSpec::with_labels(labels.clone());
            pods.matches(&PodLookup { pod: &pod, namespace: state.labels() })
        };
        // A selector for another value of a label that is demanded here cannot describe a pod that is meant here.
        let demanded = demanded(pods);
        let other = |selector: &Selector| {
            demanded.is_some_and(|(key, value)| selector.required_value(key).is_none_or(|v| v != value))
        };
        let mut all: Vec<Labels> = smallest(pods).into_iter().collect();
        for selector in subjects.chain(named).filter(|s| !s.is_everything() && !other(s)) {
            all.extend(smallest(selector).filter(|labels| meant(labels)));
        }
        all.sort();
        all.dedup();
        // Pods that look just so are there already.
        all.retain(|labels| state.classes().iter().all(|c| c.pod().host_network || c.pod().labels != *labels));
        all
    }
}

/// A label that the selector demands with one value, if it demands any.
pub(super) fn demanded(selector: &Selector) -> Option<(&str, &Str)> {
    match selector {
        Selector::Key(key, Test::In(values)) if values.len() == 1 => values.first().map(|value| (&**key, value)),
        Selector::And(parts) => parts.iter().find_map(demanded),
        _ => None,
    }
}

/// The smallest labels that match. Selectors that name values outright, as nearly all do, need no search.
fn smallest(selector: &Selector) -> Option<Labels> {
    let mut pairs: Vec<(&Str, &Str)> = Vec::new();
    let found = if outright(selector, &mut pairs) {
        let labels = Labels::new(pairs.into_iter().map(|(k, v)| (k.clone(), v.clone())));
        if selector.matches(&labels) { Some(labels) } else { selector.representative() }
    } else {
        selector.representative()
    };
    found.filter(|labels| labels.iter().all(|(key, _)| !key.starts_with('@')))
}

fn outright<'s>(selector: &'s Selector, into: &mut Vec<(&'s Str, &'s Str)>) -> bool {
    match selector {
        Selector::Key(key, Test::In(values)) => {
            into.extend(values.first().map(|value| (key, value)));
            !values.is_empty()
        }
        Selector::And(parts) => parts.iter().all(|part| outright(part, into)),
        _ => false,
    }
}
