//! Any text is a selector of Calico's language or is refused with a place; what is read prints as itself and can be solved.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::model::selector::{Escape, escaping};
use portcullis::translate::calico::selector::{Keys, parse};

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(expr) => {
            let printed = expr.to_string();
            assert_eq!(parse(&printed).map(|again| again.to_string()), Ok(printed));
            let selector = expr.lower(Keys::Pods).possible;
            if let Escape::By(labels) = escaping(&[&selector]) {
                assert!(!selector.matches(&labels));
            }
        }
        Err(error) => {
            assert!(error.column <= text.chars().count() + 1);
            assert_eq!(error.caret().lines().count(), 2);
        }
    }
});
