//! Our own objects: the definitions, the validations in them, and the reader that never lowers a rule by mistake.
//!
//! The same examples go to a real API server in `tests/e2e`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::needless_pass_by_value, missing_docs)]

use std::collections::BTreeSet;

use jiff::Timestamp;
use portcullis::api::{self, Condition, ConditionStatus};
use portcullis::model::house::{Dialect, Level, OpenCidr, RuleId, private_ranges};
use portcullis::model::{Direction, Labels, Protocol, Selector, Unread};
use portcullis::translate::houserules::{
    Judged, conditions, conflicts, exception_conditions, house_rules, rule_exception,
};
use portcullis::translate::{Defaults, Kind, from_value};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "objects/cases.rs"]
mod cases;

#[test]
fn definitions_are_what_was_reviewed() {
    let text = api::crds_yaml().unwrap();
    assert_eq!(text, api::crds_yaml().unwrap(), "the same text on every call");
    insta::assert_snapshot!(text);
}

#[test]
fn yaml_holds_the_same_definitions() {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&api::crds_yaml().unwrap()).unwrap();
    let direct: Vec<Value> = api::crds().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
    assert_eq!(documents, direct);
}

fn schema(kind: &str) -> Value {
    let crds = api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap()).unwrap()["openAPIV3Schema"].clone()
}

#[test]
fn every_rule_has_its_property_and_no_other_is_allowed() {
    let rules = &schema("HouseRules")["properties"]["spec"]["properties"]["rules"];
    let names: BTreeSet<&str> = rules["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, RuleId::ALL.iter().map(|id| id.as_str()).collect());
    assert!(rules.get("additionalProperties").is_none() && rules.get("x-kubernetes-preserve-unknown-fields").is_none());
    let items = &schema("RuleException")["properties"]["spec"]["properties"]["rules"]["items"];
    assert_eq!(items["enum"], json!(RuleId::ALL.iter().map(|id| id.as_str()).collect::<Vec<_>>()));
}

#[test]
fn the_schema_knows_the_names_that_the_model_knows() {
    let spec = &schema("HouseRules")["properties"]["spec"]["properties"];
    let level = &spec["rules"]["properties"]["open-cidr"]["properties"]["level"]["enum"];
    assert_eq!(*level, json!([Level::Off, Level::Audit, Level::Warn, Level::Enforce].map(Level::as_str)));
    let dialects: Vec<&str> = ["auto"].into_iter().chain(Dialect::ALL.map(Dialect::as_str)).collect();
    assert_eq!(spec["dialect"]["enum"], json!(dialects));
    let directions = &spec["rules"]["properties"]["open-cidr"]["properties"]["directions"]["items"]["enum"];
    assert_eq!(*directions, json!(Direction::BOTH.map(Direction::as_str)));
}

/// All messages of validations in a schema.
fn messages(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                into.insert(rule["message"].as_str().expect("every validation says what is wrong").to_owned());
            }
            fields.values().for_each(|inner| messages(inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| messages(inner, into)),
        _ => {}
    }
}

#[test]
fn every_validation_has_an_example_that_it_refuses() {
    let mut all = BTreeSet::new();
    messages(&schema("HouseRules"), &mut all);
    messages(&schema("RuleException"), &mut all);
    messages(&schema("ConnectivityAssertion"), &mut all);
    messages(&schema("ClusterConnectivityAssertion"), &mut all);
    let refused = cases::refused();
    for message in &all {
        assert!(refused.iter().any(|case| case.says == message), "no refused example for: {message}");
    }
}

#[test]
fn accepted_examples_are_read_whole_and_refused_ones_are_not() {
    for object in cases::accepted() {
        let unread = read(&object);
        assert!(unread.is_empty(), "{object}: {unread:?}");
    }
    for case in cases::refused() {
        assert!(!read(&case.object).is_empty(), "reads without complaint: {} ({})", case.object, case.says);
    }
}

fn read(object: &Value) -> Vec<Unread> {
    let kind = object["kind"].as_str().unwrap();
    match Kind::of("portcullis.dev", kind) {
        Some(kind) => from_value(kind, object, &Defaults::default()).unread().to_vec(),
        None if kind == "HouseRules" => house_rules(object).1,
        None => rule_exception(object).1,
    }
}

