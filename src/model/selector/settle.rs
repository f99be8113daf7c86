//! A selector in a place where some of its labels are known: those of the namespace, when one namespace is judged.

use std::borrow::Cow;

use super::{Labels, Lookup, NAMESPACE_LABEL_PREFIX, Selector};

impl Selector {
    /// The same where the labels of the namespace are known: what it says about those is settled.
    pub fn in_namespace(&self, namespace: &Labels) -> Cow<'_, Self> {
        let mut settles = false;
        self.visit(&mut |key, _| settles |= key.starts_with(NAMESPACE_LABEL_PREFIX));
        if settles { Cow::Owned(self.settled(namespace)) } else { Cow::Borrowed(self) }
    }

    fn settled(&self, namespace: &Labels) -> Self {
        match self {
            Self::Key(key, test) => match key.strip_prefix(NAMESPACE_LABEL_PREFIX) {
                Some(key) if test.holds(namespace.value(key)) => Self::everything(),
                Some(_) => Self::nothing(),
                None => self.clone(),
            },
            Self::Not(inner) => Self::Not(Box::new(inner.settled(namespace))),
            Self::And(parts) => Self::all(parts.iter().map(|p| p.settled(namespace)).collect()),
            Self::Or(parts) => Self::Or(parts.iter().map(|p| p.settled(namespace)).collect()),
        }
    }
}
