//! `blocked-dns`: a workload whose egress is isolated must still reach cluster DNS.

use std::net::IpAddr;
use std::sync::Arc;

use super::rule::{Affected, Context, Finding, Fix, Rule, RuleMeta, declare_rule};
use super::{fields, suggest, wording};
use crate::model::house::{Dns, Level, RuleId, private_ranges};
use crate::model::pod::PodLookup;
use crate::model::{
    Action, Direction, NamespaceScope, Object, Peer, PodSpec, Policy, Protocol, Selector, Str, TierSemantics, Workload,
    policy,
};
use crate::reach::{
    BlockedDns as Blocked, DNS_PORT, Decision, DnsPod, DnsPods, DnsQuery, Used, selecting, service_addresses,
};

declare_rule! {
    /// A workload whose egress is isolated must be able to reach cluster DNS, over UDP and over TCP.
    ///
    /// ## What it checks
    ///
    /// When a workload is created or changed, when a policy is changed or deleted, and when a namespace's labels change: do
    /// the policies in force let the pod reach the DNS pods on port 53 of every protocol in `dns.protocols`? Both sides
    /// count: egress of the pod, and ingress of the DNS pods. The Service spreads queries over all DNS pods, so all of them
    /// must be reachable; or else one address of `dns.addresses` (NodeLocal DNSCache) on every protocol.
    ///
    /// ## Why
    ///
    /// A pod without DNS looks like a pod with a broken network, and the cause is the one thing that nobody wrote. Without
    /// TCP it is worse: it fails only for long answers.
    ///
    /// ## Refused
    ///
    /// A workload that `default-deny-egress` isolates and that no policy lets ask DNS; a policy that allows UDP 53 only; one
    /// that allows the address of the DNS *Service*, which no policy ever sees, because it is translated to a pod's address
    /// first.
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// egress:
    ///   - to:
    ///       - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///         podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///     ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
    /// ```
    ///
    /// ## Exceptions
    ///
    /// Not judged: pods whose egress nobody restricts, pods on the host's network, and `dnsPolicy: Default`, which asks the
    /// node's resolvers. `dnsPolicy: None` is judged by the servers that it names: one of them must be reachable; behind a
    /// private address may be the DNS Service, and then reaching the DNS pods is enough. A new policy that cuts running
    /// pods off only warns, because the policy that allows may come next; a new NetworkPolicy for pods that others isolate
    /// already takes nothing away and is not judged.
    ///
    /// ## References
    ///
    /// Kubernetes: *DNS for Services and Pods*; *Using NodeLocal DNSCache*. RFC 7766.
    pub BlockedDns = BlockedDns, since "0.1.0"
}

impl Rule for BlockedDns {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn judges_pods(&self) -> bool {
        true
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        if cx.only_admits {
            return;
        }
        let dns = &cx.settings.dns;
        let pods = DnsPods::find(cx.world, dns);
        let query = DnsQuery::new(cx.world, dns, &pods, cx.settings.dialect);
        if let Some(workload) = cx.workload().filter(|workload| !workload.finished) {
            if let Some(blocked) = query.blocked(cx.namespace, &workload.pod) {
                out.push(finding(cx, &pods, &workload.pod, &blocked, Some(workload)));
            }
        } else if cx.judges_running_pods() {
            let mut groups: Vec<Finding> = Vec::new();
            for class in cx.touched(Some(&pods.namespace)).iter() {
                let Some(blocked) = query.blocked(cx.namespace, class.pod()) else { continue };
                let found = finding(cx, &pods, class.pod(), &blocked, None);
                // Pods that are blocked for the same reasons are one finding.
                let same = |f: &&mut Finding| f.message == found.message && f.because == found.because;
                match groups.iter_mut().find(same) {
                    Some(group) => group.affected.push(Affected::of(class)),
                    None => groups.push(Finding { affected: vec![Affected::of(class)], ..found }),
                }
            }
            out.append(&mut groups);
        }
    }
}

