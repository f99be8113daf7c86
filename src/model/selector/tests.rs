//! Selectors against brute force over small universes, and how they read.

use super::*;
use proptest::prelude::*;

#[test]
fn all_four_operators_on_present_and_missing_keys() {
    // semantics 2.1.11
    let (present, missing) = (Labels::new([("app", "web")]), Labels::default());
    let is_in = Selector::is_in("app", ["web", "api"]);
    assert!(is_in.matches(&present) && !is_in.matches(&missing));
    let not_in = Selector::is_in("app", ["api"]).negate();
    assert!(not_in.matches(&present) && not_in.matches(&missing));
    let exists = Selector::exists("app");
    assert!(exists.matches(&present) && !exists.matches(&missing));
    let absent = Selector::exists("app").negate();
    assert!(!absent.matches(&present) && absent.matches(&missing));
}

#[test]
fn everything_can_be_written_in_many_ways() {
    assert!(Selector::everything().matches_everything());
    let (has, lacks) = (Selector::exists("app"), Selector::exists("app").negate());
    assert!(!has.matches_everything() && !lacks.matches_everything());
    assert_eq!(escaping(&[&has, &lacks]), Escape::Impossible);
    // Unlikely labels do not make a selector universal.
    assert!(!Selector::exists("no-such-label").negate().matches_everything());
}

#[test]
fn finds_who_escapes() {
    let web = Selector::equals("app", "web");
    let others = Selector::all(vec![Selector::exists("app"), Selector::equals("app", "web").negate()]);
    assert_eq!(escaping(&[&web, &others]), Escape::By(Labels::default()), "pods without the label");
    let unlabelled = Selector::exists("app").negate();
    assert_eq!(escaping(&[&web, &unlabelled]), Escape::By(Labels::new([("app", "any-other-value")])));
}

#[test]
fn shows_the_kubectl_notation() {
    let all = Selector::all(vec![
        Selector::equals("app", "web"),
        Selector::is_in("tier", ["b", "a"]),
        Selector::exists("legacy").negate(),
        Selector::is_in("env", ["prod"]).negate(),
    ]);
    assert_eq!(all.to_string(), "app=web,tier in (a,b),!legacy,env!=prod");
}

fn selectors() -> impl Strategy<Value = Selector> {
    let key = prop_oneof![Just("a"), Just("b"), Just("c")];
    let leaf = prop_oneof![
        key.clone().prop_map(Selector::exists),
        (key, proptest::collection::vec(prop_oneof![Just("1"), Just("2")], 1..3))
            .prop_map(|(k, v)| Selector::is_in(k, v)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Selector::negate),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Selector::And),
            proptest::collection::vec(inner, 0..3).prop_map(Selector::Or),
        ]
    })
}

/// Every label set over the generated keys, with one value that no selector names.
fn universe() -> Vec<Labels> {
    let choices = [None, Some("1"), Some("2"), Some("3")];
    let mut all = Vec::new();
    for a in choices {
        for b in choices {
            for c in choices {
                let pairs = [("a", a), ("b", b), ("c", c)];
                all.push(Labels::new(pairs.into_iter().filter_map(|(k, v)| v.map(|v| (k, v)))));
            }
        }
    }
    all
}

proptest! {
    #[test]
    fn escape_agrees_with_brute_force(list in proptest::collection::vec(selectors(), 1..4)) {
        let refs: Vec<&Selector> = list.iter().collect();
        let brute = universe().into_iter().any(|labels| list.iter().all(|s| !s.matches(&labels)));
        match escaping(&refs) {
            Escape::By(labels) => prop_assert!(list.iter().all(|s| !s.matches(&labels))),
            Escape::Impossible => prop_assert!(!brute),
            Escape::Unknown => prop_assert!(false, "small searches never give up"),
        }
    }

    #[test]
    fn a_representative_matches(selector in selectors()) {
        let possible = universe().iter().any(|labels| selector.matches(labels));
        match selector.representative() {
            Some(labels) => prop_assert!(selector.matches(&labels)),
            None => prop_assert!(!possible),
        }
    }
}
