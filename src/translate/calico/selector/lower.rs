//! Expression → the model's `Selector`, with Calico's own labels put in terms of the model.
//!
//! Calico gives every pod labels that no manifest shows: its namespace, its service account, and the labels of both under
//! the prefixes `pcns.` and `pcsa.` (semantics 2.4.9). Labels of service accounts may not be known. An
//! expression with tests of them has two readings, the narrowest and the widest, which are the same for accounts that are.

use super::{Expr, Op};
use crate::model::labels::{NAMESPACE_NAME_LABEL, namespace_name_label};
use crate::model::selector::{
    ACCOUNT_KNOWN_KEY, ACCOUNT_LABEL_PREFIX, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, Test, name_in_namespace,
};
use crate::model::{Selector, Str};

pub use crate::model::selector::{and, not, or};

/// The label by which Calico knows a namespace or a service account by name.
const NAME: &str = "projectcalico.org/name";
const NAMESPACE: &str = "projectcalico.org/namespace";
const SERVICE_ACCOUNT: &str = "projectcalico.org/serviceaccount";
const ORCHESTRATOR: &str = "projectcalico.org/orchestrator";
const OF_NAMESPACE: &str = "pcns.";
const OF_ACCOUNT: &str = "pcsa.";

/// Whose labels the keys of an expression name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Those of pods, as `selector` and `notSelector` do.
    Pods,
    /// Those of a namespace, looked up at the namespace, as `namespaceSelector` does.
    Namespaces,
    /// Those of a pod's namespace, looked up at the pod.
    NamespacesOfPods,
    /// Those of a pod's service account, looked up at the pod.
    Accounts,
    /// Those of network sets, which `selector` matches as well (semantics 2.4.12).
    Sets,
    /// Those of a network set's namespace, looked up at the set. A GlobalNetworkSet has none.
    NamespacesOfSets,
    /// Those of a service account, which no network set has.
    AccountsOfSets,
}

/// What an expression selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// What it selects whatever is unknown.
    pub certain: Selector,
    /// What it may select; the same unless something is unknown.
    pub possible: Selector,
}

impl Lowered {
    /// No condition.
    pub const fn everything() -> Self {
        Self { certain: Selector::everything(), possible: Selector::everything() }
    }

    /// Both readings, changed alike. The change must not turn the selector round.
    #[must_use]
    pub fn map(self, change: impl Fn(Selector) -> Selector) -> Self {
        Self { certain: change(self.certain), possible: change(self.possible) }
    }

    /// Whether nothing in it is unknown.
    pub fn is_exact(&self) -> bool {
        self.certain == self.possible
    }
}

impl Expr<'_> {
    /// In terms of the model.
    pub fn lower(&self, keys: Keys) -> Lowered {
        let certain = reading(self, keys, false);
        let possible = if self.asks_accounts(keys) { reading(self, keys, true) } else { certain.clone() };
        Lowered { certain, possible }
    }

    /// Whether anything in it may be unknown: the two readings are one where nothing is.
    fn asks_accounts(&self, keys: Keys) -> bool {
        match self {
            Self::All | Self::Global => false,
            Self::Label(key, _) => match keys {
                Keys::Pods => key.starts_with(OF_ACCOUNT),
                Keys::Accounts => true,
                _ => false,
            },
            Self::Not(inner) => inner.asks_accounts(keys),
            Self::And(parts) | Self::Or(parts) => parts.iter().any(|part| part.asks_accounts(keys)),
        }
    }
}

