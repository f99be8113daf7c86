//! Policies of one kind → policies of another, with every point at which those cannot mean the same. What has no counterpart
//! is refused, object by object, and never approximated. Whether verdicts are the same is for the caller to prove.

mod names;
mod plain;
mod tiered;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::render::{self, CannotRender, Obstacle, obstacle};
use super::{Family, Kind};
use crate::model::{
    AddressScope, Departure, Direction, FieldPath, NamespaceScope, ObjectRef, Peer, Policy, PolicyObject, Priority,
    Str, Tier, TierSemantics, Touches,
};
use plain::{apart_by_action, home, named, plain};

/// An object that could be written in the wanted kind.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The original.
    pub from: Arc<ObjectRef>,
    /// The objects that take its place.
    pub objects: Vec<Value>,
}

/// What became of some policies.
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// Those that could be written.
    pub converted: Vec<Converted>,
    /// Where what is written departs from its original.
    pub departures: Vec<Departure>,
    /// Those that could not, and why.
    pub refused: Vec<(Arc<ObjectRef>, CannotRender)>,
    /// Those that are of the wanted family already.
    pub kept: Vec<Arc<ObjectRef>>,
}

/// Notes departures of one policy.
struct Reading<'a> {
    policy: &'a Arc<ObjectRef>,
    departures: Vec<Departure>,
    /// Namespaces, by direction, in which a policy of its own denies everyone to every pod.
    closed: &'a [(Direction, NamespaceScope)],
}

impl Reading<'_> {
    fn departs(&mut self, direction: Direction, at: &FieldPath, what: &'static str, touches: Touches) {
        let departure = Departure { policy: Arc::clone(self.policy), direction, at: at.clone(), what, touches };
        if !self.departures.contains(&departure) {
            self.departures.push(departure);
        }
    }
}

/// Whether objects of this kind can be written.
const fn is_written(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NetworkPolicy | Kind::CiliumNetworkPolicy | Kind::CalicoNetworkPolicy | Kind::ClusterNetworkPolicy
    )
}

/// Writes these policies in another kind: NetworkPolicy, Cilium's or Calico's, or ClusterNetworkPolicy. Groups and tiers
/// that they refer to must be filled in, as a snapshot does.
pub fn convert(objects: &[Arc<PolicyObject>], to: Kind) -> Conversion {
    let mut result = Conversion::default();
    let mut names = Names::default();
    for object in objects.iter().filter(|object| object.id.kind == to.kind() && object.id.group() == to.group()) {
        names.take(object.id.namespace(), &object.id.name);
    }
    let all: Vec<&Policy> = objects.iter().flat_map(|object| &object.policies).map(|policy| &**policy).collect();
    let closed = closed(objects);
    for object in objects {
        if stays(&object.id, to) {
            result.kept.push(Arc::clone(&object.id));
            continue;
        }
        let mut reading = Reading { policy: &object.id, departures: Vec::new(), closed: &closed };
        match write(object, &all, to, &mut names, &mut reading) {
            Ok(written) => {
                result.departures.append(&mut reading.departures);
                result.converted.push(Converted { from: Arc::clone(&object.id), objects: written });
            }
            Err(why) => result.refused.push((Arc::clone(&object.id), why.of(&object.id, to.kind()))),
        }
    }
    result
}

/// Whether the policy is of the wanted family already. Only the older kinds of ClusterNetworkPolicy are written anew.
fn stays(id: &ObjectRef, to: Kind) -> bool {
    let of_old_api = to == Kind::ClusterNetworkPolicy && id.kind != to.kind();
    family(id) == Some(to.family()) && !of_old_api
}

/// Where policies that do nothing else deny by default. Objects that hold only such a one can always be written.
fn closed(objects: &[Arc<PolicyObject>]) -> Vec<(Direction, NamespaceScope)> {
    let alone = objects.iter().filter_map(|object| object.policies.first().filter(|_| object.policies.len() == 1));
    let closing = alone.filter(|policy| policy.tier.semantics == TierSemantics::Union && tiered::closes(policy));
    let of = |policy: &Arc<Policy>| {
        let scope = policy.subject.namespaces.clone();
        let isolated = Direction::BOTH.map(|direction| policy.isolates(direction).then(|| (direction, scope.clone())));
        isolated.into_iter().flatten()
    };
    closing.flat_map(of).collect()
}

