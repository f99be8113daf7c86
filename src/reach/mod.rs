//! Exact reachability: which ports of which peers the policies in force let through, on either side, and because of which rules.

mod ambiguity;
mod answer;
mod assertion;
mod atoms;
mod bounds;
mod decide;
mod default_deny;
mod dns;
mod entrance;
mod everyone;
mod explain;
mod exposure;
mod flow;
mod matrix;
mod meets;
mod opening;
mod remedy;
mod selection;
mod tailor;

pub use ambiguity::Rivals;
pub use answer::{Answer, Ends, Governed, NoAnswer, Part, Pods, Point, SideAnswer, Step};
pub use assertion::{At, Effort, Focus, Gap, Outcome, Pair, Party, State, Why, evaluate, evaluate_within};
pub use bounds::{Bounds, Readings, SideReading, Verdict, has_ports};
pub use decide::{Decision, Doubt, Endpoint, Side, Used, decide};
pub use default_deny::{DefaultDeny, Missing, default_deny, denies_by_default, staged_default_deny};
pub use dns::{BlockedDns, DNS_PORT, DnsPod, DnsPods, DnsQuery, service_addresses};
pub use entrance::{Doorkeeper, Entry, EntryEnd, KNOWN_CONTROLLERS, entries};
pub use everyone::{is_every_pod, is_every_pod_there_is};
pub use explain::explain;
pub use exposure::{Exposure, exposure};
pub use flow::{Flow, PodAt, flow_between};
pub use matrix::{Comparison, Differing, Edge, End, Matrix, Node, Opened, Options, Reasons, compare};
pub use opening::{Opening, beyond, openings, private_beside_public};
pub use remedy::{OpenEnd, Remedy, lacking, remedy};
pub use selection::{only_admit, selecting, selecting_of};
pub use tailor::{CannotTailor, WantedEdge, WantedEnd, among_themselves, blocks, tailor, wanted_by};
