//! The kinds of object that are read, and whose they are.

use crate::model::{FieldPath, Unread};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $group:tt, $version:literal, $api:literal, $kind:literal, $plural:tt, $scope:ident;)+) => {
        /// A kind that can be read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[doc = $doc])+ $variant,)+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// API group; empty for the core group.
            pub const fn group(self) -> &'static str {
                match self { $(Self::$variant => $group,)+ }
            }

            /// The version whose fields are known.
            pub const fn version(self) -> &'static str {
                match self { $(Self::$variant => $version,)+ }
            }

            /// `group/version`, or the version alone for the core group.
            pub const fn api_version(self) -> &'static str {
                match self { $(Self::$variant => $api,)+ }
            }

            /// The kind as objects spell it. Not unique: Calico has a NetworkPolicy as well.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)+ }
            }

            /// The resource as URLs and RBAC spell it.
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)+ }
            }

            /// `plural.group`, as `kubectl api-resources -o name` has it for kinds outside the core group.
            pub const fn qualified(self) -> &'static str {
                match self { $(Self::$variant => concat!($plural, ".", $group),)+ }
            }

            /// Where its objects are listed, for kinds outside the core group.
            pub const fn collection(self) -> &'static str {
                match self { $(Self::$variant => concat!("/apis/", $api, "/", $plural),)+ }
            }

            /// Where else they may be listed: Calico keeps in one group what its API server shows in another, and older
            /// versions of Cilium serve groups of blocks under another version.
            pub const fn other_collection(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => kinds!(@other $group, $plural),)+
                }
            }

            /// Whether objects of this kind live in a namespace.
            pub const fn is_namespaced(self) -> bool {
                match self { $(Self::$variant => kinds!(@$scope),)+ }
            }
        }
    };
    (@namespaced) => { true };
    (@cluster) => { false };
    (@other "projectcalico.org", $plural:tt) => { Some(concat!("/apis/crd.projectcalico.org/v1/", $plural)) };
    (@other "cilium.io", "ciliumcidrgroups") => { Some("/apis/cilium.io/v2alpha1/ciliumcidrgroups") };
    (@other $group:tt, $plural:tt) => { None };
}

kinds! {
    /// Namespace.
    Namespace = "", "v1", "v1", "Namespace", "namespaces", cluster;
    /// Pod.
    Pod = "", "v1", "v1", "Pod", "pods", namespaced;
    /// Deployment.
    Deployment = "apps", "v1", "apps/v1", "Deployment", "deployments", namespaced;
    /// StatefulSet.
    StatefulSet = "apps", "v1", "apps/v1", "StatefulSet", "statefulsets", namespaced;
    /// DaemonSet.
    DaemonSet = "apps", "v1", "apps/v1", "DaemonSet", "daemonsets", namespaced;
    /// ReplicaSet.
    ReplicaSet = "apps", "v1", "apps/v1", "ReplicaSet", "replicasets", namespaced;
    /// ReplicationController.
    ReplicationController = "", "v1", "v1", "ReplicationController", "replicationcontrollers", namespaced;
    /// Job.
    Job = "batch", "v1", "batch/v1", "Job", "jobs", namespaced;
    /// CronJob.
    CronJob = "batch", "v1", "batch/v1", "CronJob", "cronjobs", namespaced;
    /// NetworkPolicy.
    NetworkPolicy = "networking.k8s.io", "v1", "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", namespaced;
    /// ClusterNetworkPolicy.
    ClusterNetworkPolicy = "policy.networking.k8s.io", "v1alpha2", "policy.networking.k8s.io/v1alpha2",
        "ClusterNetworkPolicy", "clusternetworkpolicies", cluster;
    /// AdminNetworkPolicy, which ClusterNetworkPolicy replaces.
    AdminNetworkPolicy = "policy.networking.k8s.io", "v1alpha1", "policy.networking.k8s.io/v1alpha1",
        "AdminNetworkPolicy", "adminnetworkpolicies", cluster;
    /// BaselineAdminNetworkPolicy, which ClusterNetworkPolicy replaces.
    BaselineAdminNetworkPolicy = "policy.networking.k8s.io", "v1alpha1", "policy.networking.k8s.io/v1alpha1",
        "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", cluster;
    /// CiliumNetworkPolicy.
    CiliumNetworkPolicy = "cilium.io", "v2", "cilium.io/v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies", namespaced;
    /// CiliumClusterwideNetworkPolicy.
    CiliumClusterwideNetworkPolicy = "cilium.io", "v2", "cilium.io/v2",
        "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", cluster;
    /// CiliumCIDRGroup. Older clusters serve it as v2alpha1 only.
    CiliumCidrGroup = "cilium.io", "v2", "cilium.io/v2", "CiliumCIDRGroup", "ciliumcidrgroups", cluster;
    /// Calico's NetworkPolicy.
    CalicoNetworkPolicy = "projectcalico.org", "v3", "projectcalico.org/v3", "NetworkPolicy", "networkpolicies", namespaced;
    /// Calico's GlobalNetworkPolicy.
    GlobalNetworkPolicy = "projectcalico.org", "v3", "projectcalico.org/v3",
        "GlobalNetworkPolicy", "globalnetworkpolicies", cluster;
    /// Calico's StagedNetworkPolicy, which is never enforced.
    StagedNetworkPolicy = "projectcalico.org", "v3", "projectcalico.org/v3",
        "StagedNetworkPolicy", "stagednetworkpolicies", namespaced;
    /// Calico's StagedGlobalNetworkPolicy, which is never enforced.
    StagedGlobalNetworkPolicy = "projectcalico.org", "v3", "projectcalico.org/v3",
        "StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", cluster;
    /// Calico's StagedKubernetesNetworkPolicy, which is never enforced.
    StagedKubernetesNetworkPolicy = "projectcalico.org", "v3", "projectcalico.org/v3",
        "StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", namespaced;
    /// Calico's Tier.
    CalicoTier = "projectcalico.org", "v3", "projectcalico.org/v3", "Tier", "tiers", cluster;
    /// Calico's NetworkSet.
    NetworkSet = "projectcalico.org", "v3", "projectcalico.org/v3", "NetworkSet", "networksets", namespaced;
    /// Calico's GlobalNetworkSet.
    GlobalNetworkSet = "projectcalico.org", "v3", "projectcalico.org/v3", "GlobalNetworkSet", "globalnetworksets", cluster;
    /// ConnectivityAssertion.
    ConnectivityAssertion = "portcullis.dev", "v1alpha1", "portcullis.dev/v1alpha1",
        "ConnectivityAssertion", "connectivityassertions", namespaced;
    /// ClusterConnectivityAssertion.
    ClusterConnectivityAssertion = "portcullis.dev", "v1alpha1", "portcullis.dev/v1alpha1",
        "ClusterConnectivityAssertion", "clusterconnectivityassertions", cluster;
}