/// Policies that were made here, each an object of its own, in a kind; and where what is written departs from them.
pub fn in_kind(policies: &[Policy], to: Kind) -> Result<(Vec<Value>, Vec<Departure>), CannotRender> {
    let object = |policy: &Policy| {
        let (id, policies) = (Arc::clone(&policy.id), vec![Arc::new(policy.clone())]);
        Arc::new(PolicyObject { id, policies, unread: Vec::new(), implicit_types: false })
    };
    if policies.iter().all(|policy| policy.id.kind == to.kind() && policy.id.group() == to.group()) {
        let values: Result<Vec<Value>, CannotRender> = policies.iter().map(render::policy).collect();
        return Ok((values?, Vec::new()));
    }
    let conversion = convert(&policies.iter().map(object).collect::<Vec<_>>(), to);
    if let Some((_, why)) = conversion.refused.into_iter().next() {
        return Err(why);
    }
    Ok((conversion.converted.into_iter().flat_map(|one| one.objects).collect(), conversion.departures))
}

fn write(
    object: &PolicyObject,
    all: &[&Policy],
    to: Kind,
    names: &mut Names,
    reading: &mut Reading<'_>,
) -> Result<Vec<Value>, Obstacle> {
    if !is_written(to) {
        return obstacle(&FieldPath::default(), "this kind is read and not written");
    }
    if object.policies.is_empty() {
        return obstacle(&FieldPath::default(), "it is for no pod");
    }
    let mut parts = Vec::new();
    for policy in &object.policies {
        parts.extend(of_kind(policy, all, to, reading)?);
    }
    let mut written = Vec::new();
    for (policy, name) in parts {
        let (namespace, name) = if to.is_namespaced() {
            let home = home(&policy, to.kind())?;
            let name =
                name.strip_prefix(&format!("{home}-")).filter(|_| object.id.namespace.is_none()).unwrap_or(&name);
            (Some(home), name.to_owned())
        } else {
            let whole =
                object.id.namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}-{name}"));
            (None, whole)
        };
        let name = names.free(namespace.as_deref().unwrap_or_default(), &name);
        let id = ObjectRef { api_version: to.api_version().into(), kind: to.kind().into(), namespace, name };
        let policy = named(policy, id);
        written.push(render::object_of(&policy)?);
    }
    Ok(written)
}

/// The policy in terms of the other kind, with the names of its parts.
fn of_kind(
    policy: &Policy,
    all: &[&Policy],
    to: Kind,
    reading: &mut Reading<'_>,
) -> Result<Vec<(Policy, String)>, Obstacle> {
    let name = |suffix: &str| format!("{}{suffix}", policy.id.name);
    if to == Kind::ClusterNetworkPolicy && family(&policy.id) == Some(Family::ClusterNetworkPolicy) {
        return Ok(vec![(newer(policy), name(""))]);
    }
    let mut plain = plain(policy, all)?;
    names::translated(&mut plain, family(&policy.id), to.family(), reading)?;
    groups(policy, reading);
    outside(policy, reading);
    match to {
        Kind::ClusterNetworkPolicy => {
            tiered::sayable(&plain)?;
            let mut parts = tiered::tiered(&plain, reading);
            match parts.as_mut_slice() {
                [] => return obstacle(&FieldPath::new("spec"), "it allows and denies nothing"),
                [(_, suffix)] => *suffix = "",
                _ => {}
            }
            return Ok(parts.into_iter().map(|(policy, suffix)| (policy, name(suffix))).collect());
        }
        Kind::CiliumNetworkPolicy => {
            scopes(&mut plain, AddressScope::ExternalOnly, NEVER_PODS, reading);
            plain.tier = Tier::cilium();
        }
        Kind::CalicoNetworkPolicy => {
            scopes(&mut plain, AddressScope::PodsToo, PODS_TOO, reading);
            return in_calico(&plain).map(|parts| parts.into_iter().map(|(p, suffix)| (p, name(suffix))).collect());
        }
        _ => scopes(&mut plain, AddressScope::ByDialect, BY_NETWORK, reading),
    }
    Ok(vec![(plain, name(""))])
}

fn family(id: &ObjectRef) -> Option<Family> {
    Kind::of(id.group(), &id.kind).map(Kind::family)
}

const NEVER_PODS: &str = "the block may name pods and nodes by their addresses; in Cilium it never does";
const PODS_TOO: &str = "whether the block names pods by their addresses hangs on the network; in Calico it does";
const BY_NETWORK: &str = "whether an ipBlock names pods by their addresses hangs on the network; the block of the original does \
                          not";
