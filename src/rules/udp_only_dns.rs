//! `udp-only-dns`: DNS that is allowed over UDP and not over TCP fails for long answers.

use std::sync::Arc;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{covering, fields, wording};
use crate::model::dns_names::{covers, dns_names};
use crate::model::house::RuleId;
use crate::model::{Action, Direction, IpSet, Peer, PodSpec, Policy, Protocol, policy};
use crate::reach::selecting;

declare_rule! {
    /// Who may ask a DNS server over UDP must be able to ask it over TCP.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does it allow UDP 53 to a peer to which no policy that selects the same pods
    /// allows TCP 53?
    ///
    /// ## Why
    ///
    /// An answer that does not fit into one datagram comes back truncated and is asked for again over TCP. Names with many
    /// addresses, signed zones and headless Services with many pods have such answers. Until one comes, everything works.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// egress:
    ///   - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
    ///     ports: [{protocol: UDP, port: 53}]
    /// ```
    ///
    /// ## Accepted
    ///
    /// The same with `ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]`.
    ///
    /// ## Exceptions
    ///
    /// A rule that allows every UDP port is not about DNS and is not judged. Nothing is found where `dns.protocols` of the
    /// house rules does not name TCP.
    ///
    /// ## References
    ///
    /// RFC 7766, *DNS Transport over TCP*; RFC 9210.
    pub UdpOnlyDns = UdpOnlyDns, since "0.1.0"
}

impl Rule for UdpOnlyDns {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy().filter(|_| cx.settings.dns.protocols.contains(&Protocol::Tcp)) else { return };
        for policy in &object.policies {
            // A rule that allows TCP as well needs no other to cover it.
            let alone = |rule: &&policy::Rule| is_dns_over_udp(rule) && !allows_tcp(rule);
            let over_udp: Vec<&policy::Rule> = policy.rules(Direction::Egress).iter().filter(alone).collect();
            if over_udp.is_empty() {
                continue;
            }
            let over_tcp = peers_over_tcp(cx, policy);
            for rule in over_udp {
                let Some(alone) = rule.peers.iter().position(|peer| !is_covered(peer, &over_tcp)) else { continue };
                let path = fields::ports(&object.id, rule);
                let message = format!("{} allows DNS on UDP 53 only; add TCP 53", wording::place(&object.id, &rule.at));
                let finding =
                    Finding::new(RuleId::UdpOnlyDns, (*object.id).clone(), message).at(path).because(format!(
                        "no rule for these pods allows TCP 53 to {}, and long answers are asked for again over TCP",
                        rule.peer_path(alone).short()
                    ));
                out.push(match rule.filtered_by.as_deref().and_then(left_out) {
                    Some(fact) => finding.because(fact),
                    None => finding,
                });
            }
        }
    }
}

/// What the names of a DNS rule leave out that people expect of it: `*` is part of one label, and a Service's name has two
/// before `svc`.
fn left_out(filter: &str) -> Option<String> {
    let names: Vec<&str> = dns_names(filter)?.collect();
    let lets = |name: &str| names.iter().any(|pattern| covers(pattern, name));
    let meant = names.iter().find(|name| name.strip_prefix("*.").is_some_and(|rest| rest.starts_with("svc.")))?;
    let domain = meant.strip_prefix("*.")?;
    let service = format!("web.shop.{domain}");
    (!lets(&service)).then(|| {
        format!(
            "its DNS rules leave out every Service: `{meant}` is one label before {domain}, and {service} has two; `*.*.{domain}` is meant"
        )
    })
}

fn is_dns_over_udp(rule: &policy::Rule) -> bool {
    let udp = rule.ports.numbers.ports(Protocol::Udp);
    rule.action == Action::Allow
        && udp.contains(53)
        && !udp.is_full()
        && !rule.peers.iter().all(|peer| matches!(peer, Peer::Nobody))
}

/// Everyone to whom pods that the policy selects may talk on TCP 53, by all policies together.
fn peers_over_tcp<'a>(cx: &Context<'a>, policy: &'a Arc<Policy>) -> Vec<&'a Peer> {
    let subject = policy.subject.pods.representative().map(PodSpec::with_labels);
    let mut together = subject.map_or_else(Vec::new, |pod| selecting(cx.world, cx.namespace, &pod));
    if !together.iter().any(|p| p.id == policy.id) {
        together.push(policy);
    }
    let rules = together.into_iter().flat_map(|p| p.rules(Direction::Egress));
    let over_tcp = rules.filter(|rule| {
        let named = rule.ports.names.iter().any(|(protocol, _)| protocol.is_none_or(|p| p == Protocol::Tcp));
        rule.action == Action::Allow && (named || allows_tcp(rule))
    });
    over_tcp.flat_map(|rule| &rule.peers).collect()
}

fn allows_tcp(rule: &policy::Rule) -> bool {
    rule.ports.numbers.contains(Protocol::Tcp, 53)
}

fn is_covered(peer: &Peer, by: &[&Peer]) -> bool {
    let addresses = || by.iter().map(|p| p.addresses()).collect::<Vec<IpSet>>();
    match peer {
        Peer::Nobody => true,
        Peer::Addresses(asked) => asked.set.is_subset(&IpSet::union_all(&addresses())),
        Peer::Pods(_) => by.iter().any(|other| covering::peer(other, peer)),
        other => by.iter().any(|p| **p == Peer::Any || *p == other),
    }
}