/// Whose kinds they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Built into Kubernetes.
    Kubernetes,
    /// The network-policy-api project's.
    ClusterNetworkPolicy,
    /// Cilium's.
    Cilium,
    /// Calico's.
    Calico,
    /// Our own.
    Ours,
}

/// The group in which Calico stores what its API server serves as `projectcalico.org`. An object that is seen through
/// both is one object (semantics 2.4.16).
const CALICO_STORAGE: &str = "crd.projectcalico.org";

impl Kind {
    /// The kind with this group and name, in whatever version.
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        let group = if group == CALICO_STORAGE { Self::CalicoTier.group() } else { group };
        Self::ALL.iter().copied().find(|k| k.kind() == kind && k.group() == group)
    }

    /// API groups that hold policies, read or not.
    pub const POLICY_GROUPS: [&str; 4] = ["cilium.io", CALICO_STORAGE, "projectcalico.org", "policy.networking.k8s.io"];

    /// Whose it is.
    pub fn family(self) -> Family {
        match self.group() {
            "policy.networking.k8s.io" => Family::ClusterNetworkPolicy,
            "cilium.io" => Family::Cilium,
            "projectcalico.org" => Family::Calico,
            "portcullis.dev" => Family::Ours,
            _ => Family::Kubernetes,
        }
    }

    /// Whether objects of this kind are policies, staged ones included.
    pub const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::NetworkPolicy
                | Self::ClusterNetworkPolicy
                | Self::AdminNetworkPolicy
                | Self::BaselineAdminNetworkPolicy
                | Self::CiliumNetworkPolicy
                | Self::CiliumClusterwideNetworkPolicy
                | Self::CalicoNetworkPolicy
                | Self::GlobalNetworkPolicy
                | Self::StagedNetworkPolicy
                | Self::StagedGlobalNetworkPolicy
                | Self::StagedKubernetesNetworkPolicy
        )
    }

    /// Whether policies of this kind are shown and never enforced.
    pub const fn is_staged(self) -> bool {
        matches!(
            self,
            Self::StagedNetworkPolicy | Self::StagedGlobalNetworkPolicy | Self::StagedKubernetesNetworkPolicy
        )
    }

    /// Whether objects of this kind are groups of addresses that policies refer to.
    pub const fn is_address_group(self) -> bool {
        matches!(self, Self::CiliumCidrGroup | Self::NetworkSet | Self::GlobalNetworkSet)
    }

    /// Whether objects of this kind are pods, or make pods.
    pub const fn is_workload(self) -> bool {
        matches!(
            self,
            Self::Pod
                | Self::Deployment
                | Self::StatefulSet
                | Self::DaemonSet
                | Self::ReplicaSet
                | Self::ReplicationController
                | Self::Job
                | Self::CronJob
        )
    }

    /// Whether kinds of this group that are not known may still change the network.
    pub fn is_policy_group(group: &str) -> bool {
        Self::POLICY_GROUPS.contains(&group)
    }
}