#[test]
fn typed_objects_read_back() {
    let typed: api::HouseRules = serde_json::from_value(cases::accepted()[0].clone()).unwrap();
    let (rules, unread) = house_rules(&serde_json::to_value(&typed).unwrap());
    assert_eq!(unread, []);
    assert_eq!(&*rules.name, "full");
    assert_eq!(rules.levels[&RuleId::OpenCidr], Level::Warn);
    assert_eq!(rules.levels[&RuleId::HostNetwork], Level::Off);
    assert_eq!(rules.settings.default_deny_directions, Some(vec![Direction::Ingress]));
    let cidr = rules.settings.open_cidr.unwrap();
    assert!(cidr.private.contains("169.254.169.254".parse().unwrap()));
    assert!(cidr.private.contains("100.64.0.1".parse().unwrap()));
    assert!(!cidr.private.contains("192.168.0.1".parse().unwrap()), "the list replaces the default");
    assert_eq!((cidr.widest_v4, cidr.widest_v6, cidr.reopen_v4, cidr.reopen_v6), (10, 16, 24, 56));
    let dns = rules.settings.dns.unwrap();
    assert_eq!(dns.labels, Labels::new([("app", "coredns")]));
    assert!(!dns.addresses_assumed);
    assert_eq!(dns.protocols, [Protocol::Udp]);
    assert_eq!(rules.exempt.service_accounts, [("argocd".into(), "argocd-application-controller".into())]);
    assert!(rules.namespaces.matches(&Labels::new([("env", "prod"), ("team", "a")])));
    assert!(!rules.namespaces.matches(&Labels::new([("env", "dev"), ("team", "a")])));
}

#[test]
fn slips_are_named_with_path_and_the_nearest_name() {
    let slips = json!({
        "metadata": {"name": "slips"},
        "spec": {
            "rule": {},
            "dialect": "callico",
            "rules": {
                "open-cird": {"level": "off"},
                "blocked-dns": {"level": "Off"},
                "host-network": {"level": false},
                "severed-pods": null,
                "missing-default-deny": {"direction": ["Ingress"], "directions": ["Egres"]},
                "open-cidr": {"privateRanges": ["10.0.0.0"], "widest": {"ipv4": 33}, "reopen": 5},
            },
            "dns": {"labels": {}, "addresses": ["dns.example"], "protocols": []},
            "exempt": {
                "namespaces": ["kube-*"],
                "serviceAccounts": ["robot"],
                "groups": ["system:authenticated"],
                "workloadSelector": {"matchlabels": {"a": "b"}},
            },
        },
    });
    let (rules, unread) = house_rules(&slips);
    let lines: Vec<String> = unread.iter().map(|u| format!("{} {}", u.at, u.what)).collect();
    insta::assert_snapshot!(lines.join("\n"));
    for &id in RuleId::ALL {
        assert!(rules.levels.get(&id).is_none_or(|level| *level >= id.default_level()), "{id}");
    }
    assert_eq!(rules.levels[&RuleId::SeveredPods], Level::Warn);
    assert_eq!(rules.settings.default_deny_directions, Some(Direction::BOTH.to_vec()));
    let expected = OpenCidr { private: private_ranges(), ..OpenCidr::default() };
    assert_eq!(rules.settings.open_cidr, Some(expected));
    assert_eq!(rules.exempt, portcullis::model::house::Exempt::default());
}

