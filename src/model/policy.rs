//! Policies in tiers: one shape for NetworkPolicy, ClusterNetworkPolicy, Cilium and Calico.
//!
//! A tier is either a *union* (isolation plus allows, deny beats allow) or *first match* (ordered policies, ordered rules).
//! Tiers are consulted in order until one decides.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Str;
use super::group::TierObject;
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

impl Priority {
    /// The number it was made from; `None` for the last.
    pub fn number(self) -> Option<f64> {
        let bits = if self.0 < 0 { i64::MIN.wrapping_sub(self.0).wrapping_sub(1) } else { self.0 };
        (self != Self::LAST).then(|| f64::from_bits(bits.cast_unsigned()))
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

/// What decides between policies of equal priority in a first-match tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ties {
    /// Their names.
    ByName,
    /// Nothing: the specification leaves it open, so every order has to be considered (semantics 2.2.5).
    Undefined,
}

/// Which networks enforce the policies of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enforcer {
    /// Every one that knows the kind.
    Any,
    /// Cilium alone.
    Cilium,
    /// Calico alone.
    Calico,
}

/// Whether the policies of a tier count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// They do.
    InForce,
    /// They name a tier that does not exist. The data plane passes over such policies, so they neither allow nor deny.
    Missing,
    /// They are staged: shown, and never enforced (semantics 2.4.14).
    Staged,
    /// The network is told to enforce none (semantics 2.3.16).
    Off,
}

/// A tier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tier {
    /// Its name, as explanations show it. Policies of equal order and name are of one tier.
    pub name: Str,
    /// When it is consulted.
    pub order: Priority,
    /// How its policies combine.
    pub semantics: TierSemantics,
    /// What decides between policies of equal priority.
    pub ties: Ties,
    /// Who enforces its policies.
    pub enforcer: Enforcer,
    /// Whether its policies count.
    pub standing: Standing,
    /// Whether an object of this name says the order and the end: see [`Tier::defined_by`].
    pub by_name: bool,
}

/// The order of the tier of NetworkPolicy, which Calico calls `default` (semantics 2.4.2).
const DEFAULT_ORDER: f64 = 1_000_000.0;

/// The order of a NetworkPolicy among Calico's policies of the tier `default` (semantics 2.4.3).
const NETWORK_POLICY_ORDER: f64 = 1000.0;

static NETWORK_POLICY_TIER: LazyLock<Arc<Tier>> =
    LazyLock::new(|| Arc::new(Tier::new("NetworkPolicy", DEFAULT_ORDER, TierSemantics::Union)));

static CILIUM_TIER: LazyLock<Arc<Tier>> =
    LazyLock::new(|| Arc::new(Tier { enforcer: Enforcer::Cilium, ..(**NETWORK_POLICY_TIER).clone() }));

static ADMIN_TIER: LazyLock<Arc<Tier>> = LazyLock::new(|| {
    let tier = Tier::new("Admin", 1000.0, TierSemantics::FirstMatch(TierEnd::Continue));
    Arc::new(Tier { ties: Ties::Undefined, ..tier })
});

static BASELINE_TIER: LazyLock<Arc<Tier>> = LazyLock::new(|| {
    let tier = Tier::new("Baseline", 10_000_000.0, TierSemantics::FirstMatch(TierEnd::Continue));
    Arc::new(Tier { ties: Ties::Undefined, ..tier })
});

static CALICO_DEFAULT_TIER: LazyLock<Arc<Tier>> = LazyLock::new(|| {
    let tier = Tier::new("default", DEFAULT_ORDER, TierSemantics::FirstMatch(TierEnd::DenyGoverned));
    Arc::new(Tier { enforcer: Enforcer::Calico, ..tier })
});

impl Tier {
    fn new(name: &str, order: f64, semantics: TierSemantics) -> Self {
        Self {
            name: name.into(),
            order: Priority::new(order),
            semantics,
            ties: Ties::ByName,
            enforcer: Enforcer::Any,
            standing: Standing::InForce,
            by_name: false,
        }
    }

    /// The tier of NetworkPolicy.
    pub fn network_policy() -> Arc<Self> {
        Arc::clone(&NETWORK_POLICY_TIER)
    }

    /// The same tier for Cilium's policies, which join it (semantics 2.3.5).
    pub fn cilium() -> Arc<Self> {
        Arc::clone(&CILIUM_TIER)
    }

