//! What Cilium's configuration says about which policies decide (semantics 2.3.16): when they do at all, which kinds it is
//! told to pass over, and which parts it is built to carry out.

use std::sync::Arc;

use super::cni::{Enforces, Family, Part};
use super::{
    Enforcer, NamespaceScope, ObjectRef, Policy, PolicyObject, Priority, Selector, Standing, Str, Subject, Tier,
};

/// When policies decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// For endpoints that a policy selects.
    #[default]
    Default,
    /// For every endpoint: what no policy allows is denied.
    Always,
    /// Never.
    Never,
}

impl Enforcement {
    /// Reads the value of `enable-policy`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "default" => Some(Self::Default),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    /// As the configuration spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// A kind of policies that Cilium has a switch for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Switch {
    /// NetworkPolicy.
    Kubernetes,
    /// CiliumNetworkPolicy.
    Namespaced,
    /// CiliumClusterwideNetworkPolicy.
    Clusterwide,
    /// ClusterNetworkPolicy, off unless it is switched on.
    ClusterNetworkPolicy,
    /// No kind: the protocol SCTP, off unless it is switched on.
    Sctp,
}

impl Switch {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Kubernetes, Self::Namespaced, Self::Clusterwide, Self::ClusterNetworkPolicy, Self::Sctp];

    /// Its key in the configuration.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Kubernetes => "enable-k8s-networkpolicy",
            Self::Namespaced => "enable-cilium-network-policy",
            Self::Clusterwide => "enable-cilium-clusterwide-network-policy",
            Self::ClusterNetworkPolicy => "enable-k8s-cluster-network-policy",
            Self::Sctp => "enable-sctp",
        }
    }

    fn of(id: &ObjectRef) -> Option<Self> {
        match (id.group(), &*id.kind) {
            ("networking.k8s.io", "NetworkPolicy") => Some(Self::Kubernetes),
            ("cilium.io", "CiliumNetworkPolicy") => Some(Self::Namespaced),
            ("cilium.io", "CiliumClusterwideNetworkPolicy") => Some(Self::Clusterwide),
            _ => None,
        }
    }
}

/// Cilium's configuration, as far as verdicts hang on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumConfig {
    /// When policies decide.
    pub mode: Enforcement,
    /// Switches that somebody has set, one way or the other.
    pub switches: Vec<(Switch, bool)>,
    /// Who says so.
    pub said_by: Arc<ObjectRef>,
}

impl CiliumConfig {
    /// The namespace of the configuration.
    pub const NAMESPACE: &str = "kube-system";
    /// Its name.
    pub const NAME: &str = "cilium-config";

    /// The ConfigMap of the agents, by name.
    pub fn config_map() -> ObjectRef {
        ObjectRef::namespaced("v1", "ConfigMap", Self::NAMESPACE, Self::NAME)
    }

    /// As somebody says on the command line, whatever the cluster has.
    pub fn on_the_command_line(mode: Enforcement) -> Self {
        let said_by = Arc::new(ObjectRef::cluster("", "--cilium-enforcement", mode.as_str()));
        Self { mode, switches: Vec::new(), said_by }
    }

    /// Whether it holds whatever agents run: somebody says so, and it is not left over from what ran once.
    pub fn is_said(&self) -> bool {
        *self.said_by.kind != *"ConfigMap"
    }

    /// How a switch is set, where it is.
    pub fn switch(&self, switch: Switch) -> Option<bool> {
        self.switches.iter().find(|(one, _)| *one == switch).map(|(_, on)| *on)
    }

    /// Whether there are kinds that do not count although they are there.
    pub fn overrules(&self) -> bool {
        let off = |switch| self.switch(switch) == Some(false);
        self.mode == Enforcement::Never
            || [Switch::Kubernetes, Switch::Namespaced, Switch::Clusterwide].into_iter().any(off)
    }

