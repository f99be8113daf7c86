//! Answers under doubt: what certainly passes and what may pass, so that nothing is called allowed or denied that a CNI
//! or an address not known yet could turn round.

use std::fmt;
use std::sync::Arc;

use super::decide::{Decision, Doubt, Endpoint, Side, decide};
use crate::model::house::Dialect;
use crate::model::meter::charge;
use crate::model::{Direction, Enforcer, Peer, PodSpec, Policy, PortSet, Protocol, Ties};
use crate::snapshot::Snapshot;

/// The answer to a question about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It passes.
    Allow,
    /// It does not.
    Deny,
    /// That hangs on something which the policies do not settle.
    Depends,
}

impl Verdict {
    /// The name in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
            Self::Depends => "Depends",
        }
    }

    /// One verdict for several parts of a question: theirs if they agree.
    pub fn of_parts(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Self::Deny };
        if parts.all(|v| v == first) { first } else { Self::Depends }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What certainly passes, and what may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bounds {
    /// Passes whatever is not known.
    pub certain: PortSet,
    /// Passes if everything that is not known turns out in its favour; never less than `certain`.
    pub possible: PortSet,
    /// What of it passes only under a further condition, such as an HTTP rule.
    pub filtered: PortSet,
}

impl Bounds {
    /// Everything passes.
    pub fn full() -> Self {
        Self { certain: PortSet::full(), possible: PortSet::full(), filtered: PortSet::empty() }
    }

    /// What passes both of two sides.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let possible = self.possible.intersection(&other.possible);
        Self {
            certain: self.certain.intersection(&other.certain),
            filtered: self.filtered.union(&other.filtered).intersection(&possible),
            possible,
        }
    }

    /// What is known if either of two readings may be the right one.
    #[must_use]
    pub fn either(&self, other: &Self) -> Self {
        Self {
            certain: self.certain.intersection(&other.certain),
            possible: self.possible.union(&other.possible),
            filtered: self.filtered.union(&other.filtered),
        }
    }

    /// What is neither certain to pass nor certain not to.
    pub fn doubtful(&self) -> PortSet {
        self.possible.difference(&self.certain)
    }

    /// The verdict on the ports asked for, or on any connection at all.
    pub fn verdict(&self, asked: Option<&PortSet>) -> Verdict {
        match asked {
            Some(asked) if asked.is_subset(&self.certain) => Verdict::Allow,
            Some(asked) if !asked.intersects(&self.possible) => Verdict::Deny,
            None if has_ports(&self.certain) => Verdict::Allow,
            None if !has_ports(&self.possible) => Verdict::Deny,
            _ => Verdict::Depends,
        }
    }
}

/// Whether any TCP, UDP or SCTP port is in the set. What policies do to other traffic is undefined (semantics 2.1.21).
pub fn has_ports(set: &PortSet) -> bool {
    Protocol::ALL.iter().any(|p| !set.ports(*p).is_empty())
}

/// The readings of the specification that have to be considered: one dialect, or every way in which dialects differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings(Vec<Dialect>);

impl Readings {
    /// The readings for a dialect that is settled, or not.
    pub fn of(dialect: Option<Dialect>) -> Self {
        if let Some(dialect) = dialect {
            return Self(vec![dialect]);
        }
        let mut distinct: Vec<Dialect> = Vec::new();
        for dialect in Dialect::ALL {
            if distinct.iter().all(|d| d.ip_blocks_match_pods() != dialect.ip_blocks_match_pods()) {
                distinct.push(dialect);
            }
        }
        Self(distinct)
    }

    /// The readings for a cluster. Where the dialect is not settled, policies that one network alone enforces tell which
    /// one there is; policies of both leave both.
    pub fn in_world(world: &Snapshot, dialect: Option<Dialect>) -> Self {
        if dialect.is_some() {
            return Self::of(dialect);
        }
        match world.has_exclusive() {
            (false, false) => Self::of(None),
            (true, false) => Self::of(Some(Dialect::Cilium)),
            (false, true) => Self::of(Some(Dialect::Calico)),
            (true, true) => Self(vec![Dialect::Calico, Dialect::Cilium]),
        }
    }

    /// One dialect for each reading.
    pub fn dialects(&self) -> &[Dialect] {
        &self.0
    }
}

/// One side of a flow under one dialect, decided for and against the flow.
#[derive(Clone, Debug, Default)]
pub struct SideReading {
    /// Everything doubtful taken against the flow.
    pub against: Decision,
    /// Everything doubtful taken in its favour.
    pub in_favour: Decision,
}

impl SideReading {
    /// Decides a side. Where nothing can be in doubt it is decided once.
    pub fn of(
        policies: &[&Arc<Policy>],
        direction: Direction,
        subject: &PodSpec,
        other: Endpoint<'_>,
        dialect: Dialect,
    ) -> Self {
        let side = |doubt| Side { direction, subject, other, asked: PortSet::every(), dialect, doubt };
        let against = decide(policies, &side(Doubt::Against));
        let in_favour =
            if may_doubt(policies, direction) { decide(policies, &side(Doubt::InFavour)) } else { against.clone() };
        Self { against, in_favour }
    }

    /// Both bounds.
    pub fn bounds(&self) -> Bounds {
        let certain = self.against.allowed.clone();
        let possible = self.in_favour.allowed.union(&certain);
        let filtered = self.against.filtered.union(&self.in_favour.filtered).intersection(&possible);
        Bounds { certain, possible, filtered }
    }
}

/// Whether an answer about this direction can hang on anything but labels: on addresses, on what only the running
/// cluster can settle, on which network there is, or on policies of equal priority.
pub(super) fn may_doubt(policies: &[&Arc<Policy>], direction: Direction) -> bool {
    let mut peers = policies.iter().flat_map(|p| p.rules(direction)).flat_map(|r| &r.peers);
    let is_doubtful = |p: &Peer| {
        charge(1);
        !matches!(p, Peer::Any | Peer::Pods(_) | Peer::Nobody)
    };
    peers.any(is_doubtful)
        || policies.iter().any(|p| p.tier.enforcer != Enforcer::Any)
        || policies.windows(2).any(|pair| match pair {
            [a, b] => a.tier.ties == Ties::Undefined && a.tier == b.tier && a.priority == b.priority,
            _ => false,
        })
}
