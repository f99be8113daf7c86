//! The peers of a rule: exactly one field each, and none that is passed over (semantics 2.2.7, 2.2.9).

use super::super::json::Value;

use super::{FAILS_CLOSED, Reading};
use crate::model::ipset::parse_cidr;
use crate::model::peer::AddressPeer;
use crate::model::{Action, AddressScope, NamespaceScope, Peer, PodPeer, READ_AS, Selector, Str};
use crate::translate::at::At;
use crate::translate::shorten;

impl Reading<'_> {
    /// The peers, or `None` if one of them cannot be read: then the rule fails closed as a whole.
    pub(super) fn peers(&mut self, value: Option<&Value<'_>>, at: &At<'_>, action: Action) -> Option<Vec<Peer>> {
        let egress = matches!(at.path().as_str().rsplit('.').next(), Some("to"));
        let list = match value {
            Some(Value::Array(list)) if !list.is_empty() => list,
            None | Some(Value::Array(_)) => {
                self.note(at, format!("a rule needs at least one peer; {FAILS_CLOSED}"));
                return None;
            }
            Some(other) => {
                self.walk.wrong_type(other, at, "a list", FAILS_CLOSED);
                return None;
            }
        };
        self.crowded(at, list.len(), "peers");
        // All are read before giving up, so that one complaint does not hide the next.
        let all: Vec<Option<Peer>> =
            list.iter().enumerate().map(|(i, peer)| self.peer(peer, &at.index(i), egress, action)).collect();
        all.into_iter().collect()
    }

    fn peer(&mut self, value: &Value<'_>, at: &At<'_>, egress: bool, action: Action) -> Option<Peer> {
        // Ingress has no peers by address (semantics 2.2.7).
        let known: &[&str] = match (egress, self.api.is_banp()) {
            (false, _) => &["namespaces", "pods"],
            (true, true) => &["namespaces", "pods", "networks", "nodes"],
            (true, false) => &["namespaces", "pods", "networks", "nodes", "domainNames"],
        };
        let field = self.walk.fields(value, at, known, FAILS_CLOSED).ok()?;
        let mut given = known.iter().filter_map(|name| Some((*name, field(name)?)));
        let (name, value) = match (given.next(), given.next()) {
            (Some(only), None) => only,
            (None, _) => {
                self.note(at, format!("a peer needs one of {}; {FAILS_CLOSED}", known.join(", ")));
                return None;
            }
            (Some((a, _)), Some((b, _))) => {
                self.note(at, format!("{a} and {b} exclude each other in one peer; {FAILS_CLOSED}"));
                return None;
            }
        };
        let at = at.field(name);
        match name {
            "namespaces" => {
                let scope = self.selector(value, &at, FAILS_CLOSED)?;
                Some(Peer::Pods(PodPeer { namespaces: NamespaceScope::Matching(scope), pods: Selector::everything() }))
            }
            "pods" => self.pods(value, &at, FAILS_CLOSED).map(Peer::Pods),
            "networks" => self.networks(value, &at),
            "nodes" => self.selector(value, &at, FAILS_CLOSED).map(Peer::Nodes),
            _ => self.domains(value, &at, action),
        }
    }

    /// Pods by both selectors. The new API may leave out the one for namespaces, and then means all of them.
    pub(super) fn pods(&mut self, value: &Value<'_>, at: &At<'_>, taken: &str) -> Option<PodPeer> {
        let known = &["namespaceSelector", "podSelector", "sameLabels", "notSameLabels", "namespaces"];
        let field = self.walk.fields(value, at, known, taken).ok()?;
        if let Some(old) = ["sameLabels", "notSameLabels", "namespaces"].into_iter().find(|name| field(name).is_some())
        {
            let what = format!("{old} was removed from the API in v0.1.7, and nothing does what it did; {taken}");
            self.note(&at.field(old), what);
            return None;
        }
        let pods = if let Some(value) = field("podSelector") {
            self.selector(value, &at.field("podSelector"), taken)
        } else {
            self.note(at, format!("pods need a podSelector; {taken}"));
            None
        };
        let namespaces = match field("namespaceSelector") {
            Some(value) => self.selector(value, &at.field("namespaceSelector"), taken).map(NamespaceScope::Matching),
            None if self.api.is_old() => {
                self.note(at, format!("pods need a namespaceSelector; {taken}"));
                None
            }
            None => Some(NamespaceScope::all()),
        };
        Some(PodPeer { namespaces: namespaces?, pods: pods? })
    }

    /// Blocks match pods as well as everything else (semantics 2.2.8).
    fn networks(&mut self, value: &Value<'_>, at: &At<'_>) -> Option<Peer> {
        let texts = self.texts(value, at)?;
        let mut nets = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            match parse_cidr(text) {
                Ok((net, strict)) => {
                    if !strict {
                        let written = shorten(text);
                        let what = format!("`{written}` is not how current API servers want it; it {READ_AS} {net}");
                        self.note(&at.index(i), what);
                    }
                    nets.push(net);
                }
                Err(error) => self.note(&at.index(i), format!("{error}; {FAILS_CLOSED}")),
            }
        }
        (nets.len() == texts.len()).then(|| Peer::Addresses(AddressPeer::blocks(nets, AddressScope::PodsToo)))
    }

    /// Names are for rules that accept (semantics 2.2.7); what they resolve to is outside of the cluster (semantics 2.2.12).
    fn domains(&mut self, value: &Value<'_>, at: &At<'_>, action: Action) -> Option<Peer> {
        let texts = self.texts(value, at)?;
        if action != Action::Allow {
            let allow = self.api.allow;
            self.note(at, format!("domainNames are for rules with the action {allow}; {FAILS_CLOSED}"));
            return None;
        }
        let mut names = Vec::with_capacity(texts.len());
        for (i, text) in texts.iter().enumerate() {
            if is_domain(text) {
                names.push(Str::from(text.trim_end_matches('.').to_ascii_lowercase()));
            } else {
                let what =
                    format!("`{}` is no domain name, with or without `*.` before it; {FAILS_CLOSED}", shorten(text));
                self.note(&at.index(i), what);
            }
        }
        (names.len() == texts.len()).then_some(Peer::Domains(names))
    }

    /// A list of texts with something in it.
    fn texts(&mut self, value: &Value<'_>, at: &At<'_>) -> Option<Vec<String>> {
        let texts = self.walk.texts(Some(value), at, FAILS_CLOSED).ok()??;
        if texts.is_empty() {
            self.note(at, format!("an empty list names nobody; {FAILS_CLOSED}"));
            return None;
        }
        Some(texts.iter().map(|text| text.to_string()).collect())
    }
}

/// At least two labels, and a wildcard only as the whole first one.
pub(in super::super) fn is_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let text = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with(['-', '_'])
            && !label.ends_with(['-', '_'])
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}
