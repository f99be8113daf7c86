//! The second reading of a NetworkPolicy that is not quite one: each piece is taken by itself, so that one wrong type or
//! unknown field costs that piece and not the object.
//!
//! A piece with a field that nobody knows counts as unreadable as a whole: the field may be a misspelt condition, and
//! without it the piece would mean more than its author wrote. Null is absent, as the API server's decoder has it.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::at::At;
use super::networkpolicy::{NO_PEER, NO_PORT, NO_RULE, NO_SUBJECT};
use super::policy_wire::{
    EgressRule, IngressRule, IpBlock, LabelSelector, NetworkPolicy, Peer, Port, PortValue, Requirement, Spec,
};
use super::shorten;
use super::wire::{Meta, Pairs, Text};
use crate::model::{FieldPath, Unread};

type Fields = Map<String, Value>;

/// What becomes of a field that nothing depends on.
const IGNORED: &str = "ignored";

/// Reads the pieces of a policy.
pub(super) fn network_policy<'v>(fields: &'v Fields, unread: &mut Vec<Unread>) -> NetworkPolicy<'v> {
    let mut walk = Walk { unread };
    let unknown = walk.unknown(fields, None, &["apiVersion", "kind", "metadata", "spec", "status"], IGNORED);
    let metadata = walk.metadata(fields.get("metadata"));
    let api_version = walk.text(fields.get("apiVersion"), &At::root("apiVersion"), IGNORED).unwrap_or_default();
    let spec = present(fields.get("spec")).map(|value| walk.spec(value));
    // A misspelt `spec` must not turn the object into a default deny.
    let spec = if spec.is_none() && unknown { Some(no_subject()) } else { spec };
    NetworkPolicy::of(api_version, metadata, spec)
}

fn no_subject<'v>() -> Spec<'v> {
    Spec { pod_selector: Some(LabelSelector { broken: true, ..LabelSelector::default() }), ..Spec::default() }
}

/// The value, unless it is null.
fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

/// What a value is, for messages.
const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

struct Walk<'u> {
    unread: &'u mut Vec<Unread>,
}

/// A piece that has been noted as unreadable.
struct Broken;

type Piece<T> = Result<T, Broken>;

/// Peers, ports, and whether the rule is broken: what both directions have in common.
type RuleParts<'v> = (Option<Vec<Peer<'v>>>, Option<Vec<Port<'v>>>, bool);

