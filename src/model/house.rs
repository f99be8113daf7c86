//! House rules as values: which rules there are, at which level they hold where, and with which settings.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::Str;
use super::cni::Cni;
use super::ipset::IpSet;
use super::labels::Labels;
use super::policy::Direction;
use super::ports::Protocol;
use super::selector::Selector;

/// What a finding leads to. Ordered: stricter is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Not judged.
    Off,
    /// Recorded only.
    Audit,
    /// Shown by kubectl as a warning.
    Warn,
    /// Denied.
    Enforce,
}

impl Level {
    /// The name in settings and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Audit => "audit",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Off, Self::Audit, Self::Warn, Self::Enforce].into_iter().find(|l| l.as_str() == text)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! rule_ids {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $level:ident;)+) => {
        /// The house rules, in the order of their names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RuleId { $($(#[doc = $doc])+ $variant,)+ }

        impl RuleId {
            /// All of them, sorted by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in settings and output.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The level where no HouseRules says otherwise.
            pub const fn default_level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }
        }
    };
}

rule_ids! {
    /// An empty peer list or rule that admits everyone.
    AllowAllPeers = "allow-all-peers", Warn;
    /// Two administrators' policies of equal priority that disagree.
    AmbiguousPriority = "ambiguous-priority", Warn;
    /// A workload that cannot reach cluster DNS.
    BlockedDns = "blocked-dns", Enforce;
    /// A connectivity assertion that does not hold any more.
    BrokenAssertion = "broken-assertion", Enforce;
    /// A peer selector that matches nothing.
    DanglingPeer = "dangling-peer", Warn;
    /// A tier, a group of addresses or a Service that does not exist.
    DanglingReference = "dangling-reference", Warn;
    /// A policy that selects nothing.
    DanglingSubject = "dangling-subject", Warn;
    /// A policy that network plugins read differently.
    DialectDependent = "dialect-dependent", Warn;
    /// Names in a policy that no DNS rule lets be asked for.
    FqdnWithoutDns = "fqdn-without-dns", Warn;
    /// A pod on the node's network.
    HostNetwork = "host-network", Warn;
    /// A policy without policyTypes.
    ImplicitPolicyTypes = "implicit-policy-types", Audit;
    /// A workload whose namespace has no default deny.
    MissingDefaultDeny = "missing-default-deny", Enforce;
    /// Something that could not be read.
    NotUnderstood = "not-understood", Warn;
    /// A policy that opens the world without excepting private ranges.
    OpenCidr = "open-cidr", Enforce;
    /// A policy that others make needless.
    RedundantPolicy = "redundant-policy", Audit;
    /// Running pods that are cut off.
    SeveredPods = "severed-pods", Warn;
    /// A rule that can never decide.
    ShadowedRule = "shadowed-rule", Audit;
    /// A default deny that is only staged.
    StagedOnly = "staged-only", Warn;
    /// Something that costs more to judge than a review may take.
    TooLarge = "too-large", Enforce;
    /// DNS over UDP without TCP.
    UdpOnlyDns = "udp-only-dns", Warn;
    /// A policy of a kind that nothing in this cluster enforces.
    Unenforced = "unenforced", Warn;
    /// A named port that no pod has.
    UnresolvedNamedPort = "unresolved-named-port", Warn;
}

impl RuleId {
    /// Whether the rule protects: it then refuses what is not certainly right. Other rules refuse what is certainly wrong.
    pub const fn protects(self) -> bool {
        matches!(self, Self::BrokenAssertion | Self::MissingDefaultDeny | Self::NotUnderstood | Self::OpenCidr)
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|id| id.as_str() == text)
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a CNI reads what the specification leaves open (semantics 2.1.14 and following).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The upstream conformance tests.
    #[default]
    Upstream,
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
    /// Antrea.
    Antrea,
    /// OVN-Kubernetes.
    Ovn,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 5] = [Self::Upstream, Self::Calico, Self::Cilium, Self::Antrea, Self::Ovn];

    /// The name in settings and flags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::Antrea => "antrea",
            Self::Ovn => "ovn",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.as_str() == text)
    }

    /// Whether a NetworkPolicy `ipBlock` matches addresses of pods.
    pub const fn ip_blocks_match_pods(self) -> bool {
        !matches!(self, Self::Cilium)
    }
}

/// Where cluster DNS is. Reaching one endpoint is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Namespace of the DNS pods.
    pub namespace: Str,
    /// Labels of the DNS pods.
    pub labels: Labels,
    /// Addresses that answer as well, such as NodeLocal DNSCache's.
    pub addresses: Vec<IpAddr>,
    /// Whether the addresses are only assumed. Then a block counts only where it is meant for them (link-local),
    /// because most clusters have no such cache and "the whole internet" would seem to include it.
    pub addresses_assumed: bool,
    /// Protocols on port 53 that must work.
    pub protocols: Vec<Protocol>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            namespace: "kube-system".into(),
            labels: Labels::new([("k8s-app", "kube-dns")]),
            addresses: vec![IpAddr::from([169, 254, 20, 10])],
            addresses_assumed: true,
            protocols: vec![Protocol::Udp, Protocol::Tcp],
        }
    }
}

