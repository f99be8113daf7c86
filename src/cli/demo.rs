//! `portcullis demo`: the main job without a cluster. The answers are real: each step is an AdmissionReview that the gate
//! judges, and what it admits becomes part of the world of the next step.

use std::io::Write;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::{Exit, review};
use crate::model::house::Level;
use crate::model::{Change, Object};
use crate::review::World;
use crate::source::manifests::read_str;
use crate::translate::{Defaults, Kind, from_value};

/// Show what Portcullis does, without a cluster.
#[derive(Debug, clap::Args)]
pub struct Args {}

const CLUSTER: &str = include_str!("demo/cluster.yaml");
const WEB: &str = include_str!("demo/web.yaml");
const EGRESS: &str = include_str!("demo/egress.yaml");

struct Stage<'a, W: Write> {
    world: World,
    out: &'a mut W,
    colour: bool,
}

pub(super) fn run(_args: &Args, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut stage = Stage { world: World::default(), out, colour: super::colour() };
    for value in documents(CLUSTER)? {
        let object = object(&value)?;
        stage.world.snapshot.insert(&object);
    }
    stage.tell("A namespace `shop` without policies, and somebody applies a Deployment:")?;
    let denial = stage.apply("web.yaml", WEB)?;
    stage.tell("The message carries a cure. It is applied as printed:")?;
    let cure = cure_in(&denial).context("the denial of the demo carries no cure")?;
    stage.apply("-", cure)?;
    stage.tell("and now the same Deployment passes:")?;
    stage.apply("web.yaml", WEB)?;
    stage.tell("The whole internet in two halves, the private ranges inside it, is the whole internet:")?;
    stage.apply("egress.yaml", EGRESS)?;
    stage.tell("The default deny cannot be pulled out from under running pods:")?;
    stage.delete("default-deny-all", cure)?;
    stage.tell("With `mode: warn` nothing is ever blocked, and kubectl shows what would be:")?;
    stage.world.house.cap = Level::Warn;
    stage.apply("egress.yaml", EGRESS)?;
    stage.tell("Next: `portcullis check YOUR-MANIFESTS/`, or install the chart: charts/portcullis.")?;
    Ok(Exit::Clean)
}

fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let (documents, errors) = read_str("demo", text);
    ensure!(errors.is_empty(), "the demo's own manifests are broken: {errors:?}");
    Ok(documents.into_iter().map(|document| document.value).collect())
}

fn field<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn kind_of(value: &Value) -> anyhow::Result<Kind> {
    let group = field(value, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    Kind::of(group, field(value, "/kind")).context("the demo uses a kind that is not read")
}

fn object(value: &Value) -> anyhow::Result<Object> {
    Ok(from_value(kind_of(value)?, value, &Defaults::default()))
}

/// The manifest between the lines of the here-document that a denial prints.
fn cure_in(denial: &str) -> Option<&str> {
    let (_, rest) = denial.split_once("<<'EOF'\n")?;
    rest.split_once("EOF\n").map(|(cure, _)| cure)
}

impl<W: Write> Stage<'_, W> {
    fn tell(&mut self, text: &str) -> std::io::Result<()> {
        if self.colour { writeln!(self.out, "\x1b[1;36m# {text}\x1b[0m") } else { writeln!(self.out, "# {text}") }
    }

    /// Applies a manifest and shows what kubectl would show; what is admitted joins the world. Returns the last denial.
    fn apply(&mut self, file: &str, manifest: &str) -> anyhow::Result<String> {
        writeln!(self.out, "$ kubectl apply -f {file}")?;
        let mut denial = String::new();
        for value in documents(manifest)? {
            if let Some(message) = self.send("CREATE", &value)? {
                denial = message;
            }
        }
        writeln!(self.out)?;
        Ok(denial)
    }

    fn delete(&mut self, name: &str, manifest: &str) -> anyhow::Result<()> {
        writeln!(self.out, "$ kubectl delete networkpolicy {name} -n shop")?;
        for value in documents(manifest)?.iter().filter(|value| field(value, "/metadata/name") == name) {
            self.send("DELETE", value)?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    fn send(&mut self, operation: &str, value: &Value) -> anyhow::Result<Option<String>> {
        let kind = kind_of(value)?;
        let (old, new) = if operation == "DELETE" { (value, &Value::Null) } else { (&Value::Null, value) };
        let request = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "demo",
                "kind": {"group": kind.group(), "version": kind.version(), "kind": kind.kind()},
                "name": field(value, "/metadata/name"),
                "namespace": field(value, "/metadata/namespace"),
                "operation": operation,
                "userInfo": {"username": "ann"},
                "object": new,
                "oldObject": old,
            }
        });
        let (reply, _) = review::answer(self.world.clone(), &serde_json::to_vec(&request)?)?;
        let crate::admission::Reply::Review(bytes) = reply else { anyhow::bail!("the gate gave no review back") };
        let answer: Value = serde_json::from_slice(&bytes)?;
        for warning in answer.pointer("/response/warnings").and_then(Value::as_array).into_iter().flatten() {
            writeln!(self.out, "Warning: {}", warning.as_str().unwrap_or_default())?;
        }
        let dot = if kind.group().is_empty() { "" } else { "." };
        let name = field(value, "/metadata/name");
        let resource = format!("{}{dot}{}/{name}", kind.kind().to_lowercase(), kind.group());
        if answer.pointer("/response/allowed") == Some(&Value::Bool(true)) {
            let object = object(value)?;
            let change = if operation == "DELETE" { Change::delete(object) } else { Change::create(object) };
            self.world.snapshot.apply(&change);
            writeln!(self.out, "{resource} {}", if operation == "DELETE" { "deleted" } else { "created" })?;
            return Ok(None);
        }
        let message = field(&answer, "/response/status/message").to_owned();
        writeln!(
            self.out,
            "Error from server (Forbidden): admission webhook \"houserules.portcullis.dev\" denied the request: {message}"
        )?;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_shows_what_it_says() {
        let mut out = Vec::new();
        assert_eq!(run(&Args {}, &mut out).unwrap(), Exit::Clean);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("missing-default-deny: no default deny for Ingress in namespace shop"), "{text}");
        assert!(text.contains("deployment.apps/web created"), "{text}");
    }
}
