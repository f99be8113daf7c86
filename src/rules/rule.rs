//! What a rule is, what it sees, and what it says.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::house::{Level, RuleId, Settings};
use crate::model::original::Narrowing;
use crate::model::pod::PodLookup;
use crate::model::{
    Change, Direction, FieldPath, Object, ObjectRef, Operation, Policy, PolicyObject, Selector, TierSemantics, Workload,
};
use crate::reach::{only_admit, selecting_of};
use crate::snapshot::{NamespaceState, Owner, PodClass, Snapshot};

/// The fixed facts about a rule; its page is made from them.
#[derive(Clone, Copy, Debug)]
pub struct RuleMeta {
    /// Its id.
    pub id: RuleId,
    /// The release that brought it.
    pub since: &'static str,
    /// The page: the rule's own doc comment, line by line.
    pub docs: &'static [&'static str],
}

impl RuleMeta {
    /// The first paragraph of the page.
    pub fn summary(&self) -> String {
        let first: Vec<&str> = self.docs.iter().map(|l| l.trim()).take_while(|l| !l.is_empty()).collect();
        first.join(" ")
    }

    /// The page as Markdown.
    pub fn page(&self) -> String {
        let body: Vec<&str> = self.docs.iter().map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
        format!(
            "# {}\n\nDefault level: `{}`. Since {}.\n\n{}\n",
            self.id,
            self.id.default_level(),
            self.since,
            body.join("\n")
        )
    }
}

/// Declares a rule: its doc comment is its page.
macro_rules! declare_rule {
    ($(#[doc = $doc:literal])+ pub $name:ident = $id:ident, since $since:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl $name {
            const META: $crate::rules::RuleMeta = $crate::rules::RuleMeta {
                id: $crate::model::house::RuleId::$id,
                since: $since,
                docs: &[$($doc),+],
            };
        }
    };
}
pub(crate) use declare_rule;

/// A house rule. It cannot fail, only find; the same world gives the same findings in the same order.
pub trait Rule: Sync {
    /// Its facts.
    fn meta(&self) -> &'static RuleMeta;

    /// Whether it judges the pods of a namespace that a change reaches. For a policy of the whole cluster it is then asked
    /// about each namespace; other rules look at the object itself, once.
    fn judges_pods(&self) -> bool {
        false
    }

    /// Whether a change of a tier or a group of addresses is judged by the policies that refer to it. The rule is then
    /// asked once for each namespace that has such policies.
    fn judges_referring(&self) -> bool {
        false
    }

    /// Looks at one side of a change.
    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>);
}

/// Policies of one namespace that are judged for one change of a tier or a group.
pub(super) const MOST_REFERRING: usize = 100;

/// What a rule sees: one world, and the object that changes as it is in that world.
///
/// A review shows a rule the world before and the world after; what it finds in both is not the change's fault.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The world that is judged.
    pub world: &'a Snapshot,
    /// The world before the change; the same one where that is judged.
    pub then: &'a Snapshot,
    /// The change.
    pub change: &'a Change,
    /// The changing object as it is in this world, if it is there.
    pub object: Option<&'a Object>,
    /// If it is a policy: as it is before and after the change, with the tiers and groups that it refers to.
    pub policies: [Option<&'a PolicyObject>; 2],
    /// Settings that hold in the namespace.
    pub settings: &'a Settings,
    /// The namespace that the change is about, as it is in this world. For cluster-scoped policies an empty one.
    pub namespace: &'a NamespaceState,
    /// Whether the object is judged as something that is there already, and not because somebody changes it.
    pub standing: bool,
    /// The pods that it touches, where that has been worked out: see [`Context::touched`].
    pub touched: Option<&'a [&'a Arc<PodClass>]>,
    /// Whether no running pod can lose anything to it, where that has been worked out: see [`Context::only_admits`].
    pub only_admits: bool,
}