const SETS: &str = "the selector names NetworkSets with such labels as well; those there are now are written as blocks";
const CLOSES_OUTSIDE: &str = "incoming traffic from outside of the cluster and from nodes is let in, since no \
                              ClusterNetworkPolicy can deny it; a NetworkPolicy denies it";

/// Blocks that mean the same addresses, in what the other kind makes of addresses of pods.
fn scopes(policy: &mut Policy, wanted: AddressScope, what: &'static str, reading: &mut Reading<'_>) {
    for direction in Direction::BOTH {
        let rules = match direction {
            Direction::Ingress => &mut policy.ingress,
            Direction::Egress => &mut policy.egress,
        };
        for rule in rules {
            let paths: Vec<FieldPath> = (0..rule.peers.len()).map(|i| rule.peer_path(i)).collect();
            for (peer, at) in rule.peers.iter_mut().zip(paths) {
                if let Peer::Addresses(block) = peer
                    && block.scope != wanted
                {
                    let touches = Touches::PodsByAddress { from: block.scope, to: Some(wanted) };
                    reading.departs(direction, &at, what, touches);
                    block.scope = wanted;
                }
            }
        }
    }
}

/// Rules of Calico's policies that name endpoints by label name sets of addresses with these labels too.
fn groups(policy: &Policy, reading: &mut Reading<'_>) {
    if family(&policy.id) != Some(Family::Calico) {
        return;
    }
    for direction in Direction::BOTH {
        if policy.rules(direction).iter().flat_map(|rule| &rule.peers).any(|peer| peer.pods().is_some()) {
            reading.departs(direction, &FieldPath::new("spec").field(direction.field()), SETS, Touches::Anyone);
        }
    }
}

/// A denial in the tier Baseline is for pods alone; isolation by any other kind is for everyone (semantics 2.2.7).
fn outside(policy: &Policy, reading: &mut Reading<'_>) {
    if family(&policy.id) == Some(Family::ClusterNetworkPolicy) && !policy.ingress.is_empty() {
        reading.departs(Direction::Ingress, &FieldPath::new("spec.ingress"), CLOSES_OUTSIDE, Touches::Outside);
    }
}

/// Policies of the older API of the same project are ordered in the same way.
fn newer(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    if policy.priority.number().is_none() {
        policy.priority = Priority::new(1000.0);
    }
    for rules in [&mut policy.ingress, &mut policy.egress] {
        *rules = rules.iter().flat_map(tiered::fitting).collect();
    }
    policy
}

/// The order of denials, which must come before what other policies allow.
const DENIALS: f64 = 900.0;

/// Where NetworkPolicies stand among Calico's, with denials before them.
fn in_calico(policy: &Policy) -> Result<Vec<(Policy, &'static str)>, Obstacle> {
    let (denials, allows) = apart_by_action(policy);
    let (tier, order) = Tier::network_policy_in_calico();
    let mut parts = Vec::new();
    if let Some(denials) = denials {
        for direction in Direction::BOTH {
            if let Some(rule) = denials.rules(direction).first().filter(|_| !policy.isolates(direction)) {
                return obstacle(
                    &rule.at,
                    "it denies without isolating, and a policy of Calico denies everything else as well",
                );
            }
        }
        parts.push((
            Policy {
                tier: Arc::clone(tier),
                priority: Priority::new(DENIALS),
                isolates_ingress: !denials.ingress.is_empty(),
                isolates_egress: !denials.egress.is_empty(),
                ..denials
            },
            "-deny",
        ));
    }
    parts.push((Policy { tier: Arc::clone(tier), priority: order, ..allows }, ""));
    Ok(parts)
}

/// Names that are taken, by namespace.
#[derive(Default)]
struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    /// As long as every API server takes a name, with room for a number.
    const LONGEST: usize = 240;

    fn take(&mut self, namespace: &str, name: &str) -> bool {
        self.0.entry(namespace.to_owned()).or_default().insert(name.to_owned())
    }

    /// The name, or the first free one after it.
    fn free(&mut self, namespace: &str, name: &str) -> Str {
        let short: String = name.chars().take(Self::LONGEST).collect();
        let short = short.trim_end_matches(['-', '.']);
        let mut numbered = std::iter::once(short.to_owned()).chain((2_u32..).map(|n| format!("{short}-{n}")));
        let found = numbered.find(|name| self.take(namespace, name));
        found.unwrap_or_else(|| short.to_owned()).into()
    }
}