    /// The tier of ClusterNetworkPolicies before NetworkPolicy (semantics 2.2.1).
    pub fn admin() -> Arc<Self> {
        Arc::clone(&ADMIN_TIER)
    }

    /// The tier of ClusterNetworkPolicies after NetworkPolicy (semantics 2.2.3).
    pub fn baseline() -> Arc<Self> {
        Arc::clone(&BASELINE_TIER)
    }

    /// A tier of Calico by name. Three are fixed (semantics 2.4.2); the others exist once their object does.
    pub fn calico(name: &str) -> Arc<Self> {
        match name {
            "" | "default" => Arc::clone(&CALICO_DEFAULT_TIER),
            "kube-admin" => Arc::new(Self { enforcer: Enforcer::Calico, ..(**ADMIN_TIER).clone() }),
            "kube-baseline" => Arc::new(Self { enforcer: Enforcer::Calico, ..(**BASELINE_TIER).clone() }),
            name => Arc::new(Self {
                enforcer: Enforcer::Calico,
                standing: Standing::Missing,
                order: Priority::LAST,
                by_name: true,
                ..Self::new(name, 0.0, TierSemantics::FirstMatch(TierEnd::DenyGoverned))
            }),
        }
    }

    /// The tier for policies that are only staged.
    #[must_use]
    pub fn staged(&self) -> Arc<Self> {
        Arc::new(Self { standing: Standing::Staged, ..self.clone() })
    }

    /// The tier as the object of its name has it, or missing without one.
    #[must_use]
    pub fn defined_by(&self, object: Option<&TierObject>) -> Self {
        let staged = self.standing == Standing::Staged;
        match object {
            Some(object) => Self {
                order: object.order,
                semantics: TierSemantics::FirstMatch(object.end),
                standing: if staged { Standing::Staged } else { Standing::InForce },
                ..self.clone()
            },
            None => Self {
                order: Priority::LAST,
                standing: if staged { Standing::Staged } else { Standing::Missing },
                ..self.clone()
            },
        }
    }

    /// Whether this is the tier of NetworkPolicy.
    pub fn is_network_policy(&self) -> bool {
        self.semantics == TierSemantics::Union && self.enforcer == Enforcer::Any
    }

    /// Where a NetworkPolicy stands among Calico's policies: tier and priority (semantics 2.4.3).
    pub fn network_policy_in_calico() -> (&'static Arc<Self>, Priority) {
        (&CALICO_DEFAULT_TIER, Priority::new(NETWORK_POLICY_ORDER))
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
    /// The path of the peer with this index. What Calico's one `source` or `destination` names can be several peers.
    pub fn peer_path(&self, i: usize) -> FieldPath {
        if matches!(self.peers_at, "source" | "destination") {
            return self.at.field(self.peers_at);
        }
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

    /// Whether it counts: its tier exists, it is not only staged, and policies are enforced at all.
    pub fn is_in_force(&self) -> bool {
        self.tier.standing == Standing::InForce
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
        for number in [-10.5, -1.0, 0.0, 0.5, 1000.0] {
            assert_eq!(Priority::new(number).number(), Some(number));
        }
        assert_eq!(Priority::LAST.number(), None);
    }

    #[test]
    fn tiers_stand_in_the_order_of_the_data_planes() {
        // semantics 2.4.2, 2.3.5
        let (admin, default, baseline) = (Tier::admin(), Tier::network_policy(), Tier::baseline());
        assert!(admin.order < default.order && default.order < baseline.order);
        assert_eq!((Tier::calico("").order, Tier::cilium().order), (default.order, default.order));
        assert_eq!(Tier::calico("kube-admin").order, admin.order);
        assert_eq!(Tier::calico("kube-baseline").semantics, baseline.semantics);
    }

    #[test]
    fn a_tier_counts_once_its_object_exists() {
        let tier = Tier::calico("security");
        assert_eq!(tier.standing, Standing::Missing);
        let object = TierObject {
            id: ObjectRef::cluster("projectcalico.org/v3", "Tier", "security"),
            order: Priority::new(5.0),
            end: TierEnd::Continue,
            unread: Vec::new(),
        };
        let there = tier.defined_by(Some(&object));
        assert_eq!((there.standing, there.order), (Standing::InForce, Priority::new(5.0)));
        assert_eq!(there.semantics, TierSemantics::FirstMatch(TierEnd::Continue));
        assert_eq!(there.defined_by(None).standing, Standing::Missing);
        assert_eq!(tier.staged().defined_by(Some(&object)).standing, Standing::Staged);
    }
}
