//! Two readings of one condition: the narrowest, which holds whatever is not known, and the widest.

/// A condition, twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair<T> {
    /// What it certainly covers.
    pub(super) narrow: T,
    /// What it may cover.
    pub(super) wide: T,
}

impl<T: Clone> Pair<T> {
    /// A condition of which everything is known.
    pub(super) fn exact(value: T) -> Self {
        Self { narrow: value.clone(), wide: value }
    }
}

impl<T: PartialEq> Pair<T> {
    pub(super) fn is_exact(&self) -> bool {
        self.narrow == self.wide
    }
}
