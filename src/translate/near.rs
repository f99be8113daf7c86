//! The name that a misspelt field or value most likely means.

use crate::model::meter::charge;

/// The nearest of some names, with the number of edits, regardless of case. A string that is much longer than all of them is
/// near to none, and is not compared.
pub(super) fn nearest<'n>(text: &str, names: &[&'n str]) -> Option<(usize, &'n str)> {
    charge(16);
    let longest = names.iter().map(|name| name.len()).max()?;
    if text.len() > 2 * longest {
        return None;
    }
    let lower = text.to_lowercase();
    names.iter().map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), *name)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_much_longer_than_every_name_is_not_compared() {
        assert_eq!(nearest("Slector", &["selector", "types"]), Some((1, "selector")));
        assert_eq!(nearest(&"selector".repeat(1 << 20), &["selector", "types"]), None);
        assert_eq!(nearest("a", &[]), None);
    }
}
