//! Calico's NetworkPolicy, GlobalNetworkPolicy and their staged forms → model (semantics 2.4.3, 2.4.5, 2.4.6, 2.4.13, 2.4.14).

use std::sync::Arc;

use super::super::json::Value;

use super::super::at::At;
use super::super::{Defaults, Kind, shorten};
use super::entity::{ACCOUNTS, selector};
use super::pair::Pair;
use super::reader::{Fields, Reader, suggestion};
use super::rule::{self, ForPods};
use super::selector::{Expr, Keys, Lowered, and, not};
use crate::model::policy::Priority;
use crate::model::{
    Direction, FieldPath, NamespaceScope, Object, ObjectRef, Policy, PolicyObject, Rule, Selector, Subject, Tier,
};

const NO_SUBJECT: &str = "the policy is taken as isolating no pod and allowing nothing";
const IGNORED: &str = "ignored";

const COMMON: [&str; 8] =
    ["order", "tier", "selector", "serviceAccountSelector", "types", "ingress", "egress", "performanceHints"];
const GLOBAL: [&str; 4] = ["namespaceSelector", "applyOnForward", "doNotTrack", "preDNAT"];
const STAGED: [&str; 1] = ["stagedAction"];

/// Which namespaces and pods a policy is for.
struct Whom {
    namespaces: NamespaceScope,
    pods: Pair<Selector>,
    /// Why it may be for fewer pods, in words.
    doubt: Option<String>,
    /// Whether all of it could be read.
    readable: bool,
}

/// Reads a policy.
pub(super) fn read(kind: Kind, value: &Value<'_>, defaults: &Defaults<'_>) -> Object {
    let mut reader = Reader::default();
    let at = At::root("spec");
    let spec = &mut reader;
    let mut known: Vec<&str> = COMMON.to_vec();
    let staged = matches!(kind, Kind::StagedNetworkPolicy | Kind::StagedGlobalNetworkPolicy);
    if !kind.is_namespaced() {
        known.extend(GLOBAL);
    }
    if staged {
        known.extend(STAGED);
    }
    let (fields, whole) = spec.whole(|r| r.fields(value.get("spec"), &at, &known, NO_SUBJECT));
    let tier_name = spec.text(fields.get("tier"), &at.field("tier"), "it is taken as the default tier");
    let id = Arc::new(super::id(kind, value, defaults, tier_name));
    let whom = whom(spec, fields, &id, &at, whole);
    let order_at = at.field("order");
    let (order, order_known) = spec.whole(|r| {
        r.number(
            fields.get("order"),
            &order_at,
            "its place is unknown: it allows nothing, and what it denies may come first",
        )
    });
    let (governs, implicit_types) = types(spec, fields, &at);
    let own = id.namespace.clone();
    let mut read_rules = |direction: Direction| -> Vec<ForPods> {
        let list_at = at.field(direction.field());
        let list = spec.list(fields.get(direction.field()), &list_at, "it is taken as no rules");
        let all = list.iter().enumerate();
        all.flat_map(|(i, value)| rule::rules(spec, value, direction, own.as_deref(), &list_at.index(i))).collect()
    };
    let rules = [read_rules(Direction::Ingress), read_rules(Direction::Egress)];
    let action = if staged { staged_action(spec, fields, &at) } else { Staged::Set };
    let tier = Tier::calico(tier_name);
    let tier = if staged { tier.staged() } else { tier };
    let mut builder = Builder {
        id: Arc::clone(&id),
        tier,
        priority: order.map_or(Priority::LAST, Priority::new),
        namespaces: whom.namespaces,
        governs,
        rules,
        policies: Vec::new(),
    };
    if !order_known {
        builder.priority = Priority::new(f64::NEG_INFINITY);
        builder.doubtful(whom.pods.wide(), "a place in the tier that could not be read", true);
    } else if on_host_endpoints(spec, fields, &at) || action == Staged::Nothing {
        // Nothing of it concerns pods.
    } else if fields.get("applyOnForward").and_then(Value::as_bool) == Some(true) {
        // It is written for host endpoints, but a pod that its selector matches is not let off either.
        builder.doubtful(whom.pods.wide(), "host endpoints and forwarded traffic", false);
    } else if let Some(doubt) = whom.doubt {
        if *whom.pods.narrow() != Selector::nothing() {
            let rules = builder.rules.clone();
            builder.exact(whom.pods.narrow());
            builder.rules = rules;
        }
        // Calico drops a policy whose selector it cannot read, so it refuses nothing by its mere presence.
        let beyond = and([whom.pods.wide().clone(), not(whom.pods.into_narrow())]);
        builder.doubtful(&beyond, &doubt, whom.readable);
    } else {
        builder.exact(whom.pods.narrow());
    }
    let policies = builder.policies;
    Object::Policy(PolicyObject { id, policies, unread: reader.unread, implicit_types })
}

