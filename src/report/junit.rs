//! Findings as JUnit XML, which every CI system shows: one suite a file, one case a finding, and a case that passes for a
//! file in which nothing is wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::findings::{FileFinding, Report};

impl Report {
    /// As JUnit XML. What would be refused fails; warnings and audit findings pass and say what they found.
    /// `files` are all files that were read, so that clean ones are seen to have been looked at.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn to_junit(&self, files: &[String]) -> io::Result<String> {
        let mut suites: BTreeMap<&str, Vec<&FileFinding>> =
            files.iter().map(|file| (file.as_str(), Vec::new())).collect();
        for finding in &self.findings {
            suites.entry(&finding.file).or_default().push(finding);
        }
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let tests: usize = suites.values().map(|found| found.len().max(1)).sum();
        writer
            .create_element("testsuites")
            .with_attribute(("name", env!("CARGO_PKG_NAME")))
            .with_attribute(("tests", tests.to_string().as_str()))
            .with_attribute(("failures", self.summary.enforce.to_string().as_str()))
            .write_inner_content(|writer| {
                for (file, found) in &suites {
                    suite(writer, file, found)?;
                }
                Ok(())
            })?;
        let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        text.push('\n');
        Ok(text)
    }
}

fn suite(writer: &mut Writer<Vec<u8>>, file: &str, found: &[&FileFinding]) -> io::Result<()> {
    let failures = found.iter().filter(|f| f.level == "enforce").count();
    writer
        .create_element("testsuite")
        .with_attribute(("name", clean(file).as_str()))
        .with_attribute(("tests", found.len().max(1).to_string().as_str()))
        .with_attribute(("failures", failures.to_string().as_str()))
        .write_inner_content(|writer| {
            if found.is_empty() {
                let case = writer.create_element("testcase").with_attribute(("name", "house rules"));
                case.with_attribute(("classname", clean(file).as_str())).write_empty()?;
            }
            for finding in found {
                case(writer, finding)?;
            }
            Ok(())
        })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, finding: &FileFinding) -> io::Result<()> {
    let name = format!("{}: {}", finding.rule, finding.object);
    let mut said =
        format!("{}:{}:{}: {}[{}]\n", finding.file, finding.line, finding.column, finding.level, finding.rule);
    for fact in &finding.because {
        let _ = writeln!(said, "because {fact}");
    }
    if let Some(fix) = &finding.fix {
        let _ = writeln!(said, "fix {fix}");
    }
    writer
        .create_element("testcase")
        .with_attribute(("name", clean(&name).as_str()))
        .with_attribute(("classname", clean(&finding.file).as_str()))
        .with_attribute(("file", clean(&finding.file).as_str()))
        .with_attribute(("line", finding.line.to_string().as_str()))
        .write_inner_content(|writer| {
            let message = clean(&finding.message);
            let element = if finding.level == "enforce" {
                writer
                    .create_element("failure")
                    .with_attribute(("type", finding.rule))
                    .with_attribute(("message", message.as_str()))
            } else {
                said.insert_str(0, &format!("{message}\n"));
                writer.create_element("system-out")
            };
            element.write_text_content(BytesText::new(&clean(&said)))?;
            Ok(())
        })?;
    Ok(())
}

/// XML 1.0 has no way to write most control characters; manifests can hold them.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t' | '\r') { '\u{fffd}' } else { c }).collect()
}
