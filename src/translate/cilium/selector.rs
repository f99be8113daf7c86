//! Cilium's label selectors: labels have sources (`k8s:`, `reserved:`), namespaces and service accounts are labels too,
//! and a selector may mean endpoints that are no pods.

use crate::translate::json::Value;

use super::reading::{Broken, Fields, Piece, Reading, Taken};
use crate::model::labels::{NAMESPACE_NAME_LABEL, namespace_name_label};
use crate::model::peer::Entity;
use crate::model::selector::{NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, name_in_namespace};
use crate::model::{Action, NamespaceScope, Peer, PodPeer, Selector, Str, Subject};
use crate::translate::at::At;
use crate::translate::{short, shorten};

const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const NAMESPACE_LABELS: &str = "io.cilium.k8s.namespace.labels.";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
/// The name that a cluster has unless it is given another.
const CLUSTER_NAME: &str = "default";

/// What a label is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// A label of the pod, or its service account.
    Pod(Str),
    /// A label of its namespace, with the prefix of the model.
    Namespace(Str),
    /// An endpoint that is no pod.
    Reserved(Str),
    /// The cluster.
    Cluster,
}

/// One test of one label, as the model writes it: on the key that it carries there.
#[derive(Clone, Debug)]
struct Term {
    key: Key,
    test: Selector,
    /// Whether a missing label passes.
    missing_passes: bool,
}

/// A selector that has been read.
#[derive(Clone, Debug)]
pub(super) struct Labels(Vec<Term>);

/// Endpoints that are no pods, by their reserved label.
const RESERVED: [(&str, Entity); 8] = [
    ("world", Entity::World),
    ("host", Entity::Host),
    ("remote-node", Entity::RemoteNode),
    ("kube-apiserver", Entity::KubeApiserver),
    ("ingress", Entity::Ingress),
    ("health", Entity::Special),
    ("init", Entity::Special),
    ("unmanaged", Entity::Special),
];

impl Labels {
    fn names_namespace(&self) -> bool {
        self.0.iter().any(|term| matches!(term.key, Key::Namespace(_)))
    }

    fn names_reserved(&self) -> bool {
        self.0.iter().any(|term| matches!(term.key, Key::Reserved(_)))
    }

    /// The tests of the pod's own labels and of its namespace's; `None` if no pod can pass, because pods have no
    /// reserved labels.
    fn pods(&self) -> Option<(Vec<Selector>, Vec<Selector>)> {
        let (mut namespaces, mut pods) = (Vec::new(), Vec::new());
        for term in &self.0 {
            match &term.key {
                Key::Pod(_) => pods.push(term.test.clone()),
                Key::Namespace(_) => namespaces.push(term.test.clone()),
                Key::Reserved(_) if term.missing_passes => {}
                Key::Reserved(_) => return None,
                Key::Cluster => {}
            }
        }
        Some((namespaces, pods))
    }

    /// The endpoints without Kubernetes labels that pass: those for which every test holds of their reserved label alone.
    fn entities(&self) -> Vec<Entity> {
        let passes = |name: &str| {
            self.0.iter().all(|term| match &term.key {
                // A reserved label has no value.
                Key::Reserved(key) if **key == *name => term.test.matches(&crate::model::Labels::new([(name, "")])),
                _ => term.missing_passes,
            })
        };
        let mut entities: Vec<Entity> = Vec::new();
        for (name, entity) in RESERVED {
            if passes(name) && !entities.contains(&entity) {
                entities.push(entity);
            }
        }
        entities
    }
}

/// The keys of the namespace selector part, without the prefix: it is matched against the namespace's own labels.
fn own_keys(selector: &Selector) -> Selector {
    match selector {
        Selector::Key(key, test) => {
            let own = match key.strip_prefix(NAMESPACE_LABEL_PREFIX) {
                Some(NAMESPACE_NAME_LABEL) => namespace_name_label(),
                Some(label) => label.into(),
                None => key.clone(),
            };
            Selector::Key(own, test.clone())
        }
        Selector::Not(inner) => own_keys(inner).negate(),
        Selector::And(parts) => Selector::And(parts.iter().map(own_keys).collect()),
        Selector::Or(parts) => Selector::Or(parts.iter().map(own_keys).collect()),
    }
}

