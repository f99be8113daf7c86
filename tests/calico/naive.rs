//! A second evaluator for Calico, straight from semantics 2.4.1: tiers in order, policies in order, rules in order, the
//! default action, and the profile that lets everything through. It works on its own description of policies and shares
//! nothing with the engine: selectors are Rust functions over the labels that Calico gives every endpoint.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Labels as Calico sees them, with those that it adds.
pub(crate) type Labels = BTreeMap<String, String>;

/// A selector: its text for the engine, and what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selector {
    pub(crate) text: &'static str,
    pub(crate) means: fn(&Labels) -> bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) account: &'static str,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) address: Ipv4Addr,
    pub(crate) ports: Vec<(&'static str, u16)>,
}

#[derive(Clone, Debug)]
pub(crate) struct NetworkSet {
    pub(crate) name: &'static str,
    pub(crate) namespace: Option<&'static str>,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) nets: Vec<(Ipv4Addr, u8)>,
}

/// A service account with one label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) label: (&'static str, &'static str),
}

/// A Service that leads to the pods of its namespace with one label, on one TCP port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) label: (&'static str, &'static str),
    pub(crate) target: Port,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Entity {
    pub(crate) selector: Option<Selector>,
    pub(crate) not_selector: Option<Selector>,
    pub(crate) namespaces: Option<Selector>,
    pub(crate) accounts: Vec<&'static str>,
    pub(crate) nets: Vec<(Ipv4Addr, u8)>,
    pub(crate) not_nets: Vec<(Ipv4Addr, u8)>,
    pub(crate) service: Option<Service>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
    Pass,
    Log,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    Range(u16, u16),
    Named(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) action: Action,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) not_protocol: Option<&'static str>,
    pub(crate) ports: Vec<Port>,
    pub(crate) not_ports: Vec<(u16, u16)>,
    pub(crate) source: Entity,
    pub(crate) destination: Entity,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) namespace: Option<&'static str>,
    pub(crate) tier: &'static str,
    pub(crate) order: Option<i32>,
    pub(crate) selector: Option<Selector>,
    pub(crate) namespaces: Option<Selector>,
    pub(crate) types: Option<(bool, bool)>,
    pub(crate) ingress: Vec<Rule>,
    pub(crate) egress: Vec<Rule>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) order: Option<i32>,
    pub(crate) passes: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) namespaces: Vec<(&'static str, Vec<(&'static str, &'static str)>)>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) sets: Vec<NetworkSet>,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) policies: Vec<Policy>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End<'a> {
    Pod(&'a Pod),
    Address(Ipv4Addr),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) from: End<'a>,
    pub(crate) to: End<'a>,
    pub(crate) protocol: &'static str,
    pub(crate) port: u16,
}

fn within((net, bits): (Ipv4Addr, u8), address: Ipv4Addr) -> bool {
    let mask = if bits == 0 { 0 } else { u32::MAX << (32 - u32::from(bits)) };
    net.to_bits() & mask == address.to_bits() & mask
}

impl World {
    fn of_namespace(&self, name: &str, labels: &mut Labels) {
        labels.insert("projectcalico.org/namespace".into(), name.into());
        labels.insert("pcns.projectcalico.org/name".into(), name.into());
        for (key, value) in self.namespaces.iter().filter(|(n, _)| *n == name).flat_map(|(_, labels)| labels) {
            labels.insert(format!("pcns.{key}"), (*value).into());
        }
    }

    fn pod_labels(&self, pod: &Pod) -> Labels {
        let mut labels: Labels = pod.labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        self.of_namespace(pod.namespace, &mut labels);
        labels.insert("projectcalico.org/serviceaccount".into(), pod.account.into());
        for own in self.accounts.iter().filter(|a| (a.namespace, a.name) == (pod.namespace, pod.account)) {
            let (key, value) = own.label;
            labels.insert(format!("pcsa.{key}"), value.into());
        }
        labels
    }

    fn set_labels(&self, set: &NetworkSet) -> Labels {
        let mut labels: Labels = set.labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        if let Some(namespace) = set.namespace {
            self.of_namespace(namespace, &mut labels);
        }
        labels
    }

    fn address(end: End<'_>) -> Ipv4Addr {
        match end {
            End::Pod(pod) => pod.address,
            End::Address(address) => address,
        }
    }

    /// Whether the end is a pod, or an address of a network set, whose labels pass. Of the policy's own pods only the labels
    /// are looked at: that a network set holds the address of the very pod is beyond the engine, and said so.
    fn selected(&self, end: End<'_>, remote: bool, test: impl Fn(&Labels) -> bool) -> bool {
        let pod = matches!(end, End::Pod(pod) if test(&self.pod_labels(pod)));
        if !remote {
            return pod;
        }
        let address = Self::address(end);
        pod || self
            .sets
            .iter()
            .any(|set| set.nets.iter().any(|net| within(*net, address)) && test(&self.set_labels(set)))
    }

    fn names(&self, entity: &Entity, own: Option<&str>, end: End<'_>, remote: bool) -> bool {
        let selects = entity.selector.is_some() || !entity.accounts.is_empty();
        let any = selects || entity.not_selector.is_some();
        if entity.namespaces.is_some() || selects || (any && own.is_some()) {
            let passes = self.selected(end, remote, |labels| {
                let namespace = match (entity.namespaces, own) {
                    (Some(selector), _) => (selector.means)(labels),
                    (None, Some(own)) => labels.get("projectcalico.org/namespace").is_some_and(|n| n == own),
                    (None, None) => true,
                };
                let account = labels.get("projectcalico.org/serviceaccount");
                namespace
                    && entity.selector.is_none_or(|s| (s.means)(labels))
                    && (entity.accounts.is_empty() || account.is_some_and(|a| entity.accounts.contains(&a.as_str())))
            });
            if !passes {
                return false;
            }
        }
        if let Some(service) = entity.service
            && !matches!(end, End::Pod(pod) if pod.namespace == service.namespace && pod.labels.contains(&service.label))
        {
            return false;
        }
        let address = Self::address(end);
        !entity.not_selector.is_some_and(|s| self.selected(end, remote, s.means))
            && (entity.nets.is_empty() || entity.nets.iter().any(|net| within(*net, address)))
            && !entity.not_nets.iter().any(|net| within(*net, address))
    }

    fn matches(&self, rule: &Rule, own: Option<&str>, ingress: bool, packet: Packet<'_>) -> bool {
        let named = |name: &str| match packet.to {
            End::Pod(pod) => packet.protocol == "TCP" && pod.ports.contains(&(name_of(pod, name), packet.port)),
            End::Address(_) => false,
        };
        let port = |port: &Port| match port {
            Port::Range(lo, hi) => (*lo..=*hi).contains(&packet.port),
            Port::Named(name) => named(name),
        };
        rule.protocol.is_none_or(|p| p == packet.protocol)
            && rule.not_protocol.is_none_or(|p| p != packet.protocol)
            && (rule.ports.is_empty() || rule.ports.iter().any(port))
            && rule.destination.service.is_none_or(|service| packet.protocol == "TCP" && port(&service.target))
            && !rule.not_ports.iter().any(|(lo, hi)| (*lo..=*hi).contains(&packet.port))
            && self.names(&rule.source, own, packet.from, ingress)
            && self.names(&rule.destination, own, packet.to, !ingress)
    }

    fn governs(policy: &Policy, ingress: bool) -> bool {
        let (has_in, has_out) = (!policy.ingress.is_empty(), !policy.egress.is_empty());
        match policy.types {
            Some((i, e)) => {
                if ingress {
                    i
                } else {
                    e
                }
            }
            None if ingress => has_in || !has_out,
            None => has_out,
        }
    }

    fn applies(&self, policy: &Policy, pod: &Pod) -> bool {
        let labels = self.pod_labels(pod);
        policy.namespace.is_none_or(|n| n == pod.namespace)
            && policy.namespaces.is_none_or(|s| (s.means)(&labels))
            && policy.selector.is_none_or(|s| (s.means)(&labels))
    }

    fn side(&self, pod: &Pod, ingress: bool, packet: Packet<'_>) -> bool {
        let mut tiers: Vec<&Tier> = self.tiers.iter().collect();
        tiers.sort_by_key(|t| (t.order.is_none(), t.order, t.name));
        'tiers: for tier in tiers {
            let mut policies: Vec<&Policy> = self
                .policies
                .iter()
                .filter(|p| p.tier == tier.name && Self::governs(p, ingress) && self.applies(p, pod))
                .collect();
            if policies.is_empty() {
                continue;
            }
            policies.sort_by_key(|p| (p.order.is_none(), p.order, p.name.clone()));
            for policy in policies {
                for rule in if ingress { &policy.ingress } else { &policy.egress } {
                    if !self.matches(rule, policy.namespace, ingress, packet) {
                        continue;
                    }
                    match rule.action {
                        Action::Allow => return true,
                        Action::Deny => return false,
                        Action::Pass => continue 'tiers,
                        Action::Log => {}
                    }
                }
            }
            if !tier.passes {
                return false;
            }
        }
        true
    }

    /// Whether the packet passes: egress of the source and ingress of the destination.
    pub(crate) fn passes(&self, packet: Packet<'_>) -> bool {
        let egress = match packet.from {
            End::Pod(pod) => self.side(pod, false, packet),
            End::Address(_) => true,
        };
        let ingress = match packet.to {
            End::Pod(pod) => self.side(pod, true, packet),
            End::Address(_) => true,
        };
        egress && ingress
    }
}

/// The name as the pod has it, so that both sides of the comparison live as long.
fn name_of(pod: &Pod, name: &str) -> &'static str {
    pod.ports.iter().map(|(n, _)| *n).find(|n| *n == name).unwrap_or("no such port")
}
