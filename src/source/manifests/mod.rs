//! Kubernetes manifests from files, folders and standard input, as values that know the line of every
//! field: a finding in CI is worth little without the place to change.
//!
//! Everything that can be read is read; what cannot is returned beside it, never dropped.

mod error;
mod files;
mod json;
mod position;
mod scalar;
mod yaml;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

pub use error::{ManifestError, NotAnObject, Problem, SkipReason, Skipped};
pub use position::{Position, Spans};

/// One Kubernetes object and where each of its fields stands.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file as the user typed it or as it was found in a folder the user named; `<stdin>` for `-`.
    pub file: Arc<str>,
    /// The object.
    pub value: Value,
    /// Where its fields are.
    pub spans: Spans,
}

impl Document {
    /// The `apiVersion`.
    pub fn api_version(&self) -> Option<&str> {
        self.text("/apiVersion")
    }

    /// The `kind`.
    pub fn kind(&self) -> Option<&str> {
        self.text("/kind")
    }

    /// The `metadata.name`.
    pub fn name(&self) -> Option<&str> {
        self.text("/metadata/name")
    }

    /// The `metadata.namespace` as written; nothing is defaulted.
    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// The place where the object starts.
    pub fn start(&self) -> Position {
        self.spans.start()
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }
}

/// Everything that paths led to.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The objects, in the order of the paths, of the names in a folder, and of the text.
    pub documents: Vec<Document>,
    /// What could not be read.
    pub errors: Vec<ManifestError>,
    /// Documents of a folder that are no Kubernetes objects.
    pub skipped: Vec<Skipped>,
}

impl Manifests {
    /// Reads files, folders and, for `-`, standard input.
    pub fn read(paths: &[PathBuf]) -> Self {
        let mut out = Self::default();
        for path in paths {
            files::read_path(path, &mut out);
        }
        out
    }

    fn fail(&mut self, file: &Arc<str>, position: Option<Position>, problem: Problem) {
        self.errors.push(ManifestError { file: Arc::clone(file), position, problem });
    }
}

/// Reads files, folders and, for `-`, standard input, without the list of what was left out.
pub fn read_paths(paths: &[PathBuf]) -> (Vec<Document>, Vec<ManifestError>) {
    let Manifests { documents, errors, .. } = Manifests::read(paths);
    (documents, errors)
}

/// Reads a text as if it stood in `file` and the user had named that file.
pub fn read_str(file: &str, text: &str) -> (Vec<Document>, Vec<ManifestError>) {
    let mut out = Manifests::default();
    let file = if file == "-" { files::STDIN } else { file };
    read_text(&file.into(), Named::ByUser, text, &mut out);
    (out.documents, out.errors)
}

/// How a file came to be read. What the user has named must be a manifest; a folder may hold other things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    ByUser,
    ByFolder,
}

fn read_text(file: &Arc<str>, named: Named, text: &str, out: &mut Manifests) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let chunks = yaml::documents(text);
    if chunks.is_empty() && named == Named::ByUser {
        out.fail(file, None, Problem::Empty);
    }
    // A template has an action on every other line: one error for a file says it all.
    let mut template = false;
    for chunk in chunks {
        let (nodes, error) = read_chunk(file, chunk.text);
        for (value, mut spans) in nodes {
            spans.down(chunk.lines_before);
            accept(file, named, value, spans, out);
        }
        if let Some((position, problem)) = error {
            let is_template = matches!(problem, Problem::HelmTemplate);
            if !(template && is_template) {
                out.fail(file, position.map(|at| at.down(chunk.lines_before)), problem);
            }
            template |= is_template;
        }
    }
}

type Nodes = Vec<(Value, Spans)>;

/// Reads one chunk as JSON when it looks like JSON, else as YAML. JSON with the freedoms of YAML (comments,
/// a last comma) is common in files that say they are YAML, so only a `.json` file must be strict.
fn read_chunk(file: &str, text: &str) -> (Nodes, Option<(Option<Position>, Problem)>) {
    let strict = file.to_ascii_lowercase().ends_with(".json");
    let start = text.trim_start();
    let looks_json = start.starts_with('[') || start.starts_with('{') && !start.starts_with("{{");
    let mut json_error = None;
    if strict || looks_json {
        let (nodes, error) = json::parse_all(text);
        match error {
            None => return (nodes, None),
            Some((position, problem))
                if strict || matches!(problem, Problem::DuplicateKey(_) | Problem::TooDeep(_)) =>
            {
                return (nodes, Some((Some(position), problem)));
            }
            Some((position, problem)) => json_error = Some((nodes, (Some(position), problem))),
        }
    }
    match (yaml::parse(text), json_error) {
        (Ok(node), _) => (vec![node], None),
        (Err((_, Problem::Yaml(_))), Some((nodes, error))) => (nodes, Some(error)),
        (Err(error), _) => (Vec::new(), Some(error)),
    }
}