fn finding(cx: &Context<'_>, pods: &DnsPods, pod: &PodSpec, blocked: &Blocked, workload: Option<&Workload>) -> Finding {
    let (object, who) = match workload {
        Some(workload) => (workload.id.clone(), workload.id.to_string()),
        None => (
            cx.change.object().map_or_else(|| cx.change.id.clone(), Object::id),
            format!("pods of namespace {}", cx.namespace.name()),
        ),
    };
    let target = if blocked.servers.is_empty() {
        "cluster DNS".to_owned()
    } else {
        let servers: Vec<String> = blocked.servers.iter().map(ToString::to_string).collect();
        format!("the DNS of dnsConfig ({})", wording::few(&servers, 3, "servers"))
    };
    let message = format!("{target} cannot be reached on {} by {who}; {}", ports(&blocked.missing), remedy(blocked));
    let mut finding = Finding::new(RuleId::BlockedDns, object, message).keyed(ports(&blocked.missing));
    // What was wholly blocked and is partly blocked now has become better.
    finding.implies = blocked.missing.iter().map(|protocol| ports(&[*protocol])).collect();
    finding.because = reasons(cx, pods, pod, blocked);
    finding.rests_on_absence = true;
    // What a rule denies no other policy can allow; what isolation denies, the next one can.
    if cx.creates_policy() && ![&blocked.egress, &blocked.ingress].iter().any(|d| d.used.iter().any(denies_by_rule)) {
        finding.cap = Level::Warn;
        finding.help = Some("allow before deny: apply the policy that allows DNS first".to_owned());
    }
    if !blocked.is_refused_by_dns() {
        finding.fix = fix(cx, pods, pod, &blocked.servers);
    }
    if !pods.seen && !pods.namespace.classes().is_empty() {
        finding.help = Some(format!(
            "no pod of {} has {}; if cluster DNS is elsewhere, say where under `dns` in the house rules",
            pods.namespace.name(),
            cx.settings.dns.labels
        ));
    }
    finding
}

/// `UDP 53 and TCP 53`.
fn ports(protocols: &[Protocol]) -> String {
    let all: Vec<String> = protocols.iter().map(|p| format!("{p} {DNS_PORT}")).collect();
    all.join(" and ")
}

/// What is to be done about it: what a rule denies, no policy of the union can allow.
fn remedy(blocked: &Blocked) -> &'static str {
    let denied = |decision: &Decision| {
        let on = |used: &&Used| blocked.missing.iter().any(|p| used.ports.contains(*p, DNS_PORT));
        decision.used.iter().filter(on).any(denies_by_rule)
    };
    let refused = !blocked.stopped_by(Direction::Ingress).is_empty();
    match (blocked.is_refused_by_dns(), refused) {
        _ if denied(&blocked.egress) || denied(&blocked.ingress) => "take DNS out of the rule that denies it",
        (true, _) => "open the ingress of the DNS pods",
        (false, true) => "allow it, and open the ingress of the DNS pods",
        (false, false) => "allow it",
    }
}

fn denies_by_rule(used: &Used) -> bool {
    used.action == Action::Deny && used.rule.is_some()
}

/// Allows DNS for exactly the pods that a policy isolates already, so that the cure cuts nobody else off. A server with a
/// private address may be the DNS Service; one outside is opened for the pods alone that name it.
fn fix(cx: &Context<'_>, pods: &DnsPods, pod: &PodSpec, servers: &[IpAddr]) -> Option<Fix> {
    let policies = selecting(cx.world, cx.namespace, pod);
    let isolating = || policies.iter().filter(|p| p.isolates(Direction::Egress));
    let widest = isolating().find(|p| p.subject.pods.matches_everything()).or_else(|| isolating().next())?;
    let inside = servers.is_empty() || servers.iter().any(|s| private_ranges().contains(*s) || pods.have(*s));
    let allow = |name: &str, whose: Selector| {
        Some(Fix::ApplyFirst(vec![if inside {
            suggest::allow_dns_for(cx, name, whose)
        } else {
            suggest::allow_servers_for(cx, name, whose, servers)
        }]))
    };
    if widest.subject.pods.matches_everything() {
        if inside {
            return allow("allow-dns", Selector::everything());
        }
        let own = wording::written_labels(pod).map(|(key, value)| Selector::equals(key.clone(), value.clone()));
        return allow("allow-dns-servers", Selector::all(own.collect()));
    }
    let by_namespace = matches!(&widest.subject.namespaces, NamespaceScope::Named(_));
    if widest.tier.semantics != TierSemantics::Union || !by_namespace {
        return None;
    }
    let theirs = if widest.id.name.is_empty() { "some" } else { &*widest.id.name };
    let name: String = format!("allow-dns-for-{theirs}").chars().take(240).collect();
    allow(&name, widest.subject.pods.clone())
}