impl Walk<'_> {
    fn note(&mut self, at: &At<'_>, what: String) {
        self.unread.push(Unread { at: at.path(), what });
    }

    fn wrong_type(&mut self, value: &Value, at: &At<'_>, expected: &str, taken: &str) -> Broken {
        self.note(at, format!("{} where {expected} belongs; {taken}", type_of(value)));
        Broken
    }

    /// Notes every field that is not known. Whether there was one.
    fn unknown(&mut self, fields: &Fields, at: Option<&At<'_>>, known: &[&str], taken: &str) -> bool {
        let mut found = false;
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            found = true;
            let (short, what) = (shorten(name), format!("there is no such field; {taken}"));
            let path = at.map_or_else(|| FieldPath::default().field(&short), |at| at.field(&short).path());
            self.unread.push(Unread { at: path, what });
        }
        found
    }

    /// The fields of an object that may hold only these. Null is an object without fields.
    fn fields<'v>(
        &mut self,
        value: &'v Value,
        at: &At<'_>,
        known: &[&str],
        taken: &str,
    ) -> Piece<impl Fn(&str) -> Option<&'v Value> + use<'v>> {
        let fields = match value {
            Value::Object(fields) => Some(fields),
            Value::Null => None,
            other => return Err(self.wrong_type(other, at, "an object", taken)),
        };
        if let Some(fields) = fields
            && self.unknown(fields, Some(at), known, taken)
        {
            return Err(Broken);
        }
        Ok(move |name: &str| present(fields.and_then(|fields| fields.get(name))))
    }

    fn list<'v, T>(
        &mut self,
        value: Option<&'v Value>,
        at: &At<'_>,
        taken: &str,
        mut item: impl FnMut(&mut Self, &'v Value, &At<'_>) -> Piece<T>,
    ) -> Piece<Option<Vec<T>>> {
        match present(value) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                // All are looked at before giving up, so that one complaint does not hide the next.
                let all: Vec<Piece<T>> = items.iter().enumerate().map(|(i, v)| item(self, v, &at.index(i))).collect();
                all.into_iter().collect::<Piece<Vec<T>>>().map(Some)
            }
            Some(other) => Err(self.wrong_type(other, at, "a list", taken)),
        }
    }

    fn text<'v>(&mut self, value: Option<&'v Value>, at: &At<'_>, taken: &str) -> Piece<Option<Text<'v>>> {
        match present(value) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(Text(text.as_str().into()))),
            Some(other) => Err(self.wrong_type(other, at, "text", taken)),
        }
    }

    fn texts<'v>(&mut self, value: Option<&'v Value>, at: &At<'_>, taken: &str) -> Piece<Option<Vec<Text<'v>>>> {
        self.list(value, at, taken, |walk, value, at| Ok(walk.text(Some(value), at, taken)?.unwrap_or_default()))
    }

    /// Only name and namespace matter; labels that are wrong do not make a policy nameless.
    fn metadata<'v>(&mut self, value: Option<&'v Value>) -> Option<Meta<'v>> {
        let at = At::root("metadata");
        let value = present(value)?;
        let Value::Object(fields) = value else {
            self.wrong_type(value, &at, "an object", IGNORED);
            return None;
        };
        if let Ok(meta) = Meta::deserialize(value) {
            return Some(meta);
        }
        let name = self.text(fields.get("name"), &at.field("name"), IGNORED).unwrap_or_default();
        let namespace = self.text(fields.get("namespace"), &at.field("namespace"), IGNORED).unwrap_or_default();
        if !["name", "namespace"].iter().any(|field| fields.get(*field).is_some_and(|v| !v.is_string())) {
            self.note(&at, "labels or owners are not as Kubernetes defines them; only the name is used".to_owned());
        }
        Some(Meta { name, namespace, ..Meta::default() })
    }

    /// An unknown field of the spec is ignored, but it may be the misspelt subject.
    fn spec<'v>(&mut self, value: &'v Value) -> Spec<'v> {
        let at = At::root("spec");
        let Value::Object(fields) = value else {
            self.wrong_type(value, &at, "an object", NO_SUBJECT);
            return no_subject();
        };
        let unknown = self.unknown(fields, Some(&at), &["podSelector", "policyTypes", "ingress", "egress"], IGNORED);
        let pod_selector = match present(fields.get("podSelector")) {
            Some(value) => Some(self.selector(value, &at.field("podSelector"), NO_SUBJECT)),
            None if unknown => no_subject().pod_selector,
            None => None,
        };
        let policy_types = self.texts(fields.get("policyTypes"), &at.field("policyTypes"), NO_SUBJECT);
        let ingress = self.list(fields.get("ingress"), &at.field("ingress"), NO_SUBJECT, |walk, rule, at| {
            let (from, ports, broken) = walk.rule(rule, "from", at);
            Ok(IngressRule { from, ports, broken })
        });
        let egress = self.list(fields.get("egress"), &at.field("egress"), NO_SUBJECT, |walk, rule, at| {
            let (to, ports, broken) = walk.rule(rule, "to", at);
            Ok(EgressRule { to, ports, broken })
        });
        match (policy_types, ingress, egress) {
            (Ok(policy_types), Ok(ingress), Ok(egress)) => Spec { pod_selector, policy_types, ingress, egress },
            // Isolation without knowing what is allowed would pass for a default deny.
            _ => no_subject(),
        }
    }

    fn rule<'v>(&mut self, value: &'v Value, peers: &str, at: &At<'_>) -> RuleParts<'v> {
        let Ok(field) = self.fields(value, at, &[peers, "ports"], NO_RULE) else { return (None, None, true) };
        let list = self.list(field(peers), &at.field(peers), NO_RULE, |walk, value, at| {
            Ok(walk.peer(value, at).unwrap_or(Peer { broken: true, ..Peer::default() }))
        });
        let ports = self.list(field("ports"), &at.field("ports"), NO_RULE, |walk, value, at| {
            Ok(walk.port(value, at).unwrap_or(Port { broken: true, ..Port::default() }))
        });
        match (list, ports) {
            (Ok(list), Ok(ports)) => (list, ports, false),
            _ => (None, None, true),
        }
    }

    fn peer<'v>(&mut self, value: &'v Value, at: &At<'_>) -> Piece<Peer<'v>> {
        let field = self.fields(value, at, &["podSelector", "namespaceSelector", "ipBlock"], NO_PEER)?;
        let mut selector = |name| field(name).map(|value| self.selector(value, &at.field(name), NO_PEER));
        let (pod_selector, namespace_selector) = (selector("podSelector"), selector("namespaceSelector"));
        let ip_block = field("ipBlock").map(|value| self.ip_block(value, &at.field("ipBlock"))).transpose()?;
        Ok(Peer { pod_selector, namespace_selector, ip_block, broken: false })
    }

    fn ip_block<'v>(&mut self, value: &'v Value, at: &At<'_>) -> Piece<IpBlock<'v>> {
        let field = self.fields(value, at, &["cidr", "except"], NO_PEER)?;
        let cidr = self.text(field("cidr"), &at.field("cidr"), NO_PEER);
        let except = self.texts(field("except"), &at.field("except"), NO_PEER);
        Ok(IpBlock { cidr: cidr?, except: except? })
    }

    fn port<'v>(&mut self, value: &'v Value, at: &At<'_>) -> Piece<Port<'v>> {
        let field = self.fields(value, at, &["protocol", "port", "endPort"], NO_PORT)?;
        let protocol = self.text(field("protocol"), &at.field("protocol"), NO_PORT);
        let first = match field("port") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(PortValue::Name(Text(name.as_str().into())))),
            Some(value) => {
                self.integer(value, &at.field("port"), "a number or a name").map(PortValue::Number).map(Some)
            }
        };
        let last = match field("endPort") {
            None => Ok(None),
            Some(value) => self.integer(value, &at.field("endPort"), "a number").map(Some),
        };
        Ok(Port { protocol: protocol?, first: first?, last: last?, broken: false })
    }

    fn integer(&mut self, value: &Value, at: &At<'_>, expected: &str) -> Piece<i64> {
        match value {
            Value::Number(number) if number.is_f64() => {
                self.note(at, format!("a port is a whole number; {NO_PORT}"));
                Err(Broken)
            }
            // Beyond the range of ports either way; the range is checked where the number is used.
            Value::Number(number) => Ok(number.as_i64().unwrap_or(i64::MAX)),
            other => Err(self.wrong_type(other, at, expected, NO_PORT)),
        }
    }

    fn selector<'v>(&mut self, value: &'v Value, at: &At<'_>, taken: &str) -> LabelSelector<'v> {
        self.try_selector(value, at, taken).unwrap_or(LabelSelector { broken: true, ..LabelSelector::default() })
    }

    fn try_selector<'v>(&mut self, value: &'v Value, at: &At<'_>, taken: &str) -> Piece<LabelSelector<'v>> {
        let field = self.fields(value, at, &["matchLabels", "matchExpressions"], taken)?;
        let match_labels = self.pairs(field("matchLabels"), &at.field("matchLabels"), taken);
        let expressions = at.field("matchExpressions");
        let match_expressions = self.list(field("matchExpressions"), &expressions, taken, |walk, value, at| {
            let field = walk.fields(value, at, &["key", "operator", "values"], taken)?;
            let key = walk.text(field("key"), &at.field("key"), taken);
            let operator = walk.text(field("operator"), &at.field("operator"), taken);
            let values = walk.texts(field("values"), &at.field("values"), taken);
            Ok(Requirement { key: key?, operator: operator?, values: values? })
        });
        Ok(LabelSelector { match_labels: match_labels?, match_expressions: match_expressions?, broken: false })
    }

    fn pairs<'v>(&mut self, value: Option<&'v Value>, at: &At<'_>, taken: &str) -> Piece<Option<Pairs<'v>>> {
        let fields = match present(value) {
            None => return Ok(None),
            Some(Value::Object(fields)) => fields,
            Some(other) => return Err(self.wrong_type(other, at, "an object", taken)),
        };
        let all: Vec<Piece<_>> = fields
            .iter()
            .map(|(key, value)| {
                let value = self.text(Some(value), &at.field(&shorten(key)), taken)?.unwrap_or_default();
                Ok((Text(key.as_str().into()), value))
            })
            .collect();
        all.into_iter().collect::<Piece<Vec<_>>>().map(|pairs| Some(Pairs(pairs)))
    }
}