/// What is said of a policy kind that is not read. The only place that says it.
pub fn unread_policy(kind: &str, api_version: &str) -> Unread {
    let what =
        format!("{kind} of {api_version} is a policy kind that is not read: what it allows or denies is not counted");
    Unread { at: FieldPath::default(), what }
}

/// What is said of a kind that is not read although its group or its name says that it is a policy or a workload: another
/// project's, an old group's, or a slip of the pen. `None` if it has nothing to do with either.
pub fn unread_kind(group: &str, kind: &str, api_version: &str) -> Option<Unread> {
    /// Kinds of networking.k8s.io that say nothing about who may talk to whom.
    const NO_POLICIES: [&str; 4] = ["Ingress", "IngressClass", "IPAddress", "ServiceCIDR"];
    if Kind::is_policy_group(group) {
        return Some(unread_policy(kind, api_version));
    }
    let what = if let Some(known) = Kind::ALL.iter().find(|known| known.kind() == kind && known.is_policy()) {
        format!("{}; {kind} of {} is", unread_policy(kind, api_version).what, known.api_version())
    } else if let Some(known) = Kind::ALL.iter().find(|known| known.kind() == kind && known.is_workload()) {
        let read = known.api_version();
        format!("{kind} of {api_version} is not read, so its pods are not judged; {kind} of {read} is")
    } else if group == Kind::NetworkPolicy.group() && !NO_POLICIES.contains(&kind) {
        format!(
            "{kind} of {api_version} is no kind that is known, so what it allows or denies is not counted; is NetworkPolicy meant?"
        )
    } else if matches!(group, "apps" | "batch") && kind != "ControllerRevision" {
        format!("{kind} of {api_version} is no kind that is known, so its pods are not judged; correct its name")
    } else {
        return None;
    };
    Some(Unread { at: FieldPath::default(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_looks_like_a_policy_or_a_workload_is_told() {
        for (group, version, kind, told) in [
            ("networking.k8s.io", "v1", "NetworkPolcy", "is NetworkPolicy meant?"),
            ("networking.k8s", "v1", "NetworkPolicy", "is not counted; NetworkPolicy of networking.k8s.io/v1 is"),
            (
                "crd.antrea.io",
                "v1beta1",
                "ClusterNetworkPolicy",
                "ClusterNetworkPolicy of crd.antrea.io/v1beta1 is a policy",
            ),
            ("cilium.io", "v2", "CiliumEgressGatewayPolicy", "is a policy kind that is not read"),
            ("extensions", "v1beta1", "Deployment", "its pods are not judged; Deployment of apps/v1 is"),
            ("apps", "v1", "Deploymnt", "correct its name"),
        ] {
            let unread = unread_kind(group, kind, &format!("{group}/{version}")).map(|unread| unread.what);
            assert!(unread.as_ref().is_some_and(|what| what.contains(told)), "{kind}: {unread:?}");
        }
        for (group, kind) in [
            ("networking.k8s.io", "Ingress"),
            ("networking.k8s.io", "ServiceCIDR"),
            ("apps", "ControllerRevision"),
            ("gateway.networking.k8s.io", "Gateway"),
            ("servicebus.azure.upbound.io", "Namespace"),
            ("", "ConfigMap"),
        ] {
            assert_eq!(unread_kind(group, kind, "v1"), None, "{kind}");
        }
    }

    #[test]
    fn collections_are_where_they_are_served() {
        assert_eq!(Kind::NetworkPolicy.collection(), "/apis/networking.k8s.io/v1/networkpolicies");
        assert_eq!(Kind::CalicoNetworkPolicy.qualified(), "networkpolicies.projectcalico.org");
        let stored = Some("/apis/crd.projectcalico.org/v1/globalnetworksets");
        assert_eq!(Kind::GlobalNetworkSet.other_collection(), stored);
        assert_eq!(Kind::CiliumCidrGroup.other_collection(), Some("/apis/cilium.io/v2alpha1/ciliumcidrgroups"));
        assert_eq!(Kind::CiliumNetworkPolicy.other_collection(), None);
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.group(), kind.kind()), Some(*kind));
            let api_version = if kind.group().is_empty() {
                kind.version().to_owned()
            } else {
                format!("{}/{}", kind.group(), kind.version())
            };
            assert_eq!(kind.api_version(), api_version);
        }
    }
}
