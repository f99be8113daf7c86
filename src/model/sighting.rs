//! Why a network plugin is believed to be there. Its agents say it best; where none is seen, what nodes report does, and
//! where they report nothing, the definitions that it has installed. The weaker is asked only where the stronger is silent:
//! conditions and definitions outlive the plugin that left them.

use std::collections::BTreeMap;
use std::fmt;

use super::Str;
use super::cni::Cni;

/// What tells that a plugin is there, from weak to strong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clue {
    /// A group of definitions that it installs.
    Definitions(&'static str),
    /// What a node reports about its network.
    Condition {
        /// The reason of the condition `NetworkUnavailable`.
        reason: Str,
        /// The node.
        node: Str,
    },
    /// Pods of its agent, or the DaemonSet that makes them.
    Agent {
        /// The namespace.
        namespace: Str,
        /// The DaemonSet.
        name: Str,
    },
}

impl Clue {
    const fn strength(&self) -> u8 {
        match self {
            Self::Definitions(_) => 0,
            Self::Condition { .. } => 1,
            Self::Agent { .. } => 2,
        }
    }
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { namespace, name } => write!(f, "by the agents of DaemonSet {namespace}/{name}"),
            Self::Condition { reason, node } => {
                write!(f, "by the condition NetworkUnavailable ({reason}) of node {node}")
            }
            Self::Definitions(group) => write!(f, "by the CustomResourceDefinitions of {group} alone"),
        }
    }
}

/// A plugin, and what tells that it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The plugin.
    pub plugin: Cni,
    /// What tells.
    pub clue: Clue,
}

impl Sighting {
    /// Whether it shows as well what is not there. What has left only definitions behind may be gone, and where Flannel runs
    /// outside of pods something else may enforce there, as in k3s.
    pub fn is_proof(&self) -> bool {
        match &self.clue {
            Clue::Agent { .. } => true,
            Clue::Condition { .. } => self.plugin != Cni::Flannel,
            Clue::Definitions(_) => false,
        }
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.plugin, self.clue)
    }
}

/// What tells of plugins besides their agents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    found: BTreeMap<(u8, Cni), Clue>,
}

impl Hints {
    /// Takes note of what a node reports as the reason of its condition `NetworkUnavailable`, if it names a plugin.
    pub fn note_condition(&mut self, node: &str, reason: &str) -> bool {
        let plugin = of_condition(reason);
        if let Some(plugin) = plugin {
            self.note(plugin, Clue::Condition { reason: reason.into(), node: node.into() });
        }
        plugin.is_some()
    }

    /// Takes note of a group that is served, if a plugin installs it.
    pub fn note_group(&mut self, group: &str) -> bool {
        let known = GROUPS.into_iter().find(|(name, _)| *name == group);
        if let Some((group, plugin)) = known {
            self.note(plugin, Clue::Definitions(group));
        }
        known.is_some()
    }

    /// What is known of these and of those. Where both tell of the same plugin, the first.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        for (key, clue) in &others.found {
            self.found.entry(*key).or_insert_with(|| clue.clone());
        }
        self
    }

    /// The first by name stands for all: the same nodes in another order are no news.
    fn note(&mut self, plugin: Cni, clue: Clue) {
        let known = self.found.entry((clue.strength(), plugin)).or_insert_with(|| clue.clone());
        if clue < *known {
            *known = clue;
        }
    }
}

/// The plugins that are believed to be there: those of the strongest clues.
pub fn believed(mut agents: Vec<Sighting>, hints: &Hints) -> Vec<Sighting> {
    agents.sort_by(|a, b| (a.plugin, &a.clue).cmp(&(b.plugin, &b.clue)));
    agents.dedup_by_key(|sighting| sighting.plugin);
    if !agents.is_empty() {
        return agents;
    }
    let strongest = hints.found.keys().map(|(strength, _)| *strength).max().unwrap_or_default();
    let those = hints.found.iter().filter(|((strength, _), _)| *strength == strongest);
    those.map(|((_, plugin), clue)| Sighting { plugin: *plugin, clue: clue.clone() }).collect()
}

/// The plugin that gives this reason. Those that are missing here report nothing; cloud providers and OVN-Kubernetes say
/// `RouteCreated`, which names nobody.
fn of_condition(reason: &str) -> Option<Cni> {
    Some(match reason {
        "CalicoIsUp" | "CalicoIsDown" => Cni::Calico,
        "CiliumIsUp" => Cni::Cilium,
        "FlannelIsUp" => Cni::Flannel,
        "WeaveIsUp" => Cni::Weave,
        _ => return None,
    })
}

/// Groups of definitions that come with one plugin.
const GROUPS: [(&str, Cni); 7] = [
    ("cilium.io", Cni::Cilium),
    ("crd.antrea.io", Cni::Antrea),
    ("crd.k8s.amazonaws.com", Cni::AwsVpc),
    ("crd.projectcalico.org", Cni::Calico),
    ("k8s.ovn.org", Cni::OvnKubernetes),
    ("kubeovn.io", Cni::KubeOvn),
    ("projectcalico.org", Cni::Calico),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(plugin: Cni, name: &str) -> Sighting {
        Sighting { plugin, clue: Clue::Agent { namespace: "kube-system".into(), name: name.into() } }
    }

    fn said(agents: Vec<Sighting>, hints: &Hints) -> Vec<String> {
        believed(agents, hints).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_weaker_is_asked_only_where_the_stronger_is_silent() {
        let mut hints = Hints::default();
        assert!(said(Vec::new(), &hints).is_empty());
        hints.note_group("apps");
        hints.note_group("cilium.io");
        assert_eq!(said(Vec::new(), &hints), ["Cilium, by the CustomResourceDefinitions of cilium.io alone"]);
        hints.note_condition("b", "RouteCreated");
        hints.note_condition("b", "CalicoIsUp");
        hints.note_condition("a", "CalicoIsUp");
        let by_node = "Calico, by the condition NetworkUnavailable (CalicoIsUp) of node a";
        assert_eq!(said(Vec::new(), &hints), [by_node], "and one node stands for all");
        let agents = vec![agent(Cni::Flannel, "b"), agent(Cni::Flannel, "a")];
        assert_eq!(said(agents, &hints), ["Flannel, by the agents of DaemonSet kube-system/a"]);
    }

    #[test]
    fn two_that_are_equally_likely_are_both_believed() {
        let mut hints = Hints::default();
        hints.note_condition("a", "FlannelIsUp");
        hints.note_condition("b", "CalicoIsDown");
        let plugins: Vec<Cni> = believed(Vec::new(), &hints).into_iter().map(|one| one.plugin).collect();
        assert_eq!(plugins, [Cni::Calico, Cni::Flannel]);
    }

    #[test]
    fn what_is_left_over_proves_nothing() {
        let proves = |hint: &dyn Fn(&mut Hints) -> bool| {
            let mut hints = Hints::default();
            assert!(hint(&mut hints));
            believed(Vec::new(), &hints).iter().all(Sighting::is_proof)
        };
        assert!(agent(Cni::Flannel, "a").is_proof());
        assert!(proves(&|hints| hints.note_condition("a", "CiliumIsUp")));
        assert!(!proves(&|hints| hints.note_condition("a", "FlannelIsUp")), "as in k3s, which enforces");
        assert!(!proves(&|hints| hints.note_group("cilium.io")));
    }
}
