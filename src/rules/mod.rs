//! The house rules: one file, one page and one literate spec each, and the list of all of them.

mod baseline;
mod missing_default_deny;
mod rule;
mod suggest;

pub use baseline::baseline;
pub use rule::{Affected, Context, Finding, Fix, Rule, RuleMeta};

use crate::model::house::RuleId;

/// Every rule, in the order of their names.
pub static RULES: &[&dyn Rule] = &[&missing_default_deny::MissingDefaultDeny];

/// The facts about a rule.
pub fn meta(id: RuleId) -> Option<&'static RuleMeta> {
    RULES.iter().map(|rule| rule.meta()).find(|meta| meta.id == id)
}
