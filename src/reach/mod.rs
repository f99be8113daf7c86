//! Exact reachability: which ports of which peers the policies in force let through, on either side, and because of which rules.

mod answer;
mod atoms;
mod bounds;
mod decide;
mod default_deny;
mod dns;
mod explain;
mod exposure;
mod flow;
mod matrix;
mod meets;
mod opening;
mod remedy;

pub use answer::{Answer, Ends, Governed, NoAnswer, Part, Pods, Point, SideAnswer, Step};
pub use bounds::{Bounds, Readings, SideReading, Verdict, has_ports};
pub use decide::{Decision, Doubt, Endpoint, Side, Used, decide, selecting};
pub use default_deny::{DefaultDeny, Missing, default_deny, denies_by_default};
pub use dns::{BlockedDns, DNS_PORT, DnsPods, DnsQuery, service_addresses};
pub use explain::explain;
pub use exposure::{Exposure, exposure};
pub use flow::{Flow, PodAt, flow_between};
pub use matrix::{Edge, End, Matrix, Node, Options};
pub use opening::{Opening, beyond, openings, private_beside_public};
pub use remedy::{OpenEnd, Remedy, remedy};
