//! A selector that matches the pods of one workload and no others of its namespace, with as few labels as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::remedy::{NAMING, PASSING};
use super::WantedEnd;
use crate::model::{Labels, Selector, Str};
use crate::snapshot::{PodClass, Snapshot};

/// Why policies cannot be made to measure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotTailor {
    /// There are no such pods.
    #[error(
        "{0} is in the matrix but not among the workloads: give the manifests or the cluster that the matrix is of"
    )]
    Unknown(String),
    /// Two workloads look the same to every selector.
    #[error(
        "{one} and {other} cannot be told apart by their pods' labels ({labels}), so no policy can be for one of them alone: give one of them a label of its own"
    )]
    Alike {
        /// The workload that is meant.
        one: String,
        /// The one that every selector takes in as well.
        other: String,
        /// The labels of the pods.
        labels: String,
    },
}

/// One demand of a selector.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Demand {
    Equals(Str, Str),
    Exists(Str),
    Absent(Str),
}

impl Demand {
    fn key(&self) -> &Str {
        match self {
            Self::Equals(key, _) | Self::Exists(key) | Self::Absent(key) => key,
        }
    }

    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::Equals(key, value) => labels.get(key) == Some(value),
            Self::Exists(key) => labels.get(key).is_some(),
            Self::Absent(key) => labels.get(key).is_none(),
        }
    }

    /// People read equalities more easily than tests of a key, and know workloads by some labels rather than others.
    fn rank(&self) -> (usize, usize, &Str) {
        let form = match self {
            Self::Equals(..) => 0,
            Self::Exists(_) => 1,
            Self::Absent(_) => 2,
        };
        (form, NAMING.iter().position(|name| **name == **self.key()).unwrap_or(NAMING.len()), self.key())
    }

    fn selector(self) -> Selector {
        match self {
            Self::Equals(key, value) => Selector::equals(key, value),
            Self::Exists(key) => Selector::exists(key),
            Self::Absent(key) => Selector::exists(key).negate(),
        }
    }
}

/// The pods of an end, and all others of its namespace that selectors see.
pub(super) fn matching(world: &Snapshot, end: &WantedEnd) -> (Vec<Arc<PodClass>>, Vec<Arc<PodClass>>) {
    let WantedEnd::Pods { namespace, owner, variant } = end else { return Default::default() };
    let wanted = |labels: &Labels| {
        variant.is_empty()
            || variant.split(',').all(|part| match (part.strip_prefix('!'), part.split_once('=')) {
                (Some(key), _) => labels.get(key).is_none(),
                (None, Some((key, value))) => labels.get(key).is_some_and(|own| **own == *value),
                _ => false,
            })
    };
    let state = world.namespace_or_empty(namespace);
    let mut own = Vec::new();
    let mut others = Vec::new();
    for class in state.classes() {
        if class.owner() == owner && wanted(&class.pod().labels) {
            own.push(Arc::clone(class));
        } else if !class.pod().host_network {
            others.push(Arc::clone(class));
        }
    }
    (own, others)
}

/// Whether selectors do not see these pods, because they are on their nodes' network.
pub(super) fn is_unseen(world: &Snapshot, end: &WantedEnd) -> bool {
    matching(world, end).0.iter().any(|class| class.pod().host_network)
}

/// The selector.
pub(super) fn single_out(world: &Snapshot, end: &WantedEnd) -> Result<Selector, CannotTailor> {
    let (own, others) = matching(world, end);
    let Some(first) = own.first() else { return Err(CannotTailor::Unknown(end.to_string())) };
    let mut possible = demands(&own, &others);
    let mut chosen: Vec<Demand> = Vec::new();
    // A selector without any label would take in every pod to come.
    if let Some(best) = possible.iter().filter(|d| matches!(d, Demand::Equals(..))).min_by_key(|d| d.rank()) {
        chosen.push(best.clone());
    }
    let takes = |chosen: &[Demand], class: &PodClass| chosen.iter().all(|demand| demand.holds(&class.pod().labels));
    loop {
        let wrong: Vec<&Arc<PodClass>> = others.iter().filter(|class| takes(&chosen, class)).collect();
        let Some(alike) = wrong.first() else { break };
        let excluded = |d: &Demand| wrong.iter().filter(|class| !d.holds(&class.pod().labels)).count();
        possible.retain(|demand| excluded(demand) > 0);
        let best = possible.iter().min_by(|a, b| (excluded(b), a.rank()).cmp(&(excluded(a), b.rank())));
        match best {
            Some(best) => chosen.push(best.clone()),
            None => {
                return Err(CannotTailor::Alike {
                    one: end.to_string(),
                    other: alike.owner().to_string(),
                    labels: first.pod().labels.to_string(),
                });
            }
        }
    }
    chosen.sort();
    chosen.dedup();
    Ok(Selector::all(chosen.into_iter().map(Demand::selector).collect()))
}

/// Everything that can be demanded of all of these pods, apart from labels that come and go.
fn demands(own: &[Arc<PodClass>], others: &[Arc<PodClass>]) -> Vec<Demand> {
    let lasting = |key: &str| !PASSING.contains(&key);
    let mut counts: BTreeMap<&Str, (usize, BTreeSet<&Str>)> = BTreeMap::new();
    for (key, value) in own.iter().flat_map(|class| class.pod().labels.iter()).filter(|(key, _)| lasting(key)) {
        let (count, values) = counts.entry(key).or_default();
        *count += 1;
        values.insert(value);
    }
    let mut list = Vec::new();
    for (key, (count, values)) in &counts {
        if *count == own.len() {
            list.extend(
                values.first().filter(|_| values.len() == 1).map(|v| Demand::Equals((*key).clone(), (*v).clone())),
            );
            list.push(Demand::Exists((*key).clone()));
        }
    }
    let theirs: BTreeSet<&Str> = others
        .iter()
        .flat_map(|class| class.pod().labels.iter())
        .map(|(key, _)| key)
        .filter(|key| lasting(key))
        .collect();
    list.extend(theirs.into_iter().filter(|key| !counts.contains_key(*key)).map(|key| Demand::Absent(key.clone())));
    list
}
