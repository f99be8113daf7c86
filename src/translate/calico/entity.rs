//! One end of a Calico rule: whom its selectors, networks, accounts and services name, all of them together (semantics 2.4.7,
//! 2.4.8, 2.4.10 to 2.4.12).

use std::net::IpAddr;

use super::super::json::Value;
use ipnet::IpNet;

use super::super::at::At;
use super::super::shorten;
use super::pair::Pair;
use super::reader::{Fields, Reader};
use super::selector::{Expr, Keys, Lowered, and, not, parse};
use crate::model::ipset::parse_cidr;
use crate::model::peer::AddressPeer;
use crate::model::selector::SERVICE_ACCOUNT_KEY;
use crate::model::{
    AddressScope, GroupChoice, GroupKind, GroupPeer, NamespaceScope, Peer, PodPeer, Selector, ServiceChoice,
    ServicePeer, Str,
};

/// One end of a rule.
#[derive(Debug, Default)]
pub(super) struct Entity<'v> {
    namespaces: Option<Expr<'v>>,
    selector: Option<Expr<'v>>,
    not_selector: Option<Expr<'v>>,
    account_names: Vec<&'v str>,
    accounts: Option<Expr<'v>>,
    nets: Vec<IpNet>,
    not_nets: Vec<IpNet>,
    service: Option<ServicePeer>,
}

const FIELDS: [&str; 9] = [
    "selector",
    "notSelector",
    "namespaceSelector",
    "serviceAccounts",
    "services",
    "nets",
    "notNets",
    "ports",
    "notPorts",
];

/// Reads a selector. One that cannot be read is no condition here; the piece is broken then.
pub(super) fn selector<'v>(
    reader: &mut Reader,
    value: Option<&'v Value<'v>>,
    at: &At<'_>,
    global: bool,
    taken: &str,
) -> Option<Expr<'v>> {
    let text = reader.text(value, at, taken);
    if text.is_empty() {
        return None;
    }
    match parse(text) {
        Ok(expr) if expr.mentions_global() && !global => {
            reader.note(at, format!("global() belongs into a namespaceSelector of a rule only; {taken}"));
            None
        }
        Ok(expr) => Some(expr),
        Err(error) => {
            reader.note(at, format!("`{}` is no selector: {error}; {taken}", shorten(text)));
            None
        }
    }
}

/// A block, or one address.
pub(in super::super) fn net(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    parse_cidr(text).map(|(net, _)| net).map_err(|error| error.to_string())
}

/// Reads blocks. With one that cannot be read the list is no condition.
fn nets(reader: &mut Reader, value: Option<&Value<'_>>, at: &At<'_>, taken: &str) -> Vec<IpNet> {
    let texts = reader.texts(value, at, taken);
    let mut list = Vec::with_capacity(texts.len());
    for (i, text) in texts.iter().enumerate() {
        match net(text) {
            Ok(net) => list.push(net),
            Err(error) => reader.note(&at.index(i), format!("{error}; {taken}")),
        }
    }
    if list.len() == texts.len() { list } else { Vec::new() }
}

impl<'v> Entity<'v> {
    /// Reads an end. `own` is the policy's namespace, `ports_beside_services` whether Calico takes both here.
    pub(super) fn read(
        reader: &mut Reader,
        value: Option<&'v Value<'v>>,
        at: &At<'_>,
        own: Option<&str>,
        ports_beside_services: bool,
        taken: &str,
    ) -> (Self, Fields<'v>) {
        let fields = reader.fields(value, at, &FIELDS, taken);
        let accounts_at = at.field("serviceAccounts");
        let accounts = reader.fields(fields.get("serviceAccounts"), &accounts_at, &["names", "selector"], taken);
        let mut one = |name: &str, global| selector(reader, fields.get(name), &at.field(name), global, taken);
        let entity = Self {
            namespaces: one("namespaceSelector", true),
            selector: one("selector", false),
            not_selector: one("notSelector", false),
            account_names: reader.texts(accounts.get("names"), &accounts_at.field("names"), taken),
            accounts: selector(reader, accounts.get("selector"), &accounts_at.field("selector"), false, taken),
            nets: nets(reader, fields.get("nets"), &at.field("nets"), taken),
            not_nets: nets(reader, fields.get("notNets"), &at.field("notNets"), taken),
            service: service(reader, fields, at, own, taken)
                .map(|service| ServicePeer { their_ports: !ports_beside_services, ..service }),
        };
        if fields.get("services").is_some() {
            let exclusive = ["selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets"];
            let ports: &[&str] = if ports_beside_services { &[] } else { &["ports", "notPorts"] };
            for other in exclusive.iter().chain(ports).filter(|name| fields.get(name).is_some()) {
                reader.note(&at.field(other), format!("{other} and services exclude each other; {taken}"));
            }
        }
        (entity, fields)
    }

