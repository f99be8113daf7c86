//! `HouseRules` and `RuleException` into model terms. Reading never fails: what cannot be read is reported with its
//! path and replaced on the safe side, so that a slip in the settings never switches a rule off.

mod exception;
pub(super) mod reader;
mod status;

use serde_json::{Map, Value};

pub use exception::rule_exception;
pub use status::{Judged, conditions, conflicts, exception_conditions};

use self::reader::Reader;
use crate::model::house::{Dialect, Dns, Exempt, HouseRules, Level, OpenCidr, PartialSettings, RuleId, private_ranges};
use crate::model::ports::Protocol;
use crate::model::selector::{Escape, escaping};
use crate::model::{Direction, FieldPath, IpSet, Labels, Selector, Str, Unread};

/// Reads a HouseRules object. Every path in the second part belongs to something that was *not* taken as written.
pub fn house_rules(value: &Value) -> (HouseRules, Vec<Unread>) {
    let mut read = Reader::default();
    let name = read.name(value);
    let mut rules = HouseRules {
        name,
        namespaces: Selector::everything(),
        levels: std::collections::BTreeMap::new(),
        settings: PartialSettings::default(),
        exempt: Exempt::default(),
    };
    let at = FieldPath::new("spec");
    let Some(spec) = read.optional_object(value.get("spec"), &at, "the rules keep their defaults in every namespace")
    else {
        return (rules, read.finish());
    };
    read.known(spec, &at, &["namespaceSelector", "rules", "exempt", "dialect", "dns"]);
    if let Some(selector) = spec.get("namespaceSelector") {
        let fallback = "every namespace is governed";
        rules.namespaces =
            read.selector(selector, &at.field("namespaceSelector"), fallback).unwrap_or(rules.namespaces);
    }
    if let Some(dns) = spec.get("dns") {
        rules.settings.dns = read_dns(&mut read, dns, &at.field("dns"));
    }
    if let Some(value) = spec.get("rules") {
        let dns_protocols_given = spec.get("dns").is_some_and(|dns| dns.get("protocols").is_some());
        read_rules(&mut read, value, &at.field("rules"), dns_protocols_given, &mut rules);
    }
    if let Some(exempt) = spec.get("exempt") {
        rules.exempt = read_exempt(&mut read, exempt, &at.field("exempt"));
    }
    if let Some(dialect) = spec.get("dialect") {
        // `auto` is what holds without a word as well.
        let names: Vec<&str> = ["auto"].into_iter().chain(Dialect::ALL.iter().map(|d| d.as_str())).collect();
        let fallback = "the dialect stays as it is";
        rules.settings.dialect = read.one_of(dialect, &at.field("dialect"), &names, fallback).and_then(Dialect::parse);
    }
    (rules, read.finish())
}

fn read_rules(read: &mut Reader, value: &Value, at: &FieldPath, dns_protocols_given: bool, into: &mut HouseRules) {
    let Some(rules) = read.object(value, at, "every rule keeps its default level") else {
        into.levels = RuleId::ALL.iter().map(|&id| (id, id.default_level())).collect();
        return;
    };
    let names: Vec<&str> = RuleId::ALL.iter().map(|id| id.as_str()).collect();
    read.known(rules, at, &names);
    for &id in RuleId::ALL {
        let Some(rule) = rules.get(id.as_str()) else { continue };
        let at = at.field(id.as_str());
        let Some(rule) = read.object(rule, &at, &format!("{id} keeps its default, {}", id.default_level())) else {
            into.levels.insert(id, id.default_level());
            continue;
        };
        if let Some(level) = rule.get("level") {
            into.levels.insert(id, read_level(read, level, &at.field("level"), id));
        }
        match id {
            RuleId::MissingDefaultDeny => {
                read.known(rule, &at, &["level", "directions"]);
                if let Some(directions) = rule.get("directions") {
                    into.settings.default_deny_directions =
                        Some(read_directions(read, directions, &at.field("directions")));
                }
            }
            RuleId::OpenCidr => into.settings.open_cidr = read_open_cidr(read, rule, &at),
            RuleId::BlockedDns => {
                read.known(rule, &at, &["level", "protocols"]);
                if let Some(protocols) = rule.get("protocols") {
                    let at = at.field("protocols");
                    let mut protocols = read_protocols(read, protocols, &at);
                    if dns_protocols_given && into.settings.dns.as_ref().is_some_and(|d| d.protocols != protocols) {
                        read.unread(&at, "differs from spec.dns.protocols; UDP and TCP must both work".into());
                        protocols = vec![Protocol::Udp, Protocol::Tcp];
                    }
                    into.settings.dns.get_or_insert_with(Dns::default).protocols = protocols;
                }
            }
            RuleId::BrokenAssertion => {
                read.known(rule, &at, &["level", "onCreate"]);
                if let Some(value) = rule.get("onCreate") {
                    let names = [Level::Warn, Level::Enforce].map(Level::as_str);
                    let read = read.one_of(value, &at.field("onCreate"), &names, "it is refused");
                    into.settings.on_create = Some(read.and_then(Level::parse).unwrap_or(Level::Enforce));
                }
            }
            _ => read.known(rule, &at, &["level"]),
        }
    }
}

