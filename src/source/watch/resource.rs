//! The kinds that are watched, as URLs and people name them.

use crate::model::{Object, ObjectRef};
use crate::translate::{Family, Kind};

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
    /// Cilium's configuration: one ConfigMap, and no other.
    CiliumConfig,
    /// Services, as long as a policy names one.
    Services,
    /// Objects with a pod template: pods come of them at any time, though none may run now.
    Templates(Kind),
    /// Policies of other kinds, and what they refer to.
    Foreign(Kind),
}

/// The one ConfigMap that is looked at, so that permission for this one is enough.
const CILIUM_CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps?fieldSelector=metadata.name%3Dcilium-config";

impl Resource {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::Namespaces,
        Self::Pods,
        Self::NetworkPolicies,
        Self::HouseRules,
        Self::RuleExceptions,
        Self::Assertions,
        Self::ClusterAssertions,
        Self::CiliumConfig,
        Self::Services,
        Self::Templates(Kind::Deployment),
        Self::Templates(Kind::StatefulSet),
        Self::Templates(Kind::DaemonSet),
        Self::Templates(Kind::ReplicaSet),
        Self::Templates(Kind::ReplicationController),
        Self::Templates(Kind::Job),
        Self::Templates(Kind::CronJob),
        Self::Foreign(Kind::ClusterNetworkPolicy),
        Self::Foreign(Kind::AdminNetworkPolicy),
        Self::Foreign(Kind::BaselineAdminNetworkPolicy),
        Self::Foreign(Kind::CiliumNetworkPolicy),
        Self::Foreign(Kind::CiliumClusterwideNetworkPolicy),
        Self::Foreign(Kind::CiliumCidrGroup),
        Self::Foreign(Kind::CalicoNetworkPolicy),
        Self::Foreign(Kind::GlobalNetworkPolicy),
        Self::Foreign(Kind::StagedNetworkPolicy),
        Self::Foreign(Kind::StagedGlobalNetworkPolicy),
        Self::Foreign(Kind::StagedKubernetesNetworkPolicy),
        Self::Foreign(Kind::CalicoTier),
        Self::Foreign(Kind::NetworkSet),
        Self::Foreign(Kind::GlobalNetworkSet),
    ];

    /// Its place among all of them.
    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|other| *other == self).unwrap_or_default()
    }

    /// The kind of an object that a cluster may be without; `None` for others.
    pub(super) fn foreign(object: &Object) -> Option<(Kind, &ObjectRef)> {
        let id: &ObjectRef = match object {
            Object::Policy(policy) => &policy.id,
            Object::AddressGroup(group) => &group.id,
            Object::Tier(tier) => &tier.id,
            Object::Unreadable(id, _) => id,
            Object::Namespace(_) | Object::Workload(_) | Object::Assertion(_) => return None,
        };
        Kind::of(id.group(), &id.kind)
            .filter(|kind| !matches!(kind.family(), Family::Kubernetes | Family::Ours))
            .map(|kind| (kind, id))
    }

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
            Self::CiliumConfig => "configmaps",
            Self::Services => "services",
            Self::Templates(Kind::ReplicationController) => "replicationcontrollers",
            Self::Templates(kind) | Self::Foreign(kind) => kind.qualified(),
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
            Self::CiliumConfig => CILIUM_CONFIG,
            Self::Services => "/api/v1/services",
            Self::Templates(Kind::ReplicationController) => "/api/v1/replicationcontrollers",
            Self::Templates(kind) | Self::Foreign(kind) => kind.collection(),
        }
    }

    /// Where else the collection may be.
    pub(super) const fn other_path(self) -> Option<&'static str> {
        match self {
            Self::Foreign(kind) => kind.other_collection(),
            _ => None,
        }
    }

    /// The watched kind of a workload.
    pub(super) fn of_workload(id: &ObjectRef) -> Option<Self> {
        match Kind::of(id.group(), &id.kind)? {
            Kind::Pod => Some(Self::Pods),
            kind if kind.is_workload() => Some(Self::Templates(kind)),
            _ => None,
        }
    }

    /// Whether objects of this kind decide what passes: policies that count, what they refer to, and namespaces.
    pub(super) const fn decides(self) -> bool {
        match self {
            Self::Namespaces | Self::NetworkPolicies => true,
            Self::Foreign(kind) => !matches!(
                kind,
                Kind::StagedNetworkPolicy | Kind::StagedGlobalNetworkPolicy | Kind::StagedKubernetesNetworkPolicy
            ),
            _ => false,
        }
    }

    /// The kind of policies, tiers or groups that it is.
    pub(super) const fn policy_kind(self) -> Option<Kind> {
        match self {
            Self::NetworkPolicies => Some(Kind::NetworkPolicy),
            Self::Foreign(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether a cluster may be without the kind: definitions can be installed later, and then count at once.
    pub const fn is_optional(self) -> bool {
        !matches!(
            self,
            Self::Namespaces
                | Self::Pods
                | Self::NetworkPolicies
                | Self::CiliumConfig
                | Self::Services
                | Self::Templates(_)
        )
    }

    /// What is assumed where it may not be read; `None` where nothing may be.
    pub(super) const fn if_forbidden(self) -> Option<&'static str> {
        match self {
            Self::CiliumConfig => Some(
                "Cilium's enable-policy is taken for default; to know it, get, list and watch on the ConfigMap \
                 kube-system/cilium-config are needed, see the Role of Portcullis in kube-system",
            ),
            Self::Services => Some(
                "what policies allow or deny to Services is not known; to know it, get, list and watch on services are needed, \
                 see the ClusterRole of Portcullis",
            ),
            _ => None,
        }
    }

    /// Whether it is followed only as long as a policy names one of its objects.
    pub(super) const fn is_followed_when_named(self) -> bool {
        matches!(self, Self::Services)
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
