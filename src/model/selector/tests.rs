//! Selectors against brute force over small universes, and how they read.

use super::*;
use crate::model::meter::measured;
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

/// A conjunction of requirements on keys of their own.
fn conjunction(keys: usize, requirement: impl Fn(String) -> Selector) -> Selector {
    Selector::all((0..keys).map(|i| requirement(format!("key-{i}"))).collect())
}

#[test]
fn a_conjunction_of_any_size_is_solved_in_one_pass() {
    let kinds: [fn(String) -> Selector; 4] = [
        |key| Selector::equals(key, "v"),
        |key| Selector::is_in(key, ["v"]).negate(),
        Selector::exists,
        |key| Selector::exists(key).negate(),
    ];
    for requirement in kinds {
        let [small, large] = [1_000, 20_000].map(|keys| {
            let selector = conjunction(keys, requirement);
            let ((everything, labels), steps) = measured(|| (selector.matches_everything(), selector.representative()));
            assert!(!everything);
            assert!(selector.matches(&labels.unwrap()));
            steps
        });
        assert!(large <= 21 * small, "{small} steps for 1,000 keys, {large} for 20,000");
        assert!(large <= 100 * 20_000, "{large}");
    }
}

#[test]
fn a_key_with_many_values_is_solved_in_one_pass() {
    let values = |n: usize| (0..n).map(|i| format!("v{i}"));
    let one_of_many = Selector::is_in("app", values(20_000));
    let rest = Selector::all(vec![Selector::exists("app"), one_of_many.clone().negate()]);
    let none = Selector::exists("app").negate();
    let (escape, steps) = measured(|| escaping(&[&one_of_many, &rest, &none]));
    assert_eq!(escape, Escape::Impossible);
    assert!(steps < 1_000_000, "{steps}");
    // As many selectors as values, of which each takes one.
    let singles: Vec<Selector> = values(3_000).map(|v| Selector::equals("app", v)).collect();
    let all: Vec<&Selector> = singles.iter().chain([&none]).collect();
    let (escape, steps) = measured(|| escaping(&all));
    assert_eq!(escape, Escape::By(Labels::new([("app", "any-other-value")])));
    assert!(steps < 100_000, "{steps}");
}

#[test]
fn selectors_that_tile_two_keys_leave_nobody_out() {
    let part = |key: &str, i: usize| match i {
        0 => Selector::exists(key.to_owned()).negate(),
        39 => Selector::all(vec![
            Selector::exists(key.to_owned()),
            Selector::is_in(key.to_owned(), (1..39).map(|i| format!("v{i}"))).negate(),
        ]),
        i => Selector::equals(key.to_owned(), format!("v{i}")),
    };
    let mut tiles = Vec::new();
    for a in 0..40 {
        tiles.extend((0..40).map(|b| Selector::all(vec![part("a", a), part("b", b)])));
    }
    let all: Vec<&Selector> = tiles.iter().collect();
    let (escape, steps) = measured(|| escaping(&all));
    assert_eq!(escape, Escape::Impossible);
    assert!(steps < 2_000_000, "{steps}");
    assert!(matches!(escaping(&all[1..]), Escape::By(_)), "without one tile there is a hole");
}

#[test]
fn a_search_that_leads_nowhere_gives_up() {
    // As many pigeons as holes and one more, each in a hole and none two in one: hard for every search of this sort.
    let mut clauses = Vec::new();
    let name = |pigeon: usize, hole: usize| Selector::exists(format!("{pigeon}-in-{hole}"));
    for pigeon in 0..12 {
        clauses.push(Selector::all((0..11).map(|hole| name(pigeon, hole).negate()).collect()));
        for other in 0..pigeon {
            clauses.extend((0..11).map(|hole| Selector::all(vec![name(pigeon, hole), name(other, hole)])));
        }
    }
    let all: Vec<&Selector> = clauses.iter().collect();
    let (escape, steps) = measured(|| escaping(&all));
    assert_eq!(escape, Escape::Unknown);
    assert!(steps < 50_000_000, "{steps}");
}

#[test]
fn keys_that_are_always_there_are_no_way_out() {
    let named = Selector::exists("name");
    assert_eq!(escaping_with(&[&named], &["name"]), Escape::Impossible);
    let not_x = Selector::equals("name", "x").negate();
    assert_eq!(escaping_with(&[&not_x], &["name"]), Escape::By(Labels::new([("name", "x")])));
}
