//! What a matrix says, by the names of both ends, for tests that compare one with another or with a second evaluator.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portcullis::reach::{Bounds, End, Matrix};

/// Bounds by the names of both ends; addresses are answered for those that are asked about.
pub fn table(matrix: &Matrix, outside: &[IpAddr]) -> BTreeMap<(String, String), Bounds> {
    let mut table = BTreeMap::new();
    let names = |end: End<'_>| match end {
        End::Node(i) => vec![matrix.nodes()[i].name.clone()],
        End::External(set) => outside.iter().filter(|a| set.contains(**a)).map(ToString::to_string).collect(),
    };
    matrix.edges(
        true,
        |_| true,
        |edge| {
            for src in names(edge.src) {
                for dst in names(edge.dst) {
                    let twice = table.insert((src.clone(), dst), edge.bounds.clone());
                    assert!(twice.is_none(), "pieces of the address space are disjoint");
                }
            }
        },
    );
    table
}
