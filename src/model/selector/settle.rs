//! A selector in a place where some of its labels are known: those of the namespace, when one namespace is judged.

use std::borrow::Cow;

use super::{NAMESPACE_LABEL_PREFIX, Selector};
use crate::model::labels::Labels;

impl Selector {
    /// The selector for pods of a namespace with these labels: its tests of them are decided.
    pub fn in_namespace(&self, labels: &Labels) -> Cow<'_, Self> {
        let mut any = false;
        self.visit(&mut |key, _| any |= key.starts_with(NAMESPACE_LABEL_PREFIX));
        if any { Cow::Owned(self.decided(labels)) } else { Cow::Borrowed(self) }
    }

    fn decided(&self, labels: &Labels) -> Self {
        match self {
            Self::Key(key, test) => match key.strip_prefix(NAMESPACE_LABEL_PREFIX) {
                Some(key) if test.holds(labels.get(key).map(|v| &**v)) => Self::everything(),
                Some(_) => Self::nothing(),
                None => self.clone(),
            },
            Self::Not(inner) => Self::Not(Box::new(inner.decided(labels))),
            Self::And(parts) => Self::And(parts.iter().map(|part| part.decided(labels)).collect()),
            Self::Or(parts) => Self::Or(parts.iter().map(|part| part.decided(labels)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_namespace_are_decided_and_others_stay() {
        let prod = Labels::new([("env", "prod")]);
        let selector =
            Selector::all(vec![Selector::equals("@namespace/env", "prod"), Selector::exists("app").negate()]);
        assert!(!selector.in_namespace(&prod).matches_everything());
        let either = Selector::Or(vec![Selector::equals("@namespace/env", "prod"), Selector::exists("app")]);
        assert!(either.in_namespace(&prod).matches_everything());
        assert!(!either.in_namespace(&Labels::default()).matches_everything());
        assert!(matches!(Selector::exists("app").in_namespace(&prod), Cow::Borrowed(_)));
    }
}
