//! Network plugins as their agents' pods name themselves, what each of them enforces, and which reading of the
//! specification it has. Policies in a cluster whose plugin enforces none are only words.

use std::fmt;

use super::house::Dialect;
use super::labels::Labels;

/// A plugin whose agent was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cni {
    /// Antrea.
    Antrea,
    /// Amazon VPC CNI.
    AwsVpc,
    /// Azure Network Policy Manager.
    AzureNpm,
    /// Calico.
    Calico,
    /// Flannel's network with Calico's policies.
    Canal,
    /// Cilium.
    Cilium,
    /// Flannel.
    Flannel,
    /// kindnet.
    Kindnet,
    /// kube-network-policies.
    KubeNetworkPolicies,
    /// Kube-OVN.
    KubeOvn,
    /// kube-router.
    KubeRouter,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// Weave Net.
    Weave,
}

/// Kinds of policies that plugins take or leave as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// networking.k8s.io NetworkPolicy.
    NetworkPolicy,
    /// policy.networking.k8s.io ClusterNetworkPolicy.
    ClusterNetworkPolicy,
    /// policy.networking.k8s.io AdminNetworkPolicy and BaselineAdminNetworkPolicy.
    AdminNetworkPolicy,
    /// cilium.io.
    Cilium,
    /// projectcalico.org and crd.projectcalico.org.
    Calico,
}

impl Family {
    /// The family of a kind; `None` for kinds that are no policies.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            ("networking.k8s.io", "NetworkPolicy") => Self::NetworkPolicy,
            ("policy.networking.k8s.io", "ClusterNetworkPolicy") => Self::ClusterNetworkPolicy,
            ("policy.networking.k8s.io", "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy") => {
                Self::AdminNetworkPolicy
            }
            ("cilium.io", "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy") => Self::Cilium,
            ("projectcalico.org" | "crd.projectcalico.org", kind) if kind.ends_with("NetworkPolicy") => Self::Calico,
            _ => return None,
        })
    }
}

/// Whether a plugin enforces a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforces {
    /// In every version that is still in use.
    Yes,
    /// In no version.
    No,
    /// Where something holds that its pods do not show, such as a version or a switch.
    If(&'static str),
}

/// Parts of policies that not every plugin carries out although it enforces the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Ports by the names that pods give them.
    NamedPorts,
    /// Ranges of ports.
    PortRanges,
    /// The protocol SCTP.
    Sctp,
    /// Blocks of IPv6 addresses.
    Ipv6,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NamedPorts, Self::PortRanges, Self::Sctp, Self::Ipv6];

    /// What it is called in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NamedPorts => "ports by name",
            Self::PortRanges => "ranges of ports (endPort)",
            Self::Sctp => "SCTP",
            Self::Ipv6 => "IPv6 blocks",
        }
    }
}

