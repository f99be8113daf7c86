//! Where a statement comes from: the object, and the field inside it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::Str;

/// Names one Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `group/version`, or `v1`.
    pub api_version: Cow<'static, str>,
    /// Kind, such as `NetworkPolicy`.
    pub kind: Cow<'static, str>,
    /// Namespace; `None` for cluster-scoped objects.
    pub namespace: Option<Str>,
    /// Name; empty while `generateName` has not been resolved.
    pub name: Str,
}

impl ObjectRef {
    /// A namespaced object of a kind known at compile time.
    pub fn namespaced(
        api_version: &'static str,
        kind: &'static str,
        namespace: impl Into<Str>,
        name: impl Into<Str>,
    ) -> Self {
        Self {
            api_version: Cow::Borrowed(api_version),
            kind: Cow::Borrowed(kind),
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// A cluster-scoped object of a kind known at compile time.
    pub fn cluster(api_version: &'static str, kind: &'static str, name: impl Into<Str>) -> Self {
        Self { api_version: Cow::Borrowed(api_version), kind: Cow::Borrowed(kind), namespace: None, name: name.into() }
    }

    /// The namespace, or the empty text for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for ObjectRef {
    /// `NetworkPolicy production/allow-dns`. The group is named for Calico's kind that is spelled the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.kind == "NetworkPolicy" && self.group() != "networking.k8s.io";
        let group = if shared { format!(".{}", self.group()) } else { String::new() };
        let name = if self.name.is_empty() { "(generated name)" } else { &*self.name };
        match &self.namespace {
            Some(namespace) => write!(f, "{}{group} {namespace}/{name}", self.kind),
            None => write!(f, "{}{group} {name}", self.kind),
        }
    }
}

/// A path to a field, such as `spec.egress[0].to[1].ipBlock`. Empty means the whole object.
///
/// Keys with dots or slashes are quoted: `metadata.labels["app.kubernetes.io/name"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Str);

impl FieldPath {
    /// A path as it is written.
    pub fn new(path: impl Into<Str>) -> Self {
        Self(path.into())
    }

    /// The path with one more field.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let mut path = self.0.to_string();
        Self::push_field(&mut path, name);
        Self(path.into())
    }

    /// Puts one more field at the end of a path that is being written.
    pub fn push_field(path: &mut String, name: &str) {
        if name.bytes().any(|b| matches!(b, b'.' | b'/' | b'[')) {
            path.extend(["[\"", name, "\"]"]);
            return;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }

    /// The path with an index.
    #[must_use]
    pub fn index(&self, i: usize) -> Self {
        let mut path = self.0.to_string();
        Self::push_index(&mut path, i);
        Self(path.into())
    }

    /// Puts an index at the end of a path that is being written.
    pub fn push_index(path: &mut String, i: usize) {
        /// Nearly all there are: every rule of a policy that is read says where it stands.
        const FIRST: [&str; 10] = ["[0]", "[1]", "[2]", "[3]", "[4]", "[5]", "[6]", "[7]", "[8]", "[9]"];
        match FIRST.get(i) {
            Some(index) => path.push_str(index),
            None => {
                // Writing to a text cannot fail.
                let _ = write!(path, "[{i}]");
            }
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names the whole object.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without the leading `spec.`, for sentences that already name the policy.
    pub fn short(&self) -> &str {
        self.0.strip_prefix("spec.").unwrap_or(&self.0)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_quote_keys_with_dots() {
        let path = FieldPath::new("spec").field("egress").index(0).field("matchLabels").field("app.kubernetes.io/name");
        assert_eq!(path.as_str(), "spec.egress[0].matchLabels[\"app.kubernetes.io/name\"]");
        assert_eq!(path.short(), "egress[0].matchLabels[\"app.kubernetes.io/name\"]");
        assert_eq!(FieldPath::default().field("spec").as_str(), "spec");
    }

    #[test]
    fn objects_are_named_as_people_say_them() {
        let policy = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "a", "b");
        assert_eq!(policy.to_string(), "NetworkPolicy a/b");
        assert_eq!(policy.group(), "networking.k8s.io");
        let calico = ObjectRef::namespaced("projectcalico.org/v3", "NetworkPolicy", "a", "b");
        assert_eq!(calico.to_string(), "NetworkPolicy.projectcalico.org a/b");
        assert_eq!(ObjectRef::cluster("v1", "Namespace", "a").to_string(), "Namespace a");
    }
}