    /// Whether it names nobody in particular.
    pub(super) fn is_anyone(&self) -> bool {
        self.namespaces.is_none()
            && self.selector.is_none()
            && self.not_selector.is_none()
            && self.account_names.is_empty()
            && self.accounts.is_none()
            && self.nets.is_empty()
            && self.not_nets.is_empty()
            && self.service.is_none()
    }

    fn accounts(&self, keys: Keys) -> Lowered {
        let lowered = self.accounts.as_ref().map_or_else(Lowered::everything, |expr| expr.lower(keys));
        if self.account_names.is_empty() {
            return lowered;
        }
        let named = match keys {
            Keys::AccountsOfSets => Selector::nothing(),
            _ => Selector::is_in(SERVICE_ACCOUNT_KEY, self.account_names.iter().copied()),
        };
        lowered.map(|selector| and([named.clone(), selector]))
    }

    fn endpoints(&self, keys: Keys, account_keys: Keys) -> Lowered {
        let labels = self.selector.as_ref().map_or_else(Lowered::everything, |expr| expr.lower(keys));
        if self.accounts.is_none() && self.account_names.is_empty() {
            return labels;
        }
        let accounts = self.accounts(account_keys);
        Lowered {
            certain: and([labels.certain, accounts.certain]),
            possible: and([labels.possible, accounts.possible]),
        }
    }

    /// The other end of the flow, as alternatives. `own` is the namespace of a namespaced policy, to which selectors
    /// without a namespaceSelector are limited; a rule without any selector is not (semantics 2.4.7).
    pub(super) fn peers(&self, own: Option<&str>, residual: &mut Vec<String>) -> Pair<Vec<Peer>> {
        if let Some(service) = &self.service {
            return Pair::exact(vec![Peer::Services(service.clone())]);
        }
        let positive = self.positive(own);
        let negative = self.negative();
        if positive.iter().flatten().all(Pair::is_exact) && negative.is_exact() {
            let positive = positive.map(|list| list.into_iter().map(Pair::into_narrow).collect());
            return Pair::exact(together(positive, negative.narrow()));
        }
        residual.push(ACCOUNTS.to_owned());
        let read = |of: fn(&Pair<Peer>) -> &Peer, others: &[Peer]| {
            together(positive.as_ref().map(|list| list.iter().map(|pair| of(pair).clone()).collect()), others)
        };
        Pair::new(read(Pair::narrow, negative.narrow()), read(Pair::wide, negative.wide()))
    }

    /// Pods and network sets that the selectors name, or nothing if there are no selectors.
    fn positive(&self, own: Option<&str>) -> Option<Vec<Pair<Peer>>> {
        let selects = self.selector.is_some() || self.accounts.is_some() || !self.account_names.is_empty();
        let pods = self.endpoints(Keys::Pods, Keys::Accounts);
        let sets = self.endpoints(Keys::Sets, Keys::AccountsOfSets);
        let (scope, sets, kinds) = match (&self.namespaces, own) {
            (Some(expr), _) => {
                let of_sets = expr.lower(Keys::NamespacesOfSets).certain;
                let scope = NamespaceScope::Matching(expr.lower(Keys::Namespaces).certain);
                (scope, sets.map(|s| and([of_sets.clone(), s])), &SETS[..])
            }
            (None, Some(own)) if selects || self.not_selector.is_some() => {
                (NamespaceScope::Named(own.into()), sets, &SETS[..1])
            }
            (None, None) if selects => (NamespaceScope::all(), sets, &SETS[..]),
            _ => return None,
        };
        let mut all = Vec::with_capacity(1 + kinds.len());
        all.push(pair(pods).map(|pods| pods_peer(&scope, pods)));
        let scope = if self.namespaces.is_some() { NamespaceScope::all() } else { scope };
        let sets = pair(sets);
        all.extend(kinds.iter().map(|kind| sets.clone().map(|sets| sets_peer(*kind, &scope, sets))));
        Some(all)
    }

    /// Networks, and what is excepted. notSelector takes away pods and sets of every namespace and leaves everything
    /// else, addresses outside the cluster included (semantics 2.4.8).
    fn negative(&self) -> Pair<Vec<Peer>> {
        let mut known = Vec::new();
        if !self.nets.is_empty() {
            known.push(blocks(&self.nets));
        }
        if !self.not_nets.is_empty() {
            known.push(opposite(blocks(&self.not_nets)));
        }
        let Some(expr) = &self.not_selector else { return Pair::exact(known) };
        let (pods, sets) = (expr.lower(Keys::Pods), expr.lower(Keys::Sets));
        let all = NamespaceScope::all();
        known.extend(SETS.map(|kind| opposite(sets_peer(kind, &all, sets.certain.clone()))));
        let with = |pods: Selector| {
            let pods = opposite(pods_peer(&all, pods));
            let somebody = |peer: &Peer| *peer != opposite(Peer::Nobody);
            known.iter().cloned().chain([pods]).filter(somebody).collect::<Vec<Peer>>()
        };
        Pair::new(with(pods.possible), with(pods.certain))
    }

