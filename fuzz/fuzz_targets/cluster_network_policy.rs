//! JSON as the kinds of administrators, and as a NetworkPolicy. What holds for it is in `tests/fuzz/properties.rs`.
#![no_main]

#[allow(dead_code, reason = "each target has one property")]
#[path = "../../tests/fuzz/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|json: &[u8]| properties::cluster_network_policy(json));
