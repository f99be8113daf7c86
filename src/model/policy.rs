//! Policies in tiers: one shape for NetworkPolicy, ClusterNetworkPolicy, Cilium and Calico.
//!
//! A tier is either a *union* (isolation plus allows, deny beats allow) or *first match* (ordered policies, ordered rules).
//! Tiers are consulted in order until one decides.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Str;
use super::origin::{FieldPath, ObjectRef};
use super::peer::{NamespaceScope, Peer};
use super::ports::PortMatch;
use super::selector::Selector;

/// One of the two sides on which policies decide (semantics 2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Traffic to the pod.
    Ingress,
    /// Traffic from the pod.
    Egress,
}

impl Direction {
    /// Both, in the order in which Kubernetes writes them.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `Ingress` or `Egress`, as in `policyTypes`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    /// `ingress` or `egress`, as in field names.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A total order over priorities; smaller is consulted first. Holds floats because Calico's orders are floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(i64);

impl Priority {
    /// After every number (Calico: no order given).
    pub const LAST: Self = Self(i64::MAX);

    /// From a number; not-a-number counts as last.
    pub fn new(value: f64) -> Self {
        if value.is_nan() {
            return Self::LAST;
        }
        // The IEEE bits of positive floats sort as integers; those of negative ones sort backwards.
        let bits = value.to_bits().cast_signed();
        Self(if bits < 0 { i64::MIN.wrapping_sub(bits).wrapping_sub(1) } else { bits })
    }
}

/// What happens to traffic in a first-match tier when no rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierEnd {
    /// The next tier decides.
    Continue,
    /// Denied if at least one policy of the tier governs the pod in that direction (semantics 2.4.1).
    DenyGoverned,
}

/// How policies of one tier combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TierSemantics {
    /// Policies by priority, rules in order, the first that matches decides.
    FirstMatch(TierEnd),
    /// All policies together: deny beats allow; a pod that some policy isolates gets nothing else from later tiers.
    Union,
}

/// A tier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tier {
    /// Its name, as explanations show it.
    pub name: Str,
    /// When it is consulted.
    pub order: Priority,
    /// How its policies combine.
    pub semantics: TierSemantics,
}

static NETWORK_POLICY_TIER: LazyLock<Arc<Tier>> = LazyLock::new(|| {
    Arc::new(Tier { name: "NetworkPolicy".into(), order: Priority::new(1_000_000.0), semantics: TierSemantics::Union })
});

impl Tier {
    /// The tier of NetworkPolicy (and of Cilium's policies, which join it; semantics 2.3.5).
    pub fn network_policy() -> Arc<Self> {
        Arc::clone(&NETWORK_POLICY_TIER)
    }
}

/// What a matching rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Lets the traffic through this side.
    Allow,
    /// Drops it.
    Deny,
    /// Leaves it to the next tier.
    Pass,
}

/// Which pods a policy applies to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Namespaces.
    pub namespaces: NamespaceScope,
    /// Pods there.
    pub pods: Selector,
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Whom it names; one that matches is enough. An absent or empty list upstream is `[Peer::Any]` here.
    pub peers: Vec<Peer>,
    /// Which ports; resolved on the destination pod where names are used.
    pub ports: PortMatch,
    /// Where it is written, such as `spec.egress[0]`.
    pub at: FieldPath,
    /// The field that holds the peers (`to`, `from`); empty when it is absent.
    pub peers_at: &'static str,
    /// A condition beyond addresses and ports that the data plane also checks (HTTP, DNS names, ICMP types), as text.
    pub filtered_by: Option<Str>,
}

impl Rule {
    /// The path of the peer with this index.
    pub fn peer_path(&self, i: usize) -> FieldPath {
        if self.peers_at.is_empty() { self.at.clone() } else { self.at.field(self.peers_at).index(i) }
    }
}

/// A policy. One Kubernetes object can hold several (Cilium's `specs`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// The object it comes from.
    pub id: Arc<ObjectRef>,
    /// Its tier.
    pub tier: Arc<Tier>,
    /// Its place in a first-match tier; ties are broken by name.
    pub priority: Priority,
    /// Whom it applies to.
    pub subject: Subject,
    /// Whether selected pods are isolated on ingress: nothing gets in but what rules allow.
    pub isolates_ingress: bool,
    /// The same for egress.
    pub isolates_egress: bool,
    /// Rules for traffic to the subject. Translators leave out rules of a direction that has no effect (semantics 2.1.1).
    pub ingress: Vec<Rule>,
    /// Rules for traffic from the subject.
    pub egress: Vec<Rule>,
}

impl Policy {
    /// Whether it isolates its subject in this direction.
    pub const fn isolates(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.isolates_ingress,
            Direction::Egress => self.isolates_egress,
        }
    }

    /// Its rules for this direction.
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_sort_as_numbers() {
        let ascending = [f64::NEG_INFINITY, -10.5, -1.0, -0.0, 0.0, 0.5, 1000.0, f64::INFINITY, f64::NAN];
        for pair in ascending.windows(2) {
            assert!(Priority::new(pair[0]) <= Priority::new(pair[1]), "{pair:?}");
        }
        assert!(Priority::new(-1.0) < Priority::new(0.0));
        assert!(Priority::new(1.0) < Priority::LAST);
    }
}