fn read_level(read: &mut Reader, value: &Value, at: &FieldPath, id: RuleId) -> Level {
    let kept = format!("{id} keeps its default, {}", id.default_level());
    if value == &Value::Bool(false) {
        read.unread(at, format!("is false, which is how YAML reads a bare off; write \"off\" in quotes; {kept}"));
        return id.default_level();
    }
    read.one_of(value, at, &["off", "audit", "warn", "enforce"], &kept)
        .and_then(Level::parse)
        .unwrap_or_else(|| id.default_level())
}

fn read_directions(read: &mut Reader, value: &Value, at: &FieldPath) -> Vec<Direction> {
    let taken = read.names(value, at, &["Ingress", "Egress"], "both directions are judged");
    let found: Vec<Direction> =
        Direction::BOTH.into_iter().filter(|d| taken.as_ref().is_none_or(|all| all.contains(&d.as_str()))).collect();
    if found.is_empty() { Direction::BOTH.to_vec() } else { found }
}

fn read_protocols(read: &mut Reader, value: &Value, at: &FieldPath) -> Vec<Protocol> {
    let taken = read.names(value, at, &["UDP", "TCP"], "UDP and TCP must both work");
    let both = [Protocol::Udp, Protocol::Tcp];
    let found: Vec<Protocol> =
        both.into_iter().filter(|p| taken.as_ref().is_none_or(|all| all.contains(&p.as_str()))).collect();
    if found.is_empty() { both.to_vec() } else { found }
}

fn read_open_cidr(read: &mut Reader, rule: &Map<String, Value>, at: &FieldPath) -> Option<OpenCidr> {
    const SETTINGS: [&str; 5] = ["directions", "privateRanges", "alsoPrivate", "widest", "reopen"];
    read.known(rule, at, &["level", "directions", "privateRanges", "alsoPrivate", "widest", "reopen"]);
    if !SETTINGS.iter().any(|name| rule.contains_key(*name)) {
        return None;
    }
    let mut settings = OpenCidr::default();
    if let Some(directions) = rule.get("directions") {
        settings.directions = read_directions(read, directions, &at.field("directions"));
    }
    if let Some(ranges) = rule.get("privateRanges") {
        let at = at.field("privateRanges");
        let (nets, complete) =
            read.each(ranges, &at, "a CIDR block such as 10.0.0.0/8", "the default ranges count as well", |text| {
                text.parse::<ipnet::IpNet>().ok()
            });
        let given = IpSet::from_nets(&nets);
        settings.private = if complete { given } else { given.union(&private_ranges()) };
    }
    if let Some(more) = rule.get("alsoPrivate") {
        const LINK_LOCAL: (&str, &str) = ("LinkLocal", "169.254.0.0/16");
        const SHARED: (&str, &str) = ("SharedAddressSpace", "100.64.0.0/10");
        let taken = read.names(more, &at.field("alsoPrivate"), &[LINK_LOCAL.0, SHARED.0], "both ranges are excepted");
        let nets: Vec<ipnet::IpNet> = [LINK_LOCAL, SHARED]
            .into_iter()
            .filter(|(name, _)| taken.as_ref().is_none_or(|all| all.contains(name)))
            .filter_map(|(_, net)| net.parse().ok())
            .collect();
        settings.private = settings.private.union(&IpSet::from_nets(&nets));
    }
    for (name, v4, v6) in [
        ("widest", &mut settings.widest_v4, &mut settings.widest_v6),
        ("reopen", &mut settings.reopen_v4, &mut settings.reopen_v6),
    ] {
        let Some(value) = rule.get(name) else { continue };
        let at = at.field(name);
        let Some(lengths) = read.object(value, &at, &format!("the defaults stay: ipv4 {v4}, ipv6 {v6}")) else {
            continue;
        };
        read.known(lengths, &at, &["ipv4", "ipv6"]);
        for (family, most, slot) in [("ipv4", 32, v4), ("ipv6", 128, v6)] {
            let Some(value) = lengths.get(family) else { continue };
            match value.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=most).contains(n)) {
                Some(length) => *slot = length,
                None => {
                    read.unread(
                        &at.field(family),
                        format!("is not a prefix length from 1 to {most}; the default stays: {slot}"),
                    );
                }
            }
        }
    }
    Some(settings)
}