fn reasons(cx: &Context<'_>, pods: &DnsPods, pod: &PodSpec, blocked: &Blocked) -> Vec<String> {
    let dns = &cx.settings.dns;
    let there = destination(cx, pods, blocked);
    let mut facts = Vec::new();
    if !blocked.is_refused_by_dns() {
        facts.push(side(dns, "egress", &there, blocked, Direction::Egress));
    }
    if !blocked.stopped_by(Direction::Ingress).is_empty() {
        let from = format!("pods {} of namespace {}", wording::labels(pod), cx.namespace.name());
        facts.push(side(dns, &format!("ingress of {there}"), &from, blocked, Direction::Ingress));
    }
    if blocked.is_refused_by_dns() {
        return facts;
    }
    facts.extend(on_host(blocked));
    for policy in selecting(cx.world, cx.namespace, pod) {
        for (at, address) in service_addresses(policy, pods, dns) {
            facts.push(format!(
                "{} {at} names {address}: the address of a Service never matches, because policies see the address of the \
                 pod behind it; name the DNS pods instead",
                wording::policy(&policy.id)
            ));
        }
        facts.extend(near_misses(cx, pods, policy, blocked));
    }
    if blocked.in_doubt {
        facts
            .push("the addresses of the DNS pods are not known here, so no ipBlock is certain to hold them".to_owned());
    }
    facts
}

/// Whom the pod does not reach: all that answer, those of them that are not reached, or the servers that it names.
fn destination(cx: &Context<'_>, pods: &DnsPods, blocked: &Blocked) -> String {
    let dns = &cx.settings.dns;
    if !blocked.servers.is_empty() {
        return "these servers".to_owned();
    }
    let nodes = if blocked.pods.iter().all(|dns| dns.pod.host_network) { "the nodes of " } else { "" };
    let all = format!("{} pods {}", dns.namespace, dns.labels);
    if blocked.pods.len() == pods.pods.len() {
        return format!("{nodes}{all}");
    }
    let some: Vec<String> = blocked.pods.iter().map(named).collect();
    format!("{nodes}{} of the {all}", wording::few(&some, 3, "sets of pods"))
}

/// `Deployment coredns (k8s-app=kube-dns,shard=b)`.
fn named(pod: &DnsPod) -> String {
    let labels = wording::labels(&pod.pod);
    pod.owner.as_ref().map_or_else(|| labels.clone(), |owner| format!("{owner} ({labels})"))
}

