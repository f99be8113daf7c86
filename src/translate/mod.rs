//! Kubernetes objects into model terms, one file per kind.

pub mod houserules;