    /// What it says about the pod that the policy applies to: which of the pods the rule is for. That a network set may
    /// hold the address of the very pod is not looked at.
    pub(super) fn local(&self, residual: &mut Vec<String>) -> Pair<Selector> {
        let labels = self.endpoints(Keys::Pods, Keys::Accounts);
        let namespaces = self.namespaces.as_ref().map_or_else(Lowered::everything, |e| e.lower(Keys::NamespacesOfPods));
        let unwanted = self.not_selector.as_ref().map(|expr| expr.lower(Keys::Pods));
        let unwanted = unwanted.unwrap_or(Lowered { certain: Selector::nothing(), possible: Selector::nothing() });
        let wide = and([namespaces.possible, labels.possible, not(unwanted.certain)]);
        let narrow = and([namespaces.certain, labels.certain, not(unwanted.possible)]);
        let mut pair = Pair::new(narrow, wide);
        if !pair.is_exact() {
            residual.push(ACCOUNTS.to_owned());
        }
        // Which of its pods have such an address nobody knows before they run.
        if !self.nets.is_empty() || !self.not_nets.is_empty() || self.service.is_some() {
            residual.push("addresses or Services of the selected pods".to_owned());
            pair = pair.narrowed(|_| Selector::nothing());
        }
        pair
    }
}

/// Kinds of network set; those of a namespace first.
const SETS: [GroupKind; 2] = [GroupKind::NetworkSet, GroupKind::GlobalNetworkSet];

/// What is not known where the labels of service accounts decide.
pub(super) const ACCOUNTS: &str = "labels of service accounts that are not known here";

fn service(
    reader: &mut Reader,
    fields: Fields<'_>,
    at: &At<'_>,
    own: Option<&str>,
    taken: &str,
) -> Option<ServicePeer> {
    let value = fields.get("services")?;
    let at = at.field("services");
    let fields = reader.fields(Some(value), &at, &["name", "namespace"], taken);
    let name = reader.text(fields.get("name"), &at.field("name"), taken);
    let namespace = reader.text(fields.get("namespace"), &at.field("namespace"), taken);
    let namespace = if namespace.is_empty() { own.unwrap_or_default() } else { namespace };
    if name.is_empty() {
        reader.note(&at, format!("services need the name of one; {taken}"));
    }
    if namespace.is_empty() {
        reader.note(&at, format!("a policy without a namespace needs that of the Service; {taken}"));
    }
    let namespace = (!namespace.is_empty()).then(|| Str::from(namespace));
    Some(ServicePeer { namespace, services: ServiceChoice::Named(name.into()), their_ports: false })
}

fn pair(lowered: Lowered) -> Pair<Selector> {
    Pair::new(lowered.certain, lowered.possible)
}

fn pods_peer(scope: &NamespaceScope, pods: Selector) -> Peer {
    let nowhere = |selector: &Selector| *selector == Selector::nothing();
    match scope {
        NamespaceScope::Matching(selector) if nowhere(selector) => Peer::Nobody,
        _ if nowhere(&pods) => Peer::Nobody,
        scope => Peer::Pods(PodPeer { namespaces: scope.clone(), pods }),
    }
}

fn sets_peer(kind: GroupKind, scope: &NamespaceScope, sets: Selector) -> Peer {
    if sets == Selector::nothing() {
        return Peer::Nobody;
    }
    Peer::Groups(GroupPeer {
        kind,
        namespaces: scope.clone(),
        groups: GroupChoice::Matching(sets),
        except: Vec::new(),
        scope: AddressScope::PodsToo,
    })
}

fn blocks(nets: &[IpNet]) -> Peer {
    Peer::Addresses(AddressPeer::blocks(nets.iter().copied(), AddressScope::PodsToo))
}

fn opposite(peer: Peer) -> Peer {
    Peer::Not(Box::new(peer))
}

/// Each of the alternatives together with all others; without alternatives the others alone.
fn together(alternatives: Option<Vec<Peer>>, others: &[Peer]) -> Vec<Peer> {
    let Some(alternatives) = alternatives else { return vec![all_of(None, others)] };
    let somebody = alternatives.into_iter().filter(|peer| *peer != Peer::Nobody);
    somebody.map(|peer| if others.is_empty() { peer } else { all_of(Some(peer), others) }).collect()
}

/// All of them together; one alone stays as it is.
fn all_of(first: Option<Peer>, others: &[Peer]) -> Peer {
    let mut parts: Vec<Peer> = first.into_iter().chain(others.iter().cloned()).collect();
    match (parts.len(), parts.pop()) {
        (_, None) => Peer::Any,
        (1, Some(only)) => only,
        (_, Some(last)) => {
            parts.push(last);
            Peer::AllOf(parts)
        }
    }
}
