//! What the literate specs of the rules are read and judged with.

pub mod spec;
