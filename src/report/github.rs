//! Findings as workflow commands: the lines by which GitHub Actions marks a place in a pull request.

use std::fmt::Write as _;

use super::findings::Report;
use super::printable::lines;

impl Report {
    /// One command a finding, and the summary as plain text at the end.
    pub fn to_github(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let command = match finding.level {
                "enforce" => "error",
                "warn" => "warning",
                _ => "notice",
            };
            let mut text = format!("{}: {}", finding.object, finding.message);
            for fact in &finding.because {
                let _ = write!(text, "\nbecause {fact}");
            }
            if let Some(fix) = &finding.fix {
                let _ = write!(text, "\nfix {fix}");
            }
            let _ = writeln!(
                out,
                "::{command} file={},line={},col={},title={}::{}",
                property(finding.file.trim_start_matches("./")),
                finding.line.max(1),
                finding.column.max(1),
                property(finding.rule),
                data(&text)
            );
        }
        let s = self.summary;
        let _ =
            writeln!(out, "{} objects checked: {} enforce, {} warn, {} audit", s.objects, s.enforce, s.warn, s.audit);
        out
    }
}

/// Text after the `::`. Unescaped, a line break in a manifest's name could start a command of its own.
fn data(text: &str) -> String {
    lines(text).replace('%', "%25").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_says_cannot_become_a_command() {
        assert_eq!(data("a\n::add-mask::x%"), "a%0A::add-mask::x%25");
        assert_eq!(property("a,line=9::b"), "a%2Cline=9%3A%3Ab");
    }
}
