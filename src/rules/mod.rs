//! The house rules: one file, one page and one literate spec each, and the list of all of them.

mod allow_all_peers;
mod ambiguous_priority;
mod asserted;
mod baseline;
mod blocked_dns;
mod broken_assertion;
mod covering;
mod dangling_peer;
mod dangling_reference;
mod dangling_subject;
mod dialect_dependent;
mod fields;
#[cfg(test)]
pub(crate) mod fixtures;
mod fqdn_without_dns;
mod host_network;
mod implicit_policy_types;
mod missing_default_deny;
mod nearest;
mod not_understood;
mod open_cidr;
mod open_group;
mod open_pods;
mod opens;
mod redundant_policy;
mod rule;
mod severed_pods;
mod shadowed_rule;
mod staged_only;
mod suggest;
mod too_large;
mod udp_only_dns;
mod unenforced;
mod unresolved_named_port;
mod wording;

pub use asserted::{Told, gaps, tell};
pub use baseline::{baseline, cilium_baseline};
pub use rule::{Affected, Context, Finding, Fix, Rule, RuleMeta};
pub use too_large::too_costly;

use crate::model::house::RuleId;

/// Every rule, in the order of their names.
pub static RULES: &[&dyn Rule] = &[
    &allow_all_peers::AllowAllPeers,
    &ambiguous_priority::AmbiguousPriority,
    &blocked_dns::BlockedDns,
    &broken_assertion::BrokenAssertion,
    &dangling_peer::DanglingPeer,
    &dangling_reference::DanglingReference,
    &dangling_subject::DanglingSubject,
    &dialect_dependent::DialectDependent,
    &fqdn_without_dns::FqdnWithoutDns,
    &host_network::HostNetwork,
    &implicit_policy_types::ImplicitPolicyTypes,
    &missing_default_deny::MissingDefaultDeny,
    &not_understood::NotUnderstood,
    &open_cidr::OpenCidrRule,
    &redundant_policy::RedundantPolicy,
    &severed_pods::SeveredPods,
    &shadowed_rule::ShadowedRule,
    &staged_only::StagedOnly,
    &too_large::TooLarge,
    &udp_only_dns::UdpOnlyDns,
    &unenforced::Unenforced,
    &unresolved_named_port::UnresolvedNamedPort,
];

/// The facts about a rule.
pub fn meta(id: RuleId) -> Option<&'static RuleMeta> {
    RULES.iter().map(|rule| rule.meta()).find(|meta| meta.id == id)
}
