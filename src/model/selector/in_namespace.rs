//! Selectors of pods that also look at the labels of the namespace, in a namespace whose labels are known.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_the_namespace_are_settled_and_the_rest_stays() {
        let prod = Labels::new([("env", "prod")]);
        let selector = Selector::And(vec![Selector::equals("@namespace/env", "prod"), Selector::exists("app")]);
        assert!(!selector.in_namespace(&prod).matches_everything());
        assert!(selector.in_namespace(&prod).matches(&Labels::new([("app", "web")])));
        assert!(!selector.in_namespace(&Labels::default()).matches(&Labels::new([("app", "web")])));
        let only = Selector::equals("@namespace/env", "prod");
        assert!(only.in_namespace(&prod).matches_everything());
        assert_eq!(only.negate().in_namespace(&prod).representative(), None);
    }
}
