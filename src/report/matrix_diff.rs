//! What a change adds to the matrix and what it takes away.

use std::cmp::Ordering;

use super::matrix::{Row, csv_row, json_rows, to_table};

/// Rows that only one of two matrices has. A row whose connections change is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows of the new matrix.
    pub added: Vec<Row>,
    /// Rows of the old one.
    pub removed: Vec<Row>,
}

impl Difference {
    /// Compares two sorted lists of rows.
    pub fn between(before: &[Row], after: &[Row]) -> Self {
        let mut difference = Self::default();
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.cmp(b),
            };
            match order {
                Ordering::Less => difference.removed.extend(old.next().cloned()),
                Ordering::Greater => difference.added.extend(new.next().cloned()),
                Ordering::Equal => {
                    old.next();
                    new.next();
                }
            }
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Both kinds with their signs, in the order of the rows; what goes comes before what takes its place.
    pub fn signed(&self) -> Vec<(&'static str, &Row)> {
        let removed = self.removed.iter().map(|row| ("-", row));
        let mut all: Vec<(&str, &Row)> = removed.chain(self.added.iter().map(|row| ("+", row))).collect();
        all.sort_by(|(sign_a, a), (sign_b, b)| (&a.src, &a.dst, sign_b, a).cmp(&(&b.src, &b.dst, sign_a, b)));
        all
    }

    /// As a table with signs.
    pub fn to_table(&self) -> String {
        if self.is_empty() { "no connection is added or removed\n".to_owned() } else { to_table(&self.signed()) }
    }

    /// As `{"added":[…],"removed":[…]}`.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut out = b"{\n  \"added\": ".to_vec();
        json_rows(&self.added, "  ", &mut out)?;
        out.extend_from_slice(b",\n  \"removed\": ");
        json_rows(&self.removed, "  ", &mut out)?;
        out.extend_from_slice(b"\n}\n");
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// As CSV with a sign in the first column.
    pub fn to_csv(&self) -> String {
        let mut out = "change,src,dst,conn,depends,filtered,entry\n".to_owned();
        for (sign, row) in self.signed() {
            out.push_str(sign);
            out.push(',');
            out.push_str(&csv_row(row));
        }
        out
    }
}
