//! `dangling-reference`: what a policy names and is not there, or is there and empty: tiers, groups of addresses, Services.

use super::nearest;
use super::rule::{Context, Finding, MOST_REFERRING, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::meter::charge;
use crate::model::{
    Action, AddressGroup, Direction, FieldPath, GroupChoice, GroupKind, GroupPeer, Labels, Object, ObjectRef, Peer,
    PolicyObject, ServiceChoice, ServicePeer, Standing, Str, policy,
};
use crate::snapshot::Snapshot;

declare_rule! {
    /// What a policy refers to should exist: its tier, its groups of addresses, its Services.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: is there an object for each name, and does each selector of groups find one? That
    /// is asked of the `tier` of Calico's policies, of NetworkSets and GlobalNetworkSets where nothing else could be meant, of
    /// CiliumCIDRGroups, and, in files, of Services. When a tier or a group goes away or loses its last address, the policies
    /// that name it are asked again.
    ///
    /// A Service that exists and has no selector is found as well: its addresses are those of EndpointSlices that others
    /// write.
    ///
    /// ## Why
    ///
    /// Nothing refuses such a policy. In a tier that does not exist it is not enforced at all; a group that does not exist
    /// has no addresses, so that what should allow allows nothing, and what should deny denies nothing. The ClusterRole
    /// `edit` may write EndpointSlices in some clusters, and with them open any address through such a Service.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// egress:
    ///   - toCIDRSet: [{cidrGroupRef: partnres}]
    /// ```
    ///
    /// ## Accepted
    ///
    /// The same with the name of a CiliumCIDRGroup that has addresses.
    ///
    /// ## Exceptions
    ///
    /// Services are only looked for where some were read: the webhook follows them from the first policy on that names one,
    /// and a folder without any says nothing about those of the cluster. A selector of Calico names pods and network sets alike and is no reference.
    /// The Service `kubernetes` of the namespace `default` has no selector on purpose: the API server writes its addresses.
    ///
    /// ## References
    ///
    /// Calico: *Tier*, *NetworkSet*; Cilium: *CIDR based*, "CiliumCIDRGroup".
    pub DanglingReference = DanglingReference, since "0.1.0"
}

impl Rule for DanglingReference {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn judges_referring(&self) -> bool {
        true
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if let Some(object) = cx.policy() {
            out.extend(judge(cx.world, object, || wording::policy(&object.id)).into_iter().map(|dangling| {
                let at = dangling.at.clone();
                dangling.finding((*object.id).clone()).at(at)
            }));
            return;
        }
        // A tier or a group: the policies that name it, once for each namespace, where somebody changes it.
        let changed = cx.change.before.as_ref().or(cx.change.after.as_ref());
        if cx.standing || !matches!(changed, Some(Object::AddressGroup(_) | Object::Tier(_))) {
            return;
        }
        for object in cx.referring().take(MOST_REFERRING) {
            let name = object.id.to_string();
            // What led nowhere before is told with the policy, and not to everybody who changes another group.
            let old: Vec<FieldPath> =
                judge(cx.then, object, || name.clone()).into_iter().map(|dangling| dangling.at).collect();
            let new =
                judge(cx.world, object, || name.clone()).into_iter().filter(|dangling| !old.contains(&dangling.at));
            out.extend(new.map(|dangling| {
                let key = format!("{name} {}", dangling.at);
                dangling.finding(cx.change.id.clone()).keyed(key)
            }));
        }
    }
}

/// What a policy names in vain. `name` is how the policy is called.
fn judge(world: &Snapshot, object: &PolicyObject, name: impl Fn() -> String) -> Vec<Dangling> {
    let mut found = Vec::new();
    // They name nothing that could be missing.
    if object.policies.iter().all(|policy| policy.tier.is_network_policy()) {
        return found;
    }
    let object = world.policy(&object.id).map_or(object, |held| &**held);
    if let Some(policy) = object.policies.iter().find(|policy| policy.tier.standing == Standing::Missing) {
        let message = format!(
            "tier of {} is {}, which does not exist, so the policy is not enforced; create the tier",
            name(),
            policy.tier.name
        );
        found.push(Dangling { at: FieldPath::new("spec.tier"), what: message, near: None, by_others: false });
    }
    // As it is written it names things, and as it counts it no longer does.
    let written = world.written_policy(&object.id).map_or(object, |held| &**held);
    for policy in &written.policies {
        for rule in Direction::BOTH.into_iter().flat_map(|direction| policy.rules(direction)) {
            for mut dangling in dangling(world, rule) {
                let (at, does) = (dangling.at.short(), does(rule.action));
                let then = if dangling.by_others {
                    format!("so that its EndpointSlices decide whom the rule {does}")
                } else {
                    format!("and {does} nobody by it")
                };
                dangling.what = format!("{at} of {} {}, {then}", name(), dangling.what);
                // What is certain of a rule and what is possible stand in two rules of the same place.
                if found.iter().all(|other| other.at != dangling.at) {
                    found.push(dangling);
                }
            }
        }
    }
    found
}

const fn does(action: Action) -> &'static str {
    match action {
        Action::Allow => "allows",
        Action::Deny => "denies",
        Action::Pass => "passes",
    }
}

/// A name that leads nowhere.
struct Dangling {
    at: FieldPath,
    what: String,
    near: Option<String>,
    /// Whether it leads somewhere, and objects that are no policies say where.
    by_others: bool,
}

