//! What Cilium looks at beyond addresses and ports, as a text for explanations: HTTP, DNS, Kafka and other rules of
//! layer 7, names in TLS handshakes, listeners and mutual authentication.

use std::fmt::Write as _;

use crate::translate::json::Value;

use super::reading::{Fields, Piece, Reading};
use crate::model::dns_names::dns_filter;
use crate::model::{Direction, Str};
use crate::translate::at::At;
use crate::translate::shorten;

/// Conditions that are told one by one.
const MOST: usize = 6;

/// A kind of condition with the first few of them.
pub(super) fn few(kind: &str, all: &[String]) -> String {
    let mut text = kind.to_owned();
    if !all.is_empty() {
        text.push(' ');
        text.push_str(&all.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    let more = all.len().saturating_sub(MOST);
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

impl Reading {
    /// The conditions of one `toPorts` item.
    pub(super) fn filter(
        &mut self,
        fields: Fields<'_>,
        direction: Direction,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<Option<Str>> {
        let rules_at = at.field("rules");
        let rules = match fields.get("rules") {
            Some(rules) => self.layer_7(rules, direction, &rules_at, taken)?,
            None => None,
        };
        let names_at = at.field("serverNames");
        let names = self.texts(fields.get("serverNames"), &names_at, taken)?;
        if names.iter().any(|name| name.is_empty()) {
            return Err(self.refuse(&names_at, "a server name is empty"));
        }
        if rules.is_some() && !names.is_empty() && fields.get("terminatingTLS").is_none() {
            return Err(self.refuse(&names_at, "serverNames and rules exclude each other unless TLS is terminated"));
        }
        let listener = match fields.get("listener") {
            Some(_) if rules.is_some() => {
                return Err(self.refuse(&at.field("listener"), "a listener and rules exclude each other"));
            }
            Some(listener) => Some(format!("listener {}", shorten(listener["name"].as_str().unwrap_or_default()))),
            None => None,
        };
        let names: Vec<String> = names.into_iter().map(shorten).collect();
        let names = (!names.is_empty()).then(|| few("TLS server names", &names));
        Ok(join(rules.into_iter().chain(names).chain(listener)))
    }

    /// The rules of layer 7; at most one kind of them.
    fn layer_7(&mut self, value: &Value<'_>, direction: Direction, at: &At<'_>, taken: &str) -> Piece<Option<String>> {
        const KINDS: [&str; 4] = ["http", "kafka", "dns", "l7proto"];
        let fields = self.fields(value, at, &["http", "kafka", "dns", "l7proto", "l7"], taken)?;
        let mut given = KINDS.into_iter().filter(|kind| fields.get(kind).is_some());
        let (kind, second) = (given.next(), given.next());
        if let (Some(first), Some(second)) = (kind, second) {
            return Err(self.refuse(at, &format!("{first} and {second} rules exclude each other in one item")));
        }
        let kind = match kind {
            Some(kind) => kind,
            None if fields.get("l7").is_some() => {
                return Err(self.refuse(&at.field("l7"), "l7 needs an l7proto"));
            }
            None => return Ok(None),
        };
        let value = fields.get(kind);
        let at = at.field(kind);
        if kind == "l7proto" {
            let name = self.text(value, &at, taken)?;
            return Ok(Some(format!("rules of {}", shorten(name))));
        }
        let items = self.list(value, &at, taken)?.unwrap_or_default();
        match kind {
            "dns" if direction == Direction::Ingress && !items.is_empty() => {
                Err(self.refuse(&at, "DNS rules are for egress only"))
            }
            "dns" => {
                let mut names = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    names.push(self.dns_name(item, &at.index(i), taken)?);
                }
                Ok(Some(dns_filter(&names)))
            }
            "http" => Ok(Some(few("HTTP", &items.iter().map(http).collect::<Vec<_>>()))),
            _ => Ok(Some(few("Kafka", &items.iter().map(kafka).collect::<Vec<_>>()))),
        }
    }

    /// A name or a pattern of names, as `toFQDNs` and DNS rules have it.
    pub(super) fn dns_name(&mut self, item: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<String> {
        let fields = self.fields(item, at, &["matchName", "matchPattern"], taken)?;
        let name = self.text(fields.get("matchName"), &at.field("matchName"), taken)?;
        let pattern = self.text(fields.get("matchPattern"), &at.field("matchPattern"), taken)?;
        let (given, field, star) = match (name, pattern) {
            ("", "") => return Err(self.refuse(at, "a matchName or a matchPattern is missing")),
            (name, "") => (name, "matchName", false),
            ("", pattern) => (pattern, "matchPattern", true),
            _ => return Err(self.refuse(at, "matchName and matchPattern exclude each other")),
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.') || (star && b == b'*');
        if given.len() > 255 || !given.bytes().all(fits) {
            let hint = if star { "" } else { "; patterns with `*` go into matchPattern" };
            return Err(self.refuse(&at.field(field), &format!("`{}` is no name of a host{hint}", shorten(given))));
        }
        Ok(given.trim_end_matches('.').to_ascii_lowercase())
    }

    /// The condition that both ends must have authenticated each other; `Err` where nothing can pass.
    pub(super) fn authentication(
        &mut self,
        value: &Value<'_>,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<Option<&'static str>> {
        let fields = self.fields(value, at, &["mode"], taken)?;
        match self.text(fields.get("mode"), &at.field("mode"), taken)? {
            "disabled" => Ok(None),
            "required" => Ok(Some("mutual authentication")),
            "test-always-fail" => Err(self.note(&at.field("mode"), format!("this mode lets nothing through; {taken}"))),
            other => {
                let what = format!("`{}` is no mode; there are disabled and required", shorten(other));
                Err(self.refuse(&at.field("mode"), &what))
            }
        }
    }
}

/// Several conditions as one.
pub(super) fn join(all: impl Iterator<Item = String>) -> Option<Str> {
    let all: Vec<String> = all.collect();
    (!all.is_empty()).then(|| all.join("; ").into())
}

/// `GET /health host api.example.com`, or `any request`.
fn http(item: &Value<'_>) -> String {
    let mut parts: Vec<String> = ["method", "path"].iter().filter_map(|f| item[f].as_str()).map(shorten).collect();
    parts.extend(item["host"].as_str().map(|host| format!("host {}", shorten(host))));
    if item["headers"].as_array().is_some_and(|h| !h.is_empty())
        || item["headerMatches"].as_array().is_some_and(|h| !h.is_empty())
    {
        parts.push("with headers".to_owned());
    }
    if parts.is_empty() { "any request".to_owned() } else { parts.join(" ") }
}

/// `produce topic orders`, or `any request`.
fn kafka(item: &Value<'_>) -> String {
    let mut parts: Vec<String> = ["role", "apiKey"].iter().filter_map(|f| item[f].as_str()).map(shorten).collect();
    parts.extend(["topic", "clientID"].iter().filter_map(|f| Some(format!("{f} {}", shorten(item[f].as_str()?)))));
    if parts.is_empty() { "any request".to_owned() } else { parts.join(" ") }
}
