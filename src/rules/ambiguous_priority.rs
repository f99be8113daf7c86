//! `ambiguous-priority`: two administrators' policies of equal priority that disagree.

use std::net::IpAddr;
use std::sync::Arc;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::wording;
use crate::model::house::RuleId;
use crate::model::pod::PodLookup;
use crate::model::{Direction, FieldPath, Policy, PortSet};
use crate::reach::{PodAt, Rivals};
use crate::snapshot::{NamespaceState, PodClass};

declare_rule! {
    /// Policies of equal priority must not disagree about traffic that both are about.
    ///
    /// ## What it checks
    ///
    /// When a ClusterNetworkPolicy or AdminNetworkPolicy is created or changed: is there another one of the same tier and
    /// priority, and is there traffic of running pods for which it matters which of the two comes first? Both orders are
    /// evaluated together with all other policies. Equal priorities that lead to the same verdicts are fine.
    ///
    /// ## Why
    ///
    /// The API leaves the order of equal priorities open. Some implementations go by name, others refuse to say, and what is
    /// allowed today may be denied after an upgrade.
    ///
    /// ## Refused
    ///
    /// Two policies of the tier Admin with priority 10, one of which accepts what the other denies.
    ///
    /// ## Accepted
    ///
    /// The same with the priorities 10 and 11.
    ///
    /// ## Exceptions
    ///
    /// Calico breaks ties by name; where the dialect is `calico` nothing is found. A sample of the pods is looked at where
    /// there are very many.
    ///
    /// ## References
    ///
    /// network-policy-api: ClusterNetworkPolicy, `priority`.
    pub AmbiguousPriority = AmbiguousPriority, since "0.1.0"
}

/// Others with the same priority that are looked at.
const MOST_RIVALS: usize = 50;
/// Different pods that both select.
const MOST_SUBJECTS: usize = 20;
/// Different pods at the other end.
const MOST_OTHERS: usize = 200;

impl Rule for AmbiguousPriority {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        let others = || cx.world.cluster_policies().flat_map(|object| &object.policies);
        for one in &object.policies {
            let rivals = others().map(|other| Rivals { one, other, dialect: cx.settings.dialect });
            for rivals in rivals.filter(Rivals::tie).take(MOST_RIVALS) {
                let Some(example) = Direction::BOTH.into_iter().find_map(|d| example(cx, &rivals, d)) else { continue };
                let message = format!(
                    "priority of {} is that of {} as well, and nothing says which of them comes first; give them different priorities",
                    wording::policy(&object.id),
                    wording::policy(&rivals.other.id),
                );
                out.push(
                    Finding::new(RuleId::AmbiguousPriority, (*object.id).clone(), message)
                        .keyed(rivals.other.id.to_string())
                        .at(FieldPath::new("spec.priority"))
                        .because(example),
                );
            }
        }
    }
}

/// Traffic for which the order matters, as a sentence.
fn example(cx: &Context<'_>, rivals: &Rivals<'_>, direction: Direction) -> Option<String> {
    let selected = |p: &Policy, namespace: &NamespaceState, class: &PodClass| {
        let lookup = PodLookup { pod: class.pod(), namespace: namespace.labels() };
        namespace.is_in(&p.subject.namespaces) && p.subject.pods.matches(&lookup)
    };
    let mut namespaces: Vec<&Arc<NamespaceState>> = cx.world.namespaces().collect();
    namespaces.sort_by_key(|n| n.name());
    let pods = || {
        let classes = namespaces.iter().flat_map(|n| n.classes().iter().map(move |class| (*n, class)));
        classes.filter(|(_, class)| !class.pod().host_network)
    };
    let subjects = pods().filter(|(n, class)| selected(rivals.one, n, class) && selected(rivals.other, n, class));
    for (namespace, class) in subjects.take(MOST_SUBJECTS) {
        let subject = PodAt { namespace, pod: class.pod(), addresses: class.addresses() };
        for (there, other) in pods().take(MOST_OTHERS) {
            let end = PodAt { namespace: there, pod: other.pod(), addresses: other.addresses() };
            let ports = rivals.between_pods(cx.world, subject, end, direction);
            if !ports.is_empty() {
                let end = format!("{} of {}", other.owner(), there.name());
                return Some(sentence(&end, (namespace, class), direction, &ports));
            }
        }
        if let Some((address, ports)) = rivals.outside(cx.world, subject, direction) {
            return Some(sentence(&network(address), (namespace, class), direction, &ports));
        }
    }
    None
}

fn network(address: IpAddr) -> String {
    format!("addresses such as {address}")
}

fn sentence(
    end: &str,
    (namespace, class): (&NamespaceState, &PodClass),
    direction: Direction,
    ports: &PortSet,
) -> String {
    let subject = format!("{} of {}", class.owner(), namespace.name());
    let (from, to) = match direction {
        Direction::Ingress => (end, &*subject),
        Direction::Egress => (&*subject, end),
    };
    format!("their order decides about {} from {from} to {to} on {ports}", direction.field())
}