impl Dangling {
    fn finding(self, object: ObjectRef) -> Finding {
        let mut finding = Finding::new(RuleId::DanglingReference, object, self.what);
        finding.because.extend(self.near.map(|near| format!("there is {near}: did you mean that?")));
        finding.rests_on_absence = !self.by_others;
        if self.by_others {
            finding.help = Some(
                "everybody who may write EndpointSlices there can put any address into them; give the Service a selector, \
                 or name the addresses in the policy"
                    .to_owned(),
            );
        }
        finding
    }
}

fn dangling(world: &Snapshot, rule: &policy::Rule) -> Vec<Dangling> {
    let mut found = Vec::new();
    let names_something = |peer| part(peer, &groups).is_some() || part(peer, &services).is_some();
    if !rule.peers.iter().any(names_something) {
        return found;
    }
    let empty = |groups: &GroupPeer| groups_of(world, groups).all(|group| group.nets.is_empty());
    // Of Calico's rules one selector makes several peers, and one that finds something is enough.
    let only_sets = rule.peers.iter().all(|peer| match part(peer, &groups) {
        Some(groups) => empty(groups),
        None => *peer == Peer::Nobody,
    });
    for (i, peer) in rule.peers.iter().enumerate() {
        if let Some(groups) = part(peer, &groups)
            && empty(groups)
            && (groups.kind == GroupKind::Cidrs || only_sets)
        {
            found.push(of_groups(world, rule, i, groups));
            if groups.kind != GroupKind::Cidrs {
                break;
            }
        }
        if let Some(service) = part(peer, &services)
            && !world.references().services.is_empty()
        {
            let mut there = service.found(world.references()).inspect(|_| charge(1)).peekable();
            if there.peek().is_none() {
                found.push(of_services(world, rule, i, service));
            } else if let Some((key, _)) = there.find(|(key, service)| service.selector.is_none() && !is_api(key)) {
                found.push(without_selector(rule, i, key));
            }
        }
    }
    found
}

/// The part of a peer that names something: itself, or one of several conditions.
fn part<'p, T>(peer: &'p Peer, is_one: &impl Fn(&'p Peer) -> Option<&'p T>) -> Option<&'p T> {
    match peer {
        Peer::AllOf(parts) => parts.iter().find_map(|inner| part(inner, is_one)),
        peer => is_one(peer),
    }
}

const fn groups(peer: &Peer) -> Option<&GroupPeer> {
    if let Peer::Groups(groups) = peer { Some(groups) } else { None }
}

const fn services(peer: &Peer) -> Option<&ServicePeer> {
    if let Peer::Services(service) = peer { Some(service) } else { None }
}

fn groups_of<'w>(world: &'w Snapshot, groups: &'w GroupPeer) -> impl Iterator<Item = &'w AddressGroup> {
    world.address_groups().filter(move |group| names(world, groups, group))
}

fn names(world: &Snapshot, groups: &GroupPeer, group: &AddressGroup) -> bool {
    let none = Labels::default();
    let namespace = world.namespace(group.id.namespace());
    groups.names(group, namespace.map_or(&none, |namespace| namespace.labels()))
}

fn of_groups(world: &Snapshot, rule: &policy::Rule, i: usize, groups: &GroupPeer) -> Dangling {
    let is_there = groups_of(world, groups).next().is_some();
    let kind = if groups.kind == GroupKind::Cidrs { "CiliumCIDRGroup" } else { "network set" };
    let at = rule.peer_path(i);
    match &groups.groups {
        GroupChoice::Named(name) => {
            let known = world.address_groups().filter(|group| group.kind == groups.kind).map(|group| &group.id.name);
            let near = (!is_there).then(|| nearest::name(name, known)).flatten();
            let lack = if is_there { "has no addresses" } else { "does not exist" };
            Dangling {
                at: at.field("cidrGroupRef"),
                what: format!("names {kind} {name}, which {lack}"),
                near: near.map(|near| format!("a {kind} {near}")),
                by_others: false,
            }
        }
        GroupChoice::Matching(selector) => {
            let field = if groups.kind == GroupKind::Cidrs { "cidrGroupSelector" } else { "selector" };
            let what = match (is_there, groups.kind) {
                (true, _) => format!("selects {kind}s without any address ({selector})"),
                (false, GroupKind::Cidrs) => format!("selects no {kind} ({selector})"),
                (false, _) => "selects no pod and no network set".to_owned(),
            };
            Dangling { at: at.field(field), what, near: None, by_others: false }
        }
    }
}

/// Whether a Service is the one of the API server, which writes its EndpointSlices itself.
fn is_api((namespace, name): &(Str, Str)) -> bool {
    **namespace == *"default" && **name == *"kubernetes"
}

fn without_selector(rule: &policy::Rule, i: usize, (namespace, name): &(Str, Str)) -> Dangling {
    let what = format!("names Service {namespace}/{name}, which has no selector");
    Dangling { at: service_path(rule, i), what, near: None, by_others: true }
}

fn service_path(rule: &policy::Rule, i: usize) -> FieldPath {
    if rule.peers_at == "toServices" { rule.peer_path(i) } else { rule.peer_path(i).field("services") }
}

fn of_services(world: &Snapshot, rule: &policy::Rule, i: usize, service: &ServicePeer) -> Dangling {
    let near = match &service.services {
        ServiceChoice::Named(name) => {
            let here = |namespace: &_| service.namespace.as_ref().is_none_or(|own| own == namespace);
            let known = world.references().services.keys().filter(|(namespace, _)| here(namespace));
            nearest::name(name, known.map(|(_, name)| name)).map(|near| format!("a Service {near}"))
        }
        ServiceChoice::Matching(_) => None,
    };
    let what = format!("names {}, which is not among those that were read", service.words());
    Dangling { at: service_path(rule, i), what, near, by_others: false }
}
