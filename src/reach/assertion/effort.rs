//! How much an evaluation may take: pods that may come are made of the selectors of policies, each end has as many as there
//! are, and every pair of them asks all the policies again. Whoever writes policies can make that the fourth power of them.

/// What is left, in policies asked about a pair.
#[derive(Debug)]
pub struct Effort {
    left: Option<usize>,
}

impl Effort {
    /// As much as it takes.
    pub const fn unlimited() -> Self {
        Self { left: Some(usize::MAX) }
    }

    /// So many policies asked about a pair.
    pub const fn of(steps: usize) -> Self {
        Self { left: Some(steps) }
    }

    /// None that is left.
    pub const fn none() -> Self {
        Self { left: None }
    }

    /// Whether it was not enough.
    pub const fn is_spent(&self) -> bool {
        self.left.is_none()
    }

    pub(super) fn take(&mut self, steps: usize) {
        self.left = self.left.and_then(|left| left.checked_sub(steps));
    }
}