/// A policy that acts before or beside connection tracking is for host endpoints only (semantics 2.4.13).
fn on_host_endpoints(reader: &mut Reader, fields: Fields<'_>, at: &At<'_>) -> bool {
    let mut flag = |name: &str| reader.flag(fields.get(name), &at.field(name), "taken as false");
    let (untracked, before_nat, forward) = (flag("doNotTrack"), flag("preDNAT"), flag("applyOnForward"));
    if untracked && before_nat {
        reader.remark(&at.field("preDNAT"), "preDNAT and doNotTrack exclude each other; the policy is for no pod");
    }
    if (untracked || before_nat) && !forward {
        let what = "preDNAT and doNotTrack need applyOnForward: true; the policy is for no pod";
        reader.remark(&at.field("applyOnForward"), what);
    }
    untracked || before_nat
}

fn whom(reader: &mut Reader, fields: Fields<'_>, id: &ObjectRef, at: &At<'_>, whole: bool) -> Whom {
    let mut one = |name: &str| {
        let at = at.field(name);
        reader.whole(|reader| selector(reader, fields.get(name), &at, false, NO_SUBJECT))
    };
    let (labels, labels_known) = one("selector");
    let (accounts, accounts_known) = one("serviceAccountSelector");
    let lower = |expr: &Option<Expr<'_>>, keys| expr.as_ref().map_or_else(Lowered::everything, |e| e.lower(keys));
    let (labels, accounts) = (lower(&labels, Keys::Pods), lower(&accounts, Keys::Accounts));
    let mut known = whole && labels_known && accounts_known;
    let namespaces = if let Some(own) = &id.namespace {
        NamespaceScope::Named(own.clone())
    } else {
        let (expr, readable) = one("namespaceSelector");
        known &= readable;
        NamespaceScope::Matching(lower(&expr, Keys::Namespaces).certain)
    };
    let wide = and([labels.possible, accounts.possible]);
    if !known {
        let doubt = Some("a selector that could not be read".to_owned());
        return Whom { namespaces, pods: Pair::new(Selector::nothing(), wide), doubt, readable: false };
    }
    let pods = Pair::new(and([labels.certain, accounts.certain]), wide);
    let doubt = (!pods.is_exact()).then(|| ACCOUNTS.to_owned());
    Whom { namespaces, pods, doubt, readable: true }
}

/// Which directions are governed, and whether that was left to the default: ingress, unless there are egress rules and
/// no ingress rules (semantics 2.4.5; Kubernetes would always add ingress).
fn types(reader: &mut Reader, fields: Fields<'_>, at: &At<'_>) -> ([bool; 2], bool) {
    let types_at = at.field("types");
    let (list, readable) = reader.whole(|r| r.texts(fields.get("types"), &types_at, "governs nothing by it"));
    if list.is_empty() && readable {
        let has = |name: &str| fields.get(name).and_then(Value::as_array).map(|list| !list.is_empty());
        for (name, other) in [("egress", "ingress"), ("ingress", "egress")] {
            if has(name) == Some(false) {
                let what = format!(
                    "an empty list without types counts as {name} rules in some releases of Calico and not in others; \
                     it is taken as none. Write types, or leave {name} out to mean {other} only"
                );
                reader.remark(&at.field(name), what);
            }
        }
        let egress = has("egress") == Some(true);
        return ([!egress || has("ingress") == Some(true), egress], true);
    }
    let mut governs = [false, false];
    for (i, name) in list.iter().enumerate() {
        match *name {
            "Ingress" => governs[0] = true,
            "Egress" => governs[1] = true,
            other => {
                let hint = suggestion(other, &["Ingress", "Egress"]);
                let what = format!("`{}` is no type; there are Ingress and Egress{hint}; {IGNORED}", shorten(other));
                reader.remark(&types_at.index(i), what);
            }
        }
    }
    (governs, false)
}

