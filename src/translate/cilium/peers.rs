//! The other end of a rule, in every way in which Cilium names it.

use crate::translate::json::Value;
use ipnet::IpNet;

use super::reading::{Broken, Piece, Reading, Taken};
use crate::model::ipset::parse_cidr;
use crate::model::peer::{AddressPeer, Entity};
use crate::model::{
    Action, AddressScope, GroupChoice, GroupKind, GroupPeer, NamespaceScope, Peer, READ_AS, ServiceChoice, ServicePeer,
};
use crate::translate::at::At;
use crate::translate::shorten;

/// A way to name peers. Of these a rule uses one (semantics 2.3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerKind {
    Endpoints,
    Nodes,
    Entities,
    Cidr,
    CidrSet,
    Services,
    Groups,
    Fqdns,
}

impl PeerKind {
    /// Of ingress rules.
    pub(super) const FROM: [(&'static str, Self); 6] = [
        ("fromEndpoints", Self::Endpoints),
        ("fromNodes", Self::Nodes),
        ("fromEntities", Self::Entities),
        ("fromCIDR", Self::Cidr),
        ("fromCIDRSet", Self::CidrSet),
        ("fromGroups", Self::Groups),
    ];
    /// Of egress rules.
    pub(super) const TO: [(&'static str, Self); 8] = [
        ("toEndpoints", Self::Endpoints),
        ("toNodes", Self::Nodes),
        ("toEntities", Self::Entities),
        ("toCIDR", Self::Cidr),
        ("toCIDRSet", Self::CidrSet),
        ("toServices", Self::Services),
        ("toGroups", Self::Groups),
        ("toFQDNs", Self::Fqdns),
    ];
}

impl Reading {
    /// The peers that one item of a list of this kind stands for.
    pub(super) fn peers(&mut self, kind: PeerKind, item: &Value<'_>, action: Action, at: &At<'_>) -> Vec<Peer> {
        let taken = Taken::of(action).peer;
        let read = match kind {
            PeerKind::Endpoints => self.endpoints(item, action, at),
            PeerKind::Nodes => self.plain_labels(item, at, taken).map(|nodes| vec![Peer::Nodes(nodes)]),
            PeerKind::Entities => self.entity(item, at, taken).map(|peer| vec![peer]),
            PeerKind::Cidr => {
                self.text(Some(item), at, taken).and_then(|text| self.cidr(text, true, at)).map(|net| vec![block(net)])
            }
            PeerKind::CidrSet => self.cidr_rule(item, action, at).map(|peer| vec![peer]),
            PeerKind::Fqdns => {
                let name = self.dns_name(item, at, taken);
                name.map(|name| vec![Peer::Domains(vec![name.into()])])
            }
            PeerKind::Services => self.services(item, at, taken),
            PeerKind::Groups => {
                let what =
                    "which addresses a cloud provider's group has is not known here; what it decides depends on it";
                let _ = self.note(at, what.to_owned());
                // Addresses outside of the cluster, any of them and none for certain.
                let doubt = Peer::Unsettled("the addresses of a cloud provider's group".into());
                Ok(vec![Peer::AllOf(vec![Peer::Entity(Entity::Special), doubt])])
            }
        };
        read.unwrap_or_else(|_| vec![if action == Action::Deny { Peer::Unreadable } else { Peer::Nobody }])
    }

    /// Services by name or by their labels (semantics 2.3.13). Without a namespace those of every namespace are meant.
    fn services(&mut self, item: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<Vec<Peer>> {
        let fields = self.fields(item, at, &["k8sService", "k8sServiceSelector"], taken)?;
        let mut peers = Vec::new();
        for (field, key) in [("k8sService", "serviceName"), ("k8sServiceSelector", "selector")] {
            let Some(value) = fields.get(field) else { continue };
            let at = at.field(field);
            let fields = self.fields(value, &at, &[key, "namespace"], taken)?;
            let namespace = self.text(fields.get("namespace"), &at.field("namespace"), taken)?;
            let services = match (field, fields.get(key)) {
                ("k8sService", name) => ServiceChoice::Named(self.text(name, &at.field(key), taken)?.into()),
                (_, Some(selector)) => ServiceChoice::Matching(self.plain_labels(selector, &at.field(key), taken)?),
                (_, None) => return Err(self.note(&at, format!("a selector of Services is missing; {taken}"))),
            };
            let namespace = (!namespace.is_empty()).then(|| namespace.into());
            if matches!(&services, ServiceChoice::Named(name) if name.is_empty()) {
                return Err(self.note(&at, format!("the name of a Service is missing; {taken}")));
            }
            peers.push(Peer::Services(ServicePeer { namespace, services, their_ports: false }));
        }
        if peers.is_empty() {
            return Err(self.note(at, format!("neither k8sService nor k8sServiceSelector is given; {taken}")));
        }
        Ok(peers)
    }

    /// semantics 2.3.11.
    fn entity(&mut self, item: &Value<'_>, at: &At<'_>, taken: &str) -> Piece<Peer> {
        Ok(Peer::Entity(match self.text(Some(item), at, taken)? {
            "all" => return Ok(Peer::Any),
            "world" => Entity::World,
            "world-ipv4" => return self.cidr("0.0.0.0/0", false, at).map(block),
            "world-ipv6" => return self.cidr("::/0", false, at).map(block),
            "cluster" => Entity::Cluster,
            "host" => Entity::Host,
            "remote-node" => Entity::RemoteNode,
            "kube-apiserver" => Entity::KubeApiserver,
            "ingress" => Entity::Ingress,
            "init" | "health" | "unmanaged" => Entity::Special,
            "none" => return Ok(Peer::Nobody),
            other => {
                let what = format!(
                    "`{}` is no entity; there are all, world, cluster, host, remote-node, kube-apiserver, ingress, \
                     health, init, unmanaged and none",
                    shorten(other)
                );
                return Err(self.refuse(at, &what));
            }
        }))
    }

    /// An item of a CIDR set: a block or a group of blocks, less excepts that limit this item only (semantics 2.3.12).
    fn cidr_rule(&mut self, item: &Value<'_>, action: Action, at: &At<'_>) -> Piece<Peer> {
        let taken = Taken::of(action).peer;
        let fields = self.fields(item, at, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"], taken)?;
        let except_at = at.field("except");
        let texts = self.texts(fields.get("except"), &except_at, taken)?;
        let excepts: Vec<Piece<IpNet>> =
            texts.iter().enumerate().map(|(i, text)| self.cidr(text, false, &except_at.index(i))).collect();
        let given: Vec<&str> = ["cidr", "cidrGroupRef", "cidrGroupSelector"]
            .into_iter()
            .filter(|field| fields.get(field).is_some())
            .collect();
        let [given] = given.as_slice() else {
            let what = "exactly one of cidr, cidrGroupRef and cidrGroupSelector must be given";
            return Err(self.refuse(at, what));
        };
        let value_at = at.field(given);
        if *given != "cidr" {
            let groups = match *given {
                "cidrGroupRef" => GroupChoice::Named(self.text(fields.get(given), &value_at, taken)?.into()),
                _ => match fields.get(given) {
                    Some(selector) => GroupChoice::Matching(self.plain_labels(selector, &value_at, taken)?),
                    None => return Err(Broken),
                },
            };
            let readable = excepts.iter().all(Result::is_ok) || action == Action::Deny;
            let except = excepts.into_iter().filter_map(Result::ok).collect();
            let (kind, scope) = (GroupKind::Cidrs, AddressScope::ExternalOnly);
            let peer = GroupPeer { kind, namespaces: NamespaceScope::all(), groups, except, scope };
            return if readable { Ok(Peer::Groups(peer)) } else { Err(Broken) };
        }
        let cidr = self.text(fields.get("cidr"), &value_at, taken).and_then(|t| self.cidr(t, false, &value_at))?;
        // Without an except that cannot be read an allow would name more than its author meant; a deny may.
        let mut list = Vec::new();
        for (i, except) in excepts.into_iter().enumerate() {
            match except {
                Ok(net) if cidr.contains(&net) => list.push(net),
                Ok(net) => {
                    return Err(self.refuse(&except_at.index(i), &format!("{net} is not inside {cidr}")));
                }
                Err(_) if action == Action::Deny => {}
                Err(broken) => return Err(broken),
            }
        }
        Ok(Peer::Addresses(AddressPeer::block(cidr, list, AddressScope::ExternalOnly)))
    }

    /// A block; a plain address only where Cilium takes one.
    fn cidr(&mut self, text: &str, plain: bool, at: &At<'_>) -> Piece<IpNet> {
        match text.parse::<std::net::IpAddr>() {
            Ok(address) if plain => Ok(address.into()),
            _ => self.block(text, at, ""),
        }
    }

    /// A block; `taken` ends the sentence about one that cannot be read, where Cilium does not refuse the object for it.
    pub(super) fn block(&mut self, text: &str, at: &At<'_>, taken: &str) -> Piece<IpNet> {
        match parse_cidr(text) {
            Ok((net, true)) => Ok(net),
            Ok((net, false)) => {
                self.note(at, format!("`{}` has bits beyond its length; it {READ_AS} {net}", shorten(text)));
                Ok(net)
            }
            Err(error) if taken.is_empty() => Err(self.refuse(at, &error.to_string())),
            Err(error) => Err(self.note(at, format!("{error}; {taken}"))),
        }
    }
}

fn block(cidr: IpNet) -> Peer {
    Peer::Addresses(AddressPeer::block(cidr, Vec::new(), AddressScope::ExternalOnly))
}
