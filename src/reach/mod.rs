//! Exact reachability: which ports of which peers the policies in force let through, on either side, and because of which rules.

mod decide;
mod default_deny;
mod dns;
mod exposure;
mod flow;
mod opening;

pub use decide::{Decision, Doubt, Endpoint, Side, Used, decide, selecting};
pub use default_deny::{DefaultDeny, Missing, default_deny};
pub use dns::{BlockedDns, DNS_PORT, DnsPods, DnsQuery, service_addresses};
pub use exposure::{Exposure, exposure};
pub use flow::{Flow, PodAt, flow_between};
pub use opening::{Opening, beyond, openings, private_beside_public};
