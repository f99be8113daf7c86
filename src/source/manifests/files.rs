//! Paths to text: which files of a folder are read, in which order, and what can be wrong with their bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Problem;
use super::position::Position;
use super::{Manifests, Named, read_text};

/// More than any manifest has: the API server takes 3 MiB in one object, a dump of a large cluster is
/// some tens of MiB, and without an end `/dev/zero` would be read for ever.
const MAX_BYTES: usize = 256 << 20;

/// How standard input is shown.
pub(super) const STDIN: &str = "<stdin>";

pub(super) fn read_path(path: &Path, out: &mut Manifests) {
    let file = shown(path);
    if path.as_os_str() == "-" {
        read_bytes(&file, Named::ByUser, read_limited(io::stdin().lock()), out);
        return;
    }
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let (documents, errors, skipped) = (out.documents.len(), out.errors.len(), out.skipped.len());
            walk(path, &mut BTreeSet::new(), out);
            if out.documents.len() == documents && out.errors.len() == errors {
                let skipped = out.skipped.len() - skipped;
                out.fail(&file, None, Problem::NoManifests { skipped });
            }
        }
        Ok(_) => read_file(path, Named::ByUser, out),
        Err(error) => out.fail(&file, None, unreadable(error)),
    }
}

/// Reads a folder and those below it, in the order of names so that output is the same on every machine.
/// Hidden entries are left out; that includes the `..data` links of a mounted ConfigMap, whose visible
/// links are followed. `seen` keeps a link to a parent from being followed for ever.
fn walk(folder: &Path, seen: &mut BTreeSet<PathBuf>, out: &mut Manifests) {
    let entries = fs::canonicalize(folder).and_then(|real| {
        if seen.insert(real) { fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>() } else { Ok(Vec::new()) }
    });
    let mut paths: Vec<PathBuf> = match entries {
        Ok(entries) => entries.iter().map(fs::DirEntry::path).filter(|path| !is_hidden(path)).collect(),
        Err(error) => return out.fail(&shown(folder), None, unreadable(error)),
    };
    paths.sort();
    let chart = folder.join("Chart.yaml").is_file();
    for path in paths {
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() && chart && path.file_name().is_some_and(|name| name == "templates") => {
                out.fail(&shown(&path), None, Problem::HelmChart(shown(folder).to_string()));
            }
            Ok(meta) if meta.is_dir() => walk(&path, seen, out),
            Ok(meta) if meta.is_file() && is_manifest_name(&path) => {
                read_file(&path, Named::ByFolder, out);
            }
            Err(error) if is_manifest_name(&path) => {
                out.fail(&shown(&path), None, unreadable(error));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn read_file(path: &Path, named: Named, out: &mut Manifests) {
    read_bytes(&shown(path), named, File::open(path).and_then(read_limited), out);
}

fn read_bytes(file: &Arc<str>, named: Named, bytes: io::Result<Vec<u8>>, out: &mut Manifests) {
    match bytes {
        Err(error) => out.fail(file, None, unreadable(error)),
        Ok(bytes) if bytes.len() > MAX_BYTES => {
            out.fail(file, None, Problem::TooLarge { limit_mib: MAX_BYTES >> 20 });
        }
        Ok(bytes) if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) => {
            out.fail(file, Some(Position::START), Problem::Utf16);
        }
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => read_text(file, named, text, out),
            Err(error) => {
                let position = Position::of_byte(&bytes, error.valid_up_to());
                out.fail(file, Some(position), Problem::NotUtf8);
            }
        },
    }
}

fn read_limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::NotFound { Problem::Missing } else { Problem::Unreadable(error) }
}

fn shown(path: &Path) -> Arc<str> {
    if path.as_os_str() == "-" { STDIN.into() } else { path.to_string_lossy().into() }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
