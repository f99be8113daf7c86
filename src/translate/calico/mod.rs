//! Calico's policies → model.

pub mod selector;
