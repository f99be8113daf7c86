//! Nodes and definitions → what tells of network plugins besides their agents.

use serde_json::Value;

use crate::model::sighting::Hints;

/// Takes note of what the object tells, if it is a node or a definition, and says whether there was anything.
pub fn note_hints(group: &str, kind: &str, value: &Value, into: &mut Hints) -> bool {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    match (group, kind) {
        ("", "Node") => {
            let node = text(value, "/metadata/name").unwrap_or_default();
            let conditions = value.pointer("/status/conditions").and_then(Value::as_array);
            let mut noted = false;
            for condition in conditions.into_iter().flatten() {
                if text(condition, "/type").is_some_and(|name| name == "NetworkUnavailable") {
                    noted |= text(condition, "/reason").is_some_and(|reason| into.note_condition(&node, &reason));
                }
            }
            noted
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            text(value, "/spec/group").is_some_and(|defined| into.note_group(&defined))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sighting::believed;
    use serde_json::json;

    #[test]
    fn nodes_and_definitions_tell_of_plugins() {
        let mut hints = Hints::default();
        let said = |hints: &Hints| believed(Vec::new(), hints).iter().map(ToString::to_string).collect::<Vec<_>>();
        let definition = json!({"metadata": {"name": "x"}, "spec": {"group": "crd.antrea.io"}});
        assert!(note_hints("apiextensions.k8s.io", "CustomResourceDefinition", &definition, &mut hints));
        assert_eq!(said(&hints), ["Antrea, by the CustomResourceDefinitions of crd.antrea.io alone"]);
        let node = |conditions: &Value| json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}});
        let ready =
            json!([{"type": "Ready", "reason": "CalicoIsUp"}, {"type": "NetworkUnavailable", "reason": "WeaveIsUp"}]);
        assert!(note_hints("", "Node", &node(&ready), &mut hints));
        assert!(!note_hints("", "Node", &node(&json!(7)), &mut hints), "odd, and no reason to stop");
        assert_eq!(said(&hints), ["Weave Net, by the condition NetworkUnavailable (WeaveIsUp) of node a"]);
        assert!(!note_hints("", "Pod", &node(&ready), &mut hints));
    }
}
