//! The real binary with some arguments, for tests of what commands print.

use std::path::Path;
use std::process::Command;

/// What a run came to.
pub struct Ran {
    pub out: String,
    pub err: String,
    pub code: Option<i32>,
}

pub fn portcullis(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(args).output().expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

/// What a run that must succeed printed.
pub fn ok(args: &[&str]) -> String {
    let ran = portcullis(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.out
}

/// Writes a file and says where it is.
pub fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
