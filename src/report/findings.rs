//! What `check` says about files: findings with file, line and column, as text for people and as JSON that stays the same.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;

use super::denial::affected;
use super::printable::{lines, place, sentence};
use super::yaml;
use crate::model::ObjectRef;
use crate::model::house::Level;
use crate::review::{Cure, Judged, Verdict};

/// A place in a file. Lines and columns count from one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File as it was named.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// An object, as machines name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectId {
    /// `group/version`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectId {
    /// `production/allow-dns`, or the name alone for cluster-scoped objects.
    pub(super) fn path(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

impl fmt::Display for ObjectId {
    /// `NetworkPolicy production/allow-dns`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.path())
    }
}

impl From<&ObjectRef> for ObjectId {
    fn from(id: &ObjectRef) -> Self {
        Self {
            api_version: id.api_version.to_string(),
            kind: id.kind.to_string(),
            namespace: id.namespace().to_owned(),
            name: id.name.to_string(),
        }
    }
}

/// One finding in a file. Fields are in the order in which they are sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileFinding {
    /// File.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
    /// Rule.
    pub rule: &'static str,
    /// Level.
    pub level: &'static str,
    /// Object.
    pub object: ObjectId,
    /// Field, empty for the whole object.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// Facts that lead to it.
    pub because: Vec<String>,
    /// A policy that mends it, proved; or advice; or nothing.
    pub fix: Option<String>,
}

impl FileFinding {
    /// A judged finding at a place.
    pub fn new(verdict: &Verdict, judged: &Judged, place: Place) -> Self {
        let finding = &judged.finding;
        let proved = match &verdict.cure {
            Cure::First(policies) if judged.level == Level::Enforce => Some(yaml(policies)),
            Cure::Instead(written) if judged.level == Level::Enforce => Some(written.yaml.clone()),
            _ => None,
        };
        let mut because = finding.because.clone();
        if !finding.affected.is_empty() {
            because.push(format!("affects {}", affected(&finding.affected)));
        }
        Self {
            file: place.file,
            line: place.line,
            column: place.column,
            rule: finding.rule.as_str(),
            level: judged.level.as_str(),
            object: ObjectId::from(&finding.object),
            path: finding.path.as_str().to_owned(),
            message: finding.message.clone(),
            because,
            fix: proved.or_else(|| finding.help.clone()),
        }
    }
}

/// Input that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable(pub String);

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Findings at enforce.
    pub enforce: usize,
    /// Findings at warn.
    pub warn: usize,
    /// Findings at audit.
    pub audit: usize,
    /// Objects that were judged.
    pub objects: usize,
    /// Documents that were passed over.
    pub skipped: usize,
}

/// Everything a check found. Sorted: the same input gives the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Findings by file, line, column and rule.
    pub findings: Vec<FileFinding>,
    /// Counts.
    pub summary: Summary,
}

impl Report {
    /// A report of these findings.
    pub fn new(mut findings: Vec<FileFinding>, objects: usize, skipped: usize) -> Self {
        findings.sort();
        findings.dedup();
        let count = |level: Level| findings.iter().filter(|f| f.level == level.as_str()).count();
        let summary = Summary {
            enforce: count(Level::Enforce),
            warn: count(Level::Warn),
            audit: count(Level::Audit),
            objects,
            skipped,
        };
        Self { findings, summary }
    }

    /// As JSON, one line per nothing: indented, with a final newline.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// As text for a terminal. `colour` paints the levels.
    pub fn to_text(&self, colour: bool) -> String {
        let paint = |level: &str| {
            let code = match level {
                "enforce" => "31",
                "warn" => "33",
                _ => "36",
            };
            if colour { format!("\x1b[1;{code}m{level}\x1b[0m") } else { level.to_owned() }
        };
        let mut out = String::new();
        let mut fixes: Vec<&str> = Vec::new();
        for finding in &self.findings {
            let _ = writeln!(
                out,
                "{}:{}:{}: {}[{}] {}",
                place(&finding.file),
                finding.line,
                finding.column,
                paint(finding.level),
                finding.rule,
                sentence(&finding.message)
            );
            let at = if finding.path.is_empty() { String::new() } else { format!(" at {}", sentence(&finding.path)) };
            let _ = writeln!(out, "    in       {}{at}", sentence(&finding.object.to_string()));
            for fact in &finding.because {
                let _ = writeln!(out, "    because  {}", sentence(fact));
            }
            match finding.fix.as_deref() {
                // One policy often mends many findings: shown once, at the end.
                Some(fix) if fix.contains('\n') => {
                    if !fixes.contains(&fix) {
                        fixes.push(fix);
                    }
                    let number = fixes.iter().position(|f| *f == fix).unwrap_or_default() + 1;
                    let _ = writeln!(out, "    fix      policy {number} below (checked)");
                }
                Some(help) => {
                    let _ = writeln!(out, "    help     {}", sentence(help));
                }
                None => {}
            }
        }
        for (i, fix) in fixes.iter().enumerate() {
            let _ = write!(out, "\n# fix {}\n{}", i + 1, lines(fix));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        let s = self.summary;
        let skipped = if s.skipped == 0 { String::new() } else { format!(", {} skipped", s.skipped) };
        let _ = writeln!(
            out,
            "{} objects checked{skipped}: {} enforce, {} warn, {} audit",
            s.objects, s.enforce, s.warn, s.audit
        );
        out
    }
}