/// What becomes of a staged policy once it is no longer staged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Staged {
    Set,
    /// It deletes a policy, or is only being learned.
    Nothing,
}

fn staged_action(reader: &mut Reader, fields: Fields<'_>, at: &At<'_>) -> Staged {
    let at = at.field("stagedAction");
    match reader.text(fields.get("stagedAction"), &at, "taken as Set") {
        "" | "Set" => Staged::Set,
        "Delete" | "Learn" | "Ignore" => Staged::Nothing,
        other => {
            let what = format!(
                "`{}` is no staged action; there are Set, Delete, Learn and Ignore; taken as Set",
                shorten(other)
            );
            reader.remark(&at, what);
            Staged::Set
        }
    }
}

/// Makes the policies of one object. Rules for some of its pods only become policies of their own, in the same place and
/// in the same order, because a rule of the model is for every pod of its policy.
struct Builder {
    id: Arc<ObjectRef>,
    tier: Arc<Tier>,
    priority: Priority,
    namespaces: NamespaceScope,
    governs: [bool; 2],
    rules: [Vec<ForPods>; 2],
    policies: Vec<Arc<Policy>>,
}

impl Builder {
    fn push(&mut self, pods: Selector, governs: [bool; 2], [ingress, egress]: [Vec<Rule>; 2]) {
        let [isolates_ingress, isolates_egress] = governs;
        self.policies.push(Arc::new(Policy {
            id: Arc::clone(&self.id),
            tier: Arc::clone(&self.tier),
            priority: self.priority,
            subject: Subject { namespaces: self.namespaces.clone(), pods },
            isolates_ingress,
            isolates_egress,
            ingress,
            egress,
        }));
    }

    /// Takes the rules of the directions that are governed; others have no effect.
    fn governed(&mut self) -> [Vec<ForPods>; 2] {
        let mut rules = std::mem::take(&mut self.rules);
        for (list, _) in rules.iter_mut().zip(self.governs).filter(|(_, governs)| !governs) {
            list.clear();
        }
        rules
    }

    /// The policy as it applies to these pods for certain. Takes its rules.
    fn exact(&mut self, subject: &Selector) {
        let rules = self.governed();
        self.sequence(subject, self.governs, rules);
    }

    /// The policy as it may apply to these pods: its allows do not count for certain, its denies may, and what it does not
    /// decide it may refuse (`closes`). Takes its rules.
    fn doubtful(&mut self, subject: &Selector, doubt: &str, closes: bool) {
        let at = FieldPath::new("spec");
        let mut rules = self.governed();
        for (list, governs) in rules.iter_mut().zip(self.governs) {
            for item in list.iter_mut() {
                let peers = std::mem::take(&mut item.rule.peers);
                item.rule.peers = peers.into_iter().map(|peer| rule::unsettled(peer, doubt)).collect();
                item.rule.filtered_by.get_or_insert_with(|| doubt.into());
            }
            if closes && governs {
                list.push(ForPods { pods: Selector::everything(), rule: rule::may_deny_everything(&at, doubt) });
            }
        }
        self.sequence(subject, [false, false], rules);
    }

    fn sequence(&mut self, subject: &Selector, governs: [bool; 2], rules: [Vec<ForPods>; 2]) {
        let [ingress, egress] = rules.map(segments);
        let (mut ingress, mut egress) = (ingress.into_iter().peekable(), egress.into_iter().peekable());
        let whole = |(pods, _): &(Selector, Vec<Rule>)| pods.is_everything();
        let first = [ingress.next_if(whole), egress.next_if(whole)];
        self.push(subject.clone(), governs, first.map(|segment| segment.map(|(_, rules)| rules).unwrap_or_default()));
        for (pods, rules) in ingress {
            self.push(and([subject.clone(), pods]), [false, false], [rules, Vec::new()]);
        }
        for (pods, rules) in egress {
            self.push(and([subject.clone(), pods]), [false, false], [Vec::new(), rules]);
        }
    }
}

/// Rules in their order, in runs that are for the same pods.
fn segments(rules: Vec<ForPods>) -> Vec<(Selector, Vec<Rule>)> {
    let mut all: Vec<(Selector, Vec<Rule>)> = Vec::new();
    for ForPods { pods, rule } in rules {
        match all.last_mut() {
            Some((last, list)) if *last == pods => list.push(rule),
            _ => all.push((pods, vec![rule])),
        }
    }
    all
}
