//! Cilium's configuration → model: the ConfigMap that its agents start with, as far as verdicts hang on it.

use std::sync::Arc;

use serde_json::Value;

use crate::model::cilium::Switch;
use crate::model::{CiliumConfig, Enforcement, FieldPath, ObjectRef, Unread};

/// What the object says, if it is Cilium's configuration, and what of it cannot be read. The agents refuse to start with
/// such a value; what ran before goes on, so it is taken for the default.
pub fn cilium_config(group: &str, kind: &str, value: &Value) -> Option<(CiliumConfig, Vec<Unread>)> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    if (group, kind) != ("", "ConfigMap") || text("/metadata/name") != Some(CiliumConfig::NAME) {
        return None;
    }
    let namespace = text("/metadata/namespace").unwrap_or(CiliumConfig::NAMESPACE);
    let said_by = Arc::new(ObjectRef::namespaced("v1", "ConfigMap", namespace, CiliumConfig::NAME));
    let mut config = CiliumConfig { mode: Enforcement::Default, switches: Vec::new(), said_by };
    let mut unread = Vec::new();
    let mut complain = |key: &str, value: &Value, instead: &str| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        unread.push(Unread { at: FieldPath::new("data").field(key), what: format!("`{shown}` {instead}") });
    };
    let setting = |key: &str| value.get("data").and_then(|data| data.get(key));
    if let Some(mode) = setting("enable-policy") {
        match mode.as_str().and_then(Enforcement::parse) {
            Some(mode) => config.mode = mode,
            None => complain("enable-policy", mode, "is none of default, always and never; it is taken for default"),
        }
    }
    for switch in Switch::ALL {
        let Some(value) = setting(switch.key()) else { continue };
        match value.as_str().and_then(boolean) {
            Some(on) => config.switches.push((switch, on)),
            None => complain(switch.key(), value, "is neither \"true\" nor \"false\"; it is taken for not set"),
        }
    }
    Some((config, unread))
}

fn boolean(text: &str) -> Option<bool> {
    match &*text.to_ascii_lowercase() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(name: &str, data: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "kube-system"}, "data": data})
    }

    fn mode(kind: &str, value: &Value) -> Option<Enforcement> {
        cilium_config("", kind, value).map(|(config, _)| config.mode)
    }

    #[test]
    fn the_configuration_is_one_config_map() {
        let config = |name: &str, mode: &str| named(name, &json!({"enable-policy": mode}));
        assert_eq!(mode("ConfigMap", &config("cilium-config", "always")), Some(Enforcement::Always));
        assert_eq!(mode("ConfigMap", &config("cilium-config", "Never")), Some(Enforcement::Never));
        assert_eq!(mode("ConfigMap", &named("cilium-config", &json!({}))), Some(Enforcement::Default));
        assert_eq!(mode("ConfigMap", &json!({"metadata": {"name": "cilium-config"}})), Some(Enforcement::Default));
        assert_eq!(mode("ConfigMap", &config("other", "always")), None);
        assert_eq!(mode("Secret", &config("cilium-config", "always")), None);
    }

    #[test]
    fn switches_are_read_and_what_is_no_value_is_said() {
        let data = json!({
            "enable-policy": "sometimes",
            "enable-k8s-networkpolicy": "false",
            "enable-sctp": "True",
            "enable-cilium-network-policy": true,
        });
        let (config, unread) = cilium_config("", "ConfigMap", &named("cilium-config", &data)).unwrap();
        assert_eq!(config.mode, Enforcement::Default);
        assert_eq!(config.switches, [(Switch::Kubernetes, false), (Switch::Sctp, true)]);
        assert_eq!(*config.said_by, CiliumConfig::config_map());
        let said: Vec<String> = unread.iter().map(|one| format!("{}: {}", one.at, one.what)).collect();
        assert_eq!(
            said,
            [
                "data.enable-policy: `sometimes` is none of default, always and never; it is taken for default",
                "data.enable-cilium-network-policy: `true` is neither \"true\" nor \"false\"; it is taken for not set",
            ]
        );
    }
}
