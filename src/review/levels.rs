//! Which level and which settings hold in a namespace, and who is let through.

use std::sync::{Arc, LazyLock};

use super::User;
use crate::model::cni::Cni;
use crate::model::house::{Exempt, House, HouseRules, Level, RuleId, Settings, dialect_of};
use crate::model::{Change, Labels, Namespace, Object, Str};
use crate::snapshot::NamespaceState;

/// Labels as in Pod Security Admission: `portcullis.dev/enforce: none` takes a namespace out of enforcement. Each lowers
/// its level to the next.
const LABELS: [(&str, Level, Level); 3] = [
    ("portcullis.dev/enforce", Level::Enforce, Level::Warn),
    ("portcullis.dev/warn", Level::Warn, Level::Audit),
    ("portcullis.dev/audit", Level::Audit, Level::Off),
];

static BUILT_IN: LazyLock<Str> = LazyLock::new(|| "built-in default".into());
static BUILT_IN_SETTINGS: LazyLock<Arc<Settings>> = LazyLock::new(Arc::default);

/// What holds in one namespace.
#[derive(Clone, Debug)]
pub struct Effective {
    /// By rule, with who set it if anybody did. Those that are not in it have their default.
    levels: Vec<(Level, Option<Str>)>,
    /// Settings of all rules.
    pub settings: Arc<Settings>,
    exempt: Vec<(Str, Exempt)>,
    namespace: Str,
}

impl Effective {
    /// The level of a rule and who set it.
    pub fn level(&self, id: RuleId) -> (Level, &Str) {
        let (level, source) =
            self.levels.get(id as usize).map_or((id.default_level(), None), |(l, s)| (*l, s.as_ref()));
        (level, source.unwrap_or(&BUILT_IN))
    }

    /// Takes the dialect of the plugins that are seen, where no HouseRules settles it and they agree.
    pub fn see(&mut self, plugins: &[Cni]) {
        let settings = &self.settings;
        if settings.detect_dialect
            && let Some(dialect) = dialect_of(plugins)
            && (settings.dialect, settings.settled) != (dialect, settings.settled.or(Some(dialect)))
        {
            let settings = Arc::make_mut(&mut self.settings);
            settings.dialect = dialect;
            settings.settled = settings.settled.or(Some(dialect));
        }
    }

    /// What lets the request through, whatever is found.
    pub fn exemption(&self, change: &Change, user: &User) -> Option<String> {
        self.exempt.iter().find_map(|(source, exempt)| {
            let why = why_exempt(exempt, &self.namespace, change, user)?;
            Some(format!("{source}: exempt {why}"))
        })
    }

    /// The exception that lifts a rule in this namespace, as `RuleException ns/name (reason)`. Of a change that reaches
    /// several namespaces it lifts what is found in this one.
    pub(super) fn exception(&self, house: &House, rule: RuleId, change: &Change) -> Option<String> {
        let found = house.exceptions.iter().find(|exception| {
            exception.rules.contains(&rule)
                && exception.namespaces.contains(&self.namespace)
                && match change.object() {
                    Some(Object::Workload(workload)) => exception.selector.matches(&workload.pod.labels),
                    _ => exception.selector.is_everything(),
                }
        })?;
        Some(format!("RuleException/{}: {}", found.name, found.reason))
    }
}

fn why_exempt(exempt: &Exempt, namespace: &str, change: &Change, user: &User) -> Option<String> {
    if exempt.namespaces.iter().any(|n| **n == *namespace) {
        return Some(format!("namespace {namespace}"));
    }
    if let Some((ns, name)) = exempt.service_accounts.iter().find(|(ns, name)| {
        user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) == Some((&**ns, &**name))
    }) {
        return Some(format!("service account {ns}/{name}"));
    }
    if exempt.users.contains(&user.name) {
        return Some(format!("user {}", user.name));
    }
    if let Some(group) = user.groups.iter().find(|g| exempt.groups.contains(g)) {
        return Some(format!("group {group}"));
    }
    match (change.object(), &exempt.workloads) {
        (Some(Object::Workload(workload)), Some(selector)) if selector.matches(&workload.pod.labels) => {
            Some(format!("workloads with {selector}"))
        }
        _ => None,
    }
}