    /// Why policies of this kind do not count although they are there: a setting, and what it should be.
    pub fn passes_over(&self, id: &ObjectRef) -> Option<(Str, &'static str)> {
        if self.mode == Enforcement::Never {
            return Some(("enable-policy is never".into(), "default"));
        }
        let switch = Switch::of(id).filter(|switch| self.switch(*switch) == Some(false))?;
        Some((format!("{} is false", switch.key()).into(), "true"))
    }

    /// The same object without the policies that Cilium does not let count; `None` if it leaves all of them. Those that only
    /// Calico enforces are none of its business.
    pub fn without_force(&self, object: &PolicyObject) -> Option<PolicyObject> {
        self.passes_over(&object.id)?;
        let mut changed = object.clone();
        for policy in changed.policies.iter_mut().filter(|policy| policy.tier.enforcer != Enforcer::Calico) {
            let tier = Arc::new(Tier { standing: Standing::Off, ..(*policy.tier).clone() });
            *policy = Arc::new(Policy { tier, ..(**policy).clone() });
        }
        Some(changed)
    }

    /// The policy for every pod that it stands for.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        (self.mode == Enforcement::Always).then(|| {
            Arc::new(Policy {
                id: Arc::clone(&self.said_by),
                tier: Tier::cilium(),
                priority: Priority::LAST,
                subject: Subject { namespaces: NamespaceScope::all(), pods: Selector::everything() },
                isolates_ingress: true,
                isolates_egress: true,
                ingress: Vec::new(),
                egress: Vec::new(),
            })
        })
    }

    /// Whether Cilium enforces a family, where its agents' pods alone do not say it.
    pub fn enforces(&self, family: Family, otherwise: Enforces) -> Enforces {
        match family {
            Family::ClusterNetworkPolicy => self.settled(Switch::ClusterNetworkPolicy, otherwise),
            _ => otherwise,
        }
    }

    /// The same of a part of policies.
    pub fn carries_out(&self, part: Part, otherwise: Enforces) -> Enforces {
        match part {
            Part::Sctp => self.settled(Switch::Sctp, otherwise),
            _ => otherwise,
        }
    }

    fn settled(&self, switch: Switch, otherwise: Enforces) -> Enforces {
        match self.switch(switch) {
            Some(true) => Enforces::Yes,
            Some(false) => Enforces::No,
            None => otherwise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mode: Enforcement, switches: &[(Switch, bool)]) -> CiliumConfig {
        CiliumConfig { mode, switches: switches.to_vec(), said_by: Arc::new(CiliumConfig::config_map()) }
    }

    #[test]
    fn what_is_switched_off_is_passed_over_and_nothing_else() {
        let plain = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "shop", "a");
        let own = ObjectRef::namespaced("cilium.io/v2", "CiliumNetworkPolicy", "shop", "a");
        let off = config(Enforcement::Default, &[(Switch::Kubernetes, false), (Switch::Namespaced, true)]);
        assert_eq!(off.passes_over(&plain), Some(("enable-k8s-networkpolicy is false".into(), "true")));
        assert_eq!(off.passes_over(&own), None);
        assert_eq!(config(Enforcement::Default, &[]).passes_over(&plain), None, "what is not said is on");
        let never = config(Enforcement::Never, &[]);
        assert_eq!(never.passes_over(&own), Some(("enable-policy is never".into(), "default")));
    }

    #[test]
    fn switches_settle_what_pods_do_not_show() {
        let unknown = Enforces::If("sctp.enabled is set");
        let of = |switches: &[(Switch, bool)]| config(Enforcement::Default, switches).carries_out(Part::Sctp, unknown);
        assert_eq!(of(&[]), unknown);
        assert_eq!(of(&[(Switch::Sctp, true)]), Enforces::Yes);
        assert_eq!(of(&[(Switch::Sctp, false)]), Enforces::No);
        let on = config(Enforcement::Default, &[(Switch::ClusterNetworkPolicy, true)]);
        assert_eq!(on.enforces(Family::ClusterNetworkPolicy, Enforces::No), Enforces::Yes);
        assert_eq!(on.enforces(Family::Calico, Enforces::No), Enforces::No);
    }
}