impl<'a> Context<'a> {
    /// Policies of this namespace that refer to the tier or the group that changes; with the namespace of the change, those
    /// of the cluster as well.
    pub fn referring(&self) -> impl Iterator<Item = &'a Arc<PolicyObject>> {
        let states: Vec<&Object> = self.change.before.iter().chain(&self.change.after).collect();
        let (here, at_home) = (self.namespace.name(), *self.change.id.namespace() == **self.namespace.name());
        let all = self.world.referring(&states).into_iter();
        all.filter(move |object| object.id.namespace.as_ref().map_or(at_home, |namespace| namespace == here))
    }

    /// Whether it is the world before the change that is judged.
    pub fn is_before(&self) -> bool {
        std::ptr::eq(self.world, self.then)
    }

    /// The workload, if that is what changes and it is in this world.
    pub const fn workload(&self) -> Option<&'a Workload> {
        match self.object {
            Some(Object::Workload(workload)) => Some(workload),
            _ => None,
        }
    }

    /// The policy object, if that is what changes and it is in this world, with the tiers and groups that it refers to.
    pub fn policy(&self) -> Option<&'a PolicyObject> {
        let [before, after] = self.policies;
        let here = if self.is_before() { before } else { after };
        here.filter(|_| self.object.is_some())
    }

    /// The same, if it is in force: what is only staged, or names a tier that is not there, opens nothing.
    pub fn policy_in_force(&self) -> Option<&'a PolicyObject> {
        self.policy().filter(|object| object.policies.iter().all(|policy| policy.is_in_force()))
    }

    /// Whether the change is to a policy, or to what policies refer to, whether or not it is in this world.
    pub const fn changes_policy(&self) -> bool {
        const fn is_one(object: Option<&Object>) -> bool {
            matches!(object, Some(Object::Policy(_) | Object::Tier(_) | Object::AddressGroup(_)))
        }
        is_one(self.change.after.as_ref()) || is_one(self.change.before.as_ref())
    }

    /// Whether an existing namespace changes. A new one has no pods yet.
    pub const fn changes_namespace(&self) -> bool {
        matches!((&self.change.before, &self.change.after), (Some(_), Some(Object::Namespace(_))))
    }

    /// Whether the change can take protection away from pods that are there already: a policy or a namespace changes.
    pub const fn judges_running_pods(&self) -> bool {
        self.changes_policy() || self.changes_namespace()
    }

    /// Whether the change brings a new policy that can only take away: one of the union, without a place in an order.
    pub fn adds_to_union(&self) -> bool {
        let union = |p: &Arc<Policy>| p.tier.semantics == TierSemantics::Union;
        self.creates_policy()
            && matches!(&self.change.after, Some(Object::Policy(object)) if object.policies.iter().all(union))
    }

    /// Whether no running pod can lose anything to the change: it brings a NetworkPolicy where there are only such, for pods
    /// that others isolate already in its directions. What is wrong with them was wrong before.
    pub fn only_admits(&self, before: &NamespaceState) -> bool {
        let isolated = |class: &PodClass, direction| {
            let mut by = selecting_of(self.then, before, class.pod(), |policy| policy.isolates(direction));
            class.pod().host_network || by.next().is_some()
        };
        let isolates = |direction| self.changing().any(|policy| policy.isolates(direction));
        let stay_so = |direction| self.touched(None).iter().all(|class| isolated(class, direction));
        self.creates_policy()
            && !self.standing
            && self.changing().all(|policy| policy.tier.is_network_policy())
            && only_admit(self.world, self.namespace)
            && Direction::BOTH.into_iter().all(|direction| !isolates(direction) || stay_so(direction))
    }

    /// Pods of the namespace whose policies the change may touch: those that a changing policy selects, before or after, and
    /// all of them where it also stands on the other side of their traffic in `peers`, or where not a policy changes. What is
    /// wrong with others is not the change's doing.
    pub fn touched(&self, peers: Option<&NamespaceState>) -> Cow<'a, [&'a Arc<PodClass>]> {
        if peers.is_some_and(|peers| self.changing().any(|policy| peers.is_in(&policy.subject.namespaces))) {
            return self.namespace.classes().iter().collect();
        }
        self.touched.map_or_else(|| self.find_touched().into(), Cow::Borrowed)
    }

    /// Looks for them, regardless of who else is on their other side.
    pub fn find_touched(&self) -> Vec<&'a Arc<PodClass>> {
        let all = self.namespace.classes().iter();
        let mut states = self.change.before.iter().chain(&self.change.after);
        if !states.all(|state| matches!(state, Object::Policy(_))) {
            return all.collect();
        }
        let here = self.changing().filter(|policy| self.namespace.is_in(&policy.subject.namespaces));
        let here: Vec<&Selector> = here.map(|policy| &policy.subject.pods).collect();
        all.filter(|class| {
            let lookup = PodLookup { pod: class.pod(), namespace: self.namespace.labels() };
            here.iter().any(|selector| selector.matches(&lookup))
        })
        .collect()
    }

    /// The policies that change, as they are before and after.
    fn changing(&self) -> impl Iterator<Item = &'a Arc<Policy>> {
        self.policies.into_iter().flatten().flat_map(|object| &object.policies)
    }

    /// Whether the change brings a new policy.
    pub fn creates_policy(&self) -> bool {
        self.changes_policy() && self.change.operation == Operation::Create
    }
}

