//! Findings as SARIF 2.1.0, the form in which code hosts show results of analysis beside the line.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::docs_url;
use super::findings::{FileFinding, Report};
use crate::model::house::Level;
use crate::rules::RULES;

/// What SARIF calls a level. It has no "refused", so what would be refused is an error.
fn level(of: &str) -> &'static str {
    match of {
        "enforce" => "error",
        "warn" => "warning",
        _ => "note",
    }
}

impl Report {
    /// As a SARIF log of one run. Every rule is listed, found or not, so that a host can tell "clean" from "not looked at".
    ///
    /// # Errors
    /// Never for a report that this program made: every key is text.
    pub fn to_sarif(&self) -> Result<String, serde_json::Error> {
        let rules: Vec<Value> = RULES
            .iter()
            .map(|rule| {
                let meta = rule.meta();
                json!({
                    "id": meta.id.as_str(),
                    "shortDescription": {"text": meta.summary()},
                    "helpUri": docs_url(meta.id),
                    "defaultConfiguration": {
                        "enabled": meta.id.default_level() != Level::Off,
                        "level": level(meta.id.default_level().as_str()),
                    },
                })
            })
            .collect();
        let log = json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": env!("CARGO_PKG_NAME"),
                    "version": env!("CARGO_PKG_VERSION"),
                    "informationUri": env!("CARGO_PKG_REPOSITORY"),
                    "rules": rules,
                }},
                "columnKind": "unicodeCodePoints",
                "results": self.findings.iter().map(result).collect::<Vec<_>>(),
            }],
        });
        Ok(serde_json::to_string_pretty(&log)? + "\n")
    }
}

fn result(finding: &FileFinding) -> Value {
    let object = &finding.object;
    let path = object.path();
    let mut text = finding.message.clone();
    for fact in &finding.because {
        text.push_str("\nbecause ");
        text.push_str(fact);
    }
    if let Some(fix) = &finding.fix {
        text.push_str(if fix.contains('\n') { "\nfix (checked):\n" } else { "\n" });
        text.push_str(fix);
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": RULES.iter().position(|rule| rule.meta().id.as_str() == finding.rule),
        "level": level(finding.level),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.file)},
                "region": {"startLine": finding.line.max(1), "startColumn": finding.column.max(1)},
            },
            "logicalLocations": [{
                "fullyQualifiedName": object.to_string(),
                "kind": "resource",
            }],
        }],
        // Lines move; what is wrong with which object does not.
        "partialFingerprints": {
            "finding/v1": format!("{}|{}|{}|{path}|{}|{}", finding.rule, object.api_version, object.kind, finding.path, finding.message),
        },
    })
}

/// A path as a URI reference: everything but what RFC 3986 leaves unreserved, and the slash, is escaped.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped() {
        assert_eq!(uri("./a b/ü.yaml"), "a%20b/%C3%BC.yaml");
    }
}
