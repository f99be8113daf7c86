//! From a request to a change in model terms.

use std::sync::Arc;

use memchr::memmem;

use super::Caps;
use super::envelope::{self, Incoming};
use super::wire::Given;
use crate::model::original::{Narrowing, Original, Rewritten};
use crate::model::{Change, Labels, Object, ObjectRef, Operation, PodSpec, Workload};
use crate::translate::narrow::Written;
use crate::translate::{Defaults, Kind, from_json, unread_policy};

/// What to do with a request.
#[derive(Debug)]
pub(super) enum Asked {
    /// Judge it.
    Judge(Arc<Change>),
    /// Look up the pod, and judge what the binding makes of it.
    Bind(Binding),
    /// It is none of our business; a warning says so where it should not have come at all.
    Pass(Option<String>),
    /// It makes no sense.
    Refuse(String),
}

/// A binding of a pod to a node that brings labels for the pod.
#[derive(Debug)]
pub(super) struct Binding {
    /// Name of the pod.
    pub(super) pod: String,
    labels: Labels,
}

impl Binding {
    /// Reads the binding of a request; `None` where it brings no labels.
    fn of(request: &Incoming<'_>) -> Option<Self> {
        let Given::Raw(raw) = &request.object else { return None };
        let value: serde_json::Value = serde_json::from_str(raw.get()).ok()?;
        let labels = value.pointer("/metadata/labels")?.as_object()?;
        let labels = Labels::new(labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
        let own = value.pointer("/metadata/name").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty());
        let pod = own.unwrap_or(&request.name).to_owned();
        (!labels.is_empty()).then_some(Self { pod, labels })
    }

    /// The change of the pod, on which the API server puts the labels of the binding over its own.
    pub(super) fn change(&self, pod: Workload) -> Change {
        let merged = |own: &Labels| {
            let kept = own.iter().filter(|(key, _)| self.labels.get(key).is_none());
            Labels::new(kept.chain(self.labels.iter()).map(|(key, value)| (&**key, &**value)))
        };
        let spec = PodSpec { labels: merged(&pod.pod.labels), ..PodSpec::clone(&pod.pod) };
        let after = Workload { labels: merged(&pod.labels), pod: Arc::new(spec), ..pod.clone() };
        Change::update(Object::Workload(pod), Object::Workload(after))
    }
}

/// Takes the objects out of the request.
pub(super) fn asked(request: &mut Incoming<'_>, body: &[u8]) -> Asked {
    let Some(operation) = request.operation else { return Asked::Pass(None) };
    if operation == Operation::Create && request.group.is_empty() && &*request.kind == "Binding" {
        return Binding::of(request).map_or(Asked::Pass(None), Asked::Bind);
    }
    // A subresource with the object itself in it can change labels: `namespaces/finalize`, `pods/status`.
    let Some(kind) = Kind::of(&request.group, &request.kind) else {
        if !request.subresource.is_empty() {
            return Asked::Pass(None);
        }
        if !Kind::is_policy_group(&request.group) {
            return Asked::Pass(Some(format!(
                "portcullis does not judge {}; narrow the rules of its webhook configuration",
                request.kind
            )));
        }
        return Asked::Judge(Arc::new(unknown_policy(request, operation)));
    };
    let (object, old) = (std::mem::take(&mut request.object), std::mem::take(&mut request.old_object));
    let defaults = Defaults { namespace: &request.namespace, name: &request.name };
    let read = |given| match given {
        Given::Absent => None,
        Given::Read(object) => Some(*object),
        Given::Raw(raw) => Some(from_json(kind, raw.get().as_bytes(), &defaults)),
    };
    let a = if operation == Operation::Update { "an" } else { "a" };
    let missing = |field: &str| Asked::Refuse(format!("request.{field} is null in {a} {} request", operation.as_str()));
    let change = match operation {
        Operation::Create => match read(object) {
            Some(object) => Change::create(object),
            None => return missing("object"),
        },
        Operation::Update => match (read(old), read(object)) {
            (Some(old), Some(_)) if (kind.is_policy() || kind.is_address_group()) && ends(body) => Change::delete(old),
            (Some(old), Some(new)) => Change::update(old, new),
            (None, _) => return missing("oldObject"),
            (_, None) => return missing("object"),
        },
        Operation::Delete => match read(old) {
            Some(old) => Change::delete(old),
            None => return missing("oldObject"),
        },
    };
    Asked::Judge(Arc::new(change))
}

