//! The pods whose policies a change may touch, each with the policies that select it: worked out once for all rules that ask,
//! because asking every policy about every pod is most of what a policy's review does.

use std::borrow::Cow;
use std::sync::Arc;

use super::rule::Context;
use crate::model::pod::PodLookup;
use crate::model::{Object, Policy, Selector};
use crate::reach::selecting;
use crate::snapshot::{NamespaceState, PodClass};

/// Pods that are alike, and the policies in force that select them, in the order of [`selecting`].
#[derive(Clone, Debug)]
pub struct Touched<'a> {
    /// The pods.
    pub class: &'a Arc<PodClass>,
    /// What selects them.
    pub policies: Vec<&'a Arc<Policy>>,
}

impl<'a> Context<'a> {
    /// The same with the pods worked out that the change touches, for whoever asks several rules about it.
    #[must_use]
    pub fn knowing(self, touched: &'a [Touched<'a>]) -> Self {
        Self { touched: Some(touched), ..self }
    }

    /// Pods of the namespace whose policies the change may touch: those that a changing policy selects, before or after, and
    /// all of them where not a policy changes. What is wrong with others is not the change's doing.
    pub fn touched(&self) -> Cow<'a, [Touched<'a>]> {
        self.touched.map_or_else(|| self.find_touched().into(), Cow::Borrowed)
    }

    /// The same, and all pods where a changing policy also stands on the other side of their traffic, in `peers`.
    pub fn touched_towards(&self, peers: &NamespaceState) -> Cow<'a, [Touched<'a>]> {
        let selects_there = self.changing().any(|policy| peers.is_in(&policy.subject.namespaces));
        if selects_there { self.with_policies(|_| true).into() } else { self.touched() }
    }

    /// Looks for them.
    pub fn find_touched(&self) -> Vec<Touched<'a>> {
        let mut states = self.change.before.iter().chain(&self.change.after);
        if !states.all(|state| matches!(state, Object::Policy(_))) {
            return self.with_policies(|_| true);
        }
        let here = self.changing().filter(|policy| self.namespace.is_in(&policy.subject.namespaces));
        let here: Vec<&Selector> = here.map(|policy| &policy.subject.pods).collect();
        self.with_policies(|class| {
            let lookup = PodLookup { pod: class.pod(), namespace: self.namespace.labels() };
            here.iter().any(|selector| selector.matches(&lookup))
        })
    }

    /// The policies that change, as they are before and after.
    fn changing(&self) -> impl Iterator<Item = &'a Arc<Policy>> {
        self.policies.into_iter().flatten().flat_map(|object| &object.policies)
    }

    fn with_policies(&self, asked: impl Fn(&PodClass) -> bool) -> Vec<Touched<'a>> {
        let classes = self.namespace.classes().iter().filter(|class| asked(class));
        classes.map(|class| Touched { class, policies: selecting(self.world, self.namespace, class.pod()) }).collect()
    }
}
