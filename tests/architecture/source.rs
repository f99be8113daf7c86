//! Reads Rust source just well enough to see who uses whom: comments, strings and unit tests taken away, then paths by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// One file under `src`.
pub struct File {
    pub path: String,
    /// The module directly under the crate that it belongs to.
    pub room: String,
    /// Its module path.
    pub module: Vec<String>,
    pub text: String,
}

impl File {
    pub fn new(path: &str, text: &str) -> Self {
        let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
        let module: Vec<String> = inner.split('/').filter(|part| *part != "mod").map(str::to_owned).collect();
        Self { path: path.to_owned(), room: module[0].clone(), module, text: text.to_owned() }
    }
}

/// Every file that is compiled into the library and the binary, without `lib.rs` itself and without unit tests.
pub fn sources(root: &Path) -> Vec<File> {
    let mut compiled = BTreeSet::new();
    for start in ["src/lib.rs", "src/main.rs"] {
        follow(&root.join(start), true, &mut compiled);
    }
    compiled.remove(&root.join("src/lib.rs"));
    let relative = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    compiled.iter().map(|path| File::new(&relative(path), &fs::read_to_string(path).unwrap())).collect()
}

/// Rust files under `src`, `tests` and `benches` that no `mod` line leads to.
pub fn unreachable(root: &Path) -> Vec<PathBuf> {
    let mut compiled = BTreeSet::new();
    let mut all = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(&root.join(folder), &mut all);
    }
    for file in &all {
        let inner = file.strip_prefix(root).unwrap();
        let name = file.file_name().unwrap();
        let depth = inner.components().count();
        // What Cargo takes as a target: src/lib.rs, src/main.rs, tests/NAME.rs and tests/NAME/main.rs.
        let target = match depth {
            2 => !inner.starts_with("src") || name == "lib.rs" || name == "main.rs",
            3 => !inner.starts_with("src") && name == "main.rs",
            _ => false,
        };
        if target {
            follow(file, false, &mut compiled);
        }
    }
    all.retain(|file| !compiled.contains(file));
    all
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// Adds a file and what its `mod` lines lead to; of a shipped one without the unit tests.
fn follow(file: &Path, only_shipped: bool, seen: &mut BTreeSet<PathBuf>) {
    if !seen.insert(file.to_owned()) {
        return;
    }
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let code = if only_shipped { shipped(&text) } else { bare(&text) };
    let folder = file.parent().unwrap();
    let stem = file.file_stem().unwrap().to_str().unwrap();
    // The root of a target and a mod.rs keep their modules beside them, other files in a folder of their own name.
    let is_root = seen.len() == 1 || stem == "mod" || stem == "main" || stem == "lib";
    let inside_tests = folder.file_name().is_some_and(|name| name == "tests" || name == "benches");
    let home = if is_root || (inside_tests && folder.parent().is_some_and(|p| p.join("Cargo.toml").exists())) {
        folder.to_owned()
    } else {
        folder.join(stem)
    };
    for name in modules(&code) {
        let explicit = path_attribute(&text, &name).map(|path| beside(folder, &path));
        let candidates = [explicit, Some(home.join(format!("{name}.rs"))), Some(home.join(&name).join("mod.rs"))];
        let child = candidates.into_iter().flatten().find(|path| path.exists());
        follow(&child.unwrap_or_else(|| panic!("{}: `mod {name};` has no file", file.display())), only_shipped, seen);
    }
}

/// The path seen from a folder, without `..`, so that one file has one name.
fn beside(folder: &Path, path: &str) -> PathBuf {
    let mut file = folder.to_owned();
    for part in Path::new(path).components() {
        if part == Component::ParentDir {
            file.pop();
        } else {
            file.push(part);
        }
    }
    file
}

/// Names in `mod NAME;`.
fn modules(code: &str) -> Vec<String> {
    let lines = code.split([';', '{', '}']).filter_map(|item| item.trim().rsplit_once("mod "));
    let items = lines.filter(|(before, _)| before.is_empty() || before.ends_with([' ', '\n', ')', ']']));
    let names = items.map(|(_, name)| name.trim().to_owned());
    names.filter(|name| code.contains(&format!("mod {name};"))).collect()
}