fn scope(namespaces: &[Selector]) -> NamespaceScope {
    NamespaceScope::Matching(Selector::all(namespaces.iter().map(own_keys).collect()))
}

impl Reading {
    /// The subject: pods of the policy's own namespace, whatever the selector says about namespaces (semantics 2.3.6), or
    /// pods of any (2.3.8). `Ok(None)` where it can only select endpoints that are no pods.
    pub(super) fn subject(&mut self, value: &Value<'_>, at: &At<'_>) -> Piece<Option<Subject>> {
        let labels = self.labels(value, at, super::reading::NO_SUBJECT)?;
        let Some(own) = self.namespace.clone() else {
            let subject = |(namespaces, pods): (Vec<_>, Vec<_>)| Subject {
                namespaces: scope(&namespaces),
                pods: Selector::all(pods),
            };
            return Ok(labels.pods().map(subject));
        };
        let mut terms = labels.0;
        let name = name_in_namespace();
        terms.retain(|term| {
            let Some(value) = term.test.required_value(&name) else { return true };
            if **value != *own {
                let what = format!(
                    "`{NAMESPACE}` is {}, but a CiliumNetworkPolicy only selects pods of its own namespace; taken as {own}",
                    shorten(value)
                );
                self.note(at, what);
            }
            false
        });
        let subject = |(namespaces, mut pods): (Vec<_>, Vec<_>)| {
            pods.extend(namespaces);
            Subject { namespaces: NamespaceScope::Named(own), pods: Selector::all(pods) }
        };
        Ok(Labels(terms).pods().map(subject))
    }

    /// Peers by label (semantics 2.3.7, 2.3.8, 2.3.9): pods, and where the selector lets them in, other endpoints.
    pub(super) fn endpoints(&mut self, value: &Value<'_>, action: Action, at: &At<'_>) -> Piece<Vec<Peer>> {
        let labels = self.labels(value, at, Taken::of(action).peer)?;
        let mut peers = Vec::new();
        // Selectors that speak of reserved labels are left as they are; in all others a namespace is required.
        let everywhere = labels.names_namespace() || labels.names_reserved();
        if let Some((namespaces, pods)) = labels.pods() {
            let namespaces = match &self.namespace {
                Some(own) if !everywhere => NamespaceScope::Named(own.clone()),
                _ => scope(&namespaces),
            };
            peers.push(Peer::Pods(PodPeer { namespaces, pods: Selector::all(pods) }));
        }
        if everywhere {
            peers.extend(labels.entities().into_iter().map(Peer::Entity));
        }
        if peers.is_empty() {
            peers.push(Peer::Nobody);
        }
        Ok(peers)
    }

