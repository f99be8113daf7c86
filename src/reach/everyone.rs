//! Whether a peer is every pod, however that is written: by what its selectors mean, and by the pods that there are.

use std::borrow::Cow;

use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::model::meter::charge;
use crate::model::peer::Entity;
use crate::model::pod::PodLookup;
use crate::model::selector::{
    Escape, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_KEY, Test, escaping_with, name_in_namespace,
};
use crate::model::{Labels, Namespace, NamespaceScope, Peer, PodPeer, PodSpec, PortSet, Protocol, Selector, Str};
use crate::snapshot::Snapshot;

/// Namespaces that every cluster has.
const ALWAYS_THERE: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Whether a peer is every pod of every namespace that there could be.
///
/// Every namespace has a label with its name, which the API server sets, and every pod has a service account.
pub fn is_every_pod(peer: &Peer) -> bool {
    charge(1);
    match peer {
        Peer::Pods(PodPeer { namespaces: NamespaceScope::Matching(namespaces), pods }) => {
            is_all(namespaces, &[NAMESPACE_NAME_LABEL]) && is_all_pods(pods)
        }
        Peer::Entity(entity) => *entity == Entity::Cluster,
        _ => false,
    }
}

fn is_all_pods(pods: &Selector) -> bool {
    pods.is_everything() || is_all(pods, &[&name_in_namespace(), SERVICE_ACCOUNT_KEY])
}

/// Whether a selector matches all labels that have these keys.
fn is_all(selector: &Selector, present: &[&str]) -> bool {
    charge(1);
    match selector {
        // Nearly every selector is a label with a value, which others lack.
        Selector::Key(key, _) => present.contains(&&**key) && escapes_none(selector, present),
        Selector::And(parts) => parts.iter().all(|part| is_all(part, present)),
        Selector::Not(_) | Selector::Or(_) => escapes_none(selector, present),
    }
}

fn escapes_none(selector: &Selector, present: &[&str]) -> bool {
    escaping_with(&[selector], present) == Escape::Impossible
}

/// Whether a peer is every pod, or every pod that there is at the moment: of a cluster of which namespaces are known, each of
/// them and each of its pods match, the namespaces that every cluster has among them, and so does a pod without labels.
pub fn is_every_pod_there_is(snapshot: &Snapshot, peer: &Peer) -> bool {
    if is_every_pod(peer) {
        return true;
    }
    let Peer::Pods(PodPeer { namespaces: NamespaceScope::Matching(namespaces), pods }) = peer else { return false };
    // Most selectors ask for a label, which the first of these namespaces or a pod without labels does not have.
    let always = || ALWAYS_THERE.into_iter().map(|name| labels_of(snapshot, name));
    if !always().all(|labels| namespaces.matches(&*labels)) {
        return false;
    }
    let bare = PodSpec::with_labels(Labels::default());
    let matches = |labels: &Labels, pod: &PodSpec| pods.matches(&PodLookup { pod, namespace: labels });
    if !always().all(|labels| matches(&labels, &bare)) || !leaves_out_none(snapshot, namespaces) {
        return false;
    }
    let of_pods_alone = !pods.mentions(&|key| key.starts_with(NAMESPACE_LABEL_PREFIX));
    let everywhere = is_all_pods(pods);
    let mut known = 0_usize;
    for namespace in snapshot.namespaces() {
        charge(1);
        known += usize::from(namespace.is_known());
        if everywhere && known > 0 {
            return true;
        }
        let mut classes = namespace.classes().iter().map(|class| class.pod()).filter(|pod| !pod.host_network);
        if (!of_pods_alone && namespace.is_known() && !matches(namespace.labels(), &bare))
            || !classes.all(|pod| matches(namespace.labels(), pod))
        {
            return false;
        }
    }
    known > 0
}

fn labels_of<'a>(snapshot: &'a Snapshot, namespace: &str) -> Cow<'a, Labels> {
    let known = snapshot.namespace(namespace).filter(|there| there.is_known());
    known.map_or_else(|| Cow::Owned(Namespace::named(namespace).labels), |there| Cow::Borrowed(there.labels()))
}

