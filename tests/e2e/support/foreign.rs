//! Definitions of policy kinds that are not Kubernetes' own: what is read of them, and no more than that.

use super::Kubectl;

/// Kinds that a test installs, all of one group: `(version, scope, [(kind, plural)])`.
pub struct Definitions {
    /// API group.
    pub group: &'static str,
    /// Served version.
    pub version: &'static str,
    /// Kind, its plural, and whether it is in namespaces.
    pub kinds: &'static [(&'static str, &'static str, bool)],
}

/// policy.networking.k8s.io, the current form.
pub const CLUSTER_NETWORK_POLICIES: Definitions = Definitions {
    group: "policy.networking.k8s.io",
    version: "v1alpha2",
    kinds: &[("ClusterNetworkPolicy", "clusternetworkpolicies", false)],
};

/// policy.networking.k8s.io, the form before.
pub const ADMIN_NETWORK_POLICIES: Definitions = Definitions {
    group: "policy.networking.k8s.io",
    version: "v1alpha1",
    kinds: &[
        ("AdminNetworkPolicy", "adminnetworkpolicies", false),
        ("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", false),
    ],
};

/// cilium.io.
pub const CILIUM: Definitions = Definitions {
    group: "cilium.io",
    version: "v2",
    kinds: &[
        ("CiliumNetworkPolicy", "ciliumnetworkpolicies", true),
        ("CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", false),
        ("CiliumCIDRGroup", "ciliumcidrgroups", false),
    ],
};

/// projectcalico.org.
pub const CALICO: Definitions = Definitions {
    group: "projectcalico.org",
    version: "v3",
    kinds: &[
        ("NetworkPolicy", "networkpolicies", true),
        ("GlobalNetworkPolicy", "globalnetworkpolicies", false),
        ("StagedNetworkPolicy", "stagednetworkpolicies", true),
        ("GlobalNetworkSet", "globalnetworksets", false),
        ("Tier", "tiers", false),
    ],
};

impl Definitions {
    /// Installs them, and waits until the API server serves them.
    #[track_caller]
    pub fn install(&self, kubectl: &Kubectl) {
        for &(kind, plural, namespaced) in self.kinds {
            kubectl.apply(&self.definition(kind, plural, namespaced)).passes_silently();
            let crd = format!("crd/{plural}.{}", self.group);
            kubectl.run(&["wait", "--for=condition=Established", &crd]).passes();
        }
    }

    fn definition(&self, kind: &str, plural: &str, namespaced: bool) -> String {
        let Self { group, version, .. } = self;
        let (singular, scope) = (kind.to_lowercase(), if namespaced { "Namespaced" } else { "Cluster" });
        let open = "{type: object, x-kubernetes-preserve-unknown-fields: true}";
        format!(
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: {plural}.{group}\n  \
             annotations: {{api-approved.kubernetes.io: unapproved}}\nspec:\n  group: {group}\n  scope: {scope}\n  \
             names: {{kind: {kind}, plural: {plural}, singular: {singular}, listKind: {kind}List}}\n  versions:\n  \
             - name: {version}\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        \
             properties: {{spec: {open}, specs: {{type: array, items: {open}}}}}\n"
        )
    }
}