/// Whether an update takes the last finalizer from an object that is being deleted, which is then gone.
fn ends(body: &[u8]) -> bool {
    // Nearly no request says so, and looking for it costs less than reading the request again.
    if memmem::find(body, b"\"deletionTimestamp\"").is_none() {
        return false;
    }
    let Some(object) = envelope::object(body) else { return false };
    let is_leaving = object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    let finalizers = object.pointer("/metadata/finalizers").and_then(serde_json::Value::as_array);
    is_leaving && finalizers.is_none_or(Vec::is_empty)
}

/// The object of a request, which is looked for only when it is to be written again: one in a thousand requests asks for that.
pub(super) struct Sent<'a> {
    /// The body of the request.
    pub(super) body: &'a [u8],
    /// What it came to.
    pub(super) change: &'a Change,
    /// The caps under which it is judged.
    pub(super) caps: Option<Caps>,
}

impl Original for Sent<'_> {
    fn narrowed(&self, narrowing: &Narrowing) -> Option<Rewritten> {
        let value = envelope::object(self.body)?;
        Written::of(&self.change.id, &value)?.narrowed(narrowing)
    }
}

/// A policy kind that is not read: judged as an object of which nothing is known.
fn unknown_policy(request: &Incoming<'_>, operation: Operation) -> Change {
    let api_version = format!("{}/{}", request.group, request.version);
    let id = ObjectRef {
        api_version: api_version.clone().into(),
        kind: request.kind.to_string().into(),
        namespace: (!request.namespace.is_empty()).then(|| request.namespace.as_ref().into()),
        name: request.name.as_ref().into(),
    };
    let unread = unread_policy(&request.kind, &api_version);
    let object = Object::Unreadable(id, vec![unread]);
    match operation {
        Operation::Create => Change::create(object),
        Operation::Update => Change::update(object.clone(), object),
        Operation::Delete => Change::delete(object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::admission::{Fixed, Gate, Reply};
    use crate::review::World;

    async fn denial(operation: &str, object: &Value, old: &Value) -> String {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "kind": {"group": "projectcalico.org", "version": "v3", "kind": "NetworkPolicy"},
                "namespace": "shop", "name": "out", "operation": operation, "userInfo": {"username": "ann"},
                "object": object, "oldObject": old,
            },
        });
        let gate = Gate::new(std::sync::Arc::new(Fixed::new(World::default())));
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        match gate.answer(review.to_string().as_bytes(), deadline, |_| {}).await {
            Reply::Review(bytes) => {
                let review: Value = serde_json::from_slice(&bytes).unwrap();
                review["response"]["status"]["message"].as_str().unwrap_or_default().to_owned()
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_found_again_for_its_cure() {
        let policy = |net: &str| {
            json!({
                "apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
                "metadata": {"name": "out", "namespace": "shop", "uid": "7", "managedFields": [{"manager": "kubectl"}]},
                "spec": {
                    "tier": "default", "order": 7.5, "serviceAccountSelector": "has(team)", "types": ["Egress"],
                    "egress": [{"action": "Allow", "destination": {"nets": [net]}}],
                },
            })
        };
        let cure = "kubectl apply -f - <<'EOF'
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: out
  namespace: shop
spec:
  tier: default
  order: 7.5
  types:
  - Egress
  egress:
  - action: Allow
    destination:
      nets:
      - 0.0.0.0/1
      notNets:
      - 10.0.0.0/8
  serviceAccountSelector: has(team)
EOF
";
        let created = denial("CREATE", &policy("0.0.0.0/1"), &Value::Null).await;
        assert!(created.contains(cure), "{created}");
        // Of an update it is the new object.
        let updated = denial("UPDATE", &policy("0.0.0.0/1"), &policy("198.51.100.0/24")).await;
        assert!(updated.contains(cure), "{updated}");
        assert_eq!(denial("UPDATE", &policy("198.51.100.0/24"), &policy("0.0.0.0/1")).await, "");
    }
}
