//! The cases, by what people do.

mod files;

use crate::support::Case;

/// All cases in the order in which they start.
pub fn all() -> Vec<Case> {
    [files::cases()].into_iter().flatten().collect()
}
