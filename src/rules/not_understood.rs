//! `not-understood`: what the engine cannot read is said, never passed in silence.

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use crate::model::house::RuleId;
use crate::model::{Object, Unread};

declare_rule! {
    /// Every part of an object that could not be read is reported.
    ///
    /// ## What it checks
    ///
    /// When an object is created or changed: is there a field, a value or a kind that the engine does not know?
    ///
    /// ## Why
    ///
    /// A verdict over half an object is a guess. What cannot be read is taken on the safe side (a rule allows nothing, a
    /// subject selects nothing), and this rule says so, because the CNI may read it differently.
    ///
    /// ## Refused
    ///
    /// A policy with a misspelt field, such as `podSelectors`, an `ipBlock` whose `cidr` is none, or a `spec` that is a list.
    ///
    /// ## Accepted
    ///
    /// Anything that is read completely.
    ///
    /// ## Exceptions
    ///
    /// Set the level to `enforce` where nothing may pass that was not judged completely. A workload of which nothing at all
    /// could be read is refused wherever the rule is on: no other rule has seen anything of it.
    ///
    /// ## References
    ///
    /// Kubernetes API: NetworkPolicy v1.
    pub NotUnderstood = NotUnderstood, since "0.1.0"
}

impl Rule for NotUnderstood {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.object else { return };
        // That is the finding of `too-large`.
        if object.unread().iter().any(Unread::is_too_large) {
            return;
        }
        let id = object.id();
        if let Object::Unreadable(_, unread) = object {
            let mut finding = Finding::new(
                RuleId::NotUnderstood,
                id.clone(),
                format!("nothing of {id} could be read, so it was not judged; correct it and send it again"),
            );
            finding.because.extend(unread.iter().map(|part| {
                if part.at.is_empty() { part.what.clone() } else { format!("{}: {}", part.at, part.what) }
            }));
            out.push(finding);
            return;
        }
        for part in object.unread() {
            let wrong = if part.is_read() { "is not as it should be" } else { "could not be read" };
            let message = format!("{} of {id} {wrong}; correct it", or_whole(part.at.as_str()));
            out.push(
                Finding::new(RuleId::NotUnderstood, id.clone(), message)
                    .keyed(format!("{}: {}", part.at, part.what))
                    .at(part.at.clone())
                    .because(part.what.clone()),
            );
        }
    }
}

fn or_whole(path: &str) -> &str {
    if path.is_empty() { "a part" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, FieldPath, ObjectRef, Unread};
    use crate::rules::fixtures::{judge, said};

    #[test]
    fn an_object_that_cannot_be_read_at_all_is_one_finding() {
        let id = ObjectRef::namespaced("networking.k8s.io/v1", "NetworkPolicy", "shop", "nonsense");
        let unread = |at: &str, what: &str| Unread { at: FieldPath::new(at), what: what.to_owned() };
        let object = Object::Unreadable(id, vec![unread("", "no JSON"), unread("spec", "a number")]);
        let verdict = judge(RuleId::NotUnderstood, &[], &Change::create(object));
        assert_eq!(
            said(&verdict),
            [
                "warn: nothing of NetworkPolicy shop/nonsense could be read, so it was not judged; correct it and send it again"
            ]
        );
        assert_eq!(verdict.findings[0].finding.because, ["no JSON", "spec: a number"]);
    }
}