fn read_dns(read: &mut Reader, value: &Value, at: &FieldPath) -> Option<Dns> {
    let dns = read.object(value, at, "DNS is looked for where it is by default")?;
    read.known(dns, at, &["namespace", "labels", "addresses", "protocols"]);
    let mut settings = Dns::default();
    if let Some(namespace) = dns.get("namespace") {
        match namespace.as_str().filter(|text| reader::is_dns_label(text)) {
            Some(text) => settings.namespace = text.into(),
            None => read.unread(&at.field("namespace"), "is not the name of a namespace; kube-system stays".into()),
        }
    }
    if let Some(labels) = dns.get("labels") {
        let kept = "k8s-app=kube-dns stays";
        match read.labels(labels, &at.field("labels"), kept) {
            Some(pairs) if pairs.is_empty() => {
                read.unread(&at.field("labels"), format!("would take every pod of the namespace for DNS; {kept}"));
            }
            Some(pairs) => settings.labels = Labels::new(pairs),
            None => {}
        }
    }
    if let Some(addresses) = dns.get("addresses") {
        let at = at.field("addresses");
        if addresses.as_array().is_some_and(Vec::is_empty) {
            settings.addresses = Vec::new();
            settings.addresses_assumed = false;
        } else {
            let left_out = "it does not count as DNS";
            let (given, _) =
                read.each(addresses, &at, "an IP address such as 169.254.20.10", left_out, |text| text.parse().ok());
            if !given.is_empty() {
                settings.addresses = given;
                settings.addresses_assumed = false;
            }
        }
    }
    if let Some(protocols) = dns.get("protocols") {
        settings.protocols = read_protocols(read, protocols, &at.field("protocols"));
    }
    Some(settings)
}

fn read_exempt(read: &mut Reader, value: &Value, at: &FieldPath) -> Exempt {
    const NOBODY: &str = "it exempts nobody";
    let mut exempt = Exempt::default();
    let Some(fields) = read.object(value, at, "nobody is exempt") else { return exempt };
    read.known(fields, at, &["namespaces", "serviceAccounts", "users", "groups", "workloadSelector"]);
    if let Some(list) = fields.get("namespaces") {
        let what = "the exact name of a namespace";
        exempt.namespaces =
            read.each(list, &at.field("namespaces"), what, NOBODY, |t| reader::is_dns_label(t).then(|| t.into())).0;
    }
    if let Some(list) = fields.get("serviceAccounts") {
        let what = "a service account as namespace/name";
        exempt.service_accounts = read.each(list, &at.field("serviceAccounts"), what, NOBODY, service_account).0;
    }
    if let Some(list) = fields.get("users") {
        let what = "an exact user name without wildcards";
        exempt.users = read.each(list, &at.field("users"), what, NOBODY, exact_name).0;
    }
    if let Some(list) = fields.get("groups") {
        let what = "an exact group name that does not hold everybody";
        exempt.groups = read
            .each(list, &at.field("groups"), what, NOBODY, |text| {
                exact_name(text).filter(|t| !["system:authenticated", "system:unauthenticated"].contains(&&**t))
            })
            .0;
    }
    if let Some(selector) = fields.get("workloadSelector") {
        let at = at.field("workloadSelector");
        exempt.workloads = read.selector(selector, &at, NOBODY);
        // Asked of the meaning and not of the text, and where that cannot be decided the exemption does not count.
        if exempt.workloads.as_ref().is_some_and(|s| !matches!(escaping(&[s]), Escape::By(_))) {
            read.unread(&at, format!("matches every workload, which would switch the rules off; {NOBODY}"));
            exempt.workloads = None;
        }
    }
    exempt
}

fn exact_name(text: &str) -> Option<Str> {
    (!text.trim().is_empty() && !text.contains('*')).then(|| text.into())
}

fn service_account(text: &str) -> Option<(Str, Str)> {
    let (namespace, name) = text.split_once('/')?;
    let fine = reader::is_dns_label(namespace) && name.split('.').all(reader::is_dns_label);
    fine.then(|| (namespace.into(), name.into()))
}