/// The path in `#[path = "…"]` right before `mod NAME;`.
fn path_attribute(text: &str, name: &str) -> Option<String> {
    let before = text.split_once(&format!("mod {name};"))?.0;
    let attribute =
        before.lines().rev().map(str::trim).take_while(|l| l.is_empty() || l.starts_with("#[")).collect::<Vec<_>>();
    let path = attribute.iter().find_map(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"))?;
    Some(path.to_owned())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a word stands in the code.
pub fn mentions(code: &str, word: &str) -> bool {
    occurrences(code, word).next().is_some()
}

/// Positions after each whole word, not counting parts of longer paths (`a::word`).
fn occurrences<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).filter_map(move |(at, _)| {
        let end = at + word.len();
        let whole = !code[..at].ends_with(is_word) && !code[end..].starts_with(is_word);
        whole.then_some(end)
    })
}

/// The first segments after `head::`, groups opened: `head::{a::b, c}` gives a and c.
pub fn firsts(code: &str, head: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for end in occurrences(code, head) {
        let before = code[..end - head.len()].trim_end();
        // A longer path (`my::head::x`) is another one; `::head::x` is this one.
        if before.strip_suffix("::").is_some_and(|b| b.ends_with(is_word)) {
            continue;
        }
        match code[end..].trim_start().strip_prefix("::") {
            Some(rest) => names(rest, &mut found),
            // `use head;` and `use head as x;`
            None if before.ends_with("use") => drop(found.insert("self".to_owned())),
            None => {}
        }
    }
    found
}

fn names(rest: &str, found: &mut BTreeSet<String>) {
    let rest = rest.trim_start();
    let Some(group) = rest.strip_prefix('{') else {
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        found.insert(if name.is_empty() { "*".to_owned() } else { name });
        return;
    };
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    names(&group[start..at], found);
                }
                start = at + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// What is reached at the crate's root through chains of `super`.
pub fn upwards(code: &str, module: &[String]) -> BTreeSet<String> {
    let chain = vec!["super"; module.len()].join("::");
    let mut found = firsts(code, &chain);
    found.remove("super");
    found
}

/// Code without comments, strings and everything under `#[cfg(test)]`.
pub fn shipped(text: &str) -> String {
    let mut code = bare(text);
    while let Some(start) = code.find("#[cfg(test)]") {
        let end = start + item_length(&code[start..]);
        code.replace_range(start..end, "");
    }
    code
}

/// To the end of the item: its first `;` outside brackets, or the end of its first block.
fn item_length(item: &str) -> usize {
    let (mut depth, mut braces) = (0_i32, 0_i32);
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                // `use a::{b, c};` goes on to its semicolon.
                if braces == 0 && !item[at + 1..].trim_start().starts_with(';') {
                    return at + 1;
                }
            }
            ';' if depth == 0 && braces == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

/// Code without comments and without what strings and characters hold.
pub fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest).filter(|_| !out.ends_with(is_word) || c == '"') {
            out.push_str("\"\"");
            length
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Length of the string or character that begins here.
fn string(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('b').unwrap_or(text);
    if let Some(after) = raw.strip_prefix('r') {
        let hashes: String = after.chars().take_while(|c| *c == '#').collect();
        if after[hashes.len()..].starts_with('"') {
            let open = text.len() - after.len() + hashes.len() + 1;
            let close = format!("\"{hashes}");
            return Some(text[open..].find(&close).map_or(text.len(), |at| open + at + close.len()));
        }
        return None;
    }
    if let Some(after) = text.strip_prefix('\'') {
        // A character has its closing quote after one character or an escape; a lifetime has none.
        let mut chars = after.char_indices();
        let first = chars.next()?.1;
        if first == '\\' {
            return Some(1 + 2 + after[2..].find('\'')? + 1);
        }
        let (at, second) = chars.next()?;
        return (second == '\'').then_some(1 + at + 1);
    }
    if !raw.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    let open = text.len() - raw.len() + 1;
    for (at, c) in text[open..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(open + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}
