//! `unresolved-named-port`: a port name that no destination pod has opens nothing.

use std::collections::BTreeSet;

use super::rule::{Context, Finding, Rule, RuleMeta, declare_rule};
use super::{fields, nearest, wording};
use crate::model::house::{Level, RuleId};
use crate::model::meter::charge;
use crate::model::pod::PodLookup;
use crate::model::{Direction, NamespaceScope, Peer, PodSpec, Policy, Protocol, Selector, Str, policy};

declare_rule! {
    /// A port name should be the name of a port of the pods it is for.
    ///
    /// ## What it checks
    ///
    /// When a policy is created or changed: does a pod at the receiving end have a container port with each name that a
    /// rule uses, and with its protocol? For ingress these are the pods that the policy selects, for egress the peers.
    ///
    /// ## Why
    ///
    /// A name that is not there matches nothing, and it is no error. A name counts only together with its protocol: `dns`
    /// on UDP is not the `dns` of a rule that leaves the protocol at TCP. Addresses have no port names at all.
    ///
    /// ## Refused
    ///
    /// `ports: [{port: http}]` where the container calls its port `web`.
    ///
    /// ## Accepted
    ///
    /// A name that at least one of the pods has. Ports of sidecars count.
    ///
    /// ## Exceptions
    ///
    /// It is only recorded as long as there are no such pods.
    ///
    /// ## References
    ///
    /// Kubernetes API: NetworkPolicyPort, `port`.
    pub UnresolvedNamedPort = UnresolvedNamedPort, since "0.1.0"
}

impl Rule for UnresolvedNamedPort {
    fn meta(&self) -> &'static RuleMeta {
        &Self::META
    }

    fn check(&self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        let Some(object) = cx.policy() else { return };
        for policy in &object.policies {
            for direction in Direction::BOTH {
                for rule in policy.rules(direction).iter().filter(|rule| !rule.ports.names.is_empty()) {
                    let mut receivers = Receivers::of(policy, direction, rule);
                    for wanted in &rule.ports.names {
                        let Some((message, because, cap)) = receivers.judge(cx, wanted) else { continue };
                        let path = fields::ports(&object.id, rule);
                        let message = format!("{} {message}", wording::place(&object.id, &path));
                        let mut finding = Finding::new(RuleId::UnresolvedNamedPort, (*object.id).clone(), message)
                            .keyed(format!("{path} {:?} {}", wanted.0, wanted.1))
                            .at(path)
                            .capped(cap);
                        finding.because.extend(because);
                        out.push(finding);
                    }
                }
            }
        }
    }
}

type Found = (String, Option<String>, Level);

/// The pods at the receiving end of a rule, whose port names are gathered once for all that the rule names.
struct Receivers {
    whose: &'static str,
    scopes: Vec<(NamespaceScope, Selector)>,
    gathered: Option<Gathered>,
}

/// What the pods have.
#[derive(Default)]
struct Gathered {
    pods: usize,
    names: BTreeSet<(Str, Protocol)>,
}

impl Receivers {
    fn of(policy: &Policy, direction: Direction, rule: &policy::Rule) -> Self {
        charge(8 * rule.peers.len());
        let (whose, scopes) = receivers(policy, direction, rule);
        Self { whose, scopes, gathered: None }
    }

    fn gather(&mut self, cx: &Context<'_>) -> &Gathered {
        let scopes = &self.scopes;
        self.gathered.get_or_insert_with(|| {
            let mut gathered = Gathered::default();
            for (namespaces, selector) in scopes {
                for namespace in cx.world.in_scope(namespaces) {
                    for class in namespace.classes().iter().filter(|class| !class.pod().host_network) {
                        let pod: &PodSpec = class.pod();
                        charge(1 + pod.ports.len());
                        if selector.matches(&PodLookup { pod, namespace: namespace.labels() }) {
                            gathered.pods += 1;
                            gathered.names.extend(pod.ports.iter().map(|p| (p.name.clone(), p.protocol)));
                        }
                    }
                }
            }
            gathered
        })
    }

    fn judge(&mut self, cx: &Context<'_>, (protocol, name): &(Option<Protocol>, Str)) -> Option<Found> {
        charge(16);
        let shown = format!("{}\"{name}\"", protocol.map_or_else(String::new, |p| format!("{p} port ")));
        if self.scopes.is_empty() {
            let what = format!("asks for {shown} of addresses, which have no port names; give the number");
            return Some((what, None, Level::Warn));
        }
        let whose = self.whose;
        let Gathered { pods, names: there } = self.gather(cx);
        let named = |wanted: Protocol| there.contains(&(name.clone(), wanted));
        if protocol.map_or_else(|| Protocol::ALL.into_iter().any(named), named) {
            return None;
        }
        let what =
            format!("asks for {shown}, which none of the {whose} has; name one of their ports or give the number");
        if *pods == 0 {
            return Some((what, Some(format!("there are no {whose} yet")), Level::Audit));
        }
        let names: Vec<Str> = there.iter().take(MOST_NAMES).map(|(name, _)| name.clone()).collect();
        charge(8 * names.len());
        let because = match (there.iter().find(|(other, _)| other == name), nearest::name(name, &names)) {
            (Some((_, other)), _) => format!("they have \"{name}\" on {other}: did you mean that?"),
            (None, Some(near)) => format!("they have \"{near}\": did you mean that?"),
            (None, None) if there.is_empty() => "their containers name no ports".to_owned(),
            (None, None) => {
                let all: Vec<String> = there.iter().map(|(name, protocol)| format!("{name} ({protocol})")).collect();
                format!("they have {}", wording::few(&all, 5, "names"))
            }
        };
        Some((what, Some(because), Level::Warn))
    }
}

/// Names that are compared with one that no pod has.
const MOST_NAMES: usize = 200;

/// The pods at the receiving end, and what to call them. None at all where only addresses are named.
fn receivers(
    policy: &Policy,
    direction: Direction,
    rule: &policy::Rule,
) -> (&'static str, Vec<(NamespaceScope, Selector)>) {
    if direction == Direction::Ingress {
        return ("selected pods", vec![(policy.subject.namespaces.clone(), policy.subject.pods.clone())]);
    }
    let scopes = rule.peers.iter().filter_map(|peer| match peer {
        Peer::Any => Some((NamespaceScope::all(), Selector::everything())),
        peer => peer.pods().map(|pods| (pods.namespaces.clone(), pods.pods.clone())),
    });
    ("peer pods", scopes.collect())
}
