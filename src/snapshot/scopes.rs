//! Namespaces in a scope: looked up in the directory where the scope names a label, and gone through where it does not.

use std::sync::Arc;

use super::{Directory, NamespaceState, Snapshot};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::meter::charge;
use crate::model::{NamespaceScope, Selector};

impl Snapshot {
    /// The directory of namespaces by name and label, made when it is first asked for.
    pub fn directory(&self) -> &Directory {
        self.directory.get(self.namespaces.iter())
    }

    /// Namespaces in a scope. A scope that names its namespace, or a label with a value, is answered without a scan.
    pub fn in_scope<'a>(&'a self, scope: &'a NamespaceScope) -> Box<dyn Iterator<Item = &'a Arc<NamespaceState>> + 'a> {
        match scope {
            NamespaceScope::Named(name) => Box::new(self.namespace(name).into_iter()),
            NamespaceScope::Matching(selector) => match selector.required_value(NAMESPACE_NAME_LABEL) {
                Some(name) => Box::new(self.namespace(name).into_iter().filter(|n| selector.matches(n.labels()))),
                None if selector.is_everything() => {
                    // The tree has some thousand places, even where few namespaces are in it.
                    charge(512);
                    Box::new(self.namespaces())
                }
                None => match self.directory().candidates(selector) {
                    Some(names) => Box::new(
                        names.into_iter().filter_map(|n| self.namespace(n)).filter(|n| selector.matches(n.labels())),
                    ),
                    None => Box::new(self.namespaces().filter(|n| selector.matches(n.labels()))),
                },
            },
        }
    }

    /// Whether [`Snapshot::in_scope`] looks the scope up and does not go through every namespace.
    pub fn is_looked_up(scope: &NamespaceScope) -> bool {
        match scope {
            NamespaceScope::Named(_) | NamespaceScope::Matching(Selector::Key(..)) => true,
            NamespaceScope::Matching(Selector::And(parts)) => {
                parts.iter().any(|part| matches!(part, Selector::Key(..)))
            }
            NamespaceScope::Matching(_) => false,
        }
    }
}
