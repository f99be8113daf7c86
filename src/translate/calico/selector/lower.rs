//! Expression → the model's `Selector`, with Calico's own labels put in terms of the model.
//!
//! Calico gives every pod labels that no manifest shows: its namespace, its service account, and the labels of both under
//! the prefixes `pcns.` and `pcsa.` (semantics 2.4.9). Labels of service accounts are not part of the cluster state; a test
//! of one is unknown, and an expression with such tests has two readings, the narrowest and the widest.

use super::{Expr, Op};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::selector::{NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, Test};
use crate::model::{Selector, Str};

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
    /// Those of a pod's service account, looked up at the pod.
    Accounts,
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
    /// Whether nothing in it is unknown.
    pub fn is_exact(&self) -> bool {
        self.certain == self.possible
    }
}

impl Expr<'_> {
    /// In terms of the model.
    pub fn lower(&self, keys: Keys) -> Lowered {
        Lowered { certain: reading(self, keys, false), possible: reading(self, keys, true) }
    }
}

/// What a key stands for.
enum Key {
    /// Present or not, as the model's key of that name is.
    Label(Str),
    /// On every pod.
    Always(Str),
    /// The same on every pod.
    Constant(&'static str),
    Unknown,
}

fn key(key: &str, keys: Keys) -> Key {
    let of_namespace = |key: &str| Key::Label(format!("{NAMESPACE_LABEL_PREFIX}{key}").into());
    let namespace_name = || Key::Always(format!("{NAMESPACE_LABEL_PREFIX}{NAMESPACE_NAME_LABEL}").into());
    match keys {
        Keys::Pods => match (key.strip_prefix(OF_NAMESPACE), key.strip_prefix(OF_ACCOUNT)) {
            (Some(NAME | NAMESPACE_NAME_LABEL), _) => namespace_name(),
            (Some(label), _) => of_namespace(label),
            (_, Some(NAME)) => Key::Always(SERVICE_ACCOUNT_KEY.into()),
            (_, Some(_)) => Key::Unknown,
            _ => match key {
                NAMESPACE => namespace_name(),
                SERVICE_ACCOUNT => Key::Always(SERVICE_ACCOUNT_KEY.into()),
                ORCHESTRATOR => Key::Constant("k8s"),
                _ => Key::Label(key.into()),
            },
        },
        Keys::Namespaces if matches!(key, NAME | NAMESPACE_NAME_LABEL) => Key::Always(NAMESPACE_NAME_LABEL.into()),
        Keys::Namespaces => Key::Label(key.into()),
        Keys::Accounts if key == NAME => Key::Always(SERVICE_ACCOUNT_KEY.into()),
        Keys::Accounts => Key::Unknown,
    }
}

/// `unknown` is what a test that nothing is known about counts as; a negation turns it round.
fn reading(expr: &Expr<'_>, keys: Keys, unknown: bool) -> Selector {
    match expr {
        Expr::All => Selector::everything(),
        // Every pod is in a namespace; elsewhere than in namespaceSelector `global()` is refused before it comes here.
        Expr::Global if keys == Keys::Namespaces => Selector::nothing(),
        Expr::Global => Selector::everything(),
        Expr::Label(name, op) => match key(name, keys) {
            Key::Label(key) => test(key, op, false),
            Key::Always(key) => test(key, op, true),
            Key::Constant(value) => constant(op.holds(Some(value))),
            Key::Unknown => constant(unknown),
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

pub(in super::super) fn not(selector: Selector) -> Selector {
    match selector {
        Selector::And(parts) if parts.is_empty() => Selector::nothing(),
        Selector::Or(parts) if parts.is_empty() => Selector::everything(),
        other => other.negate(),
    }
}

/// All of these, without parts that say nothing, so that `all() && …` is as plain as what follows.
pub(in super::super) fn and(parts: impl IntoIterator<Item = Selector>) -> Selector {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Selector::Or(none) if none.is_empty() => return Selector::nothing(),
            Selector::And(inner) => list.extend(inner),
            other => list.push(other),
        }
    }
    Selector::all(list)
}

pub(in super::super) fn or(parts: impl IntoIterator<Item = Selector>) -> Selector {
    let mut list = Vec::new();
    for part in parts {
        match part {
            Selector::And(all) if all.is_empty() => return Selector::everything(),
            Selector::Or(inner) => list.extend(inner),
            other => list.push(other),
        }
    }
    match (list.len(), list.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            list.push(last);
            Selector::Or(list)
        }
        (_, None) => Selector::nothing(),
    }
}