/// Whether no namespace is left out. Each requirement is answered by the namespaces that fail it, which are looked up.
fn leaves_out_none(snapshot: &Snapshot, selector: &Selector) -> bool {
    let parts = match selector {
        Selector::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    parts.iter().all(|part| {
        charge(1);
        is_all(part, &[NAMESPACE_NAME_LABEL])
            || match named(part) {
                Some(names) => !names.iter().any(|name| snapshot.namespace(name).is_some()),
                None => snapshot.in_scope(&NamespaceScope::Matching(part.clone().negate())).next().is_none(),
            }
    })
}

/// The names that a requirement leaves out, where it is about names.
fn named(requirement: &Selector) -> Option<&[Str]> {
    let Selector::Not(inner) = requirement else { return None };
    match &**inner {
        Selector::Key(key, Test::In(values)) if **key == *NAMESPACE_NAME_LABEL => Some(values),
        _ => None,
    }
}

/// Whether ports are all of TCP, or less than one in a hundred are missing.
pub fn is_nearly_every_port(ports: &PortSet) -> bool {
    is_nearly_all(ports.ports(Protocol::Tcp).count())
}

/// Whether so many ports of TCP are all but one in a hundred.
pub fn is_nearly_all(tcp: u128) -> bool {
    const ALL: u128 = 1 << 16;
    tcp * 100 > ALL * 99
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Object;

    fn pods(namespaces: Selector, pods: Selector) -> Peer {
        Peer::Pods(PodPeer { namespaces: NamespaceScope::Matching(namespaces), pods })
    }

    fn named(key: &str) -> Selector {
        Selector::exists(key)
    }

    fn state(labels: &[&[(&'static str, &'static str)]]) -> Snapshot {
        let namespaces = labels.iter().enumerate().map(|(i, labels)| {
            let mut namespace = Namespace::named(ALWAYS_THERE.get(i).copied().unwrap_or("shop"));
            for (key, value) in *labels {
                namespace.labels = namespace.labels.with(*key, *value);
            }
            Object::Namespace(namespace)
        });
        Snapshot::of(&namespaces.collect::<Vec<_>>())
    }

    #[test]
    fn every_namespace_has_its_name_and_every_pod_an_account() {
        let every = Selector::everything;
        for peer in [
            pods(every(), every()),
            pods(named(NAMESPACE_NAME_LABEL), every()),
            pods(every(), named(&name_in_namespace())),
            pods(every(), Selector::And(vec![named(&name_in_namespace()), named(SERVICE_ACCOUNT_KEY)])),
            pods(Selector::Or(vec![named("a"), named("a").negate()]), every()),
        ] {
            assert!(is_every_pod(&peer), "{peer:?}");
        }
        for peer in [
            pods(named("a"), every()),
            pods(every(), named(NAMESPACE_NAME_LABEL)),
            pods(named("a").negate(), every()),
            pods(every(), Selector::equals(SERVICE_ACCOUNT_KEY, "default")),
            Peer::Pods(PodPeer { namespaces: NamespaceScope::Named("shop".into()), pods: every() }),
        ] {
            assert!(!is_every_pod(&peer), "{peer:?}");
        }
    }

    #[test]
    fn a_label_is_everywhere_once_every_namespace_has_it() {
        let peer = pods(named("env"), Selector::everything());
        let prod: &[(&str, &str)] = &[("env", "prod")];
        assert!(is_every_pod_there_is(&state(&[prod; 5]), &peer));
        assert!(!is_every_pod_there_is(&state(&[prod, prod, prod, prod, &[]]), &peer));
        assert!(!is_every_pod_there_is(&state(&[prod; 3]), &peer), "kube-system is not known to have it");
        let without = pods(named("env").negate(), Selector::everything());
        let none: &[(&str, &str)] = &[];
        assert!(is_every_pod_there_is(&state(&[none; 5]), &without));
        assert!(!is_every_pod_there_is(&state(&[none, none, none, none, prod]), &without));
        assert!(!is_every_pod_there_is(&Snapshot::default(), &without), "no namespace is known");
    }

    #[test]
    fn ports_are_nearly_all_where_less_than_one_in_a_hundred_is_missing() {
        assert!(is_nearly_every_port(&PortSet::full()));
        assert!(is_nearly_every_port(&PortSet::range(Protocol::Tcp, 655, u16::MAX)), "655 of 65,536 are missing");
        assert!(!is_nearly_every_port(&PortSet::range(Protocol::Tcp, 656, u16::MAX)));
        assert!(!is_nearly_every_port(&PortSet::protocol(Protocol::Udp)));
    }
}
