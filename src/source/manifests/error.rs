//! What can be wrong with a file or a document in it, told with the place and the way out.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::position::Position;

/// One thing that could not be read. Shown as `app.yaml:12:5: found …, expected …`.
#[derive(Debug, thiserror::Error)]
pub struct ManifestError {
    /// The file as the user typed it; `<stdin>` for standard input.
    pub file: Arc<str>,
    /// Where in the file, when it is about a place and not about the file as a whole.
    pub position: Option<Position>,
    /// What is wrong and what would be right.
    #[source]
    pub problem: Problem,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{}:{position}: {}", self.file, self.problem),
            None => write!(f, "{}: {}", self.file, self.problem),
        }
    }
}

/// What is wrong with a file or a document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The path does not exist.
    #[error("found no such file or folder, expected a manifest; check the path, or use `-` to read standard input")]
    Missing,
    /// The operating system refused to hand over the file.
    #[error("could not be read: {0}; check its permissions and run again")]
    Unreadable(io::Error),
    /// More bytes than a manifest can sensibly have.
    #[error("found more than {limit_mib} MiB, expected a manifest; split the file, or name the files you mean")]
    TooLarge {
        /// The limit, in MiB.
        limit_mib: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("found bytes that are not UTF-8, expected UTF-8 text; convert it with `iconv -t UTF-8`")]
    NotUtf8,
    /// UTF-16, as some Windows editors and `>` in older PowerShell write it.
    #[error("found UTF-16 text, expected UTF-8; convert it with `iconv -f UTF-16 -t UTF-8`")]
    Utf16,
    /// A folder in which nothing is a Kubernetes object.
    #[error(
        "found no Kubernetes object ({skipped} skipped), expected *.yaml, *.yml or *.json files with apiVersion and kind; check that this is the right folder"
    )]
    NoManifests {
        /// How many files and documents were looked at and left out.
        skipped: usize,
    },
    /// A file or standard input, named by the user, that holds no document.
    #[error("found no document, expected a Kubernetes object with apiVersion and kind; check what wrote it")]
    Empty,
    /// Text that is not YAML.
    #[error("found text that is not YAML: {0}")]
    Yaml(String),
    /// Text that is not JSON.
    #[error("found text that is not JSON: {0}")]
    Json(String),
    /// A key twice in the same mapping: one of the two would be lost without a word.
    #[error("found the key `{0}` a second time in the same mapping, expected each key once; remove one of the two")]
    DuplicateKey(String),
    /// Nested deeper than any Kubernetes object is.
    #[error("found more than {0} levels of nesting, expected a Kubernetes object; nothing below was read")]
    TooDeep(usize),
    /// Aliases that expand to far more than what was written.
    #[error("found aliases that expand without bound ({0}), expected a manifest; write the repeated parts out")]
    AliasBomb(String),
    /// Go template actions where YAML is expected.
    #[error(
        "found `{{{{`, expected plain YAML: this looks like a Helm template; run `helm template RELEASE CHART | portcullis check -` instead"
    )]
    HelmTemplate,
    /// A folder that is a Helm chart: what it installs is known only after rendering.
    #[error(
        "found a Helm chart, expected plain manifests; its templates were not read: run `helm template {0} | portcullis check -` as well"
    )]
    HelmChart(String),
    /// A kustomization, which is an instruction to kustomize and not an object.
    #[error(
        "found a kustomization, expected a Kubernetes object; run `kustomize build DIR | portcullis check -` instead"
    )]
    Kustomization,
    /// A document that is not a Kubernetes object.
    #[error("{0}, expected a Kubernetes object with apiVersion and kind")]
    NotAnObject(NotAnObject),
}

/// Why a document is not a Kubernetes object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAnObject {
    /// The document is a list, a string, a number…
    #[error("found a {0}")]
    Is(&'static str),
    /// A required field is not there.
    #[error("found no `{0}`")]
    Lacks(&'static str),
    /// A required field is there and holds something other than a string that says something.
    #[error("found `{field}` that is {found} and not a string")]
    FieldIs {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: &'static str,
    },
    /// A list object whose `items` is not a list.
    #[error("found a list object whose `items` is {0} and not a list")]
    Items(&'static str),
}

/// A document that was left out on purpose, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file as the user typed it or as it was found in a folder the user named.
    pub file: Arc<str>,
    /// Where the document starts.
    pub position: Position,
    /// Why it was left out.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: skipped: {}", self.file, self.position, self.reason)
    }
}

/// Why a document in a folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// An instruction to kustomize.
    #[error("a kustomization; its output can be read with `kustomize build DIR | portcullis check -`")]
    Kustomization,
    /// Anything else that is not a Kubernetes object.
    #[error("not a Kubernetes object: {0}")]
    NotAnObject(NotAnObject),
}
