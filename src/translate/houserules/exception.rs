//! `RuleException` into model terms. Anything that could widen it by mistake makes the whole object count for nothing.

use jiff::Timestamp;
use serde_json::Value;

use super::reader::{self, Reader};
use crate::model::house::{Exception, RuleId};
use crate::model::{FieldPath, Selector, Str, Unread};

const NOTHING: &str = "the exception does not count";

/// Reads a RuleException. `None` if it cannot count: its rules, targets, reason or end could not be read.
/// Unknown rules among known ones only drop out, because less is lifted then.
pub fn rule_exception(value: &Value) -> (Option<Exception>, Vec<Unread>) {
    let mut read = Reader::default();
    let exception = read_exception(&mut read, value);
    (exception, read.finish())
}

fn read_exception(read: &mut Reader, value: &Value) -> Option<Exception> {
    let name = read.name(value);
    let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    if namespace.is_empty() {
        read.unread(&FieldPath::new("metadata.namespace"), format!("is missing; {NOTHING}"));
    }
    let at = FieldPath::new("spec");
    let spec = read.optional_object(value.get("spec"), &at, NOTHING)?;
    read.known(spec, &at, &["rules", "targets", "reason", "expires"]);

    // Every part is read before the first missing one ends it, so that all slips show up at once.
    let rules = read_rules(read, spec.get("rules"), &at.field("rules"));
    let targets = read_targets(read, spec.get("targets"), &at.field("targets"));
    let reason = spec.get("reason").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    if reason.is_none() {
        read.unread(&at.field("reason"), format!("does not say why; {NOTHING}"));
    }
    let expires = spec.get("expires").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    if expires.is_none() {
        read.unread(&at.field("expires"), format!("is not a time such as 2027-01-31T18:00:00Z; {NOTHING}"));
    }
    if name.is_empty() || namespace.is_empty() {
        return None;
    }
    let (namespaces, selector) = targets?;
    Some(Exception {
        name: format!("{namespace}/{name}").into(),
        rules: rules?,
        namespaces,
        selector,
        reason: reason?.into(),
        expires_at: expires?.as_second(),
    })
}

fn read_rules(read: &mut Reader, value: Option<&Value>, at: &FieldPath) -> Option<Vec<RuleId>> {
    let names: Vec<&str> = RuleId::ALL.iter().map(|id| id.as_str()).collect();
    let Some(Value::Array(list)) = value else {
        read.unread(at, format!("is not a list of rules; {NOTHING}"));
        return None;
    };
    let mut rules: Vec<RuleId> = list
        .iter()
        .enumerate()
        .filter_map(|(i, item)| read.one_of(item, &at.index(i), &names, "no rule is lifted by it"))
        .filter_map(RuleId::parse)
        .collect();
    rules.sort();
    rules.dedup();
    if list.is_empty() {
        read.unread(at, format!("is empty; {NOTHING}"));
    }
    (!rules.is_empty()).then_some(rules)
}

fn read_targets(read: &mut Reader, value: Option<&Value>, at: &FieldPath) -> Option<(Vec<Str>, Selector)> {
    let targets = read.optional_object(value, at, NOTHING)?;
    read.known(targets, at, &["namespaces", "selector"]);
    let Some(namespaces) = targets.get("namespaces") else {
        read.unread(&at.field("namespaces"), format!("is missing: name the namespaces it is for; {NOTHING}"));
        return None;
    };
    let what = "the exact name of a namespace";
    let (namespaces, _) = read.each(namespaces, &at.field("namespaces"), what, "nothing is lifted there", |text| {
        reader::is_dns_label(text).then(|| Str::from(text))
    });
    let selector = match targets.get("selector") {
        Some(selector) => read.selector(selector, &at.field("selector"), NOTHING)?,
        // A misspelt selector would otherwise widen the exception to the whole namespace.
        None if targets.keys().any(|key| key != "namespaces") => return None,
        None => Selector::everything(),
    };
    (!namespaces.is_empty()).then_some((namespaces, selector))
}
