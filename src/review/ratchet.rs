//! The ratchet: a change is blamed only for what it makes worse.

use std::collections::BTreeSet;

use crate::rules::Finding;
use crate::snapshot::Owner;

/// Pairs each finding with whether it was there before. Pods that were affected before are taken out of it.
pub(super) fn blame(before: &[Finding], after: Vec<Finding>) -> Vec<(Finding, bool)> {
    let judged = after.into_iter().map(|mut finding| {
        let includes = |old: &Finding| old.key == finding.key || old.implies.contains(&finding.key);
        let same: Vec<&Finding> = before.iter().filter(|old| old.rule == finding.rule && includes(old)).collect();
        if same.is_empty() {
            return (finding, false);
        }
        if finding.affected.is_empty() {
            return (finding, true);
        }
        let old: BTreeSet<&Owner> = same.iter().flat_map(|f| &f.affected).map(|a| &a.owner).collect();
        let news: Vec<_> = finding.affected.iter().filter(|a| !old.contains(&a.owner)).cloned().collect();
        let pre_existing = news.is_empty();
        if !pre_existing {
            finding.affected = news;
        }
        (finding, pre_existing)
    });
    judged.collect()
}