/// What a key stands for.
enum Key {
    /// Present or not, as the model's key of that name is.
    Label(Str),
    /// On every pod.
    Always(Str),
    /// The same everywhere; `None` is nowhere.
    Constant(Option<&'static str>),
    /// Of a service account, whose labels may not be known.
    OfAccount(Str),
}

fn key(key: &str, keys: Keys) -> Key {
    let of_namespace = |key: &str| format!("{NAMESPACE_LABEL_PREFIX}{key}").into();
    let of_account = |key: &str| format!("{ACCOUNT_LABEL_PREFIX}{key}").into();
    let namespace_name = name_in_namespace;
    let is_name = |key: &str| matches!(key, NAME | NAMESPACE_NAME_LABEL);
    match keys {
        Keys::Pods => match (key.strip_prefix(OF_NAMESPACE), key.strip_prefix(OF_ACCOUNT)) {
            (Some(label), _) if is_name(label) => Key::Always(namespace_name()),
            (Some(label), _) => Key::Label(of_namespace(label)),
            (_, Some(NAME)) => Key::Always(SERVICE_ACCOUNT_KEY.into()),
            (_, Some(label)) => Key::OfAccount(of_account(label)),
            _ => match key {
                NAMESPACE => Key::Always(namespace_name()),
                SERVICE_ACCOUNT => Key::Always(SERVICE_ACCOUNT_KEY.into()),
                ORCHESTRATOR => Key::Constant(Some("k8s")),
                _ => Key::Label(key.into()),
            },
        },
        Keys::Namespaces if is_name(key) => Key::Always(namespace_name_label()),
        Keys::Namespaces => Key::Label(key.into()),
        Keys::NamespacesOfPods if is_name(key) => Key::Always(namespace_name()),
        Keys::NamespacesOfSets if is_name(key) => Key::Label(namespace_name()),
        Keys::NamespacesOfPods | Keys::NamespacesOfSets => Key::Label(of_namespace(key)),
        Keys::Accounts if key == NAME => Key::Always(SERVICE_ACCOUNT_KEY.into()),
        Keys::Accounts => Key::OfAccount(of_account(key)),
        Keys::Sets => match key.strip_prefix(OF_NAMESPACE) {
            Some(label) if is_name(label) => Key::Label(namespace_name()),
            Some(label) => Key::Label(of_namespace(label)),
            None if key == NAMESPACE => Key::Label(namespace_name()),
            None if key.starts_with(OF_ACCOUNT) || matches!(key, SERVICE_ACCOUNT | ORCHESTRATOR) => Key::Constant(None),
            None => Key::Label(key.into()),
        },
        Keys::AccountsOfSets => Key::Constant(None),
    }
}

/// What is in a namespace at all.
fn in_namespace(keys: Keys) -> Selector {
    match keys {
        Keys::NamespacesOfSets => Selector::exists(name_in_namespace()),
        _ => Selector::everything(),
    }
}

/// `unknown` is what a test that nothing is known about counts as; a negation turns it round.
fn reading(expr: &Expr<'_>, keys: Keys, unknown: bool) -> Selector {
    match expr {
        Expr::All => in_namespace(keys),
        // The opposite of `all()`. It is for namespaceSelector alone; elsewhere it is refused before it comes here.
        Expr::Global if matches!(keys, Keys::Namespaces | Keys::NamespacesOfPods | Keys::NamespacesOfSets) => {
            not(in_namespace(keys))
        }
        Expr::Global => Selector::everything(),
        Expr::Label(name, op) => match key(name, keys) {
            Key::Label(key) => test(key, op, false),
            Key::Always(key) => test(key, op, true),
            Key::Constant(value) => constant(op.holds(value)),
            Key::OfAccount(key) if unknown => or([not(Selector::exists(ACCOUNT_KNOWN_KEY)), test(key, op, false)]),
            Key::OfAccount(key) => and([Selector::exists(ACCOUNT_KNOWN_KEY), test(key, op, false)]),
        },
        Expr::Not(inner) => not(reading(inner, keys, !unknown)),
        Expr::And(parts) => and(parts.iter().map(|part| reading(part, keys, unknown))),
        Expr::Or(parts) => or(parts.iter().map(|part| reading(part, keys, unknown))),
    }
}

fn constant(value: bool) -> Selector {
    if value { Selector::everything() } else { Selector::nothing() }
}

fn test(key: Str, op: &Op<'_>, always: bool) -> Selector {
    let is_in = |key, values: &[&str]| {
        if values.is_empty() { Selector::nothing() } else { Selector::is_in(key, values.iter().copied()) }
    };
    match op {
        Op::Has if always => Selector::everything(),
        Op::Has => Selector::exists(key),
        Op::Eq(value) => Selector::equals(key, *value),
        Op::Ne(value) => Selector::equals(key, *value).negate(),
        Op::In(values) => is_in(key, values),
        Op::NotIn(values) => not(is_in(key, values)),
        Op::Contains(text) => Selector::Key(key, Test::Contains((*text).into())),
        Op::StartsWith(text) => Selector::Key(key, Test::StartsWith((*text).into())),
        Op::EndsWith(text) => Selector::Key(key, Test::EndsWith((*text).into())),
    }
}
