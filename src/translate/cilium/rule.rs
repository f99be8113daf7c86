//! Ingress, egress and deny rules. An absent list of peers, an empty one and an empty rule all mean different things here,
//! and none of them what they mean in a NetworkPolicy (semantics 2.3.2, 2.3.3).

use crate::translate::json::Value;

use super::filter::join;
use super::peers::PeerKind;
use super::ports::Filtered;
use super::reading::{Broken, Fields, Piece, Reading, Taken};
use crate::model::{Action, Direction, Peer, PortMatch, Rule};
use crate::translate::at::At;

/// One of the four lists of rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    /// Its name.
    pub(super) field: &'static str,
    /// Whether it is about traffic to the pod or from it.
    pub(super) direction: Direction,
    /// Whether its rules allow or deny.
    pub(super) action: Action,
}

impl Section {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self { field: "ingress", direction: Direction::Ingress, action: Action::Allow },
        Self { field: "ingressDeny", direction: Direction::Ingress, action: Action::Deny },
        Self { field: "egress", direction: Direction::Egress, action: Action::Allow },
        Self { field: "egressDeny", direction: Direction::Egress, action: Action::Deny },
    ];

    fn kinds(self) -> &'static [(&'static str, PeerKind)] {
        match (self.direction, self.action) {
            (Direction::Ingress, _) => &PeerKind::FROM,
            // Names are learned from answers that a rule lets through; a deny has none (semantics 2.3.4).
            (Direction::Egress, Action::Deny) => PeerKind::TO.split_last().map_or(&[], |(_, rest)| rest),
            (Direction::Egress, _) => &PeerKind::TO,
        }
    }

    const fn requires(self) -> &'static str {
        match self.direction {
            Direction::Ingress => "fromRequires",
            Direction::Egress => "toRequires",
        }
    }
}

impl Reading {
    /// The rules that one item of a section stands for: one for each condition on top of addresses and ports.
    pub(super) fn rules(&mut self, section: Section, item: &Value<'_>, at: &At<'_>) -> Vec<Rule> {
        self.try_rules(section, item, at).unwrap_or_else(|_| match section.action {
            Action::Deny => vec![rule(section, vec![Peer::Unreadable], "", (PortMatch::any(), None), at)],
            Action::Allow | Action::Pass => Vec::new(),
        })
    }

    fn try_rules(&mut self, section: Section, item: &Value<'_>, at: &At<'_>) -> Piece<Vec<Rule>> {
        let action = section.action;
        let taken = Taken::of(action).rule;
        let mut known: Vec<&str> = section.kinds().iter().map(|(field, _)| *field).collect();
        known.extend(["toPorts", "icmps", section.requires()]);
        if action == Action::Allow {
            known.push("authentication");
        }
        let fields = self.fields(item, at, &known, taken)?;
        let required = section.requires();
        if fields.get(required).is_some() {
            let what = format!("{required} is deprecated, and gone since Cilium 1.19; {taken}");
            return Err(self.note(&at.field(required), what));
        }
        let ports = self.conditions(section, fields, at);
        let peers = self.rule_peers(section, fields, at, taken);
        let ((ports, broken), (peers, peers_at)) = (ports?, peers?);
        let ports = match (ports, peers.is_empty()) {
            (Some(ports), _) => ports,
            (None, false) => vec![(PortMatch::any(), None)],
            // Neither peers nor ports: the rule isolates and says nothing else (semantics 2.3.2).
            (None, true) => return Ok(Vec::new()),
        };
        let peers = match peers {
            Peers::Listed(lists) => lists,
            // semantics 2.3.3: nobody is named, so the ports are open to everyone.
            Peers::Absent => vec![vec![Peer::Any]],
            Peers::Empty => return Ok(Vec::new()),
        };
        let authentication = match fields.get("authentication") {
            Some(value) => self.authentication(value, &at.field("authentication"), taken)?,
            None => None,
        };
        if peers_at == "toServices" && ports.iter().any(|(ports, _)| !ports.is_any()) {
            self.doubt = Some(TOGETHER);
        }
        // One peer for each item, and what an item stands for besides it in a rule of its own.
        let first: Vec<Peer> = peers.iter().filter_map(|list| list.first().cloned()).collect();
        let more: Vec<Peer> = peers.iter().flat_map(|list| list.iter().skip(1).cloned()).collect();
        let mut rules = Vec::new();
        if broken && action == Action::Deny {
            // On which ports these are denied could not be read: it may be any.
            let maybe = |peer: &Peer| Peer::AllOf(vec![peer.clone(), Peer::Unreadable]);
            let all: Vec<Peer> = first.iter().chain(&more).map(maybe).collect();
            rules.push(rule(section, all, "", (PortMatch::any(), None), at));
        }
        for (ports, filter) in ports {
            let all = filter.iter().map(ToString::to_string).chain(authentication.map(str::to_owned));
            let condition = (ports, join(all));
            if !more.is_empty() {
                rules.push(rule(section, more.clone(), "", condition.clone(), at));
            }
            rules.push(rule(section, first.clone(), peers_at, condition, at));
        }
        Ok(rules)
    }

