//! Names that DNS rules let through: how a rule's filter carries them, and which pattern covers which name.

/// How a filter that consists of DNS names begins.
const DNS: &str = "DNS names ";

/// The filter of a rule that lets these names be asked for.
pub fn dns_filter(names: &[String]) -> String {
    format!("{DNS}{}", names.join(", "))
}

/// The names that a filter lets be asked for; `None` if it is about something else.
pub fn dns_names(filter: &str) -> Option<impl Iterator<Item = &str>> {
    // Names hold neither commas nor semicolons, and other conditions follow after one.
    let part = filter.split("; ").find_map(|part| part.strip_prefix(DNS))?;
    Some(part.split(", ").filter(|name| !name.is_empty()))
}

/// Whether every name that one pattern stands for is let through by another. `*` alone is every name; elsewhere it stands
/// for characters of one label, and `**.` in front for one label or more (semantics 2.2.12).
pub fn covers(pattern: &str, asked: &str) -> bool {
    if pattern == "*" || pattern == asked {
        return true;
    }
    if asked == "*" {
        return false;
    }
    match (pattern.strip_prefix("**."), asked.strip_prefix("**.")) {
        (Some(rest), Some(asked)) => asked == rest || ends_in(asked, rest),
        (Some(rest), None) => ends_in(asked, rest),
        (None, Some(_)) => false,
        (None, None) => same_labels(pattern, asked),
    }
}

/// Whether a pattern matches names whatever their labels are: `*`, and those that only say how many labels there are, like
/// `*.*` and `**.*`. Anybody may own such a name, so it may resolve to any address.
pub fn covers_every_name(pattern: &str) -> bool {
    pattern.contains('*') && pattern.bytes().all(|b| matches!(b, b'*' | b'.'))
}

/// Whether a name has a label or more before a pattern.
fn ends_in(name: &str, pattern: &str) -> bool {
    let starts = name.match_indices('.').map(|(i, _)| &name[i + 1..]);
    starts.into_iter().any(|rest| same_labels(pattern, rest))
}

fn same_labels(pattern: &str, name: &str) -> bool {
    pattern.split('.').count() == name.split('.').count()
        && pattern.split('.').zip(name.split('.')).all(|(pattern, label)| is_like(pattern.as_bytes(), label.as_bytes()))
}

/// Whether a label is like a pattern in which `*` stands for any characters, none included. A `*` of the label itself is
/// matched only by one.
fn is_like(pattern: &[u8], label: &[u8]) -> bool {
    let (mut p, mut l) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while l < label.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, l));
                p += 1;
            }
            Some(c) if *c == label[l] && *c != b'*' => {
                p += 1;
                l += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                p = after;
                l = from + 1;
            }
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_gives_its_names_back() {
        let names = ["*.svc.cluster.local".to_owned(), "api.example.com".to_owned()];
        let filter = dns_filter(&names);
        assert_eq!(filter, "DNS names *.svc.cluster.local, api.example.com");
        assert_eq!(dns_names(&format!("{filter}; mutual authentication")).unwrap().collect::<Vec<_>>(), names);
        assert_eq!(dns_names(&dns_filter(&[])).unwrap().count(), 0);
        assert!(dns_names("HTTP GET /").is_none());
    }

    #[test]
    fn a_pattern_without_a_character_of_a_label_is_every_name() {
        for pattern in ["*", "**", "*.*", "**.*", "*.*.*", "**.", "*."] {
            assert!(covers_every_name(pattern), "{pattern}");
        }
        for pattern in ["", ".", "*.com", "**.example.com", "a*", "*.*.internal", "example.com"] {
            assert!(!covers_every_name(pattern), "{pattern}");
        }
    }

    #[test]
    fn a_star_stays_inside_one_label() {
        // semantics 2.2.12: Cilium's `*` is part of one label, and two of them in front are labels.
        for (pattern, name, covered) in [
            ("*", "a.b.c", true),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("**.example.com", "a.b.example.com", true),
            ("**.example.com", "example.com", false),
            ("**.example.com", "*.example.com", true),
            ("*.example.com", "**.example.com", false),
            ("api-*.example.com", "api-1.example.com", true),
            ("*a*.example.com", "bab.example.com", true),
            ("*a*.example.com", "bbb.example.com", false),
            ("api.example.com", "*.example.com", false),
            ("*.svc.cluster.local", "web.shop.svc.cluster.local", false),
            ("a.example.com", "a.example.com", true),
            ("a.example.com", "b.example.com", false),
        ] {
            assert_eq!(covers(pattern, name), covered, "{pattern} and {name}");
        }
    }
}