impl Cni {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Antrea,
        Self::AwsVpc,
        Self::AzureNpm,
        Self::Calico,
        Self::Canal,
        Self::Cilium,
        Self::Flannel,
        Self::Kindnet,
        Self::KubeNetworkPolicies,
        Self::KubeOvn,
        Self::KubeRouter,
        Self::OvnKubernetes,
        Self::Weave,
    ];

    /// Namespaces where agents run by the projects' own manifests. Looking only there keeps the search independent of the
    /// cluster's size, and keeps others from posing as the plugin: who may write to these may do anything.
    pub const NAMESPACES: [&str; 9] = [
        "calico-system",
        "cilium",
        "kube-flannel",
        "kube-network-policies",
        "kube-ovn",
        "kube-router",
        "kube-system",
        "openshift-ovn-kubernetes",
        "ovn-kubernetes",
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Antrea => "Antrea",
            Self::AwsVpc => "Amazon VPC CNI",
            Self::AzureNpm => "Azure Network Policy Manager",
            Self::Calico => "Calico",
            Self::Canal => "Canal",
            Self::Cilium => "Cilium",
            Self::Flannel => "Flannel",
            Self::Kindnet => "kindnet",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::KubeOvn => "Kube-OVN",
            Self::KubeRouter => "kube-router",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::Weave => "Weave Net",
        }
    }

    /// Labels that the pods of its DaemonSet carry, by the projects' own manifests; one is enough.
    const fn labels(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // The controller is `app=antrea` as well, and no DaemonSet.
            Self::Antrea => &[("component", "antrea-agent")],
            Self::AwsVpc => &[("k8s-app", "aws-node")],
            Self::AzureNpm => &[("k8s-app", "azure-npm")],
            Self::Calico => &[("k8s-app", "calico-node")],
            Self::Canal => &[("k8s-app", "canal")],
            Self::Cilium => &[("k8s-app", "cilium")],
            Self::Flannel => &[("app", "flannel"), ("k8s-app", "flannel")],
            Self::Kindnet => &[("app", "kindnet"), ("k8s-app", "kindnet")],
            Self::KubeNetworkPolicies => &[("app", "kube-network-policies"), ("k8s-app", "kube-network-policies")],
            Self::KubeOvn => &[("app", "kube-ovn-cni")],
            Self::KubeRouter => &[("k8s-app", "kube-router")],
            Self::OvnKubernetes => &[("app", "ovnkube-node"), ("name", "ovnkube-node")],
            Self::Weave => &[("name", "weave-net")],
        }
    }

    /// The plugin whose agent a DaemonSet's pod with these labels is.
    pub fn of_agent(labels: &Labels) -> Option<Self> {
        let has = |(key, value): &(&str, &str)| labels.get(key).is_some_and(|found| **found == **value);
        Self::ALL.into_iter().find(|cni| cni.labels().iter().any(has))
    }

    /// How it reads what the specification leaves open; `None` where that is not known.
    pub const fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Antrea => Some(Dialect::Antrea),
            Self::Calico | Self::Canal => Some(Dialect::Calico),
            Self::Cilium => Some(Dialect::Cilium),
            Self::KubeOvn | Self::OvnKubernetes => Some(Dialect::Ovn),
            Self::Kindnet | Self::KubeNetworkPolicies => Some(Dialect::Upstream),
            Self::AwsVpc | Self::AzureNpm | Self::Flannel | Self::KubeRouter | Self::Weave => None,
        }
    }

    /// Whether it enforces policies of a family (semantics 2.2.15; the second guide's table of plugins).
    pub const fn enforces(self, family: Family) -> Enforces {
        use Enforces::{If, No, Yes};
        match (self, family) {
            (Self::Flannel, _) => No,
            (Self::AwsVpc, Family::NetworkPolicy) => {
                If("its network policy agent is switched on (enableNetworkPolicy)")
            }
            (Self::Kindnet, Family::NetworkPolicy) => If("it is the version of kind 0.24 or later"),
            (_, Family::NetworkPolicy)
            | (Self::Cilium, Family::Cilium)
            | (Self::Calico | Self::Canal, Family::Calico)
            | (Self::KubeNetworkPolicies | Self::KubeOvn, Family::ClusterNetworkPolicy)
            | (Self::OvnKubernetes | Self::Antrea | Self::KubeOvn, Family::AdminNetworkPolicy) => Yes,
            (Self::Calico | Self::Canal, Family::ClusterNetworkPolicy) => If("it is version 3.32 or later"),
            (Self::Calico | Self::Canal, Family::AdminNetworkPolicy) => If("it is older than version 3.32"),
            (Self::Cilium, Family::ClusterNetworkPolicy) => If("k8sClusterNetworkPolicy.enabled is set"),
            (Self::AwsVpc, Family::AdminNetworkPolicy) => If("it is version 1.21 or later"),
            _ => No,
        }
    }

    /// Whether it carries out a part of the policies that it enforces, in versions that are still in use: what its project
    /// documents as missing (Weave Net issue 3785 and its last release, older than `endPort`; kube-router issue 1019;
    /// OVN-Kubernetes pull request 1225; the limitations of Azure NPM on Linux; Cilium's "SCTP support").
    pub const fn carries_out(self, part: Part) -> Enforces {
        use Enforces::{If, No, Yes};
        match (self, part) {
            (Self::Flannel, _)
            | (Self::Weave, Part::NamedPorts | Part::PortRanges | Part::Ipv6)
            | (Self::OvnKubernetes, Part::NamedPorts)
            | (Self::KubeRouter, Part::Sctp)
            | (Self::AzureNpm, Part::Ipv6) => No,
            (Self::Cilium, Part::Sctp) => If("sctp.enabled is set"),
            _ => Yes,
        }
    }
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_known_by_their_labels() {
        let of = |key: &str, value: &str| Cni::of_agent(&Labels::new([(key, value), ("pod-template-generation", "1")]));
        assert_eq!(of("k8s-app", "calico-node"), Some(Cni::Calico));
        assert_eq!(of("app", "flannel"), Some(Cni::Flannel));
        assert_eq!(of("k8s-app", "kube-proxy"), None);
        for cni in Cni::ALL {
            for label in cni.labels() {
                assert_eq!(Cni::of_agent(&Labels::new([*label])), Some(cni), "{label:?} names one plugin");
            }
        }
    }

    #[test]
    fn flannel_enforces_nothing_and_every_other_plugin_something() {
        for cni in Cni::ALL {
            assert_eq!(cni.enforces(Family::NetworkPolicy) == Enforces::No, cni == Cni::Flannel, "{cni}");
        }
        assert_eq!(Cni::Cilium.enforces(Family::Calico), Enforces::No);
        assert_eq!(Cni::Calico.enforces(Family::Cilium), Enforces::No);
    }

    #[test]
    fn who_enforces_the_administrators_kinds_is_as_their_projects_list_it() {
        // semantics 2.2.15
        let of = |cni: Cni| (cni.enforces(Family::ClusterNetworkPolicy), cni.enforces(Family::AdminNetworkPolicy));
        assert_eq!(of(Cni::KubeNetworkPolicies), (Enforces::Yes, Enforces::No));
        assert_eq!(of(Cni::KubeOvn), (Enforces::Yes, Enforces::Yes));
        assert_eq!(of(Cni::OvnKubernetes), (Enforces::No, Enforces::Yes));
        assert_eq!(of(Cni::Antrea), (Enforces::No, Enforces::Yes));
        let calico = (Enforces::If("it is version 3.32 or later"), Enforces::If("it is older than version 3.32"));
        assert_eq!(of(Cni::Calico), calico, "the new kind took the place of the old one");
        assert_eq!(of(Cni::Cilium), (Enforces::If("k8sClusterNetworkPolicy.enabled is set"), Enforces::No));
    }

    #[test]
    fn every_part_is_carried_out_by_most_plugins_and_not_by_all() {
        for part in Part::ALL {
            let with = Cni::ALL.into_iter().filter(|cni| cni.carries_out(part) == Enforces::Yes).count();
            assert!((8..Cni::ALL.len() - 1).contains(&with), "{}: {with}", part.as_str());
        }
    }

    #[test]
    fn kinds_have_families() {
        assert_eq!(Family::of("projectcalico.org", "GlobalNetworkPolicy"), Some(Family::Calico));
        assert_eq!(Family::of("crd.projectcalico.org", "NetworkSet"), None);
        assert_eq!(Family::of("networking.k8s.io", "Ingress"), None);
    }
}