/// Works out what holds in a namespace: of several HouseRules that name a rule the strictest counts, namespace labels
/// and the global cap only ever lower.
pub fn effective(house: &House, namespace: &NamespaceState) -> Effective {
    let matching: Vec<&HouseRules> =
        house.rules.iter().filter(|rules| rules.namespaces.matches(namespace.labels())).collect();
    let sources: Vec<Str> = matching.iter().map(|rules| Arc::from(format!("HouseRules/{}", rules.name))).collect();
    let ungoverned = matching.is_empty() && !house.rules.is_empty();
    let caps = caps_of(namespace.labels());
    let all_default = house.rules.is_empty() && caps.is_empty();
    let levels = RuleId::ALL.iter().filter(|_| !all_default).map(|id| {
        if ungoverned {
            return (Level::Off, None);
        }
        let named = matching.iter().zip(&sources).filter_map(|(rules, source)| Some((*rules.levels.get(id)?, source)));
        let (level, source) = named
            .max_by(|a, b| a.0.cmp(&b.0))
            .map_or((id.default_level(), None), |(level, source)| (level, Some(source)));
        let capped = caps.iter().fold(level, |level, (from, to)| if level == *from { *to } else { level });
        let lowered = || Arc::from(format!("labels of namespace {}", namespace.name()));
        (capped, if capped < level { Some(lowered()) } else { source.cloned() })
    });
    let mut settings = Arc::clone(&BUILT_IN_SETTINGS);
    if let Some(dialect) = house.dialect() {
        Arc::make_mut(&mut settings).settled = Some(dialect);
    }
    // Where two objects disagree the first by name counts; the conflict is a status condition.
    for rules in matching.iter().rev() {
        let given = &rules.settings;
        if let Some(directions) = &given.default_deny_directions {
            Arc::make_mut(&mut settings).default_deny_directions.clone_from(directions);
        }
        if let Some(open_cidr) = &given.open_cidr {
            Arc::make_mut(&mut settings).open_cidr.clone_from(open_cidr);
        }
        if let Some(dns) = &given.dns {
            Arc::make_mut(&mut settings).dns.clone_from(dns);
        }
        if let Some(dialect) = given.dialect {
            let settings = Arc::make_mut(&mut settings);
            settings.dialect = dialect;
            settings.detect_dialect = false;
        }
        if let Some(level) = given.on_create {
            Arc::make_mut(&mut settings).on_create = level;
        }
    }
    Effective {
        levels: levels.collect(),
        settings,
        exempt: matching.iter().zip(&sources).map(|(rules, source)| (source.clone(), rules.exempt.clone())).collect(),
        namespace: namespace.name().clone(),
    }
}

/// Which levels the labels of a namespace lower to which, in the order in which they do.
fn caps_of(labels: &Labels) -> Vec<(Level, Level)> {
    let none = |label| labels.get(label).is_some_and(|value| &**value == "none");
    LABELS.into_iter().filter(|(label, ..)| none(label)).map(|(_, from, to)| (from, to)).collect()
}

/// Whether new labels of a namespace lower what holds in it. Only users who may edit house rules may do that.
pub fn lowers_level(house: &House, before: &NamespaceState, after: &NamespaceState) -> Option<String> {
    let (then, now) = (effective(house, before), effective(house, after));
    RuleId::ALL.iter().find_map(|id| {
        let ((old, _), (new, _)) = (then.level(*id), now.level(*id));
        (new < old).then(|| format!("{id} would go from {old} to {new}"))
    })
}

/// Whether a rule that is not about policies may only be recorded in a namespace with these labels: by the mode, by
/// HouseRules or by a label of the namespace.
pub fn may_record(house: &House, namespace: &Labels) -> bool {
    let recorded = |rules: &HouseRules| rules.levels.values().any(|level| *level == Level::Audit);
    house.cap == Level::Audit || house.rules.iter().any(recorded) || !caps_of(namespace).is_empty()
}

/// The namespace as it would be if nobody had set a label of Portcullis on it: what a new one is compared with, because
/// there is none before it.
pub fn without_own_labels(namespace: &Namespace) -> Namespace {
    let own = |key: &str| LABELS.iter().any(|(label, ..)| *label == key);
    let kept = namespace.labels.iter().filter(|(key, _)| !own(key)).map(|(k, v)| (k.clone(), v.clone()));
    Namespace { labels: Labels::new(kept), ..namespace.clone() }
}