    /// A selector over the labels of anything else, such as nodes or CIDR groups.
    pub(super) fn plain_labels(&mut self, value: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<Selector> {
        let labels = self.labels(value, at, taken)?;
        Ok(Selector::all(labels.0.into_iter().map(|term| term.test).collect()))
    }

    fn labels(&mut self, value: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<Labels> {
        let fields = self.fields(value, at, &["matchLabels", "matchExpressions"], taken)?;
        let by_label = self.match_labels(fields, at, taken);
        let by_expression = self.match_expressions(fields, at, taken);
        let mut terms = by_label?;
        terms.extend(by_expression?);
        Ok(Labels(terms))
    }

    fn match_labels(&mut self, fields: Fields<'_>, at: &At<'_>, taken: &str) -> Piece<Vec<Term>> {
        let at = at.field("matchLabels");
        let Some(value) = fields.get("matchLabels") else { return Ok(Vec::new()) };
        let Value::Object(pairs) = value else {
            return Err(self.note(&at, format!("matchLabels must be an object; {taken}")));
        };
        let read = pairs.iter().map(|(key, value)| {
            let (short, null) = (short(key), value.is_null());
            let at = at.field(&short);
            let value = self.text((!null).then_some(value), &at, taken)?;
            self.term(key, "In", vec![value.into()], &at, taken)
        });
        // All are looked at before giving up, so that one complaint does not hide the next.
        let all: Vec<Piece<Option<Term>>> = read.collect();
        Ok(all.into_iter().collect::<Piece<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn match_expressions(&mut self, fields: Fields<'_>, at: &At<'_>, taken: &str) -> Piece<Vec<Term>> {
        let at = at.field("matchExpressions");
        let items = self.list(fields.get("matchExpressions"), &at, taken)?.unwrap_or_default();
        let all: Vec<Piece<Option<Term>>> =
            items.iter().enumerate().map(|(i, item)| self.expression(item, &at.index(i), taken)).collect();
        Ok(all.into_iter().collect::<Piece<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn expression(&mut self, value: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<Option<Term>> {
        let fields = self.fields(value, at, &["key", "operator", "values"], taken)?;
        let key = self.text(fields.get("key"), &at.field("key"), taken)?;
        let operator = self.text(fields.get("operator"), &at.field("operator"), taken)?;
        let values = self.texts(fields.get("values"), &at.field("values"), taken)?;
        if key.is_empty() {
            return Err(self.refuse(&at.field("key"), "an expression needs a key"));
        }
        match (operator, values.is_empty()) {
            ("In" | "NotIn", true) => {
                return Err(self.refuse(&at.field("values"), "In and NotIn need at least one value"));
            }
            ("Exists" | "DoesNotExist", false) => {
                return Err(self.refuse(&at.field("values"), "Exists and DoesNotExist take no values"));
            }
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (other, _) => {
                let what = format!("`{}` is no operator; there are In, NotIn, Exists and DoesNotExist", shorten(other));
                return Err(self.refuse(&at.field("operator"), &what));
            }
        }
        self.term(key, operator, values.into_iter().map(Str::from).collect(), at, taken)
    }

    /// One test; `None` where it always holds.
    fn term(&mut self, key: &str, operator: &str, values: Vec<Str>, at: &At<'_>, taken: &str) -> Piece<Option<Term>> {
        let key = self.key(key, at, taken)?;
        let negated = matches!(operator, "NotIn" | "DoesNotExist");
        if key == Key::Cluster {
            return self.own_cluster(operator, &values, at, taken).map(|()| None);
        }
        let (Key::Pod(name) | Key::Namespace(name) | Key::Reserved(name)) = &key else { return Err(Broken) };
        let test = match operator {
            "In" | "NotIn" => Selector::is_in(name.clone(), values),
            _ => Selector::exists(name.clone()),
        };
        Ok(Some(Term { test: if negated { test.negate() } else { test }, missing_passes: negated, key }))
    }

    /// A key without a source means any source; Kubernetes labels are the only ones that pods have.
    fn key(&mut self, key: &str, at: &At<'_>, taken: &str) -> Piece<Key> {
        let (source, name) = key.split_once(':').unwrap_or(("any", key));
        match source {
            "any" | "k8s" => {}
            "reserved" => return Ok(Key::Reserved(name.into())),
            other => {
                let what = format!("labels of source `{}` are not known here; {taken}", shorten(other));
                return Err(self.note(at, what));
            }
        }
        Ok(match name {
            NAMESPACE => Key::Namespace(name_in_namespace()),
            SERVICE_ACCOUNT => Key::Pod(SERVICE_ACCOUNT_KEY.into()),
            CLUSTER => Key::Cluster,
            name => match name.strip_prefix(NAMESPACE_LABELS) {
                Some(label) => Key::Namespace(namespace_key(label).into()),
                None => Key::Pod(name.into()),
            },
        })
    }

    /// Pods of this cluster have its name, which no object says; that of a cluster without a mesh is `default`.
    fn own_cluster(&mut self, operator: &str, values: &[Str], at: &At<'_>, taken: &str) -> Piece<()> {
        let named = values.iter().any(|value| **value == *CLUSTER_NAME);
        match operator {
            "Exists" => Ok(()),
            "In" if named => Ok(()),
            _ => Err(self.note(at, format!("what this cluster is called in a mesh of clusters is not known; {taken}"))),
        }
    }
}

fn namespace_key(label: &str) -> String {
    format!("{NAMESPACE_LABEL_PREFIX}{label}")
}
