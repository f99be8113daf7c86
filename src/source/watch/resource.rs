//! The kinds that are watched, as URLs and people name them.

/// A watched kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Namespaces.
    Namespaces,
    /// Pods.
    Pods,
    /// NetworkPolicies.
    NetworkPolicies,
    /// HouseRules.
    HouseRules,
    /// RuleExceptions.
    RuleExceptions,
    /// ConnectivityAssertions.
    Assertions,
    /// ClusterConnectivityAssertions.
    ClusterAssertions,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::Pods,
        Self::NetworkPolicies,
        Self::HouseRules,
        Self::RuleExceptions,
        Self::Assertions,
        Self::ClusterAssertions,
    ];

    /// The resource as RBAC names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Pods => "pods",
            Self::NetworkPolicies => "networkpolicies.networking.k8s.io",
            Self::HouseRules => "houserules.portcullis.dev",
            Self::RuleExceptions => "ruleexceptions.portcullis.dev",
            Self::Assertions => "connectivityassertions.portcullis.dev",
            Self::ClusterAssertions => "clusterconnectivityassertions.portcullis.dev",
        }
    }

    /// The path of the whole collection.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Namespaces => "/api/v1/namespaces",
            Self::Pods => "/api/v1/pods",
            Self::NetworkPolicies => "/apis/networking.k8s.io/v1/networkpolicies",
            Self::HouseRules => "/apis/portcullis.dev/v1alpha1/houserules",
            Self::RuleExceptions => "/apis/portcullis.dev/v1alpha1/ruleexceptions",
            Self::Assertions => "/apis/portcullis.dev/v1alpha1/connectivityassertions",
            Self::ClusterAssertions => "/apis/portcullis.dev/v1alpha1/clusterconnectivityassertions",
        }
    }

    /// Whether a cluster may be without the kind: our own definitions can be installed later, and then count at once.
    pub const fn is_optional(self) -> bool {
        !matches!(self, Self::Namespaces | Self::Pods | Self::NetworkPolicies)
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
