//! The real binary in front of a real API server, driven by the real kubectl: what people will see.
//!
//! One control plane serves all cases, each in namespaces of its own. A harness of our own and not the built-in one, because
//! only that can start the cluster once, take it down at the end, and say in one line that there is none.
//! `cargo test --test e2e` runs everything, `cargo test --test e2e -- guides` a part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    missing_docs,
    reason = "a test fails by panicking and speaks on its output"
)]

mod cases;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use support::{Suite, plane, watchdog};

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Most of the time is spent waiting for kubectl, not computing.
    args.test_threads.get_or_insert(4);
    if !args.list
        && let Err(why) = plane::possible()
    {
        println!("SKIP e2e: {why}");
        return if std::env::var("CI").is_ok_and(|ci| ci == "true") { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    watchdog::start();
    let suite = Arc::new(Suite::new());
    let trials = cases::all().into_iter().map(|case| {
        let suite = Arc::clone(&suite);
        Trial::test(case.name(), move || {
            suite.run(&case);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&args, trials.collect());
    drop(suite);
    conclusion.exit_code()
}
