//! The answer to a review, as the API server expects it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::ObjectRef;
use crate::model::house::Level;
use crate::report;
use crate::report::printable::{MOST_BYTES, MOST_OF_A_SENTENCE, cut};
use crate::review::Verdict;

/// An answer that has not been written yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, String>,
}

#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    message: String,
    reason: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Debug, Serialize)]
struct Details {
    name: String,
    group: String,
    kind: String,
    causes: Vec<Cause>,
}

#[derive(Debug, Serialize)]
struct Cause {
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

impl<'a> Response<'a> {
    /// Lets it pass.
    pub const fn allow(uid: &'a str) -> Self {
        Self { uid, allowed: true, status: None, warnings: Vec::new(), audit_annotations: BTreeMap::new() }
    }

    /// Refuses it, with a status of its own.
    pub fn refuse(uid: &'a str, code: u16, reason: &'static str, message: &str) -> Self {
        let message = cut(message, MOST_BYTES / 2).into_owned();
        let status = Status { status: "Failure", message, reason, code, details: None };
        Self { allowed: false, status: Some(status), ..Self::allow(uid) }
    }

    /// The answer of a verdict.
    pub fn of(uid: &'a str, verdict: &Verdict) -> Self {
        let mut response = match report::denial(verdict) {
            None => Self::allow(uid),
            Some(message) => Self::refuse(uid, 403, "Forbidden", &message),
        };
        if let Some(status) = &mut response.status {
            status.details = Some(details(&verdict.object, verdict));
        }
        response.warnings = report::warnings(verdict);
        response.annotate(verdict);
        response
    }

    /// Adds a warning that kubectl shows.
    #[must_use]
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// What the audit log keeps. The API server puts the webhook's name before each key.
    fn annotate(&mut self, verdict: &Verdict) {
        self.audit_annotations.insert("snapshot", verdict.snapshot.to_string());
        for level in [Level::Enforce, Level::Warn, Level::Audit] {
            let mut rules: Vec<&str> = verdict.at(level).map(|j| j.finding.rule.as_str()).collect();
            rules.dedup();
            if !rules.is_empty() {
                self.audit_annotations.insert(level.as_str(), rules.join(","));
            }
        }
        let mut lifted: Vec<String> = verdict
            .findings
            .iter()
            .filter_map(|j| Some(format!("{} by {}", j.finding.rule, j.lifted.as_ref()?)))
            .collect();
        let mut seen = BTreeSet::new();
        lifted.retain(|entry| seen.insert(entry.clone()));
        if !lifted.is_empty() {
            self.audit_annotations.insert("lifted", cut(&lifted.join("; "), MOST_OF_A_SENTENCE).into_owned());
        }
    }

    /// The bytes of the AdmissionReview.
    pub fn to_bytes(&self) -> Vec<u8> {
        let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response: self };
        // Strings and numbers only: nothing in it can fail to serialize.
        serde_json::to_vec(&review).unwrap_or_default()
    }
}

fn details(object: &ObjectRef, verdict: &Verdict) -> Details {
    Details {
        name: cut(&object.name, MOST_OF_A_SENTENCE).into_owned(),
        group: object.group().to_owned(),
        kind: object.kind.to_string(),
        causes: report::causes(verdict)
            .into_iter()
            .map(|(reason, message, field)| Cause { reason, message, field })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Change;
    use crate::model::house::RuleId;
    use crate::review::{User, review};
    use crate::rules::fixtures;
    use crate::snapshot::Snapshot;

    #[test]
    fn what_lifts_several_findings_of_a_rule_is_kept_once() {
        let mut house = fixtures::only(RuleId::MissingDefaultDeny);
        house.rules[0].exempt.namespaces = vec!["shop".into()];
        let change = Change::create(fixtures::pod("shop", "web", &[]));
        let verdict = review(&Snapshot::default(), &house, &change, &User::default());
        assert_eq!(verdict.findings.len(), 2, "one for each direction: {verdict:?}");
        let response = Response::of("uid", &verdict);
        let lifted = response.audit_annotations.get("lifted").map(String::as_str);
        assert_eq!(lifted, Some("missing-default-deny by HouseRules/only: exempt namespace shop"));
    }
}
