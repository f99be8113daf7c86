//! Renderers of a verdict, all pure: what kubectl shows, what the audit log keeps, what machines read.

mod denial;
mod entrance;
mod findings;
mod github;
mod junit;
pub mod matrix;
mod matrix_diff;
mod matrix_dot;
mod matrix_html;
mod matrix_read;
pub mod printable;
mod reach;
mod sarif;

pub use denial::{causes, denial, warnings};
pub use entrance::add_entries;
pub use findings::{FileFinding, ObjectId, Place, Report, Summary, Unreadable};
pub use matrix::{Filter, Pick, Row};
pub use matrix_diff::Difference;
pub use matrix_html::{Page, State};
pub use matrix_read::{BadRows, read_connections, read_end, read_rows};
pub use reach::Reach;

use crate::model::Policy;
use crate::model::house::RuleId;
use crate::translate::render;

/// The page of a rule.
pub fn docs_url(rule: RuleId) -> String {
    format!("{}/blob/main/docs/rules/{rule}.md", env!("CARGO_PKG_REPOSITORY"))
}

/// Policies as one YAML stream, ready for `kubectl apply -f -`.
pub fn yaml<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> String {
    let documents: Vec<String> = policies
        .into_iter()
        .filter_map(|policy| render::policy(policy).ok())
        .map(|value| render::to_yaml(&value))
        .collect();
    documents.join("---\n")
}