#[test]
fn unreadable_selectors_are_taken_on_the_safe_side() {
    let broken = json!({"matchExpressions": [{"key": "env", "operator": "Equals", "values": ["prod"]}]});
    let (rules, unread) = house_rules(&json!({
        "metadata": {"name": "a"},
        "spec": {"namespaceSelector": broken, "exempt": {"workloadSelector": broken}},
    }));
    assert!(rules.namespaces.is_everything(), "the rules hold everywhere");
    assert_eq!(rules.exempt.workloads, None, "and exempt nobody");
    let paths: Vec<&str> = unread.iter().map(|u| u.at.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.exempt.workloadSelector.matchExpressions[0].operator",
            "spec.namespaceSelector.matchExpressions[0].operator"
        ]
    );
    let exempting = |selector: Value| {
        house_rules(&json!({"metadata": {"name": "a"}, "spec": {"exempt": {"workloadSelector": selector}}}))
    };
    let (rules, unread) = exempting(json!({"matchLabels": {}, "matchExpressions": []}));
    assert_eq!(rules.exempt.workloads, None);
    assert_eq!(unread[0].at.as_str(), "spec.exempt.workloadSelector");
    let (rules, unread) = exempting(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}));
    assert!(rules.exempt.workloads.is_some() && unread.is_empty(), "a label can escape it");
}

#[test]
fn exceptions_count_only_when_they_are_whole() {
    let (whole, unread) = rule_exception(&cases::exception());
    let whole = whole.unwrap();
    assert_eq!(unread, []);
    assert_eq!((&*whole.name, &*whole.namespaces[0]), ("portcullis/migration", "shop"));
    assert_eq!(whole.expires_at, 1_801_418_400);
    assert_eq!(whole.selector, Selector::equals("app", "legacy"));
    for (pointer, broken) in [
        ("/spec/targets", json!({})),
        ("/spec/targets/namespaces", json!(["*"])),
        ("/spec/targets/selector", json!({"matchlabels": {"app": "legacy"}})),
        ("/spec/reason", json!("  ")),
        ("/spec/expires", json!("next week")),
        ("/spec/rules", json!(["open-cird"])),
        ("/metadata/name", json!(null)),
    ] {
        let mut object = cases::exception();
        *object.pointer_mut(pointer).unwrap() = broken.clone();
        let (exception, unread) = rule_exception(&object);
        assert!(exception.is_none() && !unread.is_empty(), "{pointer}: {broken} gives {exception:?}");
    }
    // A misspelt selector must not widen the exception to the whole namespace.
    let mut object = cases::exception();
    object["spec"]["targets"] = json!({"namespaces": ["shop"], "selektor": {"matchLabels": {"app": "legacy"}}});
    assert!(rule_exception(&object).0.is_none());
}

#[test]
fn different_settings_conflict_only_where_both_can_hold() {
    let object = |name: &str, env: &str, directions: Value, level: &str| {
        house_rules(&json!({
            "metadata": {"name": name},
            "spec": {
                "namespaceSelector": {"matchLabels": {"env": env}},
                "rules": {"open-cidr": {"level": level, "directions": directions}},
            },
        }))
        .0
    };
    let a = object("a", "prod", json!(["Ingress"]), "warn");
    let b = object("b", "prod", json!(["Egress"]), "enforce");
    let elsewhere = object("c", "dev", json!(["Egress"]), "enforce");
    let alike = object("d", "prod", json!(["Ingress"]), "audit");
    assert_eq!(conflicts(&[a.clone(), elsewhere]), []);
    assert_eq!(conflicts(&[a.clone(), alike]), [], "levels never conflict");
    let found = conflicts(&[a, b]);
    assert_eq!(found.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(found[0].1.starts_with("rules.open-cidr differs from HouseRules/b"), "{}", found[0].1);
    assert!(found[0].1.contains("env=prod"), "{}", found[0].1);
}

#[test]
fn conditions_keep_their_time_until_the_status_changes() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let judge = |previous: &[Condition], now: &str, generation, unread: &[Unread]| {
        conditions(unread, &[], Judged { generation: Some(generation), now: at(now), previous })
    };
    let slip = house_rules(&json!({"metadata": {"name": "a"}, "spec": {"rules": 1}})).1;
    let first = judge(&[], "2026-01-01T00:00:00.5Z", 1, &[]);
    assert_eq!(first[0].status, ConditionStatus::True);
    assert_eq!(first[0].last_transition_time, "2026-01-01T00:00:00Z");
    let second = judge(&first, "2026-01-02T00:00:00Z", 2, &[]);
    assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
    assert_eq!(second[0].observed_generation, Some(2));
    let third = judge(&second, "2026-01-03T00:00:00Z", 3, &slip);
    assert_eq!((third[0].status, third[0].reason.as_str()), (ConditionStatus::False, "NotUnderstood"));
    assert_eq!(third[0].last_transition_time, "2026-01-03T00:00:00Z");
    assert_eq!(third[0].message, "spec.rules is a number, not an object; every rule keeps its default level");
    assert_eq!(third[1].last_transition_time, first[1].last_transition_time, "Conflicting did not change");
}

