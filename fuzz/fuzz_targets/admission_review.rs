//! Any body of a review, through the whole gate. What holds for it is in `tests/fuzz/properties.rs`.
#![no_main]

#[allow(dead_code, reason = "each target has one property")]
#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|body: &[u8]| properties::admission_review(body));
