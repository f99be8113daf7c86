//! `portcullis rules`: the list of house rules, or the page of one.

use std::io::Write;

use anyhow::bail;

use super::Exit;
use crate::model::house::RuleId;
use crate::rules;

/// List the house rules, or explain one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  portcullis rules
  portcullis rules missing-default-deny")]
pub struct Args {
    /// The rule to explain
    id: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let Some(id) = &args.id else {
        for rule in rules::RULES {
            let meta = rule.meta();
            writeln!(out, "{:<24}{:<9}{}", meta.id.as_str(), meta.id.default_level().as_str(), meta.summary())?;
        }
        return Ok(Exit::Clean);
    };
    let Some(meta) = RuleId::parse(id).and_then(rules::meta) else {
        let known: Vec<&str> = RuleId::ALL.iter().map(|id| id.as_str()).collect();
        bail!("there is no rule `{id}`; the rules are {}", known.join(", "));
    };
    out.write_all(meta.page().as_bytes())?;
    Ok(Exit::Clean)
}
