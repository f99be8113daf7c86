//! Two readings of one condition: the narrowest, which holds whatever is not known, and the widest. Nearly always they are
//! one, and it is kept once.

/// A condition, as it certainly is and as it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair<T> {
    narrow: T,
    /// Only where it is another than the narrow one.
    wider: Option<T>,
}

impl<T> Pair<T> {
    /// A condition of which everything is known.
    pub(super) const fn exact(value: T) -> Self {
        Self { narrow: value, wider: None }
    }

    /// Whether everything is known.
    pub(super) const fn is_exact(&self) -> bool {
        self.wider.is_none()
    }

    /// What it certainly covers.
    pub(super) const fn narrow(&self) -> &T {
        &self.narrow
    }

    /// What it may cover.
    pub(super) fn wide(&self) -> &T {
        self.wider.as_ref().unwrap_or(&self.narrow)
    }

    pub(super) fn into_narrow(self) -> T {
        self.narrow
    }

    pub(super) fn into_wide(self) -> T {
        self.wider.unwrap_or(self.narrow)
    }
}

impl<T: PartialEq> Pair<T> {
    /// A condition with these readings.
    pub(super) fn new(narrow: T, wide: T) -> Self {
        let wider = (narrow != wide).then_some(wide);
        Self { narrow, wider }
    }

    /// Both readings, changed alike.
    pub(super) fn map<U: PartialEq>(self, mut change: impl FnMut(T) -> U) -> Pair<U> {
        let narrow = change(self.narrow);
        match self.wider {
            Some(wide) => Pair::new(narrow, change(wide)),
            None => Pair::exact(narrow),
        }
    }

    /// The same with less that is certain.
    pub(super) fn narrowed(self, change: impl FnOnce(&T) -> T) -> Self {
        let narrow = change(&self.narrow);
        Self::new(narrow, self.into_wide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_equal_is_kept_once() {
        assert!(Pair::new(1, 1).is_exact());
        let open = Pair::new(1, 2);
        assert_eq!((open.is_exact(), *open.narrow(), *open.wide()), (false, 1, 2));
        assert_eq!(open.clone().map(|n| n + 1), Pair::new(2, 3));
        assert!(open.clone().map(|_| 0).is_exact());
        assert_eq!(open.narrowed(|n| n - 1), Pair::new(0, 2));
        let narrowed = Pair::exact(5).narrowed(|n| n - 1);
        assert_eq!((*narrowed.narrow(), narrowed.into_wide()), (4, 5));
        assert_eq!(Pair::exact(5).into_wide(), Pair::exact(5).into_narrow());
    }
}