/// Takes a document in: an object as it is, a list item by item, anything else as an error or as skipped.
fn accept(file: &Arc<str>, named: Named, value: Value, spans: Spans, out: &mut Manifests) {
    // What `---` and nothing else, or a template that rendered to nothing, leaves behind.
    if value.is_null() {
        return;
    }
    let (api_version, kind) = match type_of(&value) {
        Ok(found) => found,
        Err(what) => return refuse(file, named, &value, &spans, what, out),
    };
    for path in ["apiVersion", "kind", "metadata.name", "metadata.namespace"] {
        let pointer = format!("/{}", path.replace('.', "/"));
        if value.pointer(&pointer).and_then(Value::as_str).is_some_and(|text| text.contains("{{")) {
            return out.fail(file, Some(spans.locate(path)), Problem::HelmTemplate);
        }
    }
    if api_version.starts_with("kustomize.config.k8s.io/") {
        return refuse(file, named, &value, &spans, NotAnObject::Lacks("kind"), out);
    }
    let Some(item_kind) = kind.strip_suffix("List") else {
        out.documents.push(Document { file: Arc::clone(file), value, spans });
        return;
    };
    match value.get("items") {
        Some(Value::Array(_)) => {
            let inherited = (!item_kind.is_empty()).then(|| (api_version.to_owned(), item_kind.to_owned()));
            accept_items(file, named, value, spans, inherited.as_ref(), out);
        }
        None | Some(Value::Null) if item_kind.is_empty() => {}
        Some(other) if item_kind.is_empty() => {
            let problem = Problem::NotAnObject(NotAnObject::Items(name_of(other)));
            out.fail(file, Some(spans.locate("items")), problem);
        }
        // A kind of someone's own whose name happens to end so.
        _ => out.documents.push(Document { file: Arc::clone(file), value, spans }),
    }
}

/// Takes the items of a list in. Those of a typed list (`NetworkPolicyList`) may leave out their type.
fn accept_items(
    file: &Arc<str>,
    named: Named,
    mut value: Value,
    spans: Spans,
    inherited: Option<&(String, String)>,
    out: &mut Manifests,
) {
    let Some(Value::Array(items)) = value.get_mut("items").map(Value::take) else {
        return;
    };
    let items_spans = spans.into_fields().into_iter().find(|(name, _)| &**name == "items");
    let items_spans = items_spans.map(|(_, node)| node.into_items()).unwrap_or_default();
    for (mut item, spans) in items.into_iter().zip(items_spans) {
        if let (Some((api_version, kind)), Value::Object(fields)) = (inherited, &mut item) {
            fields.entry("apiVersion").or_insert_with(|| api_version.as_str().into());
            fields.entry("kind").or_insert_with(|| kind.as_str().into());
        }
        accept(file, named, item, spans, out);
    }
}

/// The type of an object, or what keeps a value from being one.
fn type_of(value: &Value) -> Result<(&str, &str), NotAnObject> {
    let Value::Object(fields) = value else {
        return Err(NotAnObject::Is(name_of(value)));
    };
    let field = |field: &'static str| match fields.get(field) {
        None | Some(Value::Null) => Err(NotAnObject::Lacks(field)),
        Some(Value::String(text)) if text.is_empty() => Err(NotAnObject::FieldIs { field, found: "empty" }),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(NotAnObject::FieldIs { field, found: with_article(other) }),
    };
    Ok((field("apiVersion")?, field("kind")?))
}

fn refuse(file: &Arc<str>, named: Named, value: &Value, spans: &Spans, what: NotAnObject, out: &mut Manifests) {
    let base = file.rsplit('/').next().unwrap_or(file);
    let kustomization = matches!(base, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
        || value.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("kustomize.config.k8s.io/"));
    match named {
        Named::ByFolder => {
            let reason = if kustomization { SkipReason::Kustomization } else { SkipReason::NotAnObject(what) };
            out.skipped.push(Skipped { file: Arc::clone(file), position: spans.start(), reason });
        }
        Named::ByUser => {
            let position = match what {
                NotAnObject::FieldIs { field, .. } => spans.locate(field),
                _ => spans.start(),
            };
            let problem = if kustomization { Problem::Kustomization } else { Problem::NotAnObject(what) };
            out.fail(file, Some(position), problem);
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "mapping",
    }
}

fn with_article(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
