//! `implicit-policy-types`: a policy that leaves its directions to the default.

use super::fields;
use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::{Direction, FieldPath};

declare_rule! {
    /// A policy should say in `policyTypes` which directions it isolates.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: is `spec.policyTypes` there?
    ///
    /// ## Why
    ///
    /// The default is Ingress, and Egress as well as soon as there is one egress rule. A policy that was meant to forbid
    /// all egress, and so has no egress rule, does nothing for egress. A reader cannot tell which was meant.
    ///
    /// ## Refused
    ///
    /// ```yaml
    /// spec:
    ///   podSelector: {}
    ///   egress: []
    /// ```
    ///
    /// ## Accepted
    ///
    /// ```yaml
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    /// ```
    ///
    /// ## Exceptions
    ///
    /// The API server fills in the default before the webhook is asked, so that this rule finds something in files only.
    ///
    /// ## References
    ///
    /// Kubernetes API: NetworkPolicySpec, `policyTypes`.
    pub ImplicitPolicyTypes = ImplicitPolicyTypes, since "0.1.0"
}

impl Rule for ImplicitPolicyTypes {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy().filter(|object| object.implicit_types) else { return };
        let isolates = |direction| object.policies.iter().any(|p| p.isolates(direction));
        let default: Vec<&str> = Direction::BOTH.into_iter().filter(|d| isolates(*d)).map(Direction::as_str).collect();
        let types = default.join(", ");
        let field = if fields::is_calico(&object.id) { "types" } else { "policyTypes" };
        let message = format!(
            "{field} of {} is left out and comes to [{types}]; write down which directions are meant",
            wording::policy(&object.id)
        );
        let mut finding = Finding::new(RuleId::ImplicitPolicyTypes, (*object.id).clone(), message)
            .at(FieldPath::new("spec").field(field));
        if !isolates(Direction::Egress) {
            finding = finding.because("without an egress rule the default leaves egress of these pods as it was");
        }
        out.push(finding);
    }
}
