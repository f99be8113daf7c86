//! When Cilium lets policies decide at all: `enable-policy` of its configuration (semantics 2.3.16). It is no policy, and
//! stands for one, or takes every policy out of force.

use std::sync::Arc;

use serde_json::Value;

use crate::model::{
    Enforcer, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, Priority, Selector, Standing, Subject, Tier,
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

    /// What the object says about it, if it is Cilium's configuration.
    pub fn of_config(group: &str, kind: &str, value: &Value) -> Option<Self> {
        let is_it = (group, kind) == ("", "ConfigMap") && value.pointer("/metadata/name")? == "cilium-config";
        is_it.then(|| value.pointer("/data/enable-policy"))??.as_str().and_then(Self::parse)
    }

    /// The policy that it stands for.
    pub fn policy(self) -> Option<Object> {
        if self != Self::Always {
            return None;
        }
        let id = Arc::new(ObjectRef::cluster("v1", "ConfigMap", "cilium-config"));
        let policy = Policy {
            id: Arc::clone(&id),
            tier: Tier::cilium(),
            priority: Priority::LAST,
            subject: Subject { namespaces: NamespaceScope::all(), pods: Selector::everything() },
            isolates_ingress: true,
            isolates_egress: true,
            ingress: Vec::new(),
            egress: Vec::new(),
        };
        let policies = vec![Arc::new(policy)];
        Some(Object::Policy(PolicyObject { id, policies, unread: Vec::new(), implicit_types: false }))
    }

    /// Takes a policy out of force where none is. Those that only Calico enforces are none of Cilium's business.
    pub fn apply(self, object: &mut PolicyObject) {
        if self != Self::Never {
            return;
        }
        for policy in object.policies.iter_mut().filter(|policy| policy.tier.enforcer != Enforcer::Calico) {
            let tier = Arc::new(Tier { standing: Standing::Off, ..(*policy.tier).clone() });
            *policy = Arc::new(Policy { tier, ..(**policy).clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_configuration_is_one_config_map() {
        let config = |name: &str, mode: &str| json!({"metadata": {"name": name}, "data": {"enable-policy": mode}});
        let of = |kind: &str, value: &Value| Enforcement::of_config("", kind, value);
        assert_eq!(of("ConfigMap", &config("cilium-config", "always")), Some(Enforcement::Always));
        assert_eq!(of("ConfigMap", &config("cilium-config", "Never")), Some(Enforcement::Never));
        assert_eq!(of("ConfigMap", &config("cilium-config", "sometimes")), None);
        assert_eq!(of("ConfigMap", &config("other", "always")), None);
        assert_eq!(of("Secret", &config("cilium-config", "always")), None);
    }
}
