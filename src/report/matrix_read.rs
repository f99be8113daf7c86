//! Rows of a matrix read back: what `matrix -o json` prints, as people edit it.

use std::net::IpAddr;

use serde::Deserialize;

use super::matrix::Row;
use crate::model::{IntervalSet, IpSet, PortSet, Protocol};
use crate::reach::WantedEnd;
use crate::snapshot::Owner;

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadRows {
    /// No JSON, or not rows.
    #[error("these are no rows of a matrix as `portcullis matrix -o json` prints them: {0}")]
    Json(#[from] serde_json::Error),
    /// An end that is no end.
    #[error(
        "row {row}: `{text}` is no end of a row: write NAMESPACE/NAME[Kind], NAMESPACE/NAME (label=value)[Kind] or FIRST-LAST[External]"
    )]
    End {
        /// Number of the row, from one.
        row: usize,
        /// What stands there.
        text: String,
    },
    /// Connections that are none.
    #[error("row {row}: `{text}` is no connections: write All Connections, No Connections, or TCP 80,443,UDP 53")]
    Connections {
        /// Number of the row, from one.
        row: usize,
        /// What stands there.
        text: String,
    },
}

#[derive(Deserialize)]
struct Json {
    src: String,
    dst: String,
    conn: String,
    #[serde(default)]
    depends: Option<String>,
}

/// Reads rows from JSON and sorts them. Those of a controller that is not known are left out: nobody can admit it.
pub fn read_rows(text: &str) -> Result<Vec<Row>, BadRows> {
    let read: Vec<Json> = serde_json::from_str(text)?;
    let mut rows: Vec<Row> = Vec::with_capacity(read.len());
    for (i, row) in read.into_iter().enumerate() {
        let row_number = i + 1;
        if row.src.starts_with('{') {
            continue;
        }
        for end in [&row.src, &row.dst] {
            read_end(end).ok_or_else(|| BadRows::End { row: row_number, text: end.clone() })?;
        }
        read_connections(&row.conn).ok_or_else(|| BadRows::Connections { row: row_number, text: row.conn.clone() })?;
        rows.push(Row {
            src: row.src.into(),
            dst: row.dst.into(),
            conn: row.conn.into(),
            depends: row.depends.map(Into::into),
            filtered: None,
            entry: None,
        });
    }
    rows.sort();
    Ok(rows)
}

/// An end as a row names it.
pub fn read_end(text: &str) -> Option<WantedEnd> {
    let (name, kind) = text.strip_suffix(']')?.rsplit_once('[')?;
    if kind == "External" {
        let (first, last) = name.split_once('-').unwrap_or((name, name));
        let set = match (first.parse().ok()?, last.parse().ok()?) {
            (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => {
                IpSet::from_families(IntervalSet::range(a.to_bits(), b.to_bits()), IntervalSet::empty())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => {
                IpSet::from_families(IntervalSet::empty(), IntervalSet::range(a.to_bits(), b.to_bits()))
            }
            _ => return None,
        };
        return Some(WantedEnd::Addresses(set));
    }
    let (namespace, name) = name.split_once('/')?;
    let (name, variant) = match name.strip_suffix(')').and_then(|name| name.rsplit_once(" (")) {
        Some((name, variant)) => (name, variant),
        None => (name, ""),
    };
    let owner = Owner { kind: kind.into(), name: name.into() };
    let whole = !namespace.is_empty() && !name.is_empty() && !kind.is_empty();
    whole.then(|| WantedEnd::Pods { namespace: namespace.into(), owner, variant: variant.to_owned() })
}

/// Connections as a row writes them.
pub fn read_connections(text: &str) -> Option<PortSet> {
    match text {
        "All Connections" => return Some(PortSet::full()),
        "No Connections" => return Some(PortSet::empty()),
        _ => {}
    }
    let mut protocol = None;
    let mut all = PortSet::empty();
    for part in text.split(',').map(str::trim) {
        let numbers = match part.split_once(' ') {
            Some((name, numbers)) => {
                protocol = Some(Protocol::parse(name)?);
                numbers
            }
            None => part,
        };
        let (lo, hi) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (lo, hi) = (lo.parse::<u16>().ok()?, hi.parse::<u16>().ok()?);
        all = all.union(&PortSet::range(protocol.filter(|_| lo <= hi)?, lo, hi));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::super::matrix::connections;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["All Connections", "No Connections", "TCP 80,443-445,UDP 53", "SCTP 1-65535,TCP 1"] {
            assert_eq!(connections(&read_connections(text).unwrap()), text);
        }
        for text in ["", "80", "ICMP 1", "TCP 9-8", "TCP", "TCP 70000"] {
            assert_eq!(read_connections(text), None, "{text}");
        }
        let pods = |kind: &str, variant: &str| WantedEnd::Pods {
            namespace: "shop".into(),
            owner: Owner { kind: kind.into(), name: "web".into() },
            variant: variant.to_owned(),
        };
        assert_eq!(read_end("shop/web[Deployment]"), Some(pods("Deployment", "")));
        assert_eq!(read_end("shop/web (track=canary,!x)[Pod]"), Some(pods("Pod", "track=canary,!x")));
        assert!(matches!(read_end("10.0.0.0-10.0.0.255[External]"), Some(WantedEnd::Addresses(_))));
        for text in
            ["web[Deployment]", "shop/web", "10.0.0.9-10.0.0.1[External]", "/web[Pod]", "10.0.0.1-::1[External]"]
        {
            assert_eq!(read_end(text), None, "{text}");
        }
    }
}