    /// Ports and what comes on top, `None` where the rule names none, and whether some could not be read.
    fn conditions(
        &mut self,
        section: Section,
        fields: Fields<'_>,
        at: &At<'_>,
    ) -> Piece<(Option<Vec<Filtered>>, bool)> {
        let taken = Taken::of(section.action).rule;
        let (ports_at, icmps_at) = (at.field("toPorts"), at.field("icmps"));
        let ports = self.list(fields.get("toPorts"), &ports_at, taken)?.filter(|list| !list.is_empty());
        let icmps = self.list(fields.get("icmps"), &icmps_at, taken)?.filter(|list| !list.is_empty());
        match (ports, icmps) {
            (Some(_), Some(_)) => Err(self.refuse(&icmps_at, "icmps and toPorts exclude each other in one rule")),
            (Some(ports), None) => {
                let (ports, broken) = self.port_rules(ports, section.direction, section.action, &ports_at);
                Ok((Some(ports), broken))
            }
            (None, Some(icmps)) => self.icmps(icmps, section.action, &icmps_at).map(|one| (Some(vec![one]), false)),
            (None, None) => Ok((None, false)),
        }
    }

    /// The peers of a rule, item by item, and the field that holds them.
    fn rule_peers(
        &mut self,
        section: Section,
        fields: Fields<'_>,
        at: &At<'_>,
        taken: &str,
    ) -> Piece<(Peers, &'static str)> {
        let mut result = (Peers::Absent, "");
        let mut broken = false;
        for (field, kind) in section.kinds() {
            let list_at = at.field(field);
            let list = match self.list(fields.get(field), &list_at, taken) {
                Ok(Some(list)) => list,
                Ok(None) => continue,
                Err(Broken) => {
                    broken = true;
                    continue;
                }
            };
            match (&result.0, list.is_empty()) {
                (Peers::Listed(_), true) => {}
                (Peers::Listed(_), false) => {
                    let what = format!("{} and {field} exclude each other in one rule", result.1);
                    return Err(self.refuse(at, &what));
                }
                // An empty list is not an absent one: it names nobody.
                (_, true) => result = (Peers::Empty, field),
                (_, false) => {
                    let items = list.iter().enumerate();
                    let peers = items.map(|(i, item)| self.peers(*kind, item, section.action, &list_at.index(i)));
                    result = (Peers::Listed(peers.collect()), field);
                }
            }
        }
        if broken { Err(Broken) } else { Ok(result) }
    }
}

/// What a policy with toServices beside toPorts hangs on: releases that are in use refuse it as a whole.
const TOGETHER: &str = "a release of Cilium that takes toServices and toPorts in one rule";

/// Whom a rule names.
enum Peers {
    /// No list at all.
    Absent,
    /// Only empty lists.
    Empty,
    /// What each item stands for.
    Listed(Vec<Vec<Peer>>),
}

impl Peers {
    const fn is_empty(&self) -> bool {
        !matches!(self, Self::Listed(_))
    }
}

fn rule(
    section: Section,
    peers: Vec<Peer>,
    peers_at: &'static str,
    (ports, filtered_by): Filtered,
    at: &At<'_>,
) -> Rule {
    Rule { action: section.action, peers, ports, at: at.path(), peers_at, filtered_by }
}