/// Settings of `open-cidr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCidr {
    /// Directions that are judged.
    pub directions: Vec<Direction>,
    /// Ranges that a wide opening must except.
    pub private: IpSet,
    /// A policy is wide when it admits more public IPv4 addresses than a block of this prefix length has.
    pub widest_v4: u8,
    /// The same for IPv6.
    pub widest_v6: u8,
    /// Private addresses that blocks inside a private range may name on purpose beside a wide opening,
    /// as a prefix length: up to this many addresses in all, and never a whole range.
    pub reopen_v4: u8,
    /// The same for IPv6.
    pub reopen_v6: u8,
}

impl Default for OpenCidr {
    fn default() -> Self {
        Self {
            directions: Direction::BOTH.to_vec(),
            private: private_ranges(),
            widest_v4: 8,
            widest_v6: 16,
            reopen_v4: 16,
            reopen_v6: 48,
        }
    }
}

/// 10/8, 172.16/12, 192.168/16 (RFC 1918) and fc00::/7 (RFC 4193).
pub fn private_ranges() -> IpSet {
    use super::interval::IntervalSet;
    IpSet::from_families(
        IntervalSet::from_ranges([(0x0a00_0000, 0x0aff_ffff), (0xac10_0000, 0xac1f_ffff), (0xc0a8_0000, 0xc0a8_ffff)]),
        IntervalSet::range(0xfc << 120, (0xfe << 120) - 1),
    )
}

/// Settings of all rules, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `missing-default-deny`: directions that need one.
    pub default_deny_directions: Vec<Direction>,
    /// `open-cidr`.
    pub open_cidr: OpenCidr,
    /// Where cluster DNS is.
    pub dns: Dns,
    /// How the CNI reads what is left open.
    pub dialect: Dialect,
    /// Whether no HouseRules settles the dialect, so that the plugin that is seen does.
    pub detect_dialect: bool,
    /// The dialect where somebody has settled it; what is asserted must otherwise hold under every reading.
    pub settled: Option<Dialect>,
    /// `broken-assertion`: what follows for a new assertion that does not hold.
    pub on_create: Level,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_deny_directions: Direction::BOTH.to_vec(),
            open_cidr: OpenCidr::default(),
            dns: Dns::default(),
            dialect: Dialect::default(),
            detect_dialect: true,
            settled: None,
            on_create: Level::Warn,
        }
    }
}

/// The dialect of these plugins, where they agree. One that has none of its own, such as Flannel below Calico, does not count.
pub fn dialect_of(plugins: &[Cni]) -> Option<Dialect> {
    let mut dialects = plugins.iter().filter_map(|plugin| plugin.dialect());
    let first = dialects.next()?;
    dialects.all(|other| other == first).then_some(first)
}

/// Settings that one HouseRules object gives; the rest stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSettings {
    /// `missing-default-deny` directions.
    pub default_deny_directions: Option<Vec<Direction>>,
    /// `open-cidr`, complete once anything of it is set.
    pub open_cidr: Option<OpenCidr>,
    /// DNS, complete once anything of it is set.
    pub dns: Option<Dns>,
    /// Dialect; `None` leaves it to the plugin that is seen.
    pub dialect: Option<Dialect>,
    /// `broken-assertion`: what follows for a new assertion that does not hold.
    pub on_create: Option<Level>,
}

/// Who and what is let through, by exact name only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// Namespaces.
    pub namespaces: Vec<Str>,
    /// `(namespace, name)` of service accounts that send the request.
    pub service_accounts: Vec<(Str, Str)>,
    /// User names that send the request.
    pub users: Vec<Str>,
    /// Groups of the sender.
    pub groups: Vec<Str>,
    /// Pods by label.
    pub workloads: Option<Selector>,
}

/// One HouseRules object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HouseRules {
    /// Its name.
    pub name: Str,
    /// Namespaces it governs, by their labels.
    pub namespaces: Selector,
    /// Levels it sets.
    pub levels: BTreeMap<RuleId, Level>,
    /// Settings it gives.
    pub settings: PartialSettings,
    /// What it exempts.
    pub exempt: Exempt,
}

/// A time-limited exception that has been found valid; times are checked where the clock is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// `namespace/name` of the object.
    pub name: Str,
    /// Rules it lifts.
    pub rules: Vec<RuleId>,
    /// Namespaces it holds for; empty means none.
    pub namespaces: Vec<Str>,
    /// Pods or policies it holds for, by label.
    pub selector: Selector,
    /// Why, as its author says.
    pub reason: Str,
    /// Seconds since the epoch at which it ends.
    pub expires_at: i64,
}

/// Everything that decides levels: all HouseRules, exceptions and the global cap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct House {
    /// HouseRules objects in the order of their names. None at all: the compiled-in defaults hold everywhere.
    pub rules: Vec<HouseRules>,
    /// Exceptions that are in force.
    pub exceptions: Vec<Exception>,
    /// No finding goes above this (the Helm value `mode`).
    pub cap: Level,
    /// Level at which findings about pods that a controller makes are capped.
    pub from_controllers: Level,
}

impl House {
    /// The dialect of the cluster, where HouseRules settle it: there is one network plugin. Of several the first by name
    /// counts; that they differ is a condition in their status.
    pub fn dialect(&self) -> Option<Dialect> {
        self.rules.iter().find_map(|rules| rules.settings.dialect)
    }
}

impl Default for House {
    fn default() -> Self {
        Self { rules: Vec::new(), exceptions: Vec::new(), cap: Level::Enforce, from_controllers: Level::Warn }
    }
}
