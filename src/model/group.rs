//! Groups of addresses that are objects of their own, and tiers that are: what policies refer to by name or by label.

use ipnet::IpNet;

use super::Str;
use super::ipset::IpSet;
use super::labels::Labels;
use super::object::Unread;
use super::origin::ObjectRef;
use super::peer::{AddressPeer, AddressScope, NamespaceScope};
use super::policy::{Priority, TierEnd};
use super::selector::{Lookup, NAMESPACE_LABEL_PREFIX, Selector};

/// The kind of an address group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupKind {
    /// CiliumCIDRGroup.
    Cidrs,
    /// Calico's NetworkSet, which belongs to a namespace.
    NetworkSet,
    /// Calico's GlobalNetworkSet.
    GlobalNetworkSet,
}

/// Addresses under a name, with labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressGroup {
    /// The object.
    pub id: ObjectRef,
    /// Its kind.
    pub kind: GroupKind,
    /// Its labels.
    pub labels: Labels,
    /// The blocks, masked.
    pub nets: Vec<IpNet>,
    /// What could not be read. A block that cannot be read is not in the group.
    pub unread: Vec<Unread>,
}

/// Which groups of a kind a peer names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupChoice {
    /// One by name.
    Named(Str),
    /// Those whose labels match. Keys that start with `@namespace/` are labels of the group's namespace.
    Matching(Selector),
}

/// Address groups as a rule names them. A group that does not exist has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupPeer {
    /// The kind of group.
    pub kind: GroupKind,
    /// Where the groups are; of no meaning for kinds without namespaces.
    pub namespaces: NamespaceScope,
    /// Which ones.
    pub groups: GroupChoice,
    /// Addresses that are not meant although a group has them.
    pub except: Vec<IpNet>,
    /// Whether pods' addresses count.
    pub scope: AddressScope,
}

/// A group's labels together with those of its namespace.
struct GroupLookup<'a> {
    labels: &'a Labels,
    namespace: &'a Labels,
}

impl Lookup for GroupLookup<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        match key.strip_prefix(NAMESPACE_LABEL_PREFIX) {
            Some(key) => self.namespace.value(key),
            None => self.labels.value(key),
        }
    }
}

impl GroupPeer {
    /// Whether it names this group. `namespace` has the labels of the group's namespace, and none for kinds without.
    pub fn names(&self, group: &AddressGroup, namespace: &Labels) -> bool {
        let here = match (&self.namespaces, self.kind) {
            (_, GroupKind::Cidrs | GroupKind::GlobalNetworkSet) => true,
            (NamespaceScope::Named(name), GroupKind::NetworkSet) => **name == *group.id.namespace(),
            (NamespaceScope::Matching(selector), GroupKind::NetworkSet) => selector.matches(namespace),
        };
        let chosen = || match &self.groups {
            GroupChoice::Named(name) => *name == group.id.name,
            GroupChoice::Matching(selector) => selector.matches(&GroupLookup { labels: &group.labels, namespace }),
        };
        group.kind == self.kind && here && chosen()
    }

    /// The addresses of these groups.
    pub fn addresses<'a>(&self, groups: impl IntoIterator<Item = &'a AddressGroup>) -> AddressPeer {
        let nets = groups.into_iter().flat_map(|group| group.nets.iter().copied());
        let mut peer = AddressPeer::blocks(nets, self.scope);
        if !self.except.is_empty() {
            peer.set = peer.set.difference(&IpSet::from_nets(&self.except));
            for (_, excepts) in &mut peer.blocks {
                excepts.clone_from(&self.except);
            }
        }
        peer
    }
}

/// A tier that is an object of its own. Policies name it, and it may come after them, change, or be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierObject {
    /// The object; its name is the tier's.
    pub id: ObjectRef,
    /// When it is consulted.
    pub order: Priority,
    /// What happens to traffic that no rule of it matches.
    pub end: TierEnd,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ipset::parse_cidr;

    fn net(text: &str) -> IpNet {
        parse_cidr(text).unwrap().0
    }

    fn set(namespace: &'static str, name: &'static str, role: &'static str) -> AddressGroup {
        AddressGroup {
            id: ObjectRef::namespaced("projectcalico.org/v3", "NetworkSet", namespace, name),
            kind: GroupKind::NetworkSet,
            labels: Labels::new([("role", role)]),
            nets: vec![net("10.0.0.0/8"), net("192.168.0.0/16")],
            unread: Vec::new(),
        }
    }

    fn peer(groups: GroupChoice) -> GroupPeer {
        GroupPeer {
            kind: GroupKind::NetworkSet,
            namespaces: NamespaceScope::Named("shop".into()),
            groups,
            except: vec![net("10.1.0.0/16")],
            scope: AddressScope::PodsToo,
        }
    }

    #[test]
    fn groups_are_named_by_label_in_their_namespace() {
        let by_label = peer(GroupChoice::Matching(Selector::equals("role", "db")));
        let none = Labels::default();
        assert!(by_label.names(&set("shop", "a", "db"), &none));
        assert!(!by_label.names(&set("shop", "a", "web"), &none));
        assert!(!by_label.names(&set("other", "a", "db"), &none));
        assert!(peer(GroupChoice::Named("a".into())).names(&set("shop", "a", "web"), &none));
        let of_team = peer(GroupChoice::Matching(Selector::equals("@namespace/team", "x")));
        assert!(of_team.names(&set("shop", "a", "db"), &Labels::new([("team", "x")])));
        assert!(!of_team.names(&set("shop", "a", "db"), &none));
    }

    #[test]
    fn excepts_hold_for_every_block_of_the_group() {
        let found = peer(GroupChoice::Named("a".into())).addresses([&set("shop", "a", "db")]);
        assert!(found.set.contains("10.2.0.1".parse().unwrap()));
        assert!(!found.set.contains("10.1.0.1".parse().unwrap()));
        assert_eq!(found.blocks.len(), 2);
    }
}
