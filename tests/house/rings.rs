//! The runner of all tests, on rings that pass, fail or cannot run: what it prints last and how it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// A machine with the tools of the runner, and a `make` that fails for the ring `fails`.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new(fails: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = ["bash", "sh", "dirname", "date", "awk", "sed", "cargo"];
        for tool in tools {
            let path = std::env::var_os("PATH").unwrap();
            let found = std::env::split_paths(&path).map(|f| f.join(tool)).find(|f| f.exists());
            symlink(found.unwrap_or_else(|| panic!("{tool} is not on the PATH")), folder.path().join(tool)).unwrap();
        }
        let machine = Self { folder };
        machine.tool("make", &format!("for ring; do :; done; echo ran $ring; [ \"$ring\" != '{fails}' ]"));
        machine
    }

    fn tool(&self, name: &str, script: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Exit code and the lines of the summary.
    fn run(&self, rings: &[&str], ci: bool) -> (i32, Vec<String>) {
        let mut command = Command::new(super::root().join("tests/run-rings"));
        command.args(rings).env_clear().env("PATH", self.folder.path()).current_dir(Path::new("/"));
        if ci {
            command.env("CI", "true");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let summary = text.rsplit("\n\n").next().unwrap_or_default();
        (output.status.code().unwrap(), summary.lines().map(str::to_owned).collect())
    }
}

#[test]
fn all_that_can_run_passes() {
    let machine = Machine::new("");
    machine.tool("shellcheck", "");
    let (code, summary) = machine.run(&["check", "scripts"], true);
    assert_eq!(code, 0);
    assert!(summary[0].starts_with("passed   check in 0:"), "{summary:?}");
    assert_eq!(summary[2..], ["2 passed, 0 failed"]);
}

#[test]
fn a_failure_fails_and_the_others_still_run() {
    let machine = Machine::new("check");
    machine.tool("shellcheck", "");
    let (code, summary) = machine.run(&["check", "scripts"], false);
    assert_eq!(code, 1);
    assert!(
        summary[0].starts_with("FAILED   check after ") && summary[0].ends_with("again: make check"),
        "{summary:?}"
    );
    assert!(summary[1].starts_with("passed   scripts"), "{summary:?}");
    assert_eq!(summary[2], "1 passed, 1 failed");
}

#[test]
fn what_cannot_run_is_skipped_with_the_reason_and_fails_in_ci() {
    let machine = Machine::new("");
    let (code, summary) = machine.run(&["check", "scripts"], false);
    assert_eq!(code, 0);
    let skipped = "skipped  scripts: shellcheck is not installed (apt-get install shellcheck)";
    assert_eq!(summary[1..], [skipped, "1 passed, 0 failed, 1 skipped"]);
    let (code, summary) = machine.run(&["check", "scripts"], true);
    assert_eq!(code, 1);
    assert_eq!(summary[1..], [skipped, "CI=true: what was skipped counts as failed", "1 passed, 1 failed"]);
}

#[test]
fn the_picture_is_skipped_without_a_browser_and_looked_at_with_one() {
    let machine = Machine::new("");
    let (code, summary) = machine.run(&["picture"], false);
    let reason = "skipped  picture: chromedriver is not installed (apt-get install chromium chromium-driver)";
    assert_eq!((code, summary), (0, vec![reason.to_owned(), "0 passed, 0 failed, 1 skipped".to_owned()]));
    machine.tool("chromedriver", "");
    let (code, summary) = machine.run(&["picture"], true);
    assert_eq!((code, summary.len()), (0, 2));
    assert!(summary[0].starts_with("passed   picture in 0:"), "{summary:?}");
}

#[test]
fn a_ring_that_does_not_exist_is_a_usage_error() {
    assert_eq!(Machine::new("").run(&["everything"], false).0, 2);
}