/// That no selector sees the DNS pods, if they are on the host's network, and what does.
fn on_host(blocked: &Blocked) -> Option<String> {
    let on_host: Vec<&DnsPod> = blocked.pods.iter().filter(|dns| dns.pod.host_network).collect();
    let names: Vec<String> = on_host.iter().map(|dns| named(dns)).collect();
    let mut addresses: Vec<IpAddr> = on_host.iter().flat_map(|dns| dns.addresses.iter().copied()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let known = match addresses.as_slice() {
        [] => String::new(),
        some => format!(" ({} now)", wording::few(some, 3, "addresses")),
    };
    (!names.is_empty()).then(|| {
        format!(
            "{} is on the host's network, which pod selectors do not see: name the addresses of its nodes instead{known}",
            wording::few(&names, 3, "sets of pods")
        )
    })
}

/// What one side says: who isolates or denies, and what gets through nevertheless.
fn side(dns: &Dns, subject: &str, other: &str, blocked: &Blocked, direction: Direction) -> String {
    let decision = if direction == Direction::Egress { &blocked.egress } else { &blocked.ingress };
    let missing = &blocked.stopped_by(direction);
    let on = |used: &Used, protocols: &[Protocol]| protocols.iter().any(|p| used.ports.contains(*p, DNS_PORT));
    let place = |used: &Used| {
        let rule = used.rule.and_then(|i| used.policy.rules(direction).get(i));
        rule.map_or_else(|| wording::policy(&used.policy.id), |rule| wording::place(&used.policy.id, &rule.at))
    };
    let deny = decision.used.iter().find(|u| denies_by_rule(u) && on(u, missing));
    if let Some(deny) = deny {
        return format!("{subject} is denied by {} on {}", place(deny), ports(missing));
    }
    let isolating: Vec<&Arc<Policy>> =
        decision.used.iter().filter(|used| used.rule.is_none()).map(|used| &used.policy).collect();
    let open = dns.protocols.iter().filter(|p| !missing.contains(p)).filter_map(|protocol| {
        let by = decision.used.iter().find(|u| u.action == Action::Allow && on(u, &[*protocol]))?;
        Some(format!("{} is allowed by {}", ports(&[*protocol]), place(by)))
    });
    let open: Vec<String> = open.collect();
    let but = if open.is_empty() { String::new() } else { format!(" ({})", open.join(", ")) };
    format!(
        "{subject} is isolated by {}; no rule admits {other} on {}{but}",
        wording::policies(isolating),
        ports(missing)
    )
}

/// Rules that are about port 53 and name the wrong pods, or a port that they do not have.
fn near_misses(cx: &Context<'_>, pods: &DnsPods, policy: &Policy, blocked: &Blocked) -> Vec<String> {
    let dns = &cx.settings.dns;
    let Some(missed) = blocked.pods.first().or_else(|| pods.pods.first()) else { return Vec::new() };
    let lookup = PodLookup { pod: &missed.pod, namespace: pods.namespace.labels() };
    let mut facts = Vec::new();
    for rule in policy.rules(Direction::Egress).iter().filter(|rule| rule.action == Action::Allow) {
        let about_dns = dns.protocols.iter().any(|p| {
            let ports = rule.ports.numbers.ports(*p);
            ports.contains(DNS_PORT) && !ports.is_full()
        });
        for (i, peer) in rule.peers.iter().enumerate().filter(|_| about_dns) {
            let Peer::Pods(peer) = peer else { continue };
            let place = wording::place(&policy.id, &rule.peer_path(i));
            if !pods.namespace.is_in(&peer.namespaces) {
                facts.push(match &peer.namespaces {
                    NamespaceScope::Named(name) => {
                        let cilium = fields::is_cilium(&policy.id);
                        let lacks =
                            if cilium { "names no io.kubernetes.pod.namespace" } else { "has no namespaceSelector" };
                        format!("{place} {lacks}, so it means pods of namespace {name}")
                    }
                    NamespaceScope::Matching(selector) => {
                        format!("{place} names namespaces with {selector}, and {} is not one of them", dns.namespace)
                    }
                });
            } else if !peer.pods.matches(&lookup) {
                let partly = !blocked.pods.is_empty() && blocked.pods.len() < pods.pods.len();
                let theirs = if partly { wording::labels(&missed.pod) } else { dns.labels.to_string() };
                facts.push(format!("{place} names pods with {}, and the DNS pods have {theirs}", peer.pods));
            }
        }
        facts.extend(without_port(policy, rule, &lookup, pods, missed));
    }
    facts
}

/// That a rule which names the right pods names a port that they do not have: the name counts, not the number behind it.
fn without_port(
    policy: &Policy,
    rule: &policy::Rule,
    lookup: &PodLookup<'_>,
    pods: &DnsPods,
    missed: &DnsPod,
) -> Option<String> {
    let right = |peer: &Peer| match peer {
        Peer::Pods(peer) => pods.namespace.is_in(&peer.namespaces) && peer.pods.matches(lookup),
        _ => false,
    };
    let lacks = |(protocol, name): &&(Option<Protocol>, Str)| {
        !missed.pod.ports.iter().any(|port| port.name == *name && protocol.is_none_or(|p| p == port.protocol))
    };
    let names: Vec<String> = rule.ports.names.iter().filter(lacks).map(|(_, name)| name.to_string()).collect();
    let found = pods.seen && !names.is_empty() && rule.peers.iter().any(right);
    found.then(|| {
        let place = wording::place(&policy.id, &rule.at);
        let s = if names.len() > 1 { "s" } else { "" };
        format!("{place} names port{s} {}, which {} has not; write 53", names.join(" and "), named(missed))
    })
}

#[cfg(test)]
mod tests;
