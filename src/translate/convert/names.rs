//! Names of the DNS: each kind has patterns of its own, and the engine cannot tell what they resolve to. What they stand for
//! is therefore settled here and not left to the proof.

use super::super::render::{Obstacle, obstacle};
use super::super::{Family, clusternetworkpolicy};
use super::Reading;
use crate::model::{Direction, Peer, Policy, Str, Touches};

const BY_ANSWERS: &str = "Cilium lets names through once it has seen the answers to questions about them, for which a rule with \
                          DNS names is needed; a ClusterNetworkPolicy needs none";

/// The policy with names as the other kind writes them (semantics 2.2.12, 2.3.14).
pub(super) fn translated(
    policy: &mut Policy,
    from: Option<Family>,
    to: Family,
    reading: &mut Reading<'_>,
) -> Result<(), Obstacle> {
    let to_cilium = match (from, to) {
        (Some(Family::Cilium), Family::ClusterNetworkPolicy) => false,
        (Some(Family::ClusterNetworkPolicy), Family::Cilium) => true,
        _ => return Ok(()),
    };
    for rule in &mut policy.egress {
        let paths: Vec<_> = (0..rule.peers.len()).map(|i| rule.peer_path(i)).collect();
        for (peer, at) in rule.peers.iter_mut().zip(paths) {
            let Peer::Domains(names) = peer else { continue };
            for name in names {
                match if to_cilium { Some(in_cilium(name)) } else { in_cluster_network_policies(name) } {
                    Some(other) => *name = Str::from(other),
                    None => {
                        return obstacle(&at, format!("`{name}` stands for names that no pattern there stands for"));
                    }
                }
            }
            reading.departs(Direction::Egress, &at, BY_ANSWERS, Touches::Outside);
        }
    }
    Ok(())
}

/// There `*.` is one label or more, and nothing else is a pattern.
fn in_cluster_network_policies(name: &str) -> Option<String> {
    let other = name.strip_prefix("**.").map_or_else(|| name.to_owned(), |rest| format!("*.{rest}"));
    let plain = name.strip_prefix("**.").unwrap_or(name);
    (!plain.contains('*') && clusternetworkpolicy::is_domain(&other)).then_some(other)
}

/// There `*` stays within a label, and `**.` is one label or more.
fn in_cilium(name: &str) -> String {
    name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("**.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_the_same_names_in_both() {
        for (cilium, cluster) in [("api.example.com", "api.example.com"), ("**.example.com", "*.example.com")] {
            assert_eq!(in_cluster_network_policies(cilium).as_deref(), Some(cluster));
            assert_eq!(in_cilium(cluster), cilium);
        }
        // One label, every name, part of a label, and names that the schema there does not take.
        for name in ["*.example.com", "*", "a*.example.com", "**.a*.example.com", "**.com", "localhost"] {
            assert_eq!(in_cluster_network_policies(name), None, "{name}");
        }
    }
}