/// Pods that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Affected {
    /// Whose pods.
    pub owner: Owner,
    /// How many; zero where only a template is known.
    pub pods: u32,
}

impl Affected {
    /// All pods of a class.
    pub fn of(class: &PodClass) -> Self {
        Self { owner: class.owner().clone(), pods: if class.is_template() { 0 } else { class.count() } }
    }
}

/// A way to mend what was found. Only ways that the engine has tried are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Apply these first; then the same request passes.
    ApplyFirst(Vec<Policy>),
    /// Apply what was sent without these addresses.
    Narrow(Narrowing),
}

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// The object that is to blame.
    pub object: ObjectRef,
    /// The field that is to blame; empty for the whole object.
    pub path: FieldPath,
    /// What makes two findings of one rule the same, before and after.
    pub key: String,
    /// Keys of lesser findings that this one includes: where it was there before, they are nothing new.
    pub implies: Vec<String>,
    /// What is wrong, in lower case, without a final stop.
    pub message: String,
    /// Facts that lead to it.
    pub because: Vec<String>,
    /// Running pods that it is about; those that were affected before are not blamed on the change.
    pub affected: Vec<Affected>,
    /// How to mend it.
    pub fix: Option<Fix>,
    /// What to look at or do where no policy can be offered.
    pub help: Option<String>,
    /// The level that it cannot go above, whatever the house rules say.
    pub cap: Level,
    /// The level that it cannot go above where it was there before the change.
    pub cap_if_old: Level,
    /// Whether it rests on something that is missing, so that stale data could be the reason.
    pub rests_on_absence: bool,
}

impl Finding {
    /// A finding about an object, with nothing else said yet.
    pub fn new(rule: RuleId, object: ObjectRef, message: impl Into<String>) -> Self {
        Self {
            rule,
            object,
            path: FieldPath::default(),
            key: String::new(),
            implies: Vec::new(),
            message: message.into(),
            because: Vec::new(),
            affected: Vec::new(),
            fix: None,
            help: None,
            cap: Level::Enforce,
            cap_if_old: Level::Warn,
            rests_on_absence: false,
        }
    }

    /// At this field, which also tells it apart from others of the same rule.
    #[must_use]
    pub fn at(mut self, path: FieldPath) -> Self {
        if self.key.is_empty() {
            path.as_str().clone_into(&mut self.key);
        }
        self.path = path;
        self
    }

    /// Told apart by this.
    #[must_use]
    pub fn keyed(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Never above this level.
    #[must_use]
    pub const fn capped(mut self, cap: Level) -> Self {
        self.cap = cap;
        self
    }

    /// What to look at or do.
    #[must_use]
    pub fn helped(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One more fact.
    #[must_use]
    pub fn because(mut self, fact: impl Into<String>) -> Self {
        self.because.push(fact.into());
        self
    }
}
