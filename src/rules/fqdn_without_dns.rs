//! `fqdn-without-dns`: names in a policy mean nothing until an answer about them has been seen.

use std::sync::Arc;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::dns_names::{covers, dns_names};
use crate::model::house::RuleId;
use crate::model::{Action, Direction, ObjectRef, Peer, PodSpec, Policy, Protocol, policy};
use crate::reach::{DNS_PORT, selecting};

declare_rule! {
    /// Who may reach a name with Cilium must be able to ask for it through Cilium's DNS proxy.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does it allow `toFQDNs`, and does some policy for the same pods have a DNS rule
    /// (`rules.dns` on port 53) that lets these names be asked for?
    ///
    /// ## Why
    ///
    /// Cilium learns the addresses of a name from the answers that its DNS proxy sees, and only a DNS rule sends queries
    /// through the proxy. Without one no address is ever learned, and the rule allows nothing: it looks right, is valid, and
    /// every connection is dropped. A `*` in a pattern stands for part of one label: `*.example.com` is neither
    /// `example.com` nor `a.b.example.com`.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// egress:
    ///   - toFQDNs: [{matchName: api.example.com}]
    /// ```
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// egress:
    ///   - toFQDNs: [{matchName: api.example.com}]
    ///   - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns}}]
    ///     toPorts:
    ///       - ports: [{port: "53", protocol: ANY}]
    ///         rules: {dns: [{matchName: api.example.com}]}
    /// ```
    ///
    /// ## Exceptions
    ///
    /// Whether the DNS rule leads to pods that answer is what `blocked-dns` looks at.
    ///
    /// ## References
    ///
    /// Cilium: *Layer 3 Policies*, "DNS based"; *Layer 7 Policies*, "DNS Proxy".
    pub FqdnWithoutDns = FqdnWithoutDns, since "0.2.0"
}

/// Names that are told one by one.
const MOST_NAMES: usize = 4;

impl Rule for FqdnWithoutDns {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        for policy in &object.policies {
            let to_names = |rule: &&policy::Rule| {
                rule.action == Action::Allow && rule.peers.iter().any(|peer| matches!(peer, Peer::Domains(_)))
            };
            let rules: Vec<&policy::Rule> = policy.egress.iter().filter(to_names).collect();
            if rules.is_empty() {
                continue;
            }
            let known = asked_for(cx, policy);
            out.extend(rules.into_iter().filter_map(|rule| judge(&object.id, rule, &known)));
        }
    }
}

/// Names of one rule that no DNS rule lets be asked for.
fn judge(id: &ObjectRef, rule: &policy::Rule, known: &[String]) -> Option<Finding> {
    let mut lost: Vec<(usize, String)> = Vec::new();
    for (i, peer) in rule.peers.iter().enumerate() {
        let Peer::Domains(names) = peer else { continue };
        let unknown = names.iter().filter(|name| !known.iter().any(|pattern| covers(pattern, name)));
        lost.extend(unknown.map(|name| (i, name.to_string())));
    }
    let (first, example) = lost.first()?;
    let all: Vec<String> = lost.iter().map(|(_, name)| name.clone()).collect();
    let names = wording::few(&all, MOST_NAMES, "names");
    let place = wording::place(id, &rule.at);
    let (message, because) = if known.is_empty() {
        (
            format!("{place} never matches {names}; add a DNS rule, through which Cilium learns addresses"),
            "no policy for these pods has a DNS rule on port 53, so no answer about a name is ever seen".to_owned(),
        )
    } else {
        (
            format!("{place} never matches {names}; let these names be asked for"),
            format!("the DNS rules for these pods let through {} only", wording::few(known, MOST_NAMES, "names")),
        )
    };
    let field = if example.contains('*') { "matchPattern" } else { "matchName" };
    let help = format!("allow the DNS pods on port 53, UDP and TCP, with rules.dns: [{{{field}: \"{example}\"}}]");
    let finding = Finding::new(RuleId::FqdnWithoutDns, id.clone(), message).at(rule.peer_path(*first));
    Some(finding.because(because).helped(help))
}

/// The names that DNS rules of all policies for the same pods let be asked for.
fn asked_for(cx: &Context<'_>, policy: &Arc<Policy>) -> Vec<String> {
    let subject = policy.subject.pods.representative().map(PodSpec::with_labels);
    let mut together = subject.map_or_else(Vec::new, |pod| selecting(cx.world, cx.namespace, &pod));
    if !together.iter().any(|p| Arc::ptr_eq(p, policy)) {
        together.push(policy);
    }
    let rules = together.into_iter().flat_map(|p| p.rules(Direction::Egress));
    let about_dns = rules.filter(|rule| {
        let numbers = &rule.ports.numbers;
        let on_53 = Protocol::ALL.iter().any(|p| numbers.contains(*p, DNS_PORT));
        rule.action == Action::Allow && on_53 && rule.peers.iter().any(|peer| *peer != Peer::Nobody)
    });
    let filters = about_dns.filter_map(|rule| rule.filtered_by.as_deref());
    let mut names: Vec<String> = filters.filter_map(dns_names).flatten().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