#[test]
fn an_exception_says_why_it_does_not_hold() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let reason = |expires_at, honoured, unread: &[Unread]| {
        let judged = Judged { generation: None, now, previous: &[] };
        let condition = exception_conditions(unread, expires_at, honoured, judged).remove(0);
        (condition.status == ConditionStatus::True, condition.reason)
    };
    let later = Some(now.as_second() + 1);
    assert_eq!(reason(later, true, &[]), (true, "Active".into()));
    assert_eq!(reason(later, false, &[]), (false, "NotHonoured".into()));
    assert_eq!(reason(Some(now.as_second()), true, &[]), (false, "Expired".into()));
    let (exception, unread) = rule_exception(&json!({}));
    assert_eq!(reason(exception.map(|e| e.expires_at), true, &unread), (false, "NotUnderstood".into()));
}

/// Any JSON, made mostly of the words that mean something to the reader.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "spec",
        "metadata",
        "name",
        "namespace",
        "rules",
        "level",
        "off",
        "warn",
        "enforce",
        "Enforce",
        "open-cidr",
        "blocked-dns",
        "missing-default-deny",
        "host-network",
        "directions",
        "Ingress",
        "Egress",
        "privateRanges",
        "alsoPrivate",
        "LinkLocal",
        "10.0.0.0/8",
        "::/0",
        "widest",
        "reopen",
        "ipv4",
        "exempt",
        "groups",
        "users",
        "dns",
        "labels",
        "addresses",
        "protocols",
        "UDP",
        "namespaceSelector",
        "workloadSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "In",
        "targets",
        "reason",
        "expires",
        "dialect",
        "",
        "2027-01-31T18:00:00Z",
        "x.y/z",
        "é",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_i64..300).prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_unreadable_lowers_a_level(spec in anything(), rules in anything()) {
        let mut object = json!({"metadata": {"name": "any"}, "spec": spec});
        if let Some(spec) = object["spec"].as_object_mut() {
            spec.insert("rules".into(), rules);
        }
        let (read, unread) = house_rules(&object);
        for &id in RuleId::ALL {
            let written = &object["spec"]["rules"][id.as_str()]["level"];
            match (written.as_str().and_then(Level::parse), read.levels.get(&id)) {
                (Some(written), Some(level)) => prop_assert_eq!(written, *level),
                (Some(_), None) => prop_assert!(false, "{} was readable", id),
                (None, level) => prop_assert!(level.is_none_or(|level| *level >= id.default_level())),
            }
        }
        if !object["spec"].is_object() {
            prop_assert!(!unread.is_empty());
        }
        prop_assert!(!read.exempt.workloads.as_ref().is_some_and(Selector::matches_everything));
        prop_assert!(read.settings.default_deny_directions.as_ref().is_none_or(|d| !d.is_empty()));
        if let Some(cidr) = &read.settings.open_cidr {
            prop_assert!(!cidr.directions.is_empty() && !cidr.private.is_empty());
        }
        if let Some(dns) = &read.settings.dns {
            prop_assert!(!dns.protocols.is_empty() && !dns.labels.is_empty() && !dns.namespace.is_empty());
        }
        prop_assert!(unread.iter().all(|u| !u.at.is_empty() && !u.what.is_empty()));
    }

    #[test]
    fn an_exception_is_whole_or_nothing(object in anything()) {
        let (exception, unread) = rule_exception(&object);
        match exception {
            Some(e) => prop_assert!(!e.rules.is_empty() && !e.namespaces.is_empty() && !e.reason.is_empty()),
            None => prop_assert!(!unread.is_empty()),
        }
    }
}
